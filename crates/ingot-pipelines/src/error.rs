//! What can go wrong with a pipeline.

use ingot_common::{Classify, Kind};

use crate::definition::Place;

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One variant for each act that can fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A mistake in the project, with its place.
    #[error("{place}: {message}")]
    Definition { place: Place, message: String },
    /// A dataset's query does not go with what it reads.
    #[error("{place}: query of dataset `{dataset}` cannot be planned")]
    Planning {
        place: Place,
        dataset: String,
        #[source]
        source: Box<ingot_engine::Error>,
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
    /// The dataset's definition does not go with the table that is there.
    #[error("definition of dataset `{dataset}` changed: {message}; drop the table to build it anew")]
    SchemaChanged { dataset: String, message: String },
    #[error(transparent)]
    Engine(#[from] ingot_engine::Error),
    #[error(transparent)]
    Streaming(Box<ingot_streaming::Error>),
    #[error(transparent)]
    Delta(#[from] ingot_delta::Error),
    #[error(transparent)]
    Catalog(#[from] ingot_catalog::Error),
}

impl From<ingot_streaming::Error> for Error {
    fn from(error: ingot_streaming::Error) -> Self {
        Self::Streaming(Box::new(error))
    }
}

impl Error {
    /// Makes a constructor of [`Error::Project`] for `map_err`.
    pub fn project(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Project { action, path, source }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Definition { .. } => Kind::InvalidArgument,
            Self::Planning { source, .. } => source.kind(),
            Self::Project { .. } => Kind::NotFound,
            Self::ExpectationViolated { .. } | Self::SchemaChanged { .. } => Kind::FailedPrecondition,
            Self::Engine(error) => error.kind(),
            Self::Streaming(error) => error.kind(),
            Self::Delta(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
        }
    }

    fn condition(&self) -> Option<&str> {
        match self {
            Self::Planning { source, .. } => source.condition(),
            Self::Engine(error) => error.condition(),
            Self::Streaming(error) => error.condition(),
            Self::Delta(error) => error.condition(),
            Self::Catalog(error) => error.condition(),
            _ => None,
        }
    }
}
