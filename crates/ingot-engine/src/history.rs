//! The history of statements: each that comes through a front door leaves a record, and its profile for a while.
//!
//! ```text
//! front door ─► Recording ─► the statement runs (its task knows its Trace) ─► rows ─► ended
//!                  │ queue, plans, files written: told to Trace::current()               │
//!                  └─ running ◄── list, profile                  pending ◄───────────────┘
//!                                                                   └─ now and then, in batches ─► HistoryStore
//! ```
//! What always holds: a statement waits for no disk; what waits to be written, and what is kept of profiles, is bounded;
//! a statement is in one of `running`, `pending` and the store, or in two of them for a moment, and is listed once.
//!
//! The decision: ADR 0025. For users: `docs/observability.md`.

mod client;
mod plans;
mod profile;
mod recording;
mod statement_type;
mod tags;
mod trace;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ingot_catalog::{HistoryRetention, HistoryStore, Metastore};
use ingot_common::history::{HistoryFilter, StatementHistory, StatementProfile, StatementRecord};
use ingot_common::task::Supervisor;
use ingot_common::{Kind, Principal, RequestContext, ServiceError};
use tokio::sync::{Mutex as AsyncMutex, OnceCell};
use uuid::Uuid;

pub(crate) use self::plans::WatchPlans;
pub(crate) use self::recording::Recording;
pub(crate) use self::tags::{QUERY_TAGS, read as read_tags, write as write_tags};
pub(crate) use self::trace::{Started, Trace};

/// Statements that wait to be written, at most; the oldest are given up beyond that.
const PENDING_MAX: usize = 10_000;

/// How long statements that have ended wait for others, to be written together.
const WRITE_AFTER: Duration = Duration::from_secs(1);

/// Batches between two times that old statements are deleted; the first is followed by one.
const TRIM_EVERY: u64 = 300;

/// What is kept of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryOptions {
    /// The database; with none, the last statements are kept in memory.
    pub file: Option<PathBuf>,
    pub days_max: u32,
    pub bytes_max: u64,
    /// Statements that have ended and whose profiles are kept.
    pub profiles_max: usize,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self {
            file: None,
            days_max: 30,
            bytes_max: 256 << 20,
            profiles_max: 200,
        }
    }
}

/// See the module's documentation.
pub(crate) struct History {
    options: HistoryOptions,
    /// Knows who may see all.
    metastore: Metastore,
    store: OnceCell<HistoryStore>,
    memory: Mutex<Memory>,
    /// Held while a batch is written, so that who reads after it finds it.
    writing: AsyncMutex<u64>,
    tasks: Supervisor,
}

#[derive(Default)]
struct Memory {
    running: HashMap<Uuid, Arc<Trace>>,
    /// Ended, and not in the store yet; the oldest first.
    pending: VecDeque<StatementRecord>,
    /// Of statements that have ended; the oldest first.
    profiles: VecDeque<StatementProfile>,
    /// A task is about to write what is pending.
    writer: bool,
}

impl History {
    pub fn new(options: HistoryOptions, metastore: Metastore) -> Arc<Self> {
        Arc::new(Self {
            options,
            metastore,
            store: OnceCell::new(),
            memory: Mutex::default(),
            writing: AsyncMutex::new(0),
            tasks: Supervisor::new(),
        })
    }

    /// Notes that a statement has come.
    ///
    /// # Errors
    /// `AlreadyExists` while another of the same id runs.
    fn begin(&self, trace: &Arc<Trace>) -> Result<(), ServiceError> {
        let mut memory = self.memory();
        if memory.running.contains_key(&trace.id()) {
            return Err(ServiceError::new(
                Kind::AlreadyExists,
                format!(
                    "a statement with id {} is running; give each an id of its own",
                    trace.id()
                ),
            ));
        }
        memory.running.insert(trace.id(), Arc::clone(trace));
        Ok(())
    }

    /// Notes that a statement has ended.
    fn end(self: &Arc<Self>, profile: StatementProfile) {
        let mut memory = self.memory();
        memory.running.remove(&profile.statement.statement_id);
        if memory.pending.len() >= PENDING_MAX {
            memory.pending.pop_front();
            metrics::counter!("ingot_history_lost_total").increment(1);
        }
        memory.pending.push_back(profile.statement.clone());
        if self.options.profiles_max > 0 {
            if memory.profiles.len() >= self.options.profiles_max {
                memory.profiles.pop_front();
            }
            memory.profiles.push_back(profile);
        }
        let writes = self.options.file.is_some() && !memory.writer;
        // Outside of a runtime the next statement has it written.
        if writes && tokio::runtime::Handle::try_current().is_ok() {
            memory.writer = true;
            let history = Arc::clone(self);
            self.tasks.spawn("query history", |token| async move {
                tokio::select! {
                    () = tokio::time::sleep(WRITE_AFTER) => {}
                    () = token.cancelled() => {}
                }
                history.memory().writer = false;
                history.write().await;
                Ok::<(), ServiceError>(())
            });
        }
    }

    /// Writes what is pending, before a process ends.
    pub async fn flush(&self) {
        self.write().await;
    }

    /// Hands what is pending to the store. It is known until it is there.
    async fn write(&self) {
        let mut written = self.writing.lock().await;
        let batch: Vec<StatementRecord> = self.memory().pending.iter().cloned().collect();
        if batch.is_empty() {
            return;
        }
        let outcome = async {
            let Some(store) = self.store().await? else {
                return Ok(());
            };
            store.append(&batch).await?;
            self.forget(&batch);
            if written.is_multiple_of(TRIM_EVERY) {
                let retention = HistoryRetention {
                    days_max: self.options.days_max,
                    bytes_max: self.options.bytes_max,
                };
                store.trim(retention).await?;
            }
            *written += 1;
            Ok::<(), ingot_catalog::Error>(())
        };
        if let Err(error) = outcome.await {
            let error = ingot_common::error::chain(&error);
            tracing::warn!(error, "statements are not in the query history yet");
        }
    }

    /// Forgets what is in the store, which began with the oldest. Some may have been given up meanwhile.
    fn forget(&self, written: &[StatementRecord]) {
        let Some(last) = written.last() else { return };
        let mut memory = self.memory();
        let place = memory
            .pending
            .iter()
            .position(|record| record.statement_id == last.statement_id);
        memory.pending.drain(..place.map_or(0, |place| place + 1));
    }

    async fn store(&self) -> Result<Option<&HistoryStore>, ingot_catalog::Error> {
        match &self.options.file {
            Some(file) => self
                .store
                .get_or_try_init(|| HistoryStore::open(file))
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// Says if a principal sees the statements of all.
    fn sees_all(&self, principal: &Principal) -> bool {
        self.metastore.administers(principal.as_str())
    }

    /// Lists statements that `principal` may see, the one that started last first.
    pub async fn find(
        &self,
        principal: &Principal,
        mut filter: HistoryFilter,
    ) -> Result<Vec<StatementRecord>, ServiceError> {
        if !self.sees_all(principal) {
            let own = principal.as_str();
            if filter.executed_by.as_ref().is_some_and(|user| user != own) {
                return Ok(Vec::new());
            }
            filter.executed_by = Some(own.to_owned());
        }
        // In this order a statement is in one of them at least, whatever happens meanwhile.
        let (running, pending) = {
            let memory = self.memory();
            let running: Vec<_> = memory.running.values().map(|trace| trace.record()).collect();
            (running, memory.pending.iter().cloned().collect::<Vec<_>>())
        };
        let stored = match self
            .store()
            .await
            .map_err(|error| ServiceError::from_error(&error))?
        {
            Some(store) => store
                .list(&filter)
                .await
                .map_err(|error| ServiceError::from_error(&error))?,
            None => Vec::new(),
        };
        let own = running.into_iter().chain(pending);
        Ok(merged(
            own.filter(|record| filter.matches(record)).collect(),
            stored,
            filter.limit,
        ))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts what is known in memory and what is stored in one order, each statement once: what has ended counts.
fn merged(
    known: Vec<StatementRecord>,
    stored: Vec<StatementRecord>,
    limit: Option<usize>,
) -> Vec<StatementRecord> {
    let mut all: Vec<StatementRecord> = stored.into_iter().chain(known).collect();
    all.sort_by_key(|record| (std::cmp::Reverse(record.position()), !record.status.ended()));
    all.dedup_by_key(|record| record.position());
    all.truncate(limit.unwrap_or(usize::MAX));
    all
}

#[async_trait]
impl StatementHistory for History {
    async fn list(
        &self,
        context: &RequestContext,
        filter: HistoryFilter,
    ) -> Result<Vec<StatementRecord>, ServiceError> {
        self.find(&context.principal, filter).await
    }

    async fn profile(
        &self,
        context: &RequestContext,
        statement_id: Uuid,
    ) -> Result<StatementProfile, ServiceError> {
        let found = {
            let memory = self.memory();
            let ended = memory
                .profiles
                .iter()
                .rev()
                .find(|profile| profile.statement.statement_id == statement_id);
            let running = memory.running.get(&statement_id).cloned();
            ended.cloned().ok_or(running)
        };
        let profile = match found {
            Ok(ended) => Some(ended),
            Err(running) => running.map(|trace| trace.profile()),
        };
        let principal = &context.principal;
        let visible = profile.filter(|profile| {
            self.sees_all(principal) || profile.statement.executed_by == principal.as_str()
        });
        visible.ok_or_else(|| {
            ServiceError::new(
                Kind::NotFound,
                format!(
                    "there is no profile of statement {statement_id}; those of the last {} statements are kept",
                    self.options.profiles_max
                ),
            )
        })
    }
}
