//! Tags of securables and of columns.

use std::collections::BTreeMap;

use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::Metastore;
use crate::model::TagInfo;
use crate::{Error, Result};

impl Metastore {
    /// Gives a securable, or a column of it, tags; those it has keep their values unless `tags` says otherwise.
    pub async fn set_tags(
        &self,
        securable: Uuid,
        column: Option<&str>,
        tags: &BTreeMap<String, String>,
    ) -> Result<()> {
        const ACTION: &str = "set tags";
        let mut transaction = self.write(ACTION).await?;
        for (name, value) in tags {
            delete(&mut transaction, securable, column, name).await?;
            sqlx::query("INSERT INTO tags (securable_id, column_name, name, value) VALUES ($1, $2, $3, $4)")
                .bind(securable.to_string())
                .bind(column.unwrap_or_default())
                .bind(name)
                .bind(value)
                .execute(&mut *transaction)
                .await
                .map_err(|source| database(ACTION, source))?;
        }
        transaction
            .commit()
            .await
            .map_err(|source| database(ACTION, source))
    }

    /// Takes tags away from a securable, or a column of it. Those it has not are no error.
    pub async fn unset_tags(&self, securable: Uuid, column: Option<&str>, names: &[String]) -> Result<()> {
        const ACTION: &str = "unset tags";
        let mut transaction = self.write(ACTION).await?;
        for name in names {
            delete(&mut transaction, securable, column, name).await?;
        }
        transaction
            .commit()
            .await
            .map_err(|source| database(ACTION, source))
    }

    /// Returns all tags, by securable, column and name.
    pub async fn list_tags(&self) -> Result<Vec<TagInfo>> {
        let failed = |source| database("list tags", source);
        let rows = sqlx::query("SELECT * FROM tags ORDER BY securable_id, column_name, name")
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        let tags = rows.iter().map(|row| {
            let id: String = row.try_get("securable_id")?;
            let column: String = row.try_get("column_name")?;
            Ok(TagInfo {
                securable: Uuid::parse_str(&id).unwrap_or_default(),
                column: Some(column).filter(|column| !column.is_empty()),
                name: row.try_get("name")?,
                value: row.try_get("value")?,
            })
        });
        tags.collect::<Result<_, sqlx::Error>>().map_err(failed)
    }
}

/// Forgets the tags of what is no more.
pub(super) async fn forget_dropped(transaction: &mut Transaction<'static, Sqlite>) -> Result<()> {
    let forgotten = sqlx::query(
        "DELETE FROM tags WHERE securable_id NOT IN (SELECT id FROM catalogs UNION SELECT id FROM schemas \
         UNION SELECT id FROM volumes UNION SELECT id FROM tables WHERE state <> 'DROPPED')",
    )
    .execute(&mut **transaction)
    .await;
    forgotten
        .map(drop)
        .map_err(|source| database("forget tags", source))
}

async fn delete(
    transaction: &mut Transaction<'static, Sqlite>,
    securable: Uuid,
    column: Option<&str>,
    name: &str,
) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM tags WHERE securable_id = $1 AND column_name = $2 AND name = $3")
        .bind(securable.to_string())
        .bind(column.unwrap_or_default())
        .bind(name)
        .execute(&mut **transaction)
        .await;
    deleted
        .map(drop)
        .map_err(|source| database("unset a tag", source))
}

fn database(action: &'static str, source: sqlx::Error) -> Error {
    Error::Database { action, source }
}
