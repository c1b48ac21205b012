//! `OPTIMIZE` and `REORG TABLE … APPLY (PURGE)`: the same rows in fewer or cleaner files.
//!
//! ```text
//! snapshot ─► candidates ─► bins (`plan`) ─► rewritten, several at once (`rewrite`) ─► one commit per batch of bins
//!    ▲                                                                                     │ lost a race
//!    └───────────── what is left, planned anew ◄── bins that lost a file ◄─────────────────┤
//!                                                  the others commit on top of the winner ─┘
//! ```
//! Bins are packed by size, or are the files to order along a curve (`cluster`): those of a partition for ZORDER BY,
//! those of a ZCube to be in a clustered table (`cubes`).
//!
//! Always true: a commit takes out exactly the files, with exactly the deletion vectors, whose rows it adds, and
//! changes no row (`dataChange` is false). So it is right on top of any commit that left these files alone, and is
//! never made on top of one that did not: rows are neither doubled nor resurrected. Work that one bin lost is no
//! other bin's loss. Source: Delta protocol, "Add File and Remove File"; Spark, `OptimizeTableCommand`.

mod cluster;
mod cubes;
mod curve;
mod layout;
mod limits;
mod metrics;
mod parting;
mod pieces;
mod plan;
mod predicate;
mod ranges;
mod rewrite;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::Array;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::error::DataFusionError;
use ingot_common::clock;
use ingot_common::retry::RetryPolicy;
use ingot_delta::clustering_domain::CLUSTERING_DOMAIN;
use ingot_delta::{
    CommitOutcome, ConflictReason, DeltaTable, Error as DeltaError, FileIndex, Operation, ReadPredicate,
    Snapshot,
};
use serde_json::json;

use self::cluster::Order;
use self::cubes::Clustered;
use self::layout::Layout;
pub(crate) use self::limits::{DELETED_SHARE, Limits, SIZES, ZORDER_CHECK};
use self::metrics::CubeCounts;
pub(crate) use self::metrics::Summary;
use self::plan::{Bin, Candidate};
pub(crate) use self::rewrite::rewrite_all;
use self::rewrite::{Rewriter, Rewritten};
use crate::history::Trace;
use crate::pruning::{PartitionColumns, deleted_rows};
use crate::write::conflict_error;
use crate::{Result, Session};

/// How often files that a concurrent writer changed under the rewrite are planned anew.
const ROUNDS_MAX: u32 = 20;

/// How often a batch commits again, without what it lost.
const COMMIT_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 20,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// What to do to a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub task: Task,
    /// Chooses partitions; over partition columns, as the user wrote it.
    pub predicate: Option<String>,
    /// Chooses files by what the log says of them.
    pub only: Option<Arc<dyn ReadPredicate>>,
    /// Not asked for by a statement, but done after a commit that left small files: the sizes to pack to.
    pub auto: Option<PackedSizes>,
}

/// Sizes that a request brings along, in place of the session's and the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedSizes {
    /// Bytes of a packed file, about.
    pub file_bytes_target: u64,
    /// Smaller files are packed together.
    pub file_bytes_min: u64,
}

/// What is wanted of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Task {
    /// Small files are packed together; those of a clustered table are clustered.
    #[default]
    Optimize,
    /// All files of a clustered table are clustered anew.
    OptimizeFull,
    /// Rows are ordered by these columns, each of them a path, as the user wrote it.
    ZOrder(Vec<Vec<String>>),
    /// Each file stays, without its deleted rows.
    Purge,
}

/// Rewrites files until the table is as `request` wants it.
///
/// # Errors
/// `InvalidArgument` for a predicate that is not over partition columns, and for columns that rows cannot be ordered
/// by; `Unsupported` for a table that we cannot write; `Conflict` when other writers changed the files again and again: what was committed until then stays.
pub(crate) async fn optimize(
    session: &Session,
    table: &Arc<DeltaTable>,
    request: &Request,
) -> Result<Summary> {
    let mut summary = Summary::begin();
    let mut written = HashSet::new();
    for round in 0..=ROUNDS_MAX {
        let snapshot = table.snapshot().await?;
        let limits = Limits::of(session, &snapshot, request.auto);
        let pass = Pass {
            session,
            table,
            snapshot: &snapshot,
            request,
            layout: Layout::of(session, &snapshot, request, &limits)?,
            limits,
            rewriter: Rewriter::new(session, table, &snapshot)?,
        };
        let candidates = pass.candidates(&written).await?;
        let (bins, counts) = pass.bins(&candidates).await?;
        if round == 0 {
            pass.describe(&mut summary, &candidates, counts);
        }
        let mut lost = None;
        for batch in plan::batches(bins, pass.limits.batch_bytes) {
            let Outcome { committed, conflict } = pass.run(batch).await?;
            lost = conflict.or(lost);
            if !committed.is_empty() {
                let added = committed.iter().flat_map(|bin| &bin.added);
                if let Some(trace) = Trace::current() {
                    let bytes = added.clone().map(|add| add.size).sum();
                    trace.wrote(added.clone().count(), 0, bytes);
                }
                written.extend(added.map(|add| add.path.clone()));
                summary.committed(&committed);
            }
        }
        match lost {
            None => return Ok(summary),
            Some(reason) if round == ROUNDS_MAX => return Err(conflict_error(&reason)),
            Some(reason) => tracing::info!(%reason, "files changed while they were optimised; planned anew"),
        }
    }
    Ok(summary)
}

/// One look at the table, and what follows from it.
struct Pass<'a> {
    session: &'a Session,
    table: &'a Arc<DeltaTable>,
    snapshot: &'a Arc<Snapshot>,
    request: &'a Request,
    layout: Layout,
    limits: Limits,
    rewriter: Rewriter,
}

/// What became of a batch.
struct Outcome {
    committed: Vec<Rewritten>,
    /// Why bins were lost, if some were.
    conflict: Option<ConflictReason>,
}

impl Pass<'_> {
    /// Lists the files that the request is about, by partition, without those that this run wrote itself.
    async fn candidates(&self, written: &HashSet<String>) -> Result<Vec<Vec<Candidate>>> {
        let index = self.snapshot.files().await?;
        let mut files: Vec<usize> = (0..index.len()).collect();
        if let Some(text) = &self.request.predicate {
            let filter = predicate::compile(self.session, self.snapshot, text)?;
            let partitions = PartitionColumns::new(self.snapshot, index);
            let state = self.session.datafusion().state();
            files = partitions.retain_matching(&state, files, &[filter])?;
        }
        if let Some(only) = &self.request.only {
            let chosen = only.may_match(index);
            files.retain(|file| chosen[*file]);
        }
        if !written.is_empty() {
            files.retain(|file| !written.contains(&index.add(*file).path));
        }
        let sizes = index.sizes();
        let live = index.num_records();
        let candidate = |file: usize| {
            let live = live.is_valid(file).then(|| live.value(file));
            Candidate::new(file, sizes.value(file), live, deleted_rows(index, file))
        };
        let groups = by_partition(self.snapshot, index, files)?;
        Ok(groups
            .into_iter()
            .map(|files| files.into_iter().map(candidate).collect())
            .collect())
    }

    /// Groups files to rewrite, and counts cubes where there are some.
    async fn bins(&self, candidates: &[Vec<Candidate>]) -> Result<(Vec<Bin>, Option<CubeCounts>)> {
        let each = |plan: &dyn Fn(&[Candidate]) -> Vec<Bin>| -> Vec<Bin> {
            candidates.iter().flat_map(|files| plan(files)).collect()
        };
        Ok(match &self.layout {
            Layout::Compact => (each(&|files| plan::compaction(files, &self.limits)), None),
            Layout::Purge => (each(&plan::purge), None),
            Layout::ZOrder(_) => {
                let bins = candidates.iter().filter(|files| !files.is_empty());
                let bins = bins.map(|files| Bin::of(files.clone()));
                (bins.collect(), Some(cubes::zorder(candidates)))
            }
            Layout::Cluster { columns, full, .. } => {
                let index = self.snapshot.files().await?;
                let files = candidates.iter().flatten();
                let files: Vec<Clustered> = files
                    .map(|candidate| Clustered::new(*candidate, &index.add(candidate.file)))
                    .collect();
                let (bins, counts) = cubes::clustering(&files, columns, &self.limits, *full);
                (bins, Some(counts))
            }
        })
    }

    fn describe(&self, summary: &mut Summary, candidates: &[Vec<Candidate>], counts: Option<CubeCounts>) {
        match &self.layout {
            Layout::ZOrder(_) => summary.zordered = counts,
            _ => summary.clustered = counts,
        }
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let columns = self.snapshot.schema().fields().len();
        summary.considered = count(candidates.iter().map(Vec::len).sum());
        summary.parallelism = count(self.rewriter.parallelism);
        summary.columns = count(columns);
        let indexed = self.snapshot.properties().get("delta.dataSkippingNumIndexedCols");
        let indexed = indexed.and_then(|text| text.parse::<i64>().ok());
        summary.columns_with_statistics = match indexed.unwrap_or(32) {
            all if all < 0 => count(columns),
            first => first.min(count(columns)),
        };
    }

    /// Rewrites the bins of a batch and commits them.
    async fn run(&self, bins: Vec<Bin>) -> Result<Outcome> {
        let rewritten = match &self.layout {
            Layout::Compact | Layout::Purge => self.rewriter.compact(bins).await?,
            Layout::ZOrder(order) | Layout::Cluster { order, .. } => self.along_curve(bins, order).await?,
        };
        self.commit(rewritten).await
    }

    /// Rewrites bins one after the other, each on all cores.
    async fn along_curve(&self, bins: Vec<Bin>, order: &Order) -> Result<Vec<Rewritten>> {
        let mut done = Vec::with_capacity(bins.len());
        for bin in bins {
            match self.rewriter.cluster(&bin, order).await {
                Ok(mut rewritten) => {
                    if let Layout::Cluster { columns, .. } = &self.layout {
                        cubes::tag(&mut rewritten.added, columns);
                    }
                    done.push(rewritten);
                }
                Err(error) => {
                    self.rewriter.discard(&done).await;
                    return Err(error);
                }
            }
        }
        Ok(done)
    }

    /// Commits bins. Those that lost a file to another writer are given up; the others go on top of its commit.
    async fn commit(&self, mut bins: Vec<Rewritten>) -> Result<Outcome> {
        let mut read = Arc::clone(self.snapshot);
        let mut retries = COMMIT_RETRIES.attempts();
        let mut conflict = None;
        loop {
            if bins.is_empty() {
                return Ok(Outcome {
                    committed: bins,
                    conflict,
                });
            }
            let reason = match self.commit_once(&read, &bins).await? {
                None => {
                    return Ok(Outcome {
                        committed: bins,
                        conflict,
                    });
                }
                Some(reason) => reason,
            };
            read = self.table.snapshot().await?;
            let hopeless = !same_layout(self.snapshot, &read) || !retries.pause().await;
            let index = read.files().await?;
            let (kept, lost): (Vec<Rewritten>, Vec<Rewritten>) = bins
                .into_iter()
                .partition(|bin| !hopeless && bin.removed.iter().all(|add| index.holds(add)));
            self.rewriter.discard(&lost).await;
            if !lost.is_empty() {
                conflict = Some(reason);
            }
            bins = kept;
        }
    }

    /// Tries to commit; returns the reason when another commit stands against it.
    async fn commit_once(&self, read: &Arc<Snapshot>, bins: &[Rewritten]) -> Result<Option<ConflictReason>> {
        let mut transaction = self.table.transaction(Arc::clone(read), self.operation());
        let now = clock::now_ms();
        for bin in bins {
            transaction.remove_files(bin.removed.iter().map(|add| add.to_remove(now, false)));
            transaction.add_files(bin.added.iter().cloned());
        }
        if self.snapshot.row_id_columns().is_some() {
            transaction.set_row_ids_kept();
        }
        transaction.set_metrics(metrics::operation_metrics(bins));
        transaction.set_author(self.session.author());
        match transaction.commit().await {
            Ok(CommitOutcome::Committed { .. } | CommitOutcome::AlreadyApplied { .. }) => Ok(None),
            Ok(CommitOutcome::Conflicted(reason)) => Ok(Some(reason)),
            Err(error) => {
                use DeltaError::{CommitOutcomeUnknown, CommittedUnread};
                if !matches!(error, CommitOutcomeUnknown { .. } | CommittedUnread { .. }) {
                    self.rewriter.discard(bins).await;
                }
                Err(error.into())
            }
        }
    }

    /// Describes the commit for the history, as Spark does.
    fn operation(&self) -> Operation {
        let predicates: Vec<&String> = self.request.predicate.iter().collect();
        let predicates = json!(predicates).to_string();
        if self.layout == Layout::Purge {
            return Operation::new("REORG")
                .with("predicate", predicates)
                .with("applyPurge", "true");
        }
        let names = |columns: &[String]| json!(columns).to_string();
        let (zorder_by, cluster_by) = match &self.layout {
            Layout::ZOrder(order) => (order.names(), Vec::new()),
            Layout::Cluster { columns, .. } => (Vec::new(), columns.clone()),
            Layout::Compact | Layout::Purge => (Vec::new(), Vec::new()),
        };
        let operation = Operation::new("OPTIMIZE")
            .with("predicate", predicates)
            .with("zOrderBy", names(&zorder_by))
            .with("clusterBy", names(&cluster_by))
            .with("auto", self.request.auto.is_some().to_string());
        match &self.layout {
            Layout::Cluster { full, .. } => operation.with("isFull", full.to_string()),
            _ => operation,
        }
    }
}

/// Says if files that were written for `before` are right for `after`: same columns, same partitions, same rules.
fn same_layout(before: &Snapshot, after: &Snapshot) -> bool {
    before.metadata().id == after.metadata().id
        && before.metadata().schema_string == after.metadata().schema_string
        && before.partition_columns() == after.partition_columns()
        && before.protocol() == after.protocol()
        && before.row_id_columns() == after.row_id_columns()
        && before.domain_metadata(CLUSTERING_DOMAIN) == after.domain_metadata(CLUSTERING_DOMAIN)
}

/// Groups files whose typed partition values are the same: texts may differ in form.
fn by_partition(snapshot: &Snapshot, index: &FileIndex, files: Vec<usize>) -> Result<Vec<Vec<usize>>> {
    let columns: Vec<_> = snapshot
        .partition_columns()
        .iter()
        .filter_map(|column| index.partition_values(column))
        .collect();
    if columns.is_empty() {
        return Ok(vec![files]);
    }
    let fields = columns
        .iter()
        .map(|column| SortField::new(column.data_type().clone()));
    let converter = RowConverter::new(fields.collect()).map_err(DataFusionError::from)?;
    let rows = converter
        .convert_columns(&columns)
        .map_err(DataFusionError::from)?;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut places: std::collections::HashMap<OwnedRow, usize> = std::collections::HashMap::new();
    for file in files {
        let place = *places.entry(rows.row(file).owned()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(file),
            None => groups.push(vec![file]),
        }
    }
    Ok(groups)
}
