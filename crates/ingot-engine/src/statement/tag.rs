//! Tags: `SET TAGS`, `UNSET TAGS` of ALTER, and `SET TAG ON`, `UNSET TAG ON`.
//!
//! Source: Databricks, `SET TAG`, "Apply tags to Unity Catalog securable objects".

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::ObjectName;
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::{Need, Privilege};
use ingot_common::port::StatementResult;
use ingot_common::{Identifier, SchemaName, TableName, VolumeName};
use uuid::Uuid;

use super::cursor::Cursor;
use super::namespace::schema_name;
use super::{Work, done, volume};
use crate::session::identifier;
use crate::{Error, Result, Session, access, resolve};

/// What has tags.
#[derive(Debug)]
pub(super) enum Tagged {
    Catalog(Identifier),
    Schema(SchemaName),
    Table(TableName),
    /// A column by its name.
    Column(TableName, String),
    Volume(VolumeName),
}

/// What becomes of tags.
enum Change {
    Set(BTreeMap<String, String>),
    Unset(Vec<String>),
}

/// Takes `SET TAGS (…)` or `UNSET TAGS (…)`, if it comes next.
pub(super) fn accept<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    tagged: impl FnOnce() -> Tagged,
) -> Result<Option<Work<'a>>> {
    let change = if cursor.accept_all(&["SET", "TAGS"]) {
        Change::Set(cursor.in_parentheses(tag)?.into_iter().collect())
    } else if cursor.accept_all(&["UNSET", "TAGS"]) {
        Change::Unset(cursor.in_parentheses(Cursor::property_key)?)
    } else {
        return Ok(None);
    };
    cursor.end()?;
    Ok(Some(Work::defines(apply(session, tagged(), change))))
}

/// Takes `key [= value]`.
fn tag(cursor: &mut Cursor<'_>) -> Result<(String, String)> {
    let key = cursor.property_key()?;
    let value = match cursor.accept_token(&Token::Eq) {
        true => cursor.property_key()?,
        false => String::new(),
    };
    Ok((key, value))
}

/// Parses what follows `SET TAG ON`, or `UNSET TAG ON`.
pub(super) fn on<'a>(session: &'a Session, cursor: &mut Cursor<'_>, set: bool) -> Result<Work<'a>> {
    let tagged = tagged(session, cursor)?;
    let mut change = BTreeMap::new();
    loop {
        let (key, value) = tag(cursor)?;
        change.insert(key, value);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.end()?;
    let change = match set {
        true => Change::Set(change),
        false => Change::Unset(change.into_keys().collect()),
    };
    Ok(Work::defines(apply(session, tagged, change)))
}

fn tagged(session: &Session, cursor: &mut Cursor<'_>) -> Result<Tagged> {
    if cursor.accept("CATALOG") {
        return Ok(Tagged::Catalog(identifier(&cursor.name()?)?));
    }
    if cursor.accept("SCHEMA") || cursor.accept("DATABASE") {
        return schema_name(session, &cursor.object_name()?).map(Tagged::Schema);
    }
    if cursor.accept("TABLE") || cursor.accept("VIEW") {
        return cursor.table_name(session).map(Tagged::Table);
    }
    if cursor.accept("VOLUME") {
        let name = volume::volume_name(session, &cursor.object_name()?)?;
        return Ok(Tagged::Volume(name));
    }
    if cursor.accept("COLUMN") {
        let mut name = cursor.object_name()?;
        let column = ObjectName(name.0.pop().into_iter().collect());
        let column = resolve::parts(&column)?.pop().unwrap_or_default();
        return Ok(Tagged::Column(session.resolve(&name)?, column));
    }
    Err(cursor.expected("CATALOG, SCHEMA, TABLE, VIEW, COLUMN or VOLUME"))
}

async fn apply(session: &Session, tagged: Tagged, change: Change) -> Result<StatementResult> {
    let (securable, column) = securable(session, tagged).await?;
    let metastore = session.engine().metastore();
    match change {
        Change::Set(tags) => metastore.set_tags(securable, column.as_deref(), &tags).await?,
        Change::Unset(names) => metastore.unset_tags(securable, column.as_deref(), &names).await?,
    }
    done()
}

/// Finds what has tags: its id, and the column as the table spells it.
async fn securable(session: &Session, tagged: Tagged) -> Result<(Uuid, Option<String>)> {
    let need = Need::Privilege(Privilege::ApplyTag);
    Ok(match tagged {
        Tagged::Catalog(name) => (access::catalog(session, &name, need).await?.id, None),
        Tagged::Schema(name) => (access::schema(session, &name, need).await?.id, None),
        Tagged::Table(name) => (access::table(session, &name, need).await?.id.0, None),
        Tagged::Volume(name) => (access::volume(session, &name, need).await?.id, None),
        Tagged::Column(name, column) => {
            let table = access::table(session, &name, need).await?;
            let mut columns = table.columns.iter();
            let found = columns.find(|known| known.name.eq_ignore_ascii_case(&column));
            let Some(found) = found else {
                return Err(Error::unknown_column(&name, &column));
            };
            (table.id.0, Some(found.name.clone()))
        }
    })
}
