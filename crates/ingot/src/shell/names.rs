//! The names that completion offers: of the catalog, as it was a moment ago.
//!
//! ```text
//! shell ─ at the start, after statements that make names ─► refresh (a task) ─► Names ◄─ completion reads, and waits for nothing
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use ingot_common::port::StatementRequest;
use ingot_common::task::Supervisor;
use tokio_util::sync::CancellationToken;

use crate::client::Target;
use crate::error::{Error, Result};

/// Columns that are kept, at most.
const COLUMNS_MAX: usize = 100_000;

/// Tags of the statements that ask for names: they are not the person's.
const QUERY_TAGS: &str = "ingot_shell:completion";

const TABLES: &str = "SELECT table_catalog, table_schema, table_name FROM system.information_schema.tables";
const SCHEMAS: &str = "SELECT catalog_name, schema_name FROM system.information_schema.schemata";

/// A table with its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub catalog: String,
    pub schema: String,
    pub name: String,
    pub columns: Vec<String>,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Catalog and schema.
    pub schemas: Vec<(String, String)>,
    pub tables: Vec<Table>,
    pub functions: Vec<String>,
}

impl Names {
    /// Returns the catalogs, each once.
    pub fn catalogs(&self) -> Vec<&str> {
        let mut catalogs: Vec<&str> = self.schemas.iter().map(|(catalog, _)| catalog.as_str()).collect();
        catalogs.sort_unstable();
        catalogs.dedup();
        catalogs
    }
}

/// Names that are refreshed beside the shell. Clones share them.
#[derive(Clone, Default)]
pub(super) struct SharedNames {
    names: Arc<Mutex<Arc<Names>>>,
    tasks: Supervisor,
}

impl SharedNames {
    /// Returns the names of a moment ago.
    pub fn get(&self) -> Arc<Names> {
        Arc::clone(&self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for the names, in a task. Where that fails, they stay as they are.
    pub fn refresh(&self, target: &Target) {
        let (shared, target) = (self.clone(), target.clone());
        self.tasks.spawn("names for completion", |stop| async move {
            match read(&target, &stop).await {
                Ok(names) => {
                    let mut current = shared.names.lock().unwrap_or_else(PoisonError::into_inner);
                    *current = Arc::new(names);
                }
                Err(error) => tracing::debug!(%error, "no names for completion"),
            }
            Ok::<(), Error>(())
        });
    }

    /// Ends what asks for names.
    pub fn stop(&self) {
        self.tasks.shutdown();
    }
}

async fn read(target: &Target, stop: &CancellationToken) -> Result<Names> {
    let mut names = Names::default();
    for row in rows(target, SCHEMAS, stop).await? {
        if let [catalog, schema] = row.as_slice() {
            names.schemas.push((catalog.clone(), schema.clone()));
        }
    }
    for row in rows(target, TABLES, stop).await? {
        if let [catalog, schema, name] = row.as_slice() {
            names.tables.push(Table {
                catalog: catalog.clone(),
                schema: schema.clone(),
                name: name.clone(),
                columns: Vec::new(),
            });
        }
    }
    let columns = format!(
        "SELECT table_catalog, table_schema, table_name, column_name FROM system.information_schema.columns LIMIT \
         {COLUMNS_MAX}"
    );
    let places = names.tables.iter().enumerate();
    let places: HashMap<Vec<String>, usize> = places
        .map(|(place, table)| {
            (
                vec![table.catalog.clone(), table.schema.clone(), table.name.clone()],
                place,
            )
        })
        .collect();
    for mut row in rows(target, &columns, stop).await? {
        let column = row.pop();
        let table = places.get(&row).and_then(|place| names.tables.get_mut(*place));
        if let (Some(column), Some(table)) = (column, table) {
            table.columns.push(column);
        }
    }
    for row in rows(target, "SHOW FUNCTIONS", stop).await? {
        names.functions.extend(row.into_iter().next());
    }
    names
        .functions
        .retain(|name| name.starts_with(char::is_alphabetic));
    Ok(names)
}

/// Runs a query of texts.
async fn rows(target: &Target, query: &str, stop: &CancellationToken) -> Result<Vec<Vec<String>>> {
    let request = StatementRequest {
        statement: query.to_owned(),
        settings: [("query_tags".to_owned(), QUERY_TAGS.to_owned())].into(),
        ..StatementRequest::default()
    };
    let mut result = target.execute(request, stop).await?;
    let mut rows = Vec::new();
    while let Some(batch) = result.batches.next().await {
        let batch = batch?;
        let columns = batch.columns().iter().map(|column| {
            arrow::util::display::ArrayFormatter::try_new(column.as_ref(), &Default::default())
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            rows.push(
                columns
                    .iter()
                    .map(|column| column.value(row).to_string())
                    .collect(),
            );
        }
    }
    Ok(rows)
}
