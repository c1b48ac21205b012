//! The file source against folders that fill.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use ingot_common::{Classify, Kind};
use ingot_engine::Engine;
use ingot_streaming::{FileSource, Offset, ReadLimit, Result, Source};
use test_case::test_case;

use crate::support::{engine, options, rows, session, tables};

/// A folder that files land in, and a checkpoint's.
struct Landing {
    folder: tempfile::TempDir,
    engine: Engine,
}

impl Landing {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("landing zone")).expect("folder");
        let engine = engine(folder.path(), tables()).await;
        Self { folder, engine }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("landing zone")
    }

    /// Puts a file there, whole. Modification times differ by a second, so that the order is known.
    fn put(&self, name: &str, age_seconds: u64, ids: &[i64]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let staged = self.folder.path().join("staged");
        fs::write(&staged, format!("id\n{text}")).expect("file");
        let begin = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let modified = begin - std::time::Duration::from_secs(age_seconds);
        let file = fs::File::options().write(true).open(&staged).expect("file");
        file.set_modified(modified).expect("time");
        fs::rename(staged, path).expect("rename");
    }

    async fn source_at(&self, path: &Path, given: &[(&str, &str)]) -> Result<FileSource> {
        let mut options = options(given);
        options.insert("format".to_owned(), "csv".to_owned());
        options.insert("header".to_owned(), "true".to_owned());
        let log = self.folder.path().join("checkpoint/sources/0");
        FileSource::new(session(&self.engine), path.to_str().expect("text"), &options, log).await
    }

    /// Makes the source, as each start of the query does.
    async fn source(&self, given: &[(&str, &str)]) -> FileSource {
        self.source_at(&self.path(), given).await.expect("source")
    }
}

fn ids(batches: &[RecordBatch]) -> Vec<i64> {
    let mut ids: Vec<i64> = batches
        .iter()
        .flat_map(|batch| batch["id"].as_primitive::<Int64Type>().values().to_vec())
        .collect();
    ids.sort_unstable();
    ids
}

/// Reads to the end in batches; a batch is read twice, as after a crash.
async fn drain(source: &FileSource, start: &mut Offset) -> Vec<Vec<i64>> {
    let mut batches = Vec::new();
    loop {
        let end = source
            .next_offset(start, ReadLimit::Options, None)
            .await
            .expect("offset");
        if end == *start {
            return batches;
        }
        let read = ids(&rows(source, start, &end).await.expect("rows"));
        let again = ids(&rows(source, start, &end).await.expect("rows"));
        assert_eq!(read, again, "a batch is the same each time");
        source.commit(&end).await.expect("commit");
        batches.push(read);
        *start = end;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_is_read_once_also_after_restarts() {
    let landing = Landing::new().await;
    landing.put("a.csv", 9, &[1, 2]);
    let source = landing.source(&[]).await;
    let mut start = source.initial_offset().await.expect("initial");
    assert_eq!(drain(&source, &mut start).await, [[1, 2]]);
    assert_eq!(drain(&source, &mut start).await, Vec::<Vec<i64>>::new());
    landing.put("below/b.csv", 8, &[3]);
    assert_eq!(drain(&source, &mut start).await, [[3]]);
    // Enough batches for the log to be compacted, each after a restart.
    for round in 0..12 {
        landing.put(&format!("c{round}.csv"), 5, &[100 + round]);
        let restarted = landing.source(&[]).await;
        assert_eq!(drain(&restarted, &mut start).await, [[100 + round]]);
    }
    // A file that changes was read before.
    landing.put("a.csv", 1, &[9]);
    assert_eq!(
        drain(&landing.source(&[]).await, &mut start).await,
        Vec::<Vec<i64>>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_planned_before_a_crash_reads_the_same_files() {
    let landing = Landing::new().await;
    landing.put("a.csv", 9, &[1]);
    let source = landing.source(&[]).await;
    let start = source.initial_offset().await.expect("initial");
    let end = source
        .next_offset(&start, ReadLimit::Options, None)
        .await
        .expect("offset");
    drop(source);
    landing.put("b.csv", 99, &[2]);
    let restarted = landing.source(&[]).await;
    assert_eq!(ids(&rows(&restarted, &start, &end).await.expect("rows")), [1]);
    let mut start = end;
    assert_eq!(drain(&restarted, &mut start).await, [[2]]);
}

#[test_case("plain.csv")]
#[test_case("a name with spaces.csv")]
#[test_case("100% [1] {2} (3)?.csv")]
#[test_case("äöü+&=#;.csv")]
#[test_case("%20.csv")]
#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_as_they_are(name: &str) {
    let landing = Landing::new().await;
    landing.put(name, 9, &[1]);
    // What the name would mean as a pattern or decoded.
    landing.put("100% 1 {2} (3)x.csv", 8, &[2]);
    landing.put(" .csv", 7, &[3]);
    let source = landing.source(&[("maxFilesPerTrigger", "1")]).await;
    let mut start = source.initial_offset().await.expect("initial");
    assert_eq!(drain(&source, &mut start).await, [[1], [2], [3]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_may_be_a_pattern() {
    let landing = Landing::new().await;
    landing.put("a1.csv", 9, &[1]);
    landing.put("a2.csv", 8, &[2]);
    landing.put("b.csv", 7, &[3]);
    landing.put("_a3.csv", 7, &[4]);
    let path = landing.path().join("*a*.csv");
    let source = landing.source_at(&path, &[]).await.expect("source");
    let mut start = source.initial_offset().await.expect("initial");
    assert_eq!(drain(&source, &mut start).await, [[1, 2]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_files_are_left_out() {
    let landing = Landing::new().await;
    for hidden in [
        "_SUCCESS",
        ".a.csv",
        "_delta_log/0.csv",
        ".tmp/b.csv",
        "x/_y/c.csv",
    ] {
        landing.put(hidden, 9, &[9]);
    }
    landing.put("x/d.csv", 8, &[1]);
    let source = landing.source(&[]).await;
    let mut start = source.initial_offset().await.expect("initial");
    assert_eq!(drain(&source, &mut start).await, [[1]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_have_at_most_so_many_files_oldest_first() {
    let landing = Landing::new().await;
    for (name, age) in [("e", 1), ("d", 2), ("c", 3), ("b", 4), ("a", 5)] {
        landing.put(
            &format!("{name}.csv"),
            age,
            &[10 - i64::try_from(age).expect("small")],
        );
    }
    let source = landing.source(&[("maxFilesPerTrigger", "2")]).await;
    let mut start = source.initial_offset().await.expect("initial");
    let all = source
        .next_offset(&start, ReadLimit::All, None)
        .await
        .expect("offset");
    landing.put("f.csv", 0, &[10]);
    let bounded = source
        .next_offset(&all, ReadLimit::Options, Some(&all))
        .await
        .expect("offset");
    assert_eq!(bounded, all, "what came after the bound is left");
    assert_eq!(
        drain(&source, &mut start).await,
        [vec![5, 6], vec![7, 8], vec![9], vec![10]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_there_may_be_passed_over() {
    let landing = Landing::new().await;
    landing.put("a.csv", 9, &[1]);
    let source = landing.source(&[("includeExistingFiles", "false")]).await;
    let mut start = source.initial_offset().await.expect("initial");
    assert_eq!(drain(&source, &mut start).await, Vec::<Vec<i64>>::new());
    landing.put("b.csv", 99, &[2]);
    assert_eq!(drain(&source, &mut start).await, [[2]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_come_from_files_or_from_the_options() {
    let landing = Landing::new().await;
    let error = landing
        .source_at(&landing.path(), &[])
        .await
        .expect_err("no files");
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("schema =>"), "{error}");
    let source = landing.source(&[("schema", "id BIGINT")]).await;
    let mut start = source.initial_offset().await.expect("initial");
    assert_eq!(drain(&source, &mut start).await, Vec::<Vec<i64>>::new());
    landing.put("a.csv", 9, &[1]);
    assert_eq!(drain(&source, &mut start).await, [[1]]);
}
