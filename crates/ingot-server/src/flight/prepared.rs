//! Statements that are prepared: their values come later, as rows of Arrow, and they run once for each row.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, DoPutPreparedStatementResult,
};
use arrow_flight::{FlightInfo, SchemaResult};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use ingot_common::RequestContext;
use ingot_common::ServiceError;
use ingot_common::port::{StatementResult, StatementSession};

use super::begun::{Begun, handle, session_of};
use super::call::Call;
use super::statement::{begun_info, changed, no_transaction, schema_result};
use crate::warehouse::{Prepared, Session};

/// Prepares a statement in the call's session.
pub(super) async fn create(
    call: &Call,
    request: ActionCreatePreparedStatementRequest,
) -> Result<ActionCreatePreparedStatementResult, ServiceError> {
    no_transaction(request.transaction_id.as_ref())?;
    let session = call.session().await?;
    let prepared = async {
        let described = session.own().describe(&call.context, request.query.clone());
        session.prepare(Prepared::new(request.query, described.await?))
    };
    let prepared = prepared
        .await
        .inspect_err(|_| call.state.warehouse.release(&session))?;
    let description = prepared.description();
    let dataset_schema = match &description.schema {
        Some(schema) => schema_result(schema)?.schema,
        None => Bytes::new(),
    };
    let parameter_schema = match description.markers {
        0 => Bytes::new(),
        markers => schema_result(&parameters(markers))?.schema,
    };
    Ok(ActionCreatePreparedStatementResult {
        prepared_statement_handle: handle(&session, prepared.id()),
        dataset_schema,
        parameter_schema,
    })
}

/// Returns the columns that values are asked for in. What types they have only the client knows: any is taken, and texts
/// are what everybody has.
fn parameters(markers: usize) -> Schema {
    let fields = (1..=markers).map(|place| Field::new(place.to_string(), DataType::Utf8, true));
    Schema::new(fields.collect::<Vec<_>>())
}

/// Forgets a statement that is prepared. One that is not there is forgotten already.
pub(super) fn close(call: &Call, handle: &[u8]) {
    if let Ok((session, id)) = session_of(call, handle) {
        session.unprepare(id);
        call.state.warehouse.release(&session);
    }
}

/// Begins a prepared query, and tells its columns and where its rows are.
pub(super) async fn info(call: &Call, handle: &[u8]) -> Result<FlightInfo, ServiceError> {
    let (session, prepared) = find(call, handle)?;
    let rows = prepared.rows();
    let begun = Begun::new(call, session, async move |own, context| {
        run(own, context, &prepared, rows).await
    })?;
    begun_info(begun).await
}

/// Tells what columns a prepared statement would have.
pub(super) fn schema(call: &Call, handle: &[u8]) -> Result<SchemaResult, ServiceError> {
    let (_, prepared) = find(call, handle)?;
    let schema = prepared.description().schema.as_deref();
    schema_result(schema.unwrap_or(&Schema::empty()))
}

/// Takes values.
pub(super) fn bind(
    call: &Call,
    handle: Bytes,
    values: Vec<RecordBatch>,
) -> Result<DoPutPreparedStatementResult, ServiceError> {
    let (_, prepared) = find(call, &handle)?;
    prepared.bind(values);
    Ok(DoPutPreparedStatementResult {
        prepared_statement_handle: Some(handle),
    })
}

/// Runs a prepared statement once for each row of values, once where there are no columns of any. Returns how many rows it
/// changed. Each run is a statement of its own, and stays when one after it fails.
pub(super) async fn update(
    call: &Call,
    handle: &[u8],
    values: Option<Vec<RecordBatch>>,
) -> Result<i64, ServiceError> {
    let (session, prepared) = find(call, handle)?;
    let rows = match values {
        Some(values) => {
            prepared.bind(values);
            prepared.rows()
        }
        None => match prepared.rows() {
            rows if rows.is_empty() => vec![RecordBatch::new_empty(Arc::new(Schema::empty()))],
            rows => rows,
        },
    };
    let mut total = 0_i64;
    for row in rows {
        let statement = Arc::clone(&prepared);
        let begun = Begun::new(call, Arc::clone(&session), async move |own, context| {
            run(own, context, &statement, vec![row]).await
        })?;
        total = match changed(begun).await? {
            -1 => -1,
            more if total >= 0 => total.saturating_add(more),
            _ => total,
        };
    }
    Ok(total)
}

fn find(call: &Call, handle: &[u8]) -> Result<(Arc<Session>, Arc<Prepared>), ServiceError> {
    let (session, id) = session_of(call, handle)?;
    let prepared = session.prepared(id)?;
    Ok((session, prepared))
}

/// Runs a statement for each row of values, one after the other as their rows are read; without values once.
async fn run(
    own: Arc<dyn StatementSession>,
    context: RequestContext,
    prepared: &Prepared,
    rows: Vec<RecordBatch>,
) -> Result<StatementResult, ServiceError> {
    let statement = prepared.statement().to_owned();
    let mut rows = rows.into_iter();
    let Some(first) = rows.next().filter(|row| row.num_columns() > 0) else {
        return own.execute(&context, statement, Vec::new()).await;
    };
    let result = own.execute_bound(&context, statement.clone(), first).await?;
    if rows.len() == 0 {
        return Ok(result);
    }
    let rest = futures::stream::iter(rows).then(move |row| {
        let (own, context, statement) = (Arc::clone(&own), context.clone(), statement.clone());
        async move {
            let result = own.execute_bound(&context, statement, row).await?;
            Ok::<_, ServiceError>(result.batches)
        }
    });
    Ok(StatementResult {
        schema: result.schema,
        batches: result.batches.chain(rest.try_flatten()).boxed(),
    })
}
