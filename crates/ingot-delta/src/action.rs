//! The actions of a Delta log file, as they stand in JSON.
//!
//! Fields that Ingot does not know are not kept: an action is written only by the operation that made it.
//! Source: Delta protocol, "Actions".

use std::collections::{BTreeMap, HashMap};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

/// One line of a commit file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    CommitInfo(CommitInfo),
    Protocol(Protocol),
    #[serde(rename = "metaData")]
    Metadata(Metadata),
    Txn(Txn),
    Add(Add),
    Remove(Remove),
    Cdc(AddCdcFile),
    DomainMetadata(DomainMetadata),
    /// An action that no rule of ours looks into.
    #[serde(untagged)]
    Other(serde_json::Map<String, serde_json::Value>),
}

/// A data file that is part of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Add {
    /// Percent-encoded path, relative to the table's root or absolute.
    pub path: String,
    /// Serialized values by physical column name; `None` is null.
    pub partition_values: BTreeMap<String, Option<String>>,
    /// Bytes.
    pub size: i64,
    /// Milliseconds since the epoch.
    pub modification_time: i64,
    /// `false` when the rows were in the table before, in other files.
    pub data_change: bool,
    /// JSON: `numRecords`, `minValues`, `maxValues`, `nullCount`, `tightBounds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<HashMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_vector: Option<DeletionVectorDescriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_row_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_row_commit_version: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clustering_provider: Option<String>,
}

/// A data file that is no longer part of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remove {
    pub path: String,
    /// Milliseconds since the epoch; the file may be vacuumed a retention period later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<i64>,
    pub data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_file_metadata: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_values: Option<BTreeMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<HashMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_vector: Option<DeletionVectorDescriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_row_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_row_commit_version: Option<i64>,
}

/// Where the deleted rows of a file are listed. Source: Delta protocol, "Deletion Vectors".
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletionVectorDescriptor {
    pub storage_type: String,
    pub path_or_inline_dv: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i32>,
    pub size_in_bytes: i32,
    pub cardinality: i64,
}

impl Add {
    /// Makes the action that takes this file out of the table at `deletion_timestamp`, milliseconds.
    pub fn to_remove(&self, deletion_timestamp: i64, data_change: bool) -> Remove {
        Remove {
            path: self.path.clone(),
            deletion_timestamp: Some(deletion_timestamp),
            data_change,
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition_values.clone()),
            size: Some(self.size),
            stats: self.stats.clone(),
            tags: self.tags.clone(),
            deletion_vector: self.deletion_vector.clone(),
            base_row_id: self.base_row_id,
            default_row_commit_version: self.default_row_commit_version,
        }
    }
}

/// A file of changed rows, read by the change data feed in place of the commit's data files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddCdcFile {
    /// Percent-encoded path, relative to the table's root or absolute.
    pub path: String,
    /// Serialized values by physical column name; `None` is null.
    pub partition_values: BTreeMap<String, Option<String>>,
    /// Bytes.
    pub size: i64,
    /// Always `false`.
    pub data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<HashMap<String, Option<String>>>,
}

/// Name, schema, partitioning and properties of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub format: Format,
    /// The schema as Delta's JSON.
    pub schema_string: String,
    pub partition_columns: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<i64>,
    #[serde(default)]
    pub configuration: BTreeMap<String, String>,
}

/// The format of data files: always Parquet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    pub provider: String,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl Default for Format {
    fn default() -> Self {
        Self {
            provider: "parquet".to_owned(),
            options: BTreeMap::new(),
        }
    }
}

/// What a reader and a writer must understand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Protocol {
    pub min_reader_version: i32,
    pub min_writer_version: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_features: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer_features: Option<Vec<String>>,
}

/// The newest version that an application has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Txn {
    pub app_id: String,
    pub version: i64,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
}

/// A named configuration in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainMetadata {
    pub domain: String,
    pub configuration: String,
    pub removed: bool,
}

/// Who made a commit, how and why. The protocol fixes only `inCommitTimestamp`; the rest is Spark's, and other
/// writers may put values of other types there: those are left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitInfo {
    /// Milliseconds; larger than the previous commit's. First in the file when the feature is on.
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub in_commit_timestamp: Option<i64>,
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub timestamp: Option<i64>,
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub user_id: Option<String>,
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub user_name: Option<String>,
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub operation: Option<String>,
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub operation_parameters: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub read_version: Option<i64>,
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub isolation_level: Option<String>,
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub is_blind_append: Option<bool>,
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub operation_metrics: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub user_metadata: Option<String>,
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub engine_info: Option<String>,
    /// Unique for each attempt to commit: tells our own commit from another's when an outcome is unknown.
    #[serde(
        default,
        deserialize_with = "if_it_fits",
        skip_serializing_if = "Option::is_none"
    )]
    pub txn_id: Option<String>,
    /// What other writers put here.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

fn if_it_fits<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// Finds the commit info among the actions of a commit.
pub(crate) fn commit_info(commit: &[Action]) -> Option<&CommitInfo> {
    commit.iter().find_map(|action| match action {
        Action::CommitInfo(info) => Some(info),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    const SPARK_COMMIT: &str = r#"{"commitInfo":{"inCommitTimestamp":1718893570000,"timestamp":1718893570001,"operation":"MERGE","operationParameters":{"predicate":"[\"(id#1L = id#2L)\"]","matchedPredicates":"[{\"actionType\":\"update\"}]"},"readVersion":4,"isolationLevel":"WriteSerializable","isBlindAppend":false,"operationMetrics":{"numTargetRowsCopied":"3","scanTimeMs":"1120"},"engineInfo":"Apache-Spark/3.5.1 Delta-Lake/3.2.0","txnId":"d1fe4f4f-9a4e-4e4a-8ddd-dd0b6fd1e7e9","tags":{"restoresDeletedRows":"false"}}}"#;
    const SPARK_ADD: &str = r#"{"add":{"path":"date=2024-06-20/part-00000-0b0a4f1c.c000.snappy.parquet","partitionValues":{"date":"2024-06-20","region":null},"size":842,"modificationTime":1718893569000,"dataChange":true,"stats":"{\"numRecords\":2}","tags":{"INSERTION_TIME":"1718893569000000"},"deletionVector":{"storageType":"u","pathOrInlineDv":"ab^-aqEH.-t@S}K{vb[*k^","offset":4,"sizeInBytes":40,"cardinality":6},"baseRowId":0,"defaultRowCommitVersion":3,"clusteringProvider":"liquid"}}"#;
    const SPARK_REMOVE: &str = r#"{"remove":{"path":"part-00001.snappy.parquet","deletionTimestamp":1718893570000,"dataChange":false,"extendedFileMetadata":true,"partitionValues":{},"size":842,"tags":{}}}"#;
    const SPARK_METADATA: &str = r#"{"metaData":{"id":"af23c9d7","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[]}","partitionColumns":[],"createdTime":1718893500000,"configuration":{"delta.enableDeletionVectors":"true"}}}"#;
    const SPARK_PROTOCOL: &str = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors","invariants","appendOnly"]}}"#;
    const SPARK_TXN: &str = r#"{"txn":{"appId":"3ba13872-2d47-4e17-86a0-21afd2a22395","version":364475,"lastUpdated":1718893570000}}"#;
    const SPARK_DOMAIN: &str =
        r#"{"domainMetadata":{"domain":"delta.clustering","configuration":"{}","removed":false}}"#;
    const SPARK_CDC: &str = r#"{"cdc":{"path":"_change_data/cdc-00001-c000.snappy.parquet","partitionValues":{"day":"2024-06-20"},"size":1213,"dataChange":false}}"#;
    const DELTA_RS_COMMIT: &str = r#"{"commitInfo":{"timestamp":1718893570000,"operation":"WRITE","operationParameters":{"mode":"Append","partitionBy":"[]"},"engineInfo":"delta-rs:py-1.1.4","operationMetrics":{"execution_time_ms":12,"num_added_rows":3},"clientVersion":"delta-rs.py-1.1.4"}}"#;
    const DELTA_RS_METADATA: &str = r#"{"metaData":{"id":"5fba94ed","name":"events","description":"what happened","format":{"provider":"parquet","options":{}},"schemaString":"{}","partitionColumns":["day"],"createdTime":1718893500000,"configuration":{}}}"#;

    #[test_case(SPARK_COMMIT; "spark commit info")]
    #[test_case(SPARK_ADD; "spark add")]
    #[test_case(SPARK_REMOVE; "spark remove")]
    #[test_case(SPARK_METADATA; "spark metadata")]
    #[test_case(SPARK_PROTOCOL; "spark protocol")]
    #[test_case(SPARK_TXN; "spark txn")]
    #[test_case(SPARK_DOMAIN; "spark domain metadata")]
    #[test_case(SPARK_CDC; "spark change data")]
    #[test_case(DELTA_RS_COMMIT; "delta-rs commit info")]
    #[test_case(DELTA_RS_METADATA; "delta-rs metadata")]
    #[test_case(r#"{"somethingNew":{"x":[1,2]}}"#; "an action of a later protocol")]
    fn lines_of_other_writers_come_back_as_they_were(line: &str) {
        let action: Action = serde_json::from_str(line).expect("parses");
        let known = !line.contains("somethingNew");
        assert_eq!(!matches!(action, Action::Other(_)), known);
        let written = serde_json::to_value(&action).expect("serializes");
        let expected: serde_json::Value = serde_json::from_str(line).expect("json");
        assert_eq!(written, expected);
    }

    #[test]
    fn unknown_fields_of_an_add_are_skipped() {
        let line = r#"{"add":{"path":"a","partitionValues":{},"size":1,"modificationTime":2,"dataChange":true,"later":{"x":1}}}"#;
        let action: Action = serde_json::from_str(line).expect("parses");
        assert!(
            matches!(&action, Action::Add(add) if add.path == "a"),
            "{action:?}"
        );
    }

    #[test]
    fn commit_info_of_unusual_types_is_read_as_far_as_it_fits() {
        let line = r#"{"commitInfo":{"timestamp":"yesterday","userId":7,"operationParameters":[],"isBlindAppend":true,"txnId":"t"}}"#;
        let action: Action = serde_json::from_str(line).expect("parses");
        let info = commit_info(std::slice::from_ref(&action)).expect("commit info");
        assert_eq!((info.timestamp, &info.user_id), (None, &None));
        assert_eq!(
            (info.is_blind_append, info.txn_id.as_deref()),
            (Some(true), Some("t"))
        );
    }
}
