//! The version that a commit is about to follow, as far as the commit depends on it. Moves with each winner.

use std::sync::Arc;

use crate::action;
use crate::row_tracking;
use crate::{Action, Metadata, Protocol, Snapshot};

/// What a commit takes over from the version before it.
#[derive(Debug, Clone)]
pub(crate) struct Basis {
    pub version: i64,
    /// When it was committed, milliseconds since the epoch.
    pub timestamp_ms: i64,
    pub protocol: Arc<Protocol>,
    pub metadata: Arc<Metadata>,
    /// The highest row id given.
    pub row_id_high_watermark: Option<i64>,
}

impl Basis {
    pub fn of(snapshot: &Snapshot) -> Self {
        let domain = snapshot.domains().get(row_tracking::DOMAIN);
        Self {
            version: snapshot.version(),
            timestamp_ms: snapshot.timestamp_ms(),
            protocol: Arc::clone(snapshot.shared_protocol()),
            metadata: Arc::clone(snapshot.shared_metadata()),
            row_id_high_watermark: domain.and_then(row_tracking::high_watermark),
        }
    }

    /// Moves on to the next version, which is `commit`.
    pub fn follow(&mut self, commit: &[Action]) {
        self.version += 1;
        let info = action::commit_info(commit);
        let timestamp_ms = info.and_then(|info| info.in_commit_timestamp.or(info.timestamp));
        self.timestamp_ms = self.timestamp_ms.max(timestamp_ms.unwrap_or_default());
        for action in commit {
            match action {
                Action::Protocol(protocol) => self.protocol = Arc::new(protocol.clone()),
                Action::Metadata(metadata) => self.metadata = Arc::new(metadata.clone()),
                Action::DomainMetadata(domain) if domain.domain == row_tracking::DOMAIN => {
                    self.row_id_high_watermark =
                        row_tracking::high_watermark(domain).max(self.row_id_high_watermark);
                }
                _ => {}
            }
        }
    }
}
