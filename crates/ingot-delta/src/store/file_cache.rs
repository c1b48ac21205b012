//! Data files of far stores, kept on a local disk.
//!
//! ```text
//! range of a file ─► blocks ─┬─ on disk, length and checksum right ─────────────────────┐
//!                            └─ otherwise: read from the store, run by run ─► put on disk ┴─► bytes
//! ```
//! - Files of a Delta table never change, so a block is known by its store, path, the file's size and its number, and
//!   is never out of date.
//! - A block is written under a name of its own and renamed; it ends with a checksum. What a killed process or a lost
//!   power supply left behind is read from the store again, or deleted.
//! - Bounded in bytes: whoever was read least recently goes first. A disk that is full only means less is kept.
//! - One process keeps files in a folder; a second one with the same folder reads the store.
//!
//! Source: Databricks, "Optimize performance with caching", for what users see.

mod blocks;
mod cached_file;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, Result};
use sha2::{Digest, Sha256};
use url::Url;

use self::blocks::{BlockId, Blocks, FileId};
use self::cached_file::CachedFile;

/// Bytes of a block: what is read from the store at least.
const BLOCK_BYTES: u64 = 1 << 20;
/// Blocks that are asked of the store at once, in one request, at most.
const RUN_BLOCKS_MAX: u32 = 8;
/// Requests, and reads of the disk, of one call at a time.
const REQUESTS_MAX: usize = 8;
const CHECKSUM_BYTES: usize = 4;
/// The process that holds its lock keeps files in the folder.
const LOCK: &str = "lock";
const UNFINISHED: &str = "tmp";

/// Where files are kept, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCacheOptions {
    pub directory: PathBuf,
    pub bytes_max: u64,
}

/// What a cache holds, and what it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileCacheCounts {
    /// Blocks that were on disk.
    pub hits: u64,
    /// Blocks that were read from stores.
    pub misses: u64,
    pub bytes: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct FileCache {
    options: FileCacheOptions,
    /// `None` where another process has the folder, or it cannot be used.
    opened: OnceLock<Option<Opened>>,
    blocks: Mutex<Blocks>,
}

#[derive(Debug)]
struct Opened {
    /// Holds the lock.
    _lock: File,
}

impl FileCache {
    /// Makes a cache; its folder is opened when it is first asked.
    pub fn new(options: FileCacheOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            opened: OnceLock::new(),
            blocks: Mutex::default(),
        })
    }

    /// Returns the files of a store whose root is `store_url` through this cache.
    pub(crate) fn of_store(self: &Arc<Self>, store: &Arc<dyn ObjectStore>, store_url: &Url) -> CachedFiles {
        CachedFiles {
            cache: Arc::clone(self),
            store: Arc::clone(store),
            store_url: store_url.clone(),
        }
    }

    /// Returns what the cache holds, and what it was asked.
    pub fn counts(&self) -> FileCacheCounts {
        self.blocks().counts()
    }

    /// Forgets all files.
    pub async fn clear(self: &Arc<Self>) {
        if self.open().await {
            let gone = self.blocks().clear();
            self.delete(gone).await;
        }
    }

    /// Reads ranges of a file.
    async fn read(
        self: &Arc<Self>,
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        id: FileId,
        ranges: &[Range<u64>],
        hits: Option<&CacheHits>,
    ) -> Result<Vec<Bytes>> {
        if !self.open().await
            || ranges
                .iter()
                .any(|range| range.start >= range.end || range.end > id.size)
        {
            return store.get_ranges(path, ranges).await;
        }
        let wanted = blocks::of_ranges(ranges);
        let kept = futures::stream::iter(wanted.iter().copied())
            .map(|number| async move { (number, self.kept(id.block(number)).await) })
            .buffered(REQUESTS_MAX)
            .collect::<Vec<_>>()
            .await;
        let missing: Vec<u32> = kept
            .iter()
            .filter(|(_, block)| block.is_none())
            .map(|(number, _)| *number)
            .collect();
        let fetched = futures::stream::iter(blocks::runs(&missing, RUN_BLOCKS_MAX))
            .map(|run| self.fetch_run(store, path, id, run))
            .buffered(REQUESTS_MAX)
            .try_collect::<Vec<_>>()
            .await?;
        self.blocks().count(kept.len() - missing.len(), missing.len());
        if let Some(hits) = hits {
            hits.tell(ranges, kept.len() - missing.len(), kept.len());
        }
        let mut found: HashMap<u32, Bytes> = fetched.into_iter().flatten().collect();
        found.extend(
            kept.into_iter()
                .filter_map(|(number, block)| Some((number, block?))),
        );
        Ok(ranges
            .iter()
            .map(|range| blocks::assemble(range, &found))
            .collect())
    }

    /// Reads blocks that follow each other from the store, and keeps them.
    async fn fetch_run(
        self: &Arc<Self>,
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        id: FileId,
        run: Range<u32>,
    ) -> Result<Vec<(u32, Bytes)>> {
        let start = u64::from(run.start) * BLOCK_BYTES;
        let end = (u64::from(run.end) * BLOCK_BYTES).min(id.size);
        let bytes = store.get_range(path, start..end).await?;
        if bytes.len() as u64 != end - start {
            return Err(object_store::Error::Generic {
                store: "file cache",
                source: format!(
                    "{path} has {} bytes where {} were expected",
                    bytes.len(),
                    end - start
                )
                .into(),
            });
        }
        let blocks: Vec<(u32, Bytes)> = run
            .map(|number| (number, blocks::part(&bytes, start, id.range(number))))
            .collect();
        let cache = Arc::clone(self);
        let kept = blocks.clone();
        let gone = tokio::task::spawn_blocking(move || {
            let mut gone = Vec::new();
            for (number, block) in kept {
                gone.extend(cache.keep(id.block(number), &block));
            }
            cache.delete_now(gone);
        });
        // What cannot be kept is read again.
        let _ = gone.await;
        Ok(blocks)
    }

    /// Returns a block that is on disk as it was written.
    async fn kept(self: &Arc<Self>, id: BlockId) -> Option<Bytes> {
        if !self.blocks().touch(id) {
            return None;
        }
        let file = self.path(id);
        let length = id.bytes();
        let read = tokio::task::spawn_blocking(move || read_block(&file, length)).await;
        let block = read.ok().flatten();
        if block.is_none() {
            self.blocks().remove(id);
        }
        block
    }

    /// Puts a block on disk. Returns what has to go for it.
    fn keep(&self, id: BlockId, block: &[u8]) -> Vec<BlockId> {
        let file = self.path(id);
        match write_block(&file, block) {
            Ok(()) => self.blocks().insert(id, self.options.bytes_max),
            Err(error) => {
                tracing::debug!(%error, "a block of a file is not kept");
                Vec::new()
            }
        }
    }

    async fn delete(self: &Arc<Self>, gone: Vec<BlockId>) {
        let cache = Arc::clone(self);
        let _ = tokio::task::spawn_blocking(move || cache.delete_now(gone)).await;
    }

    fn delete_now(&self, gone: Vec<BlockId>) {
        for id in gone {
            let _ = fs::remove_file(self.path(id));
        }
    }

    /// Says if the folder is ours.
    async fn open(self: &Arc<Self>) -> bool {
        if let Some(opened) = self.opened.get() {
            return opened.is_some();
        }
        // Whoever waits may be dropped; what opens the folder goes on, and others wait for it.
        let cache = Arc::clone(self);
        let opened =
            tokio::task::spawn_blocking(move || cache.opened.get_or_init(|| cache.open_folder()).is_some());
        opened.await.unwrap_or(false)
    }

    fn open_folder(&self) -> Option<Opened> {
        match self.take_folder() {
            Ok(opened) => Some(opened),
            Err(error) => {
                let directory = self.options.directory.display();
                tracing::info!(%directory, %error, "files of far stores are not kept by this process");
                None
            }
        }
    }

    /// Takes the lock, and finds what an earlier process kept. What is not a cache's own stays as it is: the folder may
    /// be one that holds other things.
    fn take_folder(&self) -> std::io::Result<Opened> {
        let directory = &self.options.directory;
        fs::create_dir_all(directory)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join(LOCK))?;
        lock.try_lock()?;
        let mut found: Vec<(SystemTime, BlockId)> = Vec::new();
        for folder in fs::read_dir(directory)?.flatten() {
            if !is_folder_of_blocks(&folder) {
                continue;
            }
            let Ok(files) = fs::read_dir(folder.path()) else {
                continue;
            };
            for file in files.flatten() {
                let name = file.file_name();
                match (name.to_str().and_then(Own::of), file.metadata()) {
                    (Some(Own::Block(id)), Ok(metadata))
                        if metadata.len() == id.bytes() + CHECKSUM_BYTES as u64 =>
                    {
                        found.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), id));
                    }
                    // What was not finished.
                    (Some(_), _) => drop(fs::remove_file(file.path())),
                    (None, _) => {}
                }
            }
        }
        found.sort_unstable();
        let mut gone = Vec::new();
        for (_, id) in found {
            gone.extend(self.blocks().insert(id, self.options.bytes_max));
        }
        self.delete_now(gone);
        Ok(Opened { _lock: lock })
    }

    fn path(&self, id: BlockId) -> PathBuf {
        let name = id.name();
        self.options.directory.join(&name[..2]).join(name)
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is told how many of the bytes that a reader asked for were on the local disk. Cheap to clone.
#[derive(Clone)]
pub struct CacheHits(Arc<dyn Fn(u64) + Send + Sync>);

impl CacheHits {
    /// Has `told` called with each number of bytes.
    pub fn new(told: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    /// Tells of a read of which so many of all blocks were there.
    fn tell(&self, ranges: &[Range<u64>], kept: usize, all: usize) {
        let asked: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        let part = |blocks: usize| u64::try_from(blocks).unwrap_or_default();
        if let Some(bytes) = asked.saturating_mul(part(kept)).checked_div(part(all)) {
            (self.0)(bytes);
        }
    }
}

impl std::fmt::Debug for CacheHits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheHits").finish_non_exhaustive()
    }
}

/// The files of one store, through a cache. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CachedFiles {
    cache: Arc<FileCache>,
    store: Arc<dyn ObjectStore>,
    store_url: Url,
}

impl CachedFiles {
    /// Returns the store as the reader of one file of `size` bytes sees it; `hits` is told what was there.
    pub fn file(&self, path: &Path, size: u64, hits: CacheHits) -> Arc<dyn ObjectStore> {
        Arc::new(CachedFile {
            cache: Arc::clone(&self.cache),
            store: Arc::clone(&self.store),
            path: path.clone(),
            id: self.id(path, size),
            hits,
        })
    }

    /// Reads a whole file ahead.
    ///
    /// # Errors
    /// The store's.
    pub async fn fetch(&self, path: &Path, size: u64) -> Result<()> {
        let run = u64::from(RUN_BLOCKS_MAX) * BLOCK_BYTES;
        let mut start = 0;
        while start < size {
            let end = (start + run).min(size);
            let range = start..end;
            let ranges = std::slice::from_ref(&range);
            self.cache
                .read(&self.store, path, self.id(path, size), ranges, None)
                .await?;
            start = end;
        }
        Ok(())
    }

    /// Forgets a file.
    pub async fn forget(&self, path: &Path, size: u64) {
        if self.cache.open().await {
            let gone = self.cache.blocks().forget(self.id(path, size));
            self.cache.delete(gone).await;
        }
    }

    fn id(&self, path: &Path, size: u64) -> FileId {
        FileId::new(&self.store_url, path, size)
    }
}

fn read_block(file: &FilePath, length: u64) -> Option<Bytes> {
    let length = usize::try_from(length).ok()?;
    let mut content = Vec::with_capacity(length + CHECKSUM_BYTES);
    File::open(file).ok()?.read_to_end(&mut content).ok()?;
    let (block, checksum) = content.split_at_checked(length)?;
    if checksum != crc32fast::hash(block).to_le_bytes() {
        return None;
    }
    content.truncate(length);
    Some(content.into())
}

fn write_block(file: &FilePath, block: &[u8]) -> std::io::Result<()> {
    let unfinished = file.with_extension(format!("{UNFINISHED}{}", uuid::Uuid::now_v7().simple()));
    let write = || {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut written = File::create(&unfinished)?;
        written.write_all(block)?;
        written.write_all(&crc32fast::hash(block).to_le_bytes())?;
        fs::rename(&unfinished, file)
    };
    write().inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

/// Says if a folder is one that [`FileCache::path`] makes.
fn is_folder_of_blocks(folder: &fs::DirEntry) -> bool {
    let name = folder.file_name();
    let named = name.len() == 2
        && name
            .to_str()
            .is_some_and(|name| name.chars().all(|c| c.is_ascii_hexdigit()));
    named && folder.file_type().is_ok_and(|kind| kind.is_dir())
}

/// A file that a cache has written.
enum Own {
    Block(BlockId),
    Unfinished,
}

impl Own {
    fn of(name: &str) -> Option<Self> {
        match name.split_once('.') {
            None => BlockId::from_name(name).map(Self::Block),
            Some((block, extension)) if extension.starts_with(UNFINISHED) => {
                BlockId::from_name(block).map(|_| Self::Unfinished)
            }
            Some(_) => None,
        }
    }
}

/// Makes what a file is known by.
fn digest(store_url: &Url, path: &Path) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(store_url.as_str());
    hasher.update([0]);
    hasher.update(path.as_ref());
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize()[..16]);
    short
}
