//! `SHOW [USER | SYSTEM | ALL] FUNCTIONS [{IN | FROM} schema] [[LIKE] 'pattern' | name]`.
//!
//! Source: Databricks, `SHOW FUNCTIONS`.

use ingot_catalog::Page;
use ingot_common::SchemaName;

use super::super::cursor::Cursor;
use super::super::{Work, text_rows};
use super::{Pattern, in_schema, pattern};
use crate::{Result, Session, resolve};

/// Parses what follows FUNCTIONS: `system` and `user` say which are shown.
pub(super) fn show<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    system: bool,
    user: bool,
) -> Result<Work<'a>> {
    let schema = in_schema(session, cursor)?;
    let pattern = match cursor.at_string() || cursor.at("LIKE") || cursor.at_end() {
        true => pattern(cursor)?,
        false => Pattern(
            resolve::parts(&cursor.object_name()?)?
                .pop()
                .map(|name| name.to_lowercase()),
        ),
    };
    cursor.end()?;
    Ok(Work::reads(async move {
        let mut names = Vec::new();
        if system {
            names.extend(own(session, &pattern));
        }
        if user {
            names.extend(made(session, &schema, &pattern).await?);
        }
        names.sort();
        names.dedup();
        text_rows(&[("function", names.iter().map(String::as_str).collect())])
    }))
}

/// The engine's own.
fn own(session: &Session, pattern: &Pattern) -> Vec<String> {
    let state = session.datafusion().state();
    let names = state
        .scalar_functions()
        .keys()
        .chain(state.aggregate_functions().keys())
        .chain(state.window_functions().keys())
        .chain(state.higher_order_functions().keys())
        .cloned()
        .chain(resolve::GENERATORS.map(str::to_owned));
    names
        .filter(|name| !name.starts_with("__") && pattern.matches(name))
        .collect()
}

/// Those of the session, and those of a schema with their full names.
async fn made(session: &Session, schema: &SchemaName, pattern: &Pattern) -> Result<Vec<String>> {
    let mut names = session.temporary_functions().names();
    names.retain(|name| pattern.matches(name));
    let metastore = session.engine().metastore();
    for function in metastore.list_functions(schema, &Page::default()).await? {
        if pattern.matches(function.name.function.as_str()) {
            names.push(function.name.to_string());
        }
    }
    Ok(names)
}
