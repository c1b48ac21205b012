//! A Delta table as DataFusion sees it.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use ingot_delta::{DeltaTable, Snapshot};

/// Makes the provider of one snapshot. Also `files`, if given, restricts it to files of the snapshot's
/// index, by number: streaming reads the files that a commit added, MERGE the files it may touch.
pub fn delta_provider(
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    files: Option<Vec<usize>>,
) -> Arc<dyn TableProvider> {
    let _ = (table, snapshot, files);
    todo!()
}
