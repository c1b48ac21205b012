//! The rows of `UPDATE`: what the matched rows are with their new values.
//!
//! The matched rows, and no others, are read again by their positions; every value is computed from the row as it was.
//! A field of a struct is set by making the struct anew with its other fields as they were.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::functions::core::expr_fn::{get_field, named_struct};
use datafusion::logical_expr::{Expr, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident, SelectItem};
use ingot_common::Kind;
use ingot_delta::column::{GENERATION_EXPRESSION, Identity};

use super::ChangedRows;
use super::find::Place;
use super::target::{self, TargetName};
use crate::provider::{BASE_ROW_ID, ROW_COLUMN, rows_provider, tracked_provider};
use crate::resolve::Reads;
use crate::row_ids::{self, row_id};
use crate::write::rules::values::{Given, MissingValues};
use crate::write::{MissingFields, snapshot_read, stored};
use crate::{Error, Result};

/// Names the values in the query over the matched rows.
const VALUE_PREFIX: &str = "__ingot_set_";

/// What the id of a row is made of that has none of its own.
const ID_PARTS: [&str; 2] = [BASE_ROW_ID, ROW_COLUMN];

/// `column = value`.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    /// A column or a field of one, with or without the target's name, part by part.
    pub name: Vec<String>,
    pub value: NewValue,
}

/// What a column is set to.
#[derive(Debug, Clone)]
pub(crate) enum NewValue {
    Expression(Box<SqlExpr>),
    Default,
}

/// The new rows, in the table's columns.
pub(super) struct UpdatedRows {
    pub rows: DataFrame,
    /// The values were computed from other rows of the table, too.
    pub reads_itself: bool,
}

/// Plans the rows that take the place of `changed`.
///
/// # Errors
/// `InvalidArgument` for a column that does not exist, or is set more than once.
pub(super) async fn updated_rows(
    place: Place<'_>,
    name: &TargetName,
    assignments: &[Assignment],
    changed: &ChangedRows,
    reads: &Reads,
) -> Result<UpdatedRows> {
    let schema = place.snapshot.schema();
    let paths = resolved_paths(name, assignments, schema)?;
    let ids = place.snapshot.row_id_columns();
    let (table, snapshot) = (Arc::clone(place.table), Arc::clone(place.snapshot));
    let rows = match &ids {
        Some(ids) => tracked_provider(table, snapshot, changed.files(), changed.rows(), ids),
        None => rows_provider(table, snapshot, changed.files(), changed.rows()),
    };
    let column = |name: &str| SelectItem::UnnamedExpr(SqlExpr::Identifier(Ident::with_quote('`', name)));
    let fields = schema.fields().iter();
    let mut items: Vec<SelectItem> = fields.map(|field| column(field.name())).collect();
    let mut values = Vec::with_capacity(assignments.len());
    for assignment in assignments {
        values.push(match &assignment.value {
            NewValue::Default => None,
            NewValue::Expression(expr) => {
                if let Some(filtered) = place.filtered {
                    filtered.check_expression(expr)?;
                }
                items.push(SelectItem::ExprWithAlias {
                    expr: expr.as_ref().clone(),
                    alias: Ident::with_quote('`', format!("{VALUE_PREFIX}{}", items.len())),
                });
                Some(items.len() - 1)
            }
        });
    }
    let values_end = items.len();
    if let Some(ids) = &ids {
        items.push(column(&ids.row_id));
        items.extend(ID_PARTS.map(column));
    }
    let planned = target::plan(place.session, name, rows, items, None, reads).await?;
    let reads_itself = snapshot_read(planned.logical_plan(), place.table.location())?.is_some();
    let columns = planned.schema().columns();
    let value = |place: usize| Expr::Column(Column::clone(&columns[place]));
    let mut given = Vec::with_capacity(schema.fields().len());
    for (number, field) in schema.fields().iter().enumerate() {
        let changes: Vec<Change<'_>> = paths
            .iter()
            .zip(&values)
            .filter(|(path, _)| path.column == number)
            .map(|(path, given)| Change {
                path: &path.fields,
                value: given.map(|place| (value(place), planned.schema().field(place).data_type())),
            })
            .collect();
        given.push(given_value(value(number), field, &changes)?);
    }
    let (state, _) = planned.clone().into_parts();
    let row = MissingValues::new(state, schema).complete(given, planned.schema())?;
    let row = row.into_iter().zip(schema.fields());
    let mut row: Vec<Expr> = row.map(|(value, field)| value.alias(field.name())).collect();
    if let Some(ids) = &ids {
        let part = |name: &str| {
            let place = ID_PARTS.iter().position(|part| *part == name);
            value(values_end + place.map_or(0, |place| place + 1))
        };
        row.push(row_id(ids, part).alias(ids.row_id.as_str()));
        // The version of the row is that of this commit.
        row.push(row_ids::none().alias(ids.row_commit_version.as_str()));
    }
    Ok(UpdatedRows {
        rows: planned.select(row)?,
        reads_itself,
    })
}

/// Says what a statement's changes of a column make of it. A generated column that is not set is computed anew.
///
/// # Errors
/// `InvalidArgument` for an identity column, which keeps its values.
fn given_value(old: Expr, field: &Field, changes: &[Change<'_>]) -> Result<Given> {
    let generated = field.metadata().contains_key(GENERATION_EXPRESSION);
    match changes {
        [] if generated => Ok(Given::Missing),
        [] => Ok(Given::Kept(old)),
        _ if Identity::of(field)?.is_some() => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DELTA_IDENTITY_COLUMNS_UPDATE_NOT_SUPPORTED",
            sqlstate: "42808",
            message: format!("UPDATE on IDENTITY column `{}` is not supported", field.name()),
        }),
        [
            Change {
                path: [],
                value: None,
            },
        ] => Ok(Given::Missing),
        _ => Ok(Given::Value(changed_value(old, field, field.name(), changes)?)),
    }
}

/// A new value for a column or, below it, for a field.
#[derive(Clone)]
struct Change<'a> {
    path: &'a [String],
    /// With its type; `None` is the default.
    value: Option<(Expr, &'a DataType)>,
}

/// Returns what becomes of `old`, a value of `field`, which is at `path`. Of several changes none is at or above
/// another.
fn changed_value(old: Expr, field: &Field, path: &str, changes: &[Change<'_>]) -> Result<Expr> {
    match changes {
        [] => return Ok(old),
        [Change { path: [], value }] => {
            return match value {
                Some((value, given)) => stored(value.clone(), given, field, path, MissingFields::Refused),
                // The default of what has none.
                None => Ok(lit(ScalarValue::try_from(field.data_type())?)),
            };
        }
        _ => {}
    }
    let DataType::Struct(fields) = field.data_type() else {
        return Err(Error::internal(format!(
            "`{}` has no fields to set",
            field.name()
        )));
    };
    let mut arguments = Vec::with_capacity(fields.len() * 2);
    for field in fields {
        let below: Vec<Change<'_>> = changes
            .iter()
            .filter_map(|change| {
                let (first, path) = change.path.split_first()?;
                (first == field.name()).then(|| Change {
                    path,
                    value: change.value.clone(),
                })
            })
            .collect();
        let old = get_field(old.clone(), field.name().as_str());
        let path = format!("{path}.{}", field.name());
        arguments.push(lit(field.name().as_str()));
        arguments.push(changed_value(old, field, &path, &below)?);
    }
    Ok(named_struct(arguments))
}

/// A column, by number, and the fields below it, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ColumnPath {
    column: usize,
    fields: Vec<String>,
}

/// Finds what the assignments set.
fn resolved_paths(name: &TargetName, assignments: &[Assignment], schema: &Schema) -> Result<Vec<ColumnPath>> {
    let mut paths: Vec<ColumnPath> = Vec::with_capacity(assignments.len());
    for assignment in assignments {
        let path = resolved_path(name, &assignment.name, schema)?;
        let overlaps = |other: &ColumnPath| {
            let same = other.fields.iter().zip(&path.fields).all(|(a, b)| a == b);
            other.column == path.column && same
        };
        if paths.iter().any(overlaps) {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "DELTA_CONFLICT_SET_COLUMN",
                sqlstate: "42701",
                message: format!(
                    "`{}` is set more than once: whole, or in part, by another SET of the statement",
                    assignment.name.join(".")
                ),
            });
        }
        paths.push(path);
    }
    Ok(paths)
}

fn resolved_path(name: &TargetName, parts: &[String], schema: &Schema) -> Result<ColumnPath> {
    for qualifiers in (0..parts.len()).rev() {
        let called = name.is_called(parts[..qualifiers].iter().map(String::as_str));
        let Some((first, rest)) = parts[qualifiers..]
            .split_first()
            .filter(|_| called || qualifiers == 0)
        else {
            continue;
        };
        if let Some((column, field)) = find(schema.fields(), first) {
            let fields = resolved_fields(field, rest, parts)?;
            return Ok(ColumnPath { column, fields });
        }
    }
    let known: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| format!("`{}`", field.name()))
        .collect();
    Err(Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "UNRESOLVED_COLUMN.WITH_SUGGESTION",
        sqlstate: "42703",
        message: format!(
            "column `{}` cannot be resolved; did you mean one of {}?",
            parts.join("."),
            known.join(", ")
        ),
    })
}

fn resolved_fields(column: &Field, names: &[String], parts: &[String]) -> Result<Vec<String>> {
    let mut at = column;
    let mut fields = Vec::with_capacity(names.len());
    for name in names {
        let found = match at.data_type() {
            DataType::Struct(fields) => find(fields, name),
            _ => None,
        };
        let Some((_, field)) = found else {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "FIELD_NOT_FOUND",
                sqlstate: "42704",
                message: format!(
                    "`{}` has no struct field `{name}`, which SET `{}` names",
                    at.name(),
                    parts.join(".")
                ),
            });
        };
        fields.push(field.name().clone());
        at = field;
    }
    Ok(fields)
}

fn find<'a>(fields: &'a Fields, name: &str) -> Option<(usize, &'a Field)> {
    let mut numbered = fields.iter().enumerate();
    let found = numbered.find(|(_, field)| field.name().eq_ignore_ascii_case(name));
    found.map(|(number, field)| (number, field.as_ref()))
}
