//! `DELETE FROM name [[AS] alias] [WHERE condition]` and `TRUNCATE TABLE name`; run by [`crate::dml`].

use ingot_common::Kind;
use ingot_common::port::StatementResult;
use ingot_delta::Operation;
use serde_json::json;

use super::cursor::Cursor;
use super::target::{Act, Target};
use super::{Work, counts};
use crate::dml::{Predicate, RowStatement, TargetName};
use crate::{Error, Result, Session};

/// Parses the statement. It has committed when its work is done.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    cursor.expect("FROM")?;
    let (table, name) = target(session, cursor, "WHERE")?;
    let predicate = condition(cursor)?;
    cursor.end()?;
    let texts: Vec<&str> = predicate
        .iter()
        .map(|predicate| predicate.text.as_str())
        .collect();
    let operation = Operation::new("DELETE").with("predicate", json!(texts).to_string());
    Ok(Work::writes(async move {
        let (opened, filtered) = table.open_to_change(session, predicate.is_some()).await?;
        let statement = RowStatement {
            session,
            table: &opened,
            target: name,
            filtered,
            predicate,
            operation,
            assignments: None,
        };
        deleted(statement).await
    }))
}

/// Parses the statement, which takes all rows, shown or not. It has committed when its work is done.
pub(super) fn parse_truncate<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    cursor.expect("TABLE")?;
    let table = Target::parse(session, cursor)?;
    if cursor.at("PARTITION") {
        return Err(Error::Condition {
            kind: Kind::Unsupported,
            condition: "DELTA_TRUNCATE_TABLE_PARTITION_NOT_SUPPORTED",
            sqlstate: "0AKDC",
            message: "TRUNCATE TABLE of a partition is not supported\nhint: DELETE FROM … WHERE with a condition on \
                      the partition columns reads no file either"
                .to_owned(),
        });
    }
    cursor.end()?;
    Ok(Work::writes(async move {
        let opened = table.open(session, Act::Add).await?;
        let statement = RowStatement {
            session,
            table: &opened,
            target: TargetName::new(table.name_parts()),
            filtered: None,
            predicate: None,
            operation: Operation::new("TRUNCATE"),
            assignments: None,
        };
        deleted(statement).await
    }))
}

async fn deleted(statement: RowStatement<'_>) -> Result<StatementResult> {
    let done = statement.run().await?;
    counts(&[("num_affected_rows", done.rows_gone)])
}

/// Takes the target, and the name that it goes by: `end` is the word that comes after an alias.
pub(super) fn target(session: &Session, cursor: &mut Cursor<'_>, end: &str) -> Result<(Target, TargetName)> {
    let table = Target::parse(session, cursor)?;
    let name = match cursor.accept("AS") || !(cursor.at_end() || cursor.at(end)) {
        true => TargetName::new([cursor.name()?]),
        false => TargetName::new(table.name_parts()),
    };
    Ok((table, name))
}

/// Takes `[WHERE condition]`.
pub(super) fn condition(cursor: &mut Cursor<'_>) -> Result<Option<Predicate>> {
    if !cursor.accept("WHERE") {
        return Ok(None);
    }
    let (expression, text) = cursor.expression()?;
    Ok(Some(Predicate {
        text: text.to_owned(),
        expression,
    }))
}
