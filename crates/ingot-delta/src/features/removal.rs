//! Features that can leave a table, and the protocol without them.
//!
//! Always true: a feature that another listed one requires stays; what is left is the weakest protocol that holds all
//! others. Source: Delta Spark, `RemovableFeature`, `Protocol.removeFeature`, `Protocol.normalized`.

use std::collections::BTreeSet;

use super::{FEATURES, Feature, READER_VERSION, WRITER_VERSION, supported};
use crate::{Error, Protocol, Result, properties, row_tracking};

/// A feature that can be dropped. Those that Delta does not drop are not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removable {
    CheckConstraints,
    CheckpointProtection,
    ColumnMapping,
    DeletionVectors,
    DomainMetadata,
    InCommitTimestamp,
    RowTracking,
    TypeWidening,
    V2Checkpoint,
    VacuumProtocolCheck,
}

/// The feature that keeps checkpoints before the version in [`PROTECTED_BEFORE`].
/// Source: Delta, `protocol_rfcs/checkpoint-protection.md`.
pub(crate) const CHECKPOINT_PROTECTION: &str = "checkpointProtection";
pub(crate) const PROTECTED_BEFORE: &str = "delta.requireCheckpointProtectionBeforeVersion";

/// Properties that go together with row tracking.
pub(crate) const ROW_TRACKING_PROPERTIES: [&str; 4] = [
    row_tracking::ENABLED,
    row_tracking::SUSPENDED,
    row_tracking::MATERIALIZED_COLUMNS[0].0,
    row_tracking::MATERIALIZED_COLUMNS[1].0,
];

/// Legacy versions, of reader and writer, that differ in what they imply.
const LEGACY_VERSIONS: [(i32, i32); 7] = [(1, 1), (1, 2), (1, 3), (1, 4), (2, 5), (1, 6), (2, 6)];

impl Removable {
    fn of(feature: &str) -> Option<Self> {
        Some(match feature {
            "checkConstraints" => Self::CheckConstraints,
            CHECKPOINT_PROTECTION => Self::CheckpointProtection,
            "columnMapping" => Self::ColumnMapping,
            "deletionVectors" => Self::DeletionVectors,
            "domainMetadata" => Self::DomainMetadata,
            super::IN_COMMIT_TIMESTAMP => Self::InCommitTimestamp,
            row_tracking::FEATURE => Self::RowTracking,
            "typeWidening" | "typeWidening-preview" => Self::TypeWidening,
            "v2Checkpoint" => Self::V2Checkpoint,
            "vacuumProtocolCheck" => Self::VacuumProtocolCheck,
            _ => return None,
        })
    }

    /// Says if versions that used the feature must be kept from readers that do not know it: all those of features
    /// that bind readers.
    pub fn concerns_history(self) -> bool {
        match self {
            Self::ColumnMapping
            | Self::DeletionVectors
            | Self::TypeWidening
            | Self::V2Checkpoint
            | Self::VacuumProtocolCheck => true,
            Self::CheckConstraints
            | Self::CheckpointProtection
            | Self::DomainMetadata
            | Self::InCommitTimestamp
            | Self::RowTracking => false,
        }
    }
}

/// Finds the feature that a statement wants to drop from a table of this protocol: its name as the protocol has it, and
/// what it is.
///
/// # Errors
/// `InvalidArgument` with Delta's condition for what is a property, is not there, is not known, cannot be dropped, or
/// is required by another feature of the table.
pub(crate) fn removable(protocol: &Protocol, name: &str) -> Result<(&'static str, Removable)> {
    let present = supported(protocol);
    let refuse = |condition, sqlstate, message: String| Err(Error::refused(condition, sqlstate, message));
    if !present.contains(name) && properties::known(name) {
        return refuse(
            "DELTA_FEATURE_DROP_FEATURE_IS_DELTA_PROPERTY",
            "42000",
            format!(
                "cannot drop `{name}` from this table because this is a delta table property and not a table feature"
            ),
        );
    }
    let feature = FEATURES.iter().find(|one| one.name.eq_ignore_ascii_case(name));
    let Some(feature) = feature else {
        return refuse(
            "DELTA_FEATURE_DROP_UNSUPPORTED_CLIENT_FEATURE",
            "0AKDC",
            format!("cannot drop `{name}`: no such feature is known"),
        );
    };
    if !present.contains(feature.name) {
        return refuse(
            "DELTA_FEATURE_DROP_FEATURE_NOT_PRESENT",
            "55000",
            format!(
                "cannot drop `{}` from this table because it is not currently present in the table's protocol",
                feature.name
            ),
        );
    }
    let Some(removable) = Removable::of(feature.name) else {
        return refuse(
            "DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE",
            "0AKDC",
            format!(
                "cannot drop `{}` because dropping this feature is not supported",
                feature.name
            ),
        );
    };
    let dependent = FEATURES
        .iter()
        .filter(|one| one.requires.contains(&feature.name) && one.supported_by(protocol));
    let dependent: Vec<&str> = dependent.map(|one| one.name).collect();
    if !dependent.is_empty() {
        let dependent = dependent.join("`, `");
        return refuse(
            "DELTA_FEATURE_DROP_DEPENDENT_FEATURE",
            "55000",
            format!(
                "cannot drop table feature `{0}` because some other features (`{dependent}`) in this table depend on \
                 `{0}`; drop them first",
                feature.name
            ),
        );
    }
    Ok((feature.name, removable))
}

/// Says if `after` lacks a feature that `before` has.
pub(crate) fn drops(before: &Protocol, after: &Protocol) -> bool {
    !supported(before).is_subset(&supported(after))
}

/// Returns `protocol` without a feature, as weak as the others allow: a legacy version where they are just what that
/// implies, and a reader version without lists where none of them binds readers.
pub(crate) fn without(protocol: &Protocol, name: &str) -> Protocol {
    let mut left = supported(protocol);
    left.remove(name);
    let legacy = LEGACY_VERSIONS
        .into_iter()
        .find(|versions| implied(*versions) == left);
    if let Some((reader, writer)) = legacy {
        return Protocol {
            min_reader_version: reader,
            min_writer_version: writer,
            reader_features: None,
            writer_features: None,
        };
    }
    let binds_readers = |name: &str| FEATURES.iter().any(|one| one.name == name && one.readers);
    let listed_for_readers: BTreeSet<&str> = protocol
        .reader_features
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let readers = left
        .iter()
        .filter(|name| listed_for_readers.contains(**name) || binds_readers(name));
    let readers: Vec<String> = readers.map(|name| (*name).to_owned()).collect();
    let (min_reader_version, reader_features) = match readers.is_empty() {
        true => (1, None),
        false => (
            READER_VERSION,
            Some(in_order(readers, protocol.reader_features.as_ref())),
        ),
    };
    let writers = left.iter().map(|name| (*name).to_owned()).collect();
    Protocol {
        min_reader_version,
        min_writer_version: WRITER_VERSION,
        reader_features,
        writer_features: Some(in_order(writers, protocol.writer_features.as_ref())),
    }
}

/// Returns `protocol` with the feature that keeps checkpoints.
pub(crate) fn with_checkpoint_protection(protocol: &Protocol) -> Protocol {
    let protection = FEATURES.iter().filter(|one| one.name == CHECKPOINT_PROTECTION);
    let missing = protection.filter(|one| !one.supported_by(protocol));
    super::protocol::with_features(protocol, &missing.collect::<Vec<&Feature>>())
}

fn implied((reader, writer): (i32, i32)) -> BTreeSet<&'static str> {
    let implied = FEATURES
        .iter()
        .filter(|one| one.legacy.is_some_and(|(r, w)| reader >= r && writer >= w));
    implied.map(|one| one.name).collect()
}

/// Puts names that were listed before first, in their order.
fn in_order(mut names: Vec<String>, listed: Option<&Vec<String>>) -> Vec<String> {
    let place = |name: &String| {
        let mut listed = listed.into_iter().flatten();
        listed.position(|other| other == name).unwrap_or(usize::MAX)
    };
    names.sort_by_key(place);
    names
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::tests::protocol;
    use super::*;

    fn lists(readers: &[&str], writers: &[&str]) -> Protocol {
        Protocol {
            min_reader_version: if readers.is_empty() { 1 } else { 3 },
            reader_features: (!readers.is_empty())
                .then(|| readers.iter().map(|name| (*name).to_owned()).collect()),
            ..protocol(7, writers)
        }
    }

    fn legacy(reader: i32, writer: i32) -> Protocol {
        Protocol {
            min_reader_version: reader,
            ..protocol(writer, &[])
        }
    }

    #[test_case(lists(&["deletionVectors"], &["deletionVectors", "inCommitTimestamp"]), "deletionVectors",
        lists(&[], &["inCommitTimestamp"]); "no reader is bound any more")]
    #[test_case(lists(&["v2Checkpoint", "deletionVectors"], &["v2Checkpoint", "fromTheFuture", "deletionVectors"]),
        "deletionVectors", lists(&["v2Checkpoint"], &["v2Checkpoint", "fromTheFuture"]); "others stay, in their order")]
    #[test_case(lists(&[], &["invariants", "appendOnly", "checkConstraints"]), "checkConstraints", legacy(1, 2);
        "what a legacy version implies")]
    #[test_case(lists(&[], &["inCommitTimestamp"]), "inCommitTimestamp", legacy(1, 1); "nothing left")]
    #[test_case(legacy(2, 5), "columnMapping", legacy(1, 4); "from a legacy version to another")]
    #[test_case(legacy(1, 4), "checkConstraints",
        lists(&[], &["appendOnly", "changeDataFeed", "generatedColumns", "invariants"]); "a legacy version needs lists")]
    fn what_is_left_of_a_protocol(before: Protocol, dropped: &str, after: Protocol) {
        assert_eq!(without(&before, dropped), after);
        assert!(drops(&before, &after));
        assert!(!drops(&before, &before));
    }

    #[test_case("deletionvectors", None; "in any case")]
    #[test_case(
        "delta.enableDeletionVectors",
        Some("DELTA_FEATURE_DROP_FEATURE_IS_DELTA_PROPERTY")
    )]
    #[test_case("v2Checkpoint", Some("DELTA_FEATURE_DROP_FEATURE_NOT_PRESENT"))]
    #[test_case("fromTheFuture", Some("DELTA_FEATURE_DROP_UNSUPPORTED_CLIENT_FEATURE"))]
    #[test_case("clustering", Some("DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE"))]
    #[test_case("domainMetadata", Some("DELTA_FEATURE_DROP_DEPENDENT_FEATURE"))]
    fn which_features_can_go(name: &str, refused: Option<&str>) {
        let writers = ["deletionVectors", "clustering", "domainMetadata"];
        let outcome = removable(&lists(&["deletionVectors"], &writers), name);
        let condition = match &outcome {
            Ok(_) => None,
            Err(Error::Refused { condition, .. }) => Some(*condition),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(condition, refused, "{outcome:?}");
    }

    #[test]
    fn features_that_bind_readers_concern_the_history() {
        for feature in &FEATURES {
            if let Some(removable) = Removable::of(feature.name) {
                assert_eq!(removable.concerns_history(), feature.readers, "{}", feature.name);
            }
        }
    }
}
