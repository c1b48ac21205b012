//! `DELETE FROM name [[AS] alias] [WHERE condition]` and `TRUNCATE TABLE name`; run by [`crate::dml`].

use ingot_common::Kind;
use ingot_delta::Operation;
use serde_json::json;

use super::cursor::Cursor;
use super::{Work, counts};
use crate::dml::{Predicate, RowStatement, TargetName};
use crate::{Error, Result, Session};

/// Parses the statement. It has committed when its work is done.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    cursor.expect("FROM")?;
    let target = target(session, cursor, "WHERE")?;
    let predicate = condition(cursor)?;
    cursor.end()?;
    let texts: Vec<&str> = predicate
        .iter()
        .map(|predicate| predicate.text.as_str())
        .collect();
    let operation = Operation::new("DELETE").with("predicate", json!(texts).to_string());
    Ok(deletion(session, target, predicate, operation))
}

/// Parses the statement. It has committed when its work is done.
pub(super) fn parse_truncate<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    cursor.expect("TABLE")?;
    let table = cursor.table_name(session)?;
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
    let target = TargetName { table, alias: None };
    Ok(deletion(session, target, None, Operation::new("TRUNCATE")))
}

fn deletion(
    session: &Session,
    target: TargetName,
    predicate: Option<Predicate>,
    operation: Operation,
) -> Work<'_> {
    Work::writes(async move {
        let (_, table) = session.open_table(&target.table).await?;
        let statement = RowStatement {
            session,
            table: &table,
            target,
            predicate,
            operation,
            assignments: None,
        };
        let done = statement.run().await?;
        counts(&[("num_affected_rows", done.rows_gone)])
    })
}

/// Takes the target's name and alias; `end` is the word that comes after them.
pub(super) fn target(session: &Session, cursor: &mut Cursor<'_>, end: &str) -> Result<TargetName> {
    let table = cursor.table_name(session)?;
    let alias = match cursor.accept("AS") || !(cursor.at_end() || cursor.at(end)) {
        true => Some(cursor.name()?),
        false => None,
    };
    Ok(TargetName { table, alias })
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
