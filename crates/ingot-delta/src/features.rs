//! The table features of Delta: one table of all of them, and what it means to read or write a table that has them.
//!
//! ```text
//! reading ── check_readable: every reader feature that is listed is honoured
//! writing ── check_writable: every feature that is listed (or implied by a legacy version) is honoured for the
//!            operation
//! new metadata ── protocol::upgraded: the features that it uses are listed, or it is refused
//! ```
//!
//! Always true: a feature that the table below does not have is refused. Row tracking binds as soon as it is listed:
//! writers give row ids then. Statements turn on only what is honoured for reading, appending and changing rows.
//! Source: Delta protocol, "Table Features", "Valid Feature Names in Table Features", "Row Tracking".

mod protocol;
mod removal;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub(crate) use self::protocol::{merged, new_protocol, protocol_property, upgraded};
pub(crate) use self::removal::{
    CHECKPOINT_PROTECTION, PROTECTED_BEFORE, ROW_TRACKING_PROPERTIES, Removable, drops, removable,
    with_checkpoint_protection, without,
};
use crate::properties::CONSTRAINT_PREFIX;
use crate::{Error, Metadata, Protocol, Result, change_feed, column, row_tracking, schema};

/// Reader and writer version of tables with feature lists. Source: Delta protocol.
pub(crate) const READER_VERSION: i32 = 3;
pub(crate) const WRITER_VERSION: i32 = 7;

/// The property that makes commits carry their own time, and its feature.
pub(crate) const IN_COMMIT_TIMESTAMPS: &str = "delta.enableInCommitTimestamps";
pub(crate) const IN_COMMIT_TIMESTAMP: &str = "inCommitTimestamp";

/// What a write does to the rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteOperation {
    /// Leaves them.
    Append,
    /// Takes rows out or changes them.
    ChangeRows,
}

/// How far an operation keeps to the rules of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Support {
    /// Keeps to them.
    Honoured,
    /// Would break them as soon as the feature is listed.
    Refused,
}

use Support::{Honoured, Refused};

/// How metadata tells that a table uses a feature.
#[derive(Debug, Clone, Copy)]
enum Use {
    /// Metadata does not tell: whoever uses the feature lists it first.
    Untold,
    /// This property is `true`.
    Property(&'static str),
    Metadata(fn(&Metadata) -> bool),
}

/// One feature.
#[derive(Debug)]
struct Feature {
    name: &'static str,
    /// Binds readers too.
    readers: bool,
    /// The legacy reader and writer version from which on every table has it.
    legacy: Option<(i32, i32)>,
    usage: Use,
    /// Features that must be listed with it.
    requires: &'static [&'static str],
    read: Support,
    append: Support,
    change_rows: Support,
}

/// All features that Delta defines, and what is done with them here.
const FEATURES: [Feature; 30] = [
    writers("appendOnly")
        .legacy(1, 2)
        .used(Use::Property("delta.appendOnly")),
    writers("invariants").legacy(1, 2).used(Use::Metadata(|metadata| {
        has_field_with(metadata, column::INVARIANTS) || schema::has_not_null(metadata)
    })),
    writers("checkConstraints")
        .legacy(1, 3)
        .used(Use::Metadata(|metadata| {
            let mut keys = metadata.configuration.keys();
            keys.any(|key| key.starts_with(CONSTRAINT_PREFIX))
        })),
    writers("changeDataFeed")
        .legacy(1, 4)
        .used(Use::Property(change_feed::ENABLED)),
    writers("generatedColumns")
        .legacy(1, 4)
        .used(Use::Metadata(|metadata| {
            has_field_with(metadata, column::GENERATION_EXPRESSION)
        })),
    everyone("columnMapping")
        .legacy(2, 5)
        .used(Use::Metadata(|metadata| {
            let mode = metadata.configuration.get("delta.columnMapping.mode");
            mode.is_some_and(|mode| !mode.eq_ignore_ascii_case("none"))
        })),
    writers("identityColumns")
        .legacy(1, 6)
        .used(Use::Metadata(|metadata| {
            has_field_with(metadata, "delta.identity.")
        })),
    writers("allowColumnDefaults").used(Use::Metadata(|metadata| {
        has_field_with(metadata, column::CURRENT_DEFAULT)
    })),
    everyone("deletionVectors").used(Use::Property("delta.enableDeletionVectors")),
    everyone("timestampNtz").used(Use::Metadata(schema::has_timestamp_ntz)),
    // Stands in old tables for `timestampNtz`.
    everyone("timestampWithoutTimezone").written(Refused, Refused),
    everyone("typeWidening").used(Use::Property("delta.enableTypeWidening")),
    everyone("typeWidening-preview"),
    everyone("v2Checkpoint").used(Use::Metadata(|metadata| {
        let policy = metadata.configuration.get("delta.checkpointPolicy");
        policy.is_some_and(|policy| policy.eq_ignore_ascii_case("v2"))
    })),
    everyone("vacuumProtocolCheck"),
    writers("domainMetadata"),
    // Binds writers to statistics of the clustering columns, which files have whatever the properties say.
    writers("clustering").requires(&["domainMetadata"]),
    writers(row_tracking::FEATURE)
        .used(Use::Property(row_tracking::ENABLED))
        .requires(&["domainMetadata"]),
    writers(IN_COMMIT_TIMESTAMP).used(Use::Property(IN_COMMIT_TIMESTAMPS)),
    writers(CHECKPOINT_PROTECTION),
    everyone("variantType").written(Refused, Refused),
    everyone("variantType-preview").written(Refused, Refused),
    everyone("variantShredding")
        .requires(&["variantType"])
        .read(Refused)
        .written(Refused, Refused),
    everyone("variantShredding-preview")
        .read(Refused)
        .written(Refused, Refused),
    writers("icebergCompatV1")
        .used(Use::Property("delta.enableIcebergCompatV1"))
        .requires(&["columnMapping"])
        .written(Refused, Refused),
    writers("icebergCompatV2")
        .used(Use::Property("delta.enableIcebergCompatV2"))
        .requires(&["columnMapping"])
        .written(Refused, Refused),
    writers("icebergCompatV3")
        .used(Use::Property("delta.enableIcebergCompatV3"))
        .requires(&["columnMapping", "rowTracking"])
        .written(Refused, Refused),
    writers("materializePartitionColumns")
        .used(Use::Property("delta.enableMaterializePartitionColumnsFeature"))
        .written(Refused, Refused),
    writers("coordinatedCommits-preview")
        .requires(&[IN_COMMIT_TIMESTAMP, "vacuumProtocolCheck"])
        .written(Refused, Refused),
    everyone("catalogManaged")
        .requires(&[IN_COMMIT_TIMESTAMP, "vacuumProtocolCheck"])
        .read(Refused)
        .written(Refused, Refused),
];

/// A feature that binds writers only, honoured by all operations.
const fn writers(name: &'static str) -> Feature {
    Feature {
        name,
        readers: false,
        legacy: None,
        usage: Use::Untold,
        requires: &[],
        read: Honoured,
        append: Honoured,
        change_rows: Honoured,
    }
}

/// A feature that binds readers and writers, honoured by all operations.
const fn everyone(name: &'static str) -> Feature {
    let mut feature = writers(name);
    feature.readers = true;
    feature
}

impl Feature {
    const fn legacy(mut self, reader: i32, writer: i32) -> Self {
        self.legacy = Some((reader, writer));
        self
    }

    const fn used(mut self, usage: Use) -> Self {
        self.usage = usage;
        self
    }

    const fn requires(mut self, features: &'static [&'static str]) -> Self {
        self.requires = features;
        self
    }

    const fn read(mut self, support: Support) -> Self {
        self.read = support;
        self
    }

    const fn written(mut self, append: Support, change_rows: Support) -> Self {
        self.append = append;
        self.change_rows = change_rows;
        self
    }

    fn used_by(&self, metadata: &Metadata) -> bool {
        match self.usage {
            Use::Untold => false,
            Use::Property(property) => enabled(metadata, property),
            Use::Metadata(used_by) => used_by(metadata),
        }
    }

    /// Says if a table has the feature: by its lists, or by its legacy versions.
    fn supported_by(&self, protocol: &Protocol) -> bool {
        match (&protocol.writer_features, self.legacy) {
            (Some(listed), _) => listed.iter().any(|name| name == self.name),
            (None, Some((reader, writer))) => {
                protocol.min_reader_version >= reader && protocol.min_writer_version >= writer
            }
            (None, None) => false,
        }
    }

    fn supports(&self) -> [Support; 3] {
        [self.read, self.append, self.change_rows]
    }
}

/// Returns the features that a table has: those listed, known or not, and those of its legacy versions.
pub(crate) fn supported(protocol: &Protocol) -> BTreeSet<&str> {
    let listed = protocol.writer_features.iter().chain(&protocol.reader_features);
    let implied = FEATURES.iter().filter(|feature| feature.supported_by(protocol));
    listed
        .flatten()
        .map(String::as_str)
        .chain(implied.map(|feature| feature.name))
        .collect()
}

fn feature(name: &str) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.name == name)
}

/// Refuses a table that needs a reader feature which readers of this crate do not have.
///
/// # Errors
/// `Unsupported`, naming the feature.
pub(crate) fn check_readable(location: &str, protocol: &Protocol) -> Result<()> {
    let refuse = |feature: String| {
        Err(Error::UnsupportedFeature {
            location: location.to_owned(),
            feature,
            operation: "reading",
        })
    };
    if protocol.min_reader_version > READER_VERSION {
        return refuse(format!("minReaderVersion {}", protocol.min_reader_version));
    }
    let mut listed = protocol.reader_features.iter().flatten();
    let unread = listed.find(|name| !feature(name).is_some_and(|feature| feature.read == Honoured));
    unread.map_or(Ok(()), |name| refuse(name.clone()))
}

/// Refuses a table whose rules a write of ours would break.
///
/// # Errors
/// `Unsupported`, naming the feature.
pub(crate) fn check_writable(
    location: &str,
    protocol: &Protocol,
    metadata: &Metadata,
    operation: WriteOperation,
) -> Result<()> {
    let name = match operation {
        WriteOperation::Append => "append",
        WriteOperation::ChangeRows => "changing rows",
    };
    let refuse = |feature: &str| {
        Err(Error::UnsupportedFeature {
            location: location.to_owned(),
            feature: feature.to_owned(),
            operation: name,
        })
    };
    if protocol.min_writer_version > WRITER_VERSION {
        return refuse(&format!("writer version {}", protocol.min_writer_version));
    }
    for feature in &FEATURES {
        let support = match operation {
            WriteOperation::Append => feature.append,
            WriteOperation::ChangeRows => feature.change_rows,
        };
        let breaks = match support {
            Honoured => false,
            Refused => feature.supported_by(protocol) || feature.used_by(metadata),
        };
        if breaks {
            return refuse(feature.name);
        }
    }
    let mut listed = protocol.writer_features.iter().flatten();
    if let Some(unknown) = listed.find(|name| feature(name).is_none()) {
        return refuse(unknown);
    }
    if operation == WriteOperation::ChangeRows && enabled(metadata, "delta.appendOnly") {
        return refuse("appendOnly");
    }
    Ok(())
}

/// Says if a property is `true`.
pub(crate) fn enabled(metadata: &Metadata, property: &str) -> bool {
    enabled_in(&metadata.configuration, property)
}

/// Says if a property is `true` among these.
pub(crate) fn enabled_in(properties: &BTreeMap<String, String>, property: &str) -> bool {
    let value = properties.get(property);
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Says if a property tells of the log itself, so that it stays whatever the table becomes, and belongs to this log alone.
pub(crate) fn of_log(property: &str) -> bool {
    property.starts_with("delta.inCommitTimestamp") || property == PROTECTED_BEFORE
}

/// Says if commits carry their own time.
pub(crate) fn in_commit_timestamps(metadata: &Metadata) -> bool {
    enabled(metadata, IN_COMMIT_TIMESTAMPS)
}

/// Refuses domain metadata where the protocol does not list its feature: other writers would drop it.
///
/// # Errors
/// `InvalidArgument`, naming the domain.
pub(crate) fn check_domain_metadata(protocol: &Protocol, domain: &str) -> Result<()> {
    let mut listed = protocol.writer_features.iter().flatten();
    match listed.any(|feature| feature == "domainMetadata") {
        true => Ok(()),
        false => Err(Error::InvalidArgument {
            message: format!(
                "domain `{domain}` cannot be set: the table lacks feature `domainMetadata`; set table property \
                 `delta.feature.domainMetadata` to `supported`"
            ),
        }),
    }
}

/// Says if a field, at any depth, has metadata under a key that begins with `prefix`.
fn has_field_with(metadata: &Metadata, prefix: &str) -> bool {
    // Most tables have none, and their schemas need not be parsed to know that.
    if !metadata.schema_string.contains(prefix) {
        return false;
    }
    let schema: Option<Value> = serde_json::from_str(&metadata.schema_string).ok();
    // What cannot be parsed is no reason to believe that there is none.
    schema.is_none_or(|schema| holds_key(&schema, prefix))
}

fn holds_key(schema: &Value, prefix: &str) -> bool {
    match schema {
        Value::Object(object) => object.iter().any(|(key, value)| match (key.as_str(), value) {
            ("metadata", Value::Object(metadata)) => metadata.keys().any(|key| key.starts_with(prefix)),
            (_, value) => holds_key(value, prefix),
        }),
        Value::Array(values) => values.iter().any(|value| holds_key(value, prefix)),
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use test_case::test_case;

    use super::*;

    pub(crate) fn metadata(schema: &str, properties: &[(&str, &str)]) -> Metadata {
        Metadata {
            id: "id".to_owned(),
            name: None,
            description: None,
            format: crate::action::Format::default(),
            schema_string: schema.to_owned(),
            partition_columns: Vec::new(),
            created_time: None,
            configuration: properties
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        }
    }

    pub(super) fn protocol(version: i32, features: &[&str]) -> Protocol {
        let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
        Protocol {
            min_reader_version: 1,
            min_writer_version: version,
            reader_features: None,
            writer_features: (version == 7).then_some(features),
        }
    }

    #[test]
    fn the_table_is_consistent() {
        for one in &FEATURES {
            assert!(
                one.readers || one.read == Honoured,
                "{} binds no reader",
                one.name
            );
            for required in one.requires {
                assert!(feature(required).is_some(), "{} requires {required}", one.name);
            }
            let twice = FEATURES.iter().filter(|other| other.name == one.name).count();
            assert_eq!(twice, 1, "{}", one.name);
        }
    }

    #[test_case(4, &[], &[], None; "legacy version whose features are not used")]
    #[test_case(4, &[], &[("delta.constraints.positive", "x > 0")], None; "constraints are kept to")]
    #[test_case(7, &["changeDataFeed"], &[], None; "listed and off")]
    #[test_case(7, &["changeDataFeed"], &[("delta.enableChangeDataFeed", "true")], None; "change data feed on")]
    #[test_case(7, &["columnMapping"], &[("delta.columnMapping.mode", "name")], None; "honoured")]
    #[test_case(7, &["rowTracking"], &[], None; "row ids are given")]
    #[test_case(7, &["icebergCompatV2"], &[], Some("icebergCompatV2"))]
    #[test_case(7, &["fromTheFuture"], &[], Some("fromTheFuture"))]
    #[test_case(8, &[], &[], Some("writer version 8"))]
    fn append_is_refused_by_feature(
        version: i32,
        features: &[&str],
        properties: &[(&str, &str)],
        refused: Option<&str>,
    ) {
        let outcome = check_writable(
            "t",
            &protocol(version, features),
            &metadata("{}", properties),
            WriteOperation::Append,
        );
        let feature = outcome.err().map(|error| match error {
            Error::UnsupportedFeature { feature, .. } => feature,
            other => panic!("unexpected {other}"),
        });
        assert_eq!(feature.as_deref(), refused);
    }

    #[test]
    fn append_only_tables_refuse_changes_and_take_appends() {
        let metadata = metadata("{}", &[("delta.appendOnly", "true")]);
        let protocol = protocol(7, &["appendOnly"]);
        assert!(check_writable("t", &protocol, &metadata, WriteOperation::Append).is_ok());
        assert!(check_writable("t", &protocol, &metadata, WriteOperation::ChangeRows).is_err());
    }

    #[test]
    fn use_is_told_by_keys_of_fields_and_not_by_words_in_comments() {
        let nested = r#"{"type":"struct","fields":[{"name":"a","type":{"type":"array","elementType":{"type":"struct",
            "fields":[{"name":"x","type":"long","nullable":true,"metadata":{"delta.identity.start":1}}]},
            "containsNull":true},"nullable":true,"metadata":{}}]}"#;
        assert!(has_field_with(&metadata(nested, &[]), "delta.identity."));
        let comment = r#"{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,
            "metadata":{"comment":"no \"delta.identity.start\" here"}}]}"#;
        assert!(!has_field_with(&metadata(comment, &[]), "delta.identity."));
    }
}
