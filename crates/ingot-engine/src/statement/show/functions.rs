//! `SHOW [USER | SYSTEM | ALL] FUNCTIONS [{IN | FROM} schema] [[LIKE] {'pattern' | name}]`.
//!
//! A name may have a schema of its own, and is of that alone then.
//!
//! Source: Databricks, `SHOW FUNCTIONS`.

use ingot_catalog::Page;
use ingot_common::port::StatementResult;
use ingot_common::{Kind, SchemaName};

use super::super::cursor::Cursor;
use super::super::function::function_name;
use super::super::{Work, text_rows};
use super::{Pattern, in_schema, pattern};
use crate::{Error, Result, Session, access, resolve};

/// Which functions are shown, besides those of a schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub system: bool,
    pub user: bool,
}

/// Parses what follows FUNCTIONS.
pub(super) fn show<'a>(session: &'a Session, cursor: &mut Cursor<'_>, shown: Shown) -> Result<Work<'a>> {
    let given = cursor.at("IN") || cursor.at("FROM");
    let schema = in_schema(session, cursor)?;
    let like = cursor.accept("LIKE");
    if like || cursor.at_string() || cursor.at_end() {
        let pattern = match like && !cursor.at_string() {
            true => Pattern(Some(cursor.name()?.to_lowercase())),
            false => pattern(cursor)?,
        };
        cursor.end()?;
        return Ok(Work::reads(list(session, schema, pattern, shown)));
    }
    let name = cursor.object_name()?;
    cursor.end()?;
    let parts = resolve::parts(&name)?;
    let pattern = Pattern(parts.last().map(|name| name.to_lowercase()));
    if parts.len() == 1 {
        return Ok(Work::reads(list(session, schema, pattern, shown)));
    }
    if given {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_SQL_SYNTAX.SHOW_FUNCTIONS_INVALID_PATTERN",
            sqlstate: "42000",
            message: format!("SHOW FUNCTIONS names a schema, and another in `{name}`"),
        });
    }
    let schema = function_name(session, &parts)?.schema;
    Ok(Work::reads(async move {
        let names = match shown.user {
            true => of_schema(session, &schema, &pattern).await?,
            false => Vec::new(),
        };
        rows(names)
    }))
}

async fn list(
    session: &Session,
    schema: SchemaName,
    pattern: Pattern,
    shown: Shown,
) -> Result<StatementResult> {
    let mut names = Vec::new();
    if shown.system {
        names.extend(own(session, &pattern));
    }
    if shown.user {
        let temporary = session.temporary_functions().names().into_iter();
        names.extend(temporary.filter(|name| pattern.matches(name)));
        names.extend(of_schema(session, &schema, &pattern).await?);
    }
    rows(names)
}

fn rows(mut names: Vec<String>) -> Result<StatementResult> {
    names.sort();
    names.dedup();
    text_rows(&[("function", names.iter().map(String::as_str).collect())])
}

/// The engine's own.
fn own(session: &Session, pattern: &Pattern) -> Vec<String> {
    let names = resolve::builtin_names(&session.datafusion().state()).into_iter();
    names.filter(|name| pattern.matches(name)).collect()
}

/// Those of a schema with their full names.
async fn of_schema(session: &Session, schema: &SchemaName, pattern: &Pattern) -> Result<Vec<String>> {
    let metastore = session.engine().metastore();
    let functions = metastore.list_functions(schema, &Page::default()).await?;
    let sight = access::sight(session).await?;
    let shown = functions
        .into_iter()
        .filter(|function| pattern.matches(function.name.function.as_str()) && sight.sees(function));
    Ok(shown.map(|function| function.name.to_string()).collect())
}
