//! Keys of tables: PRIMARY KEY and FOREIGN KEY.
//!
//! Always true: a table has one primary key at most, of columns that hold no nulls; a foreign key has a column for each
//! column of its parent's primary key, of the same type; a name is of one key of a schema. Keys go with their table, and
//! foreign keys go with the key that they refer to. Source: Databricks, "CONSTRAINT clause", "DROP CONSTRAINT clause".

mod check;

use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, Row, Sqlite, Transaction};

use super::{Metastore, commit, database, row, tables};
use crate::model::constraint::{FOREIGN_KEY, PRIMARY_KEY};
use crate::model::{
    ColumnInfo, ConstraintChoice, ForeignKey, Key, KeyChange, NewConstraint, NewKey, TableConstraint,
    TableId, TableInfo,
};
use crate::{Error, Result};

/// Keys with what foreign ones refer to: of one table, of those that refer to one, or all. An empty id is of any table.
const SELECT: &str = "SELECT c.*, p.catalog_name AS parent_catalog, p.schema_name AS parent_schema, \
     p.name AS parent_name, k.name AS parent_key FROM table_constraints c JOIN tables t ON t.id = c.table_id \
     LEFT JOIN tables p ON p.id = c.parent_id \
     LEFT JOIN table_constraints k ON k.table_id = c.parent_id AND k.kind = 'PRIMARY KEY' \
     WHERE t.state <> 'DROPPED' AND ($1 = '' OR c.table_id = $2) AND ($3 = '' OR c.parent_id = $4) \
     ORDER BY c.table_id, c.kind DESC, c.name";

/// Whose keys are read.
#[derive(Debug, Clone, Copy)]
enum Of {
    All,
    Table(TableId),
    /// Foreign keys of whatever table that refer to this one.
    Parent(TableId),
}

impl Metastore {
    /// Gives a table a key.
    ///
    /// # Errors
    /// `NotFound` when the table was dropped, or there is no parent; `AlreadyExists` when the schema has a key of the name;
    /// `InvalidArgument` for a second primary key, one of columns that may be null, and a foreign key that does not fit.
    pub async fn add_constraint(&self, table: TableId, constraint: &NewConstraint) -> Result<()> {
        const ACTION: &str = "add a constraint";
        let mut transaction = self.write(ACTION).await?;
        let info = tables::by_id(&mut transaction, table, ACTION).await?;
        insert(&mut transaction, &info, constraint).await?;
        commit(transaction, ACTION).await
    }

    /// Checks that a table whose columns become these may have these keys. Nothing changes.
    ///
    /// # Errors
    /// As [`Metastore::add_constraint`].
    pub async fn check_constraints(
        &self,
        table: TableId,
        columns: &[ColumnInfo],
        constraints: &[NewConstraint],
    ) -> Result<()> {
        let mut transaction = self.write("check constraints").await?;
        let mut info = tables::by_id(&mut transaction, table, "check constraints").await?;
        info.columns = columns.to_vec();
        // It is not committed.
        change(&mut transaction, &info, KeyChange::Replace(constraints)).await
    }

    /// Takes a key from a table; with `cascade` also the foreign keys that refer to it. Returns its name; `None` when the
    /// table has no such key.
    ///
    /// # Errors
    /// `FailedPrecondition` when foreign keys refer to it.
    pub async fn drop_constraint(
        &self,
        table: TableId,
        choice: &ConstraintChoice,
        cascade: bool,
    ) -> Result<Option<String>> {
        const ACTION: &str = "drop a constraint";
        let mut transaction = self.write(ACTION).await?;
        let keys = read(&mut *transaction, Of::Table(table)).await?;
        let Some(dropped) = keys.into_iter().find(|key| chosen(key, choice)) else {
            return Ok(None);
        };
        if matches!(dropped.key, Key::Primary { .. }) {
            let referring = read(&mut *transaction, Of::Parent(table)).await?;
            if let Some(foreign_key) = referring.first().filter(|_| !cascade) {
                return Err(Error::ReferencedKey {
                    name: dropped.name,
                    foreign_key: foreign_key.name.clone(),
                });
            }
            delete_all(&mut transaction, &referring).await?;
        }
        delete(&mut transaction, &dropped).await?;
        commit(transaction, ACTION).await?;
        Ok(Some(dropped.name))
    }

    /// Returns the keys of a table: the primary one first, then by name.
    pub async fn table_constraints(&self, table: TableId) -> Result<Vec<TableConstraint>> {
        read(&self.pool, Of::Table(table)).await
    }

    /// Returns the keys of all tables.
    pub async fn list_constraints(&self) -> Result<Vec<TableConstraint>> {
        read(&self.pool, Of::All).await
    }
}

/// Makes keys of a table whose columns are written already.
pub(super) async fn insert_all(
    transaction: &mut Transaction<'static, Sqlite>,
    table: &TableInfo,
    constraints: &[NewConstraint],
) -> Result<()> {
    for constraint in constraints {
        insert(transaction, table, constraint).await?;
    }
    Ok(())
}

/// Changes the keys of a table whose columns are written already.
pub(super) async fn change(
    transaction: &mut Transaction<'static, Sqlite>,
    table: &TableInfo,
    change: KeyChange<'_>,
) -> Result<()> {
    match change {
        KeyChange::Keep => Ok(()),
        KeyChange::Rename { from, to } => rename(transaction, table.id, from, to).await,
        KeyChange::Replace(constraints) => {
            let old = read(&mut **transaction, Of::Table(table.id)).await?;
            delete_all(transaction, &old).await?;
            insert_all(transaction, table, constraints).await?;
            let new = read(&mut **transaction, Of::Table(table.id)).await?;
            let mut lost = read(&mut **transaction, Of::Parent(table.id)).await?;
            lost.retain(|foreign| !check::still_refers(foreign, &new));
            delete_all(transaction, &lost).await
        }
    }
}

/// Forgets the keys of a table that is dropped, and those that refer to it.
pub(super) async fn forget(transaction: &mut Transaction<'static, Sqlite>, table: TableId) -> Result<()> {
    let forgotten = sqlx::query("DELETE FROM table_constraints WHERE table_id = $1 OR parent_id = $2")
        .bind(table.to_string())
        .bind(table.to_string())
        .execute(&mut **transaction)
        .await;
    forgotten
        .map(drop)
        .map_err(|source| database("forget constraints", source))
}

async fn insert(
    transaction: &mut Transaction<'static, Sqlite>,
    table: &TableInfo,
    new: &NewConstraint,
) -> Result<()> {
    let keys = read(&mut **transaction, Of::Table(table.id)).await?;
    let columns = check::columns(table, &new.columns)?;
    let (timeseries, parent, parent_columns) = match &new.key {
        NewKey::Primary { timeseries } => {
            check::primary_key(table, &keys, new.name.as_deref(), &columns)?;
            (timeseries.clone(), None, None)
        }
        NewKey::Foreign {
            parent,
            parent_columns,
        } => {
            let parent = match *parent == table.name {
                true => table.clone(),
                false => tables::by_name(transaction, parent, "find the parent of a foreign key").await?,
            };
            let parent_keys = read(&mut **transaction, Of::Table(parent.id)).await?;
            let foreign = check::foreign_key(&columns, &keys, &parent, &parent_keys, parent_columns)?;
            (None, Some(parent), Some(row::to_json(&foreign)?))
        }
    };
    let taken = names(transaction, table).await?;
    let name = check::name(table, new, parent.as_ref(), &taken)?;
    let kind = match new.key {
        NewKey::Primary { .. } => PRIMARY_KEY,
        NewKey::Foreign { .. } => FOREIGN_KEY,
    };
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let inserted = sqlx::query(
        "INSERT INTO table_constraints (table_id, name, kind, columns, timeseries, parent_id, parent_columns, rely) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(table.id.to_string())
    .bind(name)
    .bind(kind)
    .bind(row::to_json(&names)?)
    .bind(timeseries)
    .bind(parent.map(|parent| parent.id.to_string()))
    .bind(parent_columns)
    .bind(new.rely)
    .execute(&mut **transaction)
    .await;
    inserted
        .map(drop)
        .map_err(|source| database("add a constraint", source))
}

/// Gives a column its new name in all keys that have it.
async fn rename(
    transaction: &mut Transaction<'static, Sqlite>,
    table: TableId,
    from: &str,
    to: &str,
) -> Result<()> {
    let renamed = |columns: Vec<String>| -> Vec<String> {
        let name = |column: String| match column.eq_ignore_ascii_case(from) {
            true => to.to_owned(),
            false => column,
        };
        columns.into_iter().map(name).collect()
    };
    let mut keys = read(&mut **transaction, Of::Table(table)).await?;
    let others = read(&mut **transaction, Of::Parent(table)).await?;
    keys.extend(others.into_iter().filter(|key| key.table != table));
    for key in keys {
        let columns = match key.table == table {
            true => renamed(key.columns),
            false => key.columns,
        };
        let (timeseries, parent_columns) = match key.key {
            Key::Primary { timeseries } => (timeseries.map(|column| renamed(vec![column]).concat()), None),
            Key::Foreign(foreign) if foreign.parent == table => (None, Some(renamed(foreign.parent_columns))),
            Key::Foreign(foreign) => (None, Some(foreign.parent_columns)),
        };
        sqlx::query(
            "UPDATE table_constraints SET columns = $1, timeseries = $2, parent_columns = $3 \
             WHERE table_id = $4 AND name = $5",
        )
        .bind(row::to_json(&columns)?)
        .bind(timeseries)
        .bind(parent_columns.as_ref().map(row::to_json).transpose()?)
        .bind(key.table.to_string())
        .bind(&key.name)
        .execute(&mut **transaction)
        .await
        .map_err(|source| database("rename a column of constraints", source))?;
    }
    Ok(())
}

async fn delete_all(transaction: &mut Transaction<'static, Sqlite>, keys: &[TableConstraint]) -> Result<()> {
    for key in keys {
        delete(transaction, key).await?;
    }
    Ok(())
}

async fn delete(transaction: &mut Transaction<'static, Sqlite>, key: &TableConstraint) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM table_constraints WHERE table_id = $1 AND name = $2")
        .bind(key.table.to_string())
        .bind(&key.name)
        .execute(&mut **transaction)
        .await;
    deleted
        .map(drop)
        .map_err(|source| database("drop a constraint", source))
}

/// Returns the names of the keys of a table's schema.
async fn names(transaction: &mut Transaction<'static, Sqlite>, table: &TableInfo) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT c.name FROM table_constraints c JOIN tables t ON t.id = c.table_id \
         WHERE t.catalog_name = $1 AND t.schema_name = $2 AND t.state <> 'DROPPED'",
    )
    .bind(table.name.catalog.as_str())
    .bind(table.name.schema.as_str())
    .fetch_all(&mut **transaction)
    .await
    .map_err(|source| database("list names of constraints", source))
}

async fn read<'e>(executor: impl Executor<'e, Database = Sqlite>, of: Of) -> Result<Vec<TableConstraint>> {
    const ACTION: &str = "read constraints";
    let (table, parent) = match of {
        Of::All => (String::new(), String::new()),
        Of::Table(table) => (table.to_string(), String::new()),
        Of::Parent(parent) => (String::new(), parent.to_string()),
    };
    let rows = sqlx::query(SELECT)
        .bind(&table)
        .bind(&table)
        .bind(&parent)
        .bind(&parent)
        .fetch_all(executor)
        .await
        .map_err(|source| database(ACTION, source))?;
    let keys = rows.iter().map(constraint).collect::<Result<_, _>>();
    keys.map_err(|source| database(ACTION, source))
}

fn constraint(row: &SqliteRow) -> Result<TableConstraint, sqlx::Error> {
    let kind: String = row.try_get("kind")?;
    let key = match kind == PRIMARY_KEY {
        true => Key::Primary {
            timeseries: row.try_get("timeseries")?,
        },
        false => Key::Foreign(ForeignKey {
            parent: TableId(row::uuid(row, "parent_id")?),
            parent_name: row::table_name(row, ["parent_catalog", "parent_schema", "parent_name"])?,
            parent_key: row.try_get("parent_key")?,
            parent_columns: row::json(row, "parent_columns")?,
        }),
    };
    Ok(TableConstraint {
        table: TableId(row::uuid(row, "table_id")?),
        name: row.try_get("name")?,
        columns: row::json(row, "columns")?,
        rely: row.try_get("rely")?,
        key,
    })
}

fn chosen(key: &TableConstraint, choice: &ConstraintChoice) -> bool {
    match (choice, &key.key) {
        (ConstraintChoice::Named(name), _) => key.name.eq_ignore_ascii_case(name),
        (ConstraintChoice::Primary, Key::Primary { .. }) => true,
        (ConstraintChoice::Foreign(columns), Key::Foreign(_)) => {
            columns.len() == key.columns.len()
                && columns
                    .iter()
                    .zip(&key.columns)
                    .all(|(asked, column)| asked.eq_ignore_ascii_case(column))
        }
        _ => false,
    }
}
