//! Temporary views: the query of each as text, planned anew where it is read.
//!
//! A view remembers where it was made: the namespace in which its short names are looked up, and which of the
//! session's own relations its names meant then. So it goes on to mean the same under another namespace, or when a
//! temporary view comes to hide a table. Source: Spark, `CREATE TEMPORARY VIEW`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ingot_catalog::ColumnInfo;
use ingot_common::{Kind, SchemaName};

use crate::{Error, Result};

/// The schema of the temporary views that all sessions see.
pub(crate) const GLOBAL_TEMP: &str = "global_temp";

/// A temporary view.
#[derive(Debug)]
pub(crate) struct TemporaryView {
    /// One part, as the statement wrote it.
    pub name: String,
    pub definition: String,
    /// Who made it: with whose rights one that all sessions see is read.
    pub owner: String,
    pub namespace: SchemaName,
    /// The session's own relations that the query reads, in lower case.
    pub temporary: BTreeSet<String>,
    pub columns: Vec<ColumnInfo>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
}

/// Views by their names, which compare without case.
#[derive(Debug, Default)]
pub(crate) struct TemporaryViews(Mutex<BTreeMap<String, Arc<TemporaryView>>>);

impl TemporaryViews {
    pub fn get(&self, name: &str) -> Option<Arc<TemporaryView>> {
        self.views().get(&name.to_lowercase()).cloned()
    }

    /// Returns the views in the order of their names.
    pub fn all(&self) -> Vec<Arc<TemporaryView>> {
        self.views().values().cloned().collect()
    }

    /// Adds a view, in place of one of its name if `replace` says so.
    ///
    /// # Errors
    /// `TEMP_TABLE_OR_VIEW_ALREADY_EXISTS`.
    pub fn add(&self, view: TemporaryView, replace: bool) -> Result<()> {
        let mut views = self.views();
        let key = view.name.to_lowercase();
        if !replace && views.contains_key(&key) {
            return Err(Error::Condition {
                kind: Kind::AlreadyExists,
                condition: "TEMP_TABLE_OR_VIEW_ALREADY_EXISTS",
                sqlstate: "42P07",
                message: format!(
                    "the temporary view `{}` exists already; use OR REPLACE, or drop it first",
                    view.name
                ),
            });
        }
        views.insert(key, Arc::new(view));
        Ok(())
    }

    /// Takes a view away. Returns `false` when there is none.
    pub fn remove(&self, name: &str) -> bool {
        self.views().remove(&name.to_lowercase()).is_some()
    }

    fn views(&self) -> MutexGuard<'_, BTreeMap<String, Arc<TemporaryView>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
