//! One session of a client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ingot_common::port::{StatementParameter, StatementSession};
use ingot_common::task::Supervisor;
use ingot_common::{Kind, Principal, RequestContext, ServiceError};
use tokio::time::Instant;
use uuid::Uuid;

use super::operation::Operation;
use super::{Encoding, lock};

/// Operations of a session that are open at a time, at most.
const OPERATIONS_MAX: usize = 1_000;

/// See the module's documentation.
pub struct Session {
    id: Uuid,
    principal: Principal,
    own: Arc<dyn StatementSession>,
    tasks: Supervisor,
    /// `None` once it is closed.
    operations: Mutex<Option<HashMap<Uuid, Arc<Operation>>>>,
    used: Mutex<Instant>,
}

impl Session {
    pub(super) fn new(principal: Principal, own: Arc<dyn StatementSession>, tasks: Supervisor) -> Self {
        Self {
            id: Uuid::new_v4(),
            principal,
            own,
            tasks,
            operations: Mutex::new(Some(HashMap::new())),
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
        let mut operations = lock(&self.operations);
        let operations = operations.as_mut().ok_or_else(|| missing(self.id))?;
        if operations.len() >= OPERATIONS_MAX {
            return Err(ServiceError::new(
                Kind::ResourceExhausted,
                format!("{OPERATIONS_MAX} operations of the session are open, and no more can be; close one"),
            ));
        }
        let own = Arc::clone(&self.own);
        let operation = Operation::begin(context, &self.tasks, encoding, async move |context| {
            own.execute(&context, statement, parameters).await
        });
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

    /// Notes that its client is there.
    pub(super) fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    pub(super) fn is_idle(&self, idle_max: Duration) -> bool {
        let unused = lock(&self.operations).as_ref().is_none_or(HashMap::is_empty);
        unused && lock(&self.used).elapsed() >= idle_max
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
