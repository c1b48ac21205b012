//! Catalogs.

use ingot_common::{Identifier, SchemaName, clock};
use sqlx::SqliteExecutor;
use uuid::Uuid;

use super::{
    Metastore, commit, database, dropped, functions, identifier, policy, row, schemas, tables, taken,
    volumes, write_change,
};
use crate::model::{Audit, CatalogInfo, Page, SecurableChange, TableInfo};
use crate::{Error, Result};

/// The schema that every catalog begins with.
const DEFAULT_SCHEMA: &str = "default";

const CHANGE: &str = "UPDATE catalogs SET comment = $1, owner = $2, properties = $3, updated_at = $4, updated_by = $5 \
                      WHERE id = $6";

impl Metastore {
    /// Makes a catalog owned by `principal`, with a schema `default`.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken.
    pub async fn create_catalog(
        &self,
        name: &Identifier,
        comment: Option<&str>,
        principal: &str,
    ) -> Result<CatalogInfo> {
        const ACTION: &str = "create a catalog";
        let failed = |source| Error::Database {
            action: ACTION,
            source,
        };
        let now = clock::now_ms();
        let id = Uuid::now_v7();
        let mut transaction = self.write(ACTION).await?;
        let inserted = sqlx::query(
            "INSERT INTO catalogs (id, name, comment, properties, owner, created_at, created_by, updated_at, updated_by) \
             VALUES ($1, $2, $3, '{}', $4, $5, $6, $7, $8)",
        )
        .bind(id.to_string())
        .bind(name.as_str())
        .bind(comment)
        .bind(principal)
        .bind(now)
        .bind(principal)
        .bind(now)
        .bind(principal)
        .execute(&mut *transaction)
        .await;
        match inserted {
            Ok(_) => {}
            Err(error) if taken(&error) => {
                return Err(Error::AlreadyExists {
                    securable: "catalog",
                    name: name.to_string(),
                });
            }
            Err(source) => return Err(failed(source)),
        }
        let default = SchemaName::new(name.clone(), identifier(DEFAULT_SCHEMA)?);
        schemas::insert(&mut transaction, &default, None, principal).await?;
        policy::changed(&mut transaction).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(CatalogInfo {
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
        })
    }

    /// Returns a catalog.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub async fn catalog(&self, name: &Identifier) -> Result<CatalogInfo> {
        find(&self.pool, name).await
    }

    /// Returns catalogs by name.
    pub async fn list_catalogs(&self, page: &Page) -> Result<Vec<CatalogInfo>> {
        let failed = |source| Error::Database {
            action: "list catalogs",
            source,
        };
        let rows = sqlx::query("SELECT * FROM catalogs WHERE name > $1 ORDER BY name LIMIT $2")
            .bind(page.after())
            .bind(page.limit())
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        rows.iter()
            .map(row::catalog)
            .collect::<Result<_, _>>()
            .map_err(failed)
    }

    /// Changes a catalog's comment, owner and properties.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub async fn alter_catalog(
        &self,
        name: &Identifier,
        change: &SecurableChange,
        principal: &str,
    ) -> Result<()> {
        const ACTION: &str = "alter a catalog";
        let mut transaction = self.write(ACTION).await?;
        let before = find(&mut *transaction, name).await?;
        let after = change.after(before.comment, before.audit.owner, &before.properties);
        write_change(&mut transaction, CHANGE, before.id, after, principal, ACTION).await?;
        policy::changed(&mut transaction).await?;
        commit(transaction, ACTION).await
    }

    /// Drops a catalog; one that holds more than an empty schema `default` only with `cascade`. Returns the tables
    /// that went with it.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it holds schemas or tables and `cascade` is not set.
    pub async fn drop_catalog(
        &self,
        name: &Identifier,
        cascade: bool,
        principal: &str,
    ) -> Result<Vec<TableInfo>> {
        const ACTION: &str = "drop a catalog";
        let failed = |source| Error::Database {
            action: ACTION,
            source,
        };
        let mut transaction = self.write(ACTION).await?;
        let held: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM schemas WHERE catalog_name = $1 AND name <> $2) \
             + (SELECT count(*) FROM tables WHERE catalog_name = $3 AND state <> 'DROPPED') \
             + (SELECT count(*) FROM functions WHERE catalog_name = $4) \
             + (SELECT count(*) FROM volumes WHERE catalog_name = $5)",
        )
        .bind(name.as_str())
        .bind(DEFAULT_SCHEMA)
        .bind(name.as_str())
        .bind(name.as_str())
        .bind(name.as_str())
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
        if held > 0 && !cascade {
            return Err(Error::NotEmpty {
                securable: "catalog",
                name: name.to_string(),
            });
        }
        let dropped = tables::drop_all(&mut transaction, name.as_str(), None, principal).await?;
        functions::drop_all(&mut transaction, name.as_str(), None).await?;
        volumes::drop_all(&mut transaction, name.as_str(), None).await?;
        sqlx::query("DELETE FROM schemas WHERE catalog_name = $1")
            .bind(name.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        let deleted = sqlx::query("DELETE FROM catalogs WHERE name = $1")
            .bind(name.as_str())
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

async fn find(executor: impl SqliteExecutor<'_>, name: &Identifier) -> Result<CatalogInfo> {
    const ACTION: &str = "read a catalog";
    let found = sqlx::query("SELECT * FROM catalogs WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(executor)
        .await
        .map_err(|source| database(ACTION, source))?;
    let found = found.ok_or_else(|| not_found(name))?;
    row::catalog(&found).map_err(|source| database(ACTION, source))
}

pub(super) fn not_found(name: &Identifier) -> Error {
    Error::NotFound {
        securable: "catalog",
        name: name.to_string(),
    }
}
