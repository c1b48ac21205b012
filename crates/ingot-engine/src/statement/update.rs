//! `UPDATE name [[AS] alias] SET column = value, … [WHERE condition]`; run by [`crate::dml`].

use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_delta::Operation;
use serde_json::json;

use super::cursor::Cursor;
use super::delete::{condition, target};
use super::{Work, counts};
use crate::dml::{Assignment, NewValue, RowStatement};
use crate::resolve::parts;
use crate::{Result, Session};

/// Parses the statement. It has committed when its work is done.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let (table, target) = target(session, cursor, "SET")?;
    cursor.expect("SET")?;
    let assignments = assignments(cursor)?;
    let predicate = condition(cursor)?;
    cursor.end()?;
    Ok(Work::writes(async move {
        let (table, filtered) = table.open_to_change(session, true).await?;
        let texts: Vec<&str> = predicate
            .iter()
            .map(|predicate| predicate.text.as_str())
            .collect();
        let statement = RowStatement {
            session,
            table: &table,
            operation: Operation::new("UPDATE").with("predicate", json!(texts).to_string()),
            target,
            filtered,
            predicate,
            assignments: Some(assignments),
        };
        let done = statement.run().await?;
        counts(&[("num_affected_rows", done.rows_gone)])
    }))
}

/// Takes `a = value, t.b.c = DEFAULT`.
fn assignments(cursor: &mut Cursor<'_>) -> Result<Vec<Assignment>> {
    let mut assignments = Vec::new();
    loop {
        let name = parts(&cursor.object_name()?)?;
        cursor.expect_token(&Token::Eq)?;
        let value = match cursor.accept("DEFAULT") {
            true => NewValue::Default,
            false => NewValue::Expression(Box::new(cursor.expression()?.0)),
        };
        assignments.push(Assignment { name, value });
        if !cursor.accept_token(&Token::Comma) {
            return Ok(assignments);
        }
    }
}
