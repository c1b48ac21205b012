//! Results of statements on standard output, the same whether a server or the embedded engine ran them.
//!
//! Rows are encoded in memory, a batch at a time, and then written: an error of the encoding is never taken for
//! one of the output, or the other way round. On a terminal tables are made to fit; anywhere else they are whole.

mod cells;
mod table;
mod vertical;

use std::io::{IsTerminal, Write};

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_options;
use clap::ValueEnum;
use futures::StreamExt;
use ingot_common::port::StatementResult;
use parquet::arrow::ArrowWriter;

use self::cells::Cells;
use crate::error::{Error, Result};

/// Places of a terminal that does not say how wide it is.
const PLACES_DEFAULT: usize = 80;

/// Rows that a table shows at most: a table is laid out as a whole, so it must fit into memory.
pub const TABLE_ROWS_MAX: usize = 10_000;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Boxes, for people; 10,000 rows at most.
    Table,
    /// One JSON object a line, keyed by column name; also called `ndjson`.
    #[value(alias = "ndjson")]
    Json,
    /// Comma-separated values with a header line.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
    /// A table for documents in Markdown; 10,000 rows at most.
    Markdown,
    /// A line for each value; 10,000 rows at most.
    Vertical,
}

impl Format {
    /// Says if the format is for programs that read bytes.
    pub fn binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }
}

/// What was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Printed {
    pub rows: usize,
    /// Whether the format left rows out.
    pub truncated: bool,
}

/// Prints `result` to `out` as it arrives. A result without columns (of DDL) prints nothing.
pub async fn print(result: StatementResult, format: Format, out: &mut impl Write) -> Result<Printed> {
    if result.schema.fields().is_empty() {
        drain(result).await?;
        return Ok(Printed {
            rows: 0,
            truncated: false,
        });
    }
    match format {
        Format::Table | Format::Markdown | Format::Vertical => print_table(result, format, out).await,
        Format::Json => print_json(result, out).await,
        Format::Csv => print_csv(result, out).await,
        Format::Arrow => print_arrow(result, out).await,
        Format::Parquet => print_parquet(result, out).await,
    }
}

/// Reads `result` to its end and returns its batches.
pub async fn collect(mut result: StatementResult) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let mut batches = Vec::new();
    while let Some(batch) = result.batches.next().await {
        batches.push(batch?);
    }
    Ok((result.schema, batches))
}

async fn drain(mut result: StatementResult) -> Result<()> {
    while let Some(batch) = result.batches.next().await {
        batch?;
    }
    Ok(())
}

async fn print_table(mut result: StatementResult, format: Format, out: &mut impl Write) -> Result<Printed> {
    let mut batches = vec![RecordBatch::new_empty(result.schema.clone())];
    let mut rows = 0;
    let mut truncated = false;
    while let Some(batch) = result.batches.next().await {
        let batch = batch?;
        let room = TABLE_ROWS_MAX - rows;
        truncated = batch.num_rows() > room;
        let shown = batch.slice(0, batch.num_rows().min(room));
        rows += shown.num_rows();
        batches.push(shown);
        if truncated {
            break;
        }
    }
    let text = laid_out(&result.schema, &batches, format, terminal_places())?;
    out.write_all(text.as_bytes()).map_err(Error::Print)?;
    out.flush().map_err(Error::Print)?;
    Ok(Printed { rows, truncated })
}

/// Returns how wide the terminal is that results go to; `None` where they go elsewhere.
fn terminal_places() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let size = console::Term::stdout().size_checked();
    Some(size.map_or(PLACES_DEFAULT, |(_, columns)| usize::from(columns)))
}

/// Writes all rows as a text, for a terminal of `places` if there is one.
fn laid_out(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    format: Format,
    places: Option<usize>,
) -> Result<String> {
    Ok(match (format, places) {
        (Format::Markdown, _) => table::markdown(&Cells::of(schema, batches)?),
        (Format::Vertical, places) => {
            vertical::records(&Cells::of(schema, batches)?, places.unwrap_or(PLACES_DEFAULT))
        }
        (_, Some(places)) => table::fitting(&Cells::of(schema, batches)?, places),
        (_, None) => {
            let options = FormatOptions::default().with_null(cells::NULL);
            let table = pretty_format_batches_with_options(batches, &options)?;
            format!("{table}\n")
        }
    })
}

/// Writes a Parquet file; its footer comes with the last row.
async fn print_parquet(mut result: StatementResult, out: &mut impl Write) -> Result<Printed> {
    let mut rows = 0;
    let failed = |error: parquet::errors::ParquetError| Error::Format(error.into());
    let mut writer = ArrowWriter::try_new(Vec::new(), result.schema.clone(), None).map_err(failed)?;
    while let Some(batch) = result.batches.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        writer.write(&batch).map_err(failed)?;
        let piece = std::mem::take(writer.inner_mut());
        out.write_all(&piece).map_err(Error::Print)?;
    }
    let rest = writer.into_inner().map_err(failed)?;
    out.write_all(&rest).map_err(Error::Print)?;
    all(rows, out)
}

async fn print_json(mut result: StatementResult, out: &mut impl Write) -> Result<Printed> {
    let mut rows = 0;
    while let Some(batch) = result.batches.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        let mut piece = Vec::new();
        let mut writer = WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, LineDelimited>(&mut piece);
        writer.write(&batch)?;
        writer.finish()?;
        drop(writer);
        out.write_all(&piece).map_err(Error::Print)?;
    }
    all(rows, out)
}

async fn print_csv(mut result: StatementResult, out: &mut impl Write) -> Result<Printed> {
    let mut rows = 0;
    let mut header = true;
    let mut write = |batch: &RecordBatch| -> Result<()> {
        let mut piece = Vec::new();
        let builder = csv::WriterBuilder::new().with_header(std::mem::take(&mut header));
        builder.build(&mut piece).write(batch)?;
        out.write_all(&piece).map_err(Error::Print)
    };
    // The header stands even when no row follows.
    write(&RecordBatch::new_empty(result.schema.clone()))?;
    while let Some(batch) = result.batches.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        write(&batch)?;
    }
    all(rows, out)
}

async fn print_arrow(mut result: StatementResult, out: &mut impl Write) -> Result<Printed> {
    let mut writer = StreamWriter::try_new(Vec::new(), &result.schema)?;
    let mut rows = 0;
    while let Some(batch) = result.batches.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        writer.write(&batch)?;
        let piece = std::mem::take(writer.get_mut());
        out.write_all(&piece).map_err(Error::Print)?;
    }
    writer.finish()?;
    out.write_all(writer.get_ref()).map_err(Error::Print)?;
    all(rows, out)
}

/// Ends a format that leaves no row out.
fn all(rows: usize, out: &mut impl Write) -> Result<Printed> {
    out.flush().map_err(Error::Print)?;
    Ok(Printed {
        rows,
        truncated: false,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn result(batches: usize) -> StatementResult {
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
        ]));
        let batch = RecordBatch::try_new(
            schema.clone(),
            vec![
                Arc::new(Int64Array::from(vec![1, 2])),
                Arc::new(StringArray::from(vec![Some("a,\"b"), None])),
            ],
        )
        .expect("batch");
        let batches = vec![Ok(batch); batches];
        StatementResult {
            schema,
            batches: futures::stream::iter(batches).boxed(),
        }
    }

    async fn printed(format: Format, batches: usize) -> (Printed, Vec<u8>) {
        let mut out = Vec::new();
        let printed = print(result(batches), format, &mut out).await.expect("printed");
        (printed, out)
    }

    #[tokio::test]
    async fn json_is_one_object_a_line_with_nulls() {
        let (printed, out) = printed(Format::Json, 2).await;
        assert_eq!(printed.rows, 4);
        let text = String::from_utf8(out).expect("utf-8");
        assert_eq!(text.lines().count(), 4);
        assert_eq!(text.lines().nth(1), Some(r#"{"id":2,"name":null}"#));
    }

    #[tokio::test]
    async fn csv_has_one_header_even_without_rows() {
        let (_, out) = printed(Format::Csv, 2).await;
        assert_eq!(
            String::from_utf8(out).expect("utf-8"),
            "id,name\n1,\"a,\"\"b\"\n2,\n1,\"a,\"\"b\"\n2,\n"
        );
        let (_, out) = printed(Format::Csv, 0).await;
        assert_eq!(String::from_utf8(out).expect("utf-8"), "id,name\n");
    }

    #[tokio::test]
    async fn arrow_is_read_back() {
        let (_, out) = printed(Format::Arrow, 2).await;
        let reader = arrow::ipc::reader::StreamReader::try_new(out.as_slice(), None).expect("stream");
        assert_eq!(
            reader
                .map(|batch| batch.expect("batch").num_rows())
                .sum::<usize>(),
            4
        );
    }

    #[tokio::test]
    async fn parquet_is_read_back() {
        use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

        for batches in [0, 2] {
            let (printed, out) = printed(Format::Parquet, batches).await;
            let reader = ParquetRecordBatchReader::try_new(bytes::Bytes::from(out), 1024).expect("a file");
            let rows: usize = reader.map(|batch| batch.expect("batch").num_rows()).sum();
            assert_eq!((rows, printed.rows), (2 * batches, rows));
        }
    }

    /// A pipe whose reader has gone.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_reader_that_left_is_known_in_every_format() {
        for format in Format::value_variants() {
            let format = *format;
            let error = print(result(1), format, &mut Closed).await.expect_err("closed");
            assert!(error.reader_left(), "{format:?}: {error}");
        }
    }

    #[tokio::test]
    async fn table_stops_at_its_limit_and_says_so() {
        let (printed, _) = printed(Format::Table, TABLE_ROWS_MAX).await;
        assert_eq!(
            printed,
            Printed {
                rows: TABLE_ROWS_MAX,
                truncated: true
            }
        );
    }
}
