//! What one statement has read, so that it reads each thing once and sees it in one state.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::catalog::TableProvider;
use ingot_catalog::Policy;
use ingot_common::{FunctionName, TableName};
use ingot_delta::{DeltaTable, Snapshot};
use tokio::sync::OnceCell;
use url::Url;

use super::routines::Planned;
use crate::session::{Routine, Values, VariableName};
use crate::{Error, Result, Session};

/// What one statement has read: the snapshot of each table, by location, the views and the functions.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    snapshots: Mutex<HashMap<Url, Arc<Snapshot>>>,
    views: Mutex<Vec<TableName>>,
    temporary: Mutex<BTreeSet<String>>,
    variables: Mutex<Variables>,
    functions: Mutex<Functions>,
    policy: OnceCell<Arc<Policy>>,
    /// What the query reads of each table that it streams.
    streams: HashMap<TableName, Arc<dyn TableProvider>>,
}

/// The names of variables.
#[derive(Debug, Default)]
struct Variables {
    of_session: BTreeSet<String>,
    of_scripts: BTreeSet<String>,
}

/// The functions that a statement calls.
#[derive(Debug, Default)]
struct Functions {
    /// Those of the metastore; `None` where there is none of a name.
    found: HashMap<FunctionName, Option<Arc<Routine>>>,
    /// By their full names.
    planned: HashMap<String, Arc<Planned>>,
    /// How many functions are called one through the other from each, itself with them; 1 where that is not here.
    heights: HashMap<String, usize>,
}

impl Functions {
    fn height(&self, name: &str) -> usize {
        self.heights.get(name).copied().unwrap_or(1)
    }
}

impl Reads {
    /// Makes the reads of a query that streams these tables.
    pub fn streaming(streams: HashMap<TableName, Arc<dyn TableProvider>>) -> Self {
        Self {
            streams,
            ..Self::default()
        }
    }

    /// Returns what the statement reads of a table that it streams; `None` where it streams none of the name.
    pub(super) fn stream(&self, name: &TableName) -> Option<Arc<dyn TableProvider>> {
        self.streams.get(name).cloned()
    }

    /// Returns the snapshot of a table that the statement sees: the newest one when it is first asked for.
    pub async fn snapshot(&self, table: &DeltaTable) -> Result<Arc<Snapshot>> {
        if let Some(seen) = lock(&self.snapshots).get(table.location()) {
            return Ok(Arc::clone(seen));
        }
        let newest = table.snapshot().await?;
        Ok(self.see(table, newest))
    }

    /// Returns the snapshot of a table that the statement sees: `newest` if it has seen none.
    pub fn see(&self, table: &DeltaTable, newest: Arc<Snapshot>) -> Arc<Snapshot> {
        let mut snapshots = lock(&self.snapshots);
        let seen = snapshots.entry(table.location().clone()).or_insert(newest);
        Arc::clone(seen)
    }

    /// Returns what decides what may be read, as it was when it was first asked for.
    pub async fn policy(&self, session: &Session) -> Result<&Policy> {
        let read = self
            .policy
            .get_or_try_init(|| session.engine().metastore().policy());
        Ok(read.await?)
    }

    /// Says if the statement reads a view, also through others.
    pub fn has_view(&self, name: &TableName) -> bool {
        lock(&self.views).contains(name)
    }

    /// Says if the statement reads a table or a view.
    pub fn has_tables(&self) -> bool {
        !lock(&self.snapshots).is_empty() || !lock(&self.views).is_empty()
    }

    /// Returns the names of the session's own relations that the statement reads, in lower case.
    pub fn temporary(&self) -> BTreeSet<String> {
        lock(&self.temporary).clone()
    }

    /// Returns something of the session that the statement names: a relation, a function or a variable.
    pub fn of_session(&self) -> Option<String> {
        let temporary = lock(&self.temporary).first().cloned();
        temporary.or_else(|| self.variable())
    }

    /// Returns a variable that the statement names.
    pub fn variable(&self) -> Option<String> {
        let variables = lock(&self.variables);
        let mut named = variables.of_session.iter().chain(&variables.of_scripts);
        named.next().cloned()
    }

    /// Returns a variable of a script that the statement names.
    pub fn script_variable(&self) -> Option<String> {
        lock(&self.variables).of_scripts.first().cloned()
    }

    pub(super) fn see_view(&self, name: TableName) {
        lock(&self.views).push(name);
    }

    pub(super) fn see_temporary(&self, name: String) {
        lock(&self.temporary).insert(name);
    }

    /// Takes down that the statement names one of `values`.
    pub(super) fn see_variable(&self, values: &Values, name: &VariableName) {
        let mut variables = lock(&self.variables);
        let kind = match values.in_script(name) {
            true => &mut variables.of_scripts,
            false => &mut variables.of_session,
        };
        kind.insert(name.to_string());
    }

    /// Finds a function of the metastore.
    pub(super) async fn function(
        &self,
        session: &Session,
        name: &FunctionName,
    ) -> Result<Option<Arc<Routine>>> {
        if let Some(found) = lock(&self.functions).found.get(name) {
            return Ok(found.clone());
        }
        let found = match session.engine().metastore().function(name).await {
            Ok(info) => Some(Arc::new(Routine::from(info))),
            Err(ingot_catalog::Error::NotFound { .. }) => None,
            Err(error) => return Err(Error::from(error)),
        };
        lock(&self.functions).found.insert(name.clone(), found.clone());
        Ok(found)
    }

    /// Returns a function whose body is planned, and how many are called one through the other from it.
    pub(super) fn planned(&self, name: &str) -> Option<(Arc<Planned>, usize)> {
        let functions = lock(&self.functions);
        let planned = functions.planned.get(name)?;
        Some((Arc::clone(planned), functions.height(name)))
    }

    pub(super) fn keep_planned(&self, name: String, planned: &Arc<Planned>) {
        lock(&self.functions).planned.insert(name, Arc::clone(planned));
    }

    /// Takes down that the body of `caller` calls `called`.
    pub(super) fn see_call(&self, caller: &str, called: &str) {
        let mut functions = lock(&self.functions);
        let height = functions.height(called).saturating_add(1);
        let known = functions.heights.entry(caller.to_owned()).or_insert(height);
        *known = height.max(*known);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
