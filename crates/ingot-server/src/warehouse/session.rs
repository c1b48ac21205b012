//! One session of a client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ingot_common::port::{StatementParameter, StatementResult, StatementSession};
use ingot_common::task::Supervisor;
use ingot_common::{Kind, Principal, RequestContext, ServiceError};
use tokio::time::Instant;
use uuid::Uuid;

use super::operation::Operation;
use super::prepared::Prepared;
use super::{Encoding, lock};

/// Operations of a session that are open at a time, at most.
const OPERATIONS_MAX: usize = 1_000;

/// Statements of a session that are prepared at a time, at most.
const PREPARED_MAX: usize = 1_000;

/// How long a session that ends when it is empty may be empty: it is opened before something is put into it.
const EMPTY_MAX: Duration = Duration::from_secs(60);

/// When a session ends that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// When its client closes it.
    Closed,
    /// With the last operation and the last prepared statement in it: its client does not know of it.
    Empty,
}

/// See the module's documentation.
pub struct Session {
    id: Uuid,
    principal: Principal,
    end: SessionEnd,
    own: Arc<dyn StatementSession>,
    tasks: Supervisor,
    /// `None` once it is closed.
    operations: Mutex<Option<HashMap<Uuid, Arc<Operation>>>>,
    prepared: Mutex<HashMap<Uuid, Arc<Prepared>>>,
    used: Mutex<Instant>,
}

impl Session {
    pub(super) fn new(
        principal: Principal,
        end: SessionEnd,
        own: Arc<dyn StatementSession>,
        tasks: Supervisor,
    ) -> Self {
        Self {
            id: Uuid::new_v4(),
            principal,
            end,
            own,
            tasks,
            operations: Mutex::new(Some(HashMap::new())),
            prepared: Mutex::default(),
            used: Mutex::new(Instant::now()),
        }
    }

    /// Returns its number, which nobody guesses.
    pub fn id(&self) -> Uuid {
        self.id
    }

    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Returns the session of the engine.
    pub fn own(&self) -> &Arc<dyn StatementSession> {
        &self.own
    }

    /// Begins a statement. It goes on when the request has ended, until it is cancelled or closed.
    ///
    /// # Errors
    /// `ResourceExhausted` when too many operations are open; `NotFound` once the session is closed.
    pub fn begin(
        &self,
        context: &RequestContext,
        statement: String,
        parameters: Vec<StatementParameter>,
        encoding: Encoding,
    ) -> Result<Arc<Operation>, ServiceError> {
        self.begin_work(context, encoding, async move |own, context| {
            own.execute(&context, statement, parameters).await
        })
    }

    /// Begins work in the session of the engine, as [`Session::begin`] does.
    ///
    /// # Errors
    /// As [`Session::begin`].
    pub fn begin_work<W, F>(
        &self,
        context: &RequestContext,
        encoding: Encoding,
        work: W,
    ) -> Result<Arc<Operation>, ServiceError>
    where
        W: FnOnce(Arc<dyn StatementSession>, RequestContext) -> F,
        F: Future<Output = Result<StatementResult, ServiceError>> + Send + 'static,
    {
        let mut operations = lock(&self.operations);
        let operations = operations.as_mut().ok_or_else(|| missing(self.id))?;
        if operations.len() >= OPERATIONS_MAX {
            return Err(ServiceError::new(
                Kind::ResourceExhausted,
                format!("{OPERATIONS_MAX} operations of the session are open, and no more can be; close one"),
            ));
        }
        let own = Arc::clone(&self.own);
        let context = &RequestContext {
            session_id: Some(self.id),
            ..context.clone()
        };
        let operation = Operation::begin(context, &self.tasks, encoding, |context| work(own, context));
        operations.insert(operation.id(), Arc::clone(&operation));
        Ok(operation)
    }

    /// Returns an operation.
    ///
    /// # Errors
    /// `NotFound` where there is none of this number.
    pub fn operation(&self, id: Uuid) -> Result<Arc<Operation>, ServiceError> {
        let operations = lock(&self.operations);
        let found = operations.as_ref().and_then(|operations| operations.get(&id));
        found.cloned().ok_or_else(|| {
            let message = format!("there is no operation {id}; it may have been closed");
            ServiceError::new(Kind::NotFound, message)
        })
    }

    /// Ends an operation and forgets it, if there is one of this number.
    pub fn forget(&self, id: Uuid) {
        let mut operations = lock(&self.operations);
        let removed = operations.as_mut().and_then(|operations| operations.remove(&id));
        if let Some(operation) = removed {
            operation.cancel();
        }
    }

    /// Keeps a statement that is prepared.
    ///
    /// # Errors
    /// `ResourceExhausted` when there are too many.
    pub fn prepare(&self, prepared: Prepared) -> Result<Arc<Prepared>, ServiceError> {
        let mut kept = lock(&self.prepared);
        if kept.len() >= PREPARED_MAX {
            return Err(ServiceError::new(
                Kind::ResourceExhausted,
                format!(
                    "{PREPARED_MAX} statements of the session are prepared, and no more can be; close one"
                ),
            ));
        }
        let prepared = Arc::new(prepared);
        kept.insert(prepared.id(), Arc::clone(&prepared));
        Ok(prepared)
    }

    /// Returns a statement that is prepared.
    ///
    /// # Errors
    /// `NotFound` where there is none of this number.
    pub fn prepared(&self, id: Uuid) -> Result<Arc<Prepared>, ServiceError> {
        lock(&self.prepared).get(&id).cloned().ok_or_else(|| {
            let message = format!("there is no prepared statement {id}; it may have been closed");
            ServiceError::new(Kind::NotFound, message)
        })
    }

    /// Forgets a statement that is prepared, if there is one of this number.
    pub fn unprepare(&self, id: Uuid) {
        lock(&self.prepared).remove(&id);
    }

    /// Notes that its client is there.
    pub(super) fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    pub(super) fn is_idle(&self, idle_max: Duration) -> bool {
        let unused = lock(&self.operations).as_ref().is_none_or(HashMap::is_empty);
        let idle_max = match self.is_done() {
            true => idle_max.min(EMPTY_MAX),
            false => idle_max,
        };
        unused && lock(&self.used).elapsed() >= idle_max
    }

    /// Says if it ends when it is empty, and is.
    pub(super) fn is_done(&self) -> bool {
        self.end == SessionEnd::Empty
            && lock(&self.operations).as_ref().is_none_or(HashMap::is_empty)
            && lock(&self.prepared).is_empty()
    }

    /// Ends the operations that nobody asked about for so long.
    pub(super) fn sweep(&self, idle_max: Duration) {
        let mut operations = lock(&self.operations);
        let idle = operations
            .iter_mut()
            .flat_map(|operations| operations.extract_if(|_, operation| operation.is_idle(idle_max)));
        idle.for_each(|(_, operation)| operation.cancel());
    }

    /// Ends all of its operations, and takes no more.
    pub(super) fn close(&self) {
        let operations = lock(&self.operations).take();
        lock(&self.prepared).clear();
        operations
            .iter()
            .flatten()
            .for_each(|(_, operation)| operation.cancel());
    }
}

/// Makes the error of a session that there is not.
pub(super) fn missing(id: Uuid) -> ServiceError {
    let message = format!("there is no session {id}; it may have been closed");
    ServiceError::new(Kind::NotFound, message)
}
