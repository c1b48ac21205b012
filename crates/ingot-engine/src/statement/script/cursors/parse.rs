//! How the statements of cursors are read.

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::Kind;

use super::super::Step;
use super::{Argument, CursorName, condition};
use crate::statement::cursor::Cursor;
use crate::statement::{parse_query, variable};
use crate::{Error, Result, resolve};

/// What may stand after the query of a cursor, which reads in any case.
const READ_ONLY: [&str; 3] = ["FOR", "READ", "ONLY"];

/// Takes `[ASENSITIVE | INSENSITIVE] CURSOR` if that comes next. A cursor reads what was there when it was opened,
/// whichever it is.
pub fn accept_cursor(cursor: &mut Cursor<'_>) -> bool {
    let sensitivities = [
        &["CURSOR"][..],
        &["ASENSITIVE", "CURSOR"],
        &["INSENSITIVE", "CURSOR"],
    ];
    sensitivities.iter().any(|words| cursor.accept_all(words))
}

/// Takes `FOR query [FOR READ ONLY]` of a declaration, and returns the query as the text has it.
///
/// # Errors
/// `PARSE_SYNTAX_ERROR`.
pub fn query(cursor: &mut Cursor<'_>) -> Result<String> {
    cursor.expect("FOR")?;
    let query = cursor
        .statement_until(|cursor| cursor.at_all(&READ_ONLY))?
        .to_owned();
    let Statement::Query(_) = parse_query(&query)? else {
        return Err(Error::parse(format!("a cursor is for a query: {query}")));
    };
    let _ = cursor.accept_all(&READ_ONLY);
    Ok(query)
}

/// Takes what follows OPEN: `name [USING value [AS name], …]`, with the values in parentheses or not.
pub fn open(cursor: &mut Cursor<'_>) -> Result<Step> {
    let name = name(cursor)?;
    let using = match cursor.accept("USING") {
        true => arguments(cursor.statement_until(|_| false)?)?,
        false => Vec::new(),
    };
    Ok(Step::Open { cursor: name, using })
}

/// Takes what follows FETCH: `[[NEXT] FROM] name INTO variable, …`.
pub fn fetch(cursor: &mut Cursor<'_>) -> Result<Step> {
    let _ = cursor.accept_all(&["NEXT", "FROM"]) || cursor.accept("FROM");
    let name = name(cursor)?;
    cursor.expect("INTO")?;
    let mut into = vec![variable::name(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        into.push(variable::name(cursor)?);
    }
    Ok(Step::Fetch { cursor: name, into })
}

/// Takes what follows CLOSE.
pub fn close(cursor: &mut Cursor<'_>) -> Result<Step> {
    name(cursor).map(Step::Close)
}

/// Makes the error of a cursor that is declared after a handler or a statement.
pub fn misplaced() -> Error {
    condition(
        Kind::InvalidArgument,
        "INVALID_CURSOR_DECLARATION",
        "42601",
        "cursors are declared after variables and conditions, and before handlers and statements".to_owned(),
    )
}

/// Makes the error of a statement that is of cursors and in no script; `None` for another statement. The text is what
/// `cursor` stands at the beginning of.
pub fn outside(cursor: &Cursor<'_>, text: &str) -> Option<Error> {
    let of_cursor = match cursor.at("DECLARE") {
        true => {
            let mut cursor = Cursor::new(text).ok()?;
            cursor.accept("DECLARE") && cursor.object_name().is_ok() && accept_cursor(&mut cursor)
        }
        false => ["OPEN", "FETCH", "CLOSE"].iter().any(|word| cursor.at(word)),
    };
    of_cursor.then(|| {
        condition(
            Kind::InvalidArgument,
            "CURSOR_OUTSIDE_SCRIPT",
            "0A000",
            "cursors stand in scripts: BEGIN … END".to_owned(),
        )
    })
}

fn name(cursor: &mut Cursor<'_>) -> Result<CursorName> {
    CursorName::of(&resolve::parts(&cursor.object_name()?)?)
}

/// Reads the values of USING. What begins with a parenthesis may be a list or an expression.
fn arguments(text: &str) -> Result<Vec<Argument>> {
    let mut cursor = Cursor::new(text)?;
    if cursor.at_token(&Token::LParen)
        && let Ok(arguments) = cursor.in_parentheses(argument)
        && cursor.at_end()
    {
        return Ok(arguments);
    }
    let mut cursor = Cursor::new(text)?;
    let mut arguments = vec![argument(&mut cursor)?];
    while cursor.accept_token(&Token::Comma) {
        arguments.push(argument(&mut cursor)?);
    }
    cursor.end()?;
    Ok(arguments)
}

fn argument(cursor: &mut Cursor<'_>) -> Result<Argument> {
    let value = cursor.expression_text()?.to_owned();
    let name = cursor.alias(&[])?;
    Ok(Argument { value, name })
}
