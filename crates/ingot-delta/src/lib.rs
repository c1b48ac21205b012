//! The Delta table: the only code in Ingot that names `_delta_log`.
//!
//! ```text
//!                       ┌────────────── DeltaTables (one per process: handles and snapshots shared)
//!                       ▼
//!  reader ─► DeltaTable::snapshot ─► Snapshot ─► FileIndex (paths, partition values, statistics as columns)
//!                       │                │
//!  writer ─► FileWriter │◄───────────────┘   batches in, Parquet + `add` actions out
//!                │      ▼
//!                ├─► write_deletion_vectors: rows of old files that are gone, as descriptors for their `add`s
//!                └─► Transaction::commit ─► put-if-absent N.json ─► Committed │ AlreadyApplied │ Conflicted
//!                                             │ lost the race: read winners, decide (`conflict`), rebase
//!                                             └ every `checkpointInterval` commits: `checkpoint`
//! ```
//!
//! Always true: a commit that was reported is on disk; a commit whose outcome is unknown is resolved by
//! reading the log; a snapshot never changes once made. Reading is `delta_kernel`'s, writing is ours
//! (ADR-0001). Source: the Delta transaction log protocol.

pub mod action;
pub mod change_feed;
mod checkpoint;
pub mod clone;
pub mod clustering_domain;
pub mod column;
pub mod column_mapping;
mod commit_time;
pub mod conflict;
mod create;
pub mod deletion_vector;
mod drop_feature;
pub mod error;
pub mod evolution;
mod features;
pub mod file_index;
pub mod history;
mod kernel;
mod loaded_files;
mod log;
pub mod maintenance;
pub mod operation;
mod partition;
mod properties;
mod replace;
mod replay;
pub mod restore;
mod retention;
mod row_tracking;
pub mod schema;
pub mod schema_change;
pub mod snapshot;
mod store;
pub mod table;
pub mod transaction;
pub mod type_widening;
pub mod vacuum;
pub mod writer;

pub use action::{Action, Add, AddCdcFile, CommitInfo, Metadata, Protocol, Remove, Txn};
pub use change_feed::{ChangeFeed, ChangedFile};
pub use clone::CloneSource;
pub use column_mapping::{ColumnMapping, ColumnMappingMode};
pub use conflict::ConflictReason;
pub use deletion_vector::DeletionVector;
pub use drop_feature::{DropCommit, DropStep, Dropped, FeatureDrop};
pub use error::{Error, Result};
pub use evolution::{Evolution, TypeEvolution};
pub use file_index::FileIndex;
pub use history::{HistoryEntry, TableDetail};
pub use loaded_files::{COPY_INTO_APP, LoadedFiles, StagedLoad};
pub use operation::{Author, Operation, OperationMetrics};
pub use properties::parse_bytes;
pub use replace::Replacement;
pub use restore::Restored;
pub use row_tracking::RowIdColumns;
pub use snapshot::Snapshot;
pub use store::{
    CacheHits, CachedFiles, FileCache, FileCacheCounts, FileCacheOptions, StoreSettings,
    canonical as canonical_location,
};
pub use table::{CreateTable, DeltaTable, DeltaTables, TablesOptions, TimeTravel};
pub use transaction::{CommitOutcome, ReadPredicate, ReadSet, Transaction};
pub use vacuum::{VacuumMode, VacuumOptions, Vacuumed};
pub use writer::{
    CompressionCodec, FILE_BYTES_TARGET, FileWriter, WriteTarget, WriterOptions, file_bytes_target,
};
