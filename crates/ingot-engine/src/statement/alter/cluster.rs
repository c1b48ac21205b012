//! `CLUSTER BY (columns) | NONE`: what OPTIMIZE clusters by from now on. Files stay as they are.

use std::collections::BTreeMap;

use ingot_common::TableName;
use ingot_delta::Operation;
use ingot_delta::clustering_domain::{CLUSTERING_DOMAIN, ClusteringDomain};

use super::super::Work;
use super::super::cursor::Cursor;
use super::{Change, open};
use crate::access::MODIFY;
use crate::write::rules::definition::refused;
use crate::{Error, Result, Session};

/// Parses the change of a table's clustering.
pub(super) fn cluster_by<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: TableName,
) -> Result<Work<'a>> {
    let columns = clustering_columns(cursor)?;
    cursor.end()?;
    Ok(Work::defines(async move {
        let altered = open(session, &name, MODIFY).await?;
        let mut metadata = altered.snapshot.metadata().clone();
        if !metadata.partition_columns.is_empty() {
            return Err(refused(
                "DELTA_ALTER_TABLE_CLUSTER_BY_ON_PARTITIONED_TABLE_NOT_ALLOWED",
                "42000",
                "ALTER TABLE CLUSTER BY cannot be applied to a partitioned table".to_owned(),
            ));
        }
        let old = altered.snapshot.clustering_columns()?.unwrap_or_default();
        let new = ClusteringDomain::new(&metadata, &columns)?;
        let text = |columns: &[Vec<String>]| {
            let names: Vec<String> = columns.iter().map(|path| path.join(".")).collect();
            names.join(",")
        };
        let operation = Operation::new("CLUSTER BY")
            .with("oldClusteringColumns", text(&old))
            .with("newClusteringColumns", text(&new.columns));
        metadata
            .configuration
            .insert("delta.feature.clustering".to_owned(), "supported".to_owned());
        let domain = new.configuration(&metadata)?;
        let mut change = Change::new(metadata, operation);
        change.domains = BTreeMap::from([(CLUSTERING_DOMAIN.to_owned(), domain)]);
        altered.commit(session, change).await
    }))
}

/// Takes `(a, b.c)` or `NONE`, which is no column.
pub(in crate::statement) fn clustering_columns(cursor: &mut Cursor<'_>) -> Result<Vec<Vec<String>>> {
    if cursor.accept("NONE") {
        return Ok(Vec::new());
    }
    if cursor.accept("AUTO") {
        return Err(Error::unsupported(
            "CLUSTER BY AUTO is not supported; name the columns".to_owned(),
        ));
    }
    cursor.in_parentheses(Cursor::column_path)
}
