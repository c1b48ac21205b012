//! The files of a log by name, and commit files with what tells them apart.
//!
//! Source: Delta protocol, "Delta Log Entries", "Checkpoints".

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;

use crate::checkpoint::SIDECARS;
use crate::log::Log;
use crate::snapshot::CommitFile;
use crate::{Action, Error, Result};

/// How the name of a classic checkpoint in one file ends, after its version.
const CLASSIC_ENDING: &str = ".checkpoint.parquet";

/// A listing of a log.
#[derive(Debug, Default)]
pub(crate) struct LogFiles {
    /// `N.json`, by version.
    pub commits: BTreeMap<i64, ObjectMeta>,
    /// Checkpoints by version, incomplete ones too.
    pub checkpoints: BTreeMap<i64, Vec<Checkpoint>>,
    /// Checksums (`N.crc`) and compacted commits (`N.M.compacted.json`), with the newest version they tell of.
    pub derived: Vec<(i64, ObjectMeta)>,
    /// Files that V2 checkpoints name.
    sidecars: Vec<ObjectMeta>,
}

/// One file of a checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub part: Part,
    pub meta: ObjectMeta,
}

/// How much of a checkpoint a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// Number, from 1, and how many there are.
    Of(u32, u32),
}

/// What a file's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Commit(i64),
    Checkpoint(i64, Part),
    Derived(i64),
    Sidecar,
    Other,
}

impl LogFiles {
    /// Lists the log in `log_root`.
    pub async fn list(store: &dyn ObjectStore, log_root: &Path) -> Result<Self> {
        let mut files = Self::default();
        let mut listing = store.list(Some(log_root));
        while let Some(meta) = listing
            .try_next()
            .await
            .map_err(|source| list_error(log_root, source))?
        {
            let in_folder = meta.location.prefix_match(log_root);
            let Some(name) = in_folder.and_then(|mut parts| match (parts.next(), parts.next()) {
                (Some(name), None) => Some(parse_name(name.as_ref())),
                (Some(folder), Some(_)) if folder.as_ref() == SIDECARS => Some(Name::Sidecar),
                _ => None,
            }) else {
                continue;
            };
            match name {
                Name::Commit(version) => {
                    files.commits.insert(version, meta);
                }
                Name::Checkpoint(version, part) => {
                    let checkpoints = files.checkpoints.entry(version).or_default();
                    checkpoints.push(Checkpoint { part, meta });
                }
                Name::Derived(version) => files.derived.push((version, meta)),
                Name::Sidecar => files.sidecars.push(meta),
                Name::Other => {}
            }
        }
        Ok(files)
    }

    /// Says if there is a commit or a checkpoint at all.
    pub async fn any(store: &dyn ObjectStore, log_root: &Path) -> Result<bool> {
        let mut listing = store.list(Some(log_root));
        while let Some(meta) = listing
            .try_next()
            .await
            .map_err(|source| list_error(log_root, source))?
        {
            let name = meta.location.filename().map_or(Name::Other, parse_name);
            if matches!(name, Name::Commit(_) | Name::Checkpoint(_, _)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lists what tells of commits or checkpoints without being one.
    pub async fn leftovers(store: &dyn ObjectStore, log_root: &Path) -> Result<Vec<Path>> {
        let mut listing = store.list(Some(log_root));
        let mut leftovers = Vec::new();
        while let Some(meta) = listing
            .try_next()
            .await
            .map_err(|source| list_error(log_root, source))?
        {
            let name = meta.location.filename().unwrap_or_default();
            if name == "_last_checkpoint" || matches!(parse_name(name), Name::Derived(_)) {
                leftovers.push(meta.location);
            }
        }
        Ok(leftovers)
    }

    /// Returns when each commit was made by its modification time, milliseconds, made to grow from each to the next
    /// as far as the log reaches back. Ascending by version.
    pub fn modification_times(&self) -> Vec<(i64, i64)> {
        let mut previous_ms = i64::MIN;
        let times = self.commits.iter().map(|(version, meta)| {
            let modified_ms = meta.last_modified.timestamp_millis();
            previous_ms = modified_ms.max(previous_ms.saturating_add(1));
            (*version, previous_ms)
        });
        times.collect()
    }

    /// Says if anything is older than a complete checkpoint.
    pub fn any_superseded(&self) -> bool {
        let Some((newest, _)) = self.complete_checkpoints().next_back() else {
            return false;
        };
        self.commits.range(..newest).next().is_some()
            || self.checkpoints.range(..newest).next().is_some()
            || self.derived.iter().any(|(version, _)| *version < newest)
    }

    /// Lists the sidecars that were written before `cutoff_ms`.
    pub fn sidecars_before(&self, cutoff_ms: i64) -> Vec<Path> {
        let old = self.sidecars.iter();
        let old = old.filter(|meta| meta.last_modified.timestamp_millis() < cutoff_ms);
        old.map(|meta| meta.location.clone()).collect()
    }

    /// Says if there is a checkpoint whose name tells that it is of V2.
    pub fn any_v2_checkpoint(&self) -> bool {
        let mut files = self.checkpoints.values().flatten();
        files.any(|file| file.part == Part::Whole && !file.meta.location.as_ref().ends_with(CLASSIC_ENDING))
    }

    /// Returns the versions of complete checkpoints, ascending.
    pub fn complete_checkpoints(&self) -> impl DoubleEndedIterator<Item = (i64, &[Checkpoint])> {
        self.checkpoints
            .iter()
            .filter(|(_, files)| complete(files))
            .map(|(version, files)| (*version, files.as_slice()))
    }
}

/// Reads commit `version`; `None` when it does not exist.
pub(crate) async fn read_commit_file(
    store: &dyn ObjectStore,
    log: &Log,
    version: i64,
) -> Result<Option<CommitFile>> {
    let path = log.commit_path(version);
    let failed = |source| Error::Store {
        action: "read",
        path: path.to_string(),
        source,
    };
    let file = match store.get(&path).await {
        Ok(file) => file,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let meta = file.meta.clone();
    let bytes = file.bytes().await.map_err(failed)?;
    Ok(Some(CommitFile { version, meta, bytes }))
}

/// Reads the actions of commit `version`.
pub(crate) fn parse_actions(location: &Url, version: i64, bytes: &[u8]) -> Result<Vec<Action>> {
    const KNOWN: [&str; 8] = [
        "add",
        "cdc",
        "remove",
        "metaData",
        "protocol",
        "txn",
        "domainMetadata",
        "commitInfo",
    ];
    let corrupt = |message: String| Error::CorruptLog {
        location: location.to_string(),
        message: format!("commit {version}: {message}"),
    };
    let mut actions = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let action: Action = serde_json::from_slice(line).map_err(|error| corrupt(error.to_string()))?;
        // An action of a known kind that does not parse must not pass for one that may be skipped.
        if let Action::Other(fields) = &action
            && let Some(kind) = KNOWN.iter().find(|kind| fields.contains_key(**kind))
        {
            return Err(corrupt(format!("action `{kind}` is malformed")));
        }
        actions.push(action);
    }
    Ok(actions)
}

fn complete(files: &[Checkpoint]) -> bool {
    let mut parts: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for file in files {
        match file.part {
            Part::Whole => return true,
            Part::Of(number, count) => {
                parts.entry(count).or_default().insert(number);
            }
        }
    }
    parts
        .iter()
        .any(|(count, numbers)| numbers.len() == *count as usize)
}

fn parse_name(name: &str) -> Name {
    parse_versioned_name(name).unwrap_or(Name::Other)
}

fn parse_versioned_name(name: &str) -> Option<Name> {
    const VERSION_DIGITS: usize = 20;
    let (digits, rest) = name.split_at_checked(VERSION_DIGITS)?;
    let version = parse_digits(digits)?;
    let parts: Vec<&str> = rest.strip_prefix('.')?.split('.').collect();
    Some(match parts.as_slice() {
        ["json"] => Name::Commit(version),
        ["crc"] => Name::Derived(version),
        [end, "compacted", "json"] => Name::Derived(parse_digits(end)?),
        // Classic, or V2 with a unique id.
        ["checkpoint", "parquet"] | ["checkpoint", _, "parquet" | "json"] => {
            Name::Checkpoint(version, Part::Whole)
        }
        ["checkpoint", number, count, "parquet"] => {
            let number = u32::try_from(parse_digits(number)?).ok()?;
            let count = u32::try_from(parse_digits(count)?).ok()?;
            Name::Checkpoint(version, Part::Of(number, count))
        }
        _ => Name::Other,
    })
}

fn parse_digits(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn list_error(log_root: &Path, source: object_store::Error) -> Error {
    Error::Store {
        action: "list",
        path: log_root.to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("00000000000000000007.json", Name::Commit(7); "commit")]
    #[test_case("00000000000000000007.checkpoint.parquet", Name::Checkpoint(7, Part::Whole); "classic")]
    #[test_case(
        "00000000000000000007.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json",
        Name::Checkpoint(7, Part::Whole); "v2"
    )]
    #[test_case(
        "00000000000000000007.checkpoint.0000000002.0000000003.parquet",
        Name::Checkpoint(7, Part::Of(2, 3)); "multi-part"
    )]
    #[test_case("00000000000000000004.00000000000000000006.compacted.json", Name::Derived(6); "compacted")]
    #[test_case("00000000000000000007.crc", Name::Derived(7); "checksum")]
    #[test_case("_last_checkpoint", Name::Other; "hint")]
    #[test_case(".00000000000000000007.json.tmp", Name::Other; "temporary")]
    #[test_case("00000000000000000007.json#1", Name::Other; "staged by a local store")]
    fn names_are_told_apart(name: &str, expected: Name) {
        assert_eq!(parse_name(name), expected);
    }

    #[test]
    fn a_malformed_known_action_is_an_error() {
        let location = Url::parse("file:///t/").expect("url");
        let line = br#"{"add":{"path":"a"}}"#;
        let error = parse_actions(&location, 3, line).expect_err("malformed");
        assert!(error.to_string().contains("action `add` is malformed"), "{error}");
        let unknown = br#"{"someFutureAction":{"x":1}}"#;
        assert_eq!(parse_actions(&location, 3, unknown).expect("skipped").len(), 1);
    }
}
