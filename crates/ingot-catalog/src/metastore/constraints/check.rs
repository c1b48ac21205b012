//! Whether a key may be made, decided over what was read.

use crate::model::{ColumnInfo, Key, NewConstraint, TableConstraint, TableInfo};
use crate::{Error, Result};

/// Finds the columns of a key among those of its table.
pub(super) fn columns<'a>(table: &'a TableInfo, names: &[String]) -> Result<Vec<&'a ColumnInfo>> {
    let mut found: Vec<&ColumnInfo> = Vec::with_capacity(names.len());
    for name in names {
        let column = table
            .columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name));
        let column = column.ok_or_else(|| Error::UnknownColumn {
            table: table.name.to_string(),
            column: name.clone(),
        })?;
        if found.iter().any(|known| known.name == column.name) {
            return Err(invalid(format!(
                "column `{name}` stands twice in a key of `{}`",
                table.name
            )));
        }
        found.push(column);
    }
    Ok(found)
}

/// Checks that a table may have a primary key of these columns.
pub(super) fn primary_key(
    table: &TableInfo,
    keys: &[TableConstraint],
    name: Option<&str>,
    columns: &[&ColumnInfo],
) -> Result<()> {
    if keys.iter().any(|key| matches!(key.key, Key::Primary { .. })) {
        return Err(Error::MultiplePrimaryKeys {
            table: table.name.to_string(),
        });
    }
    let nullable: Vec<&str> = columns
        .iter()
        .filter(|column| column.nullable)
        .map(|column| column.name.as_str())
        .collect();
    if nullable.is_empty() {
        return Ok(());
    }
    let name = name.map_or_else(|| primary_key_name(table), str::to_owned);
    Err(invalid(format!(
        "Cannot create the primary key `{name}` because its child column(s) `{}` is nullable. Please change the column \
         nullability and retry.",
        nullable.join("`, `")
    )))
}

/// Returns the columns of the parent that a foreign key refers to, one for each of its own.
pub(super) fn foreign_key(
    columns: &[&ColumnInfo],
    keys: &[TableConstraint],
    parent: &TableInfo,
    parent_keys: &[TableConstraint],
    named: &[String],
) -> Result<Vec<String>> {
    let primary = parent_keys
        .iter()
        .find(|key| matches!(key.key, Key::Primary { .. }));
    let key_columns = primary.map(|key| key.columns.clone()).unwrap_or_default();
    let mismatch = || Error::ForeignKeyMismatch {
        parent: parent.name.to_string(),
        parent_columns: key_columns.join(", "),
        columns: columns
            .iter()
            .map(|column| column.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    };
    let referred: Vec<String> = match named.is_empty() {
        true => key_columns.clone(),
        false => self::columns(parent, named)?
            .into_iter()
            .map(|column| column.name.clone())
            .collect(),
    };
    if key_columns.is_empty() || referred.len() != columns.len() || !same_set(&referred, &key_columns) {
        return Err(mismatch());
    }
    let types = self::columns(parent, &referred)?;
    if types
        .iter()
        .zip(columns)
        .any(|(theirs, ours)| theirs.type_text != ours.type_text)
    {
        return Err(mismatch());
    }
    let own: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let twin = keys
        .iter()
        .find(|key| matches!(key.key, Key::Foreign(_)) && same_set(&key.columns, &own));
    match twin {
        None => Ok(referred),
        Some(twin) => Err(invalid(format!(
            "the foreign key `{}` has the same columns: ({})",
            twin.name,
            own.join(", ")
        ))),
    }
}

/// Says if there is, among the keys of its parent, the one that a foreign key refers to.
pub(super) fn still_refers(foreign: &TableConstraint, parent_keys: &[TableConstraint]) -> bool {
    let Key::Foreign(refers) = &foreign.key else {
        return false;
    };
    let primary = parent_keys
        .iter()
        .find(|key| matches!(key.key, Key::Primary { .. }));
    primary.is_some_and(|key| same_set(&key.columns, &refers.parent_columns))
}

/// Returns the name that a key is to have, which none of `taken` is.
pub(super) fn name(
    table: &TableInfo,
    new: &NewConstraint,
    parent: Option<&TableInfo>,
    taken: &[String],
) -> Result<String> {
    let free = |name: &str| !taken.iter().any(|taken| taken.eq_ignore_ascii_case(name));
    if let Some(name) = &new.name {
        return match free(name) {
            true => Ok(name.clone()),
            false => Err(Error::AlreadyExists {
                securable: "constraint",
                name: name.clone(),
            }),
        };
    }
    let base = match parent {
        None => primary_key_name(table),
        Some(parent) => format!("{}_{}_fk", table.name.table, parent.name.table),
    };
    let numbered = (1..=taken.len()).map(|number| format!("{base}_{number}"));
    let found = std::iter::once(base.clone())
        .chain(numbered)
        .find(|name| free(name));
    found.ok_or(Error::AlreadyExists {
        securable: "constraint",
        name: base,
    })
}

fn primary_key_name(table: &TableInfo) -> String {
    format!("{}_pk", table.name.table)
}

fn same_set(left: &[String], right: &[String]) -> bool {
    left.len() == right.len() && left.iter().all(|column| right.contains(column))
}

fn invalid(message: String) -> Error {
    Error::InvalidConstraint { message }
}
