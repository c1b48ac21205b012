//! Rewriting bins: the live rows of some files into new ones, several bins at once.
//!
//! A bin is read and written by one task, batch by batch; memory is that of the open row groups.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use ingot_delta::{Add, DeltaTable, FileWriter, Snapshot, WriteTarget, WriterOptions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::plan::Bin;
use crate::provider::{Rows, copied_files_provider, delta_provider, tracked_provider};
use crate::row_ids::tracked_rows;
use crate::scan::FileCacheUse;
use crate::write::compression_setting;
use crate::{Error, Result, Session};

/// A bin whose rows are in new files that no commit names yet.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub removed: Vec<Arc<Add>>,
    pub added: Vec<Add>,
}

/// What all tasks of a rewrite share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rewriter {
    pub table: Arc<DeltaTable>,
    pub snapshot: Arc<Snapshot>,
    pub target: WriteTarget,
    /// One file, however large: whoever writes decides where it ends.
    pub writer: WriterOptions,
    /// Plans for one core: bins run beside each other.
    narrow: SessionState,
    /// Plans for all cores: bins run one after the other.
    wide: SessionState,
    /// Bins at once.
    pub parallelism: usize,
    /// Cancelled by the session, and by the first task that fails.
    stop: CancellationToken,
}

/// Writes each file of a snapshot anew for `target`, which has the same columns in another form. Nothing is committed.
///
/// # Errors
/// As [`Rewriter::new`]; on any error nothing is left behind.
pub(crate) async fn rewrite_all(
    session: &Session,
    table: &Arc<DeltaTable>,
    snapshot: &Arc<Snapshot>,
    target: WriteTarget,
) -> Result<Vec<Rewritten>> {
    let mut rewriter = Rewriter::new(session, table, snapshot)?;
    rewriter.target = target.with_row_ids();
    let files = 0..snapshot.files().await?.len();
    let bins = files.map(|file| Bin {
        files: vec![file],
        bytes: 0,
    });
    rewriter.compact(bins.collect()).await
}

impl Rewriter {
    /// Prepares to rewrite files of `snapshot`.
    ///
    /// # Errors
    /// `Unsupported` when the table has a writer feature that we cannot honour.
    pub fn new(session: &Session, table: &Arc<DeltaTable>, snapshot: &Arc<Snapshot>) -> Result<Self> {
        let mut wide = session.datafusion().state();
        // Files that are read once to be replaced would drive out those that queries read.
        wide.config_mut().set_extension(Arc::new(FileCacheUse(false)));
        let parallelism = wide.config().target_partitions().max(1);
        let mut narrow = wide.clone();
        narrow.config_mut().options_mut().execution.target_partitions = 1;
        Ok(Self {
            table: Arc::clone(table),
            snapshot: Arc::clone(snapshot),
            target: WriteTarget::of_table(table, snapshot)?.with_row_ids(),
            writer: WriterOptions {
                file_bytes_target: Some(u64::MAX),
                data_change: false,
                compression: compression_setting(session),
                ..WriterOptions::default()
            },
            narrow,
            wide,
            parallelism,
            stop: session.stop().child_token(),
        })
    }

    /// Writes each bin into one file per partition, as a rule one. On an error nothing is left behind.
    pub async fn compact(&self, bins: Vec<Bin>) -> Result<Vec<Rewritten>> {
        let mut waiting = bins.into_iter().enumerate();
        let mut tasks = JoinSet::new();
        let mut done = Vec::new();
        let mut failure = None;
        loop {
            while tasks.len() < self.parallelism
                && failure.is_none()
                && let Some((place, bin)) = waiting.next()
            {
                let rewriter = self.clone();
                tasks.spawn(async move { Ok((place, rewriter.compact_one(bin).await?)) });
            }
            let error = match tasks.join_next().await {
                None => break,
                Some(Ok(Ok(rewritten))) => {
                    done.push(rewritten);
                    continue;
                }
                Some(Ok(Err(error))) => error,
                Some(Err(error)) => Error::internal(format!("rewriting files failed: {error}")),
            };
            // The first failure is the cause; those after it are cancellations.
            self.stop();
            failure.get_or_insert(error);
        }
        done.sort_by_key(|(place, _)| *place);
        let done: Vec<Rewritten> = done.into_iter().map(|(_, rewritten)| rewritten).collect();
        match failure {
            None => Ok(done),
            Some(error) => {
                self.discard(&done).await;
                Err(error)
            }
        }
    }

    /// Deletes the new files of bins that will not be committed.
    pub async fn discard(&self, bins: &[Rewritten]) {
        for bin in bins {
            self.target.discard(&bin.added).await;
        }
    }

    async fn compact_one(&self, bin: Bin) -> Result<Rewritten> {
        let rows = self.copied(&bin)?.execute_stream().await?;
        // A bin is as large as a file is to be.
        let mut writer = FileWriter::for_target(self.target.clone(), self.writer.clone())?;
        if let Err(error) = self.copy(&mut writer, rows).await {
            writer.abort().await;
            return Err(error);
        }
        let removed = self.adds(&bin).await?;
        let mut added = writer.close().await?;
        if let [alone] = removed.as_slice() {
            // The same rows in the same order: what the tags say of them is as true as before.
            for add in &mut added {
                add.tags.clone_from(&alone.tags);
                add.clustering_provider.clone_from(&alone.clustering_provider);
            }
        }
        Ok(Rewritten { removed, added })
    }

    /// Returns what all operators of the engine together may hold.
    pub(super) fn memory_bytes(&self) -> u64 {
        match self.wide.runtime_env().memory_pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes as u64,
            MemoryLimit::Infinite | MemoryLimit::Unknown => u64::MAX,
        }
    }

    /// Plans the live rows of a bin for all cores.
    pub(super) fn frame(&self, bin: &Bin) -> Result<DataFrame> {
        self.frame_in(&self.wide, bin)
    }

    /// Plans the live rows of a bin for one core that writes them as they are.
    fn copied(&self, bin: &Bin) -> Result<DataFrame> {
        if self.snapshot.row_id_columns().is_some() {
            return self.frame_in(&self.narrow, bin);
        }
        let (table, snapshot) = (Arc::clone(&self.table), Arc::clone(&self.snapshot));
        let context = SessionContext::new_with_state(self.narrow.clone());
        Ok(context.read_table(copied_files_provider(table, snapshot, bin.files.clone()))?)
    }

    fn frame_in(&self, state: &SessionState, bin: &Bin) -> Result<DataFrame> {
        let (table, snapshot) = (Arc::clone(&self.table), Arc::clone(&self.snapshot));
        let context = SessionContext::new_with_state(state.clone());
        let files = bin.files.clone();
        match self.snapshot.row_id_columns() {
            Some(ids) => {
                let rows = context.read_table(tracked_provider(table, snapshot, files, Rows::Live, &ids))?;
                tracked_rows(rows, &self.snapshot, &ids)
            }
            None => Ok(context.read_table(delta_provider(table, snapshot, Some(files)))?),
        }
    }

    async fn copy(&self, writer: &mut FileWriter, mut rows: SendableRecordBatchStream) -> Result<()> {
        while let Some(batch) = self.next(&mut rows).await? {
            writer.write(&batch).await?;
        }
        Ok(())
    }

    /// Returns the next rows; none at the end.
    ///
    /// # Errors
    /// `Cancelled` when the request was, or another task of this rewrite failed.
    pub(super) async fn next(&self, rows: &mut SendableRecordBatchStream) -> Result<Option<RecordBatch>> {
        let next = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(Error::Cancelled),
            next = rows.next() => next,
        };
        Ok(next.transpose()?)
    }

    /// Ends all tasks of this rewrite.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Returns the actions of a bin's files.
    pub(super) async fn adds(&self, bin: &Bin) -> Result<Vec<Arc<Add>>> {
        let index = self.snapshot.files().await?;
        Ok(bin.files.iter().map(|file| index.add(*file)).collect())
    }
}
