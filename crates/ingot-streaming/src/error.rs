//! What can go wrong with a stream.

use std::error::Error as StdError;

use ingot_common::{Classify, Kind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

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
        source: KafkaError,
    },
    #[error("topic `{topic}` does not exist or has no partitions")]
    TopicMissing { topic: String },
    #[error(
        "kafka sent nothing of topic `{topic}` partition {partition} from offset {offset} for {waited_ms} ms"
    )]
    KafkaSilent {
        topic: String,
        partition: i32,
        offset: i64,
        waited_ms: u128,
        /// What the consumer complained of meanwhile.
        source: Option<Box<KafkaError>>,
    },
    #[error("data of {origin} was lost: {message}; set failOnDataLoss=false to go on without it")]
    DataLoss { origin: String, message: String },
    #[error("source {origin} cannot go on: {message}")]
    SourceChanged { origin: String, message: String },
    /// By Delta's error condition.
    #[error("source {origin} cannot go on: {message}")]
    SchemaChanged {
        origin: String,
        condition: &'static str,
        sqlstate: &'static str,
        message: String,
    },
    #[error(
        "path `{path}` holds no file to find out columns from; put one there or give them with schema => '…'"
    )]
    NoFiles { path: String },
    #[error("offset of source {origin} cannot be read: {message}")]
    InvalidOffset { origin: &'static str, message: String },
    #[error("checkpoint failed to {action} path=`{path}`")]
    Checkpoint {
        action: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("checkpoint at path=`{path}` does not fit: {message}")]
    CheckpointMismatch { path: String, message: String },
    #[error("another run of the query holds the checkpoint at path=`{path}`")]
    CheckpointInUse { path: String },
    #[error(transparent)]
    Engine(#[from] ingot_engine::Error),
    #[error(transparent)]
    Delta(#[from] ingot_delta::Error),
    #[error("query was stopped")]
    Stopped,
    #[error("internal: {message}")]
    Internal { message: String },
    /// A sink of another crate failed.
    #[error("sink failed to add the batch")]
    Sink(#[source] Box<ingot_common::ServiceError>),
}

impl Error {
    /// Returns the error of this crate that lies beneath: a source that fails in the midst of a plan comes out
    /// wrapped by the engine.
    fn root(&self) -> &Self {
        let mut root = self;
        let mut source = StdError::source(self);
        while let Some(cause) = source {
            if let Some(error) = cause.downcast_ref::<Self>() {
                root = error;
            }
            source = cause.source();
        }
        root
    }
}

impl Error {
    /// Says if a batch that failed so may run again. A batch is added once however often it runs, so a commit of which
    /// nobody knows whether it is there may be repeated, unlike that of a statement.
    pub(crate) fn batch_may_run_again(&self) -> bool {
        let delta = match self {
            Self::Delta(error) | Self::Engine(ingot_engine::Error::Delta(error)) => Some(error),
            _ => None,
        };
        let unknown = matches!(
            delta,
            Some(
                ingot_delta::Error::CommitOutcomeUnknown { .. } | ingot_delta::Error::CommittedUnread { .. }
            )
        );
        unknown || self.kind().retryable()
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self.root() {
            Self::InvalidOption { .. } => Kind::InvalidArgument,
            Self::NoFiles { .. } => Kind::NotFound,
            Self::Kafka { source, .. } => kafka_kind(source),
            Self::KafkaSilent { .. } | Self::TopicMissing { .. } | Self::Checkpoint { .. } => {
                Kind::Unavailable
            }
            Self::DataLoss { .. } | Self::InvalidOffset { .. } => Kind::DataLoss,
            Self::SourceChanged { .. }
            | Self::SchemaChanged { .. }
            | Self::CheckpointMismatch { .. }
            | Self::CheckpointInUse { .. } => Kind::FailedPrecondition,
            Self::Engine(error) => error.kind(),
            Self::Delta(error) => error.kind(),
            Self::Stopped => Kind::Cancelled,
            Self::Internal { .. } => Kind::Internal,
            Self::Sink(error) => error.kind,
        }
    }

    fn condition(&self) -> Option<&str> {
        match self.root() {
            Self::SchemaChanged { condition, .. } => Some(condition),
            Self::Engine(error) => error.condition(),
            Self::Delta(error) => error.condition(),
            _ => None,
        }
    }

    fn sqlstate(&self) -> Option<&str> {
        match self.root() {
            Self::SchemaChanged { sqlstate, .. } => Some(sqlstate),
            Self::Engine(error) => error.sqlstate(),
            Self::Delta(error) => error.sqlstate(),
            _ => None,
        }
    }
}

/// Says what can be done about an error of the Kafka client. One that time may heal is `Unavailable`.
fn kafka_kind(error: &KafkaError) -> Kind {
    if matches!(
        error,
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_)
    ) {
        return Kind::InvalidArgument;
    }
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed,
        ) => Kind::PermissionDenied,
        Some(
            RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::BadCompression
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidMessageSize,
        ) => Kind::DataLoss,
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => Kind::FailedPrecondition,
        Some(RDKafkaErrorCode::NotImplemented) => Kind::Unsupported,
        _ => Kind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::error::DataFusionError;

    use super::*;

    #[test]
    fn a_source_that_fails_within_a_plan_keeps_its_kind() {
        let lost = Error::DataLoss {
            origin: "topic `t`".to_owned(),
            message: "gone".to_owned(),
        };
        let wrapped = DataFusionError::External(Box::new(lost)).context("reading");
        let error = Error::Engine(ingot_engine::Error::DataFusion(wrapped));
        assert_eq!(error.kind(), Kind::DataLoss);
    }

    #[test]
    fn a_batch_runs_again_when_nobody_knows_whether_it_is_committed() {
        let unknown = ingot_delta::Error::CommittedUnread {
            location: "file:///t/".to_owned(),
            version: 3,
            source: Box::new(ingot_delta::Error::Internal {
                message: "away".to_owned(),
            }),
        };
        assert!(!unknown.kind().retryable(), "a statement is not repeated");
        assert!(Error::Engine(ingot_engine::Error::Delta(unknown)).batch_may_run_again());
        assert!(!Error::Stopped.batch_may_run_again());
    }
}
