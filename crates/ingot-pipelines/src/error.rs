//! What can go wrong with a pipeline.

use ingot_common::{Classify, Kind};

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One variant for each act that can fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A mistake in the project, with its place.
    #[error("{file}:{line}:{column}: {message}")]
    Definition {
        file: String,
        line: u64,
        column: u64,
        message: String,
    },
    #[error("pipeline project failed to {action} path=`{path}`")]
    Project {
        action: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("expectation `{expectation}` of dataset `{dataset}` was violated by {rows} rows")]
    ExpectationViolated {
        dataset: String,
        expectation: String,
        rows: u64,
    },
    #[error(transparent)]
    Engine(#[from] ingot_engine::Error),
    #[error(transparent)]
    Streaming(#[from] ingot_streaming::Error),
    #[error(transparent)]
    Delta(#[from] ingot_delta::Error),
    #[error(transparent)]
    Catalog(#[from] ingot_catalog::Error),
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Definition { .. } => Kind::InvalidArgument,
            Self::Project { .. } => Kind::NotFound,
            Self::ExpectationViolated { .. } => Kind::FailedPrecondition,
            Self::Engine(error) => error.kind(),
            Self::Streaming(error) => error.kind(),
            Self::Delta(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
        }
    }
}
