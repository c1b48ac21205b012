//! What can go wrong in the metastore.

use ingot_common::{Classify, Kind};

use crate::policy::Denied;
use crate::privilege::Privilege;
use crate::securable::SecurableKind;

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One variant for each act that can fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{securable} `{name}` does not exist")]
    NotFound { securable: &'static str, name: String },
    #[error("{securable} `{name}` already exists")]
    AlreadyExists { securable: &'static str, name: String },
    #[error("{securable} `{name}` is not empty; drop what it holds first, or use CASCADE")]
    NotEmpty { securable: &'static str, name: String },
    #[error("{message}")]
    InvalidArgument { message: String },
    #[error("{0}")]
    Denied(Box<Denied>),
    #[error("Privilege {privilege} is not applicable to this entity [{name}:{}]", .kind.as_str())]
    PrivilegeNotApplicable {
        privilege: Privilege,
        kind: SecurableKind,
        name: String,
    },
    #[error("`{name}` would have more than {max} grants; grant to groups, or on what holds it")]
    TooManyGrants { name: String, max: i64 },
    #[error("table `{table}` has no column `{column}`")]
    UnknownColumn { table: String, column: String },
    #[error("{message}")]
    InvalidConstraint { message: String },
    #[error("a table has one primary key, and `{table}` has it already")]
    MultiplePrimaryKeys { table: String },
    #[error(
        "columns ({columns}) do not match the primary key ({parent_columns}) of `{parent}`: a foreign key has a column of \
         the same type for each of its columns"
    )]
    ForeignKeyMismatch {
        parent: String,
        parent_columns: String,
        columns: String,
    },
    #[error(
        "a foreign key `{foreign_key}` depends on the primary key `{name}`; drop that first, or use CASCADE"
    )]
    ReferencedKey { name: String, foreign_key: String },
    #[error("metastore failed to {action}")]
    Database {
        action: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("metastore at path=`{path}` has a schema that this version cannot use")]
    Migration {
        path: String,
        #[source]
        source: sqlx::migrate::MigrateError,
    },
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::AlreadyExists { .. } => Kind::AlreadyExists,
            Self::NotEmpty { .. } => Kind::FailedPrecondition,
            Self::InvalidArgument { .. }
            | Self::UnknownColumn { .. }
            | Self::InvalidConstraint { .. }
            | Self::MultiplePrimaryKeys { .. }
            | Self::ForeignKeyMismatch { .. } => Kind::InvalidArgument,
            Self::ReferencedKey { .. } => Kind::FailedPrecondition,
            Self::Denied(_) => Kind::PermissionDenied,
            Self::PrivilegeNotApplicable { .. } => Kind::InvalidArgument,
            Self::TooManyGrants { .. } => Kind::ResourceExhausted,
            Self::Database { .. } => Kind::Unavailable,
            Self::Migration { .. } => Kind::FailedPrecondition,
        }
    }

    fn condition(&self) -> Option<&str> {
        match self {
            Self::NotFound { securable, .. } => Some(match *securable {
                "catalog" => "CATALOG_NOT_FOUND",
                "schema" => "SCHEMA_NOT_FOUND",
                "function" => "ROUTINE_NOT_FOUND",
                "volume" => "VOLUME_DOES_NOT_EXIST",
                _ => "TABLE_OR_VIEW_NOT_FOUND",
            }),
            Self::AlreadyExists { securable, .. } => Some(match *securable {
                "catalog" => "CATALOG_ALREADY_EXISTS",
                "schema" => "SCHEMA_ALREADY_EXISTS",
                "function" => "ROUTINE_ALREADY_EXISTS",
                "volume" => "VOLUME_ALREADY_EXISTS",
                "constraint" => "CONSTRAINT_ALREADY_EXISTS",
                _ => "TABLE_OR_VIEW_ALREADY_EXISTS",
            }),
            Self::NotEmpty { .. } => Some("SCHEMA_NOT_EMPTY"),
            Self::Denied(_) => Some("INSUFFICIENT_PERMISSIONS"),
            Self::PrivilegeNotApplicable { .. } => Some("INVALID_PARAMETER_VALUE"),
            Self::UnknownColumn { .. } => Some("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"),
            Self::InvalidConstraint { .. } => Some("INVALID_PARAMETER_VALUE"),
            Self::MultiplePrimaryKeys { .. } => Some("MULTIPLE_PRIMARY_KEYS"),
            Self::ForeignKeyMismatch { .. } => Some("FOREIGN_KEY_MISMATCH"),
            _ => None,
        }
    }

    fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::NotFound { securable, .. } => Some(match *securable {
                "table" | "view" => "42P01",
                "function" => "42883",
                "volume" => "42704",
                _ => "42704",
            }),
            Self::AlreadyExists { securable, .. } => Some(match *securable {
                "catalog" => "42710",
                "schema" => "42P06",
                "function" => "42723",
                "volume" | "constraint" => "42710",
                _ => "42P07",
            }),
            Self::NotEmpty { .. } | Self::ReferencedKey { .. } => Some("2BP01"),
            Self::UnknownColumn { .. } => Some("42703"),
            Self::InvalidConstraint { .. } => Some("22023"),
            Self::MultiplePrimaryKeys { .. } => Some("42P16"),
            Self::ForeignKeyMismatch { .. } => Some("42830"),
            Self::Denied(_) => Some("42501"),
            Self::PrivilegeNotApplicable { .. } => Some("22023"),
            _ => None,
        }
    }
}
