//! DELETE and UPDATE beside other writers, a store that fails, and a process that ends halfway.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ingot_delta::{Action, DeltaTable};
use ingot_engine::{Engine, Session};
use tempfile::TempDir;
use test_case::test_case;
use tokio::task::JoinSet;

use super::{rows, run, try_rows};
use crate::hooked_store::HookedStore;
use crate::support;

/// A table `t (id, p)` at version 2: ids 1 to 5 in one file, 11 to 15 in another.
struct Race {
    directory: TempDir,
    store: HookedStore,
    engine: Engine,
    ours: Session,
    /// Another process over the same tables.
    theirs: Engine,
}

impl Race {
    async fn new(properties: &str) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let (store, tables) = HookedStore::open(&directory.path().join("tables"));
        let engine = support::engine_over(directory.path(), tables).await;
        let theirs = support::engine(directory.path()).await;
        let ours = support::session(&engine);
        run(
            &ours,
            &[
                &format!("CREATE TABLE t (id INT, p STRING) TBLPROPERTIES ({properties})"),
                "INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, 'a'), (4, 'a'), (5, 'a')",
                "INSERT INTO t VALUES (11, 'b'), (12, 'b'), (13, 'b'), (14, 'b'), (15, 'b')",
            ],
        )
        .await;
        Self {
            directory,
            store,
            engine,
            ours,
            theirs,
        }
    }

    async fn table(&self) -> Arc<DeltaTable> {
        let location = support::location(&self.engine, "t").await;
        self.engine.tables().open(&location).await.expect("opens")
    }

    /// What another process sees.
    async fn ids(&self) -> String {
        let engine = support::engine(self.directory.path()).await;
        rows(&support::session(&engine), "SELECT id FROM t ORDER BY id")
            .await
            .join(" ")
    }

    /// Files in the table's folder that no commit names.
    async fn unnamed_files(&self) -> BTreeSet<String> {
        let table = self.table().await;
        let folder = table.location().to_file_path().expect("a folder");
        let mut named = BTreeSet::new();
        for version in 0..=table.snapshot().await.expect("snapshot").version() {
            let actions = table.commit_actions(version).await.expect("log").expect("commit");
            for action in actions {
                if let Action::Add(add) = action {
                    named.extend(
                        add.deletion_vector
                            .map(|vector| vector_name(&vector.path_or_inline_dv)),
                    );
                    named.insert(add.path);
                }
            }
        }
        files(&folder).difference(&named).cloned().collect()
    }

    /// The version that the newest commit was made on.
    async fn read_version(&self) -> Option<i64> {
        let table = self.table().await;
        let version = table.snapshot().await.expect("snapshot").version();
        let actions = table.commit_actions(version).await.expect("log").expect("commit");
        actions.into_iter().find_map(|action| match action {
            Action::CommitInfo(info) => info.read_version,
            _ => None,
        })
    }
}

fn files(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder)
        .expect("folder")
        .map(|entry| entry.expect("entry"));
    let files = entries.filter(|entry| entry.path().is_file());
    files
        .map(|entry| entry.file_name().into_string().expect("a name"))
        .collect()
}

/// The name of a vector's file, from its UUID in Z85.
fn vector_name(text: &str) -> String {
    let digits = ".-:+=^!/*?&<>()[]{}@%$#";
    let alphabet: String = ('0'..='9')
        .chain('a'..='z')
        .chain('A'..='Z')
        .chain(digits.chars())
        .collect();
    let value = |digit: char| alphabet.find(digit).expect("a digit") as u32;
    let characters: Vec<char> = text.chars().collect();
    let words = characters
        .chunks(5)
        .map(|word| word.iter().fold(0_u32, |sum, digit| sum * 85 + value(*digit)));
    let bytes: Vec<u8> = words.flat_map(u32::to_be_bytes).collect();
    let id = uuid::Uuid::from_slice(&bytes).expect("a UUID");
    format!("deletion_vector_{id}.bin")
}

const REST: &str = "11 12 13 14 15";

/// `read` is the version that the statement was committed from: 2 when the winner did not matter, 3 when it was run
/// again.
#[test_case("WriteSerializable", "DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = 2", "3 4 5 11 12 13 14 15", Some(3); "deletions from one file")]
#[test_case("Serializable", "DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = 11", "2 3 4 5 12 13 14 15", Some(2); "deletions from two files")]
#[test_case("WriteSerializable", "DELETE FROM t WHERE id < 6", "INSERT INTO t VALUES (3, 'x')", "3 11 12 13 14 15", Some(2); "deletion and append")]
#[test_case("Serializable", "DELETE FROM t WHERE id < 6", "INSERT INTO t VALUES (3, 'x')", REST, Some(3); "serializable deletion and append")]
#[test_case("Serializable", "DELETE FROM t WHERE id < 6", "INSERT INTO t VALUES (10, 'x')", "10 11 12 13 14 15", Some(2); "append out of bounds")]
#[test_case("WriteSerializable", "DELETE FROM t WHERE id < 6", "OPTIMIZE t", REST, Some(3); "deletion and optimize")]
#[test_case("WriteSerializable", "UPDATE t SET id = id + 20 WHERE id < 3", "OPTIMIZE t", "3 4 5 11 12 13 14 15 21 22", Some(3); "update and optimize")]
#[test_case("WriteSerializable", "DELETE FROM t WHERE id = 1", "UPDATE t SET id = 99 WHERE id = 11", "2 3 4 5 12 13 14 15 99", Some(2); "an update elsewhere")]
#[test_case("WriteSerializable", "DELETE FROM t WHERE id = 1", "UPDATE t SET id = 1 WHERE id = 11", "2 3 4 5 12 13 14 15", Some(3); "an update into the predicate")]
#[test_case("WriteSerializable", "UPDATE t SET id = 50 WHERE id = 1", "DELETE FROM t WHERE id = 1", "2 3 4 5 11 12 13 14 15", None; "an update of what is gone")]
#[test_case("WriteSerializable", "UPDATE t SET id = id + 50 WHERE id < 3", "UPDATE t SET id = 1 WHERE id = 4", "3 5 11 12 13 14 15 51 51 52", Some(3); "updates of one file")]
#[test_case("WriteSerializable", "DELETE FROM t", "INSERT INTO t VALUES (7, 'x')", "7", Some(2); "deletion of all and append")]
#[test_case("WriteSerializable", "TRUNCATE TABLE t", "DELETE FROM t WHERE id = 1", "", Some(3); "truncation and deletion")]
#[test_case("WriteSerializable", "DELETE FROM t WHERE id < 6", "INSERT OVERWRITE t VALUES (3, 'x'), (8, 'x')", "8", Some(3); "deletion and overwrite")]
#[test_case("WriteSerializable", "DELETE FROM t WHERE id IN (SELECT id - 10 FROM t)", "DELETE FROM t WHERE id = 11", "1 12 13 14 15", Some(3); "a subquery on the table itself")]
#[tokio::test]
async fn both_writers_hold(level: &str, ours: &str, theirs: &str, expected: &str, read: Option<i64>) {
    for vectors in [true, false] {
        let properties =
            format!("'delta.isolationLevel' = '{level}', 'delta.enableDeletionVectors' = '{vectors}'");
        let race = Race::new(&properties).await;
        let (winner, statement) = (race.theirs.clone(), theirs.to_owned());
        race.store.before_commit(
            3,
            async move { run(&support::session(&winner), &[&statement]).await },
        );
        run(&race.ours, &[ours]).await;
        assert!(race.store.exhausted(), "the race took place");
        assert_eq!(race.ids().await, expected);
        if let Some(read) = read {
            assert_eq!(race.read_version().await, Some(read));
        }
        assert_eq!(
            race.unnamed_files().await,
            BTreeSet::new(),
            "what lost is deleted"
        );
    }
}

#[test_case("DELETE FROM t WHERE id IN (1, 2, 12)", "3 4 5 11 13 14 15"; "delete")]
#[test_case("DELETE FROM t WHERE id IN (1, 2, 3, 4, 12)", "5 11 13 14 15"; "delete with a copy")]
#[test_case("UPDATE t SET id = id + 20 WHERE id IN (1, 12)", "2 3 4 5 11 13 14 15 21 32"; "update")]
#[test_case("UPDATE t SET id = id + 20 WHERE id IN (1, 2, 3, 12)", "4 5 11 13 14 15 21 22 23 32"; "update with a copy")]
#[tokio::test]
async fn a_put_that_fails_changes_nothing_or_is_made_up_for(statement: &str, expected: &str) {
    let mut worked_before = 0;
    let mut failed_for_good = 0;
    loop {
        let race = Race::new("'delta.enableDeletionVectors' = 'true'").await;
        race.store.fail_put(Some(worked_before));
        let outcome = try_rows(&race.ours, statement).await;
        let failed = race.store.fail_put(None);
        let left = match &outcome {
            Ok(_) => expected,
            Err(_) => "1 2 3 4 5 11 12 13 14 15",
        };
        assert_eq!(race.ids().await, left, "after {worked_before} puts: {outcome:?}");
        assert_eq!(
            race.unnamed_files().await,
            BTreeSet::new(),
            "after {worked_before} puts"
        );
        run(&race.ours, &[statement]).await;
        if !failed {
            break;
        }
        failed_for_good += usize::from(outcome.is_err());
        worked_before += 1;
    }
    assert!(failed_for_good > 0, "vectors and files cannot be done without");
    assert!(worked_before > failed_for_good, "a commit is put again");
}

#[tokio::test]
async fn a_process_that_ends_before_its_commit_has_changed_nothing() {
    let race = Race::new("'delta.enableDeletionVectors' = 'true'").await;
    let (reached, at_commit) = tokio::sync::oneshot::channel();
    race.store.before_commit(3, async move {
        let _ = reached.send(());
        std::future::pending::<()>().await;
    });
    let doomed = support::session(&race.engine);
    let mut process = JoinSet::new();
    process.spawn(async move {
        let outcome = try_rows(&doomed, "UPDATE t SET id = 0 WHERE id = 1").await;
        outcome.map(drop)
    });
    at_commit.await.expect("all is written but the commit");
    process.shutdown().await;

    let left: Vec<String> = race.unnamed_files().await.into_iter().collect();
    assert_eq!(
        left.len(),
        2,
        "a vector and a file that VACUUM will find: {left:?}"
    );
    assert_eq!(race.ids().await, "1 2 3 4 5 11 12 13 14 15");
    let others = support::session(&race.theirs);
    assert_eq!(rows(&others, "UPDATE t SET id = 0 WHERE id = 1").await, ["1"]);
    assert_eq!(race.ids().await, "0 2 3 4 5 11 12 13 14 15");
}
