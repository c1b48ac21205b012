//! AUTO CDC: a stream of changes becomes the rows that are, or were, valid.
//!
//! SCD type 1 keeps the newest row of each key: a change counts when its sequence is greater than that of the row
//! that is there, so changes may come in any order and more than once. A deletion is not remembered: an older
//! change that comes after it makes the row anew.
//!
//! SCD type 2 is made by [`super::history`]. In both, a batch is one MERGE that carries the query's transaction.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use ingot_common::SchemaName;
use ingot_common::retry::RetryPolicy;
use ingot_delta::{CommitOutcome, DeltaTable};
use ingot_engine::Session;
use ingot_engine::merge::{Merge, MergeAction, MergeClause, MergeMatching, MergeMetrics, run_merge};
use ingot_streaming::{BatchInfo, BatchOutput, BatchSink};
use uuid::Uuid;

use super::history;
use super::streaming::into_streaming;
use crate::definition::{CdcFlow, ScdType};
use crate::event::{EventLog, PipelineEvent};
use crate::{Error, Result};

/// Relation of the changes of a batch.
pub(crate) const CHANGES: &str = "__stream_0";
/// Condition of a deletion, as a column of the merge's source.
pub(crate) const DELETED: &str = "__deleted";

/// How often a merge starts over after losing a race; nobody but this flow should write to its table.
const MERGE_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 20,
    pause_first: Duration::from_millis(20),
    pause_max: Duration::from_secs(1),
};

/// Merges batches of changes into the target.
pub(crate) struct CdcSink {
    flow: CdcFlow,
    /// Columns of the source that the target has, in the target's order.
    columns: Vec<String>,
    table: Arc<DeltaTable>,
    namespace: SchemaName,
    events: EventLog,
}

impl CdcSink {
    /// Makes the sink of `flow` into `table`.
    pub fn new(
        flow: &CdcFlow,
        source: &Schema,
        namespace: &SchemaName,
        table: Arc<DeltaTable>,
        events: EventLog,
    ) -> Self {
        Self {
            flow: flow.clone(),
            columns: kept_columns(flow, source)
                .map(|field| field.name().clone())
                .collect(),
            table,
            namespace: namespace.clone(),
            events,
        }
    }

    async fn add(&self, session: &Session, batch: &BatchInfo) -> Result<BatchOutput> {
        session.use_namespace(&self.namespace).await?;
        let transaction = (batch.query_id.to_string(), batch.batch_id);
        let mut retries = MERGE_RETRIES.attempts();
        let metrics = loop {
            // Planned anew for each attempt: a history reads the target, too.
            let (source, on, clauses) = match &self.flow.stored_as {
                ScdType::One => newest(&self.flow, &self.columns),
                ScdType::Two { track } => history::merge(&self.flow, &self.columns, track),
            };
            let merge = Merge {
                target_alias: "t".to_owned(),
                source_alias: "s".to_owned(),
                source: session.query(&source).await?,
                on,
                clauses,
                app_transactions: vec![transaction.clone()],
            };
            match run_merge(session, &self.table, &merge).await? {
                (CommitOutcome::Committed { .. }, metrics) => break metrics,
                (CommitOutcome::AlreadyApplied { .. }, _) => return Ok(BatchOutput::default()),
                (CommitOutcome::Conflicted(reason), _) => {
                    if !retries.pause().await {
                        return Err(conflict(&reason));
                    }
                }
            }
        };
        let rows_out = written(metrics);
        self.events.note(PipelineEvent::FlowProgress {
            dataset: self.flow.target.name.to_string(),
            rows_in: rows_out,
            rows_out,
            expectations: Vec::new(),
        });
        Ok(BatchOutput {
            rows_in: None,
            rows_out,
        })
    }
}

#[async_trait]
impl BatchSink for CdcSink {
    fn description(&self) -> String {
        format!("AutoCdc[{}]", self.table.location())
    }

    async fn committed_batch(&self, query_id: Uuid) -> ingot_streaming::Result<Option<i64>> {
        let snapshot = self.table.snapshot().await?;
        Ok(snapshot.app_transaction(&query_id.to_string()).await?)
    }

    async fn add_batch(&self, session: &Session, batch: &BatchInfo) -> ingot_streaming::Result<BatchOutput> {
        self.add(session, batch).await.map_err(into_streaming)
    }
}

fn written(metrics: MergeMetrics) -> u64 {
    let rows = metrics.rows_inserted + metrics.rows_updated + metrics.rows_deleted;
    u64::try_from(rows).unwrap_or_default()
}

fn conflict(reason: &ingot_delta::ConflictReason) -> Error {
    let message = format!("other writers came first again and again: {reason}");
    let error = ingot_common::ServiceError::new(ingot_common::Kind::Conflict, message);
    ingot_streaming::Error::Sink(Box::new(error)).into()
}

/// Returns the columns of a flow's target: those of the source that it keeps, and for a history when each row
/// was valid.
///
/// # Errors
/// `InvalidArgument`, with the place, when a key or the sequence is no column of the target.
pub(crate) fn target_schema(flow: &CdcFlow, source: &Schema) -> Result<SchemaRef> {
    let mut fields: Vec<Field> = kept_columns(flow, source)
        .map(|field| field.clone().with_nullable(true))
        .collect();
    let find = |name: &str| {
        fields
            .iter()
            .find(|field| field.name().eq_ignore_ascii_case(name))
            .cloned()
    };
    for key in &flow.keys {
        if find(key).is_none() {
            return Err(missing(flow, key));
        }
    }
    let history = matches!(flow.stored_as, ScdType::Two { .. });
    let in_source = source
        .fields()
        .iter()
        .find(|field| field.name().eq_ignore_ascii_case(&flow.sequence_by));
    let sequence = match (find(&flow.sequence_by), in_source) {
        (Some(field), _) => field,
        (None, Some(field)) if history => field.as_ref().clone(),
        _ => return Err(missing(flow, &flow.sequence_by)),
    };
    if history {
        for name in [history::START_AT, history::END_AT] {
            fields.push(Field::new(name, sequence.data_type().clone(), true));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn missing(flow: &CdcFlow, column: &str) -> Error {
    Error::Definition {
        place: flow.place.clone(),
        message: format!(
            "column `{column}` of flow `{}` is not among the columns of its target",
            flow.name
        ),
    }
}

fn kept_columns<'a>(flow: &'a CdcFlow, source: &'a Schema) -> impl Iterator<Item = &'a Field> {
    let fields = source.fields().iter().map(AsRef::as_ref);
    fields.filter(|field: &&Field| flow.columns.holds(field.name()))
}

/// Quotes a column's name.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Joins columns, each after `prefix`.
pub(crate) fn listed(columns: &[String], prefix: &str) -> String {
    let columns = columns.iter().map(|column| format!("{prefix}{}", quoted(column)));
    columns.collect::<Vec<_>>().join(", ")
}

/// The condition of a deletion as an expression; `false` for a flow without one.
pub(crate) fn deleted(flow: &CdcFlow) -> String {
    let condition = flow.delete_when.as_deref().unwrap_or("false");
    format!("coalesce({condition}, false)")
}

/// The merge of a batch for SCD type 1: source query, condition and clauses.
fn newest(flow: &CdcFlow, columns: &[String]) -> (String, String, Vec<MergeClause>) {
    let (kept, keys, sequence) = (
        listed(columns, ""),
        listed(&flow.keys, ""),
        quoted(&flow.sequence_by),
    );
    // Changes with equal sequences are told apart by their values: the choice is the same each time.
    let values: Vec<_> = columns
        .iter()
        .map(|column| format!("{} DESC", quoted(column)))
        .collect();
    let source = format!(
        "SELECT {kept}, {DELETED} FROM (SELECT {kept}, {} AS {DELETED}, row_number() OVER (PARTITION BY {keys} ORDER \
         BY {sequence} DESC, {}) AS __newest FROM {CHANGES}) WHERE __newest = 1",
        deleted(flow),
        values.join(", ")
    );
    let on: Vec<_> = flow
        .keys
        .iter()
        .map(|key| format!("t.{0} = s.{0}", quoted(key)))
        .collect();
    let newer = format!("s.{sequence} > t.{sequence}");
    let values = assignments(columns);
    let clause = |matching, condition: String, action| MergeClause {
        matching,
        condition: Some(condition),
        action,
    };
    let clauses = vec![
        clause(
            MergeMatching::Matched,
            format!("{newer} AND s.{DELETED}"),
            MergeAction::Delete,
        ),
        clause(MergeMatching::Matched, newer, MergeAction::Update(values.clone())),
        clause(
            MergeMatching::NotMatchedByTarget,
            format!("NOT s.{DELETED}"),
            MergeAction::Insert(values),
        ),
    ];
    (source, on.join(" AND "), clauses)
}

/// Pairs each column with the source's.
pub(crate) fn assignments(columns: &[String]) -> Vec<(String, String)> {
    let pair = |column: &String| (quoted(column), format!("s.{}", quoted(column)));
    columns.iter().map(pair).collect()
}
