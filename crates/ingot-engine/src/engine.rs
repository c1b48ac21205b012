//! The engine: what all sessions of a process share.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ingot_catalog::Metastore;
use ingot_common::port::{StatementRequest, StatementResult, StatementService, TableQuery};
use ingot_common::{RequestContext, ServiceError};
use ingot_delta::DeltaTables;

use crate::{Result, Session};

/// Limits and defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Bytes that all queries together may hold in operators that can spill.
    pub memory_bytes_max: usize,
    /// Where operators spill to.
    pub spill_directory: PathBuf,
    /// Partitions of a plan; the number of cores when 0.
    pub target_partitions: usize,
}

/// Runs statements. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {}

impl Engine {
    /// Puts an engine over a metastore and the tables of the process.
    pub fn new(options: EngineOptions, metastore: Metastore, tables: DeltaTables) -> Result<Self> {
        let _ = (options, metastore, tables);
        todo!()
    }

    /// Returns the metastore.
    pub fn metastore(&self) -> &Metastore {
        todo!()
    }

    /// Returns the tables.
    pub fn tables(&self) -> &DeltaTables {
        todo!()
    }

    /// Opens a session in catalog `main`, schema `default`.
    pub fn session(&self, context: &RequestContext) -> Result<Session> {
        let _ = context;
        todo!()
    }

    /// Deletes the files of dropped tables. Idempotent; run on start and on a timer.
    pub async fn purge_dropped_tables(&self) -> Result<usize> {
        todo!()
    }
}

#[async_trait]
impl StatementService for Engine {
    async fn execute(
        &self,
        context: &RequestContext,
        request: StatementRequest,
    ) -> Result<StatementResult, ServiceError> {
        let _ = (context, request);
        todo!()
    }

    async fn query_table(
        &self,
        context: &RequestContext,
        query: TableQuery,
    ) -> Result<StatementResult, ServiceError> {
        let _ = (context, query);
        todo!()
    }
}

/// Hands the engine out as the port that front doors know.
impl From<Engine> for Arc<dyn StatementService> {
    fn from(engine: Engine) -> Self {
        Arc::new(engine)
    }
}
