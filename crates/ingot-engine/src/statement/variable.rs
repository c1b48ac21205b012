//! Variables of the session: `DECLARE`, `SET VAR`, `DROP TEMPORARY VARIABLE`.
//!
//! Source: Databricks, `DECLARE VARIABLE`, `SET VARIABLE`, `DROP VARIABLE`.

use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr, Statement, Value};
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::Kind;

use super::cursor::Cursor;
use super::light::is_light;
use super::{Work, done};
use crate::resolve::{self, Reads, constant, rows_of};
use crate::session::{SESSION, Variable, VariableName, unresolved};
use crate::{Error, Result, Session};

/// `DECLARE [OR REPLACE] [VARIABLE] x [, …] [type] [{DEFAULT | =} expression]`.
pub(super) fn declare<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let replace = cursor.accept_all(&["OR", "REPLACE"]);
    cursor.accept("VARIABLE");
    let mut names = vec![session_name(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        names.push(session_name(cursor)?);
    }
    let valued = |cursor: &Cursor<'_>| cursor.at("DEFAULT") || cursor.at_token(&Token::Eq);
    let sql_type = match valued(cursor) || cursor.at_end() {
        true => None,
        false => Some(cursor.data_type()?),
    };
    let mut default = Expr::value(Value::Null);
    if cursor.accept("DEFAULT") || cursor.accept_token(&Token::Eq) {
        default = cursor.expression()?.0;
    } else if sql_type.is_none() {
        return Err(cursor.expected("a type or DEFAULT"));
    }
    cursor.end()?;
    Ok(Work::queries(is_light(session, &default), async move {
        let value = constant(session, default, sql_type.clone()).await?;
        let mut values = session.values();
        for name in &names {
            let variable = Variable {
                data_type: value.data_type(),
                default: value.clone(),
                value: value.clone(),
                sql_type: sql_type.clone(),
            };
            values.declare(name, variable, replace)?;
        }
        done()
    }))
}

/// `SET {VAR | VARIABLE} x = {expression | DEFAULT} [, …]`, `SET VAR (x, …) = (query)`.
pub(super) fn set<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    if cursor.at_token(&Token::LParen) {
        let names = cursor.in_parentheses(name)?;
        cursor.expect_token(&Token::Eq)?;
        cursor.expect_token(&Token::LParen)?;
        let query = cursor.query()?;
        cursor.expect_token(&Token::RParen)?;
        cursor.end()?;
        return Ok(Work::queries(is_light(session, &query), async move {
            assign(session, &names, query).await?;
            done()
        }));
    }
    let mut assignments = Vec::new();
    loop {
        let name = name(cursor)?;
        cursor.expect_token(&Token::Eq)?;
        let value = match cursor.accept("DEFAULT") {
            true => None,
            false => Some(cursor.expression()?.0),
        };
        assignments.push((name, value));
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.end()?;
    let mut values = assignments.iter().filter_map(|(_, value)| value.as_ref());
    let light = values.all(|value| is_light(session, value));
    Ok(Work::queries(light, async move {
        let mut set = Vec::new();
        for (name, value) in assignments {
            let variable = session.values().find(&name).cloned();
            let variable = variable.ok_or_else(|| unresolved(&name))?;
            let value = match value {
                None => variable.default,
                Some(value) => converted(session, value, &variable).await?,
            };
            set.push((name, value));
        }
        let mut values = session.values();
        for (name, value) in set {
            values.set(&name, value)?;
        }
        done()
    }))
}

/// `DROP TEMPORARY {VAR | VARIABLE} [IF EXISTS] x`.
pub(super) fn drop<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let if_exists = cursor.if_exists();
    let name = session_name(cursor)?;
    cursor.end()?;
    Ok(Work::reads(async move {
        match session.values().remove(&name) || if_exists {
            true => done(),
            false => Err(Error::Condition {
                kind: Kind::NotFound,
                condition: "VARIABLE_NOT_FOUND",
                sqlstate: "42883",
                message: format!("the session has no variable `{name}`"),
            }),
        }
    }))
}

/// Sets variables to the values of the row of a query; to null where it has none.
///
/// # Errors
/// `ROW_SUBQUERY_TOO_MANY_ROWS`; `ASSIGNMENT_ARITY_MISMATCH`.
pub(super) async fn assign(session: &Session, names: &[VariableName], query: Statement) -> Result<()> {
    let rows = resolve::plan(session, query, &session.namespace(), &Reads::default()).await?;
    let row = rows_of(rows, 2).await?;
    if row.len() > 1 {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "ROW_SUBQUERY_TOO_MANY_ROWS",
            sqlstate: "21000",
            message: "the query that sets variables gives more than one row".to_owned(),
        });
    }
    let row = row.into_iter().next();
    let row = row.unwrap_or_else(|| vec![ScalarValue::Null; names.len()]);
    if row.len() != names.len() {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "ASSIGNMENT_ARITY_MISMATCH",
            sqlstate: "42802",
            message: format!("{} variables are set to {} values", names.len(), row.len()),
        });
    }
    for (name, value) in names.iter().zip(row) {
        assign_value(session, name, resolve::literal(&value)?).await?;
    }
    Ok(())
}

/// Sets a variable to the value of an expression.
///
/// # Errors
/// `UNRESOLVED_VARIABLE`; what is wrong with the value.
pub(super) async fn assign_value(session: &Session, name: &VariableName, value: Expr) -> Result<()> {
    let variable = session.values().find(name).cloned();
    let variable = variable.ok_or_else(|| unresolved(name))?;
    let value = converted(session, value, &variable).await?;
    session.values().set(name, value)
}

async fn converted(session: &Session, value: Expr, variable: &Variable) -> Result<ScalarValue> {
    let value = constant(session, value, variable.sql_type.clone()).await?;
    Ok(value.cast_to(&variable.data_type)?)
}

/// Takes the name of a variable, which may stand in `session`, in `system.session`, or in a label's scope.
pub(super) fn name(cursor: &mut Cursor<'_>) -> Result<VariableName> {
    let parts = resolve::parts(&cursor.object_name()?)?;
    VariableName::of(&parts).ok_or_else(qualified)
}

/// Takes the name of a variable of the session.
fn session_name(cursor: &mut Cursor<'_>) -> Result<String> {
    let name = name(cursor)?;
    match name.scope.as_deref() {
        None | Some(SESSION) => Ok(name.name),
        Some(_) => Err(qualified()),
    }
}

fn qualified() -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INVALID_VARIABLE_DECLARATION.QUALIFIED_LOCAL_VARIABLE",
        sqlstate: "42K0M",
        message: "a variable is in the schema `session`".to_owned(),
    }
}
