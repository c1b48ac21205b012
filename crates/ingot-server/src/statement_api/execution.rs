//! Statements that run to their end by themselves, and whose results wait.
//!
//! ```text
//! Session ─► Operation ─► task: pulls its rows ─► StoredResult ─► fetched, as often as a client likes
//!                              └ cancelled, failed: that waits
//! ```
//! A statement is forgotten when it is closed, or when it has ended and nobody has asked for it for an hour.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use ingot_common::port::{SessionRequest, StatementParameter};
use ingot_common::task::Supervisor;
use ingot_common::{Kind, Principal, RequestContext, ServiceError};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::result::{Shape, Shelf, StoredResult, Writer};
use crate::warehouse::{Encoding, Operation, Portion, Progress, Session, Warehouse};

/// How long a statement that has ended stays when nobody asks for it. Source: Databricks, Statement Execution API.
pub const KEPT: Duration = Duration::from_secs(3600);

/// How often those are looked for whose time is over.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Statements that run or whose results wait, at most.
const EXECUTIONS_MAX: usize = 10_000;

/// What is pulled at a time, and makes a chunk.
const PORTION: Portion = Portion {
    rows_max: 1 << 20,
    bytes_max: 16 << 20,
};

/// How often a task looks at a statement that runs long: it is not one that nobody asks about.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How far a statement is.
#[derive(Debug, Clone)]
pub enum State {
    Running,
    Succeeded(Arc<StoredResult>),
    Failed(ServiceError),
    Canceled,
}

/// In which session a statement runs.
pub enum Place {
    /// One that its client opened.
    Session(Uuid),
    /// One of its own.
    Own(SessionRequest),
}

/// A statement that a client asks for.
pub struct Order {
    pub place: Place,
    pub statement: String,
    pub parameters: Vec<StatementParameter>,
    pub shape: Shape,
    /// Whether the client wants links to chunks, with what it says of the first when it is there.
    pub links: Links,
}

/// When chunks are given as links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    Never,
    Always,
    /// When there is more than one.
    Many,
}

/// One statement.
pub struct Execution {
    id: Uuid,
    /// Part of the links to its chunks, which need no token: nobody guesses it.
    secret: Uuid,
    principal: Principal,
    operation: Arc<Operation>,
    state: watch::Receiver<State>,
    links: Links,
    /// When it ended, or was asked about after that.
    used: Arc<Mutex<Option<Instant>>>,
}

impl Execution {
    /// Returns its number, which nobody guesses.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns what links to its chunks have in place of a token.
    pub fn secret(&self) -> Uuid {
        self.secret
    }

    /// Returns when chunks are given as links.
    pub fn links(&self) -> Links {
        self.links
    }

    /// Returns how far it is, once it has ended or `patience` is over.
    pub async fn state(&self, patience: Duration) -> State {
        let mut state = self.state.clone();
        let ended = state.wait_for(|state| !matches!(state, State::Running));
        match tokio::time::timeout(patience, ended).await {
            Ok(Ok(ended)) => ended.clone(),
            // The task panicked.
            Ok(Err(_)) => State::Failed(ServiceError::new(Kind::Internal, "the statement panicked")),
            Err(_) => State::Running,
        }
    }

    /// Ends it, unless it has ended.
    pub fn cancel(&self) {
        self.operation.cancel();
    }
}

/// All statements of a server.
pub struct Executions {
    warehouse: Arc<Warehouse>,
    shelf: Arc<Shelf>,
    tasks: Supervisor,
    executions: Mutex<HashMap<Uuid, Arc<Execution>>>,
}

impl fmt::Debug for Executions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executions").finish_non_exhaustive()
    }
}

impl Executions {
    /// Makes one without statements.
    pub fn new(warehouse: Arc<Warehouse>, shelf: Arc<Shelf>) -> Self {
        Self {
            warehouse,
            shelf,
            tasks: Supervisor::new(),
            executions: Mutex::default(),
        }
    }

    /// Begins a statement.
    ///
    /// # Errors
    /// `NotFound` for a session that there is not; `ResourceExhausted` when there are too many statements.
    pub async fn begin(
        &self,
        context: &RequestContext,
        order: Order,
    ) -> Result<Arc<Execution>, ServiceError> {
        if self.executions().len() >= EXECUTIONS_MAX {
            return Err(ServiceError::new(
                Kind::ResourceExhausted,
                format!("{EXECUTIONS_MAX} statements run or wait to be fetched, and no more can; close one"),
            ));
        }
        let (session, own) = match order.place {
            Place::Session(id) => (self.warehouse.session(id, &context.principal)?, false),
            Place::Own(request) => (self.warehouse.open(context, request).await?, true),
        };
        let begun = session.begin(context, order.statement, order.parameters, Encoding::default());
        let guard = Guard {
            warehouse: Arc::clone(&self.warehouse),
            session,
            own,
            principal: context.principal.clone(),
        };
        let operation = begun?;
        let (sender, state) = watch::channel(State::Running);
        let used = Arc::new(Mutex::new(None));
        let execution = Arc::new(Execution {
            id: operation.id(),
            secret: Uuid::new_v4(),
            principal: context.principal.clone(),
            operation: Arc::clone(&operation),
            state,
            links: order.links,
            used: Arc::clone(&used),
        });
        self.executions().insert(execution.id, Arc::clone(&execution));
        let shelf = Arc::clone(&self.shelf);
        self.tasks.spawn("statement whose result waits", |_| async move {
            let stored = pull(&operation, &shelf, order.shape).await;
            guard.session.forget(operation.id());
            drop(guard);
            *lock(&used) = Some(Instant::now());
            let state = match stored {
                Ok(result) => State::Succeeded(Arc::new(result)),
                Err(error) if error.kind == Kind::Cancelled => State::Canceled,
                Err(error) => State::Failed(error),
            };
            // Nobody may be there for it.
            let _ = sender.send(state);
            Ok::<(), ServiceError>(())
        });
        Ok(execution)
    }

    /// Returns a statement of `principal`.
    ///
    /// # Errors
    /// `NotFound` where there is none of this number.
    pub fn execution(&self, id: Uuid, principal: &Principal) -> Result<Arc<Execution>, ServiceError> {
        self.find(id, |execution| execution.principal == *principal)
    }

    /// Returns the statement that a link is of.
    ///
    /// # Errors
    /// `NotFound` for a link that leads nowhere.
    pub fn linked(&self, id: Uuid, secret: Uuid) -> Result<Arc<Execution>, ServiceError> {
        self.find(id, |execution| execution.secret == secret)
    }

    fn find(&self, id: Uuid, mine: impl FnOnce(&Execution) -> bool) -> Result<Arc<Execution>, ServiceError> {
        let found = self.executions().get(&id).cloned();
        let execution = found.filter(|execution| mine(execution)).ok_or_else(|| {
            let message = format!("there is no statement {id}; it may have been closed, or ended long ago");
            ServiceError::new(Kind::NotFound, message)
        })?;
        if let Some(used) = lock(&execution.used).as_mut() {
            *used = Instant::now();
        }
        Ok(execution)
    }

    /// Ends a statement and forgets it, and its result.
    ///
    /// # Errors
    /// `NotFound` where there is none of this number.
    pub fn close(&self, id: Uuid, principal: &Principal) -> Result<(), ServiceError> {
        let execution = self.execution(id, principal)?;
        self.executions().remove(&id);
        execution.cancel();
        Ok(())
    }

    /// Forgets statements whose time is over, without end.
    pub async fn keep_up(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            self.sweep(KEPT);
        }
    }

    fn sweep(&self, kept: Duration) {
        self.executions()
            .retain(|_, execution| lock(&execution.used).is_none_or(|used| used.elapsed() < kept));
    }

    fn executions(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Execution>>> {
        lock(&self.executions)
    }
}

/// Closes a session that was opened for one statement.
struct Guard {
    warehouse: Arc<Warehouse>,
    session: Arc<Session>,
    own: bool,
    principal: Principal,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.own {
            // It may have been closed with the server.
            let _ = self.warehouse.close(self.session.id(), &self.principal);
        }
    }
}

/// Pulls all rows of an operation.
async fn pull(operation: &Operation, shelf: &Arc<Shelf>, shape: Shape) -> Result<StoredResult, ServiceError> {
    let schema = finished(operation).await?;
    let mut writer = Writer::new(shelf, schema, shape);
    loop {
        let fetched = operation.fetch(PORTION).await?;
        if !writer.write(&fetched.batches).await? || !fetched.more {
            return writer.finish().await;
        }
    }
}

async fn finished(operation: &Operation) -> Result<SchemaRef, ServiceError> {
    loop {
        match operation.progress(LOOK_EVERY).await {
            Progress::Running => {}
            Progress::Finished { schema, .. } => return Ok(schema),
            Progress::Failed(error) => return Err(error),
            Progress::Canceled => {
                return Err(ServiceError::new(Kind::Cancelled, "the statement was cancelled"));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
