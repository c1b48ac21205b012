//! Which changes of the table itself a commit can follow that was staged before them.
//!
//! Most cannot be followed: the files were written under the old rules. Followed are changes after which those
//! files are as right as before: a feature switched on that asks nothing of files written earlier, or only what
//! each attempt gives anew (time, row ids); and identity columns that counted on.
//! Source: Spark's `ConflictChecker` (`checkProtocolCompatibility`, `attemptToResolveMetadataConflicts`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::column::IDENTITY_HIGH_WATER_MARK;
use crate::features::{enabled, supported};
use crate::row_tracking;
use crate::schema::strip_field_metadata;
use crate::{Metadata, Protocol};

/// Features that ask nothing of a commit which was staged before they were listed.
const FOLLOWED_FEATURES: [&str; 12] = [
    "appendOnly",
    "changeDataFeed",
    "columnMapping",
    "deletionVectors",
    "domainMetadata",
    "inCommitTimestamp",
    "rowTracking",
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];

/// What is written into the schema for each column when column mapping is switched on.
const COLUMN_MAPPING_PREFIX: &str = "delta.columnMapping.";

const COLUMN_MAPPING_MODE: &str = "delta.columnMapping.mode";

/// Says if a commit that was staged under `before` is right under `after`, where the feature lists are concerned.
pub(super) fn protocol_is_followed(before: &Protocol, after: &Protocol) -> bool {
    let had = supported(before);
    let has = supported(after);
    let mut added = has.difference(&had);
    after.min_reader_version >= before.min_reader_version
        && after.min_writer_version >= before.min_writer_version
        && had.is_subset(&has)
        && added.all(|feature| FOLLOWED_FEATURES.contains(feature))
}

/// Says if a commit that was staged under `before` and stages no metadata is right under `after`. `protocol` is
/// the one in force with `after`.
pub(super) fn metadata_is_followed(before: &Metadata, after: &Metadata, protocol: &Protocol) -> bool {
    let same_table = Metadata {
        schema_string: after.schema_string.clone(),
        configuration: after.configuration.clone(),
        ..before.clone()
    } == *after;
    same_table
        && properties_are_followed(&before.configuration, after, protocol)
        && schema_is_followed(before, after)
}

/// Says if `after` is `before` with identity columns that counted on, and nothing else.
pub(crate) fn counts_identities_only(before: &Metadata, after: &Metadata) -> bool {
    let same_but_schema = Metadata {
        schema_string: after.schema_string.clone(),
        ..before.clone()
    } == *after;
    let is_watermark = |key: &str| key == IDENTITY_HIGH_WATER_MARK;
    same_but_schema
        && before.schema_string != after.schema_string
        && same_schema_without(before, after, &is_watermark)
}

fn properties_are_followed(
    before: &BTreeMap<String, String>,
    metadata: &Metadata,
    protocol: &Protocol,
) -> bool {
    let after = &metadata.configuration;
    let none_removed = before.keys().all(|key| after.contains_key(key));
    let changed = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value));
    let lists = |feature: &str| supported(protocol).contains(feature);
    let on = |value: &str| value.eq_ignore_ascii_case("true");
    let followed = |key: &str, value: &str| match key {
        "delta.enableDeletionVectors" => on(value) && lists("deletionVectors"),
        "delta.checkpointPolicy" => value == "v2" && lists("v2Checkpoint"),
        row_tracking::ENABLED => on(value) && lists(row_tracking::FEATURE),
        "delta.enableInCommitTimestamps" => on(value) && lists("inCommitTimestamp"),
        "delta.inCommitTimestampEnablementVersion" | "delta.inCommitTimestampEnablementTimestamp" => {
            !before.contains_key(key)
        }
        COLUMN_MAPPING_MODE => maps_columns_anew(before, after) && lists("columnMapping"),
        "delta.columnMapping.maxColumnId" => true,
        key if row_tracking::names_columns(key) => enabled(metadata, row_tracking::ENABLED),
        _ => false,
    };
    none_removed && changed.into_iter().all(|(key, value)| followed(key, value))
}

/// Files written before columns were mapped by name are named by the columns' names, which stay their physical ones.
fn maps_columns_anew(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> bool {
    let mode = |properties: &BTreeMap<String, String>| {
        let mode = properties.get(COLUMN_MAPPING_MODE);
        mode.map_or_else(|| "none".to_owned(), |mode| mode.to_ascii_lowercase())
    };
    mode(before) == "none" && mode(after) == "name"
}

fn schema_is_followed(before: &Metadata, after: &Metadata) -> bool {
    let mapped = maps_columns_anew(&before.configuration, &after.configuration);
    let may_differ =
        |key: &str| key == IDENTITY_HIGH_WATER_MARK || (mapped && key.starts_with(COLUMN_MAPPING_PREFIX));
    before.schema_string == after.schema_string || same_schema_without(before, after, &may_differ)
}

/// Compares schemas but for field metadata of some keys. Schemas that cannot be read differ.
fn same_schema_without(before: &Metadata, after: &Metadata, skipped: &dyn Fn(&str) -> bool) -> bool {
    let read = |metadata: &Metadata| {
        let mut schema: Value = serde_json::from_str(&metadata.schema_string).ok()?;
        strip_field_metadata(&mut schema, skipped);
        Some(schema)
    };
    let before = read(before);
    before.is_some() && before == read(after)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn protocol(reader: i32, writer: i32, features: &[&str]) -> Protocol {
        let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
        Protocol {
            min_reader_version: reader,
            min_writer_version: writer,
            reader_features: (reader == 3).then(Vec::new),
            writer_features: (writer == 7).then_some(features),
        }
    }

    fn metadata(schema: &str, properties: &[(&str, &str)]) -> Metadata {
        Metadata {
            id: "t".to_owned(),
            name: None,
            description: None,
            format: crate::action::Format::default(),
            schema_string: schema.to_owned(),
            partition_columns: Vec::new(),
            created_time: None,
            configuration: properties
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn schema(field_metadata: &str) -> String {
        format!(
            r#"{{"type":"struct","fields":[{{"name":"id","type":"long","nullable":true,"metadata":{field_metadata}}}]}}"#
        )
    }

    #[test_case(&protocol(3, 7, &["deletionVectors"]), true; "a feature that asks nothing")]
    #[test_case(&protocol(3, 7, &["rowTracking", "domainMetadata"]), true; "ids are given at each attempt")]
    #[test_case(&protocol(3, 7, &["checkConstraints"]), false; "a rule on rows")]
    #[test_case(&protocol(3, 7, &["clustering", "domainMetadata"]), false; "clustering")]
    #[test_case(&protocol(1, 7, &[]), false; "reader version lowered")]
    fn protocols_are_followed_by_the_features_added(after: &Protocol, followed: bool) {
        assert_eq!(protocol_is_followed(&protocol(3, 7, &[]), after), followed);
    }

    #[test_case(&["appendOnly", "invariants"], true; "the same rules as a list")]
    #[test_case(&["appendOnly", "invariants", "deletionVectors"], true; "and one that asks nothing")]
    #[test_case(&["appendOnly"], false; "a rule dropped")]
    fn upgrades_of_legacy_protocols_are_followed(listed: &[&str], followed: bool) {
        let after = protocol(1, 7, listed);
        assert_eq!(protocol_is_followed(&protocol(1, 2, &[]), &after), followed);
    }

    #[test_case(&[("delta.enableDeletionVectors", "true")], true)]
    #[test_case(&[("delta.enableDeletionVectors", "false")], false)]
    #[test_case(&[("delta.enableRowTracking", "true"), ("delta.rowTracking.materializedRowIdColumnName", "x")], true)]
    #[test_case(&[("delta.rowTracking.materializedRowIdColumnName", "x")], false; "a name alone")]
    #[test_case(&[("delta.enableInCommitTimestamps", "true"), ("delta.inCommitTimestampEnablementVersion", "3")], true)]
    #[test_case(&[("delta.checkpointPolicy", "v2")], true)]
    #[test_case(&[("delta.checkpointPolicy", "classic")], false)]
    #[test_case(&[("delta.appendOnly", "true")], false)]
    #[test_case(&[("delta.enableChangeDataFeed", "true")], false)]
    #[test_case(&[("delta.logRetentionDuration", "interval 1 days")], false)]
    #[test_case(&[("owner", "ann")], false; "a property of the user's")]
    #[test_case(&[], true; "nothing")]
    fn properties_are_followed_by_what_they_ask(added: &[(&str, &str)], followed: bool) {
        let protocol = protocol(
            3,
            7,
            &[
                "deletionVectors",
                "rowTracking",
                "inCommitTimestamp",
                "v2Checkpoint",
            ],
        );
        let outcome = metadata_is_followed(&metadata("{}", &[]), &metadata("{}", added), &protocol);
        assert_eq!(outcome, followed);
    }

    #[test]
    fn a_property_that_goes_away_is_not_followed() {
        let before = metadata("{}", &[("owner", "ann")]);
        let outcome = metadata_is_followed(&before, &metadata("{}", &[]), &protocol(3, 7, &[]));
        assert!(!outcome);
    }

    #[test_case(r#"{"delta.identity.start":1,"delta.identity.highWaterMark":9}"#, true; "identities counted on")]
    #[test_case(r#"{"delta.identity.start":2}"#, false; "another start")]
    #[test_case(r#"{"delta.identity.start":1,"comment":"c"}"#, false; "a comment too")]
    fn identities_that_counted_on_are_followed(after: &str, followed: bool) {
        let before = metadata(&schema(r#"{"delta.identity.start":1}"#), &[]);
        let after = metadata(&schema(after), &[]);
        assert_eq!(
            metadata_is_followed(&before, &after, &protocol(3, 7, &[])),
            followed
        );
        assert_eq!(counts_identities_only(&before, &after), followed);
    }

    #[test_case("name", true)]
    #[test_case("id", false)]
    fn mapping_columns_by_name_is_followed(mode: &str, followed: bool) {
        let before = metadata(&schema("{}"), &[]);
        let mapped = schema(r#"{"delta.columnMapping.id":1,"delta.columnMapping.physicalName":"id"}"#);
        let after = metadata(
            &mapped,
            &[
                ("delta.columnMapping.mode", mode),
                ("delta.columnMapping.maxColumnId", "1"),
            ],
        );
        let protocol = protocol(3, 7, &["columnMapping"]);
        assert_eq!(metadata_is_followed(&before, &after, &protocol), followed);
    }

    #[test]
    fn a_new_column_is_not_followed() {
        let before = metadata(r#"{"type":"struct","fields":[]}"#, &[]);
        let after = metadata(&schema("{}"), &[]);
        assert!(!metadata_is_followed(&before, &after, &protocol(3, 7, &[])));
    }
}
