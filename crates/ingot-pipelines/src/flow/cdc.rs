//! AUTO CDC: a stream of changes becomes the rows that are, or were, valid.
//!
//! SCD type 1 keeps the newest change of each key: the one with the greatest sequence. The table is so a function of
//! the changes alone: it does not matter in which order they came, how they were cut into batches, or how often one
//! was sent. In detail:
//!
//! - of changes with equal sequences a deletion counts first, then the one with the greatest values, column by column;
//! - a change without a sequence has no place in the order, and one with a null in its key names no row: both are left
//!   out;
//! - without deletions the row that is there is the newest change so far, and a batch is compared with it. A deletion
//!   leaves no row to compare with, so a flow with `APPLY AS DELETE WHEN` takes the newest change of the batch's keys
//!   from the source table, at the price of a scan of it for each batch.
//!
//! SCD type 2 is made by [`super::history`], by the same rules. In both, a batch is one MERGE that carries the query's
//! transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use ingot_common::SchemaName;
use ingot_common::retry::RetryPolicy;
use ingot_delta::{CommitOutcome, DeltaTable};
use ingot_engine::Session;
use ingot_engine::merge::{Merge, MergeAction, MergeClause, MergeMatching, MergeMetrics, run_merge};
use ingot_streaming::{BatchInfo, BatchOutput, BatchSink};
use uuid::Uuid;

use super::history::{self, qualified};
use super::streaming::into_streaming;
use crate::definition::{CdcFlow, ScdType};
use crate::event::{BatchCounts, BatchKey, EventLog};
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

/// Columns of the source that the target has, in the target's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptColumns {
    pub all: Vec<String>,
    /// Those whose values have an order, by which one of several changes with equal sequences is chosen.
    pub ordered: Vec<String>,
}

/// Merges batches of changes into the target.
pub(crate) struct CdcSink {
    flow: CdcFlow,
    columns: KeptColumns,
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
            columns: KeptColumns {
                all: names(&mut kept_columns(flow, source)),
                ordered: names(
                    &mut kept_columns(flow, source).filter(|field| !field.data_type().is_nested()),
                ),
            },
            table,
            namespace: namespace.clone(),
            events,
        }
    }

    async fn add(&self, session: &Session, batch: &BatchInfo) -> Result<BatchOutput> {
        session.use_namespace(&self.namespace).await?;
        let transaction = (batch.query_id.to_string(), batch.batch_id);
        let key = BatchKey {
            query_id: batch.query_id,
            batch_id: batch.batch_id,
        };
        let mut counts = BatchCounts {
            rows_in: batch.rows_in(),
            ..BatchCounts::default()
        };
        let mut planning = Duration::ZERO;
        let mut retries = MERGE_RETRIES.attempts();
        let metrics = loop {
            // Planned anew for each attempt: a history reads the target, too.
            let (source, on, clauses) = match &self.flow.stored_as {
                ScdType::One => current(&self.flow, &self.columns),
                ScdType::Two { track } => history::merge(&self.flow, &self.columns, track),
            };
            let begun = Instant::now();
            let source = session.query(&source).await?;
            planning += begun.elapsed();
            let merge = Merge {
                target_alias: "t".to_owned(),
                source_alias: "s".to_owned(),
                source,
                on,
                clauses,
                schema_evolution: false,
                app_transactions: vec![transaction.clone()],
                user_metadata: Some(counts.remark()),
            };
            match run_merge(session, &self.table, &merge).await? {
                (CommitOutcome::Committed { .. }, metrics) => break metrics,
                // Its counts come into the log from its commit.
                (CommitOutcome::AlreadyApplied { .. }, _) => return Ok(BatchOutput::default()),
                (CommitOutcome::Conflicted(reason), _) => {
                    if !retries.pause().await {
                        return Err(conflict(&reason));
                    }
                }
            }
        };
        counts.rows_out = written(metrics);
        let rows_out = counts.rows_out;
        self.events.note_batch(key, counts.event(&self.dataset()), true);
        Ok(BatchOutput { rows_out, planning })
    }

    fn dataset(&self) -> String {
        self.flow.target.name.to_string()
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

fn names(fields: &mut dyn Iterator<Item = &Field>) -> Vec<String> {
    fields.map(|field| field.name().clone()).collect()
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

/// The order of a key's changes, the one that counts first. `sequence` is the sequence's expression.
pub(crate) fn newest_first(sequence: &str, ordered: &[String]) -> String {
    let values = ordered.iter().map(|column| format!("{} DESC", quoted(column)));
    let order = [format!("{sequence} DESC"), format!("{DELETED} DESC")];
    order.into_iter().chain(values).collect::<Vec<_>>().join(", ")
}

/// The condition that a change has a place: a whole key and a sequence.
pub(crate) fn placed(flow: &CdcFlow, prefix: &str) -> String {
    let columns = flow.keys.iter().chain([&flow.sequence_by]);
    let conditions = columns.map(|column| format!("{prefix}{} IS NOT NULL", quoted(column)));
    conditions.collect::<Vec<_>>().join(" AND ")
}

/// The merge of a batch for SCD type 1: source query, condition and clauses.
fn current(flow: &CdcFlow, columns: &KeptColumns) -> (String, String, Vec<MergeClause>) {
    let on: Vec<_> = flow
        .keys
        .iter()
        .map(|key| format!("t.{0} = s.{0}", quoted(key)))
        .collect();
    let (changes, newer) = match &flow.delete_when {
        None => (
            format!(
                "SELECT *, false AS {DELETED} FROM {CHANGES} c WHERE {}",
                placed(flow, "c.")
            ),
            newer(flow, &columns.ordered),
        ),
        // The newest of all changes is never older than the row that is there.
        Some(_) => (changes_of_keys(flow), differs(&columns.all)),
    };
    let kept = listed(&columns.all, "");
    let source = format!(
        "SELECT {kept}, {DELETED} FROM (SELECT {kept}, {DELETED}, row_number() OVER (PARTITION BY {keys} ORDER BY \
         {order}) AS __place FROM ({changes}) __changes) __ordered WHERE __place = 1",
        keys = listed(&flow.keys, ""),
        order = newest_first(&quoted(&flow.sequence_by), &columns.ordered),
    );
    let values = assignments(&columns.all);
    let clause = |matching, condition: String, action| MergeClause {
        matching,
        condition: Some(condition),
        action,
    };
    let clauses = vec![
        clause(
            MergeMatching::Matched,
            format!("s.{DELETED}"),
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

/// All changes that the source table holds of the keys of a batch.
pub(crate) fn changes_of_keys(flow: &CdcFlow) -> String {
    let on: Vec<_> = flow
        .keys
        .iter()
        .map(|key| format!("c.{0} = k.{0}", quoted(key)))
        .collect();
    format!(
        "SELECT c.* FROM (SELECT *, {deleted} AS {DELETED} FROM {source}) c JOIN (SELECT DISTINCT {keys} FROM {CHANGES}) \
         k ON {on} WHERE {placed}",
        deleted = deleted(flow),
        source = qualified(&flow.source.name),
        keys = listed(&flow.keys, ""),
        on = on.join(" AND "),
        placed = placed(flow, "c."),
    )
}

/// The condition that change `s` counts before the one that made row `t`, by the order of [`newest_first`]: the first
/// column that differs decides.
fn newer(flow: &CdcFlow, ordered: &[String]) -> String {
    let columns = std::iter::once(&flow.sequence_by).chain(ordered);
    let decisions = columns.map(|column| {
        // Null is the smallest value.
        format!(
            "WHEN (s.{0} IS DISTINCT FROM t.{0}) THEN coalesce(s.{0} > t.{0}, t.{0} IS NULL)",
            quoted(column)
        )
    });
    format!("CASE {} ELSE false END", decisions.collect::<Vec<_>>().join(" "))
}

/// The condition that a row differs from the change that counts.
pub(crate) fn differs(columns: &[String]) -> String {
    // In parentheses, because the parser takes all that follows DISTINCT FROM as its right side.
    let differs = columns
        .iter()
        .map(|column| format!("(t.{0} IS DISTINCT FROM s.{0})", quoted(column)));
    differs.collect::<Vec<_>>().join(" OR ")
}

/// Pairs each column with the source's.
pub(crate) fn assignments(columns: &[String]) -> Vec<(String, String)> {
    let pair = |column: &String| (quoted(column), format!("s.{}", quoted(column)));
    columns.iter().map(pair).collect()
}
