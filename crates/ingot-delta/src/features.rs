//! Which writer features Ingot honours, and which tables it therefore writes to.
//!
//! A feature that a table lists but does not use mostly binds nobody: a table of writer version 4 without
//! constraints is written to. Row tracking does: once it is listed, writers give row ids. Whatever is listed and
//! unknown is refused. Source: Delta protocol, "Table Features", "Row Tracking".

use std::collections::BTreeMap;

use crate::{Error, Metadata, Protocol, Result};

/// Reader and writer version of tables with feature lists. Source: Delta protocol.
pub(crate) const READER_VERSION: i32 = 3;
pub(crate) const WRITER_VERSION: i32 = 7;

/// The property that makes commits carry their own time.
pub(crate) const IN_COMMIT_TIMESTAMPS: &str = "delta.enableInCommitTimestamps";

/// Writer features that bind us to nothing, or to what we do anyway.
const HONOURED: [&str; 8] = [
    "appendOnly",
    "inCommitTimestamp",
    "timestampNtz",
    "v2Checkpoint",
    "domainMetadata",
    "vacuumProtocolCheck",
    "deletionVectors",
    "checkpointProtection",
];

/// What a write does to the rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteOperation {
    /// Leaves them.
    Append,
    /// Takes rows out or changes them.
    ChangeRows,
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
    let refuse = |feature: &str| Error::UnsupportedFeature {
        location: location.to_owned(),
        feature: feature.to_owned(),
        operation: name,
    };
    if protocol.min_writer_version > WRITER_VERSION {
        return Err(refuse(&format!("writer version {}", protocol.min_writer_version)));
    }
    if let Some(feature) = used(metadata).into_iter().next() {
        return Err(refuse(feature));
    }
    let listed = protocol.writer_features.iter().flatten();
    let known =
        |feature: &str| HONOURED.contains(&feature) || OPTIONAL.iter().any(|(name, _)| *name == feature);
    if let Some(feature) = listed.map(String::as_str).find(|feature| !known(feature)) {
        return Err(refuse(feature));
    }
    if operation == WriteOperation::ChangeRows && enabled(metadata, "delta.appendOnly") {
        return Err(refuse("appendOnly"));
    }
    Ok(())
}

type UsedBy = fn(&Metadata) -> bool;

/// Features that bind a writer only where the table uses them, and how to tell.
const OPTIONAL: [(&str, UsedBy); 7] = [
    ("invariants", |metadata| {
        metadata.schema_string.contains("\"delta.invariants\"")
    }),
    ("checkConstraints", |metadata| {
        metadata
            .configuration
            .keys()
            .any(|key| key.starts_with("delta.constraints."))
    }),
    ("generatedColumns", |metadata| {
        metadata.schema_string.contains("\"delta.generationExpression\"")
    }),
    ("identityColumns", |metadata| {
        metadata.schema_string.contains("\"delta.identity.")
    }),
    ("allowColumnDefaults", |metadata| {
        metadata.schema_string.contains("\"CURRENT_DEFAULT\"")
    }),
    ("changeDataFeed", |metadata| {
        enabled(metadata, "delta.enableChangeDataFeed")
    }),
    ("columnMapping", |metadata| {
        let mode = metadata.configuration.get("delta.columnMapping.mode");
        mode.is_some_and(|mode| mode != "none")
    }),
];

fn used(metadata: &Metadata) -> Vec<&'static str> {
    let used = OPTIONAL.iter().filter(|(_, used_by)| used_by(metadata));
    used.map(|(feature, _)| *feature).collect()
}

/// Says if a property is `true`.
pub(crate) fn enabled(metadata: &Metadata, property: &str) -> bool {
    let value = metadata.configuration.get(property);
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Says if commits carry their own time.
pub(crate) fn in_commit_timestamps(metadata: &Metadata) -> bool {
    enabled(metadata, "delta.enableInCommitTimestamps")
}

/// Returns the protocol of a new table: explicit lists with exactly what it uses.
pub(crate) fn protocol_for(
    properties: &BTreeMap<String, String>,
    timestamp_ntz: bool,
    domain_metadata: bool,
) -> Protocol {
    let mut reader = Vec::new();
    let mut writer = vec!["inCommitTimestamp".to_owned()];
    if properties
        .get("delta.appendOnly")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        writer.push("appendOnly".to_owned());
    }
    if domain_metadata {
        writer.push("domainMetadata".to_owned());
    }
    if timestamp_ntz {
        reader.push("timestampNtz".to_owned());
        writer.push("timestampNtz".to_owned());
    }
    Protocol {
        min_reader_version: READER_VERSION,
        min_writer_version: WRITER_VERSION,
        reader_features: Some(reader),
        writer_features: Some(writer),
    }
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

/// Refuses metadata that uses a feature which `protocol` does not list: other writers would not keep it.
///
/// # Errors
/// `InvalidArgument`, naming the property and the feature.
pub(crate) fn check_listed(protocol: &Protocol, metadata: &Metadata) -> Result<()> {
    const NEEDS: [(&str, &str); 2] = [
        ("delta.appendOnly", "appendOnly"),
        (IN_COMMIT_TIMESTAMPS, "inCommitTimestamp"),
    ];
    if protocol.min_writer_version < WRITER_VERSION {
        return Ok(());
    }
    let listed = |feature: &str| {
        protocol
            .writer_features
            .iter()
            .flatten()
            .any(|name| name == feature)
    };
    match NEEDS
        .iter()
        .find(|(property, feature)| enabled(metadata, property) && !listed(feature))
    {
        Some((property, feature)) => Err(Error::InvalidArgument {
            message: format!(
                "table property `{property}` needs feature `{feature}`, which the protocol does not list"
            ),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn metadata(schema: &str, properties: &[(&str, &str)]) -> Metadata {
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

    fn protocol(version: i32, features: &[&str]) -> Protocol {
        let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
        Protocol {
            min_reader_version: 1,
            min_writer_version: version,
            reader_features: None,
            writer_features: (version == 7).then_some(features),
        }
    }

    #[test_case(4, &[], &[], None; "legacy version whose features are not used")]
    #[test_case(4, &[], &[("delta.constraints.positive", "x > 0")], Some("checkConstraints"))]
    #[test_case(7, &["changeDataFeed"], &[], None; "listed and off")]
    #[test_case(7, &["changeDataFeed"], &[("delta.enableChangeDataFeed", "true")], Some("changeDataFeed"))]
    #[test_case(7, &["columnMapping"], &[("delta.columnMapping.mode", "name")], Some("columnMapping"))]
    #[test_case(7, &["rowTracking"], &[], Some("rowTracking"); "row ids are due once listed")]
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

    #[test_case("delta.appendOnly", &["appendOnly"], true)]
    #[test_case("delta.appendOnly", &["inCommitTimestamp"], false)]
    #[test_case("delta.enableInCommitTimestamps", &["appendOnly"], false)]
    #[test_case("user.property", &[], true)]
    fn properties_need_their_feature(property: &str, features: &[&str], taken: bool) {
        let metadata = metadata("{}", &[(property, "true")]);
        assert_eq!(check_listed(&protocol(7, features), &metadata).is_ok(), taken);
    }
}
