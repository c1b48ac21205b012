//! Makes a batch what the table's files hold: the table's types, and no null where none may be.
//!
//! Text and bytes that come as views stay views: in a file they are the same, and copying them costs about as much as
//! reading them did.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::schema::storable_type;
use crate::{Error, Result};

/// Returns `batch` with the table's types, but for views in columns that do not partition. `partition_indices` are the
/// places of those that do.
///
/// # Errors
/// `InvalidArgument` when the columns are not the table's by number, order, name (any case) and type;
/// `NullInNotNull` for a null in a column that cannot be null.
pub(super) fn conform(
    batch: &RecordBatch,
    schema: &SchemaRef,
    partition_indices: &[usize],
) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::InvalidArgument {
            message: format!(
                "rows have {} columns, the table has {}",
                batch.num_columns(),
                schema.fields().len()
            ),
        });
    }
    let given = batch.schema_ref().fields();
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (place, (field, given)) in schema.fields().iter().zip(given).enumerate() {
        if !field.name().eq_ignore_ascii_case(given.name()) {
            return Err(Error::InvalidArgument {
                message: format!(
                    "column `{}` stands where the table has `{}`",
                    given.name(),
                    field.name()
                ),
            });
        }
        let stored =
            match is_view_of(given.data_type(), field.data_type()) && !partition_indices.contains(&place) {
                true => Arc::new(field.as_ref().clone().with_data_type(given.data_type().clone())),
                false => Arc::clone(field),
            };
        let column = convert(batch.column(place), &stored)?;
        check_nulls(&column, field, field.name())?;
        columns.push(column);
        fields.push(stored);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(|source| Error::Arrow {
        action: "give rows the table's schema",
        source,
    })
}

fn is_view_of(given: &DataType, wanted: &DataType) -> bool {
    matches!(
        (given, wanted),
        (DataType::Utf8View, DataType::Utf8) | (DataType::BinaryView, DataType::Binary)
    )
}

fn convert(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let (given, wanted) = (column.data_type(), field.data_type());
    if given == wanted {
        return Ok(Arc::clone(column));
    }
    let stored = storable_type(given);
    if !stored.is_some_and(|stored| fits(&stored, wanted)) {
        return Err(Error::InvalidArgument {
            message: format!(
                "column `{}` has type {given}, the table has {wanted}",
                field.name()
            ),
        });
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, wanted, &options).map_err(|source| Error::Arrow {
        action: "convert a column to the table's type",
        source,
    })
}

/// Says if `given` is the type `wanted`, with nulls at most where that has them. Names inside do not count: those
/// of list items and map entries are the writer's own affair.
fn fits(given: &DataType, wanted: &DataType) -> bool {
    let field_fits = |given: &FieldRef, wanted: &FieldRef| {
        (wanted.is_nullable() || !given.is_nullable()) && fits(given.data_type(), wanted.data_type())
    };
    match (given, wanted) {
        (DataType::List(given), DataType::List(wanted))
        | (DataType::Map(given, _), DataType::Map(wanted, _)) => field_fits(given, wanted),
        (DataType::Struct(given), DataType::Struct(wanted)) => {
            given.len() == wanted.len()
                && given
                    .iter()
                    .zip(wanted)
                    .all(|(given, wanted)| field_fits(given, wanted))
        }
        _ => given == wanted,
    }
}

fn check_nulls(column: &ArrayRef, field: &Field, path: &str) -> Result<()> {
    if !field.is_nullable() && column.logical_null_count() > 0 {
        return Err(Error::NullInNotNull {
            column: path.to_owned(),
        });
    }
    let DataType::Struct(fields) = field.data_type() else {
        return Ok(());
    };
    let values = column.as_struct();
    for (child, values) in fields.iter().zip(values.columns()) {
        // Arrow itself refuses a null child of a struct that is there.
        check_nulls_below(values, child, path)?;
    }
    Ok(())
}

fn check_nulls_below(column: &ArrayRef, field: &Field, parent: &str) -> Result<()> {
    match field.data_type() {
        DataType::Struct(_) if field.is_nullable() => {
            check_nulls(column, field, &format!("{parent}.{}", field.name()))
        }
        _ => Ok(()),
    }
}
