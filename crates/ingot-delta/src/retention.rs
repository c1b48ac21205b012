//! How long a table keeps what it no longer needs, from its properties.
//!
//! Source: Delta Lake documentation, "Delta table properties reference"; intervals as Spark's `CalendarInterval`
//! prints them, fixed-length units only.

use std::collections::BTreeMap;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Retention periods in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    /// `delta.deletedFileRetentionDuration`: tombstones. 7 days unless set.
    pub deleted_files_ms: i64,
    /// `delta.logRetentionDuration`: commits and checkpoints. 30 days unless set.
    pub log_ms: i64,
    /// `delta.dropFeatureTruncateHistory.retentionDuration`: commits that used a feature which is dropped. 24 hours unless
    /// set: no transaction runs longer.
    pub truncated_history_ms: i64,
    /// `delta.setTransactionRetentionDuration`: application transactions. For ever unless set.
    pub transactions_ms: Option<i64>,
}

impl Retention {
    /// Reads the periods of a table. One that cannot be read is as good as not set: the default keeps more
    /// than a user who sets it usually wants, never less.
    pub fn of(properties: &BTreeMap<String, String>) -> Self {
        let period = |name: &str| properties.get(name).and_then(|text| parse_interval_ms(text));
        Self {
            deleted_files_ms: period("delta.deletedFileRetentionDuration").unwrap_or(7 * DAY_MS),
            log_ms: period("delta.logRetentionDuration").unwrap_or(30 * DAY_MS),
            truncated_history_ms: period("delta.dropFeatureTruncateHistory.retentionDuration")
                .unwrap_or(DAY_MS),
            transactions_ms: period("delta.setTransactionRetentionDuration"),
        }
    }
}

/// Reads `[interval] <number> <unit> [<number> <unit> …]`, units from microseconds to weeks; milliseconds.
/// `None` for anything else: months and years have no fixed length.
pub(crate) fn parse_interval_ms(text: &str) -> Option<i64> {
    let lower = text.trim().to_ascii_lowercase();
    let words: Vec<&str> = match lower.strip_prefix("interval ") {
        Some(rest) => rest.split_whitespace().collect(),
        None => lower.split_whitespace().collect(),
    };
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return None;
    }
    let mut micros: i64 = 0;
    for pair in words.chunks_exact(2) {
        let number: i64 = pair[0].trim_matches('\'').parse().ok()?;
        let unit_micros: i64 = match pair[1].trim_end_matches('s') {
            "microsecond" => 1,
            "millisecond" => 1_000,
            "second" => 1_000_000,
            "minute" => 60 * 1_000_000,
            "hour" => 3_600 * 1_000_000,
            "day" => DAY_MS * 1_000,
            "week" => 7 * DAY_MS * 1_000,
            _ => return None,
        };
        micros = micros.checked_add(number.checked_mul(unit_micros)?)?;
    }
    (micros >= 0).then_some(micros / 1_000)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("interval 30 days", Some(30 * DAY_MS); "as Spark writes it")]
    #[test_case("INTERVAL 1 WEEK", Some(7 * DAY_MS); "capitals")]
    #[test_case("12 hours", Some(DAY_MS / 2); "without the keyword")]
    #[test_case("interval 1 day 12 hours", Some(DAY_MS * 3 / 2); "two units")]
    #[test_case("interval 0 seconds", Some(0); "zero")]
    #[test_case("interval 1 month", None; "no fixed length")]
    #[test_case("interval -1 day", None; "negative")]
    #[test_case("soon", None; "no interval")]
    fn intervals_are_read(text: &str, expected: Option<i64>) {
        assert_eq!(parse_interval_ms(text), expected);
    }

    #[test]
    fn unreadable_periods_fall_back_to_defaults() {
        let properties = [("delta.logRetentionDuration".to_owned(), "a while".to_owned())].into();
        let retention = Retention::of(&properties);
        assert_eq!(retention.log_ms, 30 * DAY_MS);
        assert_eq!(retention.deleted_files_ms, 7 * DAY_MS);
        assert_eq!(retention.transactions_ms, None);
    }
}
