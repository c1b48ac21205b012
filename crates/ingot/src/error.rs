//! What can go wrong in the binary itself, and how an error is shown to the person at the terminal.

use std::net::SocketAddr;
use std::path::PathBuf;

use ingot_common::{Classify, Kind, ServiceError};

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One variant for each act that can fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    #[error("failed to {action} path=`{path}`")]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to listen on address=`{address}`")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("certificate or key of `server.tls_certificate` and `server.tls_key` cannot be used")]
    Certificate {
        #[source]
        source: ingot_server::TlsError,
    },
    #[error("failed to listen for signals")]
    Signals {
        #[source]
        source: std::io::Error,
    },
    #[error("embedded broker failed to listen on address=`{address}`")]
    Broker {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error("kafka failed to {action}")]
    Kafka {
        action: &'static str,
        #[source]
        source: rdkafka::error::KafkaError,
    },
    #[error("kafka failed to create {resource}: {code}")]
    KafkaAdmin {
        resource: String,
        code: rdkafka::types::RDKafkaErrorCode,
    },
    #[error("failed to read flights path=`{path}`")]
    Flights {
        path: PathBuf,
        #[source]
        source: parquet::errors::ParquetError,
    },
    #[error("failed to print the result")]
    Print(#[source] std::io::Error),
    #[error("failed to format the result")]
    Format(#[from] arrow::error::ArrowError),
    #[error("no server answered at url=`{url}`")]
    Unreachable {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("answer of the server at url=`{url}` cannot be read: {message}")]
    Answer { url: String, message: String },
    #[error("terminal failed")]
    Terminal(#[from] rustyline::error::ReadlineError),
    #[error("{message}")]
    Usage { message: String },
    #[error("demo cannot go on: {message}")]
    Demo { message: String },
    #[error("{failed} of the demo's checks failed")]
    DemoDiffers { failed: usize },
    /// An error of a statement, from the embedded engine or a server.
    #[error(transparent)]
    Statement(#[from] ServiceError),
    #[error(transparent)]
    Engine(#[from] ingot_engine::Error),
    #[error(transparent)]
    Catalog(#[from] ingot_catalog::Error),
    #[error(transparent)]
    Pipeline(#[from] ingot_pipelines::Error),
    #[error("work was stopped")]
    Stopped,
    #[error("a part of the process failed")]
    Panicked(#[from] ingot_common::task::Panicked),
}

impl Error {
    /// Makes a constructor of [`Error::File`] for `map_err`.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// Says if whoever read our output has gone (`ingot sql … | head`), which is an end rather than a failure.
    pub fn reader_left(&self) -> bool {
        matches!(self, Self::Print(source) if source.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// Makes a constructor of [`Error::Kafka`] for `map_err`.
    pub fn kafka(action: &'static str) -> impl FnOnce(rdkafka::error::KafkaError) -> Self {
        move |source| Self::Kafka { action, source }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Config(_) | Self::Usage { .. } | Self::Certificate { .. } => Kind::InvalidArgument,
            Self::Flights { .. } => Kind::NotFound,
            Self::File { .. }
            | Self::Listen { .. }
            | Self::Signals { .. }
            | Self::Broker { .. }
            | Self::Kafka { .. }
            | Self::KafkaAdmin { .. }
            | Self::Print(_)
            | Self::Unreachable { .. }
            | Self::Terminal(_) => Kind::Unavailable,
            Self::Demo { .. } => Kind::FailedPrecondition,
            Self::Answer { .. } | Self::Format(_) | Self::Panicked(_) => Kind::Internal,
            Self::DemoDiffers { .. } => Kind::DataLoss,
            Self::Statement(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Pipeline(error) => error.kind(),
            Self::Stopped => Kind::Cancelled,
        }
    }

    fn condition(&self) -> Option<&str> {
        match self {
            Self::Statement(error) => error.condition(),
            Self::Engine(error) => error.condition(),
            Self::Catalog(error) => error.condition(),
            Self::Pipeline(error) => error.condition(),
            _ => None,
        }
    }

    fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Statement(error) => error.sqlstate(),
            Self::Engine(error) => error.sqlstate(),
            Self::Catalog(error) => error.sqlstate(),
            Self::Pipeline(error) => error.sqlstate(),
            _ => None,
        }
    }
}

/// Renders an error for a person: `[CONDITION] message SQLSTATE: 12345`, as Spark does.
pub fn render(error: &impl Classify) -> String {
    ServiceError::from_error(error).described()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn render_shows_condition_and_sqlstate_once() {
        let error = ServiceError {
            kind: Kind::NotFound,
            condition: Some("TABLE_OR_VIEW_NOT_FOUND".to_owned()),
            sqlstate: Some("42P01".to_owned()),
            message: "table `main.default.t` does not exist".to_owned(),
        };
        let text = render(&error);
        assert_eq!(
            text,
            "[TABLE_OR_VIEW_NOT_FOUND] table `main.default.t` does not exist SQLSTATE: 42P01"
        );
        let again = ServiceError {
            message: text.clone(),
            ..error
        };
        assert_eq!(render(&again), text);
    }
}
