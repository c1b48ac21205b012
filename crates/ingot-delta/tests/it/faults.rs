//! What a failing store leaves behind: what was answered is true, nothing is lost, nothing counts twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use futures::TryStreamExt;
use ingot_common::error::chain;
use ingot_common::{Classify, Kind};
use ingot_delta::{
    CommitOutcome, ConflictReason, DeltaTable, DeltaTables, Error, FileWriter, Operation, Result,
    TablesOptions, TimeTravel, WriterOptions,
};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::json;
use test_case::test_case;
use tokio::task::JoinSet;
use url::Url;

use crate::faulty_store::{Call, Fault, FaultyStore};
use crate::foreign::metadata;
use crate::support::{Folder, PATIENCE, append, ids, rows, schema, seed, spec, tables, write};

const COMMIT_1: &str = "_delta_log/00000000000000000001.json";

/// A table whose store fails as told.
struct Faulty {
    folder: Folder,
    store: Arc<FaultyStore>,
}

impl Faulty {
    fn new() -> Self {
        Self {
            folder: Folder::new(),
            store: Arc::new(FaultyStore::new()),
        }
    }

    fn registry(&self, options: TablesOptions) -> DeltaTables {
        let root = Url::parse("file:///").expect("url");
        let store = Arc::clone(&self.store);
        DeltaTables::new(options).with_store(root, store)
    }

    async fn create(&self) -> Arc<DeltaTable> {
        let registry = self.registry(TablesOptions::default());
        let location = self.folder.location();
        let created = registry.create(&location, spec(schema(), &[])).await;
        created.expect("table is created")
    }

    /// Opens the table through a sound store, and returns its version and its rows.
    async fn truth(&self) -> (i64, Vec<i64>) {
        self.store.heal();
        let table = tables().open(&self.folder.location()).await.expect("opens");
        let snapshot = table.snapshot().await.expect("snapshot");
        let rows = ids(&table, &snapshot).await;
        (snapshot.version(), rows)
    }

    async fn data_files(&self) -> usize {
        let root = Path::from_absolute_path(self.folder.root()).expect("path");
        let listed: Vec<_> = self.store.list(Some(&root)).try_collect().await.expect("list");
        let is_data = |file: &&ObjectMeta| {
            let path = file.location.as_ref();
            path.ends_with(".parquet") && !path.contains("_delta_log")
        };
        listed.iter().filter(is_data).count()
    }
}

/// Appends one row as one commit; with `app`, as that application transaction.
async fn try_append(table: &Arc<DeltaTable>, id: i64, app: Option<(&str, i64)>) -> Result<CommitOutcome> {
    let snapshot = table.snapshot().await?;
    let mut writer = FileWriter::new(Arc::clone(table), &snapshot, WriterOptions::default())?;
    writer.write(&rows(&[(id, None)])).await?;
    let files = writer.close().await?;
    let mut transaction = table.transaction(snapshot, Operation::new("WRITE"));
    transaction.add_files(files);
    if let Some((app_id, version)) = app {
        transaction.set_app_transaction(app_id, version);
    }
    transaction.commit().await
}

fn committed(outcome: &Result<CommitOutcome>) -> Option<i64> {
    match outcome {
        Ok(CommitOutcome::Committed { version, .. }) => Some(*version),
        _ => None,
    }
}

#[test_case(Fault::Before; "put never arrived")]
#[test_case(Fault::After; "answer was lost")]
#[test_case(Fault::AfterAsExists; "answer was lost and the put repeated")]
#[tokio::test]
async fn commit_whose_put_failed_counts_once(fault: Fault) {
    let faulty = Faulty::new();
    let table = faulty.create().await;
    faulty.store.fail(Call::Put, COMMIT_1, fault, 1);
    let outcome = try_append(&table, 7, None).await;
    assert_eq!(committed(&outcome), Some(1), "{outcome:?}");
    assert_eq!(faulty.truth().await, (1, vec![7]));
}

#[tokio::test]
async fn won_commit_is_no_lost_race_when_no_retries_are_left() {
    let faulty = Faulty::new();
    faulty.create().await;
    let options = TablesOptions {
        commit_retries_max: 0,
        ..TablesOptions::default()
    };
    let table = faulty.registry(options).open(&faulty.folder.location()).await;
    let table = table.expect("opens");
    faulty.store.fail(Call::Put, COMMIT_1, Fault::AfterAsExists, 1);
    let outcome = try_append(&table, 7, None).await;
    assert_eq!(committed(&outcome), Some(1), "{outcome:?}");
}

#[tokio::test]
async fn store_that_takes_no_commit_leaves_the_table_as_it_was() {
    let faulty = Faulty::new();
    let table = faulty.create().await;
    faulty.store.fail(Call::Put, COMMIT_1, Fault::Before, u32::MAX);
    let error = try_append(&table, 7, None).await.expect_err("no commit");
    assert!(matches!(error, Error::Store { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(faulty.truth().await, (0, vec![]));
}

#[test_case(Fault::After, 1; "it is there")]
#[test_case(Fault::Before, 0; "it is not")]
#[tokio::test]
async fn outcome_that_cannot_be_read_back_is_called_unknown(fault: Fault, version: i64) {
    let faulty = Faulty::new();
    let table = faulty.create().await;
    faulty
        .store
        .fail(Call::GetAfterPut, COMMIT_1, Fault::Before, u32::MAX);
    faulty.store.fail(Call::Put, COMMIT_1, fault, u32::MAX);
    let error = try_append(&table, 7, None).await.expect_err("unknown");
    let Error::CommitOutcomeUnknown { transaction_id, .. } = &error else {
        panic!("{error}");
    };
    assert!(!error.kind().retryable(), "a retry may append twice");
    let (found, _) = faulty.truth().await;
    assert_eq!(found, version);
    if version > 0 {
        let reopened = tables().open(&faulty.folder.location()).await.expect("opens");
        let history = reopened.history(Some(1)).await.expect("history");
        assert_eq!(history[0].info.txn_id.as_ref(), Some(transaction_id));
    }
}

#[tokio::test]
async fn commit_after_which_the_table_cannot_be_read_is_said_to_be_there() {
    let faulty = Faulty::new();
    let table = faulty.create().await;
    faulty
        .store
        .fail(Call::GetAfterPut, COMMIT_1, Fault::Before, u32::MAX);
    let error = try_append(&table, 7, None).await.expect_err("unread");
    assert!(
        matches!(error, Error::CommittedUnread { version: 1, .. }),
        "{error}"
    );
    assert!(!error.kind().retryable(), "a retry would append twice");
    assert_eq!(faulty.truth().await, (1, vec![7]));
}

/// The commit can be seen, but the store keeps failing to say that it holds it: a crash may take it away.
#[tokio::test]
async fn commit_that_is_there_but_not_held_for_sure_is_called_unknown() {
    let faulty = Faulty::new();
    let table = faulty.create().await;
    faulty.store.fail(Call::Put, COMMIT_1, Fault::After, 1);
    faulty.store.fail(Call::Put, COMMIT_1, Fault::Before, u32::MAX);
    let error = try_append(&table, 7, None).await.expect_err("unknown");
    assert!(
        matches!(error, Error::CommitOutcomeUnknown { version: 1, .. }),
        "{error}"
    );
    assert_eq!(faulty.truth().await, (1, vec![7]));
}

/// Writes commit `version` as another process would, with an in-commit timestamp.
fn other_commit(folder: &Folder, version: i64, timestamp_ms: i64) {
    let info = json!({"commitInfo": {
        "inCommitTimestamp": timestamp_ms, "timestamp": timestamp_ms, "operation": "WRITE", "txnId": "other",
    }});
    let log = folder.root().join("t/_delta_log");
    std::fs::write(log.join(format!("{version:020}.json")), info.to_string()).expect("commit file");
}

#[tokio::test]
async fn commit_that_loses_every_race_gives_up_and_says_so() {
    const RETRIES: u32 = 3;
    let faulty = Faulty::new();
    faulty.create().await;
    let options = TablesOptions {
        commit_retries_max: RETRIES,
        ..TablesOptions::default()
    };
    let table = faulty.registry(options).open(&faulty.folder.location()).await;
    let table = table.expect("opens");
    let folder = Arc::new(faulty.folder);
    for version in 1..=i64::from(RETRIES) + 1 {
        let folder = Arc::clone(&folder);
        // Between our look at the version and our put.
        faulty.store.before_put(&format!("{version:020}.json"), move || {
            other_commit(&folder, version, version);
        });
    }
    let error = try_append(&table, 7, None).await.expect_err("never first");
    let retries = match &error {
        Error::CommitRetriesExhausted { retries, .. } => *retries,
        other => panic!("{other}"),
    };
    assert_eq!(retries, RETRIES);
    assert_eq!(error.kind(), Kind::Conflict);
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!((snapshot.version(), ids(&table, &snapshot).await), (4, vec![]));
}

#[tokio::test]
async fn commit_that_lost_a_race_to_a_clock_ahead_is_later_than_its_winner() {
    let faulty = Faulty::new();
    let table = faulty.create().await;
    let ahead_ms = ingot_common::clock::now_ms() + 3_600_000;
    let folder = Arc::new(faulty.folder);
    let theirs = Arc::clone(&folder);
    faulty
        .store
        .before_put(COMMIT_1, move || other_commit(&theirs, 1, ahead_ms));
    let outcome = try_append(&table, 7, None).await;
    assert_eq!(committed(&outcome), Some(2), "{outcome:?}");
    let history = table.history(Some(2)).await.expect("history");
    let times: Vec<i64> = history.iter().map(|entry| entry.timestamp_ms).collect();
    assert_eq!(times, [ahead_ms + 1, ahead_ms]);
    drop(folder);
}

/// Makes the table anew in the old one's place, as another process would.
fn make_anew(folder: &Folder) {
    let path = folder.root().join("t");
    std::fs::remove_dir_all(&path).expect("removed");
    std::fs::create_dir_all(path.join("_delta_log")).expect("folder");
    let protocol = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}});
    let fields = json!([{"name": "other", "type": "long", "nullable": true, "metadata": {}}]);
    let metadata = metadata("anew", &fields, &[], json!({}));
    std::fs::write(
        path.join("_delta_log/00000000000000000000.json"),
        format!("{protocol}\n{metadata}"),
    )
    .expect("commit file");
}

/// Lists the log of the table, sorted.
fn log_names(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.root().join("t/_delta_log")).expect("log");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn commit_that_paused_does_not_go_into_the_log_of_a_table_made_anew() {
    let faulty = Faulty::new();
    let table = faulty.create().await;
    append(&table, &[1]).await;
    let commit_2 = "_delta_log/00000000000000000002.json";
    let folder = Arc::new(faulty.folder);
    let theirs = Arc::clone(&folder);
    faulty.store.before_put(commit_2, move || {
        make_anew(&theirs);
        other_commit(&theirs, 1, 1);
    });
    // The first put fails, and meanwhile there is another table.
    faulty.store.fail(Call::Put, commit_2, Fault::Before, 1);
    let outcome = try_append(&table, 7, None).await.expect("no failure");
    assert!(
        matches!(
            outcome,
            CommitOutcome::Conflicted(ConflictReason::LogReplaced { version: 1 })
        ),
        "{outcome:?}"
    );
    let expected = ["00000000000000000000.json", "00000000000000000001.json"];
    assert_eq!(log_names(&folder), expected);
}

#[tokio::test]
async fn checkpoint_does_not_stay_in_the_log_of_a_table_made_anew() {
    let faulty = Faulty::new();
    let table = faulty.create().await;
    append(&table, &[1]).await;
    let folder = Arc::new(faulty.folder);
    let theirs = Arc::clone(&folder);
    faulty
        .store
        .before_put(".checkpoint.parquet", move || make_anew(&theirs));
    let error = table.checkpoint().await.expect_err("another table's log");
    assert!(matches!(error, Error::LogReplaced { version: 1, .. }), "{error}");
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(log_names(&folder), ["00000000000000000000.json"]);
    let snapshot = table.snapshot().await.expect("the new table");
    assert_eq!(snapshot.metadata().id, "anew");
}

#[tokio::test]
async fn leftovers_of_a_deleted_table_do_not_spoil_the_next() {
    let folder = Folder::new();
    let log = folder.root().join("t/_delta_log");
    std::fs::create_dir_all(&log).expect("folder");
    let hint = json!({"version": 10, "size": 3});
    std::fs::write(log.join("_last_checkpoint"), hint.to_string()).expect("hint");
    std::fs::write(log.join("00000000000000000000.crc"), "{}").expect("checksum");
    let table = crate::support::create(&folder, &[]).await;
    append(&table, &[1]).await;
    let reopened = tables().open(&folder.location()).await.expect("opens");
    let snapshot = reopened.snapshot().await.expect("snapshot");
    assert_eq!(ids(&reopened, &snapshot).await, [1]);
}

/// Wherever a cleanup is interrupted, the versions that are said to exist can be read, and it can be repeated.
#[tokio::test]
async fn interrupted_cleanup_leaves_no_version_that_cannot_be_read() {
    const COMMITS: i64 = 20;
    let mut interrupted = 0;
    for deletes in 0.. {
        let faulty = Faulty::new();
        let location = faulty.folder.location();
        let mut table = spec(schema(), &[]);
        let properties = [
            ("delta.checkpointInterval", "6"),
            ("delta.logRetentionDuration", "interval 0 seconds"),
        ];
        table.properties = properties
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let registry = faulty.registry(TablesOptions::default());
        let table = registry.create(&location, table).await.expect("created");
        for id in 1..=COMMITS {
            append(&table, &[id]).await;
            assert!(registry.settle(PATIENCE).await);
        }
        faulty.store.limit_deletes(deletes);
        let cleaned = table.cleanup_expired_logs().await;
        faulty.store.heal();
        interrupted += usize::from(cleaned.is_err());

        let reopened = tables().open(&location).await.expect("opens");
        let missing = reopened.snapshot_at(TimeTravel::Version(-1)).await;
        let Err(Error::VersionNotFound { earliest, latest, .. }) = missing else {
            panic!("{missing:?}");
        };
        assert_eq!(latest, COMMITS);
        for version in earliest..=latest {
            let snapshot = reopened.snapshot_at(TimeTravel::Version(version)).await;
            let snapshot = snapshot.unwrap_or_else(|error| {
                panic!(
                    "after {deletes} deletions version {version} is said to exist: {}",
                    chain(&error)
                )
            });
            let rows = snapshot.files().await.expect("files").len();
            assert_eq!(rows as i64, version, "after {deletes} deletions");
        }
        reopened.history(None).await.expect("history");
        table.cleanup_expired_logs().await.expect("repeated");
        let reopened = tables().open(&location).await.expect("opens");
        let snapshot = reopened.snapshot().await.expect("snapshot");
        assert_eq!(snapshot.files().await.expect("files").len() as i64, COMMITS);
        if cleaned.is_ok() {
            break;
        }
    }
    assert!(interrupted > 10, "{interrupted}");
}

/// The real local store, in a process whose files cannot grow: an append of any size is whole or not there.
#[tokio::test]
async fn local_store_that_cannot_write_loses_no_commit_and_leaves_no_half_of_one() {
    const CHILD: &str = "INGOT_TEST_SMALL_FILES";
    const TEST: &str = "faults::local_store_that_cannot_write_loses_no_commit_and_leaves_no_half_of_one";
    if let Ok(folder) = std::env::var(CHILD) {
        let location = Url::from_directory_path(folder).expect("absolute path");
        let table = tables().open(&location).await.expect("opens");
        let snapshot = table.snapshot().await.expect("snapshot");
        let noise: Vec<String> = (0..64_000_u64)
            .map(|id| format!("{:x}", id.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            .collect();
        let batch: Vec<_> = (0..).zip(noise.iter().map(|text| Some(text.as_str()))).collect();
        let mut writer =
            FileWriter::new(Arc::clone(&table), &snapshot, WriterOptions::default()).expect("writer");
        writer.write(&rows(&batch)).await.expect("held in memory");
        let error = writer.close().await.expect_err("the file does not fit");
        assert!(chain(&error).contains("File too large"), "{}", chain(&error));
        assert_eq!(error.kind(), Kind::Unavailable, "{}", chain(&error));
        // A commit of a small file fits, and so does its commit file.
        assert_eq!(append(&table, &[2]).await, 2);
        // One whose commit file does not fit is not there.
        let mut transaction =
            table.transaction(table.snapshot().await.expect("snapshot"), Operation::new("WRITE"));
        transaction.set_user_metadata("x".repeat(200_000));
        let error = transaction.commit().await.expect_err("the commit does not fit");
        assert!(chain(&error).contains("File too large"), "{}", chain(&error));
        assert_eq!(append(&table, &[3]).await, 3);
        return;
    }
    let folder = Folder::new();
    let table = crate::support::create(&folder, &[]).await;
    append(&table, &[1]).await;
    // Blocks of 512 or 1,024 bytes, as the shell has them. Without the trap the limit kills.
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" --exact \"$1\" --nocapture";
    let child = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().expect("this program"))
        .arg(TEST)
        .env(CHILD, folder.root().join("t"))
        .output()
        .expect("sh runs");
    assert!(
        child.status.success(),
        "{}{}",
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr)
    );
    let reopened = tables().open(&folder.location()).await.expect("opens");
    let snapshot = reopened.snapshot().await.expect("snapshot");
    assert_eq!(ids(&reopened, &snapshot).await, [1, 2, 3]);
    assert_eq!(snapshot.version(), 3);
    let data_files = std::fs::read_dir(folder.root().join("t")).expect("table");
    let data_files = data_files.filter(|entry| {
        let path = entry.as_ref().expect("entry").path();
        path.extension().is_some_and(|extension| extension != "json") && path.is_file()
    });
    assert_eq!(data_files.count(), 3, "nothing of the failed file is left");
}

#[tokio::test]
async fn a_file_in_the_place_of_the_log_fails_a_commit() {
    let folder = Folder::new();
    let table = crate::support::create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let log = folder.root().join("t/_delta_log");
    let aside = folder.root().join("aside");
    std::fs::rename(&log, &aside).expect("moved");
    std::fs::write(&log, "no folder").expect("file");
    let stale = table.transaction(snapshot, Operation::new("WRITE"));
    let error = stale.commit().await;
    assert!(!matches!(error, Ok(CommitOutcome::Committed { .. })), "{error:?}");
    std::fs::remove_file(&log).expect("file");
    std::fs::rename(&aside, &log).expect("moved back");
    assert_eq!(append(&table, &[1]).await, 1);
}

#[tokio::test]
async fn failing_checkpoint_fails_no_commit() {
    let faulty = Faulty::new();
    faulty.create().await;
    let options = TablesOptions {
        checkpoint_interval: 1,
        ..TablesOptions::default()
    };
    let table = faulty.registry(options).open(&faulty.folder.location()).await;
    let table = table.expect("opens");
    faulty
        .store
        .fail(Call::Put, ".checkpoint.parquet", Fault::Before, u32::MAX);
    for id in 0..3 {
        let outcome = try_append(&table, id, None).await;
        assert_eq!(committed(&outcome), Some(id + 1), "{outcome:?}");
    }
    assert_eq!(faulty.truth().await, (3, vec![0, 1, 2]));
}

#[test_case(Fault::After, 1, true; "answer was lost")]
#[test_case(Fault::AfterAsExists, 1, true; "answer was lost and the put repeated")]
#[test_case(Fault::Before, 1, true; "put arrived when it was repeated")]
#[test_case(Fault::Before, u32::MAX, false; "put never arrived")]
#[tokio::test]
async fn creation_whose_put_failed_is_told_by_the_log(fault: Fault, times: u32, created: bool) {
    let faulty = Faulty::new();
    let location = faulty.folder.location();
    faulty
        .store
        .fail(Call::Put, "_delta_log/00000000000000000000.json", fault, times);
    let registry = faulty.registry(TablesOptions::default());
    let outcome = registry.create(&location, spec(schema(), &[])).await;
    assert_eq!(outcome.is_ok(), created, "{outcome:?}");
    assert_eq!(tables().open(&location).await.is_ok(), created);
}

#[tokio::test]
async fn creation_after_which_the_table_cannot_be_read_is_said_to_be_there() {
    let faulty = Faulty::new();
    let location = faulty.folder.location();
    let commit_0 = "_delta_log/00000000000000000000.json";
    faulty
        .store
        .fail(Call::GetAfterPut, commit_0, Fault::Before, u32::MAX);
    let registry = faulty.registry(TablesOptions::default());
    let error = registry.create(&location, spec(schema(), &[])).await;
    let error = error.expect_err("unread");
    assert!(
        matches!(error, Error::CommittedUnread { version: 0, .. }),
        "{error}"
    );
    assert_eq!(faulty.truth().await, (0, vec![]));
}

#[tokio::test]
async fn creation_that_cannot_be_read_back_is_called_unknown() {
    let faulty = Faulty::new();
    let location = faulty.folder.location();
    let commit_0 = "_delta_log/00000000000000000000.json";
    faulty
        .store
        .fail(Call::GetAfterPut, commit_0, Fault::Before, u32::MAX);
    faulty.store.fail(Call::Put, commit_0, Fault::After, 1);
    let registry = faulty.registry(TablesOptions::default());
    let error = registry.create(&location, spec(schema(), &[])).await;
    let error = error.expect_err("unknown");
    assert!(
        matches!(error, Error::CommitOutcomeUnknown { version: 0, .. }),
        "{error}"
    );
    assert!(!error.kind().retryable(), "nobody knows");
    assert_eq!(faulty.truth().await, (0, vec![]));
}

/// However much room the disk has left, an append is in the table or it is not, and its answer says which.
#[tokio::test]
async fn full_disk_loses_no_commit_and_leaves_no_half_of_one() {
    let mut outcomes = BTreeMap::new();
    for room in (0..8_000).step_by(250) {
        let faulty = Faulty::new();
        let table = faulty.create().await;
        append(&table, &[1]).await;
        faulty.store.limit_space(room);
        let outcome = try_append(&table, 2, None).await;
        *outcomes.entry(outcome.is_ok()).or_insert(0) += 1;
        match &outcome {
            Ok(_) => assert_eq!(faulty.truth().await, (2, vec![1, 2])),
            Err(error) => {
                assert!(
                    chain(error).contains("No space left on device"),
                    "{}",
                    chain(error)
                );
                assert_eq!(error.kind(), Kind::Unavailable);
                assert_eq!(faulty.truth().await, (1, vec![1]));
            }
        }
        // Space comes back: the same handle goes on.
        append(&table, &[3]).await;
        let (_, rows) = faulty.truth().await;
        assert_eq!(rows.last(), Some(&3));
    }
    assert_eq!(outcomes.len(), 2, "some fit and some did not: {outcomes:?}");
}

/// Files beyond the size of one part go another way into the store.
#[tokio::test]
async fn writer_on_a_full_disk_deletes_what_it_wrote() {
    const MIB: usize = 1 << 20;
    let columns = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("noise", DataType::Binary, true),
    ]));
    for room in [0, MIB, 9 * MIB, 14 * MIB, 24 * MIB] {
        let faulty = Faulty::new();
        let registry = faulty.registry(TablesOptions::default());
        let location = faulty.folder.location();
        let created = registry.create(&location, spec(columns.clone(), &["id"])).await;
        let table = created.expect("table is created");
        let snapshot = table.snapshot().await.expect("snapshot");
        let mut writer =
            FileWriter::new(Arc::clone(&table), &snapshot, WriterOptions::default()).expect("writer");
        faulty.store.limit_space(room);
        let mut failure = None;
        for partition in 0..2 {
            for part in 0..3 {
                let mut noise = vec![0; 4 * MIB];
                StdRng::seed_from_u64(part).fill_bytes(&mut noise);
                let batch = RecordBatch::try_from_iter([
                    ("id", Arc::new(Int64Array::from(vec![partition])) as ArrayRef),
                    ("noise", Arc::new(BinaryArray::from_vec(vec![&noise])) as ArrayRef),
                ]);
                if let Err(error) = writer.write(&batch.expect("batch")).await {
                    failure.get_or_insert(error);
                }
            }
        }
        let failure = match failure {
            Some(error) => {
                writer.abort().await;
                error
            }
            None => writer.close().await.expect_err("24 MiB do not fit"),
        };
        assert!(chain(&failure).contains("No space left"), "{}", chain(&failure));
        assert_eq!(faulty.data_files().await, 0, "room={room}");
    }
}

#[tokio::test]
async fn crash_between_files_and_commit_leaves_the_table_as_it_was() {
    let folder = Folder::new();
    let table = crate::support::create(&folder, &[]).await;
    append(&table, &[1]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let files = write(&table, &snapshot, &rows(&[(2, None)])).await;
    assert_eq!(files.len(), 1);
    drop((table, snapshot));
    let reopened = tables().open(&folder.location()).await.expect("opens");
    let snapshot = reopened.snapshot().await.expect("snapshot");
    assert_eq!(ids(&reopened, &snapshot).await, [1]);
    assert_eq!(append(&reopened, &[3]).await, 2);
}

/// What an answer promises about the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    There,
    NotThere,
    None,
}

/// Opens the table as so many processes do.
async fn processes(faulty: &Faulty, count: usize) -> Vec<Arc<DeltaTable>> {
    let mut opened = Vec::new();
    for _ in 0..count {
        let registry = faulty.registry(TablesOptions::default());
        let table = registry.open(&faulty.folder.location()).await;
        opened.push(table.expect("opens"));
    }
    opened
}

/// Blind appends of several processes while many requests fail: each answer must be true.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_about_commits_are_true_whatever_fails() {
    let seed = seed();
    let faulty = Faulty::new();
    faulty.create().await;
    let opened = processes(&faulty, 4).await;
    faulty.store.roll_dice(seed, 4, 16);
    let mut writers = JoinSet::new();
    for (writer, table) in (0..).zip(opened) {
        writers.spawn(async move {
            let mut promises = Vec::new();
            for id in writer * 100..writer * 100 + 25 {
                let promise = match try_append(&table, id, None).await {
                    Ok(CommitOutcome::Committed { .. }) | Err(Error::CommittedUnread { .. }) => {
                        Promise::There
                    }
                    Err(Error::CommitOutcomeUnknown { .. }) => Promise::None,
                    Err(_) => Promise::NotThere,
                    Ok(other) => panic!("blind appends conflict with nothing: {other:?}"),
                };
                promises.push((id, promise));
            }
            promises
        });
    }
    let promises: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    let (version, rows) = faulty.truth().await;
    assert_eq!(version, rows.len() as i64, "one row a commit, seed={seed}");
    for (id, promise) in &promises {
        let count = rows.iter().filter(|row| *row == id).count();
        let kept = match promise {
            Promise::There => count == 1,
            Promise::NotThere => count == 0,
            Promise::None => count <= 1,
        };
        assert!(kept, "row {id}: {promise:?}, but {count} are there, seed={seed}");
    }
    let there = promises.iter().filter(|(_, promise)| *promise == Promise::There);
    assert!(there.count() > 10, "hardly anything worked, seed={seed}");
}

/// Batches of four applications, each repeated until it is known to be applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn application_batches_count_once_whatever_fails() {
    const BATCHES: i64 = 12;
    let seed = seed();
    let faulty = Faulty::new();
    faulty.create().await;
    let opened = processes(&faulty, 4).await;
    faulty.store.roll_dice(seed, 4, 16);
    let mut writers = JoinSet::new();
    for (writer, table) in (0..).zip(opened) {
        writers.spawn(async move {
            let app_id = format!("stream-{writer}");
            for batch in 0..BATCHES {
                let attempt = async || {
                    let id = writer * BATCHES + batch;
                    try_append(&table, id, Some((&app_id, batch))).await
                };
                let mut outcome = attempt().await;
                for _ in 0..1_000 {
                    if outcome.is_ok() {
                        break;
                    }
                    outcome = attempt().await;
                }
                assert!(
                    matches!(
                        outcome,
                        Ok(CommitOutcome::Committed { .. } | CommitOutcome::AlreadyApplied { .. })
                    ),
                    "{outcome:?}"
                );
            }
        });
    }
    writers.join_all().await;
    let (version, rows) = faulty.truth().await;
    assert_eq!(rows, (0..4 * BATCHES).collect::<Vec<_>>(), "seed={seed}");
    assert_eq!(version, 4 * BATCHES, "seed={seed}");
}
