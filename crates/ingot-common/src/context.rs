//! Who asks, through which door, under which id.

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A user or service, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(String);

impl Principal {
    /// Wraps a name that authentication has vouched for.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Travels with a request from its front door to the last file read for it.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Stands in the log, in the answer's header and in the query history.
    pub request_id: Uuid,
    pub principal: Principal,
    /// The id of the statement that the request is to run: its client knows it, and it stands in the query history.
    pub statement_id: Uuid,
    /// The session of the client, as the client knows it.
    pub session_id: Option<Uuid>,
    /// What the client's program says of itself: `User-Agent`.
    pub user_agent: Option<String>,
    /// Tags of the statement over those of its session, as the setting `query_tags` has them.
    pub query_tags: Option<String>,
    /// Cancelled when the client goes away or the server stops; long work watches it.
    pub cancellation: CancellationToken,
}

impl RequestContext {
    /// Makes a context with fresh ids and a token that nobody else holds.
    pub fn new(principal: Principal) -> Self {
        Self {
            request_id: Uuid::now_v7(),
            principal,
            statement_id: Uuid::new_v4(),
            session_id: None,
            user_agent: None,
            query_tags: None,
            cancellation: CancellationToken::new(),
        }
    }
}
