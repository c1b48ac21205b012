//! `system.query.history`: statements, of the principal alone unless it may see all.
//!
//! Filters on when a statement started, on its id, user and status are the history's to answer; what it returns is
//! filtered again. Source: Databricks, "Query history system table reference".

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int16Array, Int64Array, MapBuilder, MapFieldNames, RecordBatch, StringArray,
    StringBuilder, StructArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session as PlanSession, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use ingot_common::Principal;
use ingot_common::history::{HistoryFilter, StatementRecord, StatementStatus, WAREHOUSE_ID, user_id};
use uuid::Uuid;

use crate::history::History;
use crate::{Error, Result, Session};

/// Of the only account and workspace: those that the server tells clients of.
const ACCOUNT_ID: &str = "00000000-0000-0000-0000-000000000000";
const WORKSPACE_ID: &str = "1";

/// Returns the columns.
pub(super) fn schema() -> Result<SchemaRef> {
    Ok(batch(&[])?.schema())
}

/// Returns the table as a session sees it.
pub(super) fn provider(session: &Session) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(QueryHistory {
        history: Arc::clone(session.engine().query_history()),
        principal: session.context().principal.clone(),
        schema: schema()?,
    }))
}

struct QueryHistory {
    history: Arc<History>,
    principal: Principal,
    schema: SchemaRef,
}

impl std::fmt::Debug for QueryHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryHistory").finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for QueryHistory {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn PlanSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let mut wanted = HistoryFilter {
            limit: limit.filter(|_| filters.is_empty()),
            ..HistoryFilter::default()
        };
        filters.iter().for_each(|filter| narrow(&mut wanted, filter));
        let found = self.history.find(&self.principal, wanted).await;
        let records = found.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let batch = batch(&records).map_err(|error| DataFusionError::External(Box::new(error)))?;
        MemTable::try_new(batch.schema(), vec![vec![batch]])?
            .scan(state, projection, &[], None)
            .await
    }
}

/// Adds what a filter of the query says of the statements, as far as the history knows such filters.
fn narrow(wanted: &mut HistoryFilter, filter: &Expr) {
    match filter {
        Expr::BinaryExpr(both) if both.op == Operator::And => {
            narrow(wanted, &both.left);
            narrow(wanted, &both.right);
        }
        Expr::BinaryExpr(both) => match (&*both.left, &*both.right) {
            (Expr::Column(column), Expr::Literal(value, _)) => {
                compared(wanted, &column.name, both.op, value);
            }
            (Expr::Literal(value, _), Expr::Column(column)) => {
                if let Some(op) = both.op.swap() {
                    compared(wanted, &column.name, op, value);
                }
            }
            _ => {}
        },
        Expr::Between(between) if !between.negated => {
            if let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
                (&*between.expr, &*between.low, &*between.high)
            {
                compared(wanted, &column.name, Operator::GtEq, low);
                compared(wanted, &column.name, Operator::LtEq, high);
            }
        }
        _ => {}
    }
}

fn compared(wanted: &mut HistoryFilter, column: &str, op: Operator, value: &ScalarValue) {
    let text = || value.try_as_str().flatten();
    match (column, op) {
        ("start_time", _) => {
            let ScalarValue::TimestampMicrosecond(Some(micros), _) = value else {
                return;
            };
            let milliseconds = micros.div_euclid(1000);
            if matches!(op, Operator::Gt | Operator::GtEq | Operator::Eq) {
                wanted.started_from = wanted.started_from.max(Some(milliseconds));
            }
            if matches!(op, Operator::Lt | Operator::LtEq | Operator::Eq) {
                let earliest = wanted.started_to.map_or(milliseconds, |to| to.min(milliseconds));
                wanted.started_to = Some(earliest);
            }
        }
        ("statement_id", Operator::Eq) if wanted.statement_ids.is_empty() => {
            wanted.statement_ids = text()
                .and_then(|text| Uuid::parse_str(text).ok())
                .into_iter()
                .collect();
        }
        ("executed_by", Operator::Eq) if wanted.executed_by.is_none() => {
            wanted.executed_by = text().map(str::to_owned);
        }
        ("execution_status", Operator::Eq) if wanted.statuses.is_empty() => {
            let named = |status: &StatementStatus| text() == Some(status.as_str());
            wanted.statuses = StatementStatus::ALL.into_iter().filter(named).collect();
        }
        _ => {}
    }
}

/// Makes the rows of statements.
fn batch(records: &[StatementRecord]) -> Result<RecordBatch> {
    let columns = who(records)
        .into_iter()
        .chain(what(records))
        .chain(times(records))
        .chain(counts(records))
        .chain(origin(records)?)
        .map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| Error::internal(error.to_string()))
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn who(records: &[StatementRecord]) -> Columns {
    let always = |text: &'static str| texts(records, move |_| Some(text.to_owned()));
    vec![
        ("account_id", always(ACCOUNT_ID)),
        ("workspace_id", always(WORKSPACE_ID)),
        (
            "statement_id",
            texts(records, |record| Some(record.statement_id.to_string())),
        ),
        (
            "session_id",
            texts(records, |record| record.session_id.map(|id| id.to_string())),
        ),
        (
            "execution_status",
            texts(records, |record| Some(record.status.to_string())),
        ),
        ("compute", compute(records)),
        (
            "executed_by_user_id",
            texts(records, |record| Some(user_id(&record.executed_by).to_string())),
        ),
        (
            "executed_by",
            texts(records, |record| Some(record.executed_by.clone())),
        ),
    ]
}

fn what(records: &[StatementRecord]) -> Columns {
    vec![
        (
            "statement_text",
            texts(records, |record| Some(record.statement_text.clone())),
        ),
        (
            "statement_type",
            texts(records, |record| Some(record.statement_type.clone())),
        ),
        (
            "error_message",
            texts(records, |record| record.error_message.clone()),
        ),
        (
            "client_application",
            texts(records, |record| record.client_application.clone()),
        ),
        (
            "client_driver",
            texts(records, |record| record.client_driver.clone()),
        ),
        ("cache_origin_statement_id", texts(records, |_| None)),
    ]
}

fn times(records: &[StatementRecord]) -> Columns {
    vec![
        ("total_duration_ms", numbers(records, |record| record.times.total)),
        ("waiting_for_compute_duration_ms", numbers(records, |_| 0)),
        (
            "waiting_at_capacity_duration_ms",
            numbers(records, |record| record.times.waiting_at_capacity),
        ),
        (
            "execution_duration_ms",
            numbers(records, |record| record.times.execution),
        ),
        (
            "compilation_duration_ms",
            numbers(records, |record| record.times.compilation),
        ),
        (
            "total_task_duration_ms",
            numbers(records, |record| record.times.tasks),
        ),
        (
            "result_fetch_duration_ms",
            numbers(records, |record| record.times.result_fetch),
        ),
        ("start_time", instants(records, |record| Some(record.start_time))),
        ("end_time", instants(records, |record| record.end_time)),
        (
            "update_time",
            instants(records, |record| Some(record.update_time)),
        ),
    ]
}

fn counts(records: &[StatementRecord]) -> Columns {
    let cached = records.iter().map(cache_percent).collect::<Int16Array>();
    let known = records.iter().map(|record| Some(record.from_result_cache));
    vec![
        ("read_partitions", new_null_array(&DataType::Int64, records.len())),
        (
            "pruned_files",
            numbers(records, |record| record.counts.pruned_files),
        ),
        ("read_files", numbers(records, |record| record.counts.read_files)),
        ("read_rows", numbers(records, |record| record.counts.read_rows)),
        (
            "produced_rows",
            numbers(records, |record| record.counts.produced_rows),
        ),
        ("read_bytes", numbers(records, |record| record.counts.read_bytes)),
        ("read_io_cache_percent", Arc::new(cached)),
        ("from_result_cache", Arc::new(known.collect::<BooleanArray>())),
        (
            "spilled_local_bytes",
            numbers(records, |record| record.counts.spilled_bytes),
        ),
        (
            "written_bytes",
            numbers(records, |record| record.counts.written_bytes),
        ),
        (
            "written_rows",
            numbers(records, |record| record.counts.written_rows),
        ),
        (
            "written_files",
            numbers(records, |record| record.counts.written_files),
        ),
        ("shuffle_read_bytes", numbers(records, |_| 0)),
    ]
}

fn origin(records: &[StatementRecord]) -> Result<Columns> {
    Ok(vec![
        ("query_source", new_null_array(&query_source(), records.len())),
        (
            "executed_as_user_id",
            texts(records, |record| Some(user_id(&record.executed_by).to_string())),
        ),
        (
            "executed_as",
            texts(records, |record| Some(record.executed_by.clone())),
        ),
        ("query_tags", tags(records)?),
    ])
}

/// How much of what was read came from the local file cache, of what was read at all.
fn cache_percent(record: &StatementRecord) -> Option<i16> {
    let (cached, all) = (record.counts.read_cache_bytes, record.counts.read_bytes);
    let percent = cached.saturating_mul(100).checked_div(all)?;
    i16::try_from(percent.min(100)).ok()
}

fn compute(records: &[StatementRecord]) -> ArrayRef {
    let text = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
    let always = |text: &'static str| texts(records, move |_| Some(text.to_owned()));
    let fields = vec![
        (text("type"), always("WAREHOUSE")),
        (text("cluster_id"), texts(records, |_| None)),
        (text("warehouse_id"), always(WAREHOUSE_ID)),
    ];
    Arc::new(StructArray::from(fields))
}

/// What of Databricks ran the statement: nothing ever does here, and queries name its fields.
fn query_source() -> DataType {
    let text = |name: &&str| Field::new(*name, DataType::Utf8, true);
    let structure = |fields: &[&str]| DataType::Struct(fields.iter().map(text).collect());
    let job = structure(&["job_id", "job_run_id", "job_task_run_id"]);
    let pipeline = structure(&["pipeline_id", "update_id"]);
    let ids = [
        "alert_id",
        "dashboard_id",
        "genie_space_id",
        "legacy_dashboard_id",
        "notebook_id",
        "sql_query_id",
    ];
    let fields = [Field::new("job_info", job, true)]
        .into_iter()
        .chain(ids.iter().map(text))
        .chain([Field::new("pipeline_info", pipeline, true)]);
    DataType::Struct(fields.collect::<Fields>())
}

fn tags(records: &[StatementRecord]) -> Result<ArrayRef> {
    let names = MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for record in records {
        for (key, value) in &record.query_tags {
            builder.keys().append_value(key);
            builder.values().append_option(value.as_deref());
        }
        let appended = builder.append(true);
        appended.map_err(|error| Error::internal(error.to_string()))?;
    }
    Ok(Arc::new(builder.finish()))
}

fn texts(records: &[StatementRecord], of: impl Fn(&StatementRecord) -> Option<String>) -> ArrayRef {
    Arc::new(records.iter().map(of).collect::<StringArray>())
}

fn numbers(records: &[StatementRecord], of: impl Fn(&StatementRecord) -> u64) -> ArrayRef {
    let numbers = records.iter().map(|record| i64::try_from(of(record)).ok());
    Arc::new(numbers.collect::<Int64Array>())
}

fn instants(records: &[StatementRecord], of: impl Fn(&StatementRecord) -> Option<i64>) -> ArrayRef {
    let micros = records
        .iter()
        .map(|record| of(record).map(|milliseconds| milliseconds.saturating_mul(1000)));
    let instants = micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC");
    Arc::new(instants)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};
    use test_case::test_case;

    use super::*;

    fn at(milliseconds: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(
            Some(milliseconds * 1000 + 7),
            Some("UTC".into()),
        ))
    }

    #[test_case(col("start_time").gt_eq(at(5)).and(col("start_time").lt(at(9))), Some(5), Some(9); "a range")]
    #[test_case(at(5).lt(col("start_time")), Some(5), None; "the other way round")]
    #[test_case(col("start_time").eq(at(5)), Some(5), Some(5); "an instant")]
    #[test_case(col("start_time").between(at(5), at(9)), Some(5), Some(9); "between")]
    #[test_case(col("start_time").gt(at(5)).and(col("start_time").gt(at(4))), Some(5), None; "the narrower one")]
    #[test_case(col("start_time").gt(at(5)).or(col("start_time").lt(at(4))), None, None; "one or the other")]
    #[test_case(col("end_time").gt(at(5)), None, None; "another column")]
    fn times_narrow_the_search(filter: Expr, from: Option<i64>, to: Option<i64>) {
        let mut wanted = HistoryFilter::default();
        narrow(&mut wanted, &filter);
        assert_eq!((wanted.started_from, wanted.started_to), (from, to));
    }

    #[test]
    fn ids_users_and_statuses_narrow_the_search() {
        let id = Uuid::from_u128(7);
        let mut wanted = HistoryFilter::default();
        for filter in [
            col("statement_id").eq(lit(id.to_string())),
            col("executed_by").eq(lit("ann")),
            col("execution_status").eq(lit("FAILED")),
            col("statement_type").eq(lit("SELECT")),
        ] {
            narrow(&mut wanted, &filter);
        }
        let expected = HistoryFilter {
            statement_ids: vec![id],
            executed_by: Some("ann".to_owned()),
            statuses: vec![StatementStatus::Failed],
            ..HistoryFilter::default()
        };
        assert_eq!(wanted, expected);
    }
}
