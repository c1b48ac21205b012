//! What a call has begun in a session, and its handle.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::Stream;
use ingot_common::port::{StatementResult, StatementSession};
use ingot_common::{Kind, RequestContext, ServiceError};
use uuid::Uuid;

use super::call::Call;
use super::invalid;
use crate::warehouse::{Encoding, Operation, Progress, Session, Warehouse, flow};

/// How long a call waits for its operation before it says that it is still there.
const PATIENCE: Duration = Duration::from_secs(60);

/// An operation that ends with this value, unless it is kept. A session of its own ends with it.
pub(super) struct Begun {
    warehouse: Arc<Warehouse>,
    session: Arc<Session>,
    operation: Arc<Operation>,
    kept: bool,
}

impl Begun {
    /// Begins work in a session.
    ///
    /// # Errors
    /// As [`Session::begin_work`].
    pub fn new<W, F>(call: &Call, session: Arc<Session>, work: W) -> Result<Self, ServiceError>
    where
        W: FnOnce(Arc<dyn StatementSession>, RequestContext) -> F,
        F: Future<Output = Result<StatementResult, ServiceError>> + Send + 'static,
    {
        let operation = session.begin_work(&call.context, Encoding::default(), work);
        let warehouse = Arc::clone(&call.state.warehouse);
        let operation = operation.inspect_err(|_| warehouse.release(&session))?;
        Ok(Self {
            warehouse,
            session,
            operation,
            kept: false,
        })
    }

    /// Finds what a handle is of; it ends with this value.
    ///
    /// # Errors
    /// `NotFound` where there is none, and where its rows were asked for before.
    pub fn claimed(call: &Call, handle: &[u8]) -> Result<Self, ServiceError> {
        let (session, id) = session_of(call, handle)?;
        let operation = session.operation(id)?;
        operation.claim()?;
        Ok(Self {
            warehouse: Arc::clone(&call.state.warehouse),
            session,
            operation,
            kept: false,
        })
    }

    /// Waits for its first rows, or its end. Returns its columns, and how many rows it changed if it says so.
    ///
    /// # Errors
    /// Those of the statement.
    pub async fn finished(&self) -> Result<(SchemaRef, Option<i64>), ServiceError> {
        loop {
            match self.operation.progress(PATIENCE).await {
                Progress::Running => {}
                Progress::Finished { schema, modified } => return Ok((schema, modified)),
                Progress::Failed(error) => return Err(error),
                Progress::Canceled => {
                    return Err(ServiceError::new(Kind::Cancelled, "the statement was cancelled"));
                }
            }
        }
    }

    /// Streams its rows as they are made. It ends with the stream.
    pub fn rows(self) -> impl Stream<Item = Result<RecordBatch, ServiceError>> + Send + 'static {
        flow(Arc::clone(&self.operation), self)
    }

    /// Lets it go on without this value; returns its handle.
    pub fn keep(mut self) -> Bytes {
        self.kept = true;
        handle(&self.session, self.operation.id())
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.kept {
            self.session.forget(self.operation.id());
            self.warehouse.release(&self.session);
        }
    }
}

/// Makes the handle of something in a session.
pub(super) fn handle(session: &Session, id: Uuid) -> Bytes {
    [session.id().into_bytes(), id.into_bytes()].concat().into()
}

/// Reads a handle: the session, and the number of what is in it.
///
/// # Errors
/// `InvalidArgument` for what is none; `NotFound` where there is no such session of the caller's.
pub(super) fn session_of(call: &Call, handle: &[u8]) -> Result<(Arc<Session>, Uuid), ServiceError> {
    let numbers = handle.split_at_checked(16);
    let numbers = numbers.and_then(|(session, id)| {
        let session = Uuid::from_slice(session).ok()?;
        Some((session, Uuid::from_slice(id).ok()?))
    });
    let (session, id) = numbers.ok_or_else(|| invalid("the handle is none of this server's"))?;
    let session = call.state.warehouse.session(session, &call.context.principal)?;
    Ok((session, id))
}
