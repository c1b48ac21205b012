//! Row filters and column masks of tables.

use ingot_common::clock;
use url::Url;

use super::{Metastore, commit, database, row, tables};
use crate::Result;
use crate::filters::FilterChange;
use crate::model::{TableId, TableInfo};

impl Metastore {
    /// Changes the row filter or a column mask of a table; what others change at the same time stays.
    ///
    /// # Errors
    /// `NotFound` when the table was dropped meanwhile.
    pub async fn alter_filters(&self, id: TableId, change: FilterChange, principal: &str) -> Result<()> {
        const ACTION: &str = "change what a table shows";
        let mut transaction = self.write(ACTION).await?;
        let info = tables::by_id(&mut transaction, id, ACTION).await?;
        let filters = info.filters.after(change);
        sqlx::query("UPDATE tables SET filters = $1, updated_at = $2, updated_by = $3 WHERE id = $4")
            .bind(row::to_json(&filters)?)
            .bind(clock::now_ms())
            .bind(principal)
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(|source| database(ACTION, source))?;
        commit(transaction, ACTION).await
    }

    /// Returns the table whose files are at a location and that has a row filter or masks, if there is one.
    pub async fn filtered_table_at(&self, location: &Url) -> Result<Option<TableInfo>> {
        let failed = |source| database("find a table by its location", source);
        let location = format!("{}/", location.as_str().trim_end_matches('/'));
        let found = sqlx::query("SELECT * FROM tables WHERE location = $1 AND state = 'ACTIVE'")
            .bind(location)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed)?;
        let info = found.as_ref().map(row::table).transpose().map_err(failed)?;
        Ok(info.filter(|info| !info.filters.is_empty()))
    }
}
