//! `CLUSTER BY (columns) | NONE | AUTO`: what OPTIMIZE clusters by from now on. Files stay as they are.

use std::collections::BTreeMap;

use ingot_common::TableName;
use ingot_common::port::StatementResult;
use ingot_delta::Operation;
use ingot_delta::clustering_domain::{CLUSTERING_DOMAIN, ClusteringDomain};

use super::super::Work;
use super::super::cursor::Cursor;
use super::{Change, open};
use crate::access::MODIFY;
use crate::write::rules::definition::refused;
use crate::{Result, Session};

/// Parses the change of a table's clustering.
pub(super) fn cluster_by<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: TableName,
) -> Result<Work<'a>> {
    let clustering = Clustering::parse(cursor)?;
    cursor.end()?;
    Ok(Work::defines(
        async move { apply(session, &name, clustering).await },
    ))
}

/// Changes what OPTIMIZE clusters a table by.
pub(in crate::statement) async fn apply(
    session: &Session,
    name: &TableName,
    clustering: Clustering,
) -> Result<StatementResult> {
    let altered = open(session, name, MODIFY).await?;
    let mut metadata = altered.snapshot.metadata().clone();
    if !metadata.partition_columns.is_empty() {
        return Err(refused(
            "DELTA_ALTER_TABLE_CLUSTER_BY_ON_PARTITIONED_TABLE_NOT_ALLOWED",
            "42000",
            "ALTER TABLE CLUSTER BY cannot be applied to a partitioned table".to_owned(),
        ));
    }
    let old = altered.snapshot.clustering_columns()?.unwrap_or_default();
    let columns = match &clustering {
        Clustering::By(columns) => columns.clone(),
        // Those that were chosen stay.
        Clustering::Auto => old.clone(),
    };
    let new = ClusteringDomain::new(&metadata, &columns)?;
    match clustering {
        Clustering::By(_) => metadata.configuration.remove(CLUSTER_BY_AUTO),
        Clustering::Auto => {
            let auto = CLUSTER_BY_AUTO.to_owned();
            metadata.configuration.insert(auto, "true".to_owned())
        }
    };
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
}

/// The property of a table whose clustering columns are chosen for it. Nothing chooses them yet.
const CLUSTER_BY_AUTO: &str = "clusterByAuto";

/// What a statement says that a table is clustered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::statement) enum Clustering {
    /// The paths of columns; of none for a table that is not clustered.
    By(Vec<Vec<String>>),
    Auto,
}

impl Clustering {
    /// Takes `(a, b.c)`, `NONE` or `AUTO`.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        if cursor.accept("NONE") {
            return Ok(Self::By(Vec::new()));
        }
        if cursor.accept("AUTO") {
            return Ok(Self::Auto);
        }
        cursor.in_parentheses(Cursor::column_path).map(Self::By)
    }

    /// Returns what a new table is made with: its columns, if any, and its properties.
    pub fn of_new_table(self, properties: &mut BTreeMap<String, String>) -> Option<Vec<Vec<String>>> {
        match self {
            Self::By(columns) => Some(columns).filter(|columns| !columns.is_empty()),
            Self::Auto => {
                properties.insert(CLUSTER_BY_AUTO.to_owned(), "true".to_owned());
                None
            }
        }
    }
}
