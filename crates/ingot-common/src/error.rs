//! Error kinds: what a caller can do about a failure, whatever crate it came from.
//!
//! Each crate has its own `Error`; each of its variants maps to one [`Kind`] through [`Classify`]. A front
//! door sees [`ServiceError`] only and turns its kind into the protocol's status in one file.

use std::error::Error as StdError;
use std::fmt;

/// Tells a caller what to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong; repeating it cannot help.
    InvalidArgument,
    /// Something that the request names does not exist.
    NotFound,
    /// Something that the request wants to create exists.
    AlreadyExists,
    /// The caller did not say who it is, or not credibly.
    Unauthenticated,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// Another writer won; the caller may start over from the new state.
    Conflict,
    /// The state of the system forbids the request until someone changes that state.
    FailedPrecondition,
    /// Valid, but not something Ingot can do.
    Unsupported,
    /// A limit was reached; later or smaller may work.
    ResourceExhausted,
    /// The time that the work may take is over; a larger limit may help.
    DeadlineExceeded,
    /// A part that Ingot depends on did not answer; a retry may help.
    Unavailable,
    /// The caller, or a shutdown, stopped the work.
    Cancelled,
    /// Stored data contradicts itself or is gone.
    DataLoss,
    /// A defect in Ingot.
    Internal,
}

impl Kind {
    /// Says if the same request may succeed later without anyone changing it.
    pub fn retryable(self) -> bool {
        matches!(self, Self::Conflict | Self::ResourceExhausted | Self::Unavailable)
    }
}

/// Maps an error to its [`Kind`]; every crate's `Error` implements it.
pub trait Classify: StdError {
    /// Returns the kind of this error. Total: no error is without one.
    fn kind(&self) -> Kind;

    /// Returns Spark's error condition (`TABLE_OR_VIEW_NOT_FOUND`) where one exists for this error.
    fn condition(&self) -> Option<&str> {
        None
    }

    /// Returns the SQLSTATE of [`Classify::condition`].
    fn sqlstate(&self) -> Option<&str> {
        None
    }
}

/// An error as it leaves a port: classified, with a message that a client can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceError {
    pub kind: Kind,
    /// Spark's error condition, if one fits.
    pub condition: Option<String>,
    /// Five characters, as in the SQL standard.
    pub sqlstate: Option<String>,
    /// What was attempted and what was wrong, for the client.
    pub message: String,
}

impl ServiceError {
    /// Makes an error of `kind` without a Spark condition.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            condition: None,
            sqlstate: None,
            message: message.into(),
        }
    }

    /// Writes it as Spark does, for people, and for clients that look for the condition in the text:
    /// `[CONDITION] message SQLSTATE: 12345`.
    pub fn described(&self) -> String {
        let mut text = self.message.clone();
        if let Some(condition) = &self.condition
            && !text.starts_with('[')
        {
            text = format!("[{condition}] {text}");
        }
        if let Some(sqlstate) = &self.sqlstate
            && !text.contains("SQLSTATE:")
        {
            text.push_str(&format!(" SQLSTATE: {sqlstate}"));
        }
        text
    }

    /// Converts a crate's error; the message is the error followed by its chain of sources.
    pub fn from_error(error: &impl Classify) -> Self {
        Self {
            kind: error.kind(),
            condition: error.condition().map(str::to_owned),
            sqlstate: error.sqlstate().map(str::to_owned),
            message: chain(error),
        }
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for ServiceError {}

impl Classify for ServiceError {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn condition(&self) -> Option<&str> {
        self.condition.as_deref()
    }

    fn sqlstate(&self) -> Option<&str> {
        self.sqlstate.as_deref()
    }
}

/// Joins an error and its sources with `: `. A source whose text the outer error already ends with is
/// left out, because some libraries print their source themselves.
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("commit failed")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn chain_joins_sources() {
        let error = Outer(std::io::Error::other("disk full"));
        assert_eq!(chain(&error), "commit failed: disk full");
    }

    #[test]
    fn only_passing_troubles_are_retryable() {
        assert!(Kind::Conflict.retryable());
        assert!(!Kind::InvalidArgument.retryable());
        assert!(!Kind::DataLoss.retryable());
    }
}
