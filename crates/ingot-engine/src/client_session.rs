//! The session of a client that comes back, behind the port.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use ingot_common::port::{
    IngestRequest, SessionRequest, StatementDescription, StatementParameter, StatementResult,
    StatementSession,
};
use ingot_common::{Identifier, RequestContext, SchemaName, ServiceError};
use tokio::sync::Mutex;

use crate::history::{QUERY_TAGS, Recording, Started};
use crate::{Engine, Result, Session, statement};

/// See the module's documentation.
pub(crate) struct ClientSession {
    session: Session,
    /// Held by the statement that begins: the values of its markers are the session's.
    turn: Arc<Mutex<()>>,
}

impl ClientSession {
    /// Opens a session.
    ///
    /// # Errors
    /// `InvalidArgument` for names and settings that cannot be.
    pub fn open(engine: &Engine, context: &RequestContext, request: &SessionRequest) -> Result<Self> {
        let session = engine.session(context)?.with_client_types();
        let current = session.namespace();
        let part = |name: Option<&String>, default| name.map_or(Ok(default), Identifier::new);
        session.set_namespace(SchemaName::new(
            part(request.catalog.as_ref(), current.catalog)?,
            part(request.schema.as_ref(), current.schema)?,
        ));
        for (key, value) in &request.settings {
            statement::set_setting(&session, key, value)?;
        }
        Ok(Self {
            session,
            turn: Arc::default(),
        })
    }

    /// Notes in the query history that a statement has come.
    fn begin(&self, context: &RequestContext, text: &str) -> Result<Recording, ServiceError> {
        let tags = self.session.setting(QUERY_TAGS);
        let started = Started::new(context, text.to_owned(), tags.as_deref());
        Recording::begin(self.session.engine().query_history(), context, started)
    }

    /// Does work in the session, once what began before it has begun to give rows.
    async fn in_turn<T, W, F>(&self, context: &RequestContext, work: W) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        W: FnOnce(Session) -> F + Send,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let own = &self.session;
        let work = |context| {
            let work = work(own.for_request(context));
            async move {
                let _turn = turn;
                work.await
            }
        };
        own.engine().in_task(context, work).await
    }
}

#[async_trait]
impl StatementSession for ClientSession {
    async fn execute(
        &self,
        context: &RequestContext,
        statement: String,
        parameters: Vec<StatementParameter>,
    ) -> Result<StatementResult, ServiceError> {
        let recording = self.begin(context, &statement)?;
        let work = |session: Session| {
            recording.of(async move {
                let parameters = Box::pin(statement::parameters(&session, parameters)).await?;
                session.values().parameters = parameters;
                session.execute(&statement).await
            })
        };
        self.in_turn(context, work).await
    }

    async fn execute_bound(
        &self,
        context: &RequestContext,
        statement: String,
        values: RecordBatch,
    ) -> Result<StatementResult, ServiceError> {
        let recording = self.begin(context, &statement)?;
        let work = |session: Session| {
            recording.of(async move {
                let parameters = statement::bound(&statement, &values)?;
                session.values().parameters = parameters;
                session.execute(&statement).await
            })
        };
        self.in_turn(context, work).await
    }

    async fn describe(
        &self,
        context: &RequestContext,
        statement: String,
    ) -> Result<StatementDescription, ServiceError> {
        let work = |session: Session| async move { statement::foretell(&session, &statement).await };
        self.in_turn(context, work).await
    }

    async fn ingest(
        &self,
        context: &RequestContext,
        request: IngestRequest,
    ) -> Result<StatementResult, ServiceError> {
        let recording = self.begin(
            context,
            &format!("INSERT INTO `{}` -- rows of the client", request.table),
        )?;
        let work = |session: Session| recording.of(async move { statement::ingest(&session, request).await });
        self.in_turn(context, work).await
    }
}
