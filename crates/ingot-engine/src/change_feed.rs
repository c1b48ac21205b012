//! `table_changes`: the rows that commits put in and took out, and the files that record them.
//!
//! ```text
//! ChangeFeed ─┬─ data files ──────► rows that came or went ─┐
//!             └─ files of changes ► rows as recorded ───────┴► UNION
//! ```
//! What tells of the change (`_change_type`, `_commit_version`, `_commit_timestamp`) is the same for all rows of a data
//! file, as a partition's values are: files are pruned by it, and one scan reads the changes of many commits on all
//! cores. Source: Databricks SQL, `table_changes`; Delta, "Change data feed".

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session as PlanningSession, TableProvider};
use datafusion::common::project_schema;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, FunctionArg, FunctionArgExpr, ObjectName, Value};
use ingot_delta::change_feed::{CHANGE_TYPE, COMMIT_TIMESTAMP, COMMIT_VERSION};
use ingot_delta::{Add, ChangeFeed, DeltaTable, FileIndex, Snapshot, TimeTravel, WriteTarget};

use crate::provider::{Positions, Rows};
use crate::pruning::{self, PartitionColumns};
use crate::scan::{ScanRequest, plan_scan};
use crate::write::{StagedFiles, stage_for};
use crate::{Error, Result, Session, dialect};

/// A call of `table_changes` or `table_changes_by_path` in a query.
#[derive(Debug)]
pub(crate) struct ChangesRequest {
    pub table: ChangesTable,
    pub from: SqlExpr,
    pub to: Option<SqlExpr>,
}

/// The table whose changes are asked for.
#[derive(Debug)]
pub(crate) enum ChangesTable {
    Named(ObjectName),
    At(String),
}

impl ChangesRequest {
    /// Reads a call; `None` for one of another function.
    pub fn from_call(function: &str, arguments: &[FunctionArg]) -> Result<Option<Self>> {
        let by_path = match function.to_lowercase().as_str() {
            "table_changes" => false,
            "table_changes_by_path" => true,
            _ => return Ok(None),
        };
        let usage = || {
            Error::parse(format!(
                "{function} takes a {}, the first version or timestamp, and the last if there is one",
                if by_path { "path" } else { "table's name" }
            ))
        };
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => values.push(value.clone()),
                _ => return Err(usage()),
            }
        }
        let mut values = values.into_iter();
        let (Some(SqlExpr::Value(table)), Some(from)) = (values.next(), values.next()) else {
            return Err(usage());
        };
        let (Value::SingleQuotedString(name) | Value::DoubleQuotedString(name)) = table.value else {
            return Err(usage());
        };
        let to = values.next();
        if values.next().is_some() {
            return Err(usage());
        }
        let table = match by_path {
            true => ChangesTable::At(name),
            false => ChangesTable::Named(dialect::parser(&name)?.parse_object_name(false)?),
        };
        Ok(Some(Self { table, from, to }))
    }
}

/// Returns a whole number that stands for a version; other expressions are instants.
pub(crate) fn version(expr: &SqlExpr) -> Result<Option<i64>> {
    match expr {
        SqlExpr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits
                .parse()
                .map(Some)
                .map_err(|_| Error::parse(format!("`{digits}` is no version; versions are whole numbers"))),
            _ => Ok(None),
        },
        SqlExpr::UnaryOp { expr: inner, .. } => match version(inner)? {
            None => Ok(None),
            Some(_) => Err(Error::parse(format!(
                "`{expr}` is no version; versions begin with 0"
            ))),
        },
        _ => Ok(None),
    }
}

/// Makes the relation of what `table` changed from one point of its history to another, both included.
pub(crate) async fn changes_provider(
    table: Arc<DeltaTable>,
    newest: Arc<Snapshot>,
    from: TimeTravel,
    to: Option<TimeTravel>,
) -> Result<Arc<dyn TableProvider>> {
    let versions = table.change_range(&newest, from, to).await?;
    let feed = table.change_feed(newest, versions).await?;
    Ok(feed_provider(table, feed))
}

/// Makes the relation of `feed`, changes of `table`.
pub fn feed_provider(table: Arc<DeltaTable>, feed: ChangeFeed) -> Arc<dyn TableProvider> {
    Arc::new(ChangesProvider::new(table, feed))
}

/// The changes of a range of commits, to be scanned.
#[derive(Debug)]
struct ChangesProvider {
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    schema: SchemaRef,
    data: Part,
    recorded: Part,
}

/// Files that are read alike.
#[derive(Debug)]
struct Part {
    index: FileIndex,
    /// Columns with one value for each file.
    constants: Vec<String>,
    rows: Rows,
}

impl Part {
    fn new(files: Vec<Arc<Add>>, snapshot: &Snapshot, constants: Vec<String>, rows: Rows) -> Self {
        Self {
            index: snapshot.index_of_changes(files, &constants),
            constants,
            rows,
        }
    }
}

impl ChangesProvider {
    fn new(table: Arc<DeltaTable>, feed: ChangeFeed) -> Self {
        let ChangeFeed {
            snapshot,
            data,
            recorded,
        } = feed;
        let schema = ChangeFeed::schema(snapshot.schema());
        let constants = |added: &[&str]| {
            let added = added.iter().map(|name| (*name).to_owned());
            snapshot
                .partition_columns()
                .iter()
                .cloned()
                .chain(added)
                .collect::<Vec<_>>()
        };
        let mut files = Vec::with_capacity(data.len());
        let mut positions = Positions::new();
        for (number, file) in data.into_iter().enumerate() {
            files.push(file.add);
            if let Some(rows) = file.rows {
                positions.insert(number, rows);
            }
        }
        let rows = match positions.is_empty() {
            true => Rows::Live,
            false => Rows::Listed(Arc::new(positions)),
        };
        let told = [CHANGE_TYPE, COMMIT_VERSION, COMMIT_TIMESTAMP];
        Self {
            data: Part::new(files, &snapshot, constants(&told), rows),
            recorded: Part::new(recorded, &snapshot, constants(&told[1..]), Rows::Live),
            table,
            snapshot,
            schema,
        }
    }

    async fn scan_part(
        &self,
        part: &Part,
        state: &dyn PlanningSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
    ) -> datafusion::error::Result<Option<Arc<dyn ExecutionPlan>>> {
        let (by_file, by_row): (Vec<Expr>, Vec<Expr>) = filters
            .iter()
            .cloned()
            .partition(|filter| pruning::decided_by_partition(filter, &part.constants));
        let all = (0..part.index.len()).collect();
        let constants = PartitionColumns::named(&part.constants, &part.index);
        let files = constants.retain_matching(state, all, &by_file)?;
        let files = pruning::retain_possible(state, &self.snapshot, &part.index, files, &by_row)?;
        if files.is_empty() {
            return Ok(None);
        }
        let request = ScanRequest {
            table: &self.table,
            snapshot: &self.snapshot,
            index: &part.index,
            schema: &self.schema,
            partition_columns: &part.constants,
            tagged: false,
            rows: &part.rows,
            order: None,
            projection: projection.map(Vec::as_slice),
            filters: &by_row,
            limit: None,
            files,
        };
        Ok(Some(Arc::new(plan_scan(state, &request).await?)))
    }
}

#[async_trait]
impl TableProvider for ChangesProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> datafusion::error::Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn PlanningSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let mut parts = Vec::with_capacity(2);
        for part in [&self.data, &self.recorded] {
            parts.extend(self.scan_part(part, state, projection, filters).await?);
        }
        match parts.len() {
            0 => Ok(Arc::new(EmptyExec::new(project_schema(
                &self.schema,
                projection,
            )?))),
            1 => Ok(parts.remove(0)),
            _ => UnionExec::try_new(parts),
        }
    }
}

/// Marks rows with how they changed.
pub(crate) fn marked(rows: DataFrame, kind: &str) -> Result<DataFrame> {
    let columns = rows.schema().columns().into_iter().map(|column| {
        let name = column.name.clone();
        Expr::Column(column).alias(name)
    });
    let columns: Vec<Expr> = columns.chain([lit(kind).alias(CHANGE_TYPE)]).collect();
    Ok(rows.select(columns)?)
}

/// Writes rows of the table's columns and [`CHANGE_TYPE`], in order, as files of changes. Nothing is committed.
///
/// # Errors
/// As [`crate::write::stage_files`].
pub(crate) async fn stage_changes(
    session: &Session,
    target: &WriteTarget,
    rows: DataFrame,
) -> Result<StagedFiles> {
    stage_for(session, target.change_files(), rows).await
}
