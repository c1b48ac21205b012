//! Rows as clients are given them: under the names that SQL shows, and in types of which every client has values.
//!
//! For a client of SQL a VARIANT is its JSON text and an interval is the text that Hive writes, also within other values,
//! and their fields say so ([`SQL_NAME`]). Sources: Databricks, whose clients read them so (`databricks-sql-connector`,
//! its kernel, `databricks-jdbc`); Spark, `HiveResult`, and `toArrowType` for what is refused.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray, make_array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use futures::StreamExt;
use ingot_common::port::{DAY_TIME_INTERVAL, SQL_NAME, StatementResult, YEAR_MONTH_INTERVAL};
use ingot_common::{Kind, ServiceError};

use crate::cast::{bare_intervals, texts};
use crate::functions::variant::is_variant;
use crate::spark::temporal::Zone;
use crate::write::type_text;
use crate::{Error, Result, spark};

/// Returns the columns of a result under the names that SQL shows.
///
/// # Errors
/// `UNSUPPORTED_TIME_TYPE`; `UNSUPPORTED_DATA_TYPE_FOR_ARROW_CONVERSION` for an interval, unless it will be a text.
pub(super) fn shown(rows: &DFSchema, intervals_as_texts: bool) -> Result<SchemaRef> {
    let fields = rows.fields().iter().map(|field| {
        check(field.data_type(), intervals_as_texts)?;
        Ok(Field::clone(field).with_name(spark::shown_name(field.name())))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}

/// Gives the columns of a batch the names of `shown`.
pub(super) fn renamed(batch: RecordBatch, shown: &Schema) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let names = schema.fields().iter().zip(shown.fields());
    if names.clone().all(|(field, shown)| field.name() == shown.name()) {
        return Ok(batch);
    }
    let fields = names.map(|(field, shown)| Field::clone(field).with_name(shown.name()));
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone());
    // Not `with_schema`, which compares fields by their names.
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().to_vec();
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &rows)
}

/// Returns the columns of a result whose variants and intervals are made texts.
pub(super) fn client_schema(schema: SchemaRef) -> SchemaRef {
    match given_fields(schema.fields()) {
        Some(fields) => Arc::new(Schema::new(fields)),
        None => schema,
    }
}

/// Makes texts of the variants of a result, in the session's time zone, and of its intervals.
pub(super) fn in_client_types(result: StatementResult, zone: Zone) -> StatementResult {
    let Some(fields) = given_fields(result.schema.fields()) else {
        return result;
    };
    let schema = Arc::new(Schema::new(fields));
    let given = Arc::clone(&schema);
    let batches = result.batches.map(move |batch| {
        let batch = in_texts(&batch?, &given, &zone);
        batch.map_err(|error| ServiceError::from_error(&Error::from(DataFusionError::from(error))))
    });
    StatementResult {
        schema,
        batches: batches.boxed(),
    }
}

fn in_texts(batch: &RecordBatch, given: &Schema, zone: &Zone) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let mut fields = Vec::with_capacity(schema.fields().len());
    let mut columns = Vec::with_capacity(schema.fields().len());
    for ((field, given), column) in schema.fields().iter().zip(given.fields()).zip(batch.columns()) {
        let (field, column) = match converted(column, zone)? {
            Some(texts) => (given, texts),
            None => (field, Arc::clone(column)),
        };
        fields.push(Arc::clone(field));
        columns.push(column);
    }
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &rows)
}

/// Refuses a column of a type of which clients have no values.
fn check(data_type: &DataType, intervals_as_texts: bool) -> Result<()> {
    let without_values = |part: &DataType| match part {
        DataType::Interval(_) => !intervals_as_texts,
        DataType::Time32(_) | DataType::Time64(_) => true,
        _ => false,
    };
    match within(data_type, &without_values) {
        None => Ok(()),
        Some(interval @ DataType::Interval(_)) => Err(Error::Condition {
            kind: Kind::Unsupported,
            condition: "UNSUPPORTED_DATA_TYPE_FOR_ARROW_CONVERSION",
            sqlstate: "0A000",
            message: format!(
                "a column of the type {} cannot be given to clients; cast it to STRING",
                type_text(interval).to_uppercase()
            ),
        }),
        Some(_) => Err(Error::Condition {
            kind: Kind::Unsupported,
            condition: "UNSUPPORTED_TIME_TYPE",
            sqlstate: "0A000",
            message: "the type TIME is not supported".to_owned(),
        }),
    }
}

/// Finds the first type that `is` names, in a type.
fn within<'t>(data_type: &'t DataType, is: &impl Fn(&DataType) -> bool) -> Option<&'t DataType> {
    if is(data_type) {
        return Some(data_type);
    }
    match data_type {
        DataType::List(element) | DataType::LargeList(element) | DataType::Map(element, _) => {
            within(element.data_type(), is)
        }
        DataType::Struct(fields) => fields.iter().find_map(|field| within(field.data_type(), is)),
        _ => None,
    }
}

/// Returns the name of a type whose values become texts.
fn as_text(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Interval(IntervalUnit::YearMonth) => YEAR_MONTH_INTERVAL,
        DataType::Duration(_) => DAY_TIME_INTERVAL,
        DataType::Interval(_) => "INTERVAL",
        variant if is_variant(variant) => "VARIANT",
        _ => return None,
    })
}

/// Returns the field that a converted column has; `None` for one that stays as it is.
fn given(field: &FieldRef) -> Option<FieldRef> {
    if let Some(name) = as_text(field.data_type()) {
        let mut metadata = field.metadata().clone();
        metadata.insert(SQL_NAME.to_owned(), name.to_owned());
        let text = Field::new(field.name(), DataType::Utf8, field.is_nullable());
        return Some(Arc::new(text.with_metadata(metadata)));
    }
    let within = match field.data_type() {
        DataType::List(element) => DataType::List(given(element)?),
        DataType::Map(entries, sorted) => DataType::Map(given(entries)?, *sorted),
        DataType::Struct(fields) => DataType::Struct(given_fields(fields)?),
        _ => return None,
    };
    Some(Arc::new(Field::clone(field).with_data_type(within)))
}

/// Returns the fields that columns have of which some are converted; `None` where all stay as they are.
fn given_fields(fields: &Fields) -> Option<Fields> {
    let given: Vec<Option<FieldRef>> = fields.iter().map(given).collect();
    if given.iter().all(Option::is_none) {
        return None;
    }
    let given = given.into_iter().zip(fields);
    let given = given.map(|(given, field)| given.unwrap_or_else(|| Arc::clone(field)));
    Some(given.collect())
}

/// Returns values in the type of [`given`]; `None` where they stay as they are.
fn converted(values: &ArrayRef, zone: &Zone) -> Result<Option<ArrayRef>, ArrowError> {
    Ok(match values.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) | DataType::Duration(TimeUnit::Microsecond) => {
            Some(bare_intervals(values)?)
        }
        other if as_text(other).is_some() => Some(texts(values, zone)?),
        DataType::List(element) => {
            let (Some(field), list) = (given(element), values.as_list::<i32>()) else {
                return Ok(None);
            };
            let Some(items) = converted(list.values(), zone)? else {
                return Ok(None);
            };
            let nulls = list.nulls().cloned();
            let list = ListArray::try_new(field, list.offsets().clone(), items, nulls)?;
            Some(Arc::new(list))
        }
        DataType::Map(entries, sorted) => {
            let (Some(field), map) = (given(entries), values.as_map()) else {
                return Ok(None);
            };
            let within: ArrayRef = Arc::new(map.entries().clone());
            let Some(within) = converted(&within, zone)? else {
                return Ok(None);
            };
            let (nulls, within) = (map.nulls().cloned(), within.as_struct().clone());
            let map = MapArray::try_new(field, map.offsets().clone(), within, nulls, *sorted)?;
            Some(Arc::new(map))
        }
        DataType::Struct(_) => members(values.as_struct(), zone)?,
        _ => None,
    })
}

fn members(values: &StructArray, zone: &Zone) -> Result<Option<ArrayRef>, ArrowError> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    let mut as_it_is = true;
    for (field, column) in values.fields().iter().zip(values.columns()) {
        match given(field) {
            None => {
                fields.push(Arc::clone(field));
                columns.push(Arc::clone(column));
            }
            Some(shown) => {
                // What a null struct has within it need not be a value.
                let column = with_nulls(column, values.nulls())?;
                columns.push(converted(&column, zone)?.unwrap_or(column));
                fields.push(shown);
                as_it_is = false;
            }
        }
    }
    if as_it_is {
        return Ok(None);
    }
    let nulls = values.nulls().cloned();
    Ok(Some(Arc::new(StructArray::try_new(
        Fields::from(fields),
        columns,
        nulls,
    )?)))
}

/// Makes values null where `nulls` has nulls, too.
fn with_nulls(values: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef, ArrowError> {
    let nulls = NullBuffer::union(values.nulls(), nulls);
    let data = values.to_data().into_builder().nulls(nulls).build()?;
    Ok(make_array(data))
}
