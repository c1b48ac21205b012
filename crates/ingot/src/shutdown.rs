//! Ends the process gently: the first SIGINT or SIGTERM cancels a token, the second ends the process at once.

use std::future::Future;
use std::pin::pin;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// Exit code of a process that was interrupted: 128 + SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Runs `work`, which ends soon after `stop` is cancelled; the first signal cancels it.
pub async fn until_signal<T>(work: impl Future<Output = Result<T>>, stop: &CancellationToken) -> Result<T> {
    let mut signals = Signals::register()?;
    let mut work = pin!(work);
    tokio::select! {
        outcome = &mut work => return outcome,
        name = signals.next() => {
            tracing::info!(signal = name, "stopping; a second signal stops at once");
            stop.cancel();
        }
    }
    tokio::select! {
        outcome = &mut work => outcome,
        _ = signals.next() => std::process::exit(EXIT_INTERRUPTED),
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn register() -> Result<Self> {
        let register = |kind| signal(kind).map_err(|source| Error::Signals { source });
        Ok(Self {
            interrupt: register(SignalKind::interrupt())?,
            terminate: register(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
