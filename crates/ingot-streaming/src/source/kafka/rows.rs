//! Records as rows. Source: Spark, "Structured Streaming + Kafka Integration Guide", schema of the source.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
    RecordBatchOptions, StringBuilder, StructBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use rdkafka::message::{BorrowedMessage, Message, Timestamp};

use super::headers::{Header, headers};

/// Rows of a batch at most. JSON decoding downstream is fastest at this size.
const ROWS_MAX: usize = 4096;
/// Bytes of keys, values and headers after which a batch ends. With one record more, whatever its size, columns stay
/// below the 2 GiB that their 32-bit offsets reach.
const BYTES_MAX: usize = 8 << 20;

/// Returns the columns of the source.
pub fn schema(include_headers: bool) -> SchemaRef {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("topic", DataType::Utf8, true),
        Field::new("partition", DataType::Int32, true),
        Field::new("offset", DataType::Int64, true),
        Field::new("timestamp", timestamp, true),
        Field::new("timestampType", DataType::Int32, true),
    ];
    if include_headers {
        let item = Field::new("item", DataType::Struct(header_fields()), true);
        fields.push(Field::new("headers", DataType::List(Arc::new(item)), true));
    }
    Arc::new(Schema::new(fields))
}

fn header_fields() -> Fields {
    vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("value", DataType::Binary, true),
    ]
    .into()
}

/// Builds the wanted columns of a batch.
pub struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    with_headers: bool,
    rows: usize,
    bytes: usize,
}

enum Column {
    Key(BinaryBuilder),
    Value(BinaryBuilder),
    Topic(StringBuilder),
    Partition(Int32Builder),
    Offset(Int64Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampType(Int32Builder),
    Headers(ListBuilder<StructBuilder>),
}

impl Rows {
    /// Makes an empty batch with the columns of `schema`, which are columns of the source.
    pub fn new(schema: SchemaRef) -> Self {
        let columns = schema
            .fields()
            .iter()
            .filter_map(|field| Column::new(field.name()));
        let columns: Vec<Column> = columns.collect();
        Self {
            with_headers: columns.iter().any(|column| matches!(column, Column::Headers(_))),
            columns,
            schema,
            rows: 0,
            bytes: 0,
        }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &BorrowedMessage<'_>) {
        let headers = match self.with_headers {
            true => headers(record),
            false => Vec::new(),
        };
        for column in &mut self.columns {
            column.push(record, &headers);
        }
        self.rows += 1;
        let size = |header: &Header<'_>| header.key.len() + header.value.map_or(0, <[u8]>::len);
        self.bytes += record.payload_len() + record.key_len() + headers.iter().map(size).sum::<usize>();
    }

    /// Says if the batch should end.
    pub fn full(&self) -> bool {
        self.rows >= ROWS_MAX || self.bytes >= BYTES_MAX
    }

    /// Returns the rows so far and starts a new batch; `None` when there are none.
    pub fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let columns: Vec<ArrayRef> = self.columns.iter_mut().map(Column::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map(Some)
    }
}

impl Column {
    fn new(name: &str) -> Option<Self> {
        Some(match name {
            "key" => Self::Key(BinaryBuilder::new()),
            "value" => Self::Value(BinaryBuilder::new()),
            "topic" => Self::Topic(StringBuilder::new()),
            "partition" => Self::Partition(Int32Builder::new()),
            "offset" => Self::Offset(Int64Builder::new()),
            "timestamp" => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            "timestampType" => Self::TimestampType(Int32Builder::new()),
            "headers" => Self::Headers(ListBuilder::new(StructBuilder::from_fields(header_fields(), 0))),
            _ => return None,
        })
    }

    fn push(&mut self, record: &BorrowedMessage<'_>, headers: &[Header<'_>]) {
        match self {
            Self::Key(column) => column.append_option(record.key()),
            Self::Value(column) => column.append_option(record.payload()),
            Self::Topic(column) => column.append_value(record.topic()),
            Self::Partition(column) => column.append_value(record.partition()),
            Self::Offset(column) => column.append_value(record.offset()),
            Self::Timestamp(column) => {
                let micros = record.timestamp().to_millis().map(|ms| ms.saturating_mul(1000));
                column.append_option(micros);
            }
            Self::TimestampType(column) => column.append_value(match record.timestamp() {
                Timestamp::NotAvailable => -1,
                Timestamp::CreateTime(_) => 0,
                Timestamp::LogAppendTime(_) => 1,
            }),
            Self::Headers(column) => push_headers(column, headers),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Key(column) | Self::Value(column) => ArrayBuilder::finish(column),
            Self::Topic(column) => ArrayBuilder::finish(column),
            Self::Partition(column) | Self::TimestampType(column) => ArrayBuilder::finish(column),
            Self::Offset(column) => ArrayBuilder::finish(column),
            Self::Timestamp(column) => ArrayBuilder::finish(column),
            Self::Headers(column) => ArrayBuilder::finish(column),
        }
    }
}

/// Adds a record's headers: null when it has none, as in Spark.
fn push_headers(column: &mut ListBuilder<StructBuilder>, headers: &[Header<'_>]) {
    for header in headers {
        let entry = column.values();
        if let Some(keys) = entry.field_builder::<StringBuilder>(0) {
            keys.append_value(&header.key);
        }
        if let Some(values) = entry.field_builder::<BinaryBuilder>(1) {
            values.append_option(header.value);
        }
        entry.append(true);
    }
    column.append(!headers.is_empty());
}
