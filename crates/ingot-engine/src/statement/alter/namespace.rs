//! `ALTER SCHEMA`, `ALTER CATALOG`, and comments on them.
//!
//! Source: Databricks, `ALTER SCHEMA`, `ALTER CATALOG`, `COMMENT ON`.

use ingot_catalog::{Need, SecurableChange};
use ingot_common::port::StatementResult;
use ingot_common::{Identifier, SchemaName};

use super::super::cursor::Cursor;
use super::super::namespace::schema_name;
use super::super::tag::Tagged;
use super::super::{Work, done, tag, view};
use super::comment_text;
use crate::session::identifier;
use crate::{Result, Session, access};

/// A catalog or a schema.
#[derive(Debug, Clone)]
pub(super) enum Namespace {
    Catalog(Identifier),
    Schema(SchemaName),
}

impl Namespace {
    /// Takes the name after `CATALOG` or `SCHEMA`, if one of them comes next.
    pub fn accept(session: &Session, cursor: &mut Cursor<'_>) -> Result<Option<Self>> {
        if cursor.accept("CATALOG") {
            return Ok(Some(Self::Catalog(identifier(&cursor.name()?)?)));
        }
        if cursor.accept("SCHEMA") || cursor.accept("DATABASE") || cursor.accept("NAMESPACE") {
            return Ok(Some(Self::Schema(schema_name(session, &cursor.object_name()?)?)));
        }
        Ok(None)
    }

    fn tagged(self) -> Tagged {
        match self {
            Self::Catalog(name) => Tagged::Catalog(name),
            Self::Schema(name) => Tagged::Schema(name),
        }
    }
}

/// Parses a change of a catalog or a schema.
pub(super) fn parse<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    namespace: Namespace,
) -> Result<Work<'a>> {
    if let Some(work) = tag::accept(session, cursor, || namespace.clone().tagged())? {
        return Ok(work);
    }
    let mut change = SecurableChange::default();
    if cursor.accept_all(&["SET", "OWNER", "TO"]) || cursor.accept_all(&["OWNER", "TO"]) {
        change.owner = Some(cursor.name()?);
    } else if cursor.accept_all(&["SET", "DBPROPERTIES"]) || cursor.accept_all(&["SET", "PROPERTIES"]) {
        change.set_properties = cursor.properties()?.into_iter().collect();
    } else if cursor.accept_all(&["UNSET", "DBPROPERTIES"]) || cursor.accept_all(&["UNSET", "PROPERTIES"]) {
        let _ = cursor.if_exists();
        change.unset_properties = cursor.in_parentheses(Cursor::property_key)?;
    } else if cursor.accept_all(&["DEFAULT", "COLLATION"]) {
        view::collation(&cursor.name()?)?;
    } else {
        return Err(cursor.expected("OWNER TO, SET DBPROPERTIES, SET TAGS, UNSET TAGS or DEFAULT COLLATION"));
    }
    cursor.end()?;
    Ok(Work::defines(apply(session, namespace, change)))
}

/// `COMMENT ON CATALOG | SCHEMA name IS 'text' | NULL`.
pub(super) fn comment<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    namespace: Namespace,
) -> Result<Work<'a>> {
    let change = SecurableChange {
        comment: Some(comment_text(cursor)?),
        ..SecurableChange::default()
    };
    Ok(Work::defines(apply(session, namespace, change)))
}

async fn apply(session: &Session, namespace: Namespace, change: SecurableChange) -> Result<StatementResult> {
    let principal = session.context().principal.as_str();
    let metastore = session.engine().metastore();
    match namespace {
        Namespace::Catalog(name) => {
            access::catalog(session, &name, Need::Manage).await?;
            metastore.alter_catalog(&name, &change, principal).await?;
        }
        Namespace::Schema(name) => {
            access::schema(session, &name, Need::Manage).await?;
            metastore.alter_schema(&name, &change, principal).await?;
        }
    }
    done()
}
