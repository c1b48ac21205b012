//! What can go wrong with a statement, in Spark's error conditions.
//!
//! DataFusion's errors become conditions here and nowhere else; what has no condition of Spark's is an internal
//! error with DataFusion's text. Source: Spark, "Error conditions"; Databricks, "SQLSTATE".

use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use ingot_common::{Classify, Kind, ServiceError, TableName};

use crate::metric_view;
use crate::write::type_text;

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
    /// A condition that a script raises or passes on.
    #[error("{message}")]
    Raised {
        kind: Kind,
        condition: String,
        sqlstate: String,
        message: String,
    },
    /// A row that breaks a CHECK constraint, an invariant, or what a generated column is.
    #[error("{}", rule_broken(rule, values))]
    RuleBroken {
        /// The rule's name and text.
        rule: String,
        /// Columns that the rule names, with the row's values; none where they are not for whoever wrote the row.
        values: Vec<(String, String)>,
    },
    #[error(transparent)]
    Delta(#[from] ingot_delta::Error),
    #[error(transparent)]
    Catalog(#[from] ingot_catalog::Error),
    #[error(transparent)]
    Name(#[from] ingot_common::name::NameError),
    /// The end of rows that a client sends, before they are all there.
    #[error(transparent)]
    Sender(Box<ServiceError>),
    #[error("query failed")]
    DataFusion(#[source] DataFusionError),
    #[error("statement was cancelled")]
    Cancelled,
}

impl Error {
    /// A statement that cannot be read.
    pub(crate) fn parse(message: String) -> Self {
        Self::Condition {
            kind: Kind::InvalidArgument,
            condition: "PARSE_SYNTAX_ERROR",
            sqlstate: "42601",
            message,
        }
    }

    /// A statement that nests deeper than is read.
    pub(crate) fn too_complex() -> Self {
        Self::Condition {
            kind: Kind::InvalidArgument,
            condition: "FAILED_TO_PARSE_TOO_COMPLEX",
            sqlstate: "54001",
            message: "the statement is nested too deeply; divide it into several simpler ones".to_owned(),
        }
    }

    /// A statement that is understood and cannot be run.
    pub(crate) fn unsupported(message: String) -> Self {
        Self::Condition {
            kind: Kind::Unsupported,
            condition: "UNSUPPORTED_FEATURE",
            sqlstate: "0A000",
            message,
        }
    }

    /// A parameter marker in a text that is kept, which no value is given for when it is read.
    pub(crate) fn parameter_marker(statement: &str) -> Self {
        Self::Condition {
            kind: Kind::Unsupported,
            condition: "UNSUPPORTED_FEATURE.PARAMETER_MARKER_IN_UNEXPECTED_STATEMENT",
            sqlstate: "0A000",
            message: format!("parameter markers are not allowed in {statement}"),
        }
    }

    /// Something that lasts, and names something that goes before it.
    pub(crate) fn temporary_reference(lasting: &str, named: &str) -> Self {
        Self::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_TEMP_OBJ_REFERENCE",
            sqlstate: "42K0F",
            message: format!("{lasting} would outlive `{named}`, which it names and which is temporary"),
        }
    }

    pub(crate) fn internal(message: String) -> Self {
        Self::Condition {
            kind: Kind::Internal,
            condition: "INTERNAL_ERROR",
            sqlstate: "XX000",
            message,
        }
    }

    /// A table or a view without a column of the name.
    pub(crate) fn unknown_column(table: &TableName, column: &str) -> Self {
        let (table, column) = (table.to_string(), column.to_owned());
        ingot_catalog::Error::UnknownColumn { table, column }.into()
    }

    pub(crate) fn table_not_found(name: &TableName) -> Self {
        Self::Condition {
            kind: Kind::NotFound,
            condition: "TABLE_OR_VIEW_NOT_FOUND",
            sqlstate: "42P01",
            message: format!("the table or view `{name}` cannot be found"),
        }
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(inner) => match inner.downcast::<ingot_delta::Error>() {
                    Ok(delta) => Self::Delta(*delta),
                    Err(inner) => Self::from_root(DataFusionError::External(inner)),
                },
            },
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Self::from(*inner),
            DataFusionError::Collection(errors) => match errors.into_iter().next() {
                Some(first) => Self::from(first),
                None => Self::internal("the query failed without a reason".to_owned()),
            },
            // What of ours went through a function of Arrow's.
            DataFusionError::ArrowError(arrow, backtrace) => match *arrow {
                ArrowError::ExternalError(inner) => match inner.downcast::<DataFusionError>() {
                    Ok(inner) => Self::from(*inner),
                    Err(inner) => Self::from(DataFusionError::External(inner)),
                },
                other => Self::from_root(DataFusionError::ArrowError(Box::new(other), backtrace)),
            },
            // Several readers of one plan may share an error.
            DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
                Ok(alone) => Self::from(alone),
                Err(shared) => Self::from_root(DataFusionError::Shared(shared)),
            },
            other => Self::from_root(other),
        }
    }
}

impl Error {
    /// Finds the condition of what is at the root of an error that cannot be taken apart.
    fn from_root(error: DataFusionError) -> Self {
        let root = error.find_root();
        let ours = match root {
            DataFusionError::External(inner) => inner.downcast_ref::<Self>().and_then(Self::copied),
            root => condition_of(root),
        };
        ours.unwrap_or(Self::DataFusion(error))
    }

    /// Returns a copy, where that is possible.
    fn copied(&self) -> Option<Self> {
        match self {
            Self::Condition {
                kind,
                condition,
                sqlstate,
                message,
            } => Some(Self::Condition {
                kind: *kind,
                condition,
                sqlstate,
                message: message.clone(),
            }),
            Self::Raised {
                kind,
                condition,
                sqlstate,
                message,
            } => Some(Self::Raised {
                kind: *kind,
                condition: condition.clone(),
                sqlstate: sqlstate.clone(),
                message: message.clone(),
            }),
            Self::RuleBroken { rule, values } => Some(Self::RuleBroken {
                rule: rule.clone(),
                values: values.clone(),
            }),
            Self::Sender(error) => Some(Self::Sender(error.clone())),
            Self::Cancelled => Some(Self::Cancelled),
            _ => None,
        }
    }
}

fn rule_broken(rule: &str, values: &[(String, String)]) -> String {
    let mut message = format!("CHECK constraint {rule} violated by row");
    if !values.is_empty() {
        message += " with values:";
    }
    for (column, value) in values {
        message += &format!("\n - {column} : {value}");
    }
    message
}

/// Says if reading a file failed because there is none: the text of `object_store::Error::NotFound`.
fn missing_file(message: &str) -> bool {
    message.contains("Object at location ") && message.contains(" not found")
}

/// Returns the kind of what is at the root of an error that has no condition.
fn root_kind(error: &DataFusionError) -> Kind {
    match error.find_root() {
        DataFusionError::External(inner) => {
            if let Some(ours) = inner.downcast_ref::<Error>() {
                ours.kind()
            } else if let Some(delta) = inner.downcast_ref::<ingot_delta::Error>() {
                delta.kind()
            } else {
                Kind::Internal
            }
        }
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => Kind::Unavailable,
        _ => Kind::Internal,
    }
}

impl From<ParserError> for Error {
    fn from(error: ParserError) -> Self {
        match error {
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
                Self::parse(format!("syntax error: {message}"))
            }
            ParserError::RecursionLimitExceeded => Self::too_complex(),
        }
    }
}

/// Finds Spark's condition for an error of DataFusion's.
fn condition_of(error: &DataFusionError) -> Option<Error> {
    let made = |kind, condition, sqlstate, message| {
        Some(Error::Condition {
            kind,
            condition,
            sqlstate,
            message,
        })
    };
    match error {
        DataFusionError::SQL(parse, _) => Some(Error::from(parse.as_ref().clone())),
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let known: Vec<String> = valid_fields
                    .iter()
                    .filter(|column| !metric_view::is_input(&column.name))
                    .map(|column| format!("`{}`", column.name))
                    .collect();
                let message = format!(
                    "column `{}` cannot be resolved; did you mean one of {}?",
                    field.name,
                    known.join(", ")
                );
                made(
                    Kind::InvalidArgument,
                    "UNRESOLVED_COLUMN.WITH_SUGGESTION",
                    "42703",
                    message,
                )
            }
            SchemaError::AmbiguousReference { field } => {
                let message = format!("reference `{}` is ambiguous", field.name);
                made(Kind::InvalidArgument, "AMBIGUOUS_REFERENCE", "42704", message)
            }
            other => made(
                Kind::InvalidArgument,
                "INVALID_SCHEMA",
                "42K07",
                other.to_string(),
            ),
        },
        // DataFusion keeps of it no more than the text.
        DataFusionError::ParquetError(_)
        | DataFusionError::ArrowError(..)
        | DataFusionError::ObjectStore(_)
            if missing_file(&error.to_string()) =>
        {
            made(
                Kind::NotFound,
                "FAILED_READ_FILE.FILE_NOT_EXIST",
                "KD001",
                format!("a file of the table is gone, as VACUUM takes those of old versions: {error}"),
            )
        }
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::DivideByZero => made(
                Kind::InvalidArgument,
                "DIVIDE_BY_ZERO",
                "22012",
                "division by zero".to_owned(),
            ),
            ArrowError::CastError(message) | ArrowError::ParseError(message) => made(
                Kind::InvalidArgument,
                "CAST_INVALID_INPUT",
                "22018",
                message.clone(),
            ),
            ArrowError::ArithmeticOverflow(message) => made(
                Kind::InvalidArgument,
                "ARITHMETIC_OVERFLOW",
                "22003",
                message.clone(),
            ),
            ArrowError::InvalidArgumentError(message) if message.contains("to store in a Decimal") => made(
                Kind::InvalidArgument,
                "NUMERIC_VALUE_OUT_OF_RANGE.WITHOUT_SUGGESTION",
                "22003",
                message.clone(),
            ),
            ArrowError::InvalidArgumentError(message) if message.contains("to build regex") => made(
                Kind::InvalidArgument,
                "INVALID_PARAMETER_VALUE.PATTERN",
                "22023",
                message.clone(),
            ),
            _ => None,
        },
        // What DataFusion says of a function's signature where it did not mean to.
        DataFusionError::Internal(message) | DataFusionError::Plan(message)
            if message.contains("failed to match any signature")
                || message.contains("Failed to coerce arguments to satisfy a call to") =>
        {
            made(
                Kind::InvalidArgument,
                "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
                "42K09",
                message.lines().next().unwrap_or_default().to_owned(),
            )
        }
        DataFusionError::Internal(message) if message.starts_with("Min/Max accumulator not implemented") => {
            made(
                Kind::InvalidArgument,
                "DATATYPE_MISMATCH.INVALID_ORDERING_TYPE",
                "42K09",
                message.lines().next().unwrap_or_default().to_owned(),
            )
        }
        // Structs that hold arrays have no order for DataFusion.
        DataFusionError::Internal(message) if message.starts_with("Uncomparable values") => {
            Some(Error::unsupported(format!("values cannot be ordered: {message}")))
        }
        DataFusionError::Plan(message) if message.starts_with("Invalid function") => made(
            Kind::InvalidArgument,
            "UNRESOLVED_ROUTINE",
            "42883",
            message.clone(),
        ),
        DataFusionError::Plan(message)
            if message.starts_with("Aggregate functions are not allowed in the WHERE") =>
        {
            made(
                Kind::InvalidArgument,
                "INVALID_WHERE_CONDITION",
                "42903",
                "the condition of WHERE is about one row; aggregate functions stand in HAVING".to_owned(),
            )
        }
        DataFusionError::Plan(message) if message.starts_with("lambda defined ") => made(
            Kind::InvalidArgument,
            "INVALID_LAMBDA_FUNCTION_CALL.NUM_ARGS_MISMATCH",
            "42K0D",
            message.clone(),
        ),
        DataFusionError::Plan(message) => {
            made(Kind::InvalidArgument, "INVALID_SQL", "42000", message.clone())
        }
        // What functions of DataFusion's say of values that they do not take.
        DataFusionError::Execution(message) => made(
            Kind::InvalidArgument,
            "INVALID_PARAMETER_VALUE",
            "22023",
            message.clone(),
        ),
        // A cast that no type of Arrow's has, which DataFusion says before casts are looked at here.
        DataFusionError::NotImplemented(message) if message.starts_with("Unsupported CAST from") => made(
            Kind::InvalidArgument,
            "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
            "42K09",
            message.clone(),
        ),
        DataFusionError::NotImplemented(message) => Some(Error::unsupported(message.clone())),
        DataFusionError::ResourcesExhausted(message) => {
            made(Kind::ResourceExhausted, "OUT_OF_MEMORY", "53200", message.clone())
        }
        _ => None,
    }
}

/// Carries an error of ours through DataFusion.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Makes one of Spark's conditions about a value or an argument, on its way through DataFusion.
pub(crate) fn condition(condition: &'static str, sqlstate: &'static str, message: String) -> DataFusionError {
    external(Error::Condition {
        kind: Kind::InvalidArgument,
        condition,
        sqlstate,
        message,
    })
}

pub(crate) fn divide_by_zero() -> DataFusionError {
    let message = "division by zero; use `try_divide` to get NULL instead".to_owned();
    condition("DIVIDE_BY_ZERO", "22012", message)
}

pub(crate) fn arithmetic_overflow(data_type: &DataType) -> DataFusionError {
    let message = format!(
        "the result does not fit into {}; use the `try_` function of the operator to get NULL instead",
        type_text(data_type).to_uppercase()
    );
    condition("ARITHMETIC_OVERFLOW", "22003", message)
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Condition { kind, .. } | Self::Raised { kind, .. } => *kind,
            Self::RuleBroken { .. } => Kind::InvalidArgument,
            Self::Delta(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Name(error) => error.kind(),
            Self::Sender(error) => error.kind,
            Self::DataFusion(error) => root_kind(error),
            Self::Cancelled => Kind::Cancelled,
        }
    }

    fn condition(&self) -> Option<&str> {
        match self {
            Self::Condition { condition, .. } => Some(condition),
            Self::Raised { condition, .. } => Some(condition),
            Self::RuleBroken { .. } => Some("DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"),
            Self::Catalog(error) => error.condition(),
            Self::Delta(error) => error.condition(),
            Self::Cancelled => Some("OPERATION_CANCELED"),
            Self::Name(error) => error.condition(),
            Self::Sender(error) => error.condition(),
            Self::DataFusion(_) => None,
        }
    }

    fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Condition { sqlstate, .. } => Some(sqlstate),
            Self::Raised { sqlstate, .. } => Some(sqlstate),
            Self::RuleBroken { .. } => Some("23001"),
            Self::Catalog(error) => error.sqlstate(),
            Self::Delta(error) => error.sqlstate(),
            Self::Cancelled => Some("HY008"),
            Self::Name(error) => error.sqlstate(),
            Self::Sender(error) => error.sqlstate(),
            Self::DataFusion(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(error: DataFusionError) -> DataFusionError {
        let first = Arc::new(error);
        let second = DataFusionError::Shared(Arc::clone(&first));
        // The other reader keeps its half.
        std::mem::forget(first);
        second.context("collecting")
    }

    #[test]
    fn an_error_that_is_shared_keeps_its_condition() {
        let divided = DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None);
        let error = Error::from(shared(divided));
        assert_eq!(error.condition(), Some("DIVIDE_BY_ZERO"));
        let refused = DataFusionError::External(Box::new(Error::unsupported("no".to_owned())));
        let error = Error::from(shared(refused));
        assert_eq!(
            (error.kind(), error.condition()),
            (Kind::Unsupported, Some("UNSUPPORTED_FEATURE"))
        );
        let cancelled = Error::from(shared(DataFusionError::External(Box::new(Error::Cancelled))));
        assert_eq!(cancelled.kind(), Kind::Cancelled);
    }

    #[test]
    fn an_error_of_the_table_that_is_shared_keeps_its_kind() {
        let gone = ingot_delta::Error::NotATable {
            location: "memory:///t".to_owned(),
        };
        let error = Error::from(shared(DataFusionError::External(Box::new(gone))));
        assert_eq!(error.kind(), Kind::NotFound);
    }
}
