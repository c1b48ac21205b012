//! Columns of clients in the types that SQL has: Arrow has more.
//!
//! Unsigned numbers become the next larger signed ones, texts and bytes of any layout STRING and BINARY, instants are
//! counted in microseconds, dictionaries and runs are written out. Times of day and intervals are refused.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use ingot_common::Kind;
use ingot_delta::schema::storable_type;

use crate::{Error, Result};

/// A value that does not fit is an error, not null.
const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: arrow::util::display::FormatOptions::new(),
};

/// Returns the schema that columns of a client have in SQL: all may be null.
///
/// # Errors
/// `UNSUPPORTED_ARROWTYPE`, naming the column.
pub(crate) fn schema(given: &Schema) -> Result<SchemaRef> {
    let fields = given.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Null => DataType::Null,
            other => storable_type(other).ok_or_else(|| unsupported(field))?,
        };
        Ok(Field::new(field.name(), data_type, true))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}

/// Converts a batch of a client to [`schema`] of its columns.
///
/// # Errors
/// `INVALID_ARGUMENT` for another count of columns, and for a value that does not fit, naming the column.
pub(crate) fn batch(given: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if given.num_columns() != schema.fields().len() {
        return Err(invalid(format!(
            "a batch has {} columns, and its stream {}",
            given.num_columns(),
            schema.fields().len()
        )));
    }
    let columns = given.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        cast_with_options(column, field.data_type(), &STRICT).map_err(|error| {
            let to = crate::write::type_text(field.data_type());
            let name = field.name();
            invalid(format!("column `{name}` cannot be taken as {to}: {error}"))
        })
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(given.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::internal(error.to_string()))
}

fn invalid(message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INVALID_PARAMETER_VALUE",
        sqlstate: "22023",
        message,
    }
}

fn unsupported(field: &Field) -> Error {
    Error::Condition {
        kind: Kind::Unsupported,
        condition: "UNSUPPORTED_ARROWTYPE",
        sqlstate: "0A000",
        message: format!(
            "column `{}` has the Arrow type {}, which is not supported; cast it",
            field.name(),
            field.data_type()
        ),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Array, AsArray, DictionaryArray, Int64Array, NullArray, TimestampNanosecondArray, UInt64Array,
    };
    use arrow::datatypes::{Decimal128Type, Int32Type, TimeUnit, TimestampMicrosecondType};

    use super::*;

    fn taken(column: ArrayRef) -> Result<ArrayRef> {
        let given = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).expect("batch");
        let schema = schema(&given.schema())?;
        Ok(Arc::clone(batch(&given, &schema)?.column(0)))
    }

    #[test]
    fn values_keep_their_meaning() {
        let large = taken(Arc::new(UInt64Array::from(vec![u64::MAX]))).expect("taken");
        assert_eq!(
            large.as_primitive::<Decimal128Type>().value(0),
            i128::from(u64::MAX)
        );
        let instant = TimestampNanosecondArray::from(vec![1_500]).with_timezone("+01:00");
        let instant = taken(Arc::new(instant)).expect("taken");
        assert_eq!(instant.as_primitive::<TimestampMicrosecondType>().value(0), 1);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(instant.data_type(), &utc);
        let dictionary: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
        let texts = taken(Arc::new(dictionary)).expect("taken");
        assert_eq!(texts.as_string::<i32>().value(2), "a");
        let nothing = taken(Arc::new(NullArray::new(2))).expect("taken");
        assert_eq!(
            (nothing.data_type(), nothing.logical_null_count()),
            (&DataType::Null, 2)
        );
    }

    #[test]
    fn a_type_that_there_is_not_is_named() {
        let times = arrow::array::Time64MicrosecondArray::from(vec![1]);
        let error = taken(Arc::new(times)).expect_err("no TIME");
        assert!(
            error.to_string().contains("column `c` has the Arrow type Time64"),
            "{error}"
        );
    }

    #[test]
    fn a_batch_of_other_columns_is_refused() {
        let columns = Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Int64, true),
        ]);
        let columns = schema(&columns).expect("schema");
        let given = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as _)]);
        let error = batch(&given.expect("batch"), &columns).expect_err("one column of two");
        assert!(error.to_string().contains("a batch has 1 columns"), "{error}");
    }
}
