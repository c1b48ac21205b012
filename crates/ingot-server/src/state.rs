//! What all requests of a server share.

use std::sync::Arc;
use std::time::Duration;

use ingot_catalog::Metastore;
use ingot_common::port::StatementService;
use ingot_common::{Kind, Principal, RequestContext, ServiceError};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::{ServerOptions, metrics};

/// Statements that run at a time; more wait.
const STATEMENTS_MAX: usize = 64;
/// How long a statement waits for its turn.
const ADMISSION_MAX: Duration = Duration::from_secs(30);

/// Shared by all requests. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub statements: Arc<dyn StatementService>,
    pub metastore: Metastore,
    pub authenticator: Arc<Authenticator>,
    pub metrics: Option<PrometheusHandle>,
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
            admission: Arc::new(Semaphore::new(STATEMENTS_MAX)),
            abandon,
        }
    }

    /// Makes the context of a request; its work ends with the server's.
    pub fn context(&self, principal: Principal) -> RequestContext {
        let mut context = RequestContext::new(principal);
        context.cancellation = self.abandon.child_token();
        context
    }

    /// Waits for the turn of a statement.
    ///
    /// # Errors
    /// `ResourceExhausted` when none came in time.
    pub async fn admit(&self) -> Result<OwnedSemaphorePermit, ServiceError> {
        let turn = self.admission.clone().acquire_owned();
        match tokio::time::timeout(ADMISSION_MAX, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(ServiceError::new(
                Kind::ResourceExhausted,
                format!("{STATEMENTS_MAX} statements are running; try again later"),
            )),
        }
    }
}
