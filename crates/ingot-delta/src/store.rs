//! Where tables can be: a local folder, or a bucket of Amazon S3 (and what speaks its protocol), Azure or Google.
//!
//! ```text
//! file:///…                           ─► local   files and folders are synced
//! s3://bucket/…, abfss://…, gs://…    ─► remote  settings by URL over the environment; put-if-absent proven first
//! ```
//! Always true: a file that was put is there for good, and of two that put a file if absent one is told that it
//! exists. A local folder is made so by syncing; a bucket is, but not every server that speaks S3 knows the
//! condition, so the first commit to each is preceded by a probe.

mod conditional;
mod file_cache;
mod local;
mod receipt;
mod remote;

pub use self::file_cache::{CacheHits, CachedFiles, FileCache, FileCacheCounts, FileCacheOptions};
pub(crate) use self::local::{LocalStaging, LocalStore, Published, StagedFile, local_store};
pub(crate) use self::receipt::PutReceipt;
pub(crate) use self::remote::remote_store;
pub use self::remote::{StoreSettings, canonical};
