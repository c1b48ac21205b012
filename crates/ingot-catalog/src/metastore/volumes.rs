//! Volumes: folders of files that are no tables.
//!
//! Files of a managed volume outlive it: whoever reads them ends first. In the transaction that drops the volume, where
//! they are is taken down, and that is forgotten when they are deleted; so none is left behind.

use std::time::Duration;

use ingot_common::{Identifier, SchemaName, VolumeName, clock};
use sqlx::{Row, Sqlite, SqliteExecutor, Transaction};
use url::Url;
use uuid::Uuid;

use super::{Metastore, before, commit, database, dropped, row, schemas, taken};
use crate::model::{DroppedVolume, NewVolume, Page, SecurableChange, VolumeInfo, VolumeKind};
use crate::{Error, Result};

/// Where managed volumes are, from the folder of managed tables.
const FOLDER: &str = "../volumes/";

impl Metastore {
    /// Makes a volume. A managed one is given a folder by the metastore.
    ///
    /// # Errors
    /// `AlreadyExists` when a volume has the name; `NotFound` for the schema; `InvalidArgument` for a location that is
    /// no URL.
    pub async fn create_volume(&self, volume: &NewVolume, principal: &str) -> Result<VolumeInfo> {
        const ACTION: &str = "create a volume";
        let id = Uuid::now_v7();
        let location = self.volume_location(id, volume)?;
        let kind = match volume.location {
            Some(_) => VolumeKind::External,
            None => VolumeKind::Managed,
        };
        let now = clock::now_ms();
        let mut transaction = self.write(ACTION).await?;
        schemas::check(&mut transaction, &volume.name.schema).await?;
        let inserted = sqlx::query(
            "INSERT INTO volumes (id, catalog_name, schema_name, name, kind, location, comment, owner, created_at, \
             created_by, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(id.to_string())
        .bind(volume.name.schema.catalog.as_str())
        .bind(volume.name.schema.schema.as_str())
        .bind(volume.name.volume.as_str())
        .bind(kind.as_str())
        .bind(location)
        .bind(volume.comment.as_deref())
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
                    securable: "volume",
                    name: volume.name.to_string(),
                });
            }
            Err(source) => return Err(database(ACTION, source)),
        }
        commit(transaction, ACTION).await?;
        self.volume(&volume.name).await
    }

    /// Returns a volume.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub async fn volume(&self, name: &VolumeName) -> Result<VolumeInfo> {
        find(&self.pool, name).await
    }

    /// Returns the volumes of a schema by name.
    ///
    /// # Errors
    /// `NotFound` when the schema does not exist.
    pub async fn list_volumes(&self, schema: &SchemaName, page: &Page) -> Result<Vec<VolumeInfo>> {
        const ACTION: &str = "list volumes";
        self.schema(schema).await?;
        let rows = sqlx::query(
            "SELECT * FROM volumes WHERE catalog_name = $1 AND schema_name = $2 AND name > $3 ORDER BY name LIMIT $4",
        )
        .bind(schema.catalog.as_str())
        .bind(schema.schema.as_str())
        .bind(page.after())
        .bind(page.limit())
        .fetch_all(&self.pool)
        .await
        .map_err(|source| database(ACTION, source))?;
        let volumes = rows.iter().map(row::volume).collect::<Result<_, _>>();
        volumes.map_err(|source| database(ACTION, source))
    }

    /// Changes a volume's comment and owner; it has no properties.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub async fn alter_volume(
        &self,
        name: &VolumeName,
        change: &SecurableChange,
        principal: &str,
    ) -> Result<()> {
        let updated = sqlx::query(
            "UPDATE volumes SET comment = CASE WHEN $1 THEN $2 ELSE comment END, owner = COALESCE($3, owner), \
             updated_at = $4, updated_by = $5 WHERE catalog_name = $6 AND schema_name = $7 AND name = $8",
        )
        .bind(change.comment.is_some())
        .bind(change.comment.clone().flatten())
        .bind(change.owner.as_deref())
        .bind(clock::now_ms())
        .bind(principal)
        .bind(name.schema.catalog.as_str())
        .bind(name.schema.schema.as_str())
        .bind(name.volume.as_str())
        .execute(&self.pool)
        .await;
        let updated = updated.map_err(|source| database("alter a volume", source))?;
        found_one(updated.rows_affected(), name)
    }

    /// Gives a volume another name in its schema.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name; `AlreadyExists` when another has the new one.
    pub async fn rename_volume(
        &self,
        name: &VolumeName,
        new_name: &Identifier,
        principal: &str,
    ) -> Result<()> {
        let updated = sqlx::query(
            "UPDATE volumes SET name = $1, updated_at = $2, updated_by = $3 \
             WHERE catalog_name = $4 AND schema_name = $5 AND name = $6",
        )
        .bind(new_name.as_str())
        .bind(clock::now_ms())
        .bind(principal)
        .bind(name.schema.catalog.as_str())
        .bind(name.schema.schema.as_str())
        .bind(name.volume.as_str())
        .execute(&self.pool)
        .await;
        match updated {
            Ok(updated) => found_one(updated.rows_affected(), name),
            Err(error) if taken(&error) => Err(Error::AlreadyExists {
                securable: "volume",
                name: VolumeName::new(name.schema.clone(), new_name.clone()).to_string(),
            }),
            Err(source) => Err(database("rename a volume", source)),
        }
    }

    /// Drops a volume. The files of a managed one stay until [`Metastore::dropped_volumes`] are purged.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub async fn drop_volume(&self, name: &VolumeName) -> Result<()> {
        const ACTION: &str = "drop a volume";
        let mut transaction = self.write(ACTION).await?;
        let schema = &name.schema;
        let (catalog, schema) = (schema.catalog.as_str(), schema.schema.as_str());
        let dropped = retire(&mut transaction, catalog, schema, name.volume.as_str()).await?;
        found_one(dropped, name)?;
        dropped::forget(&mut transaction).await?;
        commit(transaction, ACTION).await
    }

    /// Returns managed volumes whose files may be deleted: dropped at least `kept` ago, so that whoever read them then
    /// has ended.
    pub async fn dropped_volumes(&self, kept: Duration) -> Result<Vec<DroppedVolume>> {
        const ACTION: &str = "list dropped volumes";
        let failed = |source| database(ACTION, source);
        let rows = sqlx::query("SELECT id, location FROM dropped_volumes WHERE dropped_at <= $1 ORDER BY id")
            .bind(before(kept))
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        let dropped = rows.iter().map(|found| {
            Ok(DroppedVolume {
                id: row::uuid(found, "id")?,
                location: found.try_get("location")?,
            })
        });
        dropped.collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// Forgets a dropped volume after its files were deleted.
    pub async fn purge_volume(&self, id: Uuid) -> Result<()> {
        let purged = sqlx::query("DELETE FROM dropped_volumes WHERE id = $1")
            .bind(id.to_string())
            .execute(&self.pool)
            .await;
        purged
            .map(drop)
            .map_err(|source| database("purge a volume", source))
    }

    fn volume_location(&self, id: Uuid, volume: &NewVolume) -> Result<String> {
        let invalid = |error: url::ParseError| Error::InvalidArgument {
            message: format!("the location of volume `{}` is not a URL: {error}", volume.name),
        };
        let url = match &volume.location {
            Some(location) => Url::parse(location).map_err(invalid)?,
            None => self
                .tables_root
                .join(FOLDER)
                .and_then(|folder| folder.join(&id.to_string()))
                .map_err(invalid)?,
        };
        Ok(format!("{}/", url.as_str().trim_end_matches('/')))
    }
}

/// Drops all volumes of a catalog, or of one schema of it.
pub(super) async fn drop_all(
    transaction: &mut Transaction<'static, Sqlite>,
    catalog: &str,
    schema: Option<&str>,
) -> Result<()> {
    retire(transaction, catalog, schema.unwrap_or_default(), "")
        .await
        .map(drop)
}

/// Takes volumes out of sight, and takes down where the files of managed ones are: those of a catalog, of a schema of it
/// or of one name, where these are not empty. Returns how many there were.
async fn retire(
    transaction: &mut Transaction<'static, Sqlite>,
    catalog: &str,
    schema: &str,
    volume: &str,
) -> Result<u64> {
    let failed = |source| database("drop volumes", source);
    sqlx::query(
        "INSERT INTO dropped_volumes (id, location, dropped_at) SELECT id, location, $1 FROM volumes WHERE kind = $2 \
         AND catalog_name = $3 AND ($4 = '' OR schema_name = $5) AND ($6 = '' OR name = $7)",
    )
    .bind(clock::now_ms())
    .bind(VolumeKind::Managed.as_str())
    .bind(catalog)
    .bind(schema)
    .bind(schema)
    .bind(volume)
    .bind(volume)
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    let dropped = sqlx::query(
        "DELETE FROM volumes WHERE catalog_name = $1 AND ($2 = '' OR schema_name = $3) AND ($4 = '' OR name = $5)",
    )
    .bind(catalog)
    .bind(schema)
    .bind(schema)
    .bind(volume)
    .bind(volume)
    .execute(&mut **transaction)
    .await;
    dropped.map(|dropped| dropped.rows_affected()).map_err(failed)
}

async fn find(executor: impl SqliteExecutor<'_>, name: &VolumeName) -> Result<VolumeInfo> {
    const ACTION: &str = "read a volume";
    let found =
        sqlx::query("SELECT * FROM volumes WHERE catalog_name = $1 AND schema_name = $2 AND name = $3")
            .bind(name.schema.catalog.as_str())
            .bind(name.schema.schema.as_str())
            .bind(name.volume.as_str())
            .fetch_optional(executor)
            .await
            .map_err(|source| database(ACTION, source))?;
    let found = found.ok_or_else(|| not_found(name))?;
    row::volume(&found).map_err(|source| database(ACTION, source))
}

fn found_one(rows: u64, name: &VolumeName) -> Result<()> {
    match rows {
        0 => Err(not_found(name)),
        _ => Ok(()),
    }
}

fn not_found(name: &VolumeName) -> Error {
    Error::NotFound {
        securable: "volume",
        name: name.to_string(),
    }
}
