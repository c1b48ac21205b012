//! What can go wrong with a statement, in Spark's error conditions.

use datafusion::error::DataFusionError;
use ingot_common::{Classify, Kind};

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One variant for each act that can fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{message}")]
    Condition {
        kind: Kind,
        /// Spark's error condition (`PARSE_SYNTAX_ERROR`, `UNRESOLVED_COLUMN.WITH_SUGGESTION`, …).
        condition: &'static str,
        sqlstate: &'static str,
        message: String,
    },
    #[error(transparent)]
    Delta(#[from] ingot_delta::Error),
    #[error(transparent)]
    Catalog(#[from] ingot_catalog::Error),
    #[error(transparent)]
    Name(#[from] ingot_common::name::NameError),
    #[error("query failed")]
    DataFusion(#[source] DataFusionError),
    #[error("statement was cancelled")]
    Cancelled,
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::DataFusion(error)
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Condition { kind, .. } => *kind,
            Self::Delta(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Name(error) => error.kind(),
            Self::DataFusion(_) => Kind::Internal,
            Self::Cancelled => Kind::Cancelled,
        }
    }
}
