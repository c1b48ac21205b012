//! Values that a statement names: variables of the session, and parameters of the statement that runs.
//!
//! Source: Databricks, `DECLARE VARIABLE`, "Parameter markers".

use std::collections::{BTreeMap, HashMap};

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use ingot_common::Kind;

use crate::{Error, Result};

/// A variable of the session.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub value: ScalarValue,
    /// What `SET VAR x = DEFAULT` sets.
    pub default: ScalarValue,
    pub data_type: DataType,
    /// The type as the statement gave it; what is set is converted to it.
    pub sql_type: Option<ast::DataType>,
}

/// What the markers of a statement stand for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    pub positional: Vec<ScalarValue>,
    /// By names in lower case.
    pub named: HashMap<String, ScalarValue>,
}

/// The values of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    /// By names in lower case.
    variables: BTreeMap<String, Variable>,
    pub parameters: Parameters,
}

impl Values {
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.get(&name.to_lowercase())
    }

    /// Adds a variable.
    ///
    /// # Errors
    /// `VARIABLE_ALREADY_EXISTS` unless `replace` says that it may take the place of another.
    pub fn declare(&mut self, name: &str, variable: Variable, replace: bool) -> Result<()> {
        if !replace && self.variable(name).is_some() {
            return Err(Error::Condition {
                kind: Kind::AlreadyExists,
                condition: "VARIABLE_ALREADY_EXISTS",
                sqlstate: "42723",
                message: format!("the variable `{name}` exists already; use OR REPLACE, or drop it first"),
            });
        }
        self.variables.insert(name.to_lowercase(), variable);
        Ok(())
    }

    /// Sets a variable.
    ///
    /// # Errors
    /// `UNRESOLVED_VARIABLE` when there is none.
    pub fn set(&mut self, name: &str, value: ScalarValue) -> Result<()> {
        match self.variables.get_mut(&name.to_lowercase()) {
            Some(variable) => {
                variable.value = value;
                Ok(())
            }
            None => Err(unresolved(name)),
        }
    }

    /// Takes a variable away. Returns `false` when there is none.
    pub fn remove(&mut self, name: &str) -> bool {
        self.variables.remove(&name.to_lowercase()).is_some()
    }
}

pub(crate) fn unresolved(name: &str) -> Error {
    Error::Condition {
        kind: Kind::NotFound,
        condition: "UNRESOLVED_VARIABLE",
        sqlstate: "42883",
        message: format!("the session has no variable `{name}`; DECLARE one"),
    }
}
