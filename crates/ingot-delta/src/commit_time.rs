//! When a commit was made: by its own word, or by its file's modification time.
//!
//! A table may begin and end to carry times in its commits. What it says since when they do stands in two properties,
//! written by the commit that begins it. Commits from before have no time of their own that counts, even where an
//! earlier period left one in them.
//!
//! Source: Delta protocol, "In-Commit Timestamps"; Delta Spark, `InCommitTimestampUtils`.

use crate::features::in_commit_timestamps;
use crate::{CommitInfo, Metadata};

/// The first version whose commit carries its time, and that time. Absent where all commits do.
pub(crate) const ENABLEMENT_VERSION: &str = "delta.inCommitTimestampEnablementVersion";
pub(crate) const ENABLEMENT_TIMESTAMP: &str = "delta.inCommitTimestampEnablementTimestamp";

/// Says if commits carry their time from the one on that changes `before` to `after`.
pub(crate) fn begins(before: &Metadata, after: &Metadata) -> bool {
    in_commit_timestamps(after) && !in_commit_timestamps(before)
}

/// Writes down that commits carry their time since `version`, made at `timestamp_ms`.
pub(crate) fn set_since(metadata: &mut Metadata, version: i64, timestamp_ms: i64) {
    let since = [
        (ENABLEMENT_VERSION, version),
        (ENABLEMENT_TIMESTAMP, timestamp_ms),
    ];
    for (key, value) in since {
        metadata.configuration.insert(key.to_owned(), value.to_string());
    }
}

/// Returns when commit `version` was made, milliseconds since the epoch. `metadata` is the newest version's,
/// `modified_ms` the modification time of the commit's file.
pub(crate) fn commit_time_ms(
    metadata: &Metadata,
    version: i64,
    info: Option<&CommitInfo>,
    modified_ms: i64,
) -> i64 {
    let since = metadata.configuration.get(ENABLEMENT_VERSION);
    let since = since.and_then(|version| version.parse().ok()).unwrap_or(0);
    let own = info.and_then(|info| info.in_commit_timestamp);
    match own {
        Some(own_ms) if in_commit_timestamps(metadata) && version >= since => own_ms,
        _ => modified_ms,
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::features::tests::metadata;

    const ON: (&str, &str) = ("delta.enableInCommitTimestamps", "true");
    const OFF: (&str, &str) = ("delta.enableInCommitTimestamps", "false");

    #[test_case(&[ON], 0, 100; "on from the beginning")]
    #[test_case(&[ON, (ENABLEMENT_VERSION, "3")], 3, 100; "the commit that begins it")]
    #[test_case(&[ON, (ENABLEMENT_VERSION, "3")], 2, 200; "a time from an earlier period")]
    #[test_case(&[OFF, (ENABLEMENT_VERSION, "3")], 4, 200; "off again")]
    #[test_case(&[], 4, 200; "never on")]
    fn the_own_time_counts_since_the_version_that_says_so(
        properties: &[(&str, &str)],
        version: i64,
        expected: i64,
    ) {
        let info = CommitInfo {
            in_commit_timestamp: Some(100),
            ..CommitInfo::default()
        };
        let metadata = metadata("{}", properties);
        assert_eq!(commit_time_ms(&metadata, version, Some(&info), 200), expected);
        assert_eq!(commit_time_ms(&metadata, version, None, 200), 200);
    }
}
