//! What is known of a condition that is handled.

use datafusion::sql::sqlparser::ast::Expr;
use ingot_common::Classify;

use crate::{Error, Result, ast, dialect};

/// A thing to know. Source: Databricks, `GET DIAGNOSTICS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    MessageText,
    ReturnedSqlState,
    ConditionIdentifier,
    MessageArguments,
    LineNumber,
}

impl Item {
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_uppercase().as_str() {
            "MESSAGE_TEXT" => Self::MessageText,
            "RETURNED_SQLSTATE" => Self::ReturnedSqlState,
            "CONDITION_IDENTIFIER" => Self::ConditionIdentifier,
            "MESSAGE_ARGUMENTS" => Self::MessageArguments,
            "LINE_NUMBER" => Self::LineNumber,
            _ => return None,
        })
    }

    /// Writes what an error says of it.
    pub fn of(self, error: &Error) -> Result<Expr> {
        match self {
            Self::MessageText => Ok(ast::text(ingot_common::error::chain(error))),
            Self::ReturnedSqlState => Ok(ast::text(error.sqlstate().unwrap_or("XX000"))),
            Self::ConditionIdentifier => Ok(ast::text(error.condition().unwrap_or("INTERNAL_ERROR"))),
            // Messages are made of their arguments where they arise.
            Self::MessageArguments => dialect::expression("CAST(map() AS MAP<STRING, STRING>)"),
            Self::LineNumber => dialect::expression("CAST(NULL AS BIGINT)"),
        }
    }
}
