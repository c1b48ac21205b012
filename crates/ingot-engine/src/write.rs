//! Rows of a query into a table: INSERT, CTAS, and the sink of a stream.
//!
//! ```text
//! query plan ─► partitions ─► cast to the table's types (`assign`) ─► FileWriter ─► StagedFiles ─► commit (`commit`)
//!                  each on its own task ┘          small ends of partitions share one writer ┘
//! ```
//!
//! Always true: staged files are no part of the table until a commit names them; an operation that fails or
//! is cancelled deletes what it wrote, and one whose future is dropped leaves it to VACUUM.

mod align;
mod assign;
mod auto_compact;
mod clone;
mod commit;
mod create;
mod options;
mod partitions;
mod predicate;
mod removal;
mod replace;
mod request;
pub(crate) mod rules;
mod stage;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use ingot_delta::{Add, OperationMetrics, Snapshot};
use url::Url;

use crate::Result;
use crate::filtered::with_filtered;
use crate::provider::with_delta;

pub use align::align_by_name;
pub use assign::type_text;
pub(crate) use assign::{MissingFields, assignable, element};
pub use auto_compact::compact_after;
pub(crate) use auto_compact::{Compactions, SETTINGS as AUTO_COMPACT_SETTINGS};
pub(crate) use clone::{CloneTarget, clone_table};
pub use commit::{commit_append, commit_overwrite, conflict_error};
pub(crate) use create::{Created, DELETION_VECTORS_SETTING, column_infos, create};
pub use create::{DatasetSpec, TableSpec, create_table};
pub(crate) use options::{COMPRESSION_SETTING, compression_setting, nearest};
pub use options::{ColumnMatch, CommitSettings, SchemaEvolution, WriteMode, WriteOptions};
pub(crate) use replace::replace_table;
pub(crate) use request::validate;
pub use request::{Fence, WriteRequest, Written, table_exists, try_write, write};
pub(crate) use stage::stage_for;
pub use stage::{discard, stage_files};
pub(crate) use store::stored;

/// Files written for a table and not yet committed.
#[derive(Debug)]
pub struct StagedFiles {
    pub files: Vec<Add>,
    /// `numFiles`, `numOutputRows`, `numOutputBytes`.
    pub metrics: OperationMetrics,
    /// The last values that identity columns were given, by name: they go into the commit of the files.
    pub high_water_marks: BTreeMap<String, i64>,
    /// The rows were computed from the table they are written to: a commit must not go on top of versions
    /// that the query did not see.
    pub reads_target: bool,
}

/// Returns the snapshot in which a plan reads the table at `location`, in any of its subqueries: the oldest of
/// several, `None` when it does not. What a statement changes is not read in this sense; a version that the query asks for by number or time does not count, for what
/// is committed meanwhile does not change it.
pub(crate) fn snapshot_read(plan: &LogicalPlan, location: &Url) -> Result<Option<Arc<Snapshot>>> {
    let mut found: Option<Arc<Snapshot>> = None;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let read = with_delta(scan, |delta| {
                let counts = delta.table().location() == location && !delta.past() && !delta.target();
                counts.then(|| Arc::clone(delta.snapshot()))
            });
            found = older(found.take(), read.flatten());
            let below = with_filtered(scan, |plan| snapshot_read(plan, location)).transpose();
            let below = below.map_err(|error| DataFusionError::External(Box::new(error)))?;
            found = older(found.take(), below.flatten());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Returns the older of two snapshots, as far as there are any.
pub(crate) fn older(a: Option<Arc<Snapshot>>, b: Option<Arc<Snapshot>>) -> Option<Arc<Snapshot>> {
    match (a, b) {
        (Some(a), Some(b)) if b.version() < a.version() => Some(b),
        (a, b) => a.or(b),
    }
}
