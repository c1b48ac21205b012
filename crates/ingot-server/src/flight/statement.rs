//! Statements: run for their rows, or for what they change.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{Any, CommandStatementQuery, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightData, FlightEndpoint, FlightInfo, SchemaAsIpc, SchemaResult, Ticket};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use ingot_common::{Kind, ServiceError};
use prost::Message;

use super::begun::Begun;
use super::call::Call;
use super::{Answers, unsupported};

/// Begins a query, and tells its columns and where its rows are.
pub(super) async fn info(call: &Call, query: CommandStatementQuery) -> Result<FlightInfo, ServiceError> {
    no_transaction(query.transaction_id.as_ref())?;
    let begun = begin(call, query.query).await?;
    begun_info(begun).await
}

/// Begins a statement in the call's session.
pub(super) async fn begin(call: &Call, statement: String) -> Result<Begun, ServiceError> {
    let session = call.session().await?;
    Begun::new(call, session, async move |own, context| {
        own.execute(&context, statement, Vec::new()).await
    })
}

/// Waits for the columns of what has begun, and tells them and where its rows are.
pub(super) async fn begun_info(begun: Begun) -> Result<FlightInfo, ServiceError> {
    let (schema, _) = begun.finished().await?;
    let ticket = TicketStatementQuery {
        statement_handle: begun.keep(),
    };
    info_of(&sent(&schema), ticket.as_any())
}

/// Tells what columns a statement would have.
pub(super) async fn schema(call: &Call, query: CommandStatementQuery) -> Result<SchemaResult, ServiceError> {
    no_transaction(query.transaction_id.as_ref())?;
    let session = call.session().await?;
    let described = session.own().describe(&call.context, query.query).await;
    call.state.warehouse.release(&session);
    schema_result(described?.schema.as_deref().unwrap_or(&Schema::empty()))
}

/// Streams the rows of a ticket.
pub(super) async fn rows(call: &Call, handle: &[u8]) -> Result<Answers<FlightData>, ServiceError> {
    let begun = Begun::claimed(call, handle)?;
    let (schema, _) = begun.finished().await?;
    Ok(encoded(call, nullable(&schema), begun.rows()))
}

/// Encodes rows, until the time of the call is over.
pub(super) fn encoded(
    call: &Call,
    schema: SchemaRef,
    rows: impl Stream<Item = Result<RecordBatch, ServiceError>> + Send + 'static,
) -> Answers<FlightData> {
    let own = call.clone();
    let rows = call
        .in_time(rows)
        .map_err(move |error| FlightError::Tonic(Box::new(own.status(error))));
    let encoder = FlightDataEncoderBuilder::new().with_schema(schema).build(rows);
    let call = call.clone();
    let encoded = encoder.map_err(move |error| match error {
        FlightError::Tonic(status) => *status,
        other => {
            let message = format!("rows cannot be encoded: {other}");
            call.status(ServiceError::new(Kind::Internal, message))
        }
    });
    encoded.boxed()
}

/// Returns the schema as it is sent: dictionaries are written out.
fn sent(schema: &Schema) -> SchemaRef {
    let schema = nullable(schema);
    let encoder = FlightDataEncoderBuilder::new().with_schema(Arc::clone(&schema));
    let encoder = encoder.build(futures::stream::empty());
    encoder.known_schema().unwrap_or(schema)
}

/// Lets every column be null: what a plan says of nulls is about its expressions, and the encoder would hold rows to it.
fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields = fields.map(|field| Field::clone(field).with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Makes the description of rows that are here.
pub(super) fn info_of(schema: &Schema, ticket: Any) -> Result<FlightInfo, ServiceError> {
    let ticket = Ticket::new(Bytes::from(ticket.encode_to_vec()));
    let endpoint = FlightEndpoint::new().with_ticket(ticket);
    let info = FlightInfo::new().try_with_schema(schema);
    let info = info.map_err(|error| unencodable(&error))?;
    Ok(info
        .with_endpoint(endpoint)
        .with_ordered(true)
        .with_total_records(-1)
        .with_total_bytes(-1))
}

pub(super) fn schema_result(schema: &Schema) -> Result<SchemaResult, ServiceError> {
    let options = IpcWriteOptions::default();
    SchemaAsIpc::new(schema, &options)
        .try_into()
        .map_err(|error| unencodable(&error))
}

fn unencodable(error: &arrow::error::ArrowError) -> ServiceError {
    ServiceError::new(Kind::Internal, format!("columns cannot be encoded: {error}"))
}

/// Refuses a statement of a transaction.
pub(super) fn no_transaction(transaction: Option<&Bytes>) -> Result<(), ServiceError> {
    match transaction.filter(|id| !id.is_empty()) {
        Some(_) => Err(unsupported("transactions of several statements")),
        None => Ok(()),
    }
}

/// Returns how many rows a statement changed that has ended: none for one that gives nothing, `-1` where it does not
/// say. Source: `FlightSql.proto`, `DoPutUpdateResult`.
pub(super) async fn changed(begun: Begun) -> Result<i64, ServiceError> {
    let (schema, modified) = begun.finished().await?;
    Ok(match modified {
        Some(modified) => modified,
        None if schema.fields().is_empty() => 0,
        None => -1,
    })
}
