//! The engine: what all sessions of a process share.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use ingot_catalog::Metastore;
use ingot_common::history::StatementHistory;
use ingot_common::port::{
    SessionRequest, StatementRequest, StatementResult, StatementService, StatementSession, TableReader,
    TableRequest,
};
use ingot_common::task::Supervisor;
use ingot_common::{Identifier, Kind, RequestContext, SchemaName, ServiceError};
use ingot_delta::DeltaTables;
use tokio::sync::oneshot;
use url::Url;

use crate::client_session::ClientSession;
use crate::history::{History, HistoryOptions, QUERY_TAGS, Recording, Started};
use crate::resources::{Admission, CacheCounts, ResultCache, StatementLimits};
use crate::session::{SessionParts, TemporaryViews};
use crate::table_query::Reading;
use crate::write::Compactions;
use crate::{Error, Result, Session};

/// Consumers of memory that an out-of-memory error names.
const MEMORY_CONSUMERS_NAMED: usize = 5;

/// How long the files of a dropped table or volume stay, for the statements that were reading it.
const DROPPED_FILES_KEPT: Duration = Duration::from_secs(3600);

/// Limits and defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Bytes that all queries together may hold in operators that can spill.
    pub memory_bytes_max: usize,
    /// Where operators spill to.
    pub spill_directory: PathBuf,
    /// Partitions of a plan; the number of cores when 0.
    pub target_partitions: usize,
    /// Tables that are created get `delta.enableDeletionVectors`, unless the statement or the session says otherwise.
    pub deletion_vectors: bool,
    /// Bounds of its statements.
    pub statements: StatementLimits,
    /// Bytes of the results that are kept for who asks again; none with 0.
    pub result_cache_bytes_max: usize,
    /// What is kept of statements.
    pub history: HistoryOptions,
}

/// Runs statements. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    options: EngineOptions,
    metastore: Metastore,
    tables: DeltaTables,
    runtime: Arc<RuntimeEnv>,
    parts: SessionParts,
    namespace: SchemaName,
    compactions: Compactions,
    global_temporary_views: TemporaryViews,
    admission: Admission,
    /// Those of front doors.
    statements: Supervisor,
    results: Arc<ResultCache>,
    history: Arc<History>,
}

impl Engine {
    /// Puts an engine over a metastore and the tables of the process.
    pub fn new(options: EngineOptions, metastore: Metastore, tables: DeltaTables) -> Result<Self> {
        let pool = FairSpillPool::new(options.memory_bytes_max);
        let named =
            std::num::NonZeroUsize::new(MEMORY_CONSUMERS_NAMED).unwrap_or(std::num::NonZeroUsize::MIN);
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![
            options.spill_directory.clone(),
        ]));
        // A listing that is remembered hides the files that came since.
        let caches = CacheManagerConfig::default().with_list_files_cache_limit(0);
        let runtime = RuntimeEnvBuilder::new()
            .with_cache_manager(caches)
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, named)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let namespace = SchemaName::new(Identifier::new("main")?, Identifier::new("default")?);
        Ok(Self {
            shared: Arc::new(Shared {
                parts: SessionParts::new(options.target_partitions, &runtime)?,
                admission: Admission::new(options.statements.clone()),
                statements: Supervisor::new(),
                results: Arc::new(ResultCache::new(options.result_cache_bytes_max)),
                history: History::new(options.history.clone(), metastore.clone()),
                options,
                metastore,
                tables,
                runtime,
                namespace,
                compactions: Compactions::default(),
                global_temporary_views: TemporaryViews::default(),
            }),
        })
    }

    /// Returns the metastore.
    pub fn metastore(&self) -> &Metastore {
        &self.shared.metastore
    }

    /// Returns the tables.
    pub fn tables(&self) -> &DeltaTables {
        &self.shared.tables
    }

    pub(crate) fn options(&self) -> &EngineOptions {
        &self.shared.options
    }

    pub(crate) fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.shared.runtime
    }

    /// Returns the temporary views that all sessions see.
    pub(crate) fn global_temporary_views(&self) -> &TemporaryViews {
        &self.shared.global_temporary_views
    }

    /// Returns what lets statements in.
    pub(crate) fn admission(&self) -> &Admission {
        &self.shared.admission
    }

    pub(crate) fn results(&self) -> &Arc<ResultCache> {
        &self.shared.results
    }

    pub(crate) fn query_history(&self) -> &Arc<History> {
        &self.shared.history
    }

    /// Returns what the cache of results holds, and what it was asked.
    pub fn result_cache(&self) -> CacheCounts {
        self.results().counts()
    }

    /// Returns how many statements do work, and how many wait to.
    pub fn statements(&self) -> (usize, usize) {
        (self.admission().running(), self.admission().queued())
    }

    /// Returns the bytes that operators hold.
    pub fn memory_bytes(&self) -> usize {
        self.runtime().memory_pool.reserved()
    }

    pub(crate) fn compactions(&self) -> &Compactions {
        &self.shared.compactions
    }

    /// Waits until no table is being compacted after a commit, at most `patience`. Returns `false` when one still is.
    pub async fn compactions_ended(&self, patience: Duration) -> bool {
        self.shared.compactions.ended(patience).await
    }

    /// Waits for the statements whose clients are gone, ends compactions, and writes the query history, before a process ends; at most `patience`
    /// for each. Returns `false` when some had not ended: what they did is not committed.
    pub async fn ended(&self, patience: Duration) -> bool {
        let statements = self.shared.statements.join(patience).await;
        self.shared.compactions.stop();
        let ended = self.shared.compactions.ended(patience).await && statements;
        self.shared.history.flush().await;
        ended
    }

    /// Opens a session in catalog `main`, schema `default`.
    pub fn session(&self, context: &RequestContext) -> Result<Session> {
        Session::new(
            self.clone(),
            &self.shared.parts,
            context.clone(),
            self.shared.namespace.clone(),
        )
    }

    /// Runs a statement in a task of its own: when a client leaves, the future of its request is dropped at any await,
    /// and a statement that writes must not be. It is told to end, as if it had been cancelled.
    pub(crate) async fn in_task<T, W, F>(&self, context: &RequestContext, work: W) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        W: FnOnce(RequestContext) -> F,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut context = context.clone();
        context.cancellation = context.cancellation.child_token();
        let guard = context.cancellation.clone().drop_guard();
        let (answer, answered) = oneshot::channel();
        // Large: it would be moved as a whole into its task.
        let work = Box::pin(work(context));
        self.shared.statements.spawn("statement", |_| async move {
            // Nobody may be there for it.
            let _ = answer.send(work.await);
            Ok::<(), Error>(())
        });
        let result = match answered.await {
            Ok(outcome) => outcome.map_err(|error| ServiceError::from_error(&error))?,
            Err(_) => return Err(ServiceError::new(Kind::Internal, "the statement panicked")),
        };
        guard.disarm();
        Ok(result)
    }

    /// Runs a statement in a session of its own.
    async fn run(&self, context: &RequestContext, request: StatementRequest) -> Result<StatementResult> {
        let session = self.session(context)?.with_client_types();
        let current = session.namespace();
        let part = |name: Option<&String>, default: Identifier| name.map_or(Ok(default), Identifier::new);
        let catalog = part(request.catalog.as_ref(), current.catalog)?;
        let schema = part(request.schema.as_ref(), current.schema)?;
        session.use_namespace(&SchemaName::new(catalog, schema)).await?;
        for (key, value) in &request.settings {
            crate::statement::set_setting(&session, key, value)?;
        }
        let parameters = Box::pin(crate::statement::parameters(&session, request.parameters)).await?;
        session.values().parameters = parameters;
        session.execute(&request.statement).await
    }

    /// Deletes the files of dropped tables and managed volumes, once nobody can be reading them any more. Idempotent; run
    /// on start and on a timer. What cannot be deleted now is left for the next time. Returns how many tables and
    /// volumes went.
    pub async fn purge_dropped(&self) -> Result<usize> {
        self.purge_dropped_before(DROPPED_FILES_KEPT).await
    }

    /// Deletes the files of what was dropped so long ago.
    pub async fn purge_dropped_before(&self, kept: Duration) -> Result<usize> {
        let mut purged = 0;
        for table in self.metastore().dropped_tables(kept).await? {
            let location = table.location.as_deref().filter(|_| table.kind.owns_files());
            if let Some(location) = location
                && !self.delete_dropped(location).await
            {
                continue;
            }
            self.metastore().purge_table(table.id).await?;
            purged += 1;
        }
        for volume in self.metastore().dropped_volumes(kept).await? {
            if self.delete_dropped(&volume.location).await {
                self.metastore().purge_volume(volume.id).await?;
                purged += 1;
            }
        }
        Ok(purged)
    }

    /// Deletes all files of a folder. Returns `false` where that failed.
    async fn delete_dropped(&self, location: &str) -> bool {
        let deleted = match Url::parse(location) {
            Ok(folder) => self.tables().delete(&folder).await.map_err(Error::from),
            Err(error) => Err(Error::internal(error.to_string())),
        };
        if let Err(error) = &deleted {
            tracing::warn!(location, %error, "files of what was dropped stay for now");
        }
        deleted.is_ok()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl StatementService for Engine {
    async fn execute(
        &self,
        context: &RequestContext,
        request: StatementRequest,
    ) -> Result<StatementResult, ServiceError> {
        let named = |(key, _): &(&String, &String)| key.eq_ignore_ascii_case(QUERY_TAGS);
        let tags = request.settings.iter().find(named).map(|(_, tags)| tags.as_str());
        let started = Started::new(context, request.statement.clone(), tags);
        let recording = Recording::begin(self.query_history(), context, started)?;
        let engine = self.clone();
        let work = async move |context| recording.of(engine.run(&context, request)).await;
        self.in_task(context, work).await
    }

    async fn open_session(
        &self,
        context: &RequestContext,
        request: SessionRequest,
    ) -> Result<Arc<dyn StatementSession>, ServiceError> {
        let session = ClientSession::open(self, context, &request);
        let session = session.map_err(|error: Error| ServiceError::from_error(&error))?;
        Ok(Arc::new(session))
    }

    async fn open_table(
        &self,
        context: &RequestContext,
        request: TableRequest,
    ) -> Result<Arc<dyn TableReader>, ServiceError> {
        let stop = context.cancellation.clone();
        let opened = tokio::select! {
            opened = Reading::open(self, context, request) => opened,
            () = stop.cancelled() => Err(Error::Cancelled),
        };
        let reading = opened.map_err(|error| ServiceError::from_error(&error))?;
        Ok(Arc::new(reading))
    }

    fn history(&self) -> Option<Arc<dyn StatementHistory>> {
        Some(Arc::clone(self.query_history()) as _)
    }
}

/// Hands the engine out as the port that front doors know.
impl From<Engine> for Arc<dyn StatementService> {
    fn from(engine: Engine) -> Self {
        Arc::new(engine)
    }
}
