//! Where the names of a query are looked up: what it may name, and what is above it.

use std::collections::BTreeSet;

use ingot_common::{Kind, SchemaName};

use super::routines;
use crate::access::Reader;
use crate::session::{Routine, Values};
use crate::{Error, Result, Session};

/// Views in views, at most; a view cannot refer to itself, but views can be many.
const VIEW_DEPTH_MAX: usize = 32;

/// Where the names of a query are looked up.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(super) namespace: SchemaName,
    /// The session's own relations that the query may name, in lower case; `None` for all.
    temporary: Option<BTreeSet<String>>,
    values: SeenValues,
    /// With whose rights it reads.
    pub(super) reader: Reader,
    /// Views above the query.
    depth: usize,
    /// The functions whose bodies are above the query, by their full names.
    pub(super) calls: Vec<String>,
    /// The query is a part of another, whose planner settles its subqueries.
    pub(super) part: bool,
}

/// Which values of the session a query may name.
///
/// What outlives the session names none of it; what is of the session names its variables, and not those of the script
/// or the parameters of the statement that happens to read it. Source: Databricks, "Variables".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SeenValues {
    All,
    SessionVariables,
    None,
}

impl Scope {
    /// The scope of a statement that the session runs.
    pub fn of(namespace: &SchemaName) -> Self {
        Self {
            namespace: namespace.clone(),
            temporary: None,
            values: SeenValues::All,
            reader: Reader::Session,
            depth: 0,
            calls: Vec::new(),
            part: false,
        }
    }

    /// The same, of a statement whose relations have been let through.
    pub fn of_trusted(namespace: &SchemaName) -> Self {
        Self {
            reader: Reader::Anybody,
            ..Self::of(namespace)
        }
    }

    /// The scope of the query of a view that stands in a query of this one.
    ///
    /// # Errors
    /// `VIEW_EXCEED_MAX_NESTED_DEPTH`.
    pub(super) fn of_view(
        &self,
        name: &str,
        namespace: SchemaName,
        temporary: BTreeSet<String>,
        values: SeenValues,
        reader: Reader,
    ) -> Result<Self> {
        if self.depth >= VIEW_DEPTH_MAX {
            return Err(Error::Condition {
                kind: Kind::FailedPrecondition,
                condition: "VIEW_EXCEED_MAX_NESTED_DEPTH",
                sqlstate: "54K00",
                message: format!("view `{name}` stands on more than {VIEW_DEPTH_MAX} views"),
            });
        }
        Ok(Self {
            namespace,
            temporary: Some(temporary),
            values,
            reader,
            depth: self.depth + 1,
            calls: self.calls.clone(),
            part: false,
        })
    }

    /// The scope of the body of a function that a query of this one calls.
    ///
    /// # Errors
    /// `USER_DEFINED_FUNCTIONS.CYCLIC_FUNCTION_REFERENCE`; `UNSUPPORTED_FEATURE` where functions call too many others.
    pub(super) fn of_routine(&self, routine: &Routine) -> Result<Self> {
        Ok(Self {
            namespace: routine.namespace.clone(),
            temporary: Some(routine.temporary.clone()),
            values: match routine.of_session() {
                true => SeenValues::SessionVariables,
                false => SeenValues::None,
            },
            reader: match &routine.audit {
                Some(audit) => Reader::owner(&audit.owner),
                None => self.reader.clone(),
            },
            ..self.of_routine_made(routine)?
        })
    }

    /// The scope of the body of a function that is being made in this one.
    pub(super) fn of_routine_made(&self, routine: &Routine) -> Result<Self> {
        let name = routine.full_name();
        if self.calls.contains(&name) {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "USER_DEFINED_FUNCTIONS.CYCLIC_FUNCTION_REFERENCE",
                sqlstate: "42601",
                message: format!(
                    "the function `{name}` would call itself: {}",
                    self.calls.join(" -> ")
                ),
            });
        }
        self.check_calls(&name, 1)?;
        let mut calls = self.calls.clone();
        calls.push(name);
        Ok(Self {
            calls,
            part: true,
            ..self.clone()
        })
    }

    /// Checks that a function, from which `height` are called one through the other, may be called here.
    ///
    /// # Errors
    /// `UNSUPPORTED_FEATURE` where functions call too many others.
    pub(super) fn check_calls(&self, name: &str, height: usize) -> Result<()> {
        match self.calls.len().saturating_add(height) > routines::DEPTH_MAX {
            false => Ok(()),
            true => Err(Error::unsupported(format!(
                "the function `{name}` is called through more than {} others",
                routines::DEPTH_MAX
            ))),
        }
    }

    /// Says if the query may name a relation of the session's own.
    pub(super) fn sees(&self, name: &str) -> bool {
        self.temporary
            .as_ref()
            .is_none_or(|seen| seen.contains(&name.to_lowercase()))
    }

    /// Returns the values that the query may name.
    pub(super) fn values(&self, session: &Session) -> Values {
        match self.values {
            SeenValues::All => session.values().clone(),
            SeenValues::SessionVariables => session.values().of_session(),
            SeenValues::None => Values::default(),
        }
    }
}
