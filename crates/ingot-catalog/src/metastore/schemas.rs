//! Schemas.

use ingot_common::{Identifier, SchemaName, clock};
use sqlx::{Sqlite, SqliteExecutor, Transaction};
use uuid::Uuid;

use super::{
    Metastore, catalogs, commit, database, dropped, functions, policy, row, tables, taken, volumes,
    write_change,
};
use crate::model::{Audit, Page, SchemaInfo, SecurableChange, TableInfo};
use crate::{Error, Result};

const CHANGE: &str = "UPDATE schemas SET comment = $1, owner = $2, properties = $3, updated_at = $4, updated_by = $5 \
                      WHERE id = $6";

impl Metastore {
    /// Makes a schema owned by `principal`.
    ///
    /// # Errors
    /// `NotFound` when the catalog does not exist, `AlreadyExists` when the name is taken.
    pub async fn create_schema(
        &self,
        name: &SchemaName,
        comment: Option<&str>,
        principal: &str,
    ) -> Result<SchemaInfo> {
        const ACTION: &str = "create a schema";
        let failed = |source| Error::Database {
            action: ACTION,
            source,
        };
        let mut transaction = self.write(ACTION).await?;
        let catalog = sqlx::query("SELECT 1 FROM catalogs WHERE name = $1")
            .bind(name.catalog.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if catalog.is_none() {
            return Err(catalogs::not_found(&name.catalog));
        }
        let made = insert(&mut transaction, name, comment, principal).await?;
        policy::changed(&mut transaction).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(made)
    }

    /// Returns a schema.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub async fn schema(&self, name: &SchemaName) -> Result<SchemaInfo> {
        find(&self.pool, name).await
    }

    /// Returns the schemas of a catalog by name.
    ///
    /// # Errors
    /// `NotFound` when the catalog does not exist.
    pub async fn list_schemas(&self, catalog: &Identifier, page: &Page) -> Result<Vec<SchemaInfo>> {
        self.catalog(catalog).await?;
        let failed = |source| Error::Database {
            action: "list schemas",
            source,
        };
        let rows =
            sqlx::query("SELECT * FROM schemas WHERE catalog_name = $1 AND name > $2 ORDER BY name LIMIT $3")
                .bind(catalog.as_str())
                .bind(page.after())
                .bind(page.limit())
                .fetch_all(&self.pool)
                .await
                .map_err(failed)?;
        rows.iter()
            .map(row::schema)
            .collect::<Result<_, _>>()
            .map_err(failed)
    }

    /// Changes a schema's comment, owner and properties.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub async fn alter_schema(
        &self,
        name: &SchemaName,
        change: &SecurableChange,
        principal: &str,
    ) -> Result<()> {
        const ACTION: &str = "alter a schema";
        let mut transaction = self.write(ACTION).await?;
        let before = find(&mut *transaction, name).await?;
        let after = change.after(before.comment, before.audit.owner, &before.properties);
        write_change(&mut transaction, CHANGE, before.id, after, principal, ACTION).await?;
        policy::changed(&mut transaction).await?;
        commit(transaction, ACTION).await
    }

    /// Drops a schema; one that holds tables, functions or volumes only with `cascade`. Returns the tables that went with it.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it holds any and `cascade` is not set.
    pub async fn drop_schema(
        &self,
        name: &SchemaName,
        cascade: bool,
        principal: &str,
    ) -> Result<Vec<TableInfo>> {
        const ACTION: &str = "drop a schema";
        let failed = |source| Error::Database {
            action: ACTION,
            source,
        };
        let mut transaction = self.write(ACTION).await?;
        let held: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM tables WHERE catalog_name = $1 AND schema_name = $2 AND state <> 'DROPPED') \
             + (SELECT count(*) FROM functions WHERE catalog_name = $3 AND schema_name = $4) \
             + (SELECT count(*) FROM volumes WHERE catalog_name = $5 AND schema_name = $6)",
        )
        .bind(name.catalog.as_str())
        .bind(name.schema.as_str())
        .bind(name.catalog.as_str())
        .bind(name.schema.as_str())
        .bind(name.catalog.as_str())
        .bind(name.schema.as_str())
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
        if held > 0 && !cascade {
            return Err(Error::NotEmpty {
                securable: "schema",
                name: name.to_string(),
            });
        }
        let (catalog, schema) = (name.catalog.as_str(), name.schema.as_str());
        let dropped = tables::drop_all(&mut transaction, catalog, Some(schema), principal).await?;
        functions::drop_all(&mut transaction, catalog, Some(schema)).await?;
        volumes::drop_all(&mut transaction, catalog, Some(schema)).await?;
        let deleted = sqlx::query("DELETE FROM schemas WHERE catalog_name = $1 AND name = $2")
            .bind(catalog)
            .bind(schema)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        if deleted.rows_affected() == 0 {
            return Err(not_found(name));
        }
        policy::changed(&mut transaction).await?;
        dropped::forget(&mut transaction).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(dropped)
    }
}

/// Makes a schema in a catalog that exists.
pub(super) async fn insert(
    transaction: &mut Transaction<'static, Sqlite>,
    name: &SchemaName,
    comment: Option<&str>,
    principal: &str,
) -> Result<SchemaInfo> {
    let now = clock::now_ms();
    let id = Uuid::now_v7();
    let inserted = sqlx::query(
        "INSERT INTO schemas \
         (id, catalog_name, name, comment, properties, owner, created_at, created_by, updated_at, updated_by) \
         VALUES ($1, $2, $3, $4, '{}', $5, $6, $7, $8, $9)",
    )
    .bind(id.to_string())
    .bind(name.catalog.as_str())
    .bind(name.schema.as_str())
    .bind(comment)
    .bind(principal)
    .bind(now)
    .bind(principal)
    .bind(now)
    .bind(principal)
    .execute(&mut **transaction)
    .await;
    match inserted {
        Ok(_) => Ok(SchemaInfo {
            id,
            name: name.clone(),
            comment: comment.map(str::to_owned),
            properties: Default::default(),
            audit: Audit {
                owner: principal.to_owned(),
                created_at: now,
                created_by: principal.to_owned(),
                updated_at: now,
                updated_by: principal.to_owned(),
            },
        }),
        Err(error) if taken(&error) => Err(Error::AlreadyExists {
            securable: "schema",
            name: name.to_string(),
        }),
        Err(source) => Err(Error::Database {
            action: "create a schema",
            source,
        }),
    }
}

/// Checks, in the transaction that makes something in it, that the schema exists.
pub(super) async fn check(transaction: &mut Transaction<'static, Sqlite>, name: &SchemaName) -> Result<()> {
    let found = sqlx::query("SELECT 1 FROM schemas WHERE catalog_name = $1 AND name = $2")
        .bind(name.catalog.as_str())
        .bind(name.schema.as_str())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(|source| Error::Database {
            action: "find a schema",
            source,
        })?;
    found.map(drop).ok_or_else(|| not_found(name))
}

async fn find(executor: impl SqliteExecutor<'_>, name: &SchemaName) -> Result<SchemaInfo> {
    const ACTION: &str = "read a schema";
    let found = sqlx::query("SELECT * FROM schemas WHERE catalog_name = $1 AND name = $2")
        .bind(name.catalog.as_str())
        .bind(name.schema.as_str())
        .fetch_optional(executor)
        .await
        .map_err(|source| database(ACTION, source))?;
    let found = found.ok_or_else(|| not_found(name))?;
    row::schema(&found).map_err(|source| database(ACTION, source))
}

fn not_found(name: &SchemaName) -> Error {
    Error::NotFound {
        securable: "schema",
        name: name.to_string(),
    }
}
