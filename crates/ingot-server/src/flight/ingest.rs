//! Bulk ingestion: the rows of a call into a table, in one commit.
//!
//! Source: `FlightSql.proto`, `CommandStatementIngest`.

use std::sync::Arc;

use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use futures::StreamExt;
use ingot_common::ServiceError;
use ingot_common::port::{IfExists, IfMissing, IngestRequest};

use super::begun::Begun;
use super::call::Call;
use super::put::Put;
use super::statement::{changed, no_transaction};
use super::{invalid, unsupported};

/// Writes rows into a table. Returns how many.
pub(super) async fn ingest(
    call: &Call,
    target: CommandStatementIngest,
    put: Put,
) -> Result<i64, ServiceError> {
    no_transaction(target.transaction_id.as_ref())?;
    let request = request(target, put)?;
    let session = call.session().await?;
    let begun = Begun::new(call, session, async move |own, context| {
        own.ingest(&context, request).await
    })?;
    changed(begun).await
}

fn request(target: CommandStatementIngest, put: Put) -> Result<IngestRequest, ServiceError> {
    if target.temporary {
        return Err(unsupported("temporary tables"));
    }
    if let Some(option) = target.options.keys().min() {
        return Err(unsupported(&format!("options of an ingestion, as `{option}`,")));
    }
    let definition = target.table_definition_options.unwrap_or_default();
    let if_missing = match definition.if_not_exist() {
        TableNotExistOption::Create => IfMissing::Create,
        TableNotExistOption::Fail | TableNotExistOption::Unspecified => IfMissing::Fail,
    };
    let if_exists = match definition.if_exists() {
        TableExistsOption::Append => IfExists::Append,
        TableExistsOption::Replace => IfExists::Replace,
        TableExistsOption::Fail | TableExistsOption::Unspecified => IfExists::Fail,
    };
    if target.table.is_empty() {
        return Err(invalid("the rows have no table to go to"));
    }
    Ok(IngestRequest {
        catalog: target.catalog.filter(|name| !name.is_empty()),
        schema: target.schema.filter(|name| !name.is_empty()),
        table: target.table,
        if_missing,
        if_exists,
        columns: Arc::clone(&put.columns),
        rows: put.rows().boxed(),
    })
}
