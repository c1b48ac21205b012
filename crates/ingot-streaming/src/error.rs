//! What can go wrong with a stream.

use ingot_common::{Classify, Kind};

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One variant for each act that can fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("option `{option}` of source {origin} is wrong: {message}")]
    InvalidOption {
        origin: &'static str,
        option: String,
        message: String,
    },
    #[error("kafka failed to {action}")]
    Kafka {
        action: &'static str,
        #[source]
        source: rdkafka::error::KafkaError,
    },
    #[error("data of {origin} was lost: {message}; set failOnDataLoss=false to go on without it")]
    DataLoss { origin: String, message: String },
    #[error("checkpoint failed to {action} path=`{path}`")]
    Checkpoint {
        action: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("checkpoint at path=`{path}` does not fit: {message}")]
    CheckpointMismatch { path: String, message: String },
    #[error(transparent)]
    Engine(#[from] ingot_engine::Error),
    #[error(transparent)]
    Delta(#[from] ingot_delta::Error),
    #[error("query was stopped")]
    Stopped,
    /// A sink of another crate failed.
    #[error("sink failed to add the batch")]
    Sink(#[source] Box<ingot_common::ServiceError>),
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::InvalidOption { .. } => Kind::InvalidArgument,
            Self::Kafka { .. } | Self::Checkpoint { .. } => Kind::Unavailable,
            Self::DataLoss { .. } => Kind::DataLoss,
            Self::CheckpointMismatch { .. } => Kind::FailedPrecondition,
            Self::Engine(error) => error.kind(),
            Self::Delta(error) => error.kind(),
            Self::Stopped => Kind::Cancelled,
            Self::Sink(error) => error.kind,
        }
    }
}
