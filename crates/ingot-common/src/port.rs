//! Ports: what a front door may ask of the engine, without linking it.
//!
//! A front door turns its protocol into a [`StatementRequest`], or opens a table for a [`TableQuery`], and gets a
//! [`StatementResult`]: a schema and a stream of record batches. Results are produced as they are read; a
//! reader that stops reading stops the work.

mod table;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::Stream;

pub use self::table::{
    Aggregate, AggregateFunction, Aggregation, Filter, FilterOperator, FilterValue, OrderBy, Page,
    PageRequest, RowPosition, StateId, TableQuery, TableReader, TableRequest, TableState, TableVersion,
};
use crate::history::StatementHistory;
use crate::{RequestContext, ServiceError};

/// The metadata of a field that says which type of SQL it has, as `VARIANT`, where its Arrow type does not tell.
///
/// Source: Databricks, whose results have it; `databricks-sql-connector`, which reads it.
pub const SQL_NAME: &str = "Spark:DataType:SqlName";

/// The [`SQL_NAME`] of a text that is an interval of months: `1-2` for one year and two months.
pub const YEAR_MONTH_INTERVAL: &str = "INTERVAL YEAR TO MONTH";

/// The [`SQL_NAME`] of a text that is an interval of microseconds: `1 02:03:04.500000000` for days and a time.
pub const DAY_TIME_INTERVAL: &str = "INTERVAL DAY TO SECOND";

/// Record batches of one schema, as they become ready.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch, ServiceError>> + Send>>;

/// One SQL statement, where its one- and two-part names are looked up, and the settings that it runs under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatementRequest {
    pub statement: String,
    /// Catalog for names of fewer than three parts; the server's default when absent.
    pub catalog: Option<String>,
    /// Schema for names of one part; the server's default when absent.
    pub schema: Option<String>,
    /// Settings as `SET key = value` takes them, for this statement alone.
    pub settings: BTreeMap<String, String>,
    /// Values of its parameter markers.
    pub parameters: Vec<StatementParameter>,
}

/// A value for parameter markers of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatementParameter {
    /// The name of the markers that it is for, `:name`; without one it is for the `?` of its place among others.
    pub name: Option<String>,
    /// As CAST reads it from a text; null when absent.
    pub value: Option<String>,
    /// The type as SQL writes it, as `DECIMAL(10, 2)`; `STRING` when absent.
    pub type_text: Option<String>,
}

/// Where a session of a client begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionRequest {
    /// Catalog for names of fewer than three parts; the server's default when absent. It need not exist yet.
    pub catalog: Option<String>,
    /// Schema for names of one part; the server's default when absent. It need not exist yet.
    pub schema: Option<String>,
    /// Settings as `SET key = value` takes them.
    pub settings: BTreeMap<String, String>,
}

/// What is known of a statement before it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatementDescription {
    /// The columns of its rows; `None` of a statement that changes something, and where only the values of its markers
    /// tell.
    pub schema: Option<SchemaRef>,
    /// Markers without a name, `?`, that it has.
    pub markers: usize,
}

/// What becomes of rows whose table does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    Fail,
    /// The table is made, with the rows' columns.
    Create,
}

/// What becomes of rows whose table exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    Fail,
    /// They are added; columns are matched by name, and one that the rows lack has its default.
    Append,
    /// The table has the rows, and their columns, in the place of its own.
    Replace,
}

/// Rows of a client, and the table that they are for.
pub struct IngestRequest {
    /// The session's when absent.
    pub catalog: Option<String>,
    /// The session's when absent.
    pub schema: Option<String>,
    pub table: String,
    pub if_missing: IfMissing,
    pub if_exists: IfExists,
    /// Columns of any types of Arrow.
    pub columns: SchemaRef,
    /// They end with an error where the client has not sent all.
    pub rows: BatchStream,
}

impl std::fmt::Debug for IngestRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IngestRequest")
            .field("catalog", &self.catalog)
            .field("schema", &self.schema)
            .field("table", &self.table)
            .field("if_missing", &self.if_missing)
            .field("if_exists", &self.if_exists)
            .finish_non_exhaustive()
    }
}

/// The answer to a statement. A statement without rows has a schema without fields and an empty stream.
pub struct StatementResult {
    pub schema: SchemaRef,
    pub batches: BatchStream,
}

impl std::fmt::Debug for StatementResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatementResult")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// A client's session: what a statement sets, declares or makes for a time is there for the next.
#[async_trait]
pub trait StatementSession: Send + Sync {
    /// As [`StatementService::execute`]. A statement waits for the one before it to have begun to give rows.
    async fn execute(
        &self,
        context: &RequestContext,
        statement: String,
        parameters: Vec<StatementParameter>,
    ) -> Result<StatementResult, ServiceError>;

    /// As [`StatementSession::execute`], with the values of one row for its markers: by their places where the statement
    /// has markers without names, and by the names of the columns otherwise.
    async fn execute_bound(
        &self,
        context: &RequestContext,
        statement: String,
        values: RecordBatch,
    ) -> Result<StatementResult, ServiceError>;

    /// Says what a statement will give, and changes nothing.
    async fn describe(
        &self,
        context: &RequestContext,
        statement: String,
    ) -> Result<StatementDescription, ServiceError>;

    /// Writes rows into a table in one commit, which is made when this returns; the answer counts them as INSERT does.
    /// Rows that end with an error leave nothing.
    async fn ingest(
        &self,
        context: &RequestContext,
        request: IngestRequest,
    ) -> Result<StatementResult, ServiceError>;
}

/// Runs statements. Every front door goes through this one service, so limits, history and cancellation
/// hold for all of them.
///
/// Implementers stop work when the context's token is cancelled or the result's stream is dropped, and
/// report an error that occurs before the first batch from the call itself.
#[async_trait]
pub trait StatementService: Send + Sync {
    /// Parses, plans and starts one statement. A statement that writes has committed when this returns.
    async fn execute(
        &self,
        context: &RequestContext,
        request: StatementRequest,
    ) -> Result<StatementResult, ServiceError>;

    /// Opens a session of the context's principal.
    async fn open_session(
        &self,
        context: &RequestContext,
        request: SessionRequest,
    ) -> Result<Arc<dyn StatementSession>, ServiceError>;

    /// Opens a table or view as the principal sees it, without reading it.
    async fn open_table(
        &self,
        context: &RequestContext,
        request: TableRequest,
    ) -> Result<Arc<dyn TableReader>, ServiceError>;

    /// Returns what ran and what runs; `None` where nothing is kept of it.
    fn history(&self) -> Option<Arc<dyn StatementHistory>> {
        None
    }
}
