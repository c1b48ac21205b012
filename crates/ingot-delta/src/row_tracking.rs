//! Row tracking: ids and commit versions that stay with a table's rows.
//!
//! ```text
//! add without baseRowId ─► assign (each attempt) ─► baseRowId, defaultRowCommitVersion ─┐
//! high watermark of the version before ours ──┘                                         ├─► commit
//!                                               domain `delta.rowTracking`, raised ─────┘
//! ```
//! A row's id is its file's `baseRowId` plus its position, unless the file holds it in the materialised column. So
//! a file that keeps its rows and changes its deletion vector keeps them all, a new file of new rows is given fresh
//! ones, and a new file of rows that were there before holds theirs ([`RowIdColumns`]). Ids depend on what others
//! committed first: they are given anew for each attempt.
//!
//! Always true: on a table that supports the feature each added file has an id that no other file's rows have.
//! Source: Delta protocol, "Row Tracking".

mod backfill;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::action::DomainMetadata;
use crate::features::{enabled, enabled_in};
use crate::{Add, Error, Metadata, Protocol, Result};

/// The feature's name.
pub(crate) const FEATURE: &str = "rowTracking";

/// The domain that holds the highest id given.
pub(crate) const DOMAIN: &str = "delta.rowTracking";

/// The property under which every row can be relied upon to have its id.
pub(crate) const ENABLED: &str = "delta.enableRowTracking";

/// The property under which commits give no ids.
pub(crate) const SUSPENDED: &str = "delta.rowTrackingSuspended";

/// Names of the columns, hidden from readers, in which rewritten files keep the ids and versions of their rows.
pub(crate) const MATERIALIZED_COLUMNS: [(&str, &str); 2] = [
    ("delta.rowTracking.materializedRowIdColumnName", "_row-id-col-"),
    (
        "delta.rowTracking.materializedRowCommitVersionColumnName",
        "_row-commit-version-col-",
    ),
];

/// The columns, hidden from readers, in which files keep the ids and commit versions of rows that moved there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowIdColumns {
    pub row_id: String,
    pub row_commit_version: String,
}

impl RowIdColumns {
    /// Returns the columns of a table with these properties; `None` where rows need not keep their ids.
    pub(crate) fn of(properties: &BTreeMap<String, String>) -> Option<Self> {
        if !enabled_in(properties, ENABLED) {
            return None;
        }
        let [(row_id, _), (row_commit_version, _)] = MATERIALIZED_COLUMNS;
        Some(Self {
            row_id: properties.get(row_id)?.clone(),
            row_commit_version: properties.get(row_commit_version)?.clone(),
        })
    }

    /// Returns the columns of `schema` and these.
    pub fn extended(&self, schema: &SchemaRef) -> SchemaRef {
        let mut fields = schema.fields().to_vec();
        for name in [&self.row_id, &self.row_commit_version] {
            fields.push(Arc::new(Field::new(name, DataType::Int64, true)));
        }
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }
}

/// Says if a property names a hidden column.
pub(crate) fn names_columns(property: &str) -> bool {
    MATERIALIZED_COLUMNS.iter().any(|(name, _)| *name == property)
}

/// Returns the names of the hidden columns that files of a table with these properties may hold.
pub(crate) fn hidden_columns(properties: &BTreeMap<String, String>) -> Vec<String> {
    let names = MATERIALIZED_COLUMNS
        .iter()
        .filter_map(|(property, _)| properties.get(*property));
    names.cloned().collect()
}

/// What the domain `delta.rowTracking` says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HighWatermark {
    row_id_high_water_mark: i64,
}

/// The part of a file's statistics that ids depend on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RowCount {
    num_records: Option<i64>,
}

/// Says if commits must give ids to the files that they add.
pub(crate) fn assigns_ids(protocol: &Protocol, metadata: &Metadata) -> bool {
    let listed = protocol.writer_features.iter().flatten();
    listed.into_iter().any(|feature| feature == FEATURE) && !enabled(metadata, SUSPENDED)
}

/// Says if rows keep their ids through every change.
pub(crate) fn keeps_ids(metadata: &Metadata) -> bool {
    enabled(metadata, ENABLED)
}

/// Refuses properties that promise ids and suspend them. Source: Delta protocol, "Row Tracking".
///
/// # Errors
/// `InvalidArgument` with Delta's condition.
pub(crate) fn check_properties(properties: &BTreeMap<String, String>) -> Result<()> {
    match enabled_in(properties, ENABLED) && enabled_in(properties, SUSPENDED) {
        false => Ok(()),
        true => Err(Error::refused(
            "DELTA_ROW_TRACKING_ILLEGAL_PROPERTY_COMBINATION",
            "55000",
            format!(
                "table properties `{ENABLED}` and `{SUSPENDED}` cannot both be true; set one of them to false"
            ),
        )),
    }
}

/// Reads the highest id given so far; `None` for none.
pub(crate) fn high_watermark(domain: &DomainMetadata) -> Option<i64> {
    let parsed: HighWatermark = serde_json::from_str(&domain.configuration).ok()?;
    (!domain.removed).then_some(parsed.row_id_high_water_mark)
}

/// Gives fresh ids above `high_watermark` to the files that have none, and `version` to those without a commit
/// version. Returns the raised watermark, if it was.
///
/// # Errors
/// `Unsupported` for a file whose number of rows its statistics do not say.
pub(crate) fn assign(
    adds: &mut [Add],
    high_watermark: Option<i64>,
    version: i64,
) -> Result<Option<DomainMetadata>> {
    let before = high_watermark.unwrap_or(-1);
    let mut highest = before;
    for add in adds {
        if add.base_row_id.is_none() {
            add.base_row_id = Some(highest + 1);
            highest += rows(add)?;
        }
        add.default_row_commit_version.get_or_insert(version);
    }
    if highest == before {
        return Ok(None);
    }
    let configuration = serde_json::to_string(&HighWatermark {
        row_id_high_water_mark: highest,
    });
    Ok(Some(DomainMetadata {
        domain: DOMAIN.to_owned(),
        configuration: configuration.map_err(|error| Error::Internal {
            message: format!("writing a row id as JSON failed: {error}"),
        })?,
        removed: false,
    }))
}

/// Names the columns that rewritten files keep ids in, where `properties` do not name them yet.
pub(crate) fn name_materialized_columns(properties: &mut BTreeMap<String, String>) {
    for (property, prefix) in MATERIALIZED_COLUMNS {
        properties
            .entry(property.to_owned())
            .or_insert_with(|| format!("{prefix}{}", Uuid::new_v4()));
    }
}

/// Counts the rows that the file holds, those of its deletion vector too.
fn rows(add: &Add) -> Result<i64> {
    let stats = add.stats.as_deref();
    let count: Option<RowCount> = stats.and_then(|stats| serde_json::from_str(stats).ok());
    count
        .and_then(|count| count.num_records)
        .filter(|rows| *rows >= 0)
        .ok_or_else(|| Error::RowCountUnknown {
            path: add.path.clone(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(rows: Option<i64>, base_row_id: Option<i64>) -> Add {
        Add {
            path: "a".to_owned(),
            partition_values: BTreeMap::new(),
            size: 1,
            modification_time: 0,
            data_change: true,
            stats: rows.map(|rows| format!("{{\"numRecords\":{rows}}}")),
            tags: None,
            deletion_vector: None,
            base_row_id,
            default_row_commit_version: base_row_id.map(|_| 1),
            clustering_provider: None,
        }
    }

    #[test]
    fn fresh_ids_follow_the_watermark_and_kept_ones_stay() {
        let mut adds = [add(Some(3), None), add(Some(9), Some(0)), add(Some(2), None)];
        let domain = assign(&mut adds, Some(8), 7).expect("ids").expect("raised");
        let ids: Vec<_> = adds
            .iter()
            .map(|add| (add.base_row_id, add.default_row_commit_version))
            .collect();
        assert_eq!(ids, [(Some(9), Some(7)), (Some(0), Some(1)), (Some(12), Some(7))]);
        assert_eq!(high_watermark(&domain), Some(13));
    }

    #[test]
    fn the_first_id_is_zero_and_an_empty_file_raises_nothing() {
        let mut adds = [add(Some(0), None)];
        assert!(assign(&mut adds, None, 1).expect("ids").is_none());
        assert_eq!(adds[0].base_row_id, Some(0));
    }

    #[test]
    fn a_file_of_unknown_length_is_refused() {
        let outcome = assign(&mut [add(None, None)], None, 1);
        assert!(
            matches!(outcome, Err(Error::RowCountUnknown { .. })),
            "{outcome:?}"
        );
    }
}
