//! A session: current catalog and schema, settings, temporary relations.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;
use ingot_catalog::TableInfo;
use ingot_common::port::StatementResult;
use ingot_common::{RequestContext, SchemaName, TableName};
use ingot_delta::DeltaTable;

use crate::Result;

/// One client's view of the engine. Not shared between clients.
pub struct Session {}

impl Session {
    /// Returns the engine that the session is of.
    pub fn engine(&self) -> &crate::Engine {
        todo!()
    }

    /// Returns the request that the session serves.
    pub fn context(&self) -> &RequestContext {
        todo!()
    }

    /// Returns where names of fewer than three parts are looked up.
    pub fn namespace(&self) -> SchemaName {
        todo!()
    }

    /// Changes it; both must exist.
    pub async fn use_namespace(&self, namespace: &SchemaName) -> Result<()> {
        let _ = namespace;
        todo!()
    }

    /// Completes a name of one to three parts with the session's namespace.
    pub fn resolve(&self, name: &datafusion::sql::sqlparser::ast::ObjectName) -> Result<TableName> {
        let _ = name;
        todo!()
    }

    /// Runs one statement of any kind.
    pub async fn execute(&self, statement: &str) -> Result<StatementResult> {
        let _ = statement;
        todo!()
    }

    /// Plans a query (`SELECT`, `WITH`, `VALUES`, …) without running it. Table names resolve through the
    /// metastore and the relations of [`Session::register_relation`]; time travel is honoured.
    pub async fn query(&self, query: &str) -> Result<DataFrame> {
        let _ = query;
        todo!()
    }

    /// Makes `provider` visible as the one-part name `name` in this session only, before any table of that
    /// name. Used for the input of a micro-batch.
    pub fn register_relation(&self, name: &str, provider: Arc<dyn TableProvider>) -> Result<()> {
        let _ = (name, provider);
        todo!()
    }

    /// Opens a table of the metastore.
    pub async fn open_table(&self, name: &TableName) -> Result<(TableInfo, Arc<DeltaTable>)> {
        let _ = name;
        todo!()
    }

    /// Returns the DataFusion context beneath, for planning expressions.
    pub fn datafusion(&self) -> &SessionContext {
        todo!()
    }
}
