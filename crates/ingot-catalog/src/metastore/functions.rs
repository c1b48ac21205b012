//! Functions that statements have made.

use ingot_common::{FunctionName, SchemaName, clock};
use sqlx::{Sqlite, SqliteExecutor, Transaction};
use uuid::Uuid;

use super::{Metastore, commit, database, dropped, row, schemas, taken};
use crate::model::{FunctionId, FunctionInfo, NewFunction, Page, Replace};
use crate::{Error, Result};

impl Metastore {
    /// Makes a function. One of that name that may be replaced becomes this one and keeps its id, its owner and when it
    /// was made.
    ///
    /// # Errors
    /// `AlreadyExists` when a function has the name that may not be replaced; `NotFound` for the schema.
    pub async fn create_function(
        &self,
        function: &NewFunction,
        replace: Replace<'_>,
        principal: &str,
    ) -> Result<FunctionInfo> {
        const ACTION: &str = "create a function";
        let mut transaction = self.write(ACTION).await?;
        schemas::check(&mut transaction, &function.name.schema).await?;
        let existing = find(&mut *transaction, &function.name, ACTION).await?;
        let replaced = existing
            .filter(|existing| matches!(replace, Replace::OfOwner(owner) if existing.audit.owner == owner));
        match replaced {
            Some(existing) => redefine(&mut transaction, existing.id, function, principal).await?,
            None => insert(&mut transaction, function, principal).await?,
        }
        let made = find(&mut *transaction, &function.name, ACTION).await?;
        commit(transaction, ACTION).await?;
        made.ok_or_else(|| not_found(&function.name))
    }

    /// Returns a function.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub async fn function(&self, name: &FunctionName) -> Result<FunctionInfo> {
        let found = find(&self.pool, name, "read a function").await?;
        found.ok_or_else(|| not_found(name))
    }

    /// Returns the functions of a schema by name.
    ///
    /// # Errors
    /// `NotFound` when the schema does not exist.
    pub async fn list_functions(&self, schema: &SchemaName, page: &Page) -> Result<Vec<FunctionInfo>> {
        const ACTION: &str = "list functions";
        self.schema(schema).await?;
        let rows = sqlx::query(
            "SELECT * FROM functions WHERE catalog_name = $1 AND schema_name = $2 AND name > $3 \
             ORDER BY name LIMIT $4",
        )
        .bind(schema.catalog.as_str())
        .bind(schema.schema.as_str())
        .bind(page.after())
        .bind(page.limit())
        .fetch_all(&self.pool)
        .await
        .map_err(|source| database(ACTION, source))?;
        let functions = rows.iter().map(row::function).collect::<Result<_, _>>();
        functions.map_err(|source| database(ACTION, source))
    }

    /// Drops a function.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub async fn drop_function(&self, name: &FunctionName) -> Result<()> {
        const ACTION: &str = "drop a function";
        let mut transaction = self.write(ACTION).await?;
        let deleted =
            sqlx::query("DELETE FROM functions WHERE catalog_name = $1 AND schema_name = $2 AND name = $3")
                .bind(name.schema.catalog.as_str())
                .bind(name.schema.schema.as_str())
                .bind(name.function.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(|source| database(ACTION, source))?;
        if deleted.rows_affected() == 0 {
            return Err(not_found(name));
        }
        dropped::forget(&mut transaction).await?;
        commit(transaction, ACTION).await
    }
}

/// Drops all functions of a catalog, or of one schema of it.
pub(super) async fn drop_all(
    transaction: &mut Transaction<'static, Sqlite>,
    catalog: &str,
    schema: Option<&str>,
) -> Result<()> {
    let dropped =
        sqlx::query("DELETE FROM functions WHERE catalog_name = $1 AND ($2 = '' OR schema_name = $3)")
            .bind(catalog)
            .bind(schema.unwrap_or_default())
            .bind(schema.unwrap_or_default())
            .execute(&mut **transaction)
            .await;
    dropped
        .map(drop)
        .map_err(|source| database("drop functions", source))
}

async fn find(
    executor: impl SqliteExecutor<'_>,
    name: &FunctionName,
    action: &'static str,
) -> Result<Option<FunctionInfo>> {
    let found =
        sqlx::query("SELECT * FROM functions WHERE catalog_name = $1 AND schema_name = $2 AND name = $3")
            .bind(name.schema.catalog.as_str())
            .bind(name.schema.schema.as_str())
            .bind(name.function.as_str())
            .fetch_optional(executor)
            .await
            .map_err(|source| database(action, source))?;
    let info = found.as_ref().map(row::function).transpose();
    info.map_err(|source| database(action, source))
}

async fn insert(
    transaction: &mut Transaction<'static, Sqlite>,
    function: &NewFunction,
    principal: &str,
) -> Result<()> {
    let now = clock::now_ms();
    let inserted = sqlx::query(
        "INSERT INTO functions (id, catalog_name, schema_name, name, parameters, returns, definition, \
         definition_catalog, definition_schema, deterministic, data_access, comment, properties, owner, created_at, \
         created_by, updated_at, updated_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '{}', $13, $14, $15, $16, $17)",
    )
    .bind(FunctionId(Uuid::now_v7()).to_string())
    .bind(function.name.schema.catalog.as_str())
    .bind(function.name.schema.schema.as_str())
    .bind(function.name.function.as_str())
    .bind(row::to_json(&function.parameters)?)
    .bind(row::to_json(&function.returns)?)
    .bind(&function.definition)
    .bind(function.definition_namespace.catalog.as_str())
    .bind(function.definition_namespace.schema.as_str())
    .bind(function.deterministic)
    .bind(function.data_access.as_str())
    .bind(function.comment.as_deref())
    .bind(principal)
    .bind(now)
    .bind(principal)
    .bind(now)
    .bind(principal)
    .execute(&mut **transaction)
    .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if taken(&error) => Err(Error::AlreadyExists {
            securable: "function",
            name: function.name.to_string(),
        }),
        Err(source) => Err(database("create a function", source)),
    }
}

async fn redefine(
    transaction: &mut Transaction<'static, Sqlite>,
    id: FunctionId,
    function: &NewFunction,
    principal: &str,
) -> Result<()> {
    let updated = sqlx::query(
        "UPDATE functions SET parameters = $1, returns = $2, definition = $3, definition_catalog = $4, \
         definition_schema = $5, deterministic = $6, data_access = $7, comment = $8, updated_at = $9, \
         updated_by = $10 WHERE id = $11",
    )
    .bind(row::to_json(&function.parameters)?)
    .bind(row::to_json(&function.returns)?)
    .bind(&function.definition)
    .bind(function.definition_namespace.catalog.as_str())
    .bind(function.definition_namespace.schema.as_str())
    .bind(function.deterministic)
    .bind(function.data_access.as_str())
    .bind(function.comment.as_deref())
    .bind(clock::now_ms())
    .bind(principal)
    .bind(id.to_string())
    .execute(&mut **transaction)
    .await;
    updated
        .map(drop)
        .map_err(|source| database("replace a function", source))
}

fn not_found(name: &FunctionName) -> Error {
    Error::NotFound {
        securable: "function",
        name: name.to_string(),
    }
}
