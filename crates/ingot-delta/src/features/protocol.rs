//! The protocol of a table whose metadata changes: what it lists, never less than before.
//!
//! Always true: a protocol of a legacy version that needs a feature becomes one with explicit lists, which hold all
//! that the legacy version implied. Source: Delta protocol, "Table Features for New and Existing Tables"; Delta
//! Spark, `Protocol.upgradeProtocolFromMetadataForExistingTable`.

use std::collections::BTreeMap;

use super::{FEATURES, Feature, Honoured, READER_VERSION, Refused, WRITER_VERSION, feature};
use crate::{Error, Metadata, Protocol, Result, column_mapping};

/// Properties that ask for a protocol. They are taken as a request and never stored.
const PROTOCOL_PROPERTIES: [&str; 3] = [
    "delta.minReaderVersion",
    "delta.minWriterVersion",
    "delta.ignoreProtocolDefaults",
];

/// The beginning of properties that ask for one feature.
const FEATURE_PREFIX: &str = "delta.feature.";

/// Says if a property asks for a protocol instead of being one of the table's own.
pub(crate) fn protocol_property(key: &str) -> bool {
    PROTOCOL_PROPERTIES.contains(&key) || key.starts_with(FEATURE_PREFIX)
}

/// The protocol that a new table starts from: lists, and nothing in them.
pub(crate) fn new_protocol() -> Protocol {
    Protocol {
        min_reader_version: READER_VERSION,
        min_writer_version: WRITER_VERSION,
        reader_features: Some(Vec::new()),
        writer_features: Some(Vec::new()),
    }
}

/// Returns the protocol and the metadata that a table has after its metadata changed from `old` (`None`: a new
/// table) to `new`: `protocol` with the features that `new` uses and `old` did not, those that its properties ask
/// for, those of its domain metadata in `domains`, and those that these require. The properties that only ask are
/// taken out; columns get what maps them to files.
///
/// # Errors
/// `Unsupported`, naming a feature that is not honoured; `InvalidArgument` for one that Delta does not have, and for
/// versions that it does not have.
pub(crate) fn upgraded<'a>(
    location: &str,
    protocol: &Protocol,
    old: Option<&Metadata>,
    mut new: Metadata,
    domains: impl IntoIterator<Item = &'a str>,
) -> Result<(Protocol, Metadata)> {
    let mut asked = asked_for(&new.configuration)?;
    asked.extend(
        domains
            .into_iter()
            .filter_map(|domain| feature(domain_feature(domain))),
    );
    new.configuration.retain(|key, _| !protocol_property(key));
    column_mapping::assign(&mut new, old)?;
    let used = |one: &&Feature| one.used_by(&new) && !old.is_some_and(|old| one.used_by(old));
    let used: Vec<&Feature> = FEATURES.iter().filter(used).collect();
    let refuse = |feature: &str| {
        Err(Error::UnsupportedFeature {
            location: location.to_owned(),
            feature: feature.to_owned(),
            operation: "turning it on",
        })
    };
    for one in &used {
        if one.supports().iter().any(|support| *support != Honoured) {
            return refuse(one.name);
        }
    }
    let mut needed: Vec<&Feature> = used;
    needed.extend(asked);
    needed.retain(|one| !one.supported_by(protocol));
    let mut next = 0;
    while let Some(one) = needed.get(next) {
        if one.supports().contains(&Refused) {
            return refuse(one.name);
        }
        let required = one.requires.iter().filter_map(|name| feature(name));
        let required: Vec<&Feature> = required.filter(|one| !one.supported_by(protocol)).collect();
        needed.extend(required);
        next += 1;
    }
    Ok((with_features(protocol, &needed), new))
}

/// Returns `protocol` with all that `other` lists or implies.
pub(crate) fn merged(protocol: &Protocol, other: &Protocol) -> Protocol {
    let lacking = |one: &&Feature| one.supported_by(other) && !one.supported_by(protocol);
    let needed: Vec<&Feature> = FEATURES.iter().filter(lacking).collect();
    match needed.is_empty() {
        true => protocol.clone(),
        false => with_features(protocol, &needed),
    }
}

/// Returns the feature that metadata of a domain belongs to.
fn domain_feature(domain: &str) -> &'static str {
    match domain {
        "delta.clustering" => "clustering",
        "delta.rowTracking" => "rowTracking",
        _ => "domainMetadata",
    }
}

/// Returns the features that properties ask for: by name, or by a legacy version that implies them.
fn asked_for(properties: &BTreeMap<String, String>) -> Result<Vec<&'static Feature>> {
    let mut asked = Vec::new();
    for (key, value) in properties {
        let Some(name) = key.strip_prefix(FEATURE_PREFIX) else {
            continue;
        };
        if !value.eq_ignore_ascii_case("supported") && !value.eq_ignore_ascii_case("enabled") {
            return Err(Error::refused(
                "DELTA_UNSUPPORTED_FEATURE_STATUS",
                "0AKDE",
                format!("table property `{key}` cannot be `{value}`; expected `supported`"),
            ));
        }
        match FEATURES.iter().find(|one| one.name.eq_ignore_ascii_case(name)) {
            Some(one) => asked.push(one),
            None => {
                return Err(Error::refused(
                    "DELTA_UNSUPPORTED_FEATURES_IN_CONFIG",
                    "56038",
                    format!("table feature `{name}` is not known"),
                ));
            }
        }
    }
    let version = |key: &str, latest: i32| match properties.get(key) {
        None => Ok(1),
        Some(text) => match text.parse::<i32>() {
            Ok(version) if (1..=latest).contains(&version) => Ok(version),
            _ => Err(Error::refused(
                "DELTA_INVALID_PROTOCOL_VERSION",
                "KD004",
                format!("table property `{key}` cannot be `{text}`; expected 1 to {latest}"),
            )),
        },
    };
    let reader = version("delta.minReaderVersion", READER_VERSION)?;
    let writer = version("delta.minWriterVersion", WRITER_VERSION)?;
    // Version 7 implies nothing: its lists say what a table has.
    if writer < WRITER_VERSION {
        let implied = |one: &&Feature| one.legacy.is_some_and(|(r, w)| reader >= r && writer >= w);
        asked.extend(FEATURES.iter().filter(implied));
    }
    Ok(asked)
}

/// Lists `needed` and what `protocol` has already. A reader version below 3 stays as long as no reader is concerned.
pub(super) fn with_features(protocol: &Protocol, needed: &[&Feature]) -> Protocol {
    if needed.is_empty() {
        return protocol.clone();
    }
    let has = |one: &&Feature| one.supported_by(protocol) || needed.iter().any(|need| need.name == one.name);
    let all: Vec<&Feature> = FEATURES.iter().filter(has).collect();
    // What is listed stays in its place, known or not.
    let mut writer_features = protocol.writer_features.clone().unwrap_or_default();
    add_missing(&mut writer_features, all.iter().copied());
    let readers = all.iter().copied().filter(|one| one.readers);
    let (min_reader_version, reader_features) =
        if protocol.reader_features.is_some() || readers.clone().next().is_some() {
            let mut listed = protocol.reader_features.clone().unwrap_or_default();
            add_missing(&mut listed, readers);
            (READER_VERSION, Some(listed))
        } else {
            (protocol.min_reader_version, None)
        };
    Protocol {
        min_reader_version,
        min_writer_version: WRITER_VERSION,
        reader_features,
        writer_features: Some(writer_features),
    }
}

fn add_missing<'a>(listed: &mut Vec<String>, features: impl Iterator<Item = &'a Feature>) {
    for one in features {
        if !listed.iter().any(|name| name == one.name) {
            listed.push(one.name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::tests::{metadata, protocol};
    use super::*;

    const LONG: &str =
        r#"{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"metadata":{}}]}"#;
    const NTZ: &str =
        r#"{"type":"struct","fields":[{"name":"a","type":"timestamp_ntz","nullable":true,"metadata":{}}]}"#;

    fn listed(list: &Option<Vec<String>>) -> Vec<&str> {
        list.iter().flatten().map(String::as_str).collect()
    }

    fn legacy(reader: i32, writer: i32) -> Protocol {
        Protocol {
            min_reader_version: reader,
            ..protocol(writer, &[])
        }
    }

    #[test_case(LONG, &[], (&[], &[]); "uses nothing")]
    #[test_case(LONG, &[("delta.appendOnly", "true")], (&[], &["appendOnly"]))]
    #[test_case(LONG, &[("delta.appendOnly", "false")], (&[], &[]))]
    #[test_case(NTZ, &[], (&["timestampNtz"], &["timestampNtz"]))]
    #[test_case(LONG, &[("delta.feature.deletionVectors", "supported")], (&["deletionVectors"], &["deletionVectors"]))]
    #[test_case(LONG, &[("delta.minWriterVersion", "2")], (&[], &["appendOnly", "invariants"]))]
    #[test_case(LONG, &[("delta.minWriterVersion", "7"), ("delta.minReaderVersion", "3")], (&[], &[]))]
    fn a_new_table_lists_what_it_uses(
        schema: &str,
        properties: &[(&str, &str)],
        expected: (&[&str], &[&str]),
    ) {
        let new = metadata(schema, properties);
        let (protocol, metadata) = upgraded("t", &new_protocol(), None, new, []).expect("honoured");
        assert_eq!(listed(&protocol.reader_features), expected.0);
        assert_eq!(listed(&protocol.writer_features), expected.1);
        assert_eq!((protocol.min_reader_version, protocol.min_writer_version), (3, 7));
        assert!(!metadata.configuration.keys().any(|key| protocol_property(key)));
    }

    #[test_case(legacy(1, 2), LONG, &[("delta.appendOnly", "true")], legacy(1, 2); "implied already")]
    #[test_case(legacy(1, 1), LONG, &[("delta.appendOnly", "true")],
        Protocol { reader_features: None, ..protocol(7, &["appendOnly"]) }; "writers only")]
    #[test_case(legacy(1, 2), NTZ, &[], Protocol {
        min_reader_version: 3,
        reader_features: Some(vec!["timestampNtz".to_owned()]),
        ..protocol(7, &["appendOnly", "invariants", "timestampNtz"])
    }; "readers too")]
    #[test_case(legacy(2, 5), NTZ, &[], Protocol {
        min_reader_version: 3,
        reader_features: Some(vec!["columnMapping".to_owned(), "timestampNtz".to_owned()]),
        ..protocol(7, &["appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns",
            "columnMapping", "timestampNtz"])
    }; "all that was implied")]
    #[test_case(protocol(7, &["fromTheFuture"]), LONG, &[("delta.appendOnly", "true")],
        protocol(7, &["fromTheFuture", "appendOnly"]); "lists are kept")]
    #[test_case(legacy(1, 4), LONG, &[("delta.minWriterVersion", "2")], legacy(1, 4); "never less")]
    fn an_existing_table_gains_what_is_new(
        before: Protocol,
        schema: &str,
        properties: &[(&str, &str)],
        after: Protocol,
    ) {
        let old = metadata(LONG, &[]);
        let (protocol, _) =
            upgraded("t", &before, Some(&old), metadata(schema, properties), []).expect("honoured");
        assert_eq!(protocol, after);
    }

    #[test]
    fn what_the_table_used_before_stays_as_it_is() {
        let old = metadata(
            LONG,
            &[
                ("delta.checkpointPolicy", "v2"),
                ("delta.enableRowTracking", "true"),
            ],
        );
        let before = protocol(7, &["inCommitTimestamp"]);
        let (protocol, _) = upgraded("t", &before, Some(&old), old.clone(), []).expect("nothing new");
        assert_eq!(protocol, before);
    }

    #[test]
    fn domains_bring_their_feature() {
        let (protocol, _) =
            upgraded("t", &new_protocol(), None, metadata(LONG, &[]), ["of.a.user"]).expect("honoured");
        assert_eq!(listed(&protocol.writer_features), ["domainMetadata"]);
        let (protocol, _) = upgraded(
            "t",
            &new_protocol(),
            None,
            metadata(LONG, &[]),
            ["delta.clustering"],
        )
        .expect("honoured");
        assert_eq!(
            listed(&protocol.writer_features),
            ["domainMetadata", "clustering"],
            "what it requires too"
        );
    }

    #[test_case(
        "delta.feature.fromTheFuture",
        "supported",
        "table feature `fromTheFuture` is not known"
    )]
    #[test_case("delta.feature.appendOnly", "yes", "expected `supported`")]
    #[test_case("delta.minWriterVersion", "8", "expected 1 to 7")]
    #[test_case("delta.minReaderVersion", "x", "expected 1 to 3")]
    fn what_is_not_honoured_is_refused(key: &str, value: &str, message: &str) {
        let new = metadata(LONG, &[(key, value)]);
        let error = upgraded("t", &new_protocol(), None, new, []).expect_err("refused");
        assert!(error.to_string().contains(message), "{error}");
    }
}
