//! `GRANT`, `REVOKE`, `SHOW GRANTS`.
//!
//! Source: Databricks, `GRANT`, `REVOKE`, `SHOW GRANTS`, "Principal", "Securable objects".

use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::{GrantChange, Privilege, SecurableKind, SecurableName};
use ingot_common::FunctionName;

use super::cursor::Cursor;
use super::namespace::schema_name;
use super::{Work, done, text_rows, volume};
use crate::session::identifier;
use crate::{Error, Result, Session};

/// What becomes of privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Grant,
    Revoke,
}

/// Parses what stands after GRANT, or after REVOKE.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>, change: Change) -> Result<Work<'a>> {
    let names = privilege_names(cursor)?;
    cursor.expect("ON")?;
    let securable = securable(session, cursor)?;
    cursor.expect(match change {
        Change::Grant => "TO",
        Change::Revoke => "FROM",
    })?;
    let principal = principal(cursor)?;
    cursor.end()?;
    let kind = securable.kind();
    let privileges = names.iter().map(|name| privilege(name, kind));
    let privileges = privileges.collect::<Result<Vec<_>>>()?;
    Ok(Work::defines(async move {
        let (add, remove) = match change {
            Change::Grant => (privileges, Vec::new()),
            Change::Revoke => (Vec::new(), privileges),
        };
        let changes = [GrantChange {
            principal,
            add,
            remove,
        }];
        let who = session.context().principal.as_str();
        let metastore = session.engine().metastore();
        metastore.update_permissions(who, &securable, &changes).await?;
        done()
    }))
}

/// Parses `[principal] ON securable`, after SHOW GRANTS.
pub(super) fn show<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let of = match cursor.at("ON") {
        true => None,
        false => Some(principal(cursor)?),
    };
    cursor.expect("ON")?;
    let securable = securable(session, cursor)?;
    cursor.end()?;
    Ok(Work::reads(async move {
        let who = session.context().principal.as_str();
        let metastore = session.engine().metastore();
        let grants = metastore.permissions(who, &securable, of.as_deref()).await?;
        let actions: Vec<String> = grants.iter().map(|on| on.grant.privilege.sql()).collect();
        let keys: Vec<String> = grants.iter().map(|on| on.on.to_string()).collect();
        let principals = grants.iter().map(|on| on.grant.principal.as_str());
        let kinds = grants.iter().map(|on| on.on.kind().as_str());
        text_rows(&[
            ("Principal", principals.collect()),
            ("ActionType", actions.iter().map(String::as_str).collect()),
            ("ObjectType", kinds.collect()),
            ("ObjectKey", keys.iter().map(String::as_str).collect()),
        ])
    }))
}

/// Takes the names of privileges, each of one word or several, up to ON.
fn privilege_names(cursor: &mut Cursor<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    loop {
        let mut words = vec![cursor.name()?];
        while !cursor.at("ON") && !cursor.at_token(&Token::Comma) {
            words.push(cursor.name()?);
        }
        names.push(words.join(" "));
        if !cursor.accept_token(&Token::Comma) {
            return Ok(names);
        }
    }
}

/// Reads a privilege of a securable of a kind. `USAGE` is an older name for the use of it.
fn privilege(name: &str, kind: SecurableKind) -> Result<Privilege> {
    match (name.to_uppercase().as_str(), kind) {
        ("USAGE", SecurableKind::Catalog) => Ok(Privilege::UseCatalog),
        ("USAGE", SecurableKind::Schema) => Ok(Privilege::UseSchema),
        _ => name
            .parse()
            .map_err(|unknown: ingot_catalog::privilege::UnknownPrivilege| {
                let known: Vec<String> = Privilege::ALL
                    .into_iter()
                    .filter(|privilege| privilege.applies_to(kind))
                    .map(Privilege::sql)
                    .collect();
                Error::parse(format!("{unknown}; a {} has {}", kind.as_str(), known.join(", ")))
            }),
    }
}

/// Takes the name of a user or a group, which is not looked up: it may come later.
fn principal(cursor: &mut Cursor<'_>) -> Result<String> {
    match cursor.at_string() {
        true => cursor.string(),
        false => cursor.name(),
    }
}

/// Takes a securable: `[kind] name`, where a name alone is a table's, and `CATALOG` or `SCHEMA` alone the current one.
fn securable(session: &Session, cursor: &mut Cursor<'_>) -> Result<SecurableName> {
    let alone = |cursor: &Cursor<'_>| cursor.at_end() || cursor.at("TO") || cursor.at("FROM");
    if cursor.accept("METASTORE") {
        return Ok(SecurableName::Metastore);
    }
    if cursor.accept("CATALOG") {
        return Ok(SecurableName::Catalog(match alone(cursor) {
            true => session.namespace().catalog,
            false => identifier(&cursor.name()?)?,
        }));
    }
    if cursor.accept("SCHEMA") || cursor.accept("DATABASE") {
        return Ok(SecurableName::Schema(match alone(cursor) {
            true => session.namespace(),
            false => schema_name(session, &cursor.object_name()?)?,
        }));
    }
    if cursor.accept("VOLUME") {
        let name = volume::volume_name(session, &cursor.object_name()?)?;
        return Ok(SecurableName::Volume(name));
    }
    if cursor.accept("FUNCTION") || cursor.accept("PROCEDURE") {
        let name = session.resolve(&cursor.object_name()?)?;
        return Ok(SecurableName::Function(FunctionName::new(
            name.schema_name(),
            name.table,
        )));
    }
    for refused in [
        ["ANY", "FILE"],
        ["ANONYMOUS", "FUNCTION"],
        ["EXTERNAL", "LOCATION"],
        ["STORAGE", "CREDENTIAL"],
    ] {
        if cursor.accept_all(&refused) {
            let refused = refused.join(" ");
            return Err(Error::unsupported(format!(
                "there are no privileges on {refused}"
            )));
        }
    }
    let _ = cursor.accept("TABLE")
        || cursor.accept("VIEW")
        || cursor.accept_all(&["MATERIALIZED", "VIEW"])
        || cursor.accept_all(&["STREAMING", "TABLE"]);
    cursor.table_name(session).map(SecurableName::Table)
}
