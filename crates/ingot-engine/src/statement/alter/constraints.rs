//! Constraints: `ADD CONSTRAINT`, `DROP CONSTRAINT | PRIMARY KEY | FOREIGN KEY`.
//!
//! A CHECK constraint is the table's, in its log, and holds for all of its rows. Keys are the metastore's, and nothing
//! enforces them. Source: Databricks, "ADD CONSTRAINT clause", "DROP CONSTRAINT clause".

use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::{ConstraintChoice, Key, Need, TableConstraint, TableInfo};
use ingot_common::TableName;
use ingot_common::port::StatementResult;
use ingot_delta::Operation;

use super::super::cursor::Cursor;
use super::super::{Work, done, key};
use super::columns::rows_of;
use super::{Altered, Change, open};
use crate::resources::reading;
use crate::write::rules::CONSTRAINT_PREFIX;
use crate::write::rules::definition::{check_constraint, refused};
use crate::{Error, Result, Session, access};

/// `[CONSTRAINT name] PRIMARY KEY … | FOREIGN KEY …`, and `CONSTRAINT name CHECK (expression)`.
pub(super) fn add<'a>(session: &'a Session, cursor: &mut Cursor<'_>, name: TableName) -> Result<Work<'a>> {
    let constraint = match cursor.accept("CONSTRAINT") {
        true => Some(cursor.name()?),
        false => None,
    };
    match constraint {
        Some(constraint) if cursor.accept("CHECK") => add_check(session, cursor, name, constraint),
        constraint => add_key(session, cursor, name, constraint),
    }
}

fn add_key<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: TableName,
    constraint: Option<String>,
) -> Result<Work<'a>> {
    let key = key::named_key(session, cursor, constraint)?;
    cursor.end()?;
    Ok(Work::defines(async move {
        // A view has no keys.
        let altered = open(session, &name, Need::Manage).await?;
        access::check_parents(session, &name, std::slice::from_ref(&key)).await?;
        let metastore = session.engine().metastore();
        metastore.add_constraint(altered.info.id, &key).await?;
        done()
    }))
}

/// Rows that are there are checked.
fn add_check<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: TableName,
    constraint: String,
) -> Result<Work<'a>> {
    cursor.expect_token(&Token::LParen)?;
    let text = cursor.expression_text()?.to_owned();
    cursor.expect_token(&Token::RParen)?;
    cursor.accept("ENFORCED");
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

/// Takes `DROP CONSTRAINT [IF EXISTS] name [RESTRICT | CASCADE]`, `DROP PRIMARY KEY [IF EXISTS] [RESTRICT | CASCADE]` or
/// `DROP FOREIGN KEY [IF EXISTS] (columns)`, if one of them comes next.
pub(super) fn drop<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: &TableName,
) -> Result<Option<Work<'a>>> {
    let choice: fn(&mut Cursor<'_>) -> Result<ConstraintChoice> =
        if cursor.accept_all(&["DROP", "CONSTRAINT"]) {
            |cursor| cursor.name().map(ConstraintChoice::Named)
        } else if cursor.accept_all(&["DROP", "PRIMARY", "KEY"]) {
            |_| Ok(ConstraintChoice::Primary)
        } else if cursor.accept_all(&["DROP", "FOREIGN", "KEY"]) {
            |cursor| cursor.names_in_parentheses().map(ConstraintChoice::Foreign)
        } else {
            return Ok(None);
        };
    let if_exists = cursor.if_exists();
    let choice = choice(cursor)?;
    let cascade = !cursor.accept("RESTRICT") && cursor.accept("CASCADE");
    cursor.end()?;
    let name = name.clone();
    Ok(Some(Work::writes(async move {
        let altered = open(session, &name, Need::Manage).await?;
        let metastore = session.engine().metastore();
        let dropped = metastore
            .drop_constraint(altered.info.id, &choice, cascade)
            .await?;
        match (dropped, choice) {
            (Some(_), _) => done(),
            (None, ConstraintChoice::Named(constraint)) => {
                drop_check(session, altered, constraint, if_exists).await
            }
            (None, _) if if_exists => done(),
            (None, choice) => Err(refused(
                "CONSTRAINT_DOES_NOT_EXIST",
                "42704",
                format!(
                    "table {name} has no {}; to avoid the error, say IF EXISTS",
                    text(&choice)
                ),
            )),
        }
    })))
}

fn text(choice: &ConstraintChoice) -> String {
    match choice {
        ConstraintChoice::Named(name) => format!("constraint `{name}`"),
        ConstraintChoice::Primary => "primary key".to_owned(),
        ConstraintChoice::Foreign(columns) => format!("foreign key of ({})", columns.join(", ")),
    }
}

/// Refuses a change of columns that keys of the table, or of others, are of.
pub(super) async fn check_in_no_key(
    session: &Session,
    info: &TableInfo,
    operation: &str,
    columns: &[&str],
) -> Result<()> {
    let of_key = |column: &str| columns.iter().any(|changed| changed.eq_ignore_ascii_case(column));
    let keys = session.engine().metastore().table_constraints(info.id).await?;
    let found = keys
        .iter()
        .find(|key| key.columns.iter().any(|column| of_key(column)));
    found.map_or(Ok(()), |key| Err(in_key(operation, &info.name, key)))
}

/// Refuses that a column of the primary key may be null.
pub(super) async fn check_not_in_primary_key(
    session: &Session,
    info: &TableInfo,
    column: &str,
) -> Result<()> {
    let keys = session.engine().metastore().table_constraints(info.id).await?;
    let found = keys.iter().find(|key| {
        matches!(key.key, Key::Primary { .. }) && key.columns.iter().any(|of| of.eq_ignore_ascii_case(column))
    });
    found.map_or(Ok(()), |key| Err(in_key("drop NOT NULL of", &info.name, key)))
}

fn in_key(operation: &str, table: &TableName, key: &TableConstraint) -> Error {
    refused(
        "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE",
        "42K09",
        format!(
            "cannot {operation} a column of ({}), which are the {} `{}` of {table}; drop that first",
            key.columns.join(", "),
            key.key.kind(),
            key.name
        ),
    )
}

async fn drop_check(
    session: &Session,
    altered: Altered,
    constraint: String,
    if_exists: bool,
) -> Result<StatementResult> {
    let name = altered.info.name.clone();
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
}
