//! CHECK constraints: `ADD CONSTRAINT`, `DROP CONSTRAINT`.

use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::Need;
use ingot_common::TableName;
use ingot_delta::Operation;

use super::super::cursor::Cursor;
use super::super::{Work, column};
use super::columns::rows_of;
use super::{Change, open};
use crate::resources::reading;
use crate::write::rules::CONSTRAINT_PREFIX;
use crate::write::rules::definition::{check_constraint, refused};
use crate::{Result, Session};

/// `ADD CONSTRAINT name CHECK (expression)`. Rows that are there are checked.
pub(super) fn add<'a>(session: &'a Session, cursor: &mut Cursor<'_>, name: TableName) -> Result<Work<'a>> {
    let constraint = cursor.name()?;
    if !cursor.accept("CHECK") {
        return Err(column::no_constraint(&format!("constraint `{constraint}`")));
    }
    cursor.expect_token(&Token::LParen)?;
    let text = cursor.expression_text()?.to_owned();
    cursor.expect_token(&Token::RParen)?;
    cursor.end()?;
    Ok(Work::writes(async move {
        let altered = open(session, &name, Need::Manage).await?;
        let key = format!("{CONSTRAINT_PREFIX}{}", constraint.to_lowercase());
        if let Some(old) = altered.snapshot.properties().get(&key) {
            return Err(refused(
                "DELTA_CONSTRAINT_ALREADY_EXISTS",
                "42710",
                format!(
                    "constraint '{constraint}' already exists. Please delete the old constraint first. Old \
                     constraint: {old}"
                ),
            ));
        }
        let (state, _) = rows_of(session, &altered)?.into_parts();
        let condition = check_constraint(&state, &constraint, &text, altered.snapshot.schema())?;
        // Null breaks a constraint as false does.
        let broken = rows_of(session, &altered)?.filter(condition.is_not_true())?;
        let broken = reading(async { Ok(broken.count().await?) }).await?;
        if broken > 0 {
            return Err(refused(
                "DELTA_NEW_CHECK_CONSTRAINT_VIOLATION",
                "23512",
                format!("{broken} rows in {name} violate the new CHECK constraint ({text})"),
            ));
        }
        let mut metadata = altered.snapshot.metadata().clone();
        metadata.configuration.insert(key, text.clone());
        let operation = Operation::new("ADD CONSTRAINT")
            .with("name", constraint)
            .with("expr", text);
        let mut change = Change::new(metadata, operation);
        change.reads_rows = true;
        altered.commit(session, change).await
    }))
}

/// `DROP CONSTRAINT [IF EXISTS] name [RESTRICT | CASCADE]`.
pub(super) fn drop_constraint<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: TableName,
) -> Result<Work<'a>> {
    let if_exists = cursor.if_exists();
    let constraint = cursor.name()?;
    if !cursor.accept("RESTRICT") {
        cursor.accept("CASCADE");
    }
    cursor.end()?;
    Ok(Work::writes(async move {
        let altered = open(session, &name, Need::Manage).await?;
        let mut metadata = altered.snapshot.metadata().clone();
        let key = format!("{CONSTRAINT_PREFIX}{}", constraint.to_lowercase());
        let mut operation = Operation::new("DROP CONSTRAINT").with("name", constraint.clone());
        operation = match metadata.configuration.remove(&key) {
            Some(text) => operation.with("expr", text).with("existed", "true"),
            None if if_exists => operation.with("existed", "false"),
            None => {
                return Err(refused(
                    "DELTA_CONSTRAINT_DOES_NOT_EXIST",
                    "42704",
                    format!(
                        "cannot drop nonexistent constraint `{constraint}` from table {name}. To avoid the error, \
                         say IF EXISTS"
                    ),
                ));
            }
        };
        altered.commit(session, Change::new(metadata, operation)).await
    }))
}
