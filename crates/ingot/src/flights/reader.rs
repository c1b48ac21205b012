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
    pub day: i64,
    pub carrier: String,
    pub origin: String,
    pub dest: String,
    /// The scheduled hour, as ISO 8601: earlier hours compare as less.
    pub time_hour: String,
    /// The aircraft; unknown for some flights.
    pub tail_number: Option<String>,
    /// Minutes; `None` for a cancelled flight.
    pub departure_delay: Option<i64>,
    /// Minutes; `None` for a flight that did not arrive where it should.
    pub arrival_delay: Option<i64>,
}

/// Reads the flights of `path` in the file's order: all, or `sample` of them, spread evenly over the file.
pub fn read_flights(
    path: &Path,
    sample: Option<usize>,
) -> Result<impl Iterator<Item = Result<Flight>> + Send + use<>> {
    let (reader, total) = open(path)?;
    let path = path.to_owned();
    let flights = reader.flat_map(move |batch| {
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
    });
    let numbered = flights.enumerate();
    Ok(numbered.filter_map(move |(number, flight)| in_sample(number, total, sample).then_some(flight)))
}

/// Returns the reader and how many rows it will give.
fn open(path: &Path) -> Result<(ParquetRecordBatchReader, usize)> {
    let failed = |source| Error::Flights {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(Error::file("open flights", path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
    let rows = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default();
    let reader = builder.with_batch_size(ROWS_PER_BATCH).build().map_err(failed)?;
    Ok((reader, rows))
}

/// Says if row `number` of `total` is one of the `sample` that are spread evenly.
fn in_sample(number: usize, total: usize, sample: Option<usize>) -> bool {
    let Some(sample) = sample.filter(|sample| *sample < total) else {
        return true;
    };
    (number + 1) * sample / total > number * sample / total
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
    let day = column("day")?.as_primitive::<Int64Type>();
    let number = column("flight")?.as_primitive::<Int64Type>();
    let departure = column("dep_delay")?.as_primitive::<Int64Type>();
    let arrival = column("arr_delay")?.as_primitive::<Int64Type>();
    let carrier = column("carrier")?.as_string::<i32>();
    let tail_number = column("tailnum")?.as_string::<i32>();
    let origin = column("origin")?.as_string::<i32>();
    let dest = column("dest")?.as_string::<i32>();
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
        day: day.value(row),
        carrier: carrier.value(row).to_owned(),
        origin: origin.value(row).to_owned(),
        dest: dest.value(row).to_owned(),
        time_hour: time_hour.value(row).to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case(10, None, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]; "all")]
    #[test_case(10, Some(20), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]; "more than there are")]
    #[test_case(10, Some(5), &[1, 3, 5, 7, 9]; "half")]
    #[test_case(10, Some(3), &[3, 6, 9]; "a third")]
    #[test_case(10, Some(0), &[]; "none")]
    fn a_sample_is_spread_evenly(total: usize, sample: Option<usize>, expected: &[usize]) {
        let chosen: Vec<_> = (0..total)
            .filter(|number| in_sample(*number, total, sample))
            .collect();
        assert_eq!(chosen, expected);
    }
}
