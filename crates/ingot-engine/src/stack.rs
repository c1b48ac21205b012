//! Stack for work that nests as deep as a client's text says: expressions in expressions, views on views.
//!
//! How deep a text may nest is bounded where it is read (`dialect::depth`). The planner and what it plans go down into it
//! by calls, and a future that awaits another polls it on the same stack: so threads that run statements should have
//! [`STACK_BYTES`], and where one has less, the stack grows on the heap before it is needed.

use std::future::{Future, poll_fn};

use futures::future::BoxFuture;

/// Bytes of stack that a thread which runs statements should have: what planning the deepest of them takes, and what
/// the tasks take that compute its rows. Pages that are not used take no memory.
pub const STACK_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of stack below which it grows: what planning the deepest statement takes.
const RED_ZONE_BYTES: usize = 24 * 1024 * 1024;
/// Bytes by which it grows.
const GROWTH_BYTES: usize = 48 * 1024 * 1024;

/// Makes a future that has stack enough each time it is polled.
pub(crate) fn deep<'a, T>(future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
    let mut future = Box::pin(future);
    Box::pin(poll_fn(move |context| {
        with_room(|| future.as_mut().poll(context))
    }))
}

/// Does `work` with stack enough.
pub(crate) fn with_room<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(RED_ZONE_BYTES, GROWTH_BYTES, work)
}
