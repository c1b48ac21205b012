//! Which files COPY INTO has loaded into a table: a side log, of which one commit of the table decides what counts.
//!
//! ```text
//! _delta_log/_copy_into_log/ 1.json ◄── 4.json ◄── 5.json      each: names of files, and the number before
//!                                       3.json                  (a load that never committed: nobody points to it)
//!                                                  ▲
//! txn("ingot.copyInto", 5), in the commit with the rows
//! ```
//! Always true: an entry is on disk before the commit that makes it count, and the commit that makes it count holds the
//! rows. A commit takes the place of the one whose entry it follows: of two loads at once one conflicts, and looks
//! again at what is left to load. Entries of about the same size are merged as they are written, so that reading
//! costs a few files, and writing a name costs a logarithm of their count. A clone, whose log has no such folder,
//! begins anew.
//!
//! Source: ADR 0011; Databricks, "COPY INTO", which keeps such a folder in the same place.

use std::collections::HashSet;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};

use crate::{DeltaTable, Error, Result, Snapshot};

/// The application of the transactions that say which entry is the newest.
pub const COPY_INTO_APP: &str = "ingot.copyInto";

/// Numbers that a load tries for its entry, above the newest in the folder; others may be writing theirs.
const NUMBERS_TRIED_MAX: i64 = 100;

/// An entry as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    /// The entry that the names of this one are added to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
    /// Names of this entry and of all those before it.
    total: usize,
    files: Vec<String>,
}

/// The files that were loaded into one version of a table.
#[derive(Debug)]
pub struct LoadedFiles {
    names: HashSet<String>,
    /// Number and names of the entries that count, newest first.
    chain: Vec<(i64, Entry)>,
}

impl LoadedFiles {
    /// Reads what was loaded into the table as `snapshot` has it.
    ///
    /// # Errors
    /// `CorruptLog` when an entry that counts is missing or cannot be read: to take its files for new would load them
    /// twice.
    pub async fn read(table: &DeltaTable, snapshot: &Snapshot) -> Result<Self> {
        let mut next = snapshot.app_transaction(COPY_INTO_APP).await?;
        let mut loaded = Self {
            names: HashSet::new(),
            chain: Vec::new(),
        };
        while let Some(number) = next {
            let entry = read_entry(table, number).await?;
            if entry.previous.is_some_and(|previous| previous >= number) {
                return Err(corrupt(table, number, "an entry follows a later one"));
            }
            next = entry.previous;
            loaded.names.extend(entry.files.iter().cloned());
            loaded.chain.push((number, entry));
        }
        Ok(loaded)
    }

    /// Returns the number of the newest entry that counts.
    pub fn number(&self) -> Option<i64> {
        self.chain.first().map(|(number, _)| *number)
    }

    /// Says if the file of this name was loaded.
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Writes the entry of a load of files with these `names`, and returns its number: the version of
    /// [`COPY_INTO_APP`] that the commit of their rows must set. Before that, the entry counts for nothing.
    ///
    /// # Errors
    /// `Unavailable` when the store fails.
    pub async fn stage(&self, table: &DeltaTable, names: &[String]) -> Result<StagedLoad> {
        let mut files: Vec<String> = names
            .iter()
            .filter(|name| !self.contains(name))
            .cloned()
            .collect();
        let total = self.names.len() + files.len();
        let mut merged = Vec::new();
        let mut rest = self.chain.iter().peekable();
        while let Some((number, entry)) = rest.next_if(|(_, entry)| entry.files.len() <= 2 * files.len()) {
            files.extend(entry.files.iter().cloned());
            merged.push(*number);
        }
        let entry = Entry {
            previous: rest.peek().map(|(number, _)| *number),
            total,
            files,
        };
        let newest = self.chain.first().map_or(0, |(number, _)| *number);
        let number = put_entry(table, newest, &entry).await?;
        Ok(StagedLoad { number, merged })
    }
}

/// An entry that is on disk and does not count yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedLoad {
    pub number: i64,
    /// Entries that it takes the place of.
    merged: Vec<i64>,
}

impl StagedLoad {
    /// Deletes the entry after a commit that did not happen. One that cannot be deleted counts for nothing.
    pub async fn discard(&self, table: &DeltaTable) {
        delete(table, &[self.number]).await;
    }

    /// Deletes the entries that it has taken the place of, after its commit. A load that still reads them is on an old
    /// version, and could not commit.
    pub async fn clean(&self, table: &DeltaTable) {
        delete(table, &self.merged).await;
    }
}

fn folder(table: &DeltaTable) -> Path {
    table.log_root().join("_copy_into_log")
}

fn path(table: &DeltaTable, number: i64) -> Path {
    folder(table).join(format!("{number:020}.json"))
}

async fn read_entry(table: &DeltaTable, number: i64) -> Result<Entry> {
    let (store, _) = table.store();
    let path = path(table, number);
    let bytes = match store.get(&path).await {
        Ok(found) => found.bytes().await,
        Err(object_store::Error::NotFound { .. }) => {
            return Err(corrupt(table, number, "the entry is missing"));
        }
        Err(source) => Err(source),
    };
    let bytes = bytes.map_err(|source| failed("read", &path, source))?;
    serde_json::from_slice(&bytes).map_err(|error| corrupt(table, number, &error.to_string()))
}

/// Puts an entry under the first free number after `newest` and all that are in the folder.
async fn put_entry(table: &DeltaTable, newest: i64, entry: &Entry) -> Result<i64> {
    let text = serde_json::to_vec(entry).map_err(|error| Error::Internal {
        message: format!("entry does not serialize: {error}"),
    })?;
    let (store, _) = table.store();
    let first = newest.max(newest_number(table).await?) + 1;
    for number in first..first + NUMBERS_TRIED_MAX {
        let path = path(table, number);
        let payload = PutPayload::from(text.clone());
        match store
            .put_opts(&path, payload, PutOptions::from(PutMode::Create))
            .await
        {
            Ok(_) => return Ok(number),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
            Err(source) => return Err(failed("write", &path, source)),
        }
    }
    Err(Error::CommitRetriesExhausted {
        location: table.location().to_string(),
        retries: NUMBERS_TRIED_MAX as u32,
    })
}

/// Returns the largest number in the folder, 0 when there is none.
async fn newest_number(table: &DeltaTable) -> Result<i64> {
    let (store, _) = table.store();
    let folder = folder(table);
    let mut newest = 0;
    let mut found = store.list(Some(&folder));
    loop {
        let next = match found.try_next().await {
            Ok(next) => next,
            Err(object_store::Error::NotFound { .. }) => None,
            Err(source) => return Err(failed("list", &folder, source)),
        };
        let Some(meta) = next else {
            return Ok(newest);
        };
        let name = meta.location.filename().unwrap_or_default();
        let number = name.strip_suffix(".json").and_then(|number| number.parse().ok());
        newest = newest.max(number.unwrap_or_default());
    }
}

async fn delete(table: &DeltaTable, numbers: &[i64]) {
    let (store, _) = table.store();
    for number in numbers {
        let path = path(table, *number);
        if let Err(error) = store.delete(&path).await {
            tracing::debug!(%path, %error, "an entry that counts for nothing stays");
        }
    }
}

fn failed(action: &'static str, path: &Path, source: object_store::Error) -> Error {
    Error::Store {
        action,
        path: path.to_string(),
        source,
    }
}

fn corrupt(table: &DeltaTable, number: i64, message: &str) -> Error {
    Error::CorruptLog {
        location: table.location().to_string(),
        message: format!("entry {number} of the files that COPY INTO has loaded: {message}"),
    }
}
