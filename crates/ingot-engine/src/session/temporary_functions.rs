//! Functions that statements have made: those of the session, and how any of them is known to the planner.
//!
//! Source: Spark, `CREATE FUNCTION`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ingot_catalog::{
    Audit, DataAccess, FunctionId, FunctionInfo, FunctionReturns, ParameterInfo, Securable, SecurableKind,
    SecurableName,
};
use ingot_common::{Kind, SchemaName};

use crate::{Error, Result};

/// A function whose body is a text, planned anew where it is called.
#[derive(Debug)]
pub(crate) struct Routine {
    /// The name's parts, in lower case: three of one of the metastore, one of one of the session.
    pub name: Vec<String>,
    pub parameters: Vec<ParameterInfo>,
    pub returns: FunctionReturns,
    /// The text after RETURN.
    pub definition: String,
    /// Where the names of the body are looked up.
    pub namespace: SchemaName,
    /// The session's own relations and functions that the body may name.
    pub temporary: BTreeSet<String>,
    pub deterministic: bool,
    pub data_access: DataAccess,
    pub comment: Option<String>,
    /// Of one of the metastore.
    pub id: Option<FunctionId>,
    /// Of one of the metastore.
    pub audit: Option<Audit>,
}

impl Routine {
    /// Returns the name without the schema.
    pub fn short_name(&self) -> &str {
        self.name.last().map(String::as_str).unwrap_or_default()
    }

    /// Says if the function is of the session, not of the metastore.
    pub fn of_session(&self) -> bool {
        self.name.len() == 1
    }

    /// Returns what privileges are of; nothing for one of the session.
    pub fn securable(&self) -> Option<Securable> {
        let name = SecurableName::parse(SecurableKind::Function, &self.full_name()).ok()?;
        let owner = self.audit.as_ref().map(|audit| audit.owner.clone());
        self.id.map(|id| Securable {
            name,
            id: id.0,
            owner,
        })
    }

    /// Returns the name as columns and errors have it.
    pub fn full_name(&self) -> String {
        self.name.join(".")
    }
}

impl From<FunctionInfo> for Routine {
    fn from(info: FunctionInfo) -> Self {
        let schema = &info.name.schema;
        let name = [&schema.catalog, &schema.schema, &info.name.function];
        Self {
            name: name.map(|part| part.as_str().to_owned()).to_vec(),
            parameters: info.parameters,
            returns: info.returns,
            definition: info.definition,
            namespace: info.definition_namespace,
            temporary: BTreeSet::new(),
            deterministic: info.deterministic,
            data_access: info.data_access,
            comment: info.comment,
            id: Some(info.id),
            audit: Some(info.audit),
        }
    }
}

/// How a function of the session stands among the session's own relations.
pub(crate) fn temporary_name(function: &str) -> String {
    format!("{}()", function.to_lowercase())
}

/// The functions of a session by their names, which compare without case.
#[derive(Debug, Default)]
pub(crate) struct TemporaryFunctions(Mutex<BTreeMap<String, Arc<Routine>>>);

impl TemporaryFunctions {
    pub fn get(&self, name: &str) -> Option<Arc<Routine>> {
        self.functions().get(&name.to_lowercase()).cloned()
    }

    /// Returns the names in their order.
    pub fn names(&self) -> Vec<String> {
        self.functions().keys().cloned().collect()
    }

    /// Adds a function, in place of one of its name if `replace` says so.
    ///
    /// # Errors
    /// `ROUTINE_ALREADY_EXISTS`.
    pub fn add(&self, function: Routine, replace: bool) -> Result<()> {
        let mut functions = self.functions();
        let key = function.short_name().to_owned();
        if !replace && functions.contains_key(&key) {
            return Err(Error::Condition {
                kind: Kind::AlreadyExists,
                condition: "ROUTINE_ALREADY_EXISTS",
                sqlstate: "42723",
                message: format!(
                    "the temporary function `{key}` exists already; use OR REPLACE, or drop it first"
                ),
            });
        }
        functions.insert(key, Arc::new(function));
        Ok(())
    }

    /// Takes a function away. Returns `false` when there is none.
    pub fn remove(&self, name: &str) -> bool {
        self.functions().remove(&name.to_lowercase()).is_some()
    }

    fn functions(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Routine>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
