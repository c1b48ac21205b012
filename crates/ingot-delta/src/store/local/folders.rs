//! Folders that are on disk, with the folders above them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::shared_sync::{SharedSyncs, SyncFolder};

/// Folders remembered as synced, at most; forgetting one costs a few more syncs.
const SYNCED_FOLDERS_MAX: usize = 65_536;

/// Folders whose own entries, and those of all folders above them, are on disk.
#[derive(Debug)]
pub(super) struct SyncedFolders {
    known: Mutex<HashMap<PathBuf, FolderIdentity>>,
    syncs: SharedSyncs,
}

/// Tells a folder from another that was made later under its name. Numbers of files are used again, so the time
/// of its making counts too where the file system keeps that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FolderIdentity {
    inode: u64,
    made_at: Option<SystemTime>,
}

impl FolderIdentity {
    /// Returns `None` when there is no such folder.
    pub fn of(folder: &FilePath) -> io::Result<Option<Self>> {
        let metadata = match fs::metadata(folder) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !metadata.is_dir() {
            // Not `AlreadyExists`, which would say that the file to be put is there.
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Some(Self {
            inode: inode(&metadata),
            made_at: metadata.created().ok(),
        }))
    }
}

#[cfg(unix)]
pub(super) fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
pub(super) fn inode(_: &fs::Metadata) -> u64 {
    0
}

impl SyncedFolders {
    pub fn new(sync: SyncFolder) -> Self {
        Self {
            known: Mutex::default(),
            syncs: SharedSyncs::new(sync),
        }
    }

    /// Makes `folder` exist and its entry, and those above it, durable. Costs one look at the folder if it is still
    /// the one that was made durable before.
    pub fn ensure(&self, folder: &FilePath) -> io::Result<()> {
        let mut unsure = Vec::new();
        for ancestor in folder.ancestors() {
            if self.knows(ancestor)? {
                break;
            }
            unsure.push(ancestor);
        }
        if unsure.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(folder).map_err(|error| match error.kind() {
            // A file in the folder's place; the caller would take it for the file that it puts.
            io::ErrorKind::AlreadyExists => io::Error::from(io::ErrorKind::NotADirectory),
            _ => error,
        })?;
        for ancestor in unsure.into_iter().rev() {
            // The identity first: a folder that is made anew meanwhile is not taken for synced.
            let identity = FolderIdentity::of(ancestor)?;
            if let Some(parent) = ancestor.parent() {
                match self.syncs.sync(parent) {
                    // A folder above ours that we may not read was there before us.
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                    outcome => outcome?,
                }
            }
            if let Some(identity) = identity {
                self.remember(ancestor, identity);
            }
        }
        Ok(())
    }

    /// Makes the entries that `folder` has now durable. Callers share what they can.
    pub fn sync(&self, folder: &FilePath) -> io::Result<()> {
        self.syncs.sync(folder)
    }

    fn knows(&self, folder: &FilePath) -> io::Result<bool> {
        let Some(known) = self.lock().get(folder).copied() else {
            return Ok(false);
        };
        Ok(FolderIdentity::of(folder)? == Some(known))
    }

    pub(super) fn remember(&self, folder: &FilePath, identity: FolderIdentity) {
        let mut known = self.lock();
        if known.len() >= SYNCED_FOLDERS_MAX {
            known.clear();
        }
        known.insert(folder.to_path_buf(), identity);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, FolderIdentity>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the system to put the entries of a folder on disk.
pub(super) fn sync_folder(folder: &FilePath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Folders that record which of them were synced.
    fn recorded() -> (SyncedFolders, Arc<Mutex<Vec<PathBuf>>>) {
        let synced: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
        let record = Arc::clone(&synced);
        let folders = SyncedFolders::new(Box::new(move |folder| {
            record
                .lock()
                .expect("no holder panics")
                .push(folder.to_path_buf());
            sync_folder(folder)
        }));
        (folders, synced)
    }

    /// Returns the folders at or below `root` that were synced since the last call.
    fn synced_below(synced: &Mutex<Vec<PathBuf>>, root: &FilePath) -> Vec<PathBuf> {
        let mut synced = synced.lock().expect("no holder panics");
        let below = synced.extract_if(.., |folder| folder.starts_with(root));
        below.collect()
    }

    #[test]
    fn each_folder_on_the_way_is_synced_once() {
        let root = tempfile::tempdir().expect("folder");
        let root = root.path();
        let (folders, synced) = recorded();
        folders.ensure(&root.join("t/p=1")).expect("made");
        assert_eq!(synced_below(&synced, root), [root.to_path_buf(), root.join("t")]);
        folders.ensure(&root.join("t/p=1")).expect("there");
        assert!(synced_below(&synced, root).is_empty(), "nothing is new");
        folders.ensure(&root.join("t/p=2")).expect("made");
        assert_eq!(synced_below(&synced, root), [root.join("t")]);
    }

    #[test]
    fn folders_made_anew_are_synced_anew() {
        let root = tempfile::tempdir().expect("folder");
        let root = root.path();
        let (folders, synced) = recorded();
        let log = root.join("t/_delta_log");
        folders.ensure(&log).expect("made");
        synced_below(&synced, root);
        fs::remove_dir_all(root.join("t")).expect("removed");
        folders.ensure(&log).expect("made by us");
        assert_eq!(synced_below(&synced, root), [root.to_path_buf(), root.join("t")]);
        // By another process, which may not have come to syncing it. A number of its own, or a later time, tells.
        fs::rename(root.join("t"), root.join("old")).expect("moved");
        fs::create_dir_all(&log).expect("made by another");
        folders.ensure(&log).expect("there");
        assert_eq!(synced_below(&synced, root), [root.to_path_buf(), root.join("t")]);
    }
}
