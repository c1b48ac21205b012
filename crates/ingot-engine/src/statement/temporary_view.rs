//! `CREATE [OR REPLACE] [GLOBAL] TEMPORARY VIEW`; and DROP of such views.
//!
//! Source: Spark, `CREATE VIEW`: a view of the session has a name of one part; one that all sessions see is read as
//! `global_temp.name`.

use ingot_common::Kind;

use super::cursor::Cursor;
use super::view::{ViewText, recursive};
use super::{Work, done};
use crate::resolve::{self, Reads};
use crate::session::{GLOBAL_TEMP, TemporaryView};
use crate::{Error, Result, Session};

/// What the words before VIEW ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    pub replace: bool,
    pub global: bool,
}

/// Parses what follows `VIEW`.
pub(super) fn create<'a>(session: &'a Session, cursor: &mut Cursor<'_>, mode: Mode) -> Result<Work<'a>> {
    if cursor.if_not_exists() {
        return Err(Error::parse(
            "a temporary view cannot be made IF NOT EXISTS".to_owned(),
        ));
    }
    let name = view_name(resolve::parts(&cursor.object_name()?)?)?;
    let text = ViewText::parse(cursor)?;
    if text.is_metrics() {
        return Err(Error::unsupported("a metric view cannot be temporary".to_owned()));
    }
    Ok(Work::defines(async move {
        let reads = Reads::default();
        let (definition, columns) = text.plan(session, &reads).await?;
        let temporary = reads.temporary();
        if !mode.global && temporary.contains(&name.to_lowercase()) {
            return Err(recursive(&name));
        }
        let gone = match mode.global {
            true => reads.variable(),
            false => reads.script_variable(),
        };
        if let Some(gone) = gone {
            return Err(Error::temporary_reference(&format!("view `{name}`"), &gone));
        }
        let view = TemporaryView {
            name,
            definition,
            owner: session.context().principal.as_str().to_owned(),
            namespace: session.namespace(),
            temporary,
            columns,
            comment: text.comment,
            properties: text.properties,
        };
        let views = match mode.global {
            true => session.engine().global_temporary_views(),
            false => session.temporary_views(),
        };
        views.add(view, mode.replace)?;
        done()
    }))
}

fn view_name(parts: Vec<String>) -> Result<String> {
    let mut parts = parts;
    match (parts.len(), parts.pop()) {
        (1, Some(name)) => Ok(name),
        (count, _) => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "TEMP_VIEW_NAME_TOO_MANY_NAME_PARTS",
            sqlstate: "428EK",
            message: format!("a temporary view has a name of one part, not of {count}"),
        }),
    }
}

/// Drops the temporary view of this name. Returns `false` when there is none.
pub(super) fn drop(session: &Session, name: &[String]) -> bool {
    match name {
        [name] => session.temporary_views().remove(name),
        [schema, name] if schema.eq_ignore_ascii_case(GLOBAL_TEMP) => {
            session.engine().global_temporary_views().remove(name)
        }
        _ => false,
    }
}
