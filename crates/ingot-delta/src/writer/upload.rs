//! The bytes of one file on their way to the store.
//!
//! ```text
//! encoder ─► Parts ─► less than a part when the file ends ─► put
//!                   └ a part is full ─► begin an upload, send part after part, complete it
//! ```
//! Bytes are copied once, into the part that they are sent in: a row group in one piece would be copied again each time
//! that it outgrew its buffer.
//!
//! Always true: an upload that was begun is completed or aborted, unless the writer is dropped or the store refuses
//! that too. A store keeps, and charges for, the parts of one that was neither. `object_store`'s own writer leaves them
//! behind when a part fails while it completes.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::task::JoinSet;

/// Bytes of a part of an upload; S3 takes no less. Many files may be open at once, each with parts in memory.
pub(super) const PART_BYTES: usize = 5 << 20;

/// What was encoded of a file and is not on its way: whole parts, and less than one more.
#[derive(Debug, Default)]
pub(super) struct Parts {
    full: Vec<Bytes>,
    filling: Vec<u8>,
}

impl Parts {
    /// Takes the whole parts, in order.
    pub fn take_full(&mut self) -> Vec<Bytes> {
        mem::take(&mut self.full)
    }

    /// Takes what is less than a part, when no more comes.
    pub fn take_rest(&mut self) -> Bytes {
        mem::take(&mut self.filling).into()
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART_BYTES - self.filling.len());
        self.filling.extend_from_slice(&bytes[..taken]);
        if self.filling.len() == PART_BYTES {
            // A file of one part is likely to have a second.
            let next = Vec::with_capacity(PART_BYTES);
            self.full.push(mem::replace(&mut self.filling, next).into());
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file on its way. See the module.
#[derive(Debug)]
pub(super) struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    parts_in_flight_max: usize,
    begun: Option<Box<dyn MultipartUpload>>,
    in_flight: JoinSet<object_store::Result<()>>,
}

impl Upload {
    pub fn new(store: Arc<dyn ObjectStore>, path: Path, parts_in_flight_max: usize) -> Self {
        Self {
            store,
            path,
            parts_in_flight_max,
            begun: None,
            in_flight: JoinSet::new(),
        }
    }

    /// Gives up what the store holds of an upload that is not complete. Harmless to one that is, or that failed.
    pub async fn abort(mut self) {
        // On the heap: this is rare, and callers that hold it inside would grow by all of it.
        self.give_up().boxed().await;
    }

    /// Sends a part once fewer than the most are on their way.
    ///
    /// # Errors
    /// What the store says of this part or of one before it.
    pub async fn send(&mut self, part: Bytes) -> object_store::Result<()> {
        while self.in_flight.len() >= self.parts_in_flight_max {
            self.arrival().await?;
        }
        let upload = match &mut self.begun {
            Some(upload) => upload,
            none => none.insert(self.store.put_multipart(&self.path).await?),
        };
        self.in_flight.spawn(upload.put_part(part.into()));
        Ok(())
    }

    /// Sends the last bytes of the file, of which the store has all others, and completes it.
    ///
    /// # Errors
    /// What the store says; the upload is given up then.
    pub async fn complete(&mut self, rest: Bytes) -> object_store::Result<()> {
        let ended = self.end(rest).await;
        if ended.is_err() {
            self.give_up().boxed().await;
        }
        ended
    }

    /// Waits for one of the parts that are on their way.
    async fn arrival(&mut self) -> object_store::Result<()> {
        match self.in_flight.join_next().await {
            None => Ok(()),
            Some(Ok(sent)) => sent,
            Some(Err(source)) => Err(object_store::Error::JoinError { source }),
        }
    }

    async fn end(&mut self, rest: Bytes) -> object_store::Result<()> {
        if self.begun.is_none() {
            return self.store.put(&self.path, rest.into()).await.map(drop);
        }
        if !rest.is_empty() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_at_their_size_and_hold_what_was_written() {
        let written: Vec<u8> = (0..2 * PART_BYTES + 7).map(|place| (place % 251) as u8).collect();
        let mut parts = Parts::default();
        for piece in written.chunks(PART_BYTES / 3 + 1) {
            parts.write_all(piece).expect("memory takes all");
        }

        let full = parts.take_full();
        assert_eq!(
            full.iter().map(Bytes::len).collect::<Vec<_>>(),
            [PART_BYTES, PART_BYTES]
        );
        let rest = parts.take_rest();
        assert_eq!([&full[0][..], &full[1], &rest].concat(), written);
        assert!(parts.take_full().is_empty() && parts.take_rest().is_empty());
    }
}
