//! Sessions of clients that come back: Thrift and Flight SQL stand on them.
//!
//! ```text
//! Warehouse ──► Session (a principal's; names, settings, temporary views) ─┬► Operation (one statement)
//!                  └ ends: closed, or not used for so long                 │    runs in a task; its rows wait to be
//!                                                                          │    fetched, or go to one reader (Flow)
//!                                                                          └► Prepared (a statement, and values)
//! ```
//! A client asks about its sessions and operations by number. One of another principal is as one that there is not.

mod flow;
mod operation;
mod prepared;
mod rows;
mod session;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ingot_common::port::{SessionRequest, StatementService};
use ingot_common::task::Supervisor;
use ingot_common::{Kind, Principal, RequestContext, ServiceError};
use uuid::Uuid;

pub use self::flow::flow;
pub use self::operation::{Operation, Progress};
pub use self::prepared::Prepared;
pub use self::rows::{Fetched, Portion};
pub use self::session::{Session, SessionEnd};

/// How long a session stays that nobody uses.
const SESSION_IDLE_MAX: Duration = Duration::from_secs(2 * 3600);

/// How long an operation stays that nobody asks about, running or not: it may hold a turn, and rows.
const OPERATION_IDLE_MAX: Duration = Duration::from_secs(15 * 60);

/// How often those are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Sessions that are open at a time, at most.
const SESSIONS_MAX: usize = 10_000;

/// How the client of an operation takes its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Batches are LZ4 frames.
    pub lz4: bool,
    pub timestamps_as_texts: bool,
    pub decimals_as_texts: bool,
    /// Arrays, maps and structures are JSON.
    pub nested_as_texts: bool,
}

/// All sessions of a server.
pub struct Warehouse {
    statements: Arc<dyn StatementService>,
    sessions: Mutex<HashMap<Uuid, Arc<Session>>>,
    /// What runs statements.
    tasks: Supervisor,
}

impl fmt::Debug for Warehouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warehouse").finish_non_exhaustive()
    }
}

impl Warehouse {
    /// Makes one without sessions.
    pub fn new(statements: Arc<dyn StatementService>) -> Self {
        Self {
            statements,
            sessions: Mutex::default(),
            tasks: Supervisor::new(),
        }
    }

    /// Opens a session of the context's principal, which its client closes.
    ///
    /// # Errors
    /// `ResourceExhausted` when there are too many; those of its settings.
    pub async fn open(
        &self,
        context: &RequestContext,
        request: SessionRequest,
    ) -> Result<Arc<Session>, ServiceError> {
        self.open_until(context, request, SessionEnd::Closed).await
    }

    /// Opens a session of the context's principal.
    ///
    /// # Errors
    /// As [`Warehouse::open`].
    pub async fn open_until(
        &self,
        context: &RequestContext,
        request: SessionRequest,
        end: SessionEnd,
    ) -> Result<Arc<Session>, ServiceError> {
        if self.sessions().len() >= SESSIONS_MAX {
            return Err(ServiceError::new(
                Kind::ResourceExhausted,
                format!("{SESSIONS_MAX} sessions are open, and no more can be; close one"),
            ));
        }
        let own = self.statements.open_session(context, request).await?;
        let principal = context.principal.clone();
        let session = Arc::new(Session::new(principal, end, own, self.tasks.clone()));
        self.sessions().insert(session.id(), Arc::clone(&session));
        Ok(session)
    }

    /// Returns a session of `principal`.
    ///
    /// # Errors
    /// `NotFound` where there is none of this number.
    pub fn session(&self, id: Uuid, principal: &Principal) -> Result<Arc<Session>, ServiceError> {
        let found = self.sessions().get(&id).cloned();
        let session = found.filter(|session| session.principal() == principal);
        let session = session.ok_or_else(|| session::missing(id))?;
        session.touch();
        Ok(session)
    }

    /// Closes a session, and ends what runs in it.
    ///
    /// # Errors
    /// `NotFound` where there is none of this number.
    pub fn close(&self, id: Uuid, principal: &Principal) -> Result<(), ServiceError> {
        let session = self.session(id, principal)?;
        self.sessions().remove(&id);
        session.close();
        Ok(())
    }

    /// Closes a session that ends when it is empty, if it is.
    pub fn release(&self, session: &Session) {
        if session.is_done() {
            self.sessions().remove(&session.id());
            session.close();
        }
    }

    /// Returns how many sessions are open.
    pub fn sessions_open(&self) -> usize {
        self.sessions().len()
    }

    /// Ends what nobody uses any more, now and then, without end.
    pub async fn keep_up(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            self.sweep(SESSION_IDLE_MAX, OPERATION_IDLE_MAX);
        }
    }

    /// Closes all sessions.
    pub fn close_all(&self) {
        let sessions: Vec<_> = self.sessions().drain().map(|(_, session)| session).collect();
        sessions.iter().for_each(|session| session.close());
    }

    fn sweep(&self, session_idle_max: Duration, operation_idle_max: Duration) {
        let sessions: Vec<_> = self.sessions().values().cloned().collect();
        for session in sessions {
            session.sweep(operation_idle_max);
            if session.is_idle(session_idle_max) {
                tracing::info!(session = %session.id(), "a session that nobody used was closed");
                self.sessions().remove(&session.id());
                session.close();
            }
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Session>>> {
        lock(&self.sessions)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};
    use async_trait::async_trait;
    use futures::StreamExt;
    use ingot_common::port::{
        IngestRequest, StatementDescription, StatementParameter, StatementRequest, StatementResult,
        StatementSession, TableReader, TableRequest,
    };

    use super::*;

    /// Gives a row to every statement but `endless`.
    struct Stub;

    fn refused<T>() -> Result<T, ServiceError> {
        Err(ServiceError::new(Kind::Unsupported, "sessions only"))
    }

    #[async_trait]
    impl StatementService for Stub {
        async fn execute(
            &self,
            _: &RequestContext,
            _: StatementRequest,
        ) -> Result<StatementResult, ServiceError> {
            refused()
        }

        async fn open_session(
            &self,
            _: &RequestContext,
            _: SessionRequest,
        ) -> Result<Arc<dyn StatementSession>, ServiceError> {
            Ok(Arc::new(Self))
        }

        async fn open_table(
            &self,
            _: &RequestContext,
            _: TableRequest,
        ) -> Result<Arc<dyn TableReader>, ServiceError> {
            refused()
        }
    }

    #[async_trait]
    impl StatementSession for Stub {
        async fn execute(
            &self,
            _: &RequestContext,
            statement: String,
            _: Vec<StatementParameter>,
        ) -> Result<StatementResult, ServiceError> {
            if statement == "endless" {
                futures::future::pending::<()>().await;
            }
            let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as _)]);
            let batch = batch.expect("batch");
            Ok(StatementResult {
                schema: batch.schema(),
                batches: futures::stream::iter([Ok(batch)]).boxed(),
            })
        }

        async fn execute_bound(
            &self,
            _: &RequestContext,
            _: String,
            _: RecordBatch,
        ) -> Result<StatementResult, ServiceError> {
            refused()
        }

        async fn describe(
            &self,
            _: &RequestContext,
            _: String,
        ) -> Result<StatementDescription, ServiceError> {
            refused()
        }

        async fn ingest(
            &self,
            _: &RequestContext,
            _: IngestRequest,
        ) -> Result<StatementResult, ServiceError> {
            refused()
        }
    }

    fn ann() -> RequestContext {
        RequestContext::new(Principal::new("ann"))
    }

    async fn opened() -> (Warehouse, Arc<Session>) {
        let warehouse = Warehouse::new(Arc::new(Stub));
        let session = warehouse
            .open(&ann(), SessionRequest::default())
            .await
            .expect("a session");
        (warehouse, session)
    }

    fn begun(session: &Session, statement: &str) -> Arc<Operation> {
        let begun = session.begin(&ann(), statement.to_owned(), Vec::new(), Encoding::default());
        begun.expect("an operation")
    }

    #[tokio::test]
    async fn nobody_else_sees_a_session() {
        let (warehouse, session) = opened().await;
        let operation = begun(&session, "rows");
        let (own, other) = (Principal::new("ann"), Principal::new("bob"));
        assert!(warehouse.session(session.id(), &own).is_ok());
        assert!(session.operation(operation.id()).is_ok());
        let missing = warehouse
            .session(session.id(), &other)
            .map(|_| ())
            .expect_err("another's");
        assert_eq!(missing.kind, Kind::NotFound);
        assert!(warehouse.close(session.id(), &other).is_err());
        assert!(warehouse.session(session.id(), &own).is_ok());
    }

    #[tokio::test]
    async fn what_nobody_uses_ends() {
        let (warehouse, session) = opened().await;
        let (done, endless) = (begun(&session, "rows"), begun(&session, "endless"));
        let patience = Duration::from_secs(60);
        assert!(matches!(done.progress(patience).await, Progress::Finished { .. }));
        warehouse.sweep(Duration::ZERO, patience);
        assert!(session.operation(done.id()).is_ok(), "its session is in use");
        assert!(warehouse.session(session.id(), &Principal::new("ann")).is_ok());
        warehouse.sweep(Duration::ZERO, Duration::ZERO);
        assert!(session.operation(done.id()).is_err());
        assert!(matches!(endless.progress(patience).await, Progress::Canceled));
        assert!(warehouse.session(session.id(), &Principal::new("ann")).is_err());
    }

    #[tokio::test]
    async fn a_session_of_one_statement_ends_with_it() {
        let warehouse = Warehouse::new(Arc::new(Stub));
        let ann = ann();
        let opened = warehouse.open_until(&ann, SessionRequest::default(), SessionEnd::Empty);
        let session = opened.await.expect("a session");
        let own = &ann.principal;
        let operation = begun(&session, "rows");
        let prepared = Prepared::new("rows".to_owned(), StatementDescription::default());
        let prepared = session.prepare(prepared).expect("prepared");
        warehouse.release(&session);
        session.forget(operation.id());
        warehouse.release(&session);
        assert!(
            warehouse.session(session.id(), own).is_ok(),
            "a statement is prepared"
        );
        session.unprepare(prepared.id());
        warehouse.release(&session);
        assert!(warehouse.session(session.id(), own).is_err());
    }

    #[tokio::test]
    async fn a_closed_session_ends_what_runs_in_it() {
        let (warehouse, session) = opened().await;
        let endless = begun(&session, "endless");
        warehouse
            .close(session.id(), &Principal::new("ann"))
            .expect("closed");
        assert!(matches!(
            endless.progress(Duration::from_secs(60)).await,
            Progress::Canceled
        ));
        let late = session.begin(&ann(), "rows".to_owned(), Vec::new(), Encoding::default());
        assert_eq!(late.map(|_| ()).expect_err("no more").kind, Kind::NotFound);
        assert!(
            endless
                .fetch(Portion {
                    rows_max: 1,
                    bytes_max: 1
                })
                .await
                .is_err()
        );
    }
}
