//! What all requests of a server share.

use std::sync::Arc;

use ingot_catalog::Metastore;
use ingot_common::port::StatementService;
use ingot_common::{Kind, RequestContext, ServiceError};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, Caller};
use crate::cursor::Cursors;
use crate::quota::Quotas;
use crate::statement_api::{Executions, Shelf};
use crate::warehouse::Warehouse;
use crate::{Limits, ServerOptions, metrics};

/// Shared by all requests. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub statements: Arc<dyn StatementService>,
    pub metastore: Metastore,
    pub authenticator: Arc<Authenticator>,
    pub metrics: Option<PrometheusHandle>,
    pub limits: Arc<Limits>,
    pub warehouse: Arc<Warehouse>,
    pub executions: Arc<Executions>,
    /// The server speaks HTTPS.
    pub tls: bool,
    pub cursors: Arc<Cursors>,
    pub quotas: Arc<Quotas>,
    abandon: CancellationToken,
}

impl AppState {
    /// Makes the state of a server whose work ends with `abandon`.
    pub fn new(options: ServerOptions, abandon: CancellationToken) -> Self {
        let warehouse = Arc::new(Warehouse::new(Arc::clone(&options.statements)));
        let shelf = Shelf::new(options.results, options.limits.result_bytes_max);
        Self {
            executions: Arc::new(Executions::new(Arc::clone(&warehouse), shelf)),
            warehouse,
            statements: options.statements,
            authenticator: Arc::new(Authenticator::new(
                options.authentication,
                options.metastore.clone(),
            )),
            metastore: options.metastore,
            metrics: metrics::install(),
            cursors: Arc::new(Cursors::new(options.cursor_key)),
            quotas: Arc::new(Quotas::new(&options.limits.api)),
            limits: Arc::new(options.limits),
            tls: options.identity.is_some(),
            abandon,
        }
    }

    /// Makes the context of a request; its work ends with the server's.
    pub fn context(&self, caller: Caller) -> RequestContext {
        let mut context = RequestContext::new(caller.principal);
        context.request_id = caller.request_id.0;
        context.user_agent = caller.user_agent;
        if let Some(id) = caller.statement_id {
            context.statement_id = id;
        }
        context.cancellation = self.abandon.child_token();
        context
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
