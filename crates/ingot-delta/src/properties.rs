//! The `delta.*` properties that Ingot honours, and which values they take.
//!
//! Others are refused: a property that is written down and not kept is a promise broken. One that turns on a feature
//! stands here too, and is refused by [`crate::features`] as long as the feature is not honoured. Properties without
//! the prefix are the user's own. Source: Delta Lake documentation, "Delta table properties reference".

use std::collections::BTreeMap;

use strsim::jaro_winkler;

use crate::retention::parse_interval_ms;
use crate::writer::COMPRESSION_PROPERTY;
use crate::{CompressionCodec, Error, Result, features, row_tracking};

/// A property, how its value is read, and what it is expected to be.
type Property = (&'static str, fn(&str) -> bool, &'static str);

const BOOLEAN: &str = "`true` or `false`";
const INTERVAL: &str = "an interval of fixed length such as `interval 30 days`";

/// CHECK constraints stand among the properties, each under its name.
pub(crate) const CONSTRAINT_PREFIX: &str = "delta.constraints.";

const PROPERTIES: [Property; 25] = [
    ("delta.appendOnly", is_boolean, BOOLEAN),
    ("delta.autoOptimize", is_boolean, BOOLEAN),
    (
        "delta.autoOptimize.autoCompact",
        |text| is_boolean(text) || one_of(text, &["auto", "legacy"]),
        "`true`, `false`, `auto` or `legacy`",
    ),
    ("delta.autoOptimize.optimizeWrite", is_boolean, BOOLEAN),
    (
        "delta.checkpointInterval",
        |text| text.parse::<i64>().is_ok_and(|commits| commits > 0),
        "a number of commits above 0",
    ),
    (
        "delta.checkpointPolicy",
        |text| one_of(text, &["classic", "v2"]),
        "`classic` or `v2`",
    ),
    (
        "delta.columnMapping.maxColumnId",
        |text| text.parse::<i64>().is_ok_and(|id| id >= 0),
        "a number",
    ),
    (
        "delta.columnMapping.mode",
        |text| one_of(text, &["none", "name", "id"]),
        "`none`, `name` or `id`",
    ),
    (
        "delta.dataSkippingNumIndexedCols",
        |text| text.parse::<i64>().is_ok_and(|columns| columns >= -1),
        "a number of columns, or -1 for all",
    ),
    (
        "delta.dataSkippingStatsColumns",
        |text| {
            let mut names = text.split(',').map(|name| name.trim().trim_matches('`'));
            names.all(|name| !name.is_empty())
        },
        "names of columns, separated by commas",
    ),
    ("delta.deletedFileRetentionDuration", is_interval, INTERVAL),
    (
        "delta.dropFeatureTruncateHistory.retentionDuration",
        is_interval,
        INTERVAL,
    ),
    ("delta.enableChangeDataFeed", is_boolean, BOOLEAN),
    ("delta.enableDeletionVectors", is_boolean, BOOLEAN),
    ("delta.enableExpiredLogCleanup", is_boolean, BOOLEAN),
    ("delta.enableInCommitTimestamps", is_boolean, BOOLEAN),
    ("delta.enableRowTracking", is_boolean, BOOLEAN),
    ("delta.enableTypeWidening", is_boolean, BOOLEAN),
    (
        "delta.isolationLevel",
        |text| one_of(text, &["Serializable", "WriteSerializable"]),
        "`Serializable` or `WriteSerializable`",
    ),
    ("delta.logRetentionDuration", is_interval, INTERVAL),
    (
        COMPRESSION_PROPERTY,
        |text| CompressionCodec::parse(text).is_some(),
        CompressionCodec::EXPECTED,
    ),
    (
        features::PROTECTED_BEFORE,
        |text| text.parse::<i64>().is_ok_and(|version| version >= 0),
        "a version",
    ),
    ("delta.rowTrackingSuspended", is_boolean, BOOLEAN),
    ("delta.setTransactionRetentionDuration", is_interval, INTERVAL),
    (
        "delta.targetFileSize",
        |text| parse_bytes(text).is_some(),
        "bytes above 0, or a number with `k`, `m` or `g` such as `128mb`",
    ),
];

/// Says if there is such a property.
pub(crate) fn known(key: &str) -> bool {
    PROPERTIES
        .iter()
        .any(|(name, _, _)| name.eq_ignore_ascii_case(key))
}

/// Checks the properties of a new table, or those that change: `present` are the table's own, whose values may
/// be another writer's and stay.
///
/// # Errors
/// `InvalidArgument`, naming an unknown property and the nearest known one; or a property, its value and what is
/// expected.
pub(crate) fn check(properties: &BTreeMap<String, String>, present: &BTreeMap<String, String>) -> Result<()> {
    for (key, value) in properties {
        let checked_elsewhere = features::protocol_property(key) || key.starts_with(CONSTRAINT_PREFIX);
        if !key.starts_with("delta.") || checked_elsewhere || present.get(key) == Some(value) {
            continue;
        }
        let Some((_, accepts, expected)) = PROPERTIES.iter().find(|(name, _, _)| name == key) else {
            return Err(Error::refused(
                "DELTA_UNKNOWN_CONFIGURATION",
                "F0000",
                format!(
                    "unknown table property `{key}`; the nearest known is `{}`",
                    nearest(key)
                ),
            ));
        };
        if !accepts(value) {
            return Err(Error::refused(
                "DELTA_VIOLATE_TABLE_PROPERTY_VALIDATION_FAILED",
                "0A000",
                format!("table property `{key}` cannot be `{value}`; expected {expected}"),
            ));
        }
    }
    row_tracking::check_properties(properties)
}

/// Reads a size: bytes, or a number with `k`, `m` or `g` (and an optional `b`). `None` for anything else and for 0.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let text = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, unit) = match text.char_indices().last()? {
        (end, 'k') => (&text[..end], 1 << 10),
        (end, 'm') => (&text[..end], 1 << 20),
        (end, 'g') => (&text[..end], 1 << 30),
        _ => (text, 1),
    };
    let size: u64 = digits.trim().parse().ok()?;
    size.checked_mul(unit).filter(|bytes| *bytes > 0)
}

fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

fn one_of(text: &str, values: &[&str]) -> bool {
    values.iter().any(|value| text.eq_ignore_ascii_case(value))
}

fn is_interval(text: &str) -> bool {
    parse_interval_ms(text).is_some()
}

fn nearest(key: &str) -> &'static str {
    let score = |known: &str| jaro_winkler(known, key);
    let best = PROPERTIES
        .iter()
        .map(|(name, _, _)| *name)
        .max_by(|a, b| score(a).total_cmp(&score(b)));
    best.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn refusal(key: &str, value: &str) -> Option<String> {
        let properties = [(key.to_owned(), value.to_owned())].into();
        check(&properties, &BTreeMap::new())
            .err()
            .map(|error| error.to_string())
    }

    #[test_case("delta.appendOnly", "TRUE", "yes")]
    #[test_case("delta.autoOptimize", "true", "on")]
    #[test_case("delta.autoOptimize.autoCompact", "auto", "sometimes")]
    #[test_case("delta.autoOptimize.optimizeWrite", "false", "auto")]
    #[test_case("delta.checkpointInterval", "1", "0")]
    #[test_case("delta.checkpointPolicy", "V2", "v3")]
    #[test_case("delta.columnMapping.maxColumnId", "7", "x")]
    #[test_case("delta.columnMapping.mode", "name", "position")]
    #[test_case("delta.dataSkippingNumIndexedCols", "-1", "-2")]
    #[test_case("delta.dataSkippingStatsColumns", "a, `b c`", "a,,b")]
    #[test_case("delta.deletedFileRetentionDuration", "interval 0 seconds", "7")]
    #[test_case(
        "delta.dropFeatureTruncateHistory.retentionDuration",
        "interval 24 hours",
        "1 month"
    )]
    #[test_case("delta.enableChangeDataFeed", "true", "1")]
    #[test_case("delta.enableDeletionVectors", "false", "no")]
    #[test_case("delta.enableExpiredLogCleanup", "false", "off")]
    #[test_case("delta.enableInCommitTimestamps", "false", "1")]
    #[test_case("delta.enableRowTracking", "true", "")]
    #[test_case("delta.enableTypeWidening", "true", "widen")]
    #[test_case("delta.isolationLevel", "writeserializable", "ReadCommitted")]
    #[test_case("delta.logRetentionDuration", "interval 30 days", "interval 1 month")]
    #[test_case("delta.parquet.compression.codec", "LZ4_RAW", "brotli")]
    #[test_case("delta.requireCheckpointProtectionBeforeVersion", "7", "-1")]
    #[test_case("delta.rowTrackingSuspended", "true", "maybe")]
    #[test_case("delta.setTransactionRetentionDuration", "12 hours", "")]
    #[test_case("delta.targetFileSize", "128MB", "18446744073709551615g")]
    fn values_are_checked(key: &str, accepted: &str, refused: &str) {
        assert_eq!(refusal(key, accepted), None);
        let message = refusal(key, refused).expect("refused");
        assert!(
            message.contains(&format!("`{key}` cannot be `{refused}`; expected ")),
            "{message}"
        );
    }

    #[test]
    fn every_property_has_its_case_above() {
        assert_eq!(PROPERTIES.len(), 25, "a new property needs a case");
    }

    #[test]
    fn unknown_property_names_the_nearest() {
        let message = refusal("delta.checkpointIntervall", "5").expect("unknown");
        assert!(message.contains("`delta.checkpointInterval`"), "{message}");
        assert_eq!(refusal("mine", "anything"), None);
    }

    #[test]
    fn what_another_writer_set_may_stay() {
        let present = BTreeMap::from([("delta.randomizeFilePrefixes".to_owned(), "none".to_owned())]);
        assert!(check(&present, &present).is_ok());
        assert!(check(&present, &BTreeMap::new()).is_err());
    }

    #[test_case("1000", Some(1000))]
    #[test_case("64k", Some(64 << 10))]
    #[test_case("128 MB", Some(128 << 20))]
    #[test_case("1gb", Some(1 << 30))]
    #[test_case("0", None)]
    #[test_case("b", None)]
    #[test_case("big", None)]
    fn sizes_are_read(text: &str, bytes: Option<u64>) {
        assert_eq!(parse_bytes(text), bytes);
    }
}
