//! Sizes and shares that decide what OPTIMIZE touches: the table's properties, then the session's settings, then
//! defaults. The settings are Spark's `spark.databricks.delta.optimize.*`.

use ingot_delta::{Snapshot, file_bytes_target};

use super::PackedSizes;
use crate::Session;

/// Input bytes of one commit, about: what a crash or a lost race can cost.
const BATCH_BYTES: u64 = 32 << 30;

/// A share of deleted rows beyond which a file is written anew. Source: Spark, `optimize.maxDeletedRowsRatio`.
const DELETED_SHARE_MAX: f64 = 0.05;

/// A ZCube is complete at so many files' worth, and may grow to half as much again. Source: Spark,
/// `optimize.clustering.mergeStrategy.minCubeSize`.
const CUBE_FILES_MIN: u64 = 100;

/// The settings of sizes in bytes.
pub(crate) const SIZES: [&str; 5] = [
    "spark.databricks.delta.optimize.maxFileSize",
    "spark.databricks.delta.optimize.minFileSize",
    "spark.databricks.delta.optimize.batchSize",
    "spark.databricks.delta.optimize.clustering.mergeStrategy.minCubeSize.threshold",
    "spark.databricks.delta.optimize.clustering.mergeStrategy.minCubeSize.targetCubeSize",
];
pub(crate) const DELETED_SHARE: &str = "spark.databricks.delta.optimize.maxDeletedRowsRatio";
pub(crate) const ZORDER_CHECK: &str = "spark.databricks.delta.optimize.zorder.checkStatsCollection.enabled";

/// What OPTIMIZE aims at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// Bytes of a file when all is done, about.
    pub file_bytes_target: u64,
    /// Smaller files are packed together.
    pub file_bytes_min: u64,
    /// Files with a larger share of deleted rows are written anew, whatever their size.
    pub deleted_share_max: f64,
    /// Input bytes of one commit.
    pub batch_bytes: u64,
    /// A ZCube of so many bytes is left as it is.
    pub cube_bytes_min: u64,
    /// New ZCubes are filled up to so many bytes.
    pub cube_bytes_target: u64,
}

impl Limits {
    /// Reads the limits for a table in a session; `packed` are sizes that the request brings along.
    pub fn of(session: &Session, snapshot: &Snapshot, packed: Option<PackedSizes>) -> Self {
        let size = |name: &str| session.setting(name)?.parse::<u64>().ok();
        let [file_max, file_min, batch, cube_min, cube_target] = SIZES;
        let file_bytes_target = packed
            .map(|sizes| sizes.file_bytes_target)
            .or_else(|| size(file_max))
            .unwrap_or_else(|| file_bytes_target(snapshot.properties()));
        let file_bytes_min = packed
            .map(|sizes| sizes.file_bytes_min)
            .or_else(|| size(file_min));
        let cube_bytes_min = size(cube_min).unwrap_or(file_bytes_target.saturating_mul(CUBE_FILES_MIN));
        let cube_bytes_target = size(cube_target).unwrap_or(cube_bytes_min.saturating_mul(3) / 2);
        let share = session.setting(DELETED_SHARE);
        Self {
            file_bytes_target,
            file_bytes_min: file_bytes_min.unwrap_or(file_bytes_target),
            deleted_share_max: share
                .and_then(|share| share.parse().ok())
                .unwrap_or(DELETED_SHARE_MAX),
            batch_bytes: size(batch).unwrap_or(BATCH_BYTES),
            cube_bytes_min,
            cube_bytes_target: cube_bytes_target.max(cube_bytes_min),
        }
    }
}
