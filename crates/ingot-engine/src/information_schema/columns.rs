//! `columns`: those of tables and views.

use ingot_catalog::{ColumnInfo, TableInfo};

use super::{Columns, Contents, always, numbers, texts};

pub(super) fn columns(contents: &Contents) -> Columns {
    let listed: Vec<(&TableInfo, &ColumnInfo, i32)> = contents
        .tables
        .iter()
        .flat_map(|table| {
            let places = table.columns.iter().zip(1..);
            places.map(move |(column, place)| (table, column, place))
        })
        .collect();
    let all = || listed.iter();
    let of_type = |about: fn(&str) -> Option<i32>| {
        numbers(listed.iter().map(move |(_, column, _)| about(&column.type_text)))
    };
    let nothing = || texts(listed.iter().map(|_| None::<&str>));
    let no = || always("NO", listed.len());
    let nullable = |column: &ColumnInfo| Some(if column.nullable { "YES" } else { "NO" });
    vec![
        (
            "table_catalog",
            texts(all().map(|(table, ..)| Some(table.name.catalog.as_str()))),
        ),
        (
            "table_schema",
            texts(all().map(|(table, ..)| Some(table.name.schema.as_str()))),
        ),
        (
            "table_name",
            texts(all().map(|(table, ..)| Some(table.name.table.as_str()))),
        ),
        (
            "column_name",
            texts(all().map(|(_, column, _)| Some(&column.name))),
        ),
        ("ordinal_position", numbers(all().map(|(.., place)| Some(*place)))),
        ("column_default", nothing()),
        ("is_nullable", texts(all().map(|(_, column, _)| nullable(column)))),
        (
            "full_data_type",
            texts(all().map(|(_, column, _)| Some(&column.type_text))),
        ),
        (
            "data_type",
            texts(all().map(|(_, column, _)| Some(base(&column.type_text).to_uppercase()))),
        ),
        ("character_maximum_length", of_type(|_| None)),
        (
            "character_octet_length",
            of_type(|text| (base(text) == "string").then_some(0)),
        ),
        ("numeric_precision", of_type(precision)),
        ("numeric_precision_radix", of_type(radix)),
        ("numeric_scale", of_type(scale)),
        ("datetime_precision", of_type(datetime_precision)),
        ("interval_type", nothing()),
        ("interval_precision", of_type(|_| None)),
        ("maximum_cardinality", of_type(|_| None)),
        ("is_identity", no()),
        ("identity_generation", nothing()),
        ("identity_start", nothing()),
        ("identity_increment", nothing()),
        ("identity_maximum", nothing()),
        ("identity_minimum", nothing()),
        ("identity_cycle", nothing()),
        ("is_generated", no()),
        ("generation_expression", nothing()),
        ("is_system_time_period_start", no()),
        ("is_system_time_period_end", no()),
        ("system_time_period_timestamp_generation", nothing()),
        ("is_updatable", always("YES", listed.len())),
        ("partition_index", {
            let index =
                |column: &ColumnInfo| column.partition_index.and_then(|index| i32::try_from(index).ok());
            numbers(all().map(|(_, column, _)| index(column)))
        }),
        (
            "comment",
            texts(all().map(|(_, column, _)| column.comment.as_ref())),
        ),
    ]
}

/// Returns a type without what it is made of: `decimal` of `decimal(10,2)`.
pub(super) fn base(type_text: &str) -> &str {
    type_text.split(['(', '<']).next().unwrap_or_default()
}

/// Bits of a whole or floating number, digits of a decimal.
pub(super) fn precision(type_text: &str) -> Option<i32> {
    match base(type_text) {
        "tinyint" => Some(8),
        "smallint" => Some(16),
        "int" | "float" => Some(32),
        "bigint" | "double" => Some(64),
        "decimal" => digits(type_text).map(|(precision, _)| precision),
        _ => None,
    }
}

pub(super) fn radix(type_text: &str) -> Option<i32> {
    match base(type_text) {
        "decimal" => Some(10),
        _ => precision(type_text).map(|_| 2),
    }
}

pub(super) fn scale(type_text: &str) -> Option<i32> {
    match base(type_text) {
        "decimal" => digits(type_text).map(|(_, scale)| scale),
        "tinyint" | "smallint" | "int" | "bigint" => Some(0),
        _ => None,
    }
}

fn digits(type_text: &str) -> Option<(i32, i32)> {
    let (precision, scale) = type_text
        .strip_prefix("decimal(")?
        .strip_suffix(')')?
        .split_once(',')?;
    Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?))
}

pub(super) fn datetime_precision(type_text: &str) -> Option<i32> {
    match base(type_text) {
        "date" => Some(0),
        "timestamp" | "timestamp_ntz" => Some(3),
        _ => None,
    }
}
