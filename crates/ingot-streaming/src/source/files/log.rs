//! The log of the files that a source has seen, in its folder of the checkpoint.
//!
//! ```text
//! N          v1 \n {"path":…,"timestamp":…,"batchId":N} …     the files of entry N ≥ 1
//! N.compact  the same, with the files of all entries up to N    instead of `N`, every tenth entry
//! ```
//! File `0` is not of this log: it holds the source's initial offset. An entry is on disk, whole, before its number is
//! handed out. Source: Spark, `FileStreamSourceLog`, `CompactibleFileStreamLog`.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingot_engine::files::ListedFile;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::checkpoint::{create_folder, failed, json, lines, mismatch, parse, read, sync_folder, write_new};
use crate::{Error, Result};

/// Entries from one compaction to the next. Source: `spark.sql.streaming.fileSource.log.compactInterval`.
const COMPACT_INTERVAL: u64 = 10;

/// Suffix of an entry that holds all before it.
const COMPACT_SUFFIX: &str = ".compact";

/// A line of an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileEntry {
    path: Arc<str>,
    /// Modification time, milliseconds since the epoch.
    timestamp: i64,
    batch_id: u64,
}

/// The log, read into memory.
#[derive(Debug)]
pub struct FileLog {
    folder: PathBuf,
    seen: HashSet<Arc<str>>,
    /// Paths and modification times by entry.
    entries: BTreeMap<u64, Vec<(Arc<str>, i64)>>,
    compacted: u64,
}

impl FileLog {
    /// Reads the log in `folder`, which is made if missing. Blocks on the disk.
    ///
    /// # Errors
    /// `FailedPrecondition` for a log that is not whole.
    pub fn open(folder: PathBuf) -> Result<Self> {
        create_folder(&folder)?;
        let (mut plain, mut compacted) = (Vec::new(), 0);
        for file in fs::read_dir(&folder).map_err(failed("list", &folder))? {
            let name = file.map_err(failed("list", &folder))?.file_name();
            let name = name.to_string_lossy();
            if let Some(number) = name
                .strip_suffix(COMPACT_SUFFIX)
                .and_then(|number| number.parse::<u64>().ok())
            {
                compacted = number.max(compacted);
            } else if let Ok(number) = name.parse::<u64>() {
                plain.push(number);
            }
        }
        plain.sort_unstable();
        let mut log = Self {
            folder,
            seen: HashSet::new(),
            entries: BTreeMap::new(),
            compacted,
        };
        if compacted > 0 {
            log.load(&log.compact_path(compacted))?;
        }
        for (number, expected) in plain
            .into_iter()
            .filter(|number| *number > compacted)
            .zip(compacted + 1..)
        {
            let path = log.entry_path(number);
            if number != expected {
                return Err(mismatch(&path, format!("entry {expected} before it is missing")));
            }
            log.load(&path)?;
        }
        Ok(log)
    }

    /// Returns the number of the last entry; 0 when there is none.
    pub fn last(&self) -> u64 {
        self.entries
            .last_key_value()
            .map_or(self.compacted, |(last, _)| *last)
    }

    /// Adds the files that are not in the log, in the order given, `entry_files_max` to an entry. Returns the number of
    /// the last entry.
    pub fn append_unseen(&mut self, listed: Vec<ListedFile>, entry_files_max: usize) -> Result<u64> {
        let unseen: Vec<(Arc<str>, i64)> = listed
            .into_iter()
            .filter(|file| !self.seen.contains(file.url.as_str()))
            .map(|file| (Arc::from(file.url.as_str()), file.modified_ms))
            .collect();
        for files in unseen.chunks(entry_files_max) {
            let number = self.last() + 1;
            write_new(&self.entry_path(number), &text(std::iter::once((number, files)))?)?;
            self.remember(number, files.iter().cloned());
        }
        Ok(self.last())
    }

    /// Returns the files of the entries after `from`, up to and including `until`.
    ///
    /// # Errors
    /// `FailedPrecondition` when one of them is missing.
    pub fn files(&self, from: u64, until: u64) -> Result<Vec<Url>> {
        let mut urls = Vec::new();
        for number in from + 1..=until {
            let Some(files) = self.entries.get(&number) else {
                return Err(mismatch(&self.entry_path(number), "the entry is missing"));
            };
            for (path, _) in files {
                urls.push(Url::parse(path).map_err(|error| Error::InvalidOffset {
                    origin: "files",
                    message: format!("log entry {number} holds `{path}`: {error}"),
                })?);
            }
        }
        Ok(urls)
    }

    /// Puts ten or more entries into one file and deletes theirs.
    pub fn compact(&mut self) -> Result<()> {
        let last = self.last();
        if last < self.compacted + COMPACT_INTERVAL {
            return Ok(());
        }
        let all = self
            .entries
            .iter()
            .map(|(number, files)| (*number, files.as_slice()));
        write_new(&self.compact_path(last), &text(all)?)?;
        let old = (self.compacted + 1..=last).map(|number| self.entry_path(number));
        let old_compact = (self.compacted > 0).then(|| self.compact_path(self.compacted));
        for path in old.chain(old_compact) {
            fs::remove_file(&path).map_err(failed("delete", &path))?;
        }
        self.compacted = last;
        sync_folder(&self.folder)
    }

    fn load(&mut self, path: &Path) -> Result<()> {
        let text = read(path)?.ok_or_else(|| mismatch(path, "it is missing"))?;
        for line in lines(path, &text)? {
            let entry: FileEntry = parse(path, line)?;
            self.remember(entry.batch_id, [(entry.path, entry.timestamp)]);
        }
        Ok(())
    }

    fn remember(&mut self, number: u64, files: impl IntoIterator<Item = (Arc<str>, i64)>) {
        let entry = self.entries.entry(number).or_default();
        for (path, timestamp) in files {
            self.seen.insert(Arc::clone(&path));
            entry.push((path, timestamp));
        }
    }

    fn entry_path(&self, number: u64) -> PathBuf {
        self.folder.join(number.to_string())
    }

    fn compact_path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number}{COMPACT_SUFFIX}"))
    }
}

fn text<'a>(entries: impl Iterator<Item = (u64, &'a [(Arc<str>, i64)])>) -> Result<String> {
    let mut text = String::from(crate::checkpoint::VERSION_LINE);
    for (batch_id, files) in entries {
        for (path, timestamp) in files {
            let entry = FileEntry {
                path: Arc::clone(path),
                timestamp: *timestamp,
                batch_id,
            };
            text.push('\n');
            text.push_str(&json(&entry)?);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(numbers: std::ops::Range<i64>) -> Vec<ListedFile> {
        let file = |number| ListedFile {
            url: Url::parse(&format!("file:///landing/{number}.json")).expect("URL"),
            modified_ms: number,
        };
        numbers.map(file).collect()
    }

    fn names(log: &FileLog, from: u64, until: u64) -> Vec<String> {
        let urls = log.files(from, until).expect("files");
        urls.iter()
            .map(|url| url.path().trim_start_matches("/landing/").to_owned())
            .collect()
    }

    #[test]
    fn each_file_is_in_one_entry_also_after_reopening() {
        let folder = tempfile::tempdir().expect("folder");
        let mut log = FileLog::open(folder.path().to_owned()).expect("open");
        assert_eq!(log.append_unseen(listed(0..5), 2).expect("append"), 3);
        assert_eq!(log.append_unseen(listed(0..5), 2).expect("append"), 3);
        let mut log = FileLog::open(folder.path().to_owned()).expect("open again");
        assert_eq!(log.append_unseen(listed(0..6), 2).expect("append"), 4);
        assert_eq!(names(&log, 0, 2), ["0.json", "1.json", "2.json", "3.json"]);
        assert_eq!(names(&log, 2, 4), ["4.json", "5.json"]);
        log.files(2, 5).expect_err("there is no entry 5");
    }

    #[test]
    fn a_compacted_log_is_the_same_log() {
        let folder = tempfile::tempdir().expect("folder");
        let mut log = FileLog::open(folder.path().to_owned()).expect("open");
        for round in 1..=3 {
            log.append_unseen(listed(0..11 * round), 1).expect("append");
            log.compact().expect("compact");
        }
        log.append_unseen(listed(0..34), 1).expect("append");
        let files = fs::read_dir(folder.path()).expect("list").count();
        assert_eq!(files, 2, "one compacted file and one entry");
        let log = FileLog::open(folder.path().to_owned()).expect("open again");
        assert_eq!(log.last(), 34);
        assert_eq!(names(&log, 20, 22), ["20.json", "21.json"]);
        assert_eq!(names(&log, 0, 34).len(), 34);
    }

    #[test]
    fn a_log_with_a_gap_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let mut log = FileLog::open(folder.path().to_owned()).expect("open");
        log.append_unseen(listed(0..3), 1).expect("append");
        fs::remove_file(folder.path().join("2")).expect("delete");
        let error = FileLog::open(folder.path().to_owned()).expect_err("gap");
        assert!(
            error.to_string().contains("entry 2 before it is missing"),
            "{error}"
        );
    }
}
