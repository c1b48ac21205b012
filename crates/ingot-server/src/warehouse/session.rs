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
    operations: Mutex<HashMap<Uuid, Arc<Operation>>>,
    used: Mutex<Instant>,
}

impl Session {
    pub(super) fn new(principal: Principal, own: Arc<dyn StatementSession>, tasks: Supervisor) -> Self {
        Self {
            id: Uuid::new_v4(),
            principal,
            own,
            tasks,
            operations: Mutex::default(),
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
    /// `ResourceExhausted` when too many operations are open.
    pub fn begin(
        &self,
        context: &RequestContext,
        statement: String,
        parameters: Vec<StatementParameter>,
        encoding: Encoding,
    ) -> Result<Arc<Operation>, ServiceError> {
        let mut operations = lock(&self.operations);
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

    pub(super) fn operation(&self, id: Uuid) -> Option<Arc<Operation>> {
        lock(&self.operations).get(&id).cloned()
    }

    /// Ends an operation and forgets it.
    pub fn forget(&self, id: Uuid) -> bool {
        let removed = lock(&self.operations).remove(&id);
        removed.is_some_and(|operation| {
            operation.cancel();
            true
        })
    }

    /// Notes that its client is there.
    pub(super) fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    pub(super) fn is_idle(&self, idle_max: Duration) -> bool {
        lock(&self.operations).is_empty() && lock(&self.used).elapsed() >= idle_max
    }

    /// Ends the operations that nobody asked about for so long.
    pub(super) fn sweep(&self, idle_max: Duration) {
        lock(&self.operations).retain(|_, operation| {
            let kept = !operation.is_idle(idle_max);
            if !kept {
                operation.cancel();
            }
            kept
        });
    }

    /// Ends all of its operations.
    pub(super) fn close(&self) {
        let operations: Vec<_> = lock(&self.operations).drain().collect();
        operations.iter().for_each(|(_, operation)| operation.cancel());
    }
}
