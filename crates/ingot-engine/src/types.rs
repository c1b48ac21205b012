//! Spark's spelling of types, read. Writing is `write::type_text`.
//!
//! Source: Databricks SQL language reference, "Data types".

mod length;

use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast;
use ingot_common::Kind;
use ingot_delta::column::COMMENT;

pub(crate) use self::length::{ColumnType, TextLimit};
use crate::{Error, Result, dialect};

/// Types nested in types, at most: a hostile text ends in an error, not in an overflow of the stack.
const DEPTH_MAX: usize = 64;

/// Makes DataFusion read type names as Spark does: TIMESTAMP is an instant in microseconds, DECIMAL is (10,0).
#[derive(Debug)]
pub(crate) struct SparkTypes;

impl TypePlanner for SparkTypes {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> PlanResult<Option<Arc<Field>>> {
        let parsed = parse_type(&sql_type.to_string()).ok();
        Ok(parsed.map(|data_type| Arc::new(Field::new("", data_type, true))))
    }
}

/// Reads a type: `bigint`, `decimal(10,2)`, `array<struct<a: int, b: string>>`, in any case.
///
/// # Errors
/// `InvalidArgument`, naming what is no type.
pub fn parse_type(text: &str) -> Result<DataType> {
    let mut parser = TypeParser::new(text);
    let data_type = parser.data_type(0)?;
    parser.end()?;
    Ok(data_type)
}

/// Reads columns: `a INT, b STRUCT<x: STRING>`, with optional `NOT NULL` and `COMMENT`, as `schema` options give them.
///
/// # Errors
/// `InvalidArgument`, naming what is no column.
pub fn parse_columns(text: &str) -> Result<Fields> {
    let mut parser = TypeParser::new(text);
    let fields = parser.fields(0, None)?;
    parser.end()?;
    Ok(fields)
}

struct TypeParser<'a> {
    text: &'a str,
    rest: Peekable<Chars<'a>>,
}

impl<'a> TypeParser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            rest: text.chars().peekable(),
        }
    }

    fn data_type(&mut self, depth: usize) -> Result<DataType> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("types are nested too deeply"));
        }
        let name = self.word()?.to_lowercase();
        Ok(match name.as_str() {
            "boolean" | "bool" => DataType::Boolean,
            "tinyint" | "byte" => DataType::Int8,
            "smallint" | "short" => DataType::Int16,
            "int" | "integer" => DataType::Int32,
            "bigint" | "long" => DataType::Int64,
            "float" | "real" => DataType::Float32,
            "double" => {
                self.optional_word("precision");
                DataType::Float64
            }
            "string" | "text" => DataType::Utf8,
            "varchar" | "char" | "character" => {
                self.numbers()?;
                DataType::Utf8
            }
            "binary" => DataType::Binary,
            "date" => DataType::Date32,
            "timestamp" | "timestamp_ltz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            "timestamp_ntz" => DataType::Timestamp(TimeUnit::Microsecond, None),
            "decimal" | "dec" | "numeric" => self.decimal()?,
            "interval" => self.interval()?,
            "variant" => crate::functions::variant::variant_type(),
            "array" => {
                self.expect('<')?;
                let item = self.data_type(depth + 1)?;
                self.expect('>')?;
                DataType::List(Arc::new(Field::new("element", item, true)))
            }
            "map" => {
                self.skip_space();
                // sqlparser writes a type that it has read as `Map(K, V)`.
                let close = match self.rest.next_if_eq(&'(') {
                    Some(_) => ')',
                    None => {
                        self.expect('<')?;
                        '>'
                    }
                };
                let key = Field::new("key", self.data_type(depth + 1)?, false);
                self.expect(',')?;
                let value = Field::new("value", self.data_type(depth + 1)?, true);
                self.expect(close)?;
                let entries = DataType::Struct(vec![key, value].into());
                DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
            }
            "struct" => {
                self.expect('<')?;
                let fields = self.fields(depth + 1, Some('>'))?;
                self.expect('>')?;
                DataType::Struct(fields)
            }
            _ => return Err(self.wrong(&format!("`{name}` is no type"))),
        })
    }

    /// Reads what follows INTERVAL: its fields, or nothing for one of months, days and microseconds.
    fn interval(&mut self) -> Result<DataType> {
        const FIELDS: [&str; 6] = ["year", "month", "day", "hour", "minute", "second"];
        let Some(from) = FIELDS.iter().position(|field| self.optional_word(field)) else {
            return Ok(DataType::Interval(IntervalUnit::MonthDayNano));
        };
        let to = match self.optional_word("to") {
            true => FIELDS.iter().position(|field| self.optional_word(field)),
            false => Some(from),
        };
        match to {
            Some(0 | 1) if from < 2 => Ok(DataType::Interval(IntervalUnit::YearMonth)),
            Some(to) if from >= 2 && from <= to => Ok(DataType::Duration(TimeUnit::Microsecond)),
            _ => {
                Err(self
                    .malformed("an interval goes from YEAR to MONTH, or from DAY, HOUR or MINUTE to SECOND"))
            }
        }
    }

    fn decimal(&mut self) -> Result<DataType> {
        let numbers = self.numbers()?;
        let precision = numbers.first().copied().unwrap_or(10);
        let scale = numbers.get(1).copied().unwrap_or(0);
        match (u8::try_from(precision), i8::try_from(scale)) {
            (Ok(precision @ 1..=38), Ok(scale)) if scale >= 0 && scale as u8 <= precision => {
                Ok(DataType::Decimal128(precision, scale))
            }
            _ => Err(self.wrong("a decimal has 1 to 38 digits, and no more after the point than in all")),
        }
    }

    fn fields(&mut self, depth: usize, close: Option<char>) -> Result<Fields> {
        let mut fields = Vec::new();
        loop {
            self.skip_space();
            if self.rest.peek().copied() == close {
                break;
            }
            let name = self.word()?;
            self.skip_space();
            self.rest.next_if_eq(&':');
            let mut field = Field::new(name, self.data_type(depth)?, true);
            loop {
                if self.optional_word("not") {
                    if !self.optional_word("null") {
                        return Err(self.malformed("`NOT` without `NULL`"));
                    }
                    field.set_nullable(false);
                } else if self.optional_word("comment") {
                    let comment = (COMMENT.to_owned(), self.literal()?);
                    field.set_metadata([comment].into());
                } else {
                    break;
                }
            }
            fields.push(field);
            self.skip_space();
            if self.rest.next_if_eq(&',').is_none() {
                break;
            }
        }
        Ok(fields.into())
    }

    /// Reads `(1, 2)`, or nothing.
    fn numbers(&mut self) -> Result<Vec<u32>> {
        self.skip_space();
        if self.rest.next_if_eq(&'(').is_none() {
            return Ok(Vec::new());
        }
        let mut numbers = Vec::new();
        loop {
            let word = self.word()?;
            numbers.push(
                word.parse()
                    .map_err(|_| self.malformed(&format!("`{word}` is no number")))?,
            );
            self.skip_space();
            if self.rest.next_if_eq(&',').is_none() {
                break;
            }
        }
        self.expect(')')?;
        Ok(numbers)
    }

    /// Reads a text in quotes.
    fn literal(&mut self) -> Result<String> {
        self.skip_space();
        let Some(quote) = self.rest.next_if(|c| matches!(c, '\'' | '"')) else {
            return Err(self.malformed("a text in quotes is missing"));
        };
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => text.extend(['\\'].into_iter().chain(self.rest.next())),
                c if c == quote && self.rest.peek() != Some(&quote) => {
                    return Ok(dialect::unescaped(&text, quote));
                }
                c if c == quote => text.extend([c].into_iter().chain(self.rest.next())),
                c => text.push(c),
            }
        }
        Err(self.malformed("a text does not end"))
    }

    fn word(&mut self) -> Result<String> {
        self.skip_space();
        let mut word = String::new();
        if self.rest.next_if_eq(&'`').is_some() {
            while let Some(c) = self.rest.next() {
                if c != '`' {
                    word.push(c);
                } else if self.rest.next_if_eq(&'`').is_some() {
                    word.push('`');
                } else {
                    return Ok(word);
                }
            }
            return Err(self.malformed("a quoted name does not end"));
        }
        while let Some(c) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
            word.push(c);
        }
        if word.is_empty() {
            return Err(self.malformed("a name or a type is missing"));
        }
        Ok(word)
    }

    /// Takes `word` if it comes next.
    fn optional_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let mut ahead = self.rest.clone();
        let matches = word
            .chars()
            .all(|c| ahead.next().is_some_and(|found| found.eq_ignore_ascii_case(&c)));
        let ends = !ahead.peek().is_some_and(|c| c.is_alphanumeric() || *c == '_');
        if matches && ends {
            self.rest = ahead;
        }
        matches && ends
    }

    fn expect(&mut self, wanted: char) -> Result<()> {
        self.skip_space();
        match self.rest.next_if_eq(&wanted) {
            Some(_) => Ok(()),
            None => Err(self.malformed(&format!("`{wanted}` is missing"))),
        }
    }

    fn end(&mut self) -> Result<()> {
        self.skip_space();
        match self.rest.peek().copied() {
            None => Ok(()),
            Some(c) => Err(self.malformed(&format!("`{c}` stands where the type ends"))),
        }
    }

    fn skip_space(&mut self) {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn malformed(&self, what: &str) -> Error {
        Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "PARSE_SYNTAX_ERROR",
            sqlstate: "42601",
            message: format!("syntax error in the type `{}`: {what}", self.text),
        }
    }

    fn wrong(&self, what: &str) -> Error {
        Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "UNSUPPORTED_DATATYPE",
            sqlstate: "0A000",
            message: format!("cannot read the type `{}`: {what}", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::write::type_text;

    #[test_case("BIGINT", "bigint")]
    #[test_case("decimal", "decimal(10,0)")]
    #[test_case("DECIMAL(12, 3)", "decimal(12,3)")]
    #[test_case("timestamp", "timestamp")]
    #[test_case("TIMESTAMP_NTZ", "timestamp_ntz")]
    #[test_case("varchar(20)", "string")]
    #[test_case("array<array<int>>", "array<array<int>>")]
    #[test_case("struct<a: int, `b c` string>", "struct<a:int,b c:string>")]
    #[test_case("map<string,double precision>", "map<string,double>")]
    fn parse_type_reads(text: &str, expected: &str) {
        assert_eq!(type_text(&parse_type(text).expect("a type")), expected);
    }

    #[test_case("strin"; "unknown name")]
    #[test_case("array<int"; "open bracket")]
    #[test_case("decimal(39,0)"; "too many digits")]
    #[test_case("int int"; "two types")]
    fn parse_type_refuses(text: &str) {
        let error = parse_type(text).expect_err("no type");
        assert!(error.to_string().contains(text), "{error}");
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let text = "array<".repeat(100_000);
        assert!(parse_type(&text).is_err());
    }

    #[test]
    fn fields_have_comments_and_may_be_required() {
        let text = r#"STRUCT<a: INT NOT NULL COMMENT 'it''s > 1', b STRING COMMENT "x" NOT NULL, `c` INT>"#;
        let DataType::Struct(fields) = parse_type(text).expect("a type") else {
            panic!("no struct");
        };
        let said = |place: usize| fields[place].metadata().get(COMMENT).map(String::as_str);
        assert_eq!([said(0), said(1), said(2)], [Some("it's > 1"), Some("x"), None]);
        let nullable: Vec<bool> = fields.iter().map(|field| field.is_nullable()).collect();
        assert_eq!(nullable, [false, false, true]);
        for wrong in [
            "struct<a int comment>",
            "struct<a int comment 'x>",
            "struct<a int not>",
        ] {
            assert!(parse_type(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn columns_may_be_required() {
        let fields = parse_columns("id BIGINT NOT NULL, name STRING").expect("columns");
        assert!(!fields[0].is_nullable() && fields[1].is_nullable());
    }
}
