//! The bytes of one file on their way to the store.
//!
//! ```text
//! bytes ─► buffer ─► less than a part when the file ends ─► put
//!                  └ a part is full ─► begin an upload, send part after part, complete it
//! ```
//! Always true: an upload that was begun is completed or aborted, unless the writer is dropped or the store refuses
//! that too. A store keeps, and charges for, the parts of one that was neither. `object_store`'s own writer leaves them
//! behind when a part fails while it completes.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutPayloadMut};
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::errors::ParquetError;
use tokio::task::JoinSet;

/// Bytes of a part of an upload; S3 takes no less. Many files may be open at once, each with parts in memory.
pub(super) const PART_BYTES: usize = 5 << 20;

/// A file on its way. See the module.
#[derive(Debug)]
pub(super) struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    parts_in_flight_max: usize,
    /// Less than a part.
    buffer: PutPayloadMut,
    begun: Option<Box<dyn MultipartUpload>>,
    in_flight: JoinSet<object_store::Result<()>>,
}

impl Upload {
    pub fn new(store: Arc<dyn ObjectStore>, path: Path, parts_in_flight_max: usize) -> Self {
        Self {
            store,
            path,
            parts_in_flight_max,
            buffer: PutPayloadMut::new(),
            begun: None,
            in_flight: JoinSet::new(),
        }
    }

    /// Gives up what the store holds of an upload that is not complete. Harmless to one that is, or that failed.
    pub async fn abort(mut self) {
        // On the heap: this is rare, and callers that hold it inside would grow by all of it.
        self.give_up().boxed().await;
    }

    async fn add(&mut self, mut bytes: Bytes) -> object_store::Result<()> {
        loop {
            let room = PART_BYTES - self.buffer.content_length();
            if bytes.len() < room {
                self.buffer.push(bytes);
                return Ok(());
            }
            self.buffer.push(bytes.split_to(room));
            let part = mem::take(&mut self.buffer).freeze();
            self.send(part).await?;
        }
    }

    /// Sends a part once fewer than the most are on their way.
    async fn send(&mut self, part: PutPayload) -> object_store::Result<()> {
        while self.in_flight.len() >= self.parts_in_flight_max {
            self.arrival().await?;
        }
        let upload = match &mut self.begun {
            Some(upload) => upload,
            none => none.insert(self.store.put_multipart(&self.path).await?),
        };
        self.in_flight.spawn(upload.put_part(part));
        Ok(())
    }

    /// Waits for one of the parts that are on their way.
    async fn arrival(&mut self) -> object_store::Result<()> {
        match self.in_flight.join_next().await {
            None => Ok(()),
            Some(Ok(sent)) => sent,
            Some(Err(source)) => Err(object_store::Error::JoinError { source }),
        }
    }

    async fn end(&mut self) -> object_store::Result<()> {
        let rest = mem::take(&mut self.buffer).freeze();
        if self.begun.is_none() {
            return self.store.put(&self.path, rest).await.map(drop);
        }
        if rest.content_length() > 0 {
            self.send(rest).await?;
        }
        while !self.in_flight.is_empty() {
            self.arrival().await?;
        }
        if let Some(upload) = &mut self.begun {
            upload.complete().await?;
        }
        // There is nothing left to give up.
        self.begun = None;
        Ok(())
    }

    async fn give_up(&mut self) {
        self.in_flight.shutdown().await;
        let Some(mut upload) = self.begun.take() else {
            return;
        };
        if let Err(error) = upload.abort().await {
            tracing::warn!(path = %self.path, %error, "parts of an unfinished upload stay until the store lets them expire");
        }
    }
}

impl AsyncFileWriter for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, parquet::errors::Result<()>> {
        async move { self.add(bytes).await.map_err(external) }.boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, parquet::errors::Result<()>> {
        async move {
            let ended = self.end().await;
            if ended.is_err() {
                self.give_up().await;
            }
            ended.map_err(external)
        }
        .boxed()
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
