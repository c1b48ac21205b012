//! Stack for work that nests as deep as a client's text says: views on views.
//!
//! Polling a future that awaits another polls it on the same stack. The depth is bounded where it nests, the size of a
//! frame is the compiler's to choose, so the stack grows on the heap where it comes near its end.

use std::future::{Future, poll_fn};

use futures::future::BoxFuture;

/// Bytes of stack below which it grows: more than one level of nesting takes.
pub(crate) const RED_ZONE_BYTES: usize = 512 * 1024;
/// Bytes by which it grows.
pub(crate) const GROWTH_BYTES: usize = 4 * 1024 * 1024;

/// Makes a future that has stack enough each time it is polled.
pub(crate) fn deep<'a, T>(future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
    let mut future = Box::pin(future);
    Box::pin(poll_fn(move |context| {
        stacker::maybe_grow(RED_ZONE_BYTES, GROWTH_BYTES, || future.as_mut().poll(context))
    }))
}
