//! Rows and columns on their way to a client: Arrow's IPC messages in Thrift's structures.
//!
//! The schema is a message, and each batch is another; a client puts them together to a stream.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use ingot_common::{Kind, ServiceError};

use super::columns;
use crate::thrift::Struct;
use crate::warehouse::{Encoding, Fetched};
use crate::{lz4, nested};

/// `TSparkRowSetType.ARROW_BASED_SET`.
const ARROW_BASED: i32 = 0;

/// Makes the response that describes the columns of a result.
pub(super) fn metadata(encoding: Encoding, schema: &SchemaRef) -> Struct {
    let response = super::done()
        .with(2, columns::schema(schema))
        .with(1281, ARROW_BASED)
        .with(1282, encoding.lz4)
        .with(1287, false);
    match messages(&shown(encoding, schema), &[]) {
        Ok((schema, _)) => response.with(1283, schema),
        Err(error) => super::failed(&unencodable(&error)),
    }
}

/// Makes the `TRowSet` of rows.
///
/// # Errors
/// `Internal` for rows that cannot be encoded.
pub(super) fn rows(encoding: Encoding, schema: &SchemaRef, fetched: Fetched) -> Result<Struct, ServiceError> {
    let shown = shown(encoding, schema);
    let batches = fetched.batches.iter().map(|batch| converted(batch, &shown));
    let encoded = batches
        .collect::<Result<Vec<_>, _>>()
        .and_then(|batches| Ok((messages(&shown, &batches)?.1, batches)));
    let (encoded, batches) = encoded.map_err(|error| unencodable(&error))?;
    let mut items = Vec::with_capacity(encoded.len());
    for (batch, bytes) in batches.iter().zip(encoded) {
        let bytes = match encoding.lz4 {
            true => lz4::frame(&bytes)?,
            false => bytes,
        };
        items.push(Struct::default().with(1, bytes).with(2, number(batch.num_rows())));
    }
    Ok(Struct::default()
        .with(1, number(fetched.offset))
        .with(2, Vec::<Struct>::new())
        .with(1281, items))
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns the schema as the client takes it.
fn shown(encoding: Encoding, schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let as_text = match field.data_type() {
            DataType::Timestamp(..) => encoding.timestamps_as_texts,
            DataType::Decimal128(..) => encoding.decimals_as_texts,
            data_type => data_type.is_nested() && encoding.nested_as_texts,
        };
        match as_text {
            true => Arc::new(Field::new(field.name(), DataType::Utf8, field.is_nullable())),
            false => Arc::clone(field),
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn converted(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false if column.data_type().is_nested() => Ok(Arc::new(nested::texts(column)?) as ArrayRef),
        false => cast(column, field.data_type()),
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect::<Result<_, _>>()?, &options)
}

/// Returns the message of a schema, and those of batches of it.
fn messages(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(Vec<u8>, Vec<Vec<u8>>), ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    let header = std::mem::take(writer.get_mut());
    let batches = batches.iter().map(|batch| {
        writer.write(batch)?;
        Ok(std::mem::take(writer.get_mut()))
    });
    let batches = batches.collect::<Result<_, ArrowError>>()?;
    Ok((header, batches))
}

fn unencodable(error: &ArrowError) -> ServiceError {
    ServiceError::new(Kind::Internal, format!("rows cannot be encoded: {error}"))
}
