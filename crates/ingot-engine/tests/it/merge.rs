//! MERGE: each clause, ambiguity, and writers that race.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use ingot_catalog::{TableFilters, TableKind};
use ingot_common::{Classify, Kind, TableName};
use ingot_delta::{CommitOutcome, DeltaTable, Operation};
use ingot_engine::Session;
use ingot_engine::merge::{
    Merge, MergeAction, MergeClause, MergeMatching, MergeMetrics, merge_with_retry, run_merge,
};
use ingot_engine::provider::delta_provider;
use ingot_engine::write::{TableSpec, commit_append, create_table, stage_files};
use test_case::test_case;

use crate::support;

const NAME: &str = "main.default.target";

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("value", DataType::Utf8, true),
    ]))
}

fn rows(rows: &[(Option<i64>, &str)]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(id, _)| *id).collect::<Int64Array>()),
        Arc::new(StringArray::from_iter_values(
            rows.iter().map(|(_, value)| *value),
        )),
    ];
    RecordBatch::try_new(schema(), columns).expect("valid rows")
}

async fn open(directory: &Path) -> (Session, Arc<DeltaTable>) {
    let engine = support::engine(directory).await;
    let session = support::session(&engine);
    let spec = TableSpec {
        name: TableName::parse(NAME).expect("name"),
        kind: TableKind::Managed,
        schema: schema(),
        partition_columns: Vec::new(),
        location: None,
        definition: None,
        comment: None,
        properties: Default::default(),
        clustering_columns: None,
        constraints: Vec::new(),
        dataset: None,
        filters: TableFilters::default(),
    };
    let (_, table) = create_table(&session, spec, true).await.expect("created");
    (session, table)
}

/// A table with rows 1, 2 in one file and 10, 11 and one without a key in another.
async fn target(directory: &Path) -> (Session, Arc<DeltaTable>) {
    let (session, table) = open(directory).await;
    support::append(
        &table,
        &[
            rows(&[(Some(1), "one"), (Some(2), "two")]),
            rows(&[(Some(10), "ten"), (Some(11), "eleven"), (None, "none")]),
        ],
    )
    .await;
    (session, table)
}

fn clause(matching: MergeMatching, condition: Option<&str>, action: MergeAction) -> MergeClause {
    MergeClause {
        matching,
        condition: condition.map(str::to_owned),
        action,
    }
}

fn merge(session: &Session, source: RecordBatch, clauses: Vec<MergeClause>) -> Merge {
    Merge {
        target_alias: "t".to_owned(),
        source_alias: "s".to_owned(),
        source: session.datafusion().read_batch(source).expect("source"),
        on: "T.ID = s.id".to_owned(),
        clauses,
        schema_evolution: false,
        app_transactions: Vec::new(),
        user_metadata: None,
    }
}

async fn content(session: &Session, table: &Arc<DeltaTable>) -> Vec<(Option<i64>, String)> {
    let snapshot = table.snapshot().await.expect("snapshot");
    let provider = delta_provider(Arc::clone(table), snapshot, None);
    let frame = session.datafusion().read_table(provider).expect("frame");
    let mut content = Vec::new();
    for batch in frame.collect().await.expect("rows") {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let values = batch.column(1).as_string::<i32>();
        content.extend(
            ids.iter()
                .zip(values)
                .map(|(id, value)| (id, value.unwrap_or_default().to_owned())),
        );
    }
    content.sort();
    content
}

fn update(value: &str) -> MergeAction {
    MergeAction::Update(vec![("VALUE".to_owned(), value.to_owned())])
}

#[test_case(
    vec![clause(MergeMatching::Matched, None, MergeAction::UpdateAll { except: Vec::new() })],
    "none:null one:1 TWO:2 ten:10 eleven:11", (1, 0, 0); "update all columns")]
#[test_case(
    vec![clause(MergeMatching::Matched, None, update("concat(t.value, '+', s.value)"))],
    "none:null one:1 two+TWO:2 ten:10 eleven:11", (1, 0, 0); "update one column")]
#[test_case(
    vec![clause(MergeMatching::Matched, None, MergeAction::Delete)],
    "none:null one:1 ten:10 eleven:11", (0, 1, 0); "delete")]
#[test_case(
    vec![clause(MergeMatching::Matched, Some("t.value = 'other'"), MergeAction::Delete),
         clause(MergeMatching::Matched, Some("s.id > 1"), update("'second'"))],
    "none:null one:1 second:2 ten:10 eleven:11", (1, 0, 0); "first clause whose condition holds")]
#[test_case(
    vec![clause(MergeMatching::NotMatchedByTarget, None, MergeAction::InsertAll { except: Vec::new() })],
    "none:null NONE:null one:1 two:2 three:3 ten:10 eleven:11", (0, 0, 2); "insert all columns")]
#[test_case(
    vec![clause(MergeMatching::NotMatchedByTarget, Some("id IS NOT NULL"),
        MergeAction::Insert(vec![("id".to_owned(), "id * 100".to_owned()), ("value".to_owned(), "'new'".to_owned())]))],
    "none:null one:1 two:2 ten:10 eleven:11 new:300", (0, 0, 1); "insert some rows")]
#[test_case(
    vec![clause(MergeMatching::NotMatchedBySource, Some("id > 10"), MergeAction::Delete),
         clause(MergeMatching::NotMatchedBySource, Some("id = 1"), update("'alone'"))],
    "none:null alone:1 two:2 ten:10", (1, 1, 0); "rows without a source")]
#[test_case(
    vec![clause(MergeMatching::Matched, None, MergeAction::UpdateAll { except: Vec::new() }),
         clause(MergeMatching::NotMatchedByTarget, Some("s.id = 3"), MergeAction::InsertAll { except: Vec::new() }),
         clause(MergeMatching::NotMatchedBySource, None, MergeAction::Delete)],
    "TWO:2 three:3", (1, 4, 1); "mirror the source")]
#[tokio::test]
async fn clauses_do_what_they_say(clauses: Vec<MergeClause>, expected: &str, counts: (i64, i64, i64)) {
    let directory = tempfile::tempdir().expect("directory");
    let (session, table) = target(directory.path()).await;
    let source = rows(&[(Some(2), "TWO"), (Some(3), "three"), (None, "NONE")]);
    let merge = merge(&session, source, clauses);
    let (outcome, metrics) = run_merge(&session, &table, &merge).await.expect("merged");
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
    let (rows_updated, rows_deleted, rows_inserted) = counts;
    let expected_metrics = MergeMetrics {
        rows_updated,
        rows_deleted,
        rows_inserted,
    };
    assert_eq!(metrics, expected_metrics);
    let mut found: Vec<String> = content(&session, &table)
        .await
        .into_iter()
        .map(|(id, value)| format!("{value}:{}", id.map_or("null".to_owned(), |id| id.to_string())))
        .collect();
    let mut expected: Vec<String> = expected.split(' ').map(str::to_owned).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn ambiguous_match_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().expect("directory");
    let (session, table) = target(directory.path()).await;
    let before = table.snapshot().await.expect("snapshot").version();
    let source = rows(&[(Some(2), "a"), (Some(2), "b")]);
    let clauses = vec![clause(
        MergeMatching::Matched,
        None,
        MergeAction::UpdateAll { except: Vec::new() },
    )];
    let error = run_merge(&session, &table, &merge(&session, source.clone(), clauses))
        .await
        .expect_err("two source rows");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert_eq!(table.snapshot().await.expect("snapshot").version(), before);
    // Deleting a row twice is deleting it.
    let clauses = vec![clause(MergeMatching::Matched, None, MergeAction::Delete)];
    let (_, metrics) = run_merge(&session, &table, &merge(&session, source, clauses))
        .await
        .expect("deleted");
    assert_eq!(metrics.rows_deleted, 1);
}

#[tokio::test]
async fn merge_that_changes_nothing_commits_nothing_but_its_transaction() {
    let directory = tempfile::tempdir().expect("directory");
    let (session, table) = target(directory.path()).await;
    let before = table.snapshot().await.expect("snapshot").version();
    let clauses = vec![clause(
        MergeMatching::Matched,
        None,
        MergeAction::UpdateAll { except: Vec::new() },
    )];
    let mut merge = merge(&session, rows(&[(Some(99), "x")]), clauses);
    run_merge(&session, &table, &merge).await.expect("nothing to do");
    assert_eq!(table.snapshot().await.expect("snapshot").version(), before);
    merge.app_transactions = vec![("app".to_owned(), 7)];
    run_merge(&session, &table, &merge).await.expect("committed");
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.version(), before + 1);
    assert_eq!(snapshot.app_transaction("app").await.expect("read"), Some(7));
    let (outcome, _) = run_merge(&session, &table, &merge).await.expect("applied before");
    assert!(
        matches!(outcome, CommitOutcome::AlreadyApplied { version: 7, .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn touched_files_get_vectors_and_are_not_written_again() {
    let directory = tempfile::tempdir().expect("directory");
    let (session, table) = target(directory.path()).await;
    let clauses = vec![clause(
        MergeMatching::Matched,
        None,
        MergeAction::UpdateAll { except: Vec::new() },
    )];
    let merge = merge(&session, rows(&[(Some(2), "TWO")]), clauses);
    run_merge(&session, &table, &merge).await.expect("merged");
    let history = table.history(Some(1)).await.expect("history");
    let metrics = history[0].info.operation_metrics.clone().unwrap_or_default();
    let metric = |name: &str| {
        let value = &metrics[name];
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    };
    assert_eq!(metric("numTargetFilesRemoved"), Some(0));
    assert_eq!(metric("numTargetDeletionVectorsAdded"), Some(1));
    assert_eq!(metric("numTargetRowsCopied"), Some(0));
    assert_eq!(metric("numTargetRowsUpdated"), Some(1));
    assert_eq!(metric("numOutputRows"), Some(1));
}

/// Two engines on one data directory, eight tasks: half append rows of their own, half count up rows that all
/// share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_appends_and_merges_lose_and_double_nothing() {
    const ROUNDS: i64 = 5;
    let directory = tempfile::tempdir().expect("directory");
    let (_, first) = open(directory.path()).await;
    let created = first.snapshot().await.expect("snapshot").version();
    let mut tasks = tokio::task::JoinSet::new();
    let mut engines = Vec::new();
    for _ in 0..2 {
        engines.push(support::engine(directory.path()).await);
    }
    for task in 0..8_i64 {
        let session = support::session(&engines[usize::try_from(task % 2).expect("small")]);
        tasks.spawn(async move {
            let name = TableName::parse(NAME).expect("name");
            let (_, table) = session.open_table(&name).await.expect("table");
            for round in 0..ROUNDS {
                if task < 4 {
                    let batch = rows(&[(Some(1000 + task * ROUNDS + round), "appended")]);
                    let frame = session.datafusion().read_batch(batch).expect("source");
                    let snapshot = table.snapshot().await.expect("snapshot");
                    let staged = stage_files(&session, &table, &snapshot, frame)
                        .await
                        .expect("staged");
                    commit_append(&session, &table, &snapshot, staged, Operation::new("WRITE"))
                        .await
                        .expect("appended");
                } else {
                    let clauses = vec![
                        clause(MergeMatching::Matched, None, update("concat(t.value, s.value)")),
                        clause(
                            MergeMatching::NotMatchedByTarget,
                            None,
                            MergeAction::InsertAll { except: Vec::new() },
                        ),
                    ];
                    let merge = merge(&session, rows(&[(Some(1), "+"), (Some(2), "+")]), clauses);
                    merge_with_retry(&session, &table, &merge).await.expect("merged");
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("task");
    }
    let (session, table) = open(directory.path()).await;
    let content = content(&session, &table).await;
    let marks = "+".repeat(usize::try_from(4 * ROUNDS).expect("small"));
    let mut expected = vec![(Some(1), marks.clone()), (Some(2), marks)];
    expected.extend((0..4 * ROUNDS).map(|row| (Some(1000 + row), "appended".to_owned())));
    assert_eq!(content, expected);
    let version = table.snapshot().await.expect("snapshot").version();
    assert_eq!(version - created, 8 * ROUNDS, "each operation is one commit");
}
