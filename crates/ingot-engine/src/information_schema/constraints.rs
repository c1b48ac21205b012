//! `table_constraints`, `key_column_usage`, `referential_constraints`, `constraint_table_usage`,
//! `constraint_column_usage`, `check_constraints`: keys, of which the metastore knows, and CHECK constraints, which are
//! properties of tables.
//!
//! What a foreign key "uses" is its parent, as in the SQL standard. Source: Databricks, "Information schema".

use std::collections::HashMap;

use ingot_catalog::{ForeignKey, Key, TableConstraint, TableId};
use ingot_common::TableName;

use super::{Columns, Contents, always, numbers, texts};
use crate::write::rules::CONSTRAINT_PREFIX;

const CONSTRAINT: [&str; 3] = ["constraint_catalog", "constraint_schema", "constraint_name"];
const TABLE: [&str; 3] = ["table_catalog", "table_schema", "table_name"];
const UNIQUE_CONSTRAINT: [&str; 3] = [
    "unique_constraint_catalog",
    "unique_constraint_schema",
    "unique_constraint_name",
];

/// Says if a relation is one of these.
pub(super) fn has(relation: &str) -> bool {
    let relations = [
        "table_constraints",
        "key_column_usage",
        "referential_constraints",
        "constraint_table_usage",
        "constraint_column_usage",
        "check_constraints",
    ];
    relations.contains(&relation)
}

/// Returns the columns of a relation; `None` for another relation.
pub(super) fn columns(relation: &str, contents: &Contents) -> Option<Columns> {
    Some(match relation {
        "table_constraints" => table_constraints(contents),
        "key_column_usage" => key_column_usage(contents),
        "referential_constraints" => referential_constraints(contents),
        "constraint_table_usage" => table_usage(contents),
        "constraint_column_usage" => column_usage(contents),
        "check_constraints" => check_constraints(contents),
        _ => return None,
    })
}

/// A key with the name of its table.
type TableKey<'a> = (&'a TableName, &'a TableConstraint);

fn keys(contents: &Contents) -> Vec<TableKey<'_>> {
    let tables = contents.tables.iter().map(|table| (table.id, &table.name));
    let tables: HashMap<TableId, &TableName> = tables.collect();
    let keys = contents.constraints.iter();
    keys.filter_map(|key| Some((*tables.get(&key.table)?, key)))
        .collect()
}

fn foreign_keys(contents: &Contents) -> Vec<(TableKey<'_>, &ForeignKey)> {
    let keys = keys(contents).into_iter();
    keys.filter_map(|key| match &key.1.key {
        Key::Foreign(foreign) => Some((key, foreign)),
        Key::Primary { .. } => None,
    })
    .collect()
}

/// A CHECK constraint.
struct Check<'a> {
    table: &'a TableName,
    name: &'a str,
    condition: &'a str,
}

fn checks(contents: &Contents) -> Vec<Check<'_>> {
    let properties = contents.tables.iter().flat_map(|table| {
        let properties = table.properties.iter();
        properties.map(move |(property, condition)| (&table.name, property, condition))
    });
    let checks = properties.filter_map(|(table, property, condition)| {
        Some(Check {
            table,
            name: property.strip_prefix(CONSTRAINT_PREFIX)?,
            condition,
        })
    });
    checks.collect()
}

/// Makes the columns of names that stand in the catalog and the schema of a table.
fn named<'a>(
    columns: [&'static str; 3],
    names: impl Iterator<Item = (&'a TableName, &'a str)> + Clone,
) -> Columns {
    let [catalog, schema, name] = columns;
    let tables = names.clone().map(|(table, _)| table);
    vec![
        (
            catalog,
            texts(tables.clone().map(|table| Some(table.catalog.as_str()))),
        ),
        (schema, texts(tables.map(|table| Some(table.schema.as_str())))),
        (name, texts(names.map(|(_, name)| Some(name)))),
    ]
}

/// Makes the columns of the names of tables.
fn tables<'a>(tables: impl Iterator<Item = &'a TableName> + Clone) -> Columns {
    named(TABLE, tables.map(|table| (table, table.table.as_str())))
}

fn table_constraints(contents: &Contents) -> Columns {
    struct Row<'a> {
        table: &'a TableName,
        name: &'a str,
        kind: &'static str,
        enforced: &'static str,
    }
    let (keys, checks) = (keys(contents), checks(contents));
    let of_keys = keys.iter().map(|(table, key)| Row {
        table,
        name: &key.name,
        kind: key.key.kind(),
        enforced: "NO",
    });
    let of_checks = checks.iter().map(|check| Row {
        table: check.table,
        name: check.name,
        kind: "CHECK",
        enforced: "YES",
    });
    let rows: Vec<Row<'_>> = of_keys.chain(of_checks).collect();
    let all = || rows.iter();
    let mut columns = named(CONSTRAINT, all().map(|row| (row.table, row.name)));
    columns.extend(tables(all().map(|row| row.table)));
    columns.push(("constraint_type", texts(all().map(|row| Some(row.kind)))));
    columns.push(("is_deferrable", always("YES", rows.len())));
    columns.push(("initially_deferred", always("NO", rows.len())));
    columns.push(("enforced", texts(all().map(|row| Some(row.enforced)))));
    columns.push(("comment", texts(all().map(|_| None::<&str>))));
    columns
}

fn key_column_usage(contents: &Contents) -> Columns {
    struct Row<'a> {
        key: TableKey<'a>,
        column: &'a str,
        place: Option<i32>,
        /// The place, in the key of the parent, of the column that this one refers to.
        place_in_parent: Option<i32>,
    }
    let primary: HashMap<TableId, &TableConstraint> = contents
        .constraints
        .iter()
        .filter(|key| matches!(key.key, Key::Primary { .. }))
        .map(|key| (key.table, key))
        .collect();
    let referred = |key: &TableConstraint, place: usize| match &key.key {
        Key::Primary { .. } => None,
        Key::Foreign(foreign) => {
            let column = foreign.parent_columns.get(place)?;
            let of_parent = primary.get(&foreign.parent)?;
            ordinal(of_parent.columns.iter().position(|of| of == column)?)
        }
    };
    let keys = keys(contents);
    let rows: Vec<Row<'_>> = keys
        .iter()
        .flat_map(|key| {
            let columns = key.1.columns.iter().enumerate();
            columns.map(|(place, column)| Row {
                key: *key,
                column,
                place: ordinal(place),
                place_in_parent: referred(key.1, place),
            })
        })
        .collect();
    let all = || rows.iter();
    let mut columns = named(CONSTRAINT, all().map(|row| (row.key.0, &*row.key.1.name)));
    columns.extend(tables(all().map(|row| row.key.0)));
    columns.push(("column_name", texts(all().map(|row| Some(row.column)))));
    columns.push(("ordinal_position", numbers(all().map(|row| row.place))));
    columns.push((
        "position_in_unique_constraint",
        numbers(all().map(|row| row.place_in_parent)),
    ));
    columns
}

fn ordinal(place: usize) -> Option<i32> {
    i32::try_from(place + 1).ok()
}

fn referential_constraints(contents: &Contents) -> Columns {
    let keys = foreign_keys(contents);
    let all = || keys.iter();
    let mut columns = named(CONSTRAINT, all().map(|((table, key), _)| (*table, &*key.name)));
    columns.extend(named(
        UNIQUE_CONSTRAINT,
        all().map(|(_, foreign)| (&foreign.parent_name, &*foreign.parent_key)),
    ));
    columns.push(("match_option", always("FULL", keys.len())));
    columns.push(("update_rule", always("NO ACTION", keys.len())));
    columns.push(("delete_rule", always("NO ACTION", keys.len())));
    columns
}

/// Returns the table that a key uses, and its columns.
fn used((table, key): TableKey<'_>) -> (&TableName, &[String]) {
    match &key.key {
        Key::Primary { .. } => (table, &key.columns),
        Key::Foreign(foreign) => (&foreign.parent_name, &foreign.parent_columns),
    }
}

fn table_usage(contents: &Contents) -> Columns {
    let (keys, checks) = (keys(contents), checks(contents));
    let of_keys = keys.iter().map(|key| (used(*key).0, key.0, &*key.1.name));
    let of_checks = checks.iter().map(|check| (check.table, check.table, check.name));
    let rows: Vec<(&TableName, &TableName, &str)> = of_keys.chain(of_checks).collect();
    let mut columns = tables(rows.iter().map(|(used, ..)| *used));
    columns.extend(named(
        CONSTRAINT,
        rows.iter().map(|(_, table, name)| (*table, *name)),
    ));
    columns
}

fn column_usage(contents: &Contents) -> Columns {
    let keys = keys(contents);
    let rows: Vec<(&TableName, &str, TableKey<'_>)> = keys
        .iter()
        .flat_map(|key| {
            let (table, columns) = used(*key);
            columns.iter().map(move |column| (table, column.as_str(), *key))
        })
        .collect();
    let all = || rows.iter();
    let mut columns = tables(all().map(|(used, ..)| *used));
    columns.push(("column_name", texts(all().map(|(_, column, _)| Some(*column)))));
    columns.extend(named(CONSTRAINT, all().map(|(_, _, key)| (key.0, &*key.1.name))));
    columns
}

fn check_constraints(contents: &Contents) -> Columns {
    let checks = checks(contents);
    let all = || checks.iter();
    let mut columns = named(CONSTRAINT, all().map(|check| (check.table, check.name)));
    columns.push(("check_clause", texts(all().map(|check| Some(check.condition)))));
    columns.push(("sql_path", texts(all().map(|_| None::<&str>))));
    columns
}
