//! Statements as clients send them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use ingot_common::{Classify, Principal, RequestContext};
use ingot_engine::{Engine, Result, Session};
use tempfile::TempDir;

mod alter;
mod cancel;
mod change_feed;
mod clone;
mod cluster;
mod column_mapping;
mod copy_into;
mod create;
mod cursors;
mod datasets;
mod decorrelate;
mod delete;
mod describe;
mod dml_races;
mod functions;
mod ingest;
mod insert;
mod json;
mod literals;
mod maintenance;
mod merge;
mod numbers;
mod optimize;
mod privileges;
mod resolve;
mod restore;
mod row_filters;
mod row_tracking;
mod rules;
mod scripts;
mod securables;
mod shown;
mod temporary_views;
mod time_windows;
mod type_widening;
mod update;
mod vacuum;
mod variables;

use crate::support;

/// Opens an engine and a session over a directory of its own.
pub(crate) async fn open() -> (TempDir, Engine, Session) {
    let directory = tempfile::tempdir().expect("directory");
    let engine = support::engine(directory.path()).await;
    let session = support::session(&engine);
    (directory, engine, session)
}

fn new_session(engine: &Engine) -> Session {
    let context = RequestContext::new(Principal::new("another"));
    engine.session(&context).expect("session")
}

/// Runs a statement and returns its batches.
async fn batches(session: &Session, statement: &str) -> Result<Vec<RecordBatch>> {
    let result = session.execute(statement).await?;
    let schema = Arc::clone(&result.schema);
    let mut batches: Vec<RecordBatch> =
        result
            .batches
            .try_collect()
            .await
            .map_err(|error| ingot_engine::Error::Condition {
                kind: error.kind,
                condition: "OF_A_BATCH",
                sqlstate: "XX000",
                message: format!("{} {}", error.condition.unwrap_or_default(), error.message),
            })?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(batches)
}

/// Runs a statement and returns its rows, values joined by `|`.
pub async fn try_rows(session: &Session, statement: &str) -> Result<Vec<String>> {
    let options = FormatOptions::new().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches(session, statement).await? {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("printable"))
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns
                .iter()
                .map(|column| column.value(row).to_string())
                .collect();
            rows.push(values.join("|"));
        }
    }
    Ok(rows)
}

pub(crate) async fn rows(session: &Session, statement: &str) -> Vec<String> {
    let outcome = try_rows(session, statement).await;
    outcome.unwrap_or_else(|error| panic!("{statement}: {}", ingot_common::error::chain(&error)))
}

/// Runs statements one after the other.
pub(crate) async fn run(session: &Session, statements: &[&str]) {
    for statement in statements {
        rows(session, statement).await;
    }
}

/// Runs a statement that must fail, and returns its condition.
pub(crate) async fn refused(session: &Session, statement: &str) -> String {
    match try_rows(session, statement).await {
        Ok(rows) => panic!("{statement}: ran, and gave {rows:?}"),
        Err(ingot_engine::Error::Condition {
            condition: "OF_A_BATCH",
            message,
            ..
        }) => message.split(' ').next().unwrap_or_default().to_owned(),
        Err(error) => error.condition().unwrap_or("none").to_owned(),
    }
}

/// Runs statements one after the other, and compares what each gives: rows joined by `; `, or `!` and a condition.
pub(crate) async fn steps(session: &Session, steps: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (statement, expected) in steps {
        let given = match try_rows(session, statement).await {
            Ok(rows) => rows.join("; "),
            Err(ingot_engine::Error::Condition {
                condition: "OF_A_BATCH",
                message,
                ..
            }) => format!("!{}", message.split(' ').next().unwrap_or_default()),
            Err(error) => match error.condition() {
                Some(condition) if format!("!{condition}") == *expected => format!("!{condition}"),
                condition => format!(
                    "!{} ({})",
                    condition.unwrap_or_default(),
                    ingot_common::error::chain(&error)
                ),
            },
        };
        if given != *expected {
            wrong += &format!("{statement}\n    expected {expected}\n    given    {given}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

pub async fn names(session: &Session, statement: &str) -> Vec<String> {
    let batches = batches(session, statement).await.expect("rows");
    let fields = batches[0].schema();
    fields.fields().iter().map(|field| field.name().clone()).collect()
}
