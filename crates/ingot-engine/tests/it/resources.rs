//! What statements may take: slots, time, memory; and that what is stopped is stopped.

mod admission;
mod file_cache;
mod memory;
mod result_cache;
mod stopping;

use futures::TryStreamExt;
use ingot_common::port::StatementResult;
use ingot_common::{Principal, RequestContext};
use ingot_engine::{Engine, EngineOptions, Session, StatementLimits};
use tempfile::TempDir;

use crate::support;

/// Opens an engine with bounds of its own for statements.
async fn limited(statements: StatementLimits) -> (TempDir, Engine, Session) {
    let directory = tempfile::tempdir().expect("directory");
    let options = EngineOptions {
        statements,
        ..support::options(directory.path())
    };
    let engine = support::engine_with(directory.path(), support::tables(), options).await;
    let session = support::session(&engine);
    (directory, engine, session)
}

/// Opens a session of a request that can be cancelled.
fn request(engine: &Engine) -> (RequestContext, Session) {
    let context = RequestContext::new(Principal::new("hasty"));
    let session = engine.session(&context).expect("session");
    (context, session)
}

/// Waits until a batch has come.
async fn begun(result: &mut StatementResult) {
    let first = result.batches.try_next().await.expect("a batch");
    assert!(first.is_some());
}
