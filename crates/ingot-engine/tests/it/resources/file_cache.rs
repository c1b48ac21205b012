//! Data files of far stores, read once.

use std::fmt;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use ingot_delta::{DeltaTables, FileCacheCounts, FileCacheOptions, TablesOptions};
use ingot_engine::{Engine, EngineOptions, Session};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tempfile::TempDir;
use url::Url;

use crate::sql::{refused, rows, run};
use crate::support;

/// A store in memory that counts what is asked of it of data files.
#[derive(Debug, Clone, Default)]
struct CountingStore {
    inner: Arc<InMemory>,
    gets: Arc<AtomicUsize>,
}

impl CountingStore {
    fn count(&self, location: &Path, gets: usize) {
        if location.as_ref().ends_with(".parquet") && !location.as_ref().contains("_delta_log") {
            self.gets.fetch_add(gets, Ordering::SeqCst);
        }
    }

    /// Returns how often data files were asked for since the last time.
    fn gets(&self) -> usize {
        self.gets.swap(0, Ordering::SeqCst)
    }
}

impl fmt::Display for CountingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CountingStore")
    }
}

#[async_trait]
impl ObjectStore for CountingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.count(location, 1);
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.count(location, ranges.len());
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

const ROWS: usize = 300_000;

fn query(threshold: usize) -> String {
    format!("SELECT count(*), sum(length(s)) FROM t WHERE a >= {threshold}")
}

/// Opens an engine whose bucket is `store`, and which keeps its files in `folder`.
async fn open_over(directory: &FilePath, store: &CountingStore, bytes_max: u64) -> (Engine, Session) {
    let tables = DeltaTables::new(TablesOptions {
        sync: false,
        file_cache: Some(FileCacheOptions {
            directory: directory.join("cache"),
            bytes_max,
        }),
        ..TablesOptions::default()
    });
    let bucket = Url::parse("s3://bucket/").expect("URL");
    let tables = tables.with_store(bucket, Arc::new(store.clone()));
    let options = EngineOptions {
        result_cache_bytes_max: 0,
        ..support::options(directory)
    };
    let engine = support::engine_with(directory, tables, options).await;
    let session = support::session(&engine);
    (engine, session)
}

/// Makes a table of some megabytes in a bucket.
async fn far_table(bytes_max: u64) -> (TempDir, CountingStore, Engine, Session) {
    let directory = tempfile::tempdir().expect("directory");
    let store = CountingStore::default();
    let (engine, session) = open_over(directory.path(), &store, bytes_max).await;
    let made = format!(
        "CREATE TABLE t LOCATION 's3://bucket/t' AS SELECT id AS a, sha2(CAST(id AS STRING), 256) AS s FROM range({ROWS})"
    );
    run(&session, &[&made]).await;
    store.gets();
    (directory, store, engine, session)
}

fn counts(engine: &Engine) -> FileCacheCounts {
    engine.tables().file_cache().expect("a cache").counts()
}

fn answer(threshold: usize) -> String {
    format!("{}|{}", ROWS - threshold, 64 * (ROWS - threshold))
}

/// Returns the files of a folder and those below it.
fn files(folder: &FilePath) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("folder").flatten() {
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path())),
            false if entry.file_name() != "lock" => found.push(entry.path()),
            false => {}
        }
    }
    found
}

#[tokio::test]
async fn a_file_is_asked_for_once() {
    let (directory, store, engine, session) = far_table(1 << 30).await;
    assert_eq!(rows(&session, &query(0)).await, [answer(0)]);
    assert!(store.gets() > 0);
    for threshold in [1, 100_000, ROWS - 1] {
        assert_eq!(rows(&session, &query(threshold)).await, [answer(threshold)]);
    }
    assert_eq!(store.gets(), 0);
    assert!(counts(&engine).hits > 0 && counts(&engine).bytes > 1 << 20);
    // A commit adds a file, and only that is read.
    run(
        &session,
        &[&format!("INSERT INTO t VALUES ({ROWS}, repeat('x', 64))")],
    )
    .await;
    store.gets();
    let more = format!("{}|{}", ROWS + 1, 64 * (ROWS + 1));
    assert_eq!(rows(&session, &query(0)).await, std::slice::from_ref(&more));
    assert!((1..=2).contains(&store.gets()));
    // The next process finds them.
    drop((session, engine));
    let (engine, session) = open_over(directory.path(), &store, 1 << 30).await;
    store.gets();
    assert_eq!(rows(&session, &query(0)).await, [more]);
    assert_eq!((store.gets(), counts(&engine).misses), (0, 0));
}

#[tokio::test]
async fn what_is_damaged_on_disk_is_read_again() {
    let (directory, store, engine, session) = far_table(1 << 30).await;
    assert_eq!(rows(&session, &query(0)).await, [answer(0)]);
    let kept = files(&directory.path().join("cache"));
    assert!(kept.len() > 3, "{kept:?}");
    drop((session, engine));
    for (place, file) in kept.iter().enumerate() {
        let mut content = std::fs::read(file).expect("a block");
        match place % 3 {
            0 => content.truncate(10),
            1 => content[5] ^= 1,
            _ => continue,
        }
        std::fs::write(file, content).expect("written");
    }
    // What a killed process left.
    let unfinished = kept[0].with_extension("tmp1");
    std::fs::write(&unfinished, "half").expect("written");
    // What others keep in the folder.
    let block = kept[0].parent().expect("a folder");
    let others = [
        directory.path().join("cache/photos/ab-1-0"),
        directory.path().join("cache/notes.tmp1"),
        block.join("notes.txt"),
    ];
    std::fs::create_dir_all(directory.path().join("cache/photos")).expect("a folder");
    for other in &others {
        std::fs::write(other, "mine").expect("written");
    }
    let (_engine, session) = open_over(directory.path(), &store, 1 << 30).await;
    store.gets();
    assert_eq!(rows(&session, &query(0)).await, [answer(0)]);
    assert!(store.gets() > 0);
    assert!(!unfinished.exists());
    for other in &others {
        assert!(other.exists(), "{}", other.display());
    }
    assert_eq!(rows(&session, &query(1)).await, [answer(1)]);
    assert_eq!(store.gets(), 0);
}

#[tokio::test]
async fn no_more_is_kept_than_may_be() {
    let (directory, store, engine, session) = far_table(3 << 20).await;
    for threshold in [0, 1] {
        assert_eq!(rows(&session, &query(threshold)).await, [answer(threshold)]);
        assert!(store.gets() > 0, "it does not fit");
    }
    assert!(counts(&engine).bytes <= 3 << 20);
    let kept = files(&directory.path().join("cache"));
    let bytes = kept
        .iter()
        .map(|file| std::fs::metadata(file).expect("a block").len());
    assert!(bytes.sum::<u64>() <= (3 << 20) + 64);
}

#[tokio::test]
async fn a_second_process_in_the_folder_reads_the_store() {
    let (directory, store, _engine, session) = far_table(1 << 30).await;
    assert_eq!(rows(&session, &query(0)).await, [answer(0)]);
    let (_second, another) = open_over(directory.path(), &store, 1 << 30).await;
    store.gets();
    assert_eq!(rows(&another, &query(0)).await, [answer(0)]);
    assert!(store.gets() > 0);
    assert_eq!(rows(&session, &query(1)).await, [answer(1)]);
}

#[tokio::test]
async fn tables_are_read_ahead_and_forgotten() {
    let (directory, store, engine, session) = far_table(1 << 30).await;
    run(
        &session,
        &["CREATE VIEW v AS SELECT * FROM t", "CACHE LAZY TABLE t"],
    )
    .await;
    assert_eq!(store.gets(), 0);
    for (fetch, forget) in [
        ("CACHE TABLE t", "UNCACHE TABLE t"),
        ("CACHE TABLE v", "REFRESH TABLE t"),
        ("CACHE SELECT a, s FROM t", "CLEAR CACHE"),
        ("CACHE TABLE main.default.t", "REFRESH t"),
    ] {
        run(&session, &[fetch]).await;
        assert!(store.gets() > 0, "{fetch}");
        assert_eq!(rows(&session, &query(0)).await, [answer(0)]);
        assert_eq!(store.gets(), 0, "{fetch}");
        run(&session, &[forget]).await;
        assert_eq!(counts(&engine).bytes, 0, "{forget}");
        assert_eq!(files(&directory.path().join("cache")).len(), 0, "{forget}");
    }
    assert_eq!(
        refused(&session, "CACHE TABLE nowhere").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
    assert_eq!(
        refused(&session, "UNCACHE TABLE nowhere").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
    run(&session, &["UNCACHE TABLE IF EXISTS nowhere"]).await;
}

#[tokio::test]
async fn a_session_can_read_the_store() {
    let (_directory, store, engine, session) = far_table(1 << 30).await;
    run(&session, &["SET spark.databricks.io.cache.enabled = false"]).await;
    assert_eq!(rows(&session, &query(0)).await, [answer(0)]);
    assert_eq!(counts(&engine), FileCacheCounts::default());
    run(&session, &["RESET spark.databricks.io.cache.enabled"]).await;
    store.gets();
    assert_eq!(rows(&session, &query(0)).await, [answer(0)]);
    assert!(counts(&engine).misses > 0);
}

#[tokio::test]
async fn local_files_are_not_copied() {
    let (directory, store, engine, session) = far_table(1 << 30).await;
    run(
        &session,
        &[
            "CREATE TABLE near AS SELECT 1 AS a",
            "CACHE TABLE near",
            "SELECT * FROM near",
        ],
    )
    .await;
    assert_eq!((store.gets(), counts(&engine).bytes), (0, 0));
    assert!(!directory.path().join("cache").exists());
}
