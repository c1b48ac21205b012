//! Values that a statement names: variables of the session and of a script, and parameters of the statement that runs.
//!
//! The variables of a script stand in scopes, one for each compound statement and for each row of a FOR. The innermost
//! hides the others, and all hide the session's; a label names one scope. Source: Databricks, `DECLARE VARIABLE`, "SQL
//! scripting", "Parameter markers".

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

/// The schema of the session's variables, as what qualifies their names.
pub(crate) const SESSION: &str = "session";

/// The name of a variable, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VariableName {
    /// [`SESSION`], or the label of a scope.
    pub scope: Option<String>,
    pub name: String,
}

impl VariableName {
    /// Reads the parts of a name; `None` where there are too many.
    pub fn of(parts: &[String]) -> Option<Self> {
        let lower: Vec<String> = parts.iter().map(|part| part.to_lowercase()).collect();
        let (scope, name) = match lower.as_slice() {
            [name] => (None, name),
            [scope, name] => (Some(scope.clone()), name),
            [system, session, name] if system == "system" && session == SESSION => {
                (Some(session.clone()), name)
            }
            _ => return None,
        };
        Some(Self {
            scope,
            name: name.clone(),
        })
    }
}

impl std::fmt::Display for VariableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.scope {
            Some(scope) => write!(f, "{scope}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The variables of a part of a script.
#[derive(Debug, Clone, Default)]
pub(crate) struct ValueScope {
    label: Option<String>,
    variables: BTreeMap<String, Variable>,
}

/// The values of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    /// By names in lower case.
    variables: BTreeMap<String, Variable>,
    /// From the outermost to the innermost.
    scopes: Vec<ValueScope>,
    pub parameters: Parameters,
}

impl Values {
    /// Returns the variable that a name of one part means.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        let name = name.to_lowercase();
        let local = self
            .scopes
            .iter()
            .rev()
            .find_map(|scope| scope.variables.get(&name));
        local.or_else(|| self.variables.get(&name))
    }

    /// Returns the variable of a name.
    pub fn find(&self, name: &VariableName) -> Option<&Variable> {
        match name.scope.as_deref() {
            None => self.variable(&name.name),
            Some(SESSION) => self.variables.get(&name.name),
            Some(label) => {
                let mut scopes = self.scopes.iter().rev();
                let scope = scopes.find(|scope| scope.label.as_deref() == Some(label))?;
                scope.variables.get(&name.name)
            }
        }
    }

    fn find_mut(&mut self, name: &VariableName) -> Option<&mut Variable> {
        let mut scopes = self.scopes.iter_mut().rev();
        match name.scope.as_deref() {
            Some(SESSION) => self.variables.get_mut(&name.name),
            Some(label) => {
                let scope = scopes.find(|scope| scope.label.as_deref() == Some(label))?;
                scope.variables.get_mut(&name.name)
            }
            None => match scopes.find_map(|scope| scope.variables.get_mut(&name.name)) {
                Some(local) => Some(local),
                None => self.variables.get_mut(&name.name),
            },
        }
    }

    /// Says if a name is of a variable of a script.
    pub fn in_script(&self, name: &VariableName) -> bool {
        let mut scopes = self.scopes.iter();
        match name.scope.as_deref() {
            None => scopes.any(|scope| scope.variables.contains_key(&name.name)),
            Some(SESSION) => false,
            Some(_) => true,
        }
    }

    /// Returns the variables of the session alone.
    pub fn of_session(&self) -> Self {
        Self {
            variables: self.variables.clone(),
            ..Self::default()
        }
    }

    /// Opens a scope within the others.
    pub fn enter(&mut self, label: Option<&str>) {
        self.scopes.push(ValueScope {
            label: label.map(str::to_lowercase),
            variables: BTreeMap::new(),
        });
    }

    /// Returns how many scopes there are.
    pub fn depth(&self) -> usize {
        self.scopes.len()
    }

    /// Closes scopes, until there are no more than so many.
    pub fn leave(&mut self, depth: usize) {
        self.scopes.truncate(depth);
    }

    /// Takes the scopes within the outermost so many away, until [`Values::show`] puts them back.
    pub fn hide(&mut self, depth: usize) -> Vec<ValueScope> {
        self.scopes.split_off(depth.min(self.scopes.len()))
    }

    /// Puts back what was hidden.
    pub fn show(&mut self, hidden: Vec<ValueScope>) {
        self.scopes.extend(hidden);
    }

    /// Adds a variable to the innermost scope.
    ///
    /// # Errors
    /// `VARIABLE_ALREADY_EXISTS`.
    pub fn declare_local(&mut self, name: &str, variable: Variable) -> Result<()> {
        let Some(scope) = self.scopes.last_mut() else {
            return Err(Error::internal("a local variable outside of a script".to_owned()));
        };
        match scope.variables.insert(name.to_lowercase(), variable) {
            None => Ok(()),
            Some(_) => Err(already_exists(name)),
        }
    }

    /// Adds a variable.
    ///
    /// # Errors
    /// `VARIABLE_ALREADY_EXISTS` unless `replace` says that it may take the place of another.
    pub fn declare(&mut self, name: &str, variable: Variable, replace: bool) -> Result<()> {
        if !replace && self.variables.contains_key(&name.to_lowercase()) {
            return Err(already_exists(name));
        }
        self.variables.insert(name.to_lowercase(), variable);
        Ok(())
    }

    /// Sets a variable.
    ///
    /// # Errors
    /// `UNRESOLVED_VARIABLE` when there is none.
    pub fn set(&mut self, name: &VariableName, value: ScalarValue) -> Result<()> {
        match self.find_mut(name) {
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

fn already_exists(name: &str) -> Error {
    Error::Condition {
        kind: Kind::AlreadyExists,
        condition: "VARIABLE_ALREADY_EXISTS",
        sqlstate: "42723",
        message: format!("the variable `{name}` exists already; use OR REPLACE, or drop it first"),
    }
}

pub(crate) fn unresolved(name: &VariableName) -> Error {
    Error::Condition {
        kind: Kind::NotFound,
        condition: "UNRESOLVED_VARIABLE",
        sqlstate: "42883",
        message: format!("there is no variable `{name}`; DECLARE one"),
    }
}
