//! Structured streaming in micro-batches (decision D3).
//!
//! ```text
//!  trigger ─► latest offsets of all sources ─► offsets/N (write-ahead) ─► sink.add_batch ─► commits/N ─► progress
//!                                                                          └ Delta commit carries txn(query id, N)
//! ```
//! Always true: `offsets/N` is on disk before batch N runs; batch N always has the offsets recorded there; a
//! sink that has seen batch N writes nothing for it again.

mod checkpoint;
pub mod error;
pub mod progress;
pub mod query;
pub mod sink;
pub mod source;

pub use checkpoint::source_folder;
pub use error::{Error, Result};
pub use progress::StreamingQueryProgress;
pub use query::{ProgressListener, QueryHandle, QueryOptions, StreamingQuery, Trigger};
pub use sink::delta::{BatchOutcome, BatchWrite, DeltaSink, OutputMode, write_batch};
pub use sink::{BatchInfo, BatchOutput, BatchSink};
pub use source::delta::DeltaSource;
pub use source::files::FileSource;
pub use source::kafka::KafkaSource;
pub use source::{Offset, ReadLimit, RowCount, Source, SourceBatch, SourceRelation};
