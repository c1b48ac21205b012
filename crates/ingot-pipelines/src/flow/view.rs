//! Materialized views: recomputed when something that they read has changed.
//!
//! What a view was computed from (its text and the versions of its inputs) is kept in a file beside the
//! checkpoints. The file is written after the commit; an update that was killed in between computes the view once
//! more, to the same rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingot_catalog::TableKind;
use ingot_common::{SchemaName, TableName};
use ingot_delta::{DeltaTable, Operation};
use ingot_engine::Session;
use ingot_streaming::{BatchInfo, BatchOutcome, BatchWrite, OutputMode, write_batch};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::definition::{Dataset, Query};
use crate::dialect::tables_read;
use crate::event::{BatchKey, EventLog};
use crate::expectation::Checks;
use crate::{Error, Result};

/// What a view was computed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Computed {
    query: String,
    /// Version of each table, also of those that stand under a view of the catalog; for a view its definition.
    inputs: BTreeMap<String, Input>,
}

/// What a view depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Input {
    Version(i64),
    Definition(String),
}

/// The inputs as they are now.
struct Inputs {
    computed: Computed,
    /// Whether files are among them, whose changes nobody announces.
    files: bool,
}

/// A materialized view and where the mark of its computation is kept.
pub(crate) struct MaterializedView<'a> {
    pub dataset: &'a Dataset,
    pub query: &'a Query,
    pub namespace: &'a SchemaName,
    /// The table's id in the catalog.
    pub table_id: Uuid,
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
        let inputs = self.inputs(session).await?;
        let reads_anew = inputs.files && files == Files::Changed;
        if !reads_anew && read_mark(&self.mark).is_some_and(|before| before == inputs.computed) {
            return Ok(());
        }
        let name = self.dataset.name.to_string();
        let checks = Checks::new(name.clone(), self.dataset.expectations.clone());
        let batch = self.next_computation().await?;
        let rows = checks.plan(session, &self.query.text).await?;
        let remark = |rows_out| checks.counted(rows_out).remark();
        let write = BatchWrite {
            rows,
            mode: OutputMode::Complete,
            operation: Some(
                Operation::new("WRITE")
                    .with("mode", "Overwrite")
                    .with("partitionBy", "[]"),
            ),
            remark: Some(&remark),
        };
        let written = write_batch(session, &self.table, &batch, write).await;
        let written = written.map_err(|error| checks.violation().unwrap_or_else(|| error.into()))?;
        let key = BatchKey {
            query_id: batch.query_id,
            batch_id: batch.batch_id,
        };
        match written {
            BatchOutcome::Added { rows } => {
                self.events
                    .note_batch(key, checks.counted(rows).event(&name), false);
            }
            // Somebody else computed the view meanwhile; from what, the mark does not say.
            BatchOutcome::AlreadyThere => return Ok(()),
        }
        write_mark(&self.mark, &inputs.computed)
    }

    /// A computation is a batch of a query whose id is the table's, so that its counts are in its commit and in the
    /// log once.
    async fn next_computation(&self) -> Result<BatchInfo> {
        let snapshot = self.table.snapshot().await?;
        let newest = snapshot.app_transaction(&self.table_id.to_string()).await?;
        Ok(BatchInfo {
            query_id: self.table_id,
            run_id: self.table_id,
            batch_id: newest.map_or(0, |newest| newest + 1),
            end_offsets: Vec::new(),
            rows: Vec::new(),
        })
    }

    /// Reads the inputs' versions before the query runs: what comes in between is computed the next time.
    async fn inputs(&self, session: &Session) -> Result<Inputs> {
        let mut inputs = BTreeMap::new();
        let mut files = self.query.reads_files;
        let mut names: Vec<TableName> = self
            .query
            .relations
            .iter()
            .map(|reference| reference.name.clone())
            .collect();
        while let Some(name) = names.pop() {
            let info = session.engine().metastore().table(&name).await?;
            let key = format!("{name}#{}", info.id);
            if inputs.contains_key(&key) {
                continue;
            }
            let input = if info.kind == TableKind::View {
                let definition = info.definition.clone().unwrap_or_default();
                let namespace = info.definition_namespace.as_ref().unwrap_or(self.namespace);
                // A view that does not parse has nothing under it, and fails when it is planned.
                if let Ok(read) = tables_read(&definition, namespace) {
                    files |= read.files;
                    names.extend(read.tables.into_iter().map(|(name, _)| name));
                }
                Input::Definition(definition)
            } else {
                let (_, table) = session.open_table(&name).await?;
                Input::Version(table.snapshot().await?.version())
            };
            inputs.insert(key, input);
        }
        let computed = Computed {
            query: self.query.text.clone(),
            inputs,
        };
        Ok(Inputs { computed, files })
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
