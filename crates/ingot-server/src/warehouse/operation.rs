//! One statement of a session: it runs in a task, and its client asks how it is doing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use ingot_common::port::StatementResult;
use ingot_common::task::Supervisor;
use ingot_common::{Kind, RequestContext, ServiceError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::rows::{Fetched, Portion, Rows};
use super::{Encoding, lock};

/// How far an operation is.
#[derive(Debug, Clone)]
pub enum Progress {
    Running,
    /// Its first rows are there, or there are none.
    Finished {
        schema: SchemaRef,
        /// Rows that a statement which writes has changed.
        modified: Option<i64>,
    },
    Failed(ServiceError),
    Canceled,
}

/// See the module's documentation.
pub struct Operation {
    id: Uuid,
    encoding: Encoding,
    cancellation: CancellationToken,
    progress: watch::Receiver<Progress>,
    rows: Arc<tokio::sync::Mutex<Option<Rows>>>,
    /// Its rows are given to one reader, who may not begin again.
    claimed: AtomicBool,
    used: Mutex<Instant>,
}

impl Operation {
    /// Begins `work` in a task of its own, which outlives the request.
    pub(super) fn begin<W, F>(
        context: &RequestContext,
        tasks: &Supervisor,
        encoding: Encoding,
        work: W,
    ) -> Arc<Self>
    where
        W: FnOnce(RequestContext) -> F,
        F: Future<Output = Result<StatementResult, ServiceError>> + Send + 'static,
    {
        let mut own = RequestContext::new(context.principal.clone());
        own.request_id = context.request_id;
        own.session_id = context.session_id;
        own.user_agent = context.user_agent.clone();
        own.query_tags = context.query_tags.clone();
        let id = own.statement_id;
        let cancellation = own.cancellation.clone();
        let (sender, progress) = watch::channel(Progress::Running);
        let rows = Arc::new(tokio::sync::Mutex::new(None));
        let kept = Arc::clone(&rows);
        let cancelled = cancellation.clone();
        let work = work(own);
        tasks.spawn("statement of a session", |_| async move {
            let begun = async {
                let mut first = Rows::new(work.await?);
                first.look_ahead().await?;
                Ok::<_, ServiceError>(first)
            };
            let outcome = tokio::select! {
                biased;
                () = cancelled.cancelled() => Progress::Canceled,
                begun = begun => match begun {
                    Ok(first) => {
                        let finished = Progress::Finished {
                            schema: Arc::clone(first.schema()),
                            modified: first.modified(),
                        };
                        *kept.lock().await = Some(first);
                        finished
                    }
                    Err(error) if error.kind == Kind::Cancelled => Progress::Canceled,
                    Err(error) => Progress::Failed(error),
                },
            };
            // Nobody may be there for it.
            let _ = sender.send(outcome);
            Ok::<(), ServiceError>(())
        });
        Arc::new(Self {
            id,
            encoding,
            cancellation,
            progress,
            rows,
            claimed: AtomicBool::new(false),
            used: Mutex::new(Instant::now()),
        })
    }

    /// Returns its number, which nobody guesses: the statement's id in the query history.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns how its client takes rows.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns how far it is, once it has ended or `patience` is over.
    pub async fn progress(&self, patience: Duration) -> Progress {
        self.touch();
        let mut progress = self.progress.clone();
        let ended = progress.wait_for(|progress| !matches!(progress, Progress::Running));
        match tokio::time::timeout(patience, ended).await {
            Ok(Ok(ended)) => ended.clone(),
            // The task panicked.
            Ok(Err(_)) => Progress::Failed(ServiceError::new(Kind::Internal, "the statement panicked")),
            Err(_) => Progress::Running,
        }
    }

    /// Returns the next rows. Waits for them, until it is cancelled.
    ///
    /// # Errors
    /// `FailedPrecondition` while it runs; those of the statement.
    pub async fn fetch(&self, portion: Portion) -> Result<Fetched, ServiceError> {
        self.touch();
        let cancelled = || ServiceError::new(Kind::Cancelled, "the operation was cancelled");
        let mut rows = self.rows.lock().await;
        if self.cancellation.is_cancelled() {
            return Err(cancelled());
        }
        let Some(rows) = rows.as_mut() else {
            return Err(ServiceError::new(
                Kind::FailedPrecondition,
                "the operation has no rows: it is not finished",
            ));
        };
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => Err(cancelled()),
            fetched = rows.fetch(portion) => fetched,
        }
    }

    /// Says that all its rows go to one reader.
    ///
    /// # Errors
    /// `NotFound` when they went to another before.
    pub fn claim(&self) -> Result<(), ServiceError> {
        match self.claimed.swap(true, Ordering::SeqCst) {
            false => Ok(()),
            true => Err(ServiceError::new(
                Kind::NotFound,
                "the rows of the statement were asked for before, and are given once; run it again",
            )),
        }
    }

    /// Ends the statement; its rows are dropped.
    pub fn cancel(&self) {
        self.cancellation.cancel();
        // A fetch that holds them ends, and the last owner drops them.
        if let Ok(mut rows) = self.rows.try_lock() {
            *rows = None;
        }
    }

    fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    /// Says if nobody asked for so long how it is doing, and nobody waits for its rows.
    pub(super) fn is_idle(&self, idle_max: Duration) -> bool {
        lock(&self.used).elapsed() >= idle_max && self.rows.try_lock().is_ok()
    }
}
