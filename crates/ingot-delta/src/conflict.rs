//! The decision after a lost race: pure, over what both sides did.

/// Why a commit cannot go on top of a winner's. Named as Delta's exceptions are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConflictReason {
    #[error("version {version} changed the table's metadata")]
    MetadataChanged { version: i64 },
    #[error("version {version} changed the table's protocol")]
    ProtocolChanged { version: i64 },
    #[error("version {version} added files that this operation would have read")]
    ConcurrentAppend { version: i64, path: String },
    #[error("version {version} removed a file that this operation read")]
    ConcurrentDeleteRead { version: i64, path: String },
    #[error("version {version} removed a file that this operation removes")]
    ConcurrentDeleteDelete { version: i64, path: String },
    #[error("version {version} was written by the same application `{app_id}`")]
    ConcurrentTransaction { version: i64, app_id: String },
}
