//! What all requests of a server share.

use std::sync::Arc;

use ingot_catalog::Metastore;
use ingot_common::port::StatementService;
use ingot_common::{Kind, RequestContext, ServiceError};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, Caller};
use crate::{Limits, ServerOptions, metrics};

/// Shared by all requests. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub statements: Arc<dyn StatementService>,
    pub metastore: Metastore,
    pub authenticator: Arc<Authenticator>,
    pub metrics: Option<PrometheusHandle>,
    pub limits: Arc<Limits>,
    admission: Arc<Semaphore>,
    abandon: CancellationToken,
}

impl AppState {
    /// Makes the state of a server whose work ends with `abandon`.
    pub fn new(options: ServerOptions, abandon: CancellationToken) -> Self {
        Self {
            statements: options.statements,
            metastore: options.metastore,
            authenticator: Arc::new(Authenticator::new(options.authentication)),
            metrics: metrics::install(),
            admission: Arc::new(Semaphore::new(options.limits.statements_max)),
            limits: Arc::new(options.limits),
            abandon,
        }
    }

    /// Makes the context of a request; its work ends with the server's.
    pub fn context(&self, caller: Caller) -> RequestContext {
        let mut context = RequestContext::new(caller.principal);
        context.request_id = caller.request_id.0;
        context.cancellation = self.abandon.child_token();
        context
    }

    /// Waits for the turn of a statement.
    ///
    /// # Errors
    /// `ResourceExhausted` when none came in time; `Cancelled` when the request was cancelled meanwhile.
    pub async fn admit(&self, context: &RequestContext) -> Result<Turn, ServiceError> {
        let turn = tokio::time::timeout(self.limits.admission_max, self.admission.clone().acquire_owned());
        let admitted = tokio::select! {
            admitted = turn => admitted,
            () = context.cancellation.cancelled() => {
                return Err(ServiceError::new(Kind::Cancelled, "cancelled before its turn came"));
            }
        };
        match admitted {
            Ok(Ok(permit)) => Ok(Turn::new(permit)),
            Ok(Err(_)) | Err(_) => {
                let running = self.limits.statements_max;
                let message = format!("{running} statements are running; try again later");
                Err(ServiceError::new(Kind::ResourceExhausted, message))
            }
        }
    }

    /// Turns the cancellation of a statement by the server's own end into an error that says so: the client did
    /// nothing and may try again elsewhere.
    pub fn blame(&self, error: ServiceError) -> ServiceError {
        if error.kind == Kind::Cancelled && self.abandon.is_cancelled() {
            return ServiceError::new(
                Kind::Unavailable,
                "the server is stopping and has cancelled the request",
            );
        }
        error
    }
}

/// The turn of a statement; it ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        metrics::running_statements().increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        metrics::running_statements().decrement(1.0);
    }
}
