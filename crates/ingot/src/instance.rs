//! One process's view of a data directory: metastore, tables, engine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingot_catalog::Metastore;
use ingot_common::history::StatementHistory;
use ingot_common::port::{
    SessionRequest, StatementRequest, StatementResult, StatementService, StatementSession, TableReader,
    TableRequest,
};
use ingot_common::task::Supervisor;
use ingot_common::{Principal, RequestContext, ServiceError};
use ingot_delta::{DeltaTables, FileCacheOptions, TablesOptions, canonical_location};
use ingot_engine::{Engine, EngineOptions, HistoryOptions, StatementLimits};
use url::Url;

use crate::config::Config;
use crate::data_directory::{DataDirectory, SpillDirectory};
use crate::error::{Error, Result};

/// Who the person at the terminal and the holder of the admin token is.
pub const ADMIN: &str = "admin";

/// How long the end of a process waits for checkpoints.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// An engine over a data directory. Cheap to clone; the spill folder goes with the last clone.
#[derive(Debug, Clone)]
pub struct Instance {
    pub engine: Engine,
    pub metastore: Metastore,
    pub data: DataDirectory,
    purge_interval: Duration,
    spill: Arc<SpillDirectory>,
}

impl Instance {
    /// Opens the data directory of `config`, creating what is missing.
    pub async fn open(config: &Config) -> Result<Self> {
        let (metastore, data) = open_metastore(config).await?;
        let tables = DeltaTables::new(TablesOptions {
            checkpoint_interval: config.delta.checkpoint_interval,
            commit_retries_max: config.delta.commit_retries_max,
            stores: config.store_settings()?,
            file_cache: file_cache(config, &data),
            ..TablesOptions::default()
        });
        let spill = if config.engine.spill_directory == Path::new("") {
            SpillDirectory::create(&data.spill())?
        } else {
            SpillDirectory::create(&config.engine.spill_directory)?
        };
        let options = EngineOptions {
            memory_bytes_max: config.engine.memory_bytes_max,
            spill_directory: spill.path().to_owned(),
            target_partitions: config.engine.target_partitions,
            deletion_vectors: config.delta.deletion_vectors,
            statements: StatementLimits {
                running_max: config.engine.statements_max,
                queued_max: config.engine.statements_queued_max,
                queued_time_max: Duration::from_secs(config.engine.statement_queue_seconds_max),
                time_max: Duration::from_secs(config.engine.statement_seconds_max),
            },
            result_cache_bytes_max: config.engine.result_cache_bytes_max,
            history: HistoryOptions {
                file: Some(data.history()),
                days_max: config.history.days_max,
                bytes_max: config.history.bytes_max,
                profiles_max: config.history.profiles_max,
            },
        };
        Ok(Self {
            engine: Engine::new(options, metastore.clone(), tables)?,
            metastore,
            data,
            purge_interval: Duration::from_secs(config.data.purge_interval_seconds),
            spill: Arc::new(spill),
        })
    }

    /// Returns the port through which front doors run statements. It keeps the instance, and with it the spill
    /// folder, for as long as it lives.
    pub fn statements(&self) -> Arc<dyn StatementService> {
        Arc::new(self.clone())
    }

    /// Returns the folder of what this process alone needs, for as long as it runs.
    pub fn spill(&self) -> &Path {
        self.spill.path()
    }

    /// Returns the principal of work that the process does for itself.
    pub fn principal() -> Principal {
        Principal::new(ADMIN)
    }

    /// Waits for statements whose clients are gone, for the query history to be written, and for checkpoints that commits left behind, before a process ends
    /// that made few of them: one that makes many leaves the last to the next process.
    pub async fn settle(&self) {
        if !self.engine.ended(SETTLE_MAX).await {
            tracing::warn!("a statement had not ended in time and was abandoned");
        }
        if !self.engine.tables().settle(SETTLE_MAX).await {
            tracing::warn!("a checkpoint had not ended in time and was abandoned");
        }
    }

    /// Deletes the files of dropped tables and volumes, and log files that no retained version needs, now and then at intervals,
    /// as a supervised task. What an earlier process dropped and did not live to delete goes with the first sweep.
    pub fn spawn_upkeep(&self, supervisor: &Supervisor) {
        let instance = self.clone();
        supervisor.spawn("upkeep of tables", |token| async move {
            loop {
                match instance.engine.purge_dropped().await {
                    Ok(0) => {}
                    Ok(purged) => tracing::info!(purged, "files of dropped tables and volumes deleted"),
                    Err(error) => {
                        tracing::error!(error = %ingot_common::error::chain(&error), "purge of what was dropped failed");
                    }
                }
                match instance.engine.cleanup_expired_logs().await {
                    Ok(0) => {}
                    Ok(files) => tracing::info!(files, "expired log files of tables deleted"),
                    Err(error) => {
                        tracing::error!(error = %ingot_common::error::chain(&error), "cleanup of expired logs failed");
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(instance.purge_interval) => {}
                    () = token.cancelled() => return Ok::<(), std::io::Error>(()),
                }
            }
        });
    }
}

/// Opens the data directory of `config`, creating what is missing, and its metastore.
pub async fn open_metastore(config: &Config) -> Result<(Metastore, DataDirectory)> {
    let data = DataDirectory::open(&config.data.directory)?;
    let managed = match config.data.tables.as_str() {
        "" => data.tables_url()?,
        url => {
            let url = Url::parse(url).map_err(|error| Error::Usage {
                message: format!("data.tables=`{url}` is no URL: {error}"),
            })?;
            canonical_location(&url)
        }
    };
    let metastore = Metastore::open(&data.metastore(), &managed).await?;
    Ok((metastore.with_administrators([ADMIN]), data))
}

/// Returns where data files of buckets are kept, if they are.
fn file_cache(config: &Config, data: &DataDirectory) -> Option<FileCacheOptions> {
    let (bytes_max, directory) = (
        config.engine.file_cache_bytes_max,
        &config.engine.file_cache_directory,
    );
    let directory = match directory == Path::new("") {
        true => data.file_cache(),
        false => directory.clone(),
    };
    (bytes_max > 0).then_some(FileCacheOptions { directory, bytes_max })
}

#[async_trait]
impl StatementService for Instance {
    async fn open_session(
        &self,
        context: &RequestContext,
        request: SessionRequest,
    ) -> Result<Arc<dyn StatementSession>, ServiceError> {
        self.engine.open_session(context, request).await
    }

    async fn execute(
        &self,
        context: &RequestContext,
        request: StatementRequest,
    ) -> Result<StatementResult, ServiceError> {
        self.engine.execute(context, request).await
    }

    async fn open_table(
        &self,
        context: &RequestContext,
        request: TableRequest,
    ) -> Result<Arc<dyn TableReader>, ServiceError> {
        self.engine.open_table(context, request).await
    }

    fn history(&self) -> Option<Arc<dyn StatementHistory>> {
        self.engine.history()
    }
}
