//! Rows as JSON, JSON lines, CSV, an Arrow stream or Parquet, piece by piece.

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// Rows that are encoded at a time: keeps a piece small and the runtime's threads free.
pub const ROWS_PER_PIECE: usize = 1024;

/// Encoded bytes after which a row group of Parquet is given out: what an answer holds in memory.
const ROW_GROUP_BYTES: usize = 8 << 20;

/// What a client can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An array of objects keyed by column name; nulls are written.
    Json,
    /// Comma-separated values with a header line.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
    /// An object as in JSON on each line.
    Ndjson,
    /// A Parquet file.
    Parquet,
}

impl Format {
    /// All of them, the preferred one first.
    pub const ALL: [Self; 5] = [Self::Json, Self::Csv, Self::Arrow, Self::Ndjson, Self::Parquet];

    /// Returns what the parameter `format` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }

    /// Finds a format by its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Returns the media type, without parameters.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Returns the value of the answer's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            other => other.media_type(),
        }
    }

    /// Returns the first column that the format has no place for.
    pub fn refused(self, schema: &Schema) -> Option<&str> {
        let fits = |data_type: &DataType| match self {
            Self::Json | Self::Ndjson => keys_are_text(data_type),
            Self::Csv => !data_type.is_nested(),
            Self::Arrow | Self::Parquet => true,
        };
        let refused = schema.fields().iter().find(|field| !fits(field.data_type()));
        refused.map(|field| field.name().as_str())
    }
}

/// Encodes the batches of one result. Call [`Encoder::batch`] for each, then [`Encoder::finish`].
pub enum Encoder {
    Json { rows: bool },
    Csv { header: bool, schema: SchemaRef },
    Arrow(Box<StreamWriter<Vec<u8>>>),
    Ndjson,
    Parquet(Box<ArrowWriter<Vec<u8>>>),
}

impl Encoder {
    /// Makes an encoder for rows of `schema`.
    pub fn new(format: Format, schema: &SchemaRef) -> Result<Self, ArrowError> {
        Ok(match format {
            Format::Json => Self::Json { rows: false },
            Format::Csv => Self::Csv {
                header: true,
                schema: schema.clone(),
            },
            Format::Arrow => Self::Arrow(Box::new(StreamWriter::try_new(Vec::new(), schema)?)),
            Format::Ndjson => Self::Ndjson,
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .build();
                let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties));
                Self::Parquet(Box::new(writer.map_err(parquet)?))
            }
        })
    }

    /// Encodes a batch. What it returns may be empty, and hold rows of batches before.
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        match self {
            Self::Json { rows } => json(batch, rows),
            Self::Csv { header, .. } => csv_rows(batch, header),
            Self::Arrow(writer) => {
                writer.write(batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Self::Ndjson => lines(batch),
            Self::Parquet(writer) => {
                writer.write(batch).map_err(parquet)?;
                if writer.in_progress_size() >= ROW_GROUP_BYTES {
                    writer.flush().map_err(parquet)?;
                }
                Ok(std::mem::take(writer.inner_mut()))
            }
        }
    }

    /// Encodes the end.
    pub fn finish(&mut self) -> Result<Vec<u8>, ArrowError> {
        match self {
            Self::Json { rows } => Ok(if *rows {
                b"\n]\n".to_vec()
            } else {
                b"[]\n".to_vec()
            }),
            Self::Csv { header, schema } if *header && !schema.fields().is_empty() => {
                csv_rows(&RecordBatch::new_empty(schema.clone()), header)
            }
            Self::Csv { .. } | Self::Ndjson => Ok(Vec::new()),
            Self::Arrow(writer) => {
                writer.finish()?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Self::Parquet(writer) => {
                writer.finish().map_err(parquet)?;
                Ok(std::mem::take(writer.inner_mut()))
            }
        }
    }
}

/// JSON's objects have keys of text only.
fn keys_are_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let text = fields.first().is_some_and(|key| key.data_type().is_string());
                text && fields.iter().all(|field| keys_are_text(field.data_type()))
            }
            _ => false,
        },
        DataType::Struct(fields) => fields.iter().all(|field| keys_are_text(field.data_type())),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => keys_are_text(item.data_type()),
        DataType::Union(_, _) => false,
        _ => true,
    }
}

/// One object a line, with commas between.
fn json(batch: &RecordBatch, rows: &mut bool) -> Result<Vec<u8>, ArrowError> {
    let lines = lines(batch)?;
    let mut piece = Vec::with_capacity(lines.len() + batch.num_rows() + 2);
    // JSON escapes line breaks within strings, so a line is a row.
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        piece.extend_from_slice(if *rows { b",\n" } else { b"[\n" });
        *rows = true;
        piece.extend_from_slice(line);
    }
    Ok(piece)
}

/// One object a line.
fn lines(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut lines = Vec::new();
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, LineDelimited>(&mut lines);
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    Ok(lines)
}

#[expect(clippy::needless_pass_by_value, reason = "maps errors")]
fn parquet(error: ParquetError) -> ArrowError {
    ArrowError::ParquetError(error.to_string())
}

fn csv_rows(batch: &RecordBatch, header: &mut bool) -> Result<Vec<u8>, ArrowError> {
    let mut piece = Vec::new();
    csv::WriterBuilder::new()
        .with_header(std::mem::take(header))
        .build(&mut piece)
        .write(batch)?;
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{Field, Fields};
    use test_case::test_case;

    use super::*;

    fn encoded(format: Format, batches: usize) -> Vec<u8> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
        ]));
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![1, 2])),
            Arc::new(StringArray::from(vec![Some("a\nb"), None])),
        ];
        let batch = RecordBatch::try_new(schema.clone(), columns).expect("batch");
        let mut encoder = Encoder::new(format, &schema).expect("encoder");
        let mut bytes = Vec::new();
        for _ in 0..batches {
            bytes.extend(encoder.batch(&batch).expect("batch"));
        }
        bytes.extend(encoder.finish().expect("end"));
        bytes
    }

    fn nested_schema() -> Schema {
        let list = DataType::new_list(DataType::Int32, true);
        let map = |key: DataType| {
            let entries = DataType::Struct(Fields::from(vec![
                Field::new("key", key, false),
                Field::new("value", DataType::Int32, true),
            ]));
            DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
        };
        Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("tags", list, true),
            Field::new("by_name", map(DataType::Utf8), true),
            Field::new("by_id", map(DataType::Int64), true),
        ])
    }

    #[test_case(Format::Json, Some("by_id"))]
    #[test_case(Format::Csv, Some("tags"))]
    #[test_case(Format::Arrow, None)]
    #[test_case(Format::Ndjson, Some("by_id"))]
    #[test_case(Format::Parquet, None)]
    fn a_column_that_does_not_fit_is_named(format: Format, column: Option<&str>) {
        assert_eq!(format.refused(&nested_schema()), column);
    }

    #[test_case(0, 0)]
    #[test_case(1, 2)]
    #[test_case(3, 6)]
    fn json_is_one_array(batches: usize, rows: usize) {
        let value: serde_json::Value = serde_json::from_slice(&encoded(Format::Json, batches)).expect("JSON");
        assert_eq!(value.as_array().map(Vec::len), Some(rows));
    }

    #[test]
    fn csv_has_one_header() {
        let text = |batches| String::from_utf8(encoded(Format::Csv, batches)).expect("UTF-8");
        assert_eq!(text(0), "id,name\n");
        assert_eq!(text(2), "id,name\n1,\"a\nb\"\n2,\n1,\"a\nb\"\n2,\n");
    }

    #[test]
    fn arrow_is_read_back() {
        let bytes = encoded(Format::Arrow, 3);
        let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).expect("stream");
        assert_eq!(
            reader
                .map(|batch| batch.expect("batch").num_rows())
                .sum::<usize>(),
            6
        );
    }

    #[test]
    fn lines_are_objects() {
        let text = String::from_utf8(encoded(Format::Ndjson, 2)).expect("UTF-8");
        let rows: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[1], serde_json::json!({"id": 2, "name": null}));
        assert!(encoded(Format::Ndjson, 0).is_empty());
    }

    #[test_case(0, 0)]
    #[test_case(3, 6)]
    fn parquet_is_read_back(batches: usize, rows: usize) {
        let bytes = bytes::Bytes::from(encoded(Format::Parquet, batches));
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes);
        let reader = reader.expect("footer").build().expect("reader");
        let read: usize = reader.map(|batch| batch.expect("batch").num_rows()).sum();
        assert_eq!(read, rows);
    }
}
