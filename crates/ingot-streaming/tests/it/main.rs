//! Sources against a real broker and real tables.

mod delta_source;
mod kafka_source;
mod support;
