//! Flights as JSON, from the Parquet file of the data package, which holds every column as a string.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::json::writer::{LineDelimited, WriterBuilder};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::error::{Error, Result};

/// Columns that are text in JSON, too; all others are integers.
const TEXT_COLUMNS: [&str; 5] = ["carrier", "tailnum", "origin", "dest", "time_hour"];
const ROWS_PER_BATCH: usize = 8192;

/// One flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flight {
    /// `time_hour/carrier/flight/origin`: unique over all flights.
    pub key: String,
    /// The flight as one JSON object.
    pub json: String,
    pub month: i64,
    pub carrier: String,
    /// The aircraft; unknown for some flights.
    pub tail_number: Option<String>,
    /// Minutes; `None` for a cancelled flight.
    pub departure_delay: Option<i64>,
    /// Minutes; `None` for a flight that did not arrive where it should.
    pub arrival_delay: Option<i64>,
}

/// Reads the flights of `path` in the file's order.
pub fn read_flights(path: &Path) -> Result<impl Iterator<Item = Result<Flight>> + Send + use<>> {
    let reader = open(path)?;
    let path = path.to_owned();
    Ok(reader.flat_map(move |batch| {
        let flights = batch
            .map_err(Error::from)
            .and_then(|batch| convert(&batch))
            .map_err(|error| Error::Demo {
                message: format!("flights of `{}` are not as expected: {error}", path.display()),
            });
        match flights {
            Ok(flights) => flights.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    }))
}

fn open(path: &Path) -> Result<ParquetRecordBatchReader> {
    let file = File::open(path).map_err(Error::file("open flights", path))?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(ROWS_PER_BATCH).build())
        .map_err(|source| Error::Flights {
            path: path.to_owned(),
            source,
        })
}

fn convert(batch: &RecordBatch) -> Result<Vec<Flight>> {
    let typed = typed(batch)?;
    let mut lines = Vec::new();
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, LineDelimited>(&mut lines);
    writer.write(&typed)?;
    writer.finish()?;
    drop(writer);
    let column = |name: &str| {
        typed.column_by_name(name).ok_or_else(|| Error::Demo {
            message: format!("column `{name}` is missing"),
        })
    };
    let month = column("month")?.as_primitive::<Int64Type>();
    let number = column("flight")?.as_primitive::<Int64Type>();
    let departure = column("dep_delay")?.as_primitive::<Int64Type>();
    let arrival = column("arr_delay")?.as_primitive::<Int64Type>();
    let carrier = column("carrier")?.as_string::<i32>();
    let tail_number = column("tailnum")?.as_string::<i32>();
    let origin = column("origin")?.as_string::<i32>();
    let time_hour = column("time_hour")?.as_string::<i32>();
    let value = |array: &Int64Array, row: usize| array.is_valid(row).then(|| array.value(row));
    // JSON escapes line breaks within strings, so a line is a row.
    let lines = String::from_utf8_lossy(&lines);
    let flights = lines.lines().enumerate().map(|(row, json)| Flight {
        key: format!(
            "{}/{}/{}/{}",
            time_hour.value(row),
            carrier.value(row),
            number.value(row),
            origin.value(row)
        ),
        json: json.to_owned(),
        month: month.value(row),
        carrier: carrier.value(row).to_owned(),
        tail_number: tail_number
            .is_valid(row)
            .then(|| tail_number.value(row).to_owned()),
        departure_delay: value(departure, row),
        arrival_delay: value(arrival, row),
    });
    Ok(flights.collect())
}

fn typed(batch: &RecordBatch) -> Result<RecordBatch> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let data_type = if TEXT_COLUMNS.contains(&field.name().as_str()) {
            DataType::Utf8
        } else {
            DataType::Int64
        };
        columns.push(cast_with_options(column, &data_type, &strict)?);
        fields.push(Field::new(field.name(), data_type, true));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
