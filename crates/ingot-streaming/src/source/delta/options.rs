//! Options of the Delta source.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use crate::Result;
use crate::source::options::Options;

/// Files of a batch when `maxFilesPerTrigger` is not given.
const MAX_FILES_DEFAULT: u64 = 1000;

/// Where a new stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPoint {
    /// With all rows there are.
    Snapshot,
    /// With the next commit.
    Latest,
    /// With this commit.
    Version(i64),
    /// With the first commit at or after this instant, milliseconds since the epoch.
    Timestamp(i64),
}

/// Checked options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaSourceOptions {
    pub starting: StartingPoint,
    pub max_files: u64,
    pub max_bytes: u64,
    pub ignore_deletes: bool,
    pub skip_change_commits: bool,
    pub fail_on_data_loss: bool,
    /// Rows are those that commits changed, each with how and when.
    pub read_change_feed: bool,
}

impl DeltaSourceOptions {
    /// Reads options in Spark's names.
    pub fn parse(options: &BTreeMap<String, String>) -> Result<Self> {
        let mut options = Options::new("delta", options);
        let version = options.take("startingVersion");
        let timestamp = options.take("startingTimestamp");
        let starting = match (version, timestamp) {
            (None, None) => StartingPoint::Snapshot,
            (Some(text), None) if text.eq_ignore_ascii_case("latest") => StartingPoint::Latest,
            (Some(text), None) => match text.trim().parse() {
                Ok(version) if version >= 0 => StartingPoint::Version(version),
                _ => return Err(options.invalid("startingVersion", format!("`{text}` is no version"))),
            },
            (None, Some(text)) => match parse_instant(text.trim()) {
                Some(ms) => StartingPoint::Timestamp(ms),
                None => return Err(options.invalid("startingTimestamp", format!("`{text}` is no timestamp"))),
            },
            (Some(_), Some(_)) => {
                let message = "give startingVersion or startingTimestamp, not both";
                return Err(options.invalid("startingTimestamp", message));
            }
        };
        let parsed = Self {
            starting,
            max_files: options
                .positive("maxFilesPerTrigger")?
                .unwrap_or(MAX_FILES_DEFAULT),
            max_bytes: options.positive("maxBytesPerTrigger")?.unwrap_or(u64::MAX),
            ignore_deletes: options.parse("ignoreDeletes")?.unwrap_or(false),
            skip_change_commits: options.parse("skipChangeCommits")?.unwrap_or(false),
            fail_on_data_loss: options.parse("failOnDataLoss")?.unwrap_or(true),
            read_change_feed: options.parse("readChangeFeed")?.unwrap_or(false),
        };
        options.finish()?;
        Ok(parsed)
    }
}

/// Reads an ISO 8601 instant, or a date or local time in UTC; milliseconds since the epoch.
fn parse_instant(text: &str) -> Option<i64> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_millis());
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Some(time.and_utc().timestamp_millis());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    fn parse(options: &[(&str, &str)]) -> Result<DeltaSourceOptions> {
        let options = options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        DeltaSourceOptions::parse(&options.collect())
    }

    #[test_case(&[], StartingPoint::Snapshot)]
    #[test_case(&[("startingversion", "latest")], StartingPoint::Latest)]
    #[test_case(&[("startingVersion", "7")], StartingPoint::Version(7))]
    #[test_case(&[("startingTimestamp", "1970-01-02")], StartingPoint::Timestamp(86_400_000))]
    #[test_case(&[("startingTimestamp", "1970-01-01T00:00:01.5Z")], StartingPoint::Timestamp(1_500))]
    fn the_starting_point_is_read(options: &[(&str, &str)], expected: StartingPoint) {
        assert_eq!(parse(options).expect("options").starting, expected);
    }

    #[test_case(&[("startingVersion", "-1")], "is no version")]
    #[test_case(&[("startingVersion", "1"), ("startingTimestamp", "1970-01-01")], "not both")]
    #[test_case(&[("maxFilesPerTrigger", "0")], "above 0")]
    #[test_case(&[("maxFiles", "1")], "no such option")]
    fn wrong_options_are_refused(options: &[(&str, &str)], message: &str) {
        let error = parse(options).expect_err("wrong");
        assert!(error.to_string().contains(message), "{error}");
    }
}
