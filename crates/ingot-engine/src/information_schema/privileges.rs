//! `catalog_privileges`, `schema_privileges`, `table_privileges`, `routine_privileges`, `volume_privileges`: who has which
//! privileges, also through what holds the securable.
//!
//! Who manages a securable is told of all of its grants, others of their own. Source: Databricks,
//! `INFORMATION_SCHEMA.TABLE_PRIVILEGES` and the like.

use ingot_catalog::{GrantOn, Need, Securable, SecurableKind, SecurableName};

use super::{Columns, Contents, always, texts};

/// What the privileges of a relation are of; `None` for another relation.
pub(super) fn of(relation: &str) -> Option<SecurableKind> {
    Some(match relation {
        "catalog_privileges" => SecurableKind::Catalog,
        "schema_privileges" => SecurableKind::Schema,
        "table_privileges" => SecurableKind::Table,
        "routine_privileges" => SecurableKind::Function,
        "volume_privileges" => SecurableKind::Volume,
        _ => return None,
    })
}

/// Returns the columns of a relation of privileges; `None` for another relation.
pub(super) fn columns(relation: &str, contents: &Contents) -> Option<Columns> {
    let kind = of(relation)?;
    let rows = granted(kind, contents);
    let names: &[&'static str] = match kind {
        SecurableKind::Metastore => &[],
        SecurableKind::Catalog => &["catalog_name"],
        SecurableKind::Schema => &["catalog_name", "schema_name"],
        SecurableKind::Table => &["table_catalog", "table_schema", "table_name"],
        SecurableKind::Function => &[
            "specific_catalog",
            "specific_schema",
            "specific_name",
            "routine_catalog",
            "routine_schema",
            "routine_name",
        ],
        SecurableKind::Volume => &["volume_catalog", "volume_schema", "volume_name"],
    };
    let mut columns: Columns = vec![
        (
            "grantor",
            texts(rows.iter().map(|(_, on)| Some(&on.grant.granted_by))),
        ),
        (
            "grantee",
            texts(rows.iter().map(|(_, on)| Some(&on.grant.principal))),
        ),
    ];
    for (place, name) in names.iter().enumerate() {
        let part = |parts: &Vec<String>| parts.get(place % parts.len().max(1)).cloned();
        columns.push((name, texts(rows.iter().map(|(parts, _)| part(parts)))));
    }
    let inherited = |on: &GrantOn| match on.inherited {
        true => on.on.kind().as_str(),
        false => "NONE",
    };
    columns.extend([
        (
            "privilege_type",
            texts(rows.iter().map(|(_, on)| Some(on.grant.privilege.as_str()))),
        ),
        ("is_grantable", always("NO", rows.len())),
        (
            "inherited_from",
            texts(rows.iter().map(|(_, on)| Some(inherited(on)))),
        ),
    ]);
    Some(columns)
}

/// Returns the grants, each with the parts of the name of what it holds for.
fn granted(kind: SecurableKind, contents: &Contents) -> Vec<(Vec<String>, GrantOn)> {
    let Some((policy, who)) = &contents.policy else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for securable in securables(kind, contents) {
        let only = match policy.allows(who, &securable, Need::Manage) {
            true => None,
            false => Some(who),
        };
        let parts = parts(&securable.name);
        let grants = policy.grants_on(&securable, only);
        rows.extend(grants.into_iter().map(|on| (parts.clone(), on)));
    }
    rows
}

fn securables(kind: SecurableKind, contents: &Contents) -> Vec<Securable> {
    match kind {
        SecurableKind::Metastore => Vec::new(),
        SecurableKind::Catalog => contents.catalogs.iter().map(Securable::from).collect(),
        SecurableKind::Schema => contents.schemas.iter().map(Securable::from).collect(),
        SecurableKind::Table => contents.tables.iter().map(Securable::from).collect(),
        SecurableKind::Function => contents.functions.iter().map(Securable::from).collect(),
        SecurableKind::Volume => contents.volumes.iter().map(Securable::from).collect(),
    }
}

fn parts(name: &SecurableName) -> Vec<String> {
    name.to_string().split('.').map(str::to_owned).collect()
}
