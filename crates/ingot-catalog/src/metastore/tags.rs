//! Tags of securables and of columns.

use std::collections::BTreeMap;

use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::{Metastore, commit, database, row};
use crate::Result;
use crate::model::TagInfo;

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
        commit(transaction, ACTION).await
    }

    /// Takes tags away from a securable, or a column of it. Those it has not are no error.
    pub async fn unset_tags(&self, securable: Uuid, column: Option<&str>, names: &[String]) -> Result<()> {
        const ACTION: &str = "unset tags";
        let mut transaction = self.write(ACTION).await?;
        for name in names {
            delete(&mut transaction, securable, column, name).await?;
        }
        commit(transaction, ACTION).await
    }

    /// Returns all tags, by securable, column and name.
    pub async fn list_tags(&self) -> Result<Vec<TagInfo>> {
        let failed = |source| database("list tags", source);
        let rows = sqlx::query("SELECT * FROM tags ORDER BY securable_id, column_name, name")
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        let tags = rows.iter().map(|tag| {
            let column: String = tag.try_get("column_name")?;
            Ok(TagInfo {
                securable: row::uuid(tag, "securable_id")?,
                column: Some(column).filter(|column| !column.is_empty()),
                name: tag.try_get("name")?,
                value: tag.try_get("value")?,
            })
        });
        tags.collect::<Result<_, sqlx::Error>>().map_err(failed)
    }
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
