//! The columns of rows at the places of the table's, before rows are run.
//!
//! By name, columns are reordered and completed; by position, they stay where they are. What a column holds that the
//! rows leave out is decided in one place, [`MissingValues`].

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::Expr;
use datafusion::prelude::Column;
use ingot_common::Kind;
use ingot_delta::Snapshot;

use super::assign::Nested;
use super::rules::values::{MissingValues, check_takes_values, has_own_value};
use super::{ColumnMatch, SchemaEvolution};
use crate::{Error, Result};

/// Reorders and completes the columns of `rows` to those of `snapshot` by name (case-insensitive); a missing
/// column is filled by the table's rules, an unknown one is an error.
pub fn align_by_name(rows: DataFrame, snapshot: &Snapshot) -> Result<DataFrame> {
    by_name(rows, snapshot.schema())
}

/// Gives the columns of `rows` the names of the table's that they are meant for, and adds `constants`.
///
/// # Errors
/// `InvalidArgument` for a constant that the table has no column for; by position, for fewer rows' columns than the
/// table has, and for more unless the table is to get them; for a list of another length than the rows.
pub(super) fn named(
    rows: DataFrame,
    table: &Schema,
    matching: &ColumnMatch,
    constants: &[(String, Expr)],
    evolution: SchemaEvolution,
) -> Result<DataFrame> {
    let given = rows.schema().columns();
    let free: Vec<&String> = table
        .fields()
        .iter()
        .map(|field| field.name())
        .filter(|name| {
            !constants
                .iter()
                .any(|(constant, _)| constant.eq_ignore_ascii_case(name))
        })
        .collect();
    let names: Vec<String> = match matching {
        ColumnMatch::Name => given.iter().map(|column| column.name.clone()).collect(),
        ColumnMatch::Listed(names) => {
            check_list(names, given.len())?;
            names.clone()
        }
        ColumnMatch::Position if evolution == SchemaEvolution::Overwrite => {
            given.iter().map(|column| column.name.clone()).collect()
        }
        ColumnMatch::Position => {
            let rest = free.iter().skip(given.len());
            let filled = rest
                .filter_map(|name| find(table, name))
                .all(|field| has_own_value(field));
            if given.len() > free.len() || !filled {
                check_count(given.len(), free.len(), evolution)?;
            }
            if constants.is_empty() && given.len() == free.len() && evolution == SchemaEvolution::None {
                return Ok(rows);
            }
            let free = free.into_iter().map(Some).chain(std::iter::repeat(None));
            let named = given.iter().zip(free);
            named
                .map(|(column, free)| free.unwrap_or(&column.name).clone())
                .collect()
        }
    };
    let constant = |name: &String| {
        constants
            .iter()
            .any(|(constant, _)| constant.eq_ignore_ascii_case(name))
    };
    if let Some(twice) = names.iter().find(|name| constant(name)) {
        return Err(ambiguous(twice));
    }
    let mut columns: Vec<Expr> = given
        .into_iter()
        .zip(names)
        .map(|(column, name)| Expr::Column(column).alias(name))
        .collect();
    for (name, value) in constants {
        let field = find(table, name).ok_or_else(|| Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "NON_PARTITION_COLUMN",
            sqlstate: "42000",
            message: format!(
                "PARTITION clause cannot contain the column `{name}`, which the table does not have"
            ),
        })?;
        columns.push(value.clone().alias(field.name()));
    }
    Ok(rows.select(columns)?)
}

fn check_list(names: &[String], given: usize) -> Result<()> {
    if given != names.len() {
        return Err(arity(format!(
            "the query gives {given} columns, the statement lists {}",
            names.len()
        )));
    }
    let twice = |place: usize| {
        let name = &names[place];
        names[..place]
            .iter()
            .any(|other| other.eq_ignore_ascii_case(name))
    };
    match (0..names.len()).find(|place| twice(*place)) {
        Some(place) => Err(arity(format!(
            "the statement lists the column `{}` twice",
            names[place]
        ))),
        None => Ok(()),
    }
}

fn check_count(given: usize, expected: usize, evolution: SchemaEvolution) -> Result<()> {
    if given == expected || (given > expected && evolution == SchemaEvolution::Merge) {
        return Ok(());
    }
    Err(super::assign::arity_error(given, expected))
}

/// Reorders and completes named columns to those of `table`.
///
/// # Errors
/// `InvalidArgument` for a column that the table lacks, and for one that the rows have twice, or lack although it has
/// no other value.
pub(super) fn by_name(rows: DataFrame, table: &SchemaRef) -> Result<DataFrame> {
    let given = rows.schema().clone();
    let names = given.fields().iter().map(|field| field.name());
    if names.eq(table.fields().iter().map(|field| field.name())) {
        table
            .fields()
            .iter()
            .try_for_each(|field| check_takes_values(field))?;
        return Ok(rows);
    }
    for field in given.fields() {
        if find(table, field.name()).is_none() {
            return Err(refused(
                "INCOMPATIBLE_DATA_FOR_TABLE.EXTRA_COLUMNS",
                format!(
                    "cannot write column `{}`: the table has no such column",
                    field.name()
                ),
            ));
        }
    }
    let mut columns = Vec::with_capacity(table.fields().len());
    for column in table.fields() {
        let mut matching = given
            .iter()
            .filter(|(_, field)| field.name().eq_ignore_ascii_case(column.name()));
        columns.push(match (matching.next(), matching.next()) {
            (Some((qualifier, field)), None) => Some(Column::new(qualifier.cloned(), field.name())),
            (None, _) => None,
            (Some(_), Some(_)) => return Err(ambiguous(column.name())),
        });
    }
    let (state, _) = rows.clone().into_parts();
    MissingValues::new(state, table).complete_rows(rows, &columns)
}

/// Returns the columns that named rows bring, fields of structs under the table's names where they are matched by
/// position: what the table's schema is compared with.
pub(super) fn incoming(rows: &DataFrame, table: &Schema, nested: Nested) -> Schema {
    let rows = rows.schema().as_arrow();
    match nested {
        Nested::Name(_) => Schema::new(rows.fields().clone()),
        Nested::Position => {
            let fields = rows.fields().iter();
            let renamed = fields.map(|field| match find(table, field.name()) {
                Some(table) => renamed_field(field, table),
                None => Arc::clone(field),
            });
            Schema::new(renamed.collect::<Fields>())
        }
    }
}

/// Gives `fields` the names that `table` has at their places, as far as it has any.
fn renamed(fields: &Fields, table: &Fields) -> Fields {
    let named = fields
        .iter()
        .enumerate()
        .map(|(place, field)| match table.get(place) {
            Some(table) => renamed_field(field, table),
            None => Arc::clone(field),
        });
    named.collect()
}

fn renamed_field(field: &FieldRef, table: &FieldRef) -> FieldRef {
    let inner = |field: &FieldRef, table: &FieldRef| {
        let named = renamed_field(field, table);
        Arc::new(Field::clone(&named).with_name(field.name()))
    };
    let data_type = match (field.data_type(), table.data_type()) {
        (DataType::Struct(fields), DataType::Struct(table)) => DataType::Struct(renamed(fields, table)),
        (DataType::List(item), DataType::List(table)) => DataType::List(inner(item, table)),
        (DataType::LargeList(item), DataType::List(table)) => DataType::LargeList(inner(item, table)),
        (DataType::Map(entries, sorted), DataType::Map(table, _)) => {
            DataType::Map(inner(entries, table), *sorted)
        }
        (other, _) => other.clone(),
    };
    Arc::new(Field::new(table.name(), data_type, field.is_nullable()))
}

fn find<'a>(schema: &'a Schema, name: &str) -> Option<&'a FieldRef> {
    schema
        .fields()
        .iter()
        .find(|field| field.name().eq_ignore_ascii_case(name))
}

fn ambiguous(name: &str) -> Error {
    refused(
        "INCOMPATIBLE_DATA_FOR_TABLE.AMBIGUOUS_COLUMN_NAME",
        format!("ambiguous column name in the input data: `{name}`"),
    )
}

fn refused(condition: &'static str, message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition,
        sqlstate: "KD000",
        message,
    }
}

fn arity(message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INSERT_COLUMN_ARITY_MISMATCH",
        sqlstate: "21S01",
        message,
    }
}
