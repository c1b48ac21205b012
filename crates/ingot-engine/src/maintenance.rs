//! Upkeep of the tables whose files the metastore owns. Idempotent and without input: run on a timer.

use ingot_catalog::{Page, TableInfo};
use ingot_common::{Classify, Kind, SchemaName};
use url::Url;

use crate::{Engine, Error, Result};

/// Tables asked for at once.
const TABLES_LISTED: u32 = 500;

impl Engine {
    /// Deletes commits and checkpoints that no retained version needs from the logs of all tables whose files the
    /// metastore owns. One that cannot be cleaned up now, or forbids it, is left for the next time. Returns how many
    /// files went.
    pub async fn cleanup_expired_logs(&self) -> Result<usize> {
        let mut deleted = 0;
        let all = Page::default();
        for catalog in self.metastore().list_catalogs(&all).await? {
            let schemas = self.metastore().list_schemas(&catalog.name, &all).await;
            for schema in unless_dropped(schemas)? {
                deleted += self.cleanup_schema(&schema.name).await?;
            }
        }
        Ok(deleted)
    }

    async fn cleanup_schema(&self, schema: &SchemaName) -> Result<usize> {
        let mut page = Page {
            after: None,
            limit: Some(TABLES_LISTED),
        };
        let mut deleted = 0;
        loop {
            let tables = unless_dropped(self.metastore().list_tables(schema, &page).await)?;
            let Some(last) = tables.last() else {
                return Ok(deleted);
            };
            page.after = Some(last.name.table.as_str().to_owned());
            for table in &tables {
                deleted += self.cleanup_table(table).await?;
            }
        }
    }

    async fn cleanup_table(&self, table: &TableInfo) -> Result<usize> {
        let Some(location) = table.location.as_deref().filter(|_| table.kind.owns_files()) else {
            return Ok(0);
        };
        let location = Url::parse(location).map_err(|error| Error::internal(error.to_string()))?;
        match self.tables().cleanup_expired_logs(&location).await {
            Ok(deleted) => Ok(deleted),
            Err(error) => {
                let error = ingot_common::error::chain(&error);
                tracing::warn!(table = %table.name, error, "expired log files of a table stay for now");
                Ok(0)
            }
        }
    }
}

/// What was dropped while it was listed has nothing in it.
fn unless_dropped<T>(listed: ingot_catalog::Result<Vec<T>>) -> Result<Vec<T>> {
    match listed {
        Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
        listed => Ok(listed?),
    }
}
