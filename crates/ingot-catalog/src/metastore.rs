//! The metastore's operations. Each is one transaction.

use std::path::Path;

use ingot_common::{Identifier, SchemaName, TableName};
use url::Url;

use crate::Result;
use crate::model::{CatalogInfo, ColumnInfo, NewTable, Page, SchemaInfo, TableId, TableInfo};

/// The metastore of one data directory. Cheap to clone. Several processes may open the same one.
#[derive(Debug, Clone)]
pub struct Metastore {}

impl Metastore {
    /// Opens the SQLite file at `database`, creates or migrates it, and makes catalogs `main` and `system`
    /// and schema `main.default` where they are missing. Managed tables are placed below `tables_root`.
    pub async fn open(database: &Path, tables_root: &Url) -> Result<Self> {
        let _ = (database, tables_root);
        todo!()
    }

    pub async fn create_catalog(
        &self,
        name: &Identifier,
        comment: Option<&str>,
        principal: &str,
    ) -> Result<CatalogInfo> {
        let _ = (name, comment, principal);
        todo!()
    }
    pub async fn catalog(&self, name: &Identifier) -> Result<CatalogInfo> {
        let _ = name;
        todo!()
    }
    pub async fn list_catalogs(&self, page: &Page) -> Result<Vec<CatalogInfo>> {
        let _ = page;
        todo!()
    }
    /// Drops a catalog; one that holds schemas only with `cascade`. Returns the tables that went with it.
    pub async fn drop_catalog(
        &self,
        name: &Identifier,
        cascade: bool,
        principal: &str,
    ) -> Result<Vec<TableInfo>> {
        let _ = (name, cascade, principal);
        todo!()
    }
    pub async fn create_schema(
        &self,
        name: &SchemaName,
        comment: Option<&str>,
        principal: &str,
    ) -> Result<SchemaInfo> {
        let _ = (name, comment, principal);
        todo!()
    }
    pub async fn schema(&self, name: &SchemaName) -> Result<SchemaInfo> {
        let _ = name;
        todo!()
    }
    pub async fn list_schemas(&self, catalog: &Identifier, page: &Page) -> Result<Vec<SchemaInfo>> {
        let _ = (catalog, page);
        todo!()
    }
    /// Drops a schema; one that holds tables only with `cascade`. Returns the tables that went with it.
    pub async fn drop_schema(
        &self,
        name: &SchemaName,
        cascade: bool,
        principal: &str,
    ) -> Result<Vec<TableInfo>> {
        let _ = (name, cascade, principal);
        todo!()
    }

    /// Takes the name and, for kinds that own files, a fresh folder. Invisible to readers until published.
    ///
    /// # Errors
    /// `AlreadyExists` when a table or a live reservation has the name; a reservation lives 60 s.
    pub async fn reserve_table(&self, table: &NewTable, principal: &str) -> Result<TableInfo> {
        let _ = (table, principal);
        todo!()
    }
    /// Makes a reserved table visible.
    ///
    /// # Errors
    /// `NotFound` when the reservation was taken over; the caller's files are garbage then.
    pub async fn publish_table(&self, id: TableId) -> Result<TableInfo> {
        let _ = id;
        todo!()
    }
    /// Gives a reservation back.
    pub async fn abandon_table(&self, id: TableId) -> Result<()> {
        let _ = id;
        todo!()
    }
    /// Makes a view, in one step. With `replace`, takes the place of a view of that name.
    pub async fn create_view(&self, view: &NewTable, replace: bool, principal: &str) -> Result<TableInfo> {
        let _ = (view, replace, principal);
        todo!()
    }
    pub async fn table(&self, name: &TableName) -> Result<TableInfo> {
        let _ = name;
        todo!()
    }
    pub async fn list_tables(&self, schema: &SchemaName, page: &Page) -> Result<Vec<TableInfo>> {
        let _ = (schema, page);
        todo!()
    }
    /// Updates what clients see of a table's columns after its schema changed.
    pub async fn set_columns(&self, id: TableId, columns: &[ColumnInfo], principal: &str) -> Result<()> {
        let _ = (id, columns, principal);
        todo!()
    }
    /// Updates comment and query text of a view or pipeline dataset.
    pub async fn set_definition(
        &self,
        id: TableId,
        definition: &str,
        comment: Option<&str>,
        principal: &str,
    ) -> Result<()> {
        let _ = (id, definition, comment, principal);
        todo!()
    }
    /// Drops a table or view. Files that Ingot owns stay until [`Metastore::dropped_tables`] are purged.
    pub async fn drop_table(&self, name: &TableName, principal: &str) -> Result<TableInfo> {
        let _ = (name, principal);
        todo!()
    }
    /// Returns dropped tables whose files still stand, and reservations that expired.
    pub async fn dropped_tables(&self) -> Result<Vec<TableInfo>> {
        todo!()
    }
    /// Forgets a dropped table after its files were deleted.
    pub async fn purge_table(&self, id: TableId) -> Result<()> {
        let _ = id;
        todo!()
    }
}
