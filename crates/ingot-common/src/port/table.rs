//! Reads of one table without SQL text.
//!
//! ```text
//! TableRequest ─► open_table ─► TableReader ─┬─ state: version and policy; tells if an answer that is known still holds
//!                                            ├─ rows(TableQuery): all, as they become ready
//!                                            └─ page(TableQuery, after): some, and where the next page begins
//! ```
//! What always holds: a reader reads the version that its state names, whatever is committed meanwhile. Pages of one
//! version, each asked for with the end of the one before it, hold each row once.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StatementResult;
use crate::{ServiceError, TableName};

/// Which state of a table to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableVersion {
    /// The newest commit.
    Latest,
    /// The state after this commit.
    Version(i64),
    /// The newest commit at or before this instant, milliseconds since the epoch.
    Timestamp(i64),
}

/// The table or view to open, in which state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRequest {
    pub table: TableName,
    pub version: TableVersion,
    /// Reads the changes of the commits after this version instead of rows, up to `version`; -1 for those of all.
    pub changes_since: Option<i64>,
}

/// Compares a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterOperator {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    /// The column equals one of several values.
    In,
    /// The column equals none of several values.
    NotIn,
    /// The column, a text, is as a pattern of SQL's LIKE says: `%` for any characters, `_` for one, `\` before either.
    Like,
    /// As `Like`, without regard to case.
    ILike,
    /// The column is null, for `true`, or is not, for `false`.
    IsNull,
}

/// What a column is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum FilterValue {
    /// A JSON value of the column's type, or an array of such; `null` with `Eq` and `NotEq` means IS NULL and IS NOT
    /// NULL.
    Json(serde_json::Value),
    /// A text that is read as the column's type.
    Text(String),
    /// Several such.
    Texts(Vec<String>),
}

/// A condition on one column. Conditions of a query are joined by AND.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    pub column: String,
    pub operator: FilterOperator,
    pub value: FilterValue,
}

/// Sorts by one column. Nulls come first when ascending and last when descending, as in Spark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBy {
    pub column: String,
    pub descending: bool,
}

/// What an aggregate computes of the rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateFunction {
    Count,
    CountDistinct,
    Sum,
    Avg,
    Min,
    Max,
}

/// One aggregate of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    pub function: AggregateFunction,
    /// The column that it is of; `None` counts rows.
    pub column: Option<String>,
    /// What its column is called.
    pub name: String,
}

/// Groups of rows with the same values, and what is computed of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aggregation {
    /// Without any, all rows are one group.
    pub group_by: Vec<String>,
    pub aggregates: Vec<Aggregate>,
}

/// What is read of a table: filters, then groups, then order, columns and limit over what came of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableQuery {
    pub filters: Vec<Filter>,
    pub aggregation: Option<Aggregation>,
    pub order: Vec<OrderBy>,
    /// Columns to return, in this order; empty means all.
    pub select: Vec<String>,
    /// Rows to return at most; `None` for all.
    pub limit: Option<usize>,
}

/// Tells a state of a table from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateId {
    /// Of the table: one that is dropped and made again has another.
    pub table: String,
    pub version: i64,
    /// Milliseconds since the epoch.
    pub committed_at_ms: i64,
}

/// What a reader reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    /// The columns that a [`TableQuery`] can name.
    pub schema: SchemaRef,
    /// `None` for what has no versions, as views: an answer may be another though nothing tells.
    pub id: Option<StateId>,
    /// A fingerprint of what the principal may see of the table: its grants, filters and masks. `None` where that
    /// depends on something else than the principal, as a time: no answer is known to hold then.
    pub policy: Option<String>,
}

/// Which rows of a query a page is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// At least 1.
    pub rows_max: usize,
    /// Bytes of rows in memory after which the page ends early; a page has some rows whatever they take.
    pub bytes_max: usize,
    /// The end of the page before; `None` for the first.
    pub after: Option<RowPosition>,
}

/// Where a page ended. It means something for the same query of the same version only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowPosition {
    /// A row, by the path of its data file in the log and its number there.
    #[serde(rename = "r")]
    Row { file: String, row: i64 },
    /// How many groups came before.
    #[serde(rename = "g")]
    Groups(u64),
}

/// Some rows of a query.
#[derive(Debug, Clone)]
pub struct Page {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    /// Where the next page begins; `None` when this is the last. It alone tells: a page may hold less than it could.
    pub next: Option<RowPosition>,
}

/// One table or view, opened for one request.
#[async_trait]
pub trait TableReader: Send + Sync {
    /// Returns what is read.
    fn state(&self) -> &TableState;

    /// Reads. An unknown column or a value of the wrong type is `InvalidArgument`, naming the column and the expected
    /// type. Work stops as for a statement.
    async fn rows(&self, query: TableQuery) -> Result<StatementResult, ServiceError>;

    /// Reads a page. What has no versions, and changes, have no pages: `InvalidArgument`. `NotFound` when the version's
    /// files are gone.
    async fn page(&self, query: TableQuery, page: PageRequest) -> Result<Page, ServiceError>;
}
