//! The change data feed as a stream: `readChangeFeed`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use ingot_common::{Classify, Identifier, Principal, TableName};
use ingot_delta::DeltaTable;
use ingot_engine::{Engine, Session};
use ingot_streaming::{
    DeltaSink, DeltaSource, Offset, OutputMode, QueryHandle, QueryOptions, ReadLimit, Source, SourceRelation,
    StreamingQuery, Trigger,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use test_case::test_case;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{engine, options, rows, session, tables, wait_for_release};

const FEED: (&str, &str) = ("readChangeFeed", "true");

async fn run(session: &Session, statements: &[&str]) {
    for statement in statements {
        let result = session.execute(statement).await.expect("statement");
        let _: Vec<RecordBatch> = result.batches.try_collect().await.expect("rows");
    }
}

async fn table(session: &Session, name: &str) -> Arc<DeltaTable> {
    let [catalog, schema, name] =
        ["main", "default", name].map(|part| Identifier::new(part).expect("identifier"));
    let name = TableName::new(catalog, schema, name);
    session.open_table(&name).await.expect("table").1
}

/// A table `t (id, v)` with a feed: version 1 inserts ids 1 and 2.
async fn two_rows() -> (TempDir, Engine, Session) {
    let folder = tempfile::tempdir().expect("folder");
    let engine = engine(folder.path(), tables()).await;
    let session = session(&engine);
    let create = "CREATE TABLE t (id BIGINT, v STRING) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')";
    run(&session, &[create, "INSERT INTO t VALUES (1, 'a'), (2, 'b')"]).await;
    (folder, engine, session)
}

async fn source(table: &Arc<DeltaTable>, given: &[(&str, &str)]) -> DeltaSource {
    let given: Vec<_> = given.iter().copied().chain([FEED]).collect();
    DeltaSource::new(Arc::clone(table), &options(&given))
        .await
        .expect("source")
}

fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        let columns = ["_commit_version", "_change_type", "id", "v"].map(|name| {
            ArrayFormatter::try_new(batch[name].as_ref(), &FormatOptions::new()).expect("printable")
        });
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns
                .iter()
                .map(|column| column.value(row).to_string())
                .collect();
            lines.push(values.join("|"));
        }
    }
    lines.sort();
    lines
}

/// Reads to the end in batches.
async fn drain(source: &DeltaSource, start: &mut Offset) -> Vec<Vec<String>> {
    let mut batches = Vec::new();
    loop {
        let end = source
            .next_offset(start, ReadLimit::Options, None)
            .await
            .expect("offset");
        if end == *start {
            return batches;
        }
        batches.push(lines(&rows(source, start, &end).await.expect("rows")));
        *start = end;
    }
}

/// Returns the condition of what reading on fails with.
async fn stopped(source: &DeltaSource, start: &Offset) -> String {
    let read = source.next_offset(start, ReadLimit::Options, None).await;
    read.expect_err("it stops")
        .condition()
        .unwrap_or("none")
        .to_owned()
}

#[tokio::test]
async fn rows_there_are_come_as_inserts_and_then_their_changes() {
    let (_folder, _, session) = two_rows().await;
    let table = table(&session, "t").await;
    let before = source(&table, &[]).await;
    let mut start = before.initial_offset().await.expect("initial");
    run(&session, &["UPDATE t SET v = 'x' WHERE id = 2", "OPTIMIZE t"]).await;
    let expected = [
        "1|insert|1|a",
        "1|insert|2|b",
        "2|update_postimage|2|x",
        "2|update_preimage|2|b",
    ];
    assert_eq!(drain(&before, &mut start).await, [expected.as_slice()]);
    run(
        &session,
        &["DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (3, 'c')"],
    )
    .await;
    let after = source(&table, &[]).await;
    let changes = drain(&after, &mut start).await.concat();
    let kinds: Vec<_> = changes
        .iter()
        .map(|line| &line[line.find('|').expect("bar")..])
        .collect();
    assert_eq!(kinds, ["|delete|1|a", "|insert|3|c"]);
    assert_eq!(start.0["index"], -1, "commits are read whole");
}

#[tokio::test]
async fn rows_say_when_they_changed() {
    let (_folder, _, session) = two_rows().await;
    let table = table(&session, "t").await;
    let source = source(&table, &[]).await;
    let start = source.initial_offset().await.expect("initial");
    let end = source
        .next_offset(&start, ReadLimit::Options, None)
        .await
        .expect("offset");
    let batches = rows(&source, &start, &end).await.expect("rows");
    assert_eq!(batches[0].schema().fields(), source.schema().fields());
    let found = ArrayFormatter::try_new(batches[0]["_commit_timestamp"].as_ref(), &FormatOptions::new());
    let expected = table.snapshot().await.expect("snapshot").timestamp_ms();
    let expected = chrono::DateTime::from_timestamp_millis(expected).expect("instant");
    let found = found.expect("printable").value(0).to_string();
    let found = chrono::DateTime::parse_from_rfc3339(&found).expect("instant");
    assert_eq!(found, expected);
}

#[test_case(("startingVersion", "2"), &["2|delete|1|a", "3|insert|3|c"]; "a version")]
#[test_case(("startingVersion", "0"), &["1|insert|1|a", "1|insert|2|b", "2|delete|1|a", "3|insert|3|c"]; "the first version")]
#[test_case(("startingVersion", "latest"), &["3|insert|3|c"]; "what comes")]
#[test_case(("startingTimestamp", "2000-01-01"), &["1|insert|1|a", "1|insert|2|b", "2|delete|1|a", "3|insert|3|c"]; "an instant")]
#[tokio::test]
async fn a_stream_may_begin_with_a_commit(start: (&str, &str), expected: &[&str]) {
    let (_folder, _, session) = two_rows().await;
    let table = table(&session, "t").await;
    run(&session, &["DELETE FROM t WHERE id = 1"]).await;
    let source = source(&table, &[start]).await;
    let mut start = source.initial_offset().await.expect("initial");
    run(&session, &["INSERT INTO t VALUES (3, 'c')"]).await;
    assert_eq!(drain(&source, &mut start).await, [expected]);
}

#[tokio::test]
async fn limits_part_the_snapshot_and_never_a_commit() {
    let (_folder, _, session) = two_rows().await;
    let table = table(&session, "t").await;
    run(&session, &["INSERT INTO t VALUES (3, 'c')"]).await;
    let source = source(&table, &[("maxFilesPerTrigger", "1")]).await;
    let mut start = source.initial_offset().await.expect("initial");
    run(
        &session,
        &[
            "INSERT OVERWRITE t VALUES (4, 'd')",
            "INSERT INTO t VALUES (5, 'e')",
        ],
    )
    .await;
    let batches = drain(&source, &mut start).await;
    assert_eq!(batches[..2].concat().len(), 3, "{batches:?}");
    let commits = [
        vec!["3|delete|1|a", "3|delete|2|b", "3|delete|3|c", "3|insert|4|d"],
        vec!["4|insert|5|e"],
    ];
    assert_eq!(batches[2..], commits);
}

#[tokio::test]
async fn commits_that_record_no_changes_stop_the_stream() {
    let (_folder, _, session) = two_rows().await;
    let table = table(&session, "t").await;
    let begun = source(&table, &[]).await;
    let mut start = begun.initial_offset().await.expect("initial");
    drain(&begun, &mut start).await;
    let property =
        |value: &str| format!("ALTER TABLE t SET TBLPROPERTIES ('delta.enableChangeDataFeed' = '{value}')");
    run(
        &session,
        &[
            &property("false"),
            "INSERT INTO t VALUES (3, 'c')",
            &property("true"),
        ],
    )
    .await;
    assert_eq!(stopped(&begun, &start).await, "DELTA_MISSING_CHANGE_DATA");
    let within = source(&table, &[("startingVersion", "3")]).await;
    let start = within.initial_offset().await.expect("initial");
    assert_eq!(stopped(&within, &start).await, "DELTA_MISSING_CHANGE_DATA");
    let again = source(&table, &[("startingVersion", "4")]).await;
    let mut start = again.initial_offset().await.expect("initial");
    run(&session, &["INSERT INTO t VALUES (4, 'd')"]).await;
    assert_eq!(drain(&again, &mut start).await, [["5|insert|4|d"]]);
    run(&session, &[&property("false")]).await;
    let none = source(&table, &[]).await;
    let error = none.initial_offset().await.expect_err("nothing is recorded");
    assert_eq!(error.condition(), Some("DELTA_MISSING_CHANGE_DATA"));
}

#[tokio::test]
async fn a_new_column_is_read_after_a_restart() {
    let (_folder, _, session) = two_rows().await;
    let table = table(&session, "t").await;
    let before = source(&table, &[]).await;
    let mut start = before.initial_offset().await.expect("initial");
    drain(&before, &mut start).await;
    run(
        &session,
        &[
            "UPDATE t SET v = 'x' WHERE id = 1",
            "ALTER TABLE t ADD COLUMN w INT",
            "UPDATE t SET w = 1 WHERE id = 2",
        ],
    )
    .await;
    assert_eq!(
        stopped(&before, &start).await,
        "DELTA_SCHEMA_CHANGED_WITH_VERSION"
    );
    let after = source(&table, &[]).await;
    let changes = drain(&after, &mut start).await.concat();
    let expected = [
        "2|update_postimage|1|x",
        "2|update_preimage|1|a",
        "4|update_postimage|2|b",
        "4|update_preimage|2|b",
    ];
    assert_eq!(changes, expected);
}

#[tokio::test]
async fn a_stream_of_rows_that_stopped_amidst_a_commit_cannot_go_on_with_changes() {
    let (_folder, _, session) = two_rows().await;
    let table = table(&session, "t").await;
    let source = source(&table, &[("startingVersion", "1")]).await;
    let mut start = source.initial_offset().await.expect("initial");
    start.0["index"] = 0.into();
    let read = source.next_offset(&start, ReadLimit::Options, None).await;
    let error = read.expect_err("it would lose or repeat rows").to_string();
    assert!(error.contains("amidst commit 1"), "{error}");
}

/// Makes the query as each start of a process does.
async fn query(session: &Session, checkpoint: &Path) -> StreamingQuery {
    let given = [("startingVersion", "0"), ("maxFilesPerTrigger", "2")];
    StreamingQuery {
        options: QueryOptions {
            name: Some("changes".to_owned()),
            checkpoint: checkpoint.to_owned(),
            query_id: Some(Uuid::from_u128(11)),
            trigger: Trigger::AvailableNow,
            principal: Principal::new("tester"),
        },
        sources: vec![SourceRelation {
            relation: "changes".to_owned(),
            source: Arc::new(source(&table(session, "t").await, &given).await),
        }],
        sink: Arc::new(DeltaSink::new(
            table(session, "sunk").await,
            "SELECT _commit_version AS version, _change_type AS kind, id, v FROM changes",
            OutputMode::Append,
        )),
    }
}

async fn all(session: &Session, query: &str) -> Vec<String> {
    let rows = session.query(query).await.expect("query");
    lines(&rows.collect().await.expect("rows"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_sunk_once_however_often_the_query_is_dropped() {
    let seed = ingot_common::clock::random_below(u64::MAX);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (folder, engine, session) = two_rows().await;
    run(
        &session,
        &["CREATE TABLE sunk (version BIGINT, kind STRING, id BIGINT, v STRING)"],
    )
    .await;
    let checkpoint = folder.path().join("checkpoint");
    for round in 0..10 {
        for _ in 0..random.random_range(1..4) {
            let id = random.random_range(0..5);
            let statement = match random.random_range(0..4) {
                0 => format!("DELETE FROM t WHERE id = {id}"),
                1 => format!("UPDATE t SET v = 'r{round}' WHERE id >= {id}"),
                2 => format!(
                    "MERGE INTO t USING (SELECT {id} AS k) s ON t.id = s.k \
                     WHEN MATCHED THEN UPDATE SET v = 'm{round}' WHEN NOT MATCHED THEN INSERT (id, v) VALUES (k, 'n')"
                ),
                _ => format!("INSERT INTO t VALUES ({id}, 'i{round}')"),
            };
            run(&session, &[&statement]).await;
        }
        let query = query(&session, &checkpoint).await;
        // Dropped anywhere: while it plans, records, reads, writes, commits.
        let moment = Duration::from_micros(random.random_range(0..200_000));
        let (handle, token) = (QueryHandle::new(), CancellationToken::new());
        let _ = tokio::time::timeout(moment, query.run(&engine, &handle, token)).await;
        wait_for_release(&checkpoint).await;
    }
    let last = query(&session, &checkpoint).await;
    last.run(&engine, &QueryHandle::new(), CancellationToken::new())
        .await
        .expect("to the end");
    let sunk = "SELECT version AS _commit_version, kind AS _change_type, id, v FROM sunk";
    let told = "SELECT * FROM table_changes('t', 0)";
    assert_eq!(all(&session, sunk).await, all(&session, told).await);
}
