//! The SQL of pipelines: text to definitions. Source: Databricks, Lakeflow SQL language reference.
//!
//! Statements are taken apart by token; the queries within them stay text, which the engine parses. Each
//! `STREAM table`, `STREAM(table)` and `STREAM read_kafka(…)` in a query becomes the name of a relation that
//! holds the micro-batch.

mod cursor;
mod query;
mod statement;
mod tables;

pub(crate) use statement::parse;
pub(crate) use tables::tables_read;
