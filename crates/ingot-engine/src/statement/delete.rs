//! `DELETE FROM name [[AS] alias] [WHERE condition]` and `TRUNCATE TABLE name`; run by [`crate::dml`].

use ingot_common::Kind;
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
    Ok(deletion(session, table, name, predicate, operation))
}

/// Parses the statement. It has committed when its work is done.
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
    let name = TargetName::new(table.name_parts());
    let operation = Operation::new("TRUNCATE");
    Ok(deletion(session, table, name, None, operation))
}

fn deletion(
    session: &Session,
    table: Target,
    target: TargetName,
    predicate: Option<Predicate>,
    operation: Operation,
) -> Work<'_> {
    Work::writes(async move {
        let act = match predicate {
            Some(_) => Act::Change,
            None => Act::Add,
        };
        let table = table.open(session, act).await?;
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
