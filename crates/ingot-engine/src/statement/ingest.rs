//! Rows of a client into a table, in one commit.
//!
//! ```text
//! rows as they come ─► types of SQL ─► as INSERT BY NAME, CREATE TABLE AS or CREATE OR REPLACE TABLE AS
//! ```
//! The rows can be read once only: a write that would have to begin anew, because the table's columns were changed under
//! it, ends as a conflict. Rows that end with an error end the write, which leaves nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::StreamExt;
use ingot_catalog::{Need, TableFilters, TableKind};
use ingot_common::port::{BatchStream, IfExists, IfMissing, IngestRequest, StatementResult};
use ingot_common::{Identifier, Kind, TableName};
use ingot_delta::schema::ColumnNames;

use super::create_table::query_schema;
use super::{Work, counts, run};
use crate::access::{self, MODIFY};
use crate::error::external;
use crate::write::{
    ColumnMatch, Created, TableSpec, WriteMode, WriteOptions, WriteRequest, create, replace_table, write,
};
use crate::{Error, Result, Session, arrow_types};

/// Writes the rows. The commit is made when this returns; the answer counts them as INSERT does.
///
/// # Errors
/// `AlreadyExists` and `NotFound` where the request wants them; those of the rows, and of the write.
pub(crate) async fn ingest(session: &Session, request: IngestRequest) -> Result<StatementResult> {
    let work = Work::writes(async move {
        let rows = ingested(session, request).await?;
        counts(&[("num_affected_rows", rows), ("num_inserted_rows", rows)])
    });
    Ok(run(session, work).await?.result)
}

async fn ingested(session: &Session, request: IngestRequest) -> Result<i64> {
    let name = name(session, &request)?;
    let columns = arrow_types::schema(&request.columns)?;
    let rows = once(session, request.rows, columns)?;
    match (request.if_missing, request.if_exists) {
        (IfMissing::Create, IfExists::Replace) => {
            replace_table(session, &spec(name, &rows)?, Some(&rows)).await
        }
        (IfMissing::Create, IfExists::Fail) => {
            match create(session, &spec(name, &rows)?, Some(&rows), false).await? {
                Created::New(_, _, count) => Ok(count),
                // Only where the table may exist.
                Created::Existed(info, _) => Err(Error::internal(format!("`{}` exists", info.name))),
            }
        }
        (IfMissing::Create, IfExists::Append) => {
            // Whether there is a table is decided before any row is read: they can be read once.
            match access::table(session, &name, MODIFY).await {
                Ok(_) => append(session, &name, rows).await,
                Err(ingot_catalog::Error::NotFound { .. }) => {
                    match create(session, &spec(name.clone(), &rows)?, Some(&rows), true).await? {
                        Created::New(_, _, count) => Ok(count),
                        Created::Existed(..) => append(session, &name, rows).await,
                    }
                }
                Err(error) => Err(error.into()),
            }
        }
        (IfMissing::Fail, IfExists::Append) => append(session, &name, rows).await,
        (IfMissing::Fail, IfExists::Replace) => {
            access::table(session, &name, Need::Manage).await?;
            replace_table(session, &spec(name, &rows)?, Some(&rows)).await
        }
        (IfMissing::Fail, IfExists::Fail) => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_PARAMETER_VALUE",
            sqlstate: "22023",
            message: "the rows are for no table: they must not go to one that exists, nor to a new one"
                .to_owned(),
        }),
    }
}

fn name(session: &Session, request: &IngestRequest) -> Result<TableName> {
    let current = session.namespace();
    let part = |name: Option<&String>, default| name.map_or(Ok(default), Identifier::new);
    Ok(TableName::new(
        part(request.catalog.as_ref(), current.catalog)?,
        part(request.schema.as_ref(), current.schema)?,
        Identifier::new(&request.table)?,
    ))
}

async fn append(session: &Session, name: &TableName, rows: DataFrame) -> Result<i64> {
    let table = access::table(session, name, MODIFY).await?;
    let table = session.open(&table).await?;
    let options = WriteOptions::of_session(session, WriteMode::Append)?;
    let written = write(
        session,
        &table,
        &WriteRequest::new(rows, ColumnMatch::Name, options),
    )
    .await?;
    Ok(written.rows())
}

/// Describes a table that has the rows' columns.
fn spec(name: TableName, rows: &DataFrame) -> Result<TableSpec> {
    let properties = BTreeMap::new();
    Ok(TableSpec {
        name,
        kind: TableKind::Managed,
        schema: query_schema(rows, ColumnNames::of(&properties))?,
        partition_columns: Vec::new(),
        location: None,
        definition: None,
        comment: None,
        properties,
        clustering_columns: None,
        constraints: Vec::new(),
        dataset: None,
        filters: TableFilters::default(),
    })
}

/// Makes a plan of rows that are read once.
fn once(session: &Session, rows: BatchStream, columns: SchemaRef) -> Result<DataFrame> {
    let part: Arc<dyn PartitionStream> = Arc::new(Once {
        schema: Arc::clone(&columns),
        rows: Mutex::new(Some(rows)),
    });
    let table = StreamingTable::try_new(columns, vec![part])?;
    Ok(session.datafusion().read_table(Arc::new(table))?)
}

struct Once {
    schema: SchemaRef,
    /// `None` once they are being read.
    rows: Mutex<Option<BatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        let schema = Arc::clone(&self.schema);
        let batches = match rows {
            Some(rows) => rows
                .map(move |batch| {
                    let batch = batch.map_err(|error| Error::Sender(Box::new(error)));
                    batch
                        .and_then(|batch| arrow_types::batch(&batch, &schema))
                        .map_err(external)
                })
                .boxed(),
            None => futures::stream::iter([Err(external(read_before()))]).boxed(),
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

fn read_before() -> Error {
    Error::Condition {
        kind: Kind::Conflict,
        condition: "DELTA_METADATA_CHANGED",
        sqlstate: "2D521",
        message: "the table was changed by another while the rows came; send them again".to_owned(),
    }
}
