//! Materialized views: recomputed when something that they read has changed.
//!
//! What a view was computed from (its text and the versions of its inputs) is kept in a file beside the
//! checkpoints. The file is written after the commit; an update that was killed in between computes the view once
//! more, to the same rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingot_common::SchemaName;
use ingot_delta::{DeltaTable, Operation};
use ingot_engine::Session;
use ingot_engine::write::{align_by_name, commit_overwrite, stage_files};
use serde::{Deserialize, Serialize};

use crate::definition::{Dataset, Query};
use crate::event::{EventLog, PipelineEvent};
use crate::expectation::Checks;
use crate::{Error, Result};

/// What a view was computed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Computed {
    query: String,
    /// Version of each input; absent for one that has none (a view).
    inputs: BTreeMap<String, Option<i64>>,
}

impl Computed {
    /// Says if nothing can have changed since `before`.
    fn same_as(&self, before: &Self) -> bool {
        self == before && self.inputs.values().all(Option::is_some)
    }
}

/// A materialized view and where the mark of its computation is kept.
pub(crate) struct MaterializedView<'a> {
    pub dataset: &'a Dataset,
    pub query: &'a Query,
    pub namespace: &'a SchemaName,
    pub table: Arc<DeltaTable>,
    pub mark: PathBuf,
    pub events: EventLog,
}

/// Whether files that a view reads count as changed: nobody announces that they did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    Changed,
    Unchanged,
}

impl MaterializedView<'_> {
    /// Brings the view up to date.
    ///
    /// # Errors
    /// `FailedPrecondition` for a violated FAIL UPDATE; nothing is committed then.
    pub async fn refresh(&self, session: &Session, files: Files) -> Result<()> {
        session.use_namespace(self.namespace).await?;
        let computed = self.inputs(session).await?;
        let reads_anew = self.query.reads_files && files == Files::Changed;
        if !reads_anew && read_mark(&self.mark).is_some_and(|before| computed.same_as(&before)) {
            return Ok(());
        }
        let name = self.dataset.name.to_string();
        let checks = Checks::new(name.clone(), self.dataset.expectations.clone());
        let rows = checks.plan(session, &self.query.text).await?;
        let snapshot = self.table.snapshot().await?;
        let rows = align_by_name(rows, &snapshot)?;
        let staged = stage_files(session, &self.table, &snapshot, rows).await;
        let staged = staged.map_err(|error| checks.violation().unwrap_or_else(|| error.into()))?;
        let rows_out = u64::try_from(staged.metrics.get("numOutputRows")).unwrap_or_default();
        let operation = Operation::new("WRITE")
            .with("mode", "Overwrite")
            .with("partitionBy", "[]");
        commit_overwrite(session, &self.table, &snapshot, staged, operation).await?;
        write_mark(&self.mark, &computed)?;
        let (rows_in, expectations) = checks.counted();
        self.events.note(PipelineEvent::FlowProgress {
            dataset: name,
            rows_in,
            rows_out,
            expectations,
        });
        Ok(())
    }

    /// Reads the inputs' versions before the query runs: what comes in between is computed the next time.
    async fn inputs(&self, session: &Session) -> Result<Computed> {
        let mut inputs = BTreeMap::new();
        for reference in &self.query.relations {
            let info = session.engine().metastore().table(&reference.name).await?;
            let version = if info.location.is_some() {
                let (_, table) = session.open_table(&reference.name).await?;
                Some(table.snapshot().await?.version())
            } else {
                None
            };
            inputs.insert(format!("{}#{}", reference.name, info.id), version);
        }
        Ok(Computed {
            query: self.query.text.clone(),
            inputs,
        })
    }
}

/// A mark that is missing or cannot be read means that the view is computed.
fn read_mark(path: &Path) -> Option<Computed> {
    let text = std::fs::read_to_string(path).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_mark(path: &Path, computed: &Computed) -> Result<()> {
    let text = serde_json::json!(computed).to_string();
    let staged = path.with_extension("tmp");
    std::fs::write(&staged, text)
        .and_then(|()| std::fs::rename(&staged, path))
        .map_err(Error::project("write", path))
}
