//! How Spark SQL is read: sqlparser's Databricks dialect, with the literals and names of Spark.
//!
//! ```text
//! text ─► tokens (places in the text kept) ─► escapes of literals resolved ─► Parser
//! ```
//! A relation `(DESCRIBE HISTORY t)` becomes the call of a function ([`DESCRIBE_RELATION`]): sqlparser has none such. All
//! of Spark's ways to ask for a version become `VERSION AS OF n` and `TIMESTAMP AS OF expression`.
//! Always true: a text is parsed once. What must be parsed again later (the query of a view, the expressions of a
//! MERGE) is kept as the piece of the text that the user wrote, because sqlparser's own way back to text does not
//! escape literals. Source: Spark SQL, "Literals", "Identifiers".

mod depth;
mod lateral_view;
mod like;
mod stream;
mod table_query;

use std::any::TypeId;
use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType, Expr, Statement};
use datafusion::sql::sqlparser::dialect::{DatabricksDialect, Dialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use crate::spark::literal;
use crate::{Error, Result};

/// The dialect. For sqlparser it is the Databricks one, but that `\` escapes in literals and that names may hold
/// `@`, for `t@v1`.
#[derive(Debug, Clone, Copy)]
pub struct SparkDialect;

/// Words that go on with the query after a relation, so that they are no name of it.
const AFTER_RELATION: [&str; 27] = [
    "AS",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "SORT",
    "CLUSTER",
    "DISTRIBUTE",
    "LIMIT",
    "OFFSET",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "MINUS",
    "QUALIFY",
    "WINDOW",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "NATURAL",
    "LATERAL",
    "ON",
    "TABLESAMPLE",
    "SELECT",
];

/// How the functions begin that stand for a DESCRIBE read as a relation; `history` or `detail` follows.
pub(crate) const DESCRIBE_RELATION: &str = "__ingot_describe_";

const DATABRICKS: DatabricksDialect = DatabricksDialect;

impl Dialect for SparkDialect {
    fn dialect(&self) -> TypeId {
        DATABRICKS.dialect()
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch == '@' || DATABRICKS.is_identifier_part(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        DATABRICKS.is_identifier_start(ch)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        DATABRICKS.is_delimited_identifier_start(ch)
    }

    fn supports_numeric_prefix(&self) -> bool {
        DATABRICKS.supports_numeric_prefix()
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        DATABRICKS.supports_filter_during_aggregation()
    }

    fn supports_group_by_expr(&self) -> bool {
        DATABRICKS.supports_group_by_expr()
    }

    fn supports_table_versioning(&self) -> bool {
        DATABRICKS.supports_table_versioning()
    }

    fn supports_lambda_functions(&self) -> bool {
        DATABRICKS.supports_lambda_functions()
    }

    fn supports_select_wildcard_except(&self) -> bool {
        DATABRICKS.supports_select_wildcard_except()
    }

    fn require_interval_qualifier(&self) -> bool {
        false
    }

    fn supports_interval_options(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn supports_struct_literal(&self) -> bool {
        DATABRICKS.supports_struct_literal()
    }

    fn supports_nested_comments(&self) -> bool {
        DATABRICKS.supports_nested_comments()
    }

    fn supports_group_by_with_modifier(&self) -> bool {
        DATABRICKS.supports_group_by_with_modifier()
    }

    fn supports_values_as_table_factor(&self) -> bool {
        DATABRICKS.supports_values_as_table_factor()
    }

    fn supports_optimize_table(&self) -> bool {
        DATABRICKS.supports_optimize_table()
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_bang_not_operator(&self) -> bool {
        DATABRICKS.supports_bang_not_operator()
    }

    fn supports_map_literal_with_angle_brackets(&self) -> bool {
        true
    }

    /// Every expression begins here.
    fn parse_prefix(&self, _: &mut Parser) -> Option<Result<Expr, ParserError>> {
        (!depth::step()).then_some(Err(ParserError::RecursionLimitExceeded))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        left: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        if !parser.parse_keyword(Keyword::DIV) {
            return like::infix(parser, left);
        }
        let right = parser.parse_subexpr(precedence);
        Some(right.map(|right| Expr::BinaryOp {
            left: Box::new(left.clone()),
            op: BinaryOperator::MyIntegerDivide,
            right: Box::new(right),
        }))
    }

    fn supports_cte_without_as(&self) -> bool {
        DATABRICKS.supports_cte_without_as()
    }

    fn supports_table_sample_before_alias(&self) -> bool {
        true
    }

    fn supports_order_by_all(&self) -> bool {
        true
    }

    /// A query may begin with FROM.
    fn parse_statement(&self, parser: &mut Parser<'_>) -> Option<Result<Statement, ParserError>> {
        let query = is_word(&parser.peek_token_ref().token, "FROM");
        query.then(|| Ok(Statement::Query(parser.parse_query()?)))
    }

    fn supports_from_first_select(&self) -> bool {
        true
    }

    fn supports_pipe_operator(&self) -> bool {
        true
    }

    fn supports_select_item_multi_column_alias(&self) -> bool {
        DATABRICKS.supports_select_item_multi_column_alias()
    }
}

/// Makes a parser over the tokens of `text`.
///
/// # Errors
/// `PARSE_SYNTAX_ERROR` for what is no token, as a literal without an end.
pub fn parser(text: &str) -> Result<Parser<'static>> {
    let parser = Parser::new(&SparkDialect).with_recursion_limit(depth::PARTS_MAX);
    Ok(parser.with_tokens_with_locations(tokens(text)?))
}

/// Numbers the parameter markers of a statement that have no name: `?` becomes `?1`, `?2`, ….
///
/// So a piece of the text says which value a marker in it is for, wherever the piece is read.
///
/// # Errors
/// `PARSE_SYNTAX_ERROR` for what is no token.
pub(crate) fn number_markers(text: &str) -> Result<Cow<'_, str>> {
    if !text.contains('?') {
        return Ok(Cow::Borrowed(text));
    }
    let mut tokenizer = Tokenizer::new(&SparkDialect, text).with_unescape(false);
    let tokens = tokenizer.tokenize_with_location().map_err(ParserError::from)?;
    let places = Places::new(text);
    let is_marker =
        |token: &&TokenWithSpan| matches!(&token.token, Token::Placeholder(marker) if marker == "?");
    let mut numbered = String::with_capacity(text.len());
    let mut rest = 0;
    for (number, marker) in (1_usize..).zip(tokens.iter().filter(is_marker)) {
        let end = places.offset(text, marker.span.end);
        numbered.push_str(text.get(rest..end).unwrap_or_default());
        numbered.push_str(&number.to_string());
        rest = end;
    }
    numbered.push_str(text.get(rest..).unwrap_or_default());
    Ok(Cow::Owned(numbered))
}

/// Counts the parameter markers of a statement that have no name.
///
/// # Errors
/// `PARSE_SYNTAX_ERROR` for what is no token.
pub(crate) fn count_markers(text: &str) -> Result<usize> {
    if !text.contains('?') {
        return Ok(0);
    }
    let mut tokenizer = Tokenizer::new(&SparkDialect, text).with_unescape(false);
    let tokens = tokenizer.tokenize().map_err(ParserError::from)?;
    let is_marker = |token: &&Token| matches!(token, Token::Placeholder(marker) if marker == "?");
    Ok(tokens.iter().filter(is_marker).count())
}

/// Parses statements.
pub(crate) fn statements(text: &str) -> Result<Vec<Statement>> {
    Ok(parser(text)?.parse_statements()?)
}

/// Parses one type and nothing else.
pub(crate) fn data_type(text: &str) -> Result<DataType> {
    let mut parser = parser(text)?;
    let data_type = parser.parse_data_type()?;
    match parser.peek_token().token {
        Token::EOF => Ok(data_type),
        other => Err(Error::parse(format!("`{other}` stands where the type ends"))),
    }
}

/// Parses one expression and nothing else.
pub(crate) fn expression(text: &str) -> Result<Expr> {
    let mut parser = parser(text)?;
    let expression = parser.parse_expr()?;
    match parser.peek_token().token {
        Token::EOF => Ok(expression),
        other => Err(Error::parse(format!(
            "`{other}` stands where the expression ends"
        ))),
    }
}

/// Cuts `text` into tokens, with their places in it.
fn tokens(text: &str) -> Result<Vec<TokenWithSpan>> {
    // Literals raw: sqlparser's escapes are MySQL's.
    let mut tokenizer = Tokenizer::new(&SparkDialect, text).with_unescape(false);
    let tokens = tokenizer.tokenize_with_location().map_err(ParserError::from)?;
    let mut read: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for mut token in tokens {
        let raw = is_literal(&token.token) && read.last().is_some_and(|before| raw_prefix(&before.token));
        if raw && let Some(prefix) = read.pop() {
            token.span.start = prefix.span.start;
        }
        match &mut token.token {
            Token::SingleQuotedString(text) if !raw => *text = unescaped(text, '\''),
            Token::DoubleQuotedString(text) if !raw => *text = unescaped(text, '"'),
            Token::Word(word) if word.quote_style == Some('`') => word.value = word.value.replace("``", "`"),
            // Functions like others: sqlparser wants the digits of these to be a number without a sign.
            Token::Word(word) if matches!(word.keyword, Keyword::CEIL | Keyword::FLOOR) => {
                word.keyword = Keyword::NoKeyword;
            }
            _ => {}
        }
        suffixed_number(&mut read, &mut token);
        read.push(token);
    }
    depth::check(&read)?;
    describe_relations(&mut read);
    time_travel(&mut read);
    intervals(&mut read);
    recursion_levels(&mut read);
    Ok(stream::rewrite(table_query::rewrite(lateral_view::rewrite(read))))
}

/// Makes a number of `1.5d`, `10L` and `1e3D`, which sqlparser takes for names, or for a number and a name.
fn suffixed_number(read: &mut Vec<TokenWithSpan>, token: &mut TokenWithSpan) {
    let Token::Word(word) = &token.token else { return };
    if word.quote_style.is_some()
        || !word
            .value
            .starts_with(|c: char| c == '.' || c.is_ascii_alphanumeric())
    {
        return;
    }
    let digits = match read.last() {
        Some(before) if before.token == Token::Period => return,
        Some(TokenWithSpan {
            token: Token::Number(digits, false),
            ..
        }) => digits.as_str(),
        _ => "",
    };
    let number = format!("{digits}{}", word.value);
    if literal::split(&number).1.is_none() {
        return;
    }
    if !digits.is_empty()
        && let Some(before) = read.pop()
    {
        token.span.start = before.span.start;
    }
    token.token = Token::Number(number, false);
}

/// Makes a call of a function ([`DESCRIBE_RELATION`]) of each `(DESCRIBE HISTORY | DETAIL name [LIMIT n])`, token by
/// token: `(` is the function's name, `DESCRIBE` its `(`, `LIMIT` a comma.
fn describe_relations(tokens: &mut [TokenWithSpan]) {
    let places: Vec<usize> = (0..tokens.len())
        .filter(|place| !matches!(tokens[*place].token, Token::Whitespace(_)))
        .collect();
    for (nth, window) in places.windows(3).enumerate() {
        let [open, describe, what] = *window else { continue };
        let described = ["HISTORY", "DETAIL"]
            .into_iter()
            .find(|word| is_word(&tokens[what].token, word));
        let Some(described) = described else { continue };
        let describes = ["DESCRIBE", "DESC"]
            .iter()
            .any(|word| is_word(&tokens[describe].token, word));
        if tokens[open].token != Token::LParen || !describes {
            continue;
        }
        let function = format!("{DESCRIBE_RELATION}{}", described.to_lowercase());
        tokens[open].token = Token::make_word(&function, None);
        tokens[describe].token = Token::LParen;
        tokens[what].token = Token::Whitespace(Whitespace::Space);
        for place in places.iter().skip(nth + window.len()) {
            match &tokens[*place].token {
                Token::RParen => break,
                token if is_word(token, "LIMIT") => tokens[*place].token = Token::Comma,
                _ => {}
            }
        }
    }
}

/// Makes `VERSION AS OF n` of `[FOR] SYSTEM_VERSION AS OF n`, also where the number is in quotes, and `TIMESTAMP AS OF` of
/// `[FOR] SYSTEM_TIME AS OF`. Source: Spark, `temporalClause`.
fn time_travel(tokens: &mut [TokenWithSpan]) {
    let places: Vec<usize> = (0..tokens.len())
        .filter(|place| !matches!(tokens[*place].token, Token::Whitespace(_)))
        .collect();
    for (nth, window) in places.windows(4).enumerate() {
        let [what, as_word, of, value] = *window else {
            continue;
        };
        let (is_version, is_instant) = (
            ["VERSION", "SYSTEM_VERSION"]
                .iter()
                .any(|word| is_word(&tokens[what].token, word)),
            ["TIMESTAMP", "SYSTEM_TIME"]
                .iter()
                .any(|word| is_word(&tokens[what].token, word)),
        );
        let as_of = is_word(&tokens[as_word].token, "AS") && is_word(&tokens[of].token, "OF");
        // `of` may be what a column is called.
        let named = matches!(
            tokens[value].token,
            Token::Comma | Token::RParen | Token::SemiColon
        ) || is_word(&tokens[value].token, "FROM");
        if !as_of || named || !(is_version || is_instant) {
            continue;
        }
        tokens[what].token = Token::make_word(if is_version { "VERSION" } else { "TIMESTAMP" }, None);
        if let Token::SingleQuotedString(number) = &tokens[value].token
            && is_version
            && !number.is_empty()
            && number.chars().all(|digit| digit.is_ascii_digit())
        {
            tokens[value].token = Token::Number(number.clone(), false);
        }
        let before = nth.checked_sub(1).map(|before| places[before]);
        if let Some(before) = before
            && is_word(&tokens[before].token, "FOR")
        {
            tokens[before].token = Token::Whitespace(Whitespace::Space);
        }
    }
}

/// Makes one text of the numbers and units of an interval that has several: `INTERVAL 3 days 2 hours`. Makes TIMESTAMP
/// of `TIMESTAMP_LTZ` before a literal.
fn intervals(tokens: &mut [TokenWithSpan]) {
    let places: Vec<usize> = (0..tokens.len())
        .filter(|place| !matches!(tokens[*place].token, Token::Whitespace(_)))
        .collect();
    for (nth, place) in places.iter().enumerate() {
        let rest = &places[nth + 1..];
        if is_word(&tokens[*place].token, "TIMESTAMP_LTZ")
            && let Some(next) = rest.first()
            && is_literal(&tokens[*next].token)
        {
            tokens[*place].token = Token::make_word("TIMESTAMP", None);
        }
        if !is_word(&tokens[*place].token, "INTERVAL") {
            continue;
        }
        let before = nth.checked_sub(1).map(|before| places[before]);
        if is_column(
            before.map(|place| &tokens[place].token),
            rest.first().map(|place| &tokens[*place].token),
        ) {
            tokens[*place].token = Token::make_word("interval", Some('`'));
            continue;
        }
        let (mut text, mut units, mut taken) = (String::new(), 0, 0);
        while let Some((part, count)) = unit_of_interval(tokens, &rest[taken..]) {
            text.push_str(&part);
            units += 1;
            taken += count;
        }
        if units < 2 {
            continue;
        }
        for place in &rest[..taken] {
            tokens[*place].token = Token::Whitespace(Whitespace::Space);
        }
        tokens[rest[0]].token = Token::SingleQuotedString(text.trim_end().to_owned());
    }
}

/// Takes away `MAX RECURSION LEVEL n` of `WITH RECURSIVE t MAX RECURSION LEVEL n AS (…)`: a query ends where it gives no
/// more rows, or where its memory does.
fn recursion_levels(tokens: &mut [TokenWithSpan]) {
    let places: Vec<usize> = (0..tokens.len())
        .filter(|place| !matches!(tokens[*place].token, Token::Whitespace(_)))
        .collect();
    for window in places.windows(4) {
        let [max, recursion, level, number] = *window else {
            continue;
        };
        let words = [(max, "MAX"), (recursion, "RECURSION"), (level, "LEVEL")];
        let said = words
            .iter()
            .all(|(place, word)| is_word(&tokens[*place].token, word));
        if said && matches!(tokens[number].token, Token::Number(..)) {
            for place in window {
                tokens[*place].token = Token::Whitespace(Whitespace::Space);
            }
        }
    }
}

/// Says if INTERVAL between two tokens is what a column is called, and begins neither a literal nor a type.
fn is_column(before: Option<&Token>, after: Option<&Token>) -> bool {
    const BEFORE: [&str; 8] = ["SELECT", "DISTINCT", "WHERE", "BY", "AND", "OR", "ON", "HAVING"];
    let expression = match before {
        Some(Token::Comma | Token::LParen | Token::Period) => true,
        Some(token) => BEFORE.iter().any(|word| is_word(token, word)),
        None => false,
    };
    let ends = match after {
        Some(Token::Comma | Token::RParen | Token::Period | Token::Eq | Token::SemiColon) | None => true,
        Some(token) => ["FROM", "AS", "IS", "IN", "ASC", "DESC"]
            .iter()
            .any(|word| is_word(token, word)),
    };
    expression && ends
}

/// Reads a number and its unit, and says how many tokens they are.
fn unit_of_interval(tokens: &[TokenWithSpan], places: &[usize]) -> Option<(String, usize)> {
    const UNITS: [&str; 9] = [
        "YEAR",
        "MONTH",
        "WEEK",
        "DAY",
        "HOUR",
        "MINUTE",
        "SECOND",
        "MILLISECOND",
        "MICROSECOND",
    ];
    let token = |nth: usize| places.get(nth).map(|place| &tokens[*place].token);
    let (sign, after) = match token(0)? {
        Token::Minus => ("-", 1),
        Token::Plus => ("", 1),
        _ => ("", 0),
    };
    let number = match token(after)? {
        Token::Number(number, false) => number.as_str(),
        Token::SingleQuotedString(number) => number.trim(),
        _ => return None,
    };
    let Token::Word(word) = token(after + 1)? else {
        return None;
    };
    let unit = word.value.to_uppercase();
    let known = UNITS.contains(&unit.strip_suffix('S').unwrap_or(&unit));
    known.then(|| (format!("{sign}{number} {unit} "), after + 2))
}

fn is_word(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

fn is_literal(token: &Token) -> bool {
    matches!(token, Token::SingleQuotedString(_) | Token::DoubleQuotedString(_))
}

/// Says if a literal right after `token` is raw, as `r'\d'` is.
fn raw_prefix(token: &Token) -> bool {
    is_word(token, "r")
}

/// Resolves the escapes of a literal between `quote`s. Source: Spark, `ParserUtils.unescapeSQLString`.
pub(crate) fn unescaped(raw: &str, quote: char) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw.chars().peekable();
    while let Some(c) = rest.next() {
        if c == quote {
            rest.next_if_eq(&quote);
            text.push(quote);
        } else if c == '\\' {
            escape(&mut rest, &mut text);
        } else {
            text.push(c);
        }
    }
    text
}

/// Reads what follows a backslash.
fn escape(rest: &mut Peekable<Chars<'_>>, text: &mut String) {
    let coded = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let ahead = |count: usize| rest.clone().take(count).collect::<String>();
    let hexadecimal = |digits: &str, count: usize| {
        digits.len() == count && digits.chars().all(|digit| digit.is_ascii_hexdigit())
    };
    for (mark, count) in [('u', 4), ('U', 8)] {
        let digits: String = ahead(count + 1);
        if let Some(digits) = digits.strip_prefix(mark)
            && hexadecimal(digits, count)
            && let Some(c) = coded(digits, 16)
        {
            text.push(c);
            rest.nth(count);
            return;
        }
    }
    let octal = ahead(3);
    let mut digits = octal.chars();
    let octal_code = matches!(digits.next(), Some('0' | '1'))
        && octal.len() == 3
        && digits.all(|digit| ('0'..='7').contains(&digit));
    if octal_code && let Some(c) = coded(&octal, 8) {
        text.push(c);
        rest.nth(2);
        return;
    }
    match rest.next() {
        Some('0') => text.push('\0'),
        Some('b') => text.push('\u{8}'),
        Some('n') => text.push('\n'),
        Some('r') => text.push('\r'),
        Some('t') => text.push('\t'),
        Some('Z') => text.push('\u{1a}'),
        // Left to LIKE.
        Some(wildcard @ ('%' | '_')) => text.extend(['\\', wildcard]),
        Some(other) => text.push(other),
        None => text.push('\\'),
    }
}

/// Finds places of tokens in a text: sqlparser counts lines and characters from 1.
#[derive(Debug)]
pub(crate) struct Places {
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

impl Places {
    pub fn new(text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        Self {
            lines: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// Returns the byte of `text` at `location`; the end of the text for a place that is not in it.
    pub fn offset(&self, text: &str, location: Location) -> usize {
        let place = |number: u64| usize::try_from(number).ok()?.checked_sub(1);
        let found = place(location.line).and_then(|line| {
            let start = *self.lines.get(line)?;
            let characters = place(location.column)?;
            let rest = text.get(start..)?;
            let within = rest.char_indices().nth(characters).map(|(at, _)| at);
            Some(start + within.unwrap_or(rest.len()))
        });
        found.unwrap_or(text.len())
    }
}

/// Writes a name so that it is read as it is.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(r"'a''b'", "a'b")]
    #[test_case(r"'a\'b'", "a'b")]
    #[test_case(r"'a\\'", r"a\")]
    #[test_case(r"'\\d+\n'", "\\d+\n")]
    #[test_case(r"'50\%\_'", r"50\%\_")]
    #[test_case(r"'\u00e9\101\q'", "éAq")]
    #[test_case(r"'\u12'", "u12"; "no code")]
    #[test_case(r"r'\d\n'", r"\d\n"; "raw")]
    #[test_case(r#""it's""#, "it's"; "double quotes")]
    #[test_case(r#""a""b""#, r#"a"b"#; "doubled double quotes")]
    fn literals_are_read_as_spark_reads_them(text: &str, expected: &str) {
        let tokens = tokens(text).expect("tokens");
        match tokens.as_slice() {
            [token] => match &token.token {
                Token::SingleQuotedString(read) | Token::DoubleQuotedString(read) => {
                    assert_eq!(read, expected);
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_expression_is_all_there_is() {
        assert!(expression("a = 'x;y'").is_ok());
        assert!(expression("a = 1; DROP TABLE t").is_err());
        assert!(expression("a = 'x").is_err());
    }

    #[test]
    fn places_are_found_across_lines_and_wide_characters() {
        let text = "é 'x\ny' b\n c";
        let places = Places::new(text);
        let found: Vec<&str> = tokens(text)
            .expect("tokens")
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_)))
            .map(|token| &text[places.offset(text, token.span.start)..places.offset(text, token.span.end)])
            .collect();
        assert_eq!(found, ["é", "'x\ny'", "b", "c"]);
    }
}
