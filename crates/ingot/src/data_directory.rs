//! The data directory: where everything that outlives the process stands.
//!
//! ```text
//! <data-dir>/ metastore.sqlite      securables, tokens
//!             history.sqlite        statements that have ended
//!             tables/               managed tables
//!             pipelines/<name>/     checkpoints and state of a pipeline, and the lock of the process that runs it
//!             spill/<uuid>/         of one process each, gone with it
//!             tls/                  the development authority of certificates
//!             admin-token           mode 0600
//!             cursor-key            mode 0600; signs cursors of the data API
//! ```
//! Several processes may use one data directory: the metastore and the Delta logs arbitrate between them. What
//! only one may use at a time (a spill folder, a pipeline's state) is held by a lock on a file, which the
//! system releases when the process dies, however it dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ingot_catalog::history_file;
use url::Url;
use uuid::Uuid;

use crate::error::{Error, Result};

const PIPELINE_LOCK: &str = "lock";

/// Paths below a data directory that exists.
#[derive(Debug, Clone)]
pub struct DataDirectory {
    root: PathBuf,
}

impl DataDirectory {
    /// Creates the directory (mode 0700) where it is missing, and what belongs into it.
    pub fn open(path: &Path) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(Error::file("create data directory", path))?;
        let root = path
            .canonicalize()
            .map_err(Error::file("resolve data directory", path))?;
        let directory = Self { root };
        for folder in [directory.tables(), directory.pipelines()] {
            fs::create_dir_all(&folder).map_err(Error::file("create folder", &folder))?;
        }
        Ok(directory)
    }

    /// Returns the absolute path of the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the metastore's SQLite file.
    pub fn metastore(&self) -> PathBuf {
        self.root.join("metastore.sqlite")
    }

    /// Returns the folder of the development authority of certificates.
    pub fn tls(&self) -> PathBuf {
        self.root.join("tls")
    }

    /// Returns the SQLite file of the query history.
    pub fn history(&self) -> PathBuf {
        history_file(&self.root)
    }

    /// Returns the folder of managed tables as a URL with a trailing slash.
    pub fn tables_url(&self) -> Result<Url> {
        Url::from_directory_path(self.tables()).map_err(|()| Error::Usage {
            message: format!("data directory `{}` is not an absolute path", self.root.display()),
        })
    }

    /// Returns where spill folders go unless configured otherwise.
    pub fn spill(&self) -> PathBuf {
        self.root.join("spill")
    }

    /// Returns where data files of buckets are kept unless configured otherwise.
    pub fn file_cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Returns the file that holds the admin token.
    pub fn admin_token(&self) -> PathBuf {
        self.root.join("admin-token")
    }

    /// Returns the file that holds what cursors are signed with.
    pub fn cursor_key(&self) -> PathBuf {
        self.root.join("cursor-key")
    }

    /// Returns the file that says which demo the directory holds.
    pub fn demo(&self) -> PathBuf {
        self.root.join("demo.json")
    }

    /// Returns whether a pipeline has state: some process began to run it here before.
    pub fn has_pipeline_state(&self, pipeline: &str) -> bool {
        let entries = fs::read_dir(self.pipelines().join(pipeline));
        entries.is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name() != PIPELINE_LOCK))
    }

    /// Takes the state folder of a pipeline for this process, creating it if missing.
    ///
    /// # Errors
    /// `InvalidArgument` while another process (or another task of this one) runs the pipeline.
    pub fn lock_pipeline(&self, pipeline: &str) -> Result<PipelineState> {
        let folder = self.pipelines().join(pipeline);
        fs::create_dir_all(&folder).map_err(Error::file("create pipeline state", &folder))?;
        let path = folder.join(PIPELINE_LOCK);
        let lock = open_lock(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(PipelineState { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Usage {
                message: format!(
                    "pipeline `{pipeline}` is being run by another process on this data directory"
                ),
            }),
            Err(TryLockError::Error(source)) => Err(Error::file("lock", &path)(source)),
        }
    }

    fn tables(&self) -> PathBuf {
        self.root.join("tables")
    }

    fn pipelines(&self) -> PathBuf {
        self.root.join("pipelines")
    }
}

/// A pipeline's state folder, held until this is dropped.
#[derive(Debug)]
pub struct PipelineState {
    folder: PathBuf,
    _lock: File,
}

impl PipelineState {
    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A folder for spill files that is gone when this is dropped, or swept up after a process that was killed.
#[derive(Debug)]
pub struct SpillDirectory {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl SpillDirectory {
    /// Sweeps folders of dead processes below `root`, then makes one for this process.
    pub fn create(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(Error::file("create spill directory", root))?;
        sweep(root)?;
        let id = Uuid::new_v4();
        let folder = root.join(id.to_string());
        let lock_path = root.join(format!("{id}.lock"));
        // The lock comes first: a sweeper never sees a folder whose owner could still take its lock.
        let lock = open_lock(&lock_path)?;
        lock.lock().map_err(Error::file("lock", &lock_path))?;
        fs::create_dir(&folder).map_err(Error::file("create spill directory", &folder))?;
        Ok(Self {
            folder,
            lock_path,
            _lock: lock,
        })
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for SpillDirectory {
    fn drop(&mut self) {
        // What cannot be deleted now is swept by the next process.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(&self.lock_path);
    }
}

fn sweep(root: &Path) -> Result<()> {
    let entries = fs::read_dir(root).map_err(Error::file("list spill directory", root))?;
    for entry in entries.flatten() {
        let lock_path = entry.path();
        if lock_path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        // A lock that cannot be opened or taken belongs to a living process, or to one that just swept it.
        let Ok(lock) = File::open(&lock_path) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(lock_path.with_extension(""));
            let _ = fs::remove_file(&lock_path);
        }
    }
    Ok(())
}

fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::file("open lock", path))
}

/// Writes a file that only its owner may read, whole or not at all. Returns `false`, changing nothing, when the
/// file exists: of several processes one wins.
pub fn write_secret_once(path: &Path, content: &str) -> Result<bool> {
    let staged = path.with_extension(format!("{}.tmp", Uuid::new_v4()));
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&staged)
        .map_err(Error::file("create", &staged))?;
    let written = file.write_all(content.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&staged, path));
    let _ = fs::remove_file(&staged);
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::file("write", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secret_is_private_and_written_once() {
        let folder = tempfile::tempdir().expect("tempdir");
        let path = folder.path().join("admin-token");
        assert!(write_secret_once(&path, "first").expect("write"));
        assert!(!write_secret_once(&path, "second").expect("write"));
        assert_eq!(fs::read_to_string(&path).expect("read"), "first");
        let mode = fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1);
    }

    #[test]
    fn pipeline_state_has_one_holder() {
        let folder = tempfile::tempdir().expect("tempdir");
        let directory = DataDirectory::open(folder.path()).expect("open");
        assert!(!directory.has_pipeline_state("flights"));
        let held = directory.lock_pipeline("flights").expect("first holder");
        directory.lock_pipeline("flights").expect_err("second holder");
        drop(held);
        let held = directory.lock_pipeline("flights").expect("next holder");
        assert!(!directory.has_pipeline_state("flights"));
        fs::create_dir(held.folder().join("checkpoints")).expect("state");
        assert!(directory.has_pipeline_state("flights"));
    }

    #[test]
    fn spill_folders_of_the_dead_are_swept_and_of_the_living_kept() {
        let root = tempfile::tempdir().expect("tempdir");
        let dead = root.path().join("dead");
        fs::create_dir(&dead).expect("folder");
        fs::write(root.path().join("dead.lock"), "").expect("lock");
        let living = SpillDirectory::create(root.path()).expect("spill");
        assert!(!dead.exists());
        let other = SpillDirectory::create(root.path()).expect("spill");
        assert!(living.path().is_dir());
        drop(other);
        drop(living);
        assert_eq!(fs::read_dir(root.path()).expect("list").count(), 0);
    }
}
