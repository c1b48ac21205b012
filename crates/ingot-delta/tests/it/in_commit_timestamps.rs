//! Tables that begin and end to carry times in their commits.

use std::sync::Arc;

use ingot_common::Classify;
use ingot_common::error::Kind;
use ingot_delta::{CommitOutcome, DeltaTable, Operation, Snapshot, TimeTravel, Transaction};
use test_case::test_case;

use crate::foreign::{ForeignTable, add};
use crate::support::{Folder, schema, spec, tables};

const ENABLED: &str = "delta.enableInCommitTimestamps";
const VERSION: &str = "delta.inCommitTimestampEnablementVersion";
const TIMESTAMP: &str = "delta.inCommitTimestampEnablementTimestamp";

/// Commit n was made at n * 1000 + 1000 ms.
fn without_times() -> ForeignTable {
    let foreign = ForeignTable::partitioned();
    for version in 1..=2 {
        foreign.commit(version, &[add(&format!("f{version}"), None, version)]);
    }
    for version in 0..=2 {
        foreign.set_modified(version, 1_000 * (version as u64 + 1));
    }
    foreign
}

fn switch(table: &Arc<DeltaTable>, snapshot: &Arc<Snapshot>, value: &str) -> Transaction {
    let mut metadata = snapshot.metadata().clone();
    metadata
        .configuration
        .insert(ENABLED.to_owned(), value.to_owned());
    let mut transaction = table.transaction(Arc::clone(snapshot), Operation::new("SET TBLPROPERTIES"));
    transaction.set_metadata(metadata);
    transaction
}

async fn committed(transaction: Transaction) -> Arc<Snapshot> {
    match transaction.commit().await.expect("no failure") {
        CommitOutcome::Committed { snapshot, .. } => snapshot,
        other => panic!("not committed: {other:?}"),
    }
}

fn since(snapshot: &Snapshot) -> (Option<&str>, i64) {
    let property = |key: &str| snapshot.properties().get(key).map(String::as_str);
    let timestamp = property(TIMESTAMP).and_then(|ms| ms.parse().ok());
    (property(VERSION), timestamp.expect("an enablement timestamp"))
}

#[tokio::test]
async fn the_commit_that_enables_them_says_since_when() {
    let foreign = without_times();
    let table = foreign.open().await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let snapshot = committed(switch(&table, &snapshot, "true")).await;
    assert_eq!(since(&snapshot), (Some("3"), snapshot.timestamp_ms()));
    let listed = snapshot
        .protocol()
        .writer_features
        .clone()
        .expect("feature lists");
    assert!(listed.contains(&"inCommitTimestamp".to_owned()), "{listed:?}");
    let history = foreign.open().await.history(None).await.expect("history");
    assert_eq!(history[0].info.in_commit_timestamp, Some(snapshot.timestamp_ms()));
}

/// The file of a commit that another wrote meanwhile is from a clock that is ahead of ours.
#[tokio::test]
async fn version_and_time_are_found_anew_after_a_lost_race() {
    let foreign = without_times();
    let table = foreign.open().await;
    let stale = switch(&table, &table.snapshot().await.expect("snapshot"), "true");
    foreign.commit(3, &[add("f3", None, 3)]);
    let ahead_ms = ingot_common::clock::now_ms() + 3_600_000;
    foreign.set_modified(3, u64::try_from(ahead_ms).expect("after 1970"));
    let snapshot = committed(stale).await;
    assert_eq!(since(&snapshot), (Some("4"), ahead_ms + 1));
    assert_eq!(snapshot.timestamp_ms(), ahead_ms + 1);
}

#[test_case(2_500, Some(1); "before: by the files' times")]
#[test_case(3_000, Some(2); "the last one before")]
#[test_case(3_000_000, Some(2); "after the last one before")]
#[test_case(999, None; "before the first")]
#[tokio::test]
async fn the_past_before_they_were_enabled_is_found_by_file_times(instant: i64, expected: Option<i64>) {
    let foreign = without_times();
    let table = foreign.open().await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let enabled = committed(switch(&table, &snapshot, "true")).await;
    foreign.set_modified(3, 2_000);
    for table in [table, foreign.open().await] {
        let found = table.snapshot_at(TimeTravel::Timestamp(instant)).await;
        match (found, expected) {
            (Ok(found), Some(version)) => assert_eq!(found.version(), version),
            (Err(error), None) => assert_eq!(error.kind(), Kind::NotFound),
            (found, _) => panic!("{found:?}"),
        }
        let at = TimeTravel::Timestamp(enabled.timestamp_ms());
        assert_eq!(
            table.snapshot_at(at).await.expect("the commit itself").version(),
            3
        );
        let times: Vec<i64> = table
            .history(None)
            .await
            .expect("history")
            .iter()
            .map(|entry| entry.timestamp_ms)
            .collect();
        assert_eq!(times, [enabled.timestamp_ms(), 3_000, 2_000, 1_000]);
    }
}

#[tokio::test]
async fn disabled_again_the_files_times_count_and_a_second_period_says_its_own_beginning() {
    let foreign = without_times();
    let table = foreign.open().await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let enabled = committed(switch(&table, &snapshot, "true")).await;
    let disabled = committed(switch(&table, &enabled, "false")).await;
    for version in 3..=4 {
        foreign.set_modified(version, 1_000 * (version as u64 + 1));
    }
    let anew = foreign.open().await;
    let history = anew.history(None).await.expect("history");
    let times: Vec<i64> = history.iter().map(|entry| entry.timestamp_ms).collect();
    assert_eq!(times, [5_000, 4_000, 3_000, 2_000, 1_000]);
    assert_eq!(history[0].info.in_commit_timestamp, None, "commits carry none");
    let found = anew
        .snapshot_at(TimeTravel::Timestamp(4_500))
        .await
        .expect("a version");
    assert_eq!(found.version(), 3);
    drop(disabled);
    let snapshot = anew.snapshot().await.expect("snapshot");
    let again = committed(switch(&anew, &snapshot, "true")).await;
    assert_eq!(since(&again), (Some("5"), again.timestamp_ms()));
    let found = anew
        .snapshot_at(TimeTravel::Timestamp(4_500))
        .await
        .expect("a version");
    assert_eq!(found.version(), 3, "the first period's time no longer counts");
}

#[tokio::test]
async fn a_table_can_begin_without() {
    let folder = Folder::new();
    let mut spec = spec(schema(), &[]);
    spec.properties.insert(ENABLED.to_owned(), "false".to_owned());
    let table = tables().create(&folder.location(), spec).await.expect("table");
    let snapshot = table.snapshot().await.expect("snapshot");
    let listed = snapshot
        .protocol()
        .writer_features
        .clone()
        .expect("feature lists");
    assert!(!listed.contains(&"inCommitTimestamp".to_owned()), "{listed:?}");
    let history = table.history(None).await.expect("history");
    assert_eq!(history[0].info.in_commit_timestamp, None);
}
