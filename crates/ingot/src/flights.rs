//! The records of the demo: every flight of the example's data as a JSON record, with duplicates and malformed
//! records among them, always in the same order.
//!
//! ```text
//! flights.parquet ─► reader ─► Flight ─► sequence ─► Record ─► Kafka
//!                                  └───► reference (what the answers must be)
//! ```
//! The order is a function of the data, the seed and the number of partitions. That is what lets a demo that was
//! killed go on: whoever knows how many records a partition holds knows which comes next.

pub mod reader;
pub mod reference;
pub mod sequence;

pub use reader::{Flight, read_flights};
pub use reference::Reference;
pub use sequence::{Record, RecordKind, Sequence};
