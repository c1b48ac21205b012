//! `ANALYZE TABLE`: statistics are written with each file, so there is nothing to compute.
//!
//! Source: Databricks, `ANALYZE TABLE … COMPUTE STATISTICS`.

use ingot_common::Kind;
use ingot_common::port::StatementResult;

use super::cursor::Cursor;
use super::{Work, done};
use crate::access::{self, SELECT};
use crate::{Error, Result, Session};

/// Parses what follows ANALYZE.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    if cursor.accept("TABLES") {
        if cursor.accept("IN") || cursor.accept("FROM") {
            super::namespace::schema_name(session, &cursor.object_name()?)?;
        }
        compute(cursor)?;
        cursor.end()?;
        return Ok(Work::reads(async { done() }));
    }
    cursor.expect("TABLE")?;
    let name = cursor.table_name(session)?;
    if cursor.accept("PARTITION") {
        cursor.in_parentheses(|cursor| cursor.expression_text().map(str::to_owned))?;
    }
    let columns = compute(cursor)?;
    cursor.end()?;
    Ok(Work::reads(async move {
        let info = access::table(session, &name, SELECT).await?;
        session.open(&info).await?;
        let unknown = columns.iter().find(|column| {
            let mut known = info.columns.iter();
            !known.any(|known| known.name.eq_ignore_ascii_case(column))
        });
        checked(unknown)
    }))
}

fn checked(unknown: Option<&String>) -> Result<StatementResult> {
    match unknown {
        None => done(),
        Some(column) => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "COLUMN_NOT_FOUND",
            sqlstate: "42703",
            message: format!("the column `{column}` cannot be found"),
        }),
    }
}

/// Takes `COMPUTE [DELTA] STATISTICS [NOSCAN | FOR COLUMNS a, b | FOR ALL COLUMNS]`, and returns the columns.
fn compute(cursor: &mut Cursor<'_>) -> Result<Vec<String>> {
    cursor.expect("COMPUTE")?;
    let _ = cursor.accept("DELTA");
    cursor.expect("STATISTICS")?;
    if cursor.accept("NOSCAN") || cursor.accept_all(&["FOR", "ALL", "COLUMNS"]) {
        return Ok(Vec::new());
    }
    let mut columns = Vec::new();
    if cursor.accept_all(&["FOR", "COLUMNS"]) {
        columns.push(cursor.name()?);
        while cursor.accept_token(&datafusion::sql::sqlparser::tokenizer::Token::Comma) {
            columns.push(cursor.name()?);
        }
    }
    Ok(columns)
}
