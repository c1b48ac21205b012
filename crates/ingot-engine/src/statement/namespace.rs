//! Catalogs and schemas: CREATE, DROP, USE.

use datafusion::sql::sqlparser::ast::ObjectName;
use ingot_catalog::{Need, Privilege, Securable, SecurableChange};
use ingot_common::SchemaName;
use ingot_common::port::StatementResult;

use super::cursor::Cursor;
use super::{Work, done};
use crate::session::identifier;
use crate::{Error, Result, Session, access, resolve};

/// `CREATE CATALOG [IF NOT EXISTS] name [COMMENT 'text']`.
pub(super) fn create_catalog<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let if_not_exists = cursor.if_not_exists();
    let name = identifier(&cursor.name()?)?;
    let comment = comment(cursor)?;
    cursor.end()?;
    Ok(Work::defines(async move {
        let principal = session.context().principal.as_str();
        let create = Need::Privilege(Privilege::CreateCatalog);
        access::check(session, Securable::metastore(), create).await?;
        let created = session
            .engine()
            .metastore()
            .create_catalog(&name, comment.as_deref(), principal)
            .await;
        existing_is_fine(created, if_not_exists)
    }))
}

/// `CREATE SCHEMA [IF NOT EXISTS] [catalog.]name [COMMENT 'text']`.
pub(super) fn create_schema<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let if_not_exists = cursor.if_not_exists();
    let name = schema_name(session, &cursor.object_name()?)?;
    let comment = comment(cursor)?;
    let mut change = SecurableChange::default();
    if cursor.accept_all(&["WITH", "DBPROPERTIES"]) {
        change.set_properties = cursor.properties()?.into_iter().collect();
    }
    cursor.end()?;
    Ok(Work::defines(async move {
        let principal = session.context().principal.as_str();
        let metastore = session.engine().metastore();
        let create = Need::Privilege(Privilege::CreateSchema);
        let made = metastore.schema(&name).await.is_ok();
        // What is there already is nobody's to make: clients say so at the start of each run.
        match made && if_not_exists {
            true => return done(),
            false => drop(access::catalog(session, &name.catalog, create).await?),
        }
        let created = metastore
            .create_schema(&name, comment.as_deref(), principal)
            .await;
        if created.is_ok() && !change.set_properties.is_empty() {
            metastore.alter_schema(&name, &change, principal).await?;
        }
        existing_is_fine(created, if_not_exists)
    }))
}

/// `DROP CATALOG [IF EXISTS] name [RESTRICT | CASCADE]`.
pub(super) fn drop_catalog<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let if_exists = cursor.if_exists();
    let name = identifier(&cursor.name()?)?;
    let cascade = cascade(cursor);
    cursor.end()?;
    Ok(Work::defines(async move {
        let principal = session.context().principal.as_str();
        let dropped = match access::catalog(session, &name, Need::Manage).await {
            Ok(_) => {
                let metastore = session.engine().metastore();
                metastore.drop_catalog(&name, cascade, principal).await
            }
            Err(error) => Err(error),
        };
        missing_is_fine(dropped, if_exists)
    }))
}

/// `DROP SCHEMA [IF EXISTS] [catalog.]name [RESTRICT | CASCADE]`.
pub(super) fn drop_schema<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let if_exists = cursor.if_exists();
    let name = schema_name(session, &cursor.object_name()?)?;
    let cascade = cascade(cursor);
    cursor.end()?;
    Ok(Work::defines(async move {
        let principal = session.context().principal.as_str();
        let dropped = match access::schema(session, &name, Need::Manage).await {
            Ok(_) => {
                let metastore = session.engine().metastore();
                metastore.drop_schema(&name, cascade, principal).await
            }
            Err(error) => Err(error),
        };
        missing_is_fine(dropped, if_exists)
    }))
}

/// `USE [SCHEMA] [catalog.]schema`, `USE CATALOG name`.
pub(super) fn use_namespace<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let namespace = if cursor.accept("CATALOG") {
        SchemaName::new(identifier(&cursor.name()?)?, identifier("default")?)
    } else {
        let _ = cursor.accept("SCHEMA") || cursor.accept("DATABASE");
        schema_name(session, &cursor.object_name()?)?
    };
    cursor.end()?;
    Ok(Work::reads(async move {
        access::schema(session, &namespace, Need::Privilege(Privilege::UseSchema)).await?;
        session.use_namespace(&namespace).await?;
        done()
    }))
}

/// Completes the name of a schema with the session's catalog.
pub(super) fn schema_name(session: &Session, name: &ObjectName) -> Result<SchemaName> {
    let parts = resolve::parts(name)?;
    match parts.as_slice() {
        [schema] => Ok(SchemaName::new(session.namespace().catalog, identifier(schema)?)),
        [catalog, schema] => Ok(SchemaName::new(identifier(catalog)?, identifier(schema)?)),
        _ => Err(Error::parse(format!(
            "`{name}` has {} parts; a schema has up to two",
            parts.len()
        ))),
    }
}

fn comment(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    match cursor.accept("COMMENT") {
        true => cursor.string().map(Some),
        false => Ok(None),
    }
}

fn cascade(cursor: &mut Cursor<'_>) -> bool {
    if cursor.accept("CASCADE") {
        return true;
    }
    cursor.accept("RESTRICT");
    false
}

fn existing_is_fine<T>(created: ingot_catalog::Result<T>, fine: bool) -> Result<StatementResult> {
    match created {
        Ok(_) => done(),
        Err(ingot_catalog::Error::AlreadyExists { .. }) if fine => done(),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn missing_is_fine<T>(dropped: ingot_catalog::Result<T>, fine: bool) -> Result<StatementResult> {
    match dropped {
        Ok(_) => done(),
        Err(ingot_catalog::Error::NotFound { .. }) if fine => done(),
        Err(error) => Err(error.into()),
    }
}
