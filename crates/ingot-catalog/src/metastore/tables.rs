//! Tables and views: reserved, published, dropped, purged.
//!
//! ```text
//! (nothing) ─reserve─► CREATING ─publish─► ACTIVE ─drop─► DROPPED ─purge─► (nothing)
//!                       │ renew │                            ▲
//!                       └───────┴─ abandoned, or past its time ─┘
//! ```
//! Always true: files are deleted of rows in DROPPED only, and no row leaves that state but by its purge. A
//! reservation past its time can neither be renewed nor published, so its holder and the purge never both have it.

use std::time::Duration;

use ingot_common::{SchemaName, TableName, clock};
use sqlx::{Sqlite, Transaction};
use url::Url;
use uuid::Uuid;

use super::{
    Metastore, before, check_principal, commit, constraints, database, dropped, row, schemas, taken,
};
use crate::model::{
    ColumnInfo, DatasetChange, NewTable, Page, Replace, TableChange, TableId, TableInfo, TableKind,
};
use crate::{Error, Result};

/// How long a reservation holds its name, from when it was made or renewed.
const RESERVATION: Duration = Duration::from_secs(60);

/// When a row was dropped that no reader ever saw: its files may go at once.
const NEVER_READ: i64 = 0;

const SELECT_ACTIVE: &str =
    "SELECT * FROM tables WHERE catalog_name = $1 AND schema_name = $2 AND name = $3 AND state = 'ACTIVE'";

impl Metastore {
    /// Takes the name and, for kinds that own files, a fresh folder. Invisible to readers until published.
    ///
    /// # Errors
    /// `AlreadyExists` when a table or a live reservation has the name; a reservation lives for a minute.
    /// `NotFound` when the schema does not exist. `InvalidArgument` when an external location overlaps another
    /// table's; as [`Metastore::add_constraint`] for its keys.
    pub async fn reserve_table(&self, table: &NewTable, principal: &str) -> Result<TableInfo> {
        const ACTION: &str = "reserve a table";
        let id = TableId(Uuid::now_v7());
        let location = self.location(id, table)?;
        let mut transaction = self.write(ACTION).await?;
        schemas::check(&mut transaction, &table.name.schema_name()).await?;
        expire_reservation(&mut transaction, &table.name).await?;
        if let (Some(location), TableKind::External) = (&location, table.kind) {
            check_overlap(&mut transaction, location, &self.tables_root).await?;
        }
        insert(
            &mut transaction,
            id,
            table,
            location.as_deref(),
            "CREATING",
            principal,
        )
        .await?;
        let info = read(&mut transaction, id, ACTION).await?;
        constraints::insert_all(&mut transaction, &info, &table.constraints).await?;
        commit(transaction, ACTION).await?;
        Ok(info)
    }

    /// Makes a reservation last for another minute from now: its holder is still at work.
    ///
    /// # Errors
    /// `NotFound` when it is past its time; the name may be another's now.
    pub async fn renew_reservation(&self, id: TableId) -> Result<()> {
        let renewed = sqlx::query(
            "UPDATE tables SET state_at = $1 WHERE id = $2 AND state = 'CREATING' AND state_at >= $3",
        )
        .bind(clock::now_ms())
        .bind(id.to_string())
        .bind(expired_before())
        .execute(&self.pool)
        .await
        .map_err(|source| database("renew a reservation", source))?;
        match renewed.rows_affected() {
            0 => Err(reservation_lost(id)),
            _ => Ok(()),
        }
    }

    /// Makes a reserved table visible.
    ///
    /// # Errors
    /// `NotFound` when the reservation is past its time; the caller's files are deleted with it.
    pub async fn publish_table(&self, id: TableId) -> Result<TableInfo> {
        const ACTION: &str = "publish a table";
        let mut transaction = self.write(ACTION).await?;
        let published = sqlx::query(
            "UPDATE tables SET state = 'ACTIVE', state_at = $1 WHERE id = $2 AND state = 'CREATING' \
             AND state_at >= $3",
        )
        .bind(clock::now_ms())
        .bind(id.to_string())
        .bind(expired_before())
        .execute(&mut *transaction)
        .await
        .map_err(|source| database(ACTION, source))?;
        if published.rows_affected() == 0 {
            return Err(reservation_lost(id));
        }
        let info = read(&mut transaction, id, ACTION).await?;
        commit(transaction, ACTION).await?;
        Ok(info)
    }

    /// Gives a reservation back. What was written at its location is deleted as a dropped table's files are.
    pub async fn abandon_table(&self, id: TableId) -> Result<()> {
        let abandoned = sqlx::query(
            "UPDATE tables SET state = 'DROPPED', state_at = $1 WHERE id = $2 AND state = 'CREATING'",
        )
        .bind(NEVER_READ)
        .bind(id.to_string())
        .execute(&self.pool)
        .await;
        abandoned
            .map(drop)
            .map_err(|source| database("abandon a table", source))
    }

    /// Makes a view, in one step. One of that name that may be replaced becomes this one and keeps its id, its owner
    /// and when it was made.
    ///
    /// # Errors
    /// `AlreadyExists` when a table has the name, or a view that may not be replaced; `NotFound` for the schema.
    pub async fn create_view(
        &self,
        view: &NewTable,
        replace: Replace<'_>,
        principal: &str,
    ) -> Result<TableInfo> {
        const ACTION: &str = "create a view";
        let mut transaction = self.write(ACTION).await?;
        schemas::check(&mut transaction, &view.name.schema_name()).await?;
        expire_reservation(&mut transaction, &view.name).await?;
        let existing = match replace {
            Replace::OfOwner(owner) => active(&mut transaction, &view.name, ACTION)
                .await?
                .filter(|existing| existing.kind == TableKind::View && existing.audit.owner == owner),
            Replace::No => None,
        };
        let id = match existing {
            Some(existing) => {
                redefine_view(&mut transaction, existing.id, view, principal).await?;
                existing.id
            }
            None => {
                let id = TableId(Uuid::now_v7());
                insert(&mut transaction, id, view, None, "ACTIVE", principal).await?;
                id
            }
        };
        let info = read(&mut transaction, id, ACTION).await?;
        commit(transaction, ACTION).await?;
        Ok(info)
    }

    /// Records what a table has become: columns, keys, comment and properties. Its id, its place, its owner and when
    /// it was made stay.
    ///
    /// # Errors
    /// `NotFound` when the table was dropped meanwhile; as [`Metastore::add_constraint`] for its keys.
    pub async fn set_replaced(&self, id: TableId, change: &TableChange<'_>, principal: &str) -> Result<()> {
        const ACTION: &str = "replace a table";
        let mut transaction = self.write(ACTION).await?;
        let updated = sqlx::query(
            "UPDATE tables SET columns = $1, comment = $2, properties = $3, updated_at = $4, updated_by = $5, \
             shallow_clone = coalesce($6, shallow_clone) WHERE id = $7 AND state <> 'DROPPED'",
        )
        .bind(row::to_json(&change.columns)?)
        .bind(change.comment)
        .bind(row::to_json(change.properties)?)
        .bind(clock::now_ms())
        .bind(principal)
        .bind(change.shallow_clone)
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await
        .map_err(|source| database(ACTION, source))?;
        found_one(updated.rows_affected(), id)?;
        if let Some(dataset) = &change.dataset {
            redefine_dataset(&mut transaction, id, dataset).await?;
        }
        let info = read(&mut transaction, id, ACTION).await?;
        constraints::change(&mut transaction, &info, change.keys).await?;
        commit(transaction, ACTION).await
    }

    /// Returns a table or view.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name, or it is not published yet.
    pub async fn table(&self, name: &TableName) -> Result<TableInfo> {
        const ACTION: &str = "read a table";
        let found = sqlx::query(SELECT_ACTIVE)
            .bind(name.catalog.as_str())
            .bind(name.schema.as_str())
            .bind(name.table.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(|source| database(ACTION, source))?;
        let found = found.ok_or_else(|| not_found(name))?;
        row::table(&found).map_err(|source| database(ACTION, source))
    }

    /// Returns the tables and views of a schema by name.
    ///
    /// # Errors
    /// `NotFound` when the schema does not exist.
    pub async fn list_tables(&self, schema: &SchemaName, page: &Page) -> Result<Vec<TableInfo>> {
        const ACTION: &str = "list tables";
        self.schema(schema).await?;
        let rows = sqlx::query(
            "SELECT * FROM tables WHERE catalog_name = $1 AND schema_name = $2 AND state = 'ACTIVE' AND name > $3 \
             ORDER BY name LIMIT $4",
        )
        .bind(schema.catalog.as_str())
        .bind(schema.schema.as_str())
        .bind(page.after())
        .bind(page.limit())
        .fetch_all(&self.pool)
        .await
        .map_err(|source| database(ACTION, source))?;
        let tables = rows.iter().map(row::table).collect::<Result<_, _>>();
        tables.map_err(|source| database(ACTION, source))
    }

    /// Updates what clients see of a table's columns after its schema changed.
    ///
    /// # Errors
    /// `NotFound` when the table was dropped meanwhile.
    pub async fn set_columns(&self, id: TableId, columns: &[ColumnInfo], principal: &str) -> Result<()> {
        let updated = sqlx::query(
            "UPDATE tables SET columns = $1, updated_at = $2, updated_by = $3 WHERE id = $4 AND state <> 'DROPPED'",
        )
        .bind(row::to_json(&columns)?)
        .bind(clock::now_ms())
        .bind(principal)
        .bind(id.to_string())
        .execute(&self.pool)
        .await
        .map_err(|source| database("update a table's columns", source))?;
        found_one(updated.rows_affected(), id)
    }

    /// Gives a table another name, in the same catalog. Its id, its files and its owner stay.
    ///
    /// # Errors
    /// `NotFound` when the table was dropped meanwhile, or for the schema of the new name; `AlreadyExists` when a table or
    /// a live reservation has the new name.
    pub async fn rename_table(&self, id: TableId, to: &TableName, principal: &str) -> Result<()> {
        const ACTION: &str = "rename a table";
        let mut transaction = self.write(ACTION).await?;
        schemas::check(&mut transaction, &to.schema_name()).await?;
        expire_reservation(&mut transaction, to).await?;
        let renamed = sqlx::query(
            "UPDATE tables SET catalog_name = $1, schema_name = $2, name = $3, updated_at = $4, updated_by = $5 \
             WHERE id = $6 AND state = 'ACTIVE'",
        )
        .bind(to.catalog.as_str())
        .bind(to.schema.as_str())
        .bind(to.table.as_str())
        .bind(clock::now_ms())
        .bind(principal)
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await;
        match renamed {
            Ok(renamed) => {
                found_one(renamed.rows_affected(), id)?;
                commit(transaction, ACTION).await
            }
            Err(error) if taken(&error) => Err(Error::AlreadyExists {
                securable: "table",
                name: to.to_string(),
            }),
            Err(source) => Err(database(ACTION, source)),
        }
    }

    /// Gives a table another owner.
    ///
    /// # Errors
    /// `NotFound` when the table was dropped meanwhile; `InvalidArgument` for a name that can be nobody's.
    pub async fn set_table_owner(&self, id: TableId, owner: &str, principal: &str) -> Result<()> {
        check_principal(owner)?;
        let updated = sqlx::query(
            "UPDATE tables SET owner = $1, updated_at = $2, updated_by = $3 WHERE id = $4 AND state = 'ACTIVE'",
        )
        .bind(owner)
        .bind(clock::now_ms())
        .bind(principal)
        .bind(id.to_string())
        .execute(&self.pool)
        .await
        .map_err(|source| database("change a table's owner", source))?;
        found_one(updated.rows_affected(), id)
    }

    /// Says where the files of an external table are from now on.
    ///
    /// # Errors
    /// `NotFound` when the table was dropped meanwhile; `InvalidArgument` when the location overlaps another table's.
    pub async fn set_table_location(&self, id: TableId, location: &str, principal: &str) -> Result<()> {
        const ACTION: &str = "change a table's location";
        let mut transaction = self.write(ACTION).await?;
        // Its own place, which the new one may be in, does not count.
        let cleared = sqlx::query(
            "UPDATE tables SET location = NULL, updated_at = $1, updated_by = $2 \
             WHERE id = $3 AND state = 'ACTIVE' AND kind = 'EXTERNAL'",
        )
        .bind(clock::now_ms())
        .bind(principal)
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await
        .map_err(|source| database(ACTION, source))?;
        found_one(cleared.rows_affected(), id)?;
        let location = with_slash(location);
        check_overlap(&mut transaction, &location, &self.tables_root).await?;
        sqlx::query("UPDATE tables SET location = $1 WHERE id = $2")
            .bind(&location)
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(|source| database(ACTION, source))?;
        commit(transaction, ACTION).await
    }

    /// Says when a materialized view or a streaming table is to be refreshed; by hand when `None`.
    ///
    /// # Errors
    /// `NotFound` when it was dropped meanwhile.
    pub async fn set_refresh_schedule(
        &self,
        id: TableId,
        schedule: Option<&str>,
        principal: &str,
    ) -> Result<()> {
        let updated = sqlx::query(
            "UPDATE tables SET refresh_schedule = $1, updated_at = $2, updated_by = $3 \
             WHERE id = $4 AND state <> 'DROPPED'",
        )
        .bind(schedule)
        .bind(clock::now_ms())
        .bind(principal)
        .bind(id.to_string())
        .execute(&self.pool)
        .await
        .map_err(|source| database("set a refresh schedule", source))?;
        found_one(updated.rows_affected(), id)
    }

    /// Updates comment and query text of a view or pipeline dataset.
    ///
    /// # Errors
    /// `NotFound` when it was dropped meanwhile.
    pub async fn set_definition(
        &self,
        id: TableId,
        definition: &str,
        comment: Option<&str>,
        principal: &str,
    ) -> Result<()> {
        let updated = sqlx::query(
            "UPDATE tables SET definition = $1, comment = $2, updated_at = $3, updated_by = $4 \
             WHERE id = $5 AND state <> 'DROPPED'",
        )
        .bind(definition)
        .bind(comment)
        .bind(clock::now_ms())
        .bind(principal)
        .bind(id.to_string())
        .execute(&self.pool)
        .await
        .map_err(|source| database("update a definition", source))?;
        found_one(updated.rows_affected(), id)
    }

    /// Drops a table or view. Files that Ingot owns stay until [`Metastore::dropped_tables`] are purged.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub async fn drop_table(&self, name: &TableName, principal: &str) -> Result<TableInfo> {
        const ACTION: &str = "drop a table";
        let mut transaction = self.write(ACTION).await?;
        let info = active(&mut transaction, name, ACTION).await?;
        let info = info.ok_or_else(|| not_found(name))?;
        retire(&mut transaction, &info, principal).await?;
        dropped::forget(&mut transaction).await?;
        commit(transaction, ACTION).await?;
        Ok(info)
    }

    /// Returns tables whose files may be deleted: dropped at least `kept` ago, so that whoever read them then has
    /// ended; and reservations past their time, which are dropped by this call.
    pub async fn dropped_tables(&self, kept: Duration) -> Result<Vec<TableInfo>> {
        const ACTION: &str = "list dropped tables";
        let mut transaction = self.write(ACTION).await?;
        sqlx::query(
            "UPDATE tables SET state = 'DROPPED', state_at = $1 WHERE state = 'CREATING' AND state_at < $2",
        )
        .bind(NEVER_READ)
        .bind(expired_before())
        .execute(&mut *transaction)
        .await
        .map_err(|source| database(ACTION, source))?;
        let rows = sqlx::query("SELECT * FROM tables WHERE state = 'DROPPED' AND state_at <= $1 ORDER BY id")
            .bind(before(kept))
            .fetch_all(&mut *transaction)
            .await
            .map_err(|source| database(ACTION, source))?;
        commit(transaction, ACTION).await?;
        let tables = rows.iter().map(row::table).collect::<Result<_, _>>();
        tables.map_err(|source| database(ACTION, source))
    }

    /// Forgets a dropped table after its files were deleted.
    pub async fn purge_table(&self, id: TableId) -> Result<()> {
        const ACTION: &str = "purge a table";
        let mut transaction = self.write(ACTION).await?;
        let purged = sqlx::query("DELETE FROM tables WHERE id = $1 AND state = 'DROPPED'")
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(|source| database(ACTION, source))?;
        if purged.rows_affected() > 0 {
            constraints::forget(&mut transaction, id).await?;
        }
        commit(transaction, ACTION).await
    }

    /// Drops one table by its id, whatever has its name now. One that is gone already is no error.
    pub async fn drop_table_by_id(&self, id: TableId, principal: &str) -> Result<()> {
        const ACTION: &str = "drop a table";
        let mut transaction = self.write(ACTION).await?;
        let found = sqlx::query("SELECT * FROM tables WHERE id = $1 AND state <> 'DROPPED'")
            .bind(id.to_string())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(|source| database(ACTION, source))?;
        if let Some(found) = found {
            let info = row::table(&found).map_err(|source| database(ACTION, source))?;
            retire(&mut transaction, &info, principal).await?;
            dropped::forget(&mut transaction).await?;
        }
        commit(transaction, ACTION).await
    }

    /// Returns where the files of a new table are: given for external tables, made up for those Ingot owns.
    fn location(&self, id: TableId, table: &NewTable) -> Result<Option<String>> {
        match (&table.location, table.kind) {
            (_, TableKind::View) => Ok(None),
            (Some(location), TableKind::External) => {
                let url = Url::parse(location).map_err(|error| Error::InvalidArgument {
                    message: format!("location=`{location}` is not a URL: {error}"),
                })?;
                Ok(Some(with_slash(url.as_str())))
            }
            (None, TableKind::External) => Err(Error::InvalidArgument {
                message: format!("external table `{}` needs a location", table.name),
            }),
            (Some(_), _) => Err(Error::InvalidArgument {
                message: format!("table `{}` is managed and takes no location", table.name),
            }),
            (None, _) => Ok(Some(format!("{}{id}/", self.tables_root))),
        }
    }
}

/// Drops all tables of a catalog, or of one schema of it.
pub(super) async fn drop_all(
    transaction: &mut Transaction<'static, Sqlite>,
    catalog: &str,
    schema: Option<&str>,
    principal: &str,
) -> Result<Vec<TableInfo>> {
    const ACTION: &str = "drop tables";
    let rows = sqlx::query(
        "SELECT * FROM tables WHERE catalog_name = $1 AND ($2 = '' OR schema_name = $3) AND state <> 'DROPPED'",
    )
    .bind(catalog)
    .bind(schema.unwrap_or_default())
    .bind(schema.unwrap_or_default())
    .fetch_all(&mut **transaction)
    .await
    .map_err(|source| database(ACTION, source))?;
    let tables: Vec<TableInfo> = rows
        .iter()
        .map(row::table)
        .collect::<Result<_, _>>()
        .map_err(|source| database(ACTION, source))?;
    for table in &tables {
        retire(transaction, table, principal).await?;
    }
    Ok(tables)
}

/// Takes a table out of sight: a row without files goes at once, one with files waits for their deletion.
async fn retire(
    transaction: &mut Transaction<'static, Sqlite>,
    table: &TableInfo,
    principal: &str,
) -> Result<()> {
    constraints::forget(transaction, table.id).await?;
    let retired = if table.kind.owns_files() {
        sqlx::query("UPDATE tables SET state = 'DROPPED', state_at = $1, updated_by = $2 WHERE id = $3")
            .bind(clock::now_ms())
            .bind(principal)
            .bind(table.id.to_string())
            .execute(&mut **transaction)
            .await
    } else {
        sqlx::query("DELETE FROM tables WHERE id = $1")
            .bind(table.id.to_string())
            .execute(&mut **transaction)
            .await
    };
    retired
        .map(drop)
        .map_err(|source| database("drop a table", source))
}

/// Frees a name whose reservation is past its time.
async fn expire_reservation(transaction: &mut Transaction<'static, Sqlite>, name: &TableName) -> Result<()> {
    let expired = sqlx::query(
        "UPDATE tables SET state = 'DROPPED', state_at = $1 WHERE catalog_name = $2 AND schema_name = $3 \
         AND name = $4 AND state = 'CREATING' AND state_at < $5",
    )
    .bind(NEVER_READ)
    .bind(name.catalog.as_str())
    .bind(name.schema.as_str())
    .bind(name.table.as_str())
    .bind(expired_before())
    .execute(&mut **transaction)
    .await;
    expired
        .map(drop)
        .map_err(|source| database("free a reservation", source))
}

async fn active(
    transaction: &mut Transaction<'static, Sqlite>,
    name: &TableName,
    action: &'static str,
) -> Result<Option<TableInfo>> {
    let found = sqlx::query(SELECT_ACTIVE)
        .bind(name.catalog.as_str())
        .bind(name.schema.as_str())
        .bind(name.table.as_str())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(|source| database(action, source))?;
    let info = found.as_ref().map(row::table).transpose();
    info.map_err(|source| database(action, source))
}

async fn redefine_dataset(
    transaction: &mut Transaction<'static, Sqlite>,
    id: TableId,
    dataset: &DatasetChange<'_>,
) -> Result<()> {
    let updated = sqlx::query(
        "UPDATE tables SET definition = $1, definition_catalog = $2, definition_schema = $3, refresh_schedule = $4 \
         WHERE id = $5",
    )
    .bind(dataset.definition)
    .bind(dataset.namespace.catalog.as_str())
    .bind(dataset.namespace.schema.as_str())
    .bind(dataset.refresh_schedule)
    .bind(id.to_string())
    .execute(&mut **transaction)
    .await;
    updated
        .map(drop)
        .map_err(|source| database("redefine a dataset", source))
}

async fn redefine_view(
    transaction: &mut Transaction<'static, Sqlite>,
    id: TableId,
    view: &NewTable,
    principal: &str,
) -> Result<()> {
    let namespace = view.definition_namespace.as_ref();
    let updated = sqlx::query(
        "UPDATE tables SET definition = $1, definition_catalog = $2, definition_schema = $3, columns = $4, \
         comment = $5, properties = $6, metrics = $7, updated_at = $8, updated_by = $9 WHERE id = $10",
    )
    .bind(view.definition.as_deref())
    .bind(namespace.map(|name| name.catalog.as_str()))
    .bind(namespace.map(|name| name.schema.as_str()))
    .bind(row::to_json(&view.columns)?)
    .bind(view.comment.as_deref())
    .bind(row::to_json(&view.properties)?)
    .bind(view.metrics)
    .bind(clock::now_ms())
    .bind(principal)
    .bind(id.to_string())
    .execute(&mut **transaction)
    .await;
    updated
        .map(drop)
        .map_err(|source| database("replace a view", source))
}

/// Refuses a location inside, above or equal to that of another table, or to the folder of managed tables.
async fn check_overlap(
    transaction: &mut Transaction<'static, Sqlite>,
    location: &str,
    managed: &Url,
) -> Result<()> {
    if location.starts_with(managed.as_str()) {
        return Err(Error::InvalidArgument {
            message: format!("location=`{location}` lies in the folder of managed tables"),
        });
    }
    if managed.as_str().starts_with(location) {
        return Err(Error::InvalidArgument {
            message: format!("location=`{location}` holds the folder of managed tables"),
        });
    }
    let others: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT catalog_name, schema_name, name, location FROM tables \
         WHERE kind = 'EXTERNAL' AND state <> 'DROPPED' AND location IS NOT NULL",
    )
    .fetch_all(&mut **transaction)
    .await
    .map_err(|source| database("compare locations", source))?;
    let overlapping = others
        .into_iter()
        .find(|(_, _, _, other)| other.starts_with(location) || location.starts_with(other.as_str()));
    match overlapping {
        None => Ok(()),
        Some((catalog, schema, name, other)) => Err(Error::InvalidArgument {
            message: format!(
                "location=`{location}` overlaps `{other}`, the location of table `{catalog}.{schema}.{name}`"
            ),
        }),
    }
}

async fn insert(
    transaction: &mut Transaction<'static, Sqlite>,
    id: TableId,
    table: &NewTable,
    location: Option<&str>,
    state: &str,
    principal: &str,
) -> Result<()> {
    let now = clock::now_ms();
    let namespace = table.definition_namespace.as_ref();
    let inserted = sqlx::query(
        "INSERT INTO tables (id, catalog_name, schema_name, name, kind, shallow_clone, metrics, state, state_at, \
         location, definition, definition_catalog, definition_schema, refresh_schedule, columns, comment, properties, \
         filters, owner, created_at, created_by, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, \
         $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)",
    )
    .bind(id.to_string())
    .bind(table.name.catalog.as_str())
    .bind(table.name.schema.as_str())
    .bind(table.name.table.as_str())
    .bind(table.kind.as_str())
    .bind(table.shallow_clone)
    .bind(table.metrics)
    .bind(state)
    .bind(now)
    .bind(location)
    .bind(table.definition.as_deref())
    .bind(namespace.map(|name| name.catalog.as_str()))
    .bind(namespace.map(|name| name.schema.as_str()))
    .bind(table.refresh_schedule.as_deref())
    .bind(row::to_json(&table.columns)?)
    .bind(table.comment.as_deref())
    .bind(row::to_json(&table.properties)?)
    .bind(row::to_json(&table.filters)?)
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
            securable: "table",
            name: table.name.to_string(),
        }),
        Err(source) => Err(database("create a table", source)),
    }
}

async fn read(
    transaction: &mut Transaction<'static, Sqlite>,
    id: TableId,
    action: &'static str,
) -> Result<TableInfo> {
    let found = sqlx::query("SELECT * FROM tables WHERE id = $1")
        .bind(id.to_string())
        .fetch_one(&mut **transaction)
        .await
        .map_err(|source| database(action, source))?;
    row::table(&found).map_err(|source| database(action, source))
}

/// Returns a table that is not dropped.
///
/// # Errors
/// `NotFound` when it is.
pub(super) async fn by_id(
    transaction: &mut Transaction<'static, Sqlite>,
    id: TableId,
    action: &'static str,
) -> Result<TableInfo> {
    let found = sqlx::query("SELECT * FROM tables WHERE id = $1 AND state <> 'DROPPED'")
        .bind(id.to_string())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(|source| database(action, source))?;
    let found = found.ok_or_else(|| gone(id))?;
    row::table(&found).map_err(|source| database(action, source))
}

/// Returns the table of a name.
///
/// # Errors
/// `NotFound` when there is none.
pub(super) async fn by_name(
    transaction: &mut Transaction<'static, Sqlite>,
    name: &TableName,
    action: &'static str,
) -> Result<TableInfo> {
    let found = active(transaction, name, action).await?;
    found.ok_or_else(|| not_found(name))
}

fn found_one(rows: u64, id: TableId) -> Result<()> {
    if rows > 0 {
        return Ok(());
    }
    Err(gone(id))
}

fn gone(id: TableId) -> Error {
    Error::NotFound {
        securable: "table",
        name: id.to_string(),
    }
}

fn expired_before() -> i64 {
    before(RESERVATION)
}

fn reservation_lost(id: TableId) -> Error {
    Error::NotFound {
        securable: "table reservation",
        name: id.to_string(),
    }
}

fn with_slash(url: &str) -> String {
    format!("{}/", url.trim_end_matches('/'))
}

fn not_found(name: &TableName) -> Error {
    Error::NotFound {
        securable: "table",
        name: name.to_string(),
    }
}
