//! CHAR and VARCHAR: texts of a limited length. To Arrow and Delta they are texts like any other; the limit is kept
//! with the column, as [`CHAR_VARCHAR`].
//!
//! Only columns have limits: within structs, lists and maps, and in casts, the types mean STRING. Values are as they
//! were written: CHAR is not padded. Source: Spark, `CharVarcharUtils`; Delta, `CharVarcharConstraint`.

use std::fmt::{self, Display};

use arrow::datatypes::{DataType, Field};
use ingot_common::Kind;
use ingot_delta::column::CHAR_VARCHAR;

use super::{TypeParser, parse_type};
use crate::write::type_text;
use crate::{Error, Result};

/// How many characters a text may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextLimit {
    kind: LimitedText,
    /// In characters, at least 1.
    pub length: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LimitedText {
    Char,
    Varchar,
}

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnType {
    pub data_type: DataType,
    pub limit: Option<TextLimit>,
}

impl ColumnType {
    /// Reads a type as [`parse_type`] does, with the limit of a text.
    ///
    /// # Errors
    /// As [`parse_type`]; `InvalidArgument` for CHAR and VARCHAR without a length.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self {
            data_type: parse_type(text)?,
            limit: TextLimit::parse(text)?,
        })
    }

    /// Returns the type of a column of a table.
    pub fn of(field: &Field) -> Self {
        Self {
            data_type: field.data_type().clone(),
            limit: TextLimit::of(field),
        }
    }
}

/// Writes it as Spark does: `varchar(5)`, `bigint`.
impl Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => limit.fmt(f),
            None => f.write_str(&type_text(&self.data_type)),
        }
    }
}

impl TextLimit {
    /// Returns the limit of a column of a table.
    pub fn of(field: &Field) -> Option<Self> {
        let text = field.metadata().get(CHAR_VARCHAR)?;
        Self::parse(text).ok().flatten()
    }

    fn parse(text: &str) -> Result<Option<Self>> {
        let mut parser = TypeParser::new(text);
        let kind = match parser.word()?.to_lowercase().as_str() {
            "char" | "character" => LimitedText::Char,
            "varchar" => LimitedText::Varchar,
            _ => return Ok(None),
        };
        match parser.numbers()?.as_slice() {
            [length] if *length > 0 => Ok(Some(Self {
                kind,
                length: *length,
            })),
            [] => Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "DATATYPE_MISSING_SIZE",
                sqlstate: "42K01",
                message: format!("the type {text} needs a length, as in {text}(10)"),
            }),
            _ => Err(parser.wrong("a length is one number from 1 on")),
        }
    }

    /// Says if texts under this limit may come under `limit` without being looked at.
    pub fn fits(self, limit: Option<Self>) -> bool {
        limit.is_none_or(|limit| {
            self == limit || (limit.kind == LimitedText::Varchar && self.length <= limit.length)
        })
    }

    /// Returns `char` or `varchar`.
    pub fn name(self) -> &'static str {
        match self.kind {
            LimitedText::Char => "char",
            LimitedText::Varchar => "varchar",
        }
    }
}

/// Writes `varchar(5)`.
impl Display for TextLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.length)
    }
}

#[cfg(test)]
mod tests {
    use ingot_common::Classify;
    use test_case::test_case;

    use super::*;

    #[test_case("VARCHAR(5)", "varchar(5)")]
    #[test_case(" character ( 3 )", "char(3)")]
    #[test_case("char(1)", "char(1)")]
    #[test_case("STRING", "string")]
    #[test_case("struct<a:varchar(5)>", "struct<a:string>")]
    fn the_type_of_a_column_has_its_length(text: &str, expected: &str) {
        assert_eq!(ColumnType::parse(text).expect("a type").to_string(), expected);
    }

    #[test_case("varchar", "DATATYPE_MISSING_SIZE")]
    #[test_case("char(0)", "UNSUPPORTED_DATATYPE")]
    #[test_case("varchar(1, 2)", "UNSUPPORTED_DATATYPE")]
    fn a_length_is_one_number(text: &str, condition: &str) {
        let error = ColumnType::parse(text).expect_err("no type");
        assert_eq!(error.condition(), Some(condition));
    }

    #[test_case("varchar(5)", "varchar(5)", true)]
    #[test_case("varchar(5)", "varchar(6)", true)]
    #[test_case("varchar(5)", "varchar(4)", false)]
    #[test_case("varchar(5)", "char(5)", false)]
    #[test_case("char(5)", "varchar(5)", true)]
    #[test_case("char(5)", "char(6)", false)]
    #[test_case("char(5)", "string", true)]
    fn a_limit_is_only_widened(from: &str, to: &str, expected: bool) {
        let limit = |text| ColumnType::parse(text).expect("a type").limit;
        assert_eq!(limit(from).expect("a limit").fits(limit(to)), expected);
    }
}
