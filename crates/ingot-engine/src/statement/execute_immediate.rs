//! `EXECUTE IMMEDIATE text [INTO x, …] [USING value [AS name], …]`.
//!
//! Source: Databricks, `EXECUTE IMMEDIATE`.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::Kind;

use super::cursor::Cursor;
use super::light::is_light;
use super::{Answer, Work, done, variable};
use crate::session::{Parameters, VariableName};
use crate::{Error, Result, Session};

/// Parses the statement.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let text = cursor.expression()?.0;
    let mut into = Vec::new();
    if cursor.accept("INTO") {
        into.push(variable::name(cursor)?);
        while cursor.accept_token(&Token::Comma) {
            into.push(variable::name(cursor)?);
        }
    }
    let mut using = Vec::new();
    if cursor.accept("USING") {
        using = match cursor.at_token(&Token::LParen) {
            true => cursor.in_parentheses(argument)?,
            false => {
                let mut using = vec![argument(cursor)?];
                while cursor.accept_token(&Token::Comma) {
                    using.push(argument(cursor)?);
                }
                using
            }
        };
    }
    cursor.end()?;
    Ok(Work::runs(async move {
        let mut parameters = Parameters::default();
        for (value, name) in using {
            let value = super::value_of(session, value, None).await?;
            match name {
                Some(name) => drop(parameters.named.insert(name.to_lowercase(), value)),
                None => parameters.positional.push(value),
            }
        }
        let text = super::value_of(session, text, None).await?;
        let Some(Some(text)) = text.try_as_str() else {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "NULL_QUERY_STRING_EXECUTE_IMMEDIATE",
                sqlstate: "22004",
                message: "EXECUTE IMMEDIATE takes a text that is not null".to_owned(),
            });
        };
        if Cursor::new(text)?.accept_all(&["EXECUTE", "IMMEDIATE"]) {
            // A text in a variable could run itself without end.
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "NESTED_EXECUTE_IMMEDIATE",
                sqlstate: "07501",
                message: "EXECUTE IMMEDIATE does not run another; run the text of that one".to_owned(),
            });
        }
        if Cursor::new(text)?.at("BEGIN") {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "SQL_SCRIPT_IN_EXECUTE_IMMEDIATE",
                sqlstate: "07501",
                message: "EXECUTE IMMEDIATE runs a statement, not a script".to_owned(),
            });
        }
        run(session, text.to_owned(), into, parameters).await
    }))
}

/// Takes a value of USING, and its name if it has one.
fn argument(cursor: &mut Cursor<'_>) -> Result<(Expr, Option<String>)> {
    let value = cursor.expression()?.0;
    let name = cursor.alias(&[])?;
    Ok((value, name))
}

/// Runs the text with the parameters; those of the statement around are back afterwards.
async fn run(
    session: &Session,
    text: String,
    into: Vec<VariableName>,
    parameters: Parameters,
) -> Result<Answer> {
    let before = std::mem::replace(&mut session.values().parameters, parameters);
    let outcome = match into.is_empty() {
        true => Box::pin(super::answer(session, &text)).await,
        false => assigned(session, &text, &into).await,
    };
    session.values().parameters = before;
    outcome
}

async fn assigned(session: &Session, text: &str, into: &[VariableName]) -> Result<Answer> {
    let query = super::parse_query(text).map_err(|_| Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INVALID_STATEMENT_FOR_EXECUTE_INTO",
        sqlstate: "07501",
        message: "EXECUTE IMMEDIATE … INTO runs a query".to_owned(),
    })?;
    let light = is_light(session, &query);
    super::read_part(session, light, variable::assign(session, into, query)).await?;
    Ok(Answer {
        result: done()?,
        shown: false,
    })
}
