//! What OPTIMIZE says it did: the row that it returns, and the metrics of its commits. Source: Spark,
//! `OptimizeMetrics`, `OptimizeTableCommand`.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Field;
use ingot_common::clock;
use ingot_common::port::StatementResult;
use ingot_delta::{Add, OperationMetrics};

use super::rewrite::Rewritten;
use crate::Result;
use crate::statement::rows;

/// How many files, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub files: i64,
    pub bytes: i64,
}

impl Count {
    pub fn add(&mut self, bytes: i64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// What became of ZCubes, or of a z-order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CubeCounts {
    /// Files of cubes with the same columns.
    pub in_cubes: Count,
    /// All other files.
    pub others: Count,
    pub cubes: i64,
    /// Files that were rewritten.
    pub merged: Count,
    pub cubes_written: i64,
}

/// Everything that OPTIMIZE did, over all its commits.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    added: Vec<i64>,
    removed: Vec<i64>,
    vectors: Count,
    pub partitions: i64,
    pub bins: i64,
    pub batches: i64,
    pub considered: i64,
    pub parallelism: i64,
    pub columns: i64,
    pub columns_with_statistics: i64,
    /// Of a z-order.
    pub zordered: Option<CubeCounts>,
    /// Of a clustered table.
    pub clustered: Option<CubeCounts>,
    began_ms: i64,
}

impl Summary {
    /// Begins to count.
    pub fn begin() -> Self {
        Self {
            began_ms: clock::now_ms(),
            ..Self::default()
        }
    }

    /// Takes in the bins of one commit.
    pub fn committed(&mut self, bins: &[Rewritten]) {
        self.batches += 1;
        self.bins += count(bins.len());
        for bin in bins {
            self.added.extend(bin.added.iter().map(|add| add.size));
            self.removed.extend(bin.removed.iter().map(|add| add.size));
            for vector in bin.removed.iter().filter_map(|add| add.deletion_vector.as_ref()) {
                self.vectors.add(vector.cardinality);
            }
        }
        let partitions = bins.iter().filter_map(|bin| bin.removed.first());
        let partitions: HashSet<_> = partitions.map(|add| &add.partition_values).collect();
        self.partitions += count(partitions.len());
    }

    /// Makes the statement's row: the table's path and the metrics.
    pub fn into_row(self, path: &str) -> Result<StatementResult> {
        let metrics = self.metrics();
        let path: ArrayRef = Arc::new(StringArray::from(vec![path]));
        let fields = vec![
            Field::new("path", path.data_type().clone(), true),
            Field::new("metrics", metrics.data_type().clone(), true),
        ];
        rows(fields, vec![path, metrics])
    }

    fn metrics(&self) -> ArrayRef {
        let removed = count(self.removed.len());
        let vectors = group(
            vec![
                ("numDeletionVectorsRemoved", long(self.vectors.files)),
                ("numDeletionVectorRowsRemoved", long(self.vectors.bytes)),
            ],
            self.vectors.files > 0,
        );
        let no = || long_or(None);
        let parallelism = vec![
            ("maxClusterActiveParallelism", no()),
            ("minClusterActiveParallelism", no()),
            ("maxSessionActiveParallelism", no()),
            ("minSessionActiveParallelism", no()),
        ];
        let preserved: ArrayRef = Arc::new(BooleanArray::from(vec![false]));
        group(
            vec![
                ("numFilesAdded", long(count(self.added.len()))),
                ("numFilesRemoved", long(removed)),
                ("filesAdded", sizes(&self.added)),
                ("filesRemoved", sizes(&self.removed)),
                ("partitionsOptimized", long(self.partitions)),
                ("zOrderStats", zorder_counts(self.zordered.as_ref())),
                ("clusteringStats", clustering_counts(self.clustered.as_ref())),
                ("numBins", long(self.bins)),
                ("numBatches", long(self.batches)),
                ("totalConsideredFiles", long(self.considered)),
                ("totalFilesSkipped", long((self.considered - removed).max(0))),
                ("preserveInsertionOrder", preserved),
                ("numFilesSkippedToReduceWriteAmplification", long(0)),
                ("numBytesSkippedToReduceWriteAmplification", long(0)),
                ("startTimeMs", long(self.began_ms)),
                ("endTimeMs", long(clock::now_ms())),
                ("totalClusterParallelism", long(self.parallelism)),
                ("totalScheduledTasks", long(self.bins)),
                ("autoCompactParallelismStats", group(parallelism, false)),
                ("deletionVectorStats", vectors),
                ("numTableColumns", long(self.columns)),
                ("numTableColumnsWithStats", long(self.columns_with_statistics)),
            ],
            true,
        )
    }
}

/// Returns the metrics of one commit.
pub(crate) fn operation_metrics(bins: &[Rewritten]) -> OperationMetrics {
    let mut added: Vec<i64> = bins
        .iter()
        .flat_map(|bin| &bin.added)
        .map(|add| add.size)
        .collect();
    added.sort_unstable();
    let removed: Vec<&Add> = bins
        .iter()
        .flat_map(|bin| bin.removed.iter().map(AsRef::as_ref))
        .collect();
    let at = |numerator: usize| {
        let place = (added.len() * numerator / 4).min(added.len().saturating_sub(1));
        added.get(place).copied().unwrap_or_default()
    };
    let vectors: Vec<_> = removed
        .iter()
        .filter_map(|add| add.deletion_vector.as_ref())
        .collect();
    let mut metrics = OperationMetrics::default();
    for (name, value) in [
        ("minFileSize", at(0)),
        ("p25FileSize", at(1)),
        ("p50FileSize", at(2)),
        ("p75FileSize", at(3)),
        ("maxFileSize", at(4)),
        ("numAddedFiles", count(added.len())),
        ("numRemovedFiles", count(removed.len())),
        ("numAddedBytes", added.iter().sum()),
        ("numRemovedBytes", removed.iter().map(|add| add.size).sum()),
        ("numDeletionVectorsRemoved", count(vectors.len())),
        (
            "numDeletionVectorRowsRemoved",
            vectors.iter().map(|vector| vector.cardinality).sum(),
        ),
        (
            "numDeletionVectorBytesRemoved",
            vectors.iter().map(|vector| i64::from(vector.size_in_bytes)).sum(),
        ),
    ] {
        metrics.increase(name, value);
    }
    metrics
}

fn sizes(bytes: &[i64]) -> ArrayRef {
    let total: i64 = bytes.iter().sum();
    let average = match bytes.len() {
        0 => 0.0,
        files => total as f64 / files as f64,
    };
    let average: ArrayRef = Arc::new(Float64Array::from(vec![average]));
    group(
        vec![
            ("min", long_or(bytes.iter().min().copied())),
            ("max", long_or(bytes.iter().max().copied())),
            ("avg", average),
            ("totalFiles", long(count(bytes.len()))),
            ("totalSize", long(total)),
        ],
        true,
    )
}

fn zorder_counts(counts: Option<&CubeCounts>) -> ArrayRef {
    let given = counts.is_some();
    let counts = counts.cloned().unwrap_or_default();
    let files = |count: Count| {
        group(
            vec![("num", long(count.files)), ("size", long(count.bytes))],
            true,
        )
    };
    let strategy: ArrayRef = Arc::new(StringArray::from(vec!["all"]));
    group(
        vec![
            ("strategyName", strategy),
            ("inputCubeFiles", files(counts.in_cubes)),
            ("inputOtherFiles", files(counts.others)),
            ("inputNumCubes", long(counts.cubes)),
            ("mergedFiles", files(counts.merged)),
            ("numOutputCubes", long(counts.cubes_written)),
            ("mergedNumCubes", long_or(None)),
        ],
        given,
    )
}

fn clustering_counts(counts: Option<&CubeCounts>) -> ArrayRef {
    let given = counts.is_some();
    let counts = counts.cloned().unwrap_or_default();
    let files = |count: Count| {
        group(
            vec![("numFiles", long(count.files)), ("size", long(count.bytes))],
            true,
        )
    };
    group(
        vec![
            ("inputZCubeFiles", files(counts.in_cubes)),
            ("inputOtherFiles", files(counts.others)),
            ("inputNumZCubes", long(counts.cubes)),
            ("mergedFiles", files(counts.merged)),
            ("numOutputZCubes", long(counts.cubes_written)),
        ],
        given,
    )
}

/// One row of a struct, null unless `valid`.
fn group(columns: Vec<(&str, ArrayRef)>, valid: bool) -> ArrayRef {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns
        .into_iter()
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
        .unzip();
    let nulls = (!valid).then(|| NullBuffer::new_null(1));
    Arc::new(StructArray::new(fields.into(), arrays, nulls))
}

fn long(value: i64) -> ArrayRef {
    long_or(Some(value))
}

fn long_or(value: Option<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
