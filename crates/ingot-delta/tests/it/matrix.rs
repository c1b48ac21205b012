//! Every statement against every other: one commits first (the winner), the other was staged on the same version (the
//! loser). The files of `matrix/` state what becomes of the loser, and how many rows the table has in the end.
//!
//! Two handles with nothing in common are two processes as far as the log is concerned. One handle is one process,
//! whose commits queue and find the winners in memory. Both must end the same.

use std::fmt::Write as _;
use std::sync::Arc;

use futures::{StreamExt, stream};
use ingot_delta::{CommitOutcome, ConflictReason, DeltaTable, DeltaTables, TablesOptions};
use object_store::memory::InMemory;
use test_case::test_case;
use url::Url;

use crate::operations::{Layout, Row, Statement, live_rows, spec, stage};

/// The statements, in the order of rows and columns.
const NAMES: [&str; 15] = [
    "append",
    "overwrite",
    "replaceWhere",
    "dynamic",
    "delete",
    "update",
    "merge",
    "optimize",
    "z-order",
    "cluster",
    "vacuum",
    "restore",
    "add column",
    "property",
    "streaming",
];

/// Pairs that run at once.
const PAIRS_MAX: usize = 8;

/// The statement `name` on the rows of partition `p`; `new` is the id of what it inserts. The table holds one row of
/// version 1 and one of version 2 in each partition.
fn statement(name: &str, p: &str, new: i64) -> Statement {
    let (old, young) = if p == "a" { (1, 2) } else { (3, 4) };
    let rows = vec![Row::new(new, p, 0)];
    let p = p.to_owned();
    match name {
        "append" => Statement::Append(rows),
        "overwrite" => Statement::Overwrite(rows),
        "replaceWhere" => Statement::ReplaceWhere { p, rows },
        "dynamic" => Statement::DynamicOverwrite { p, rows },
        "delete" => Statement::Delete { p, ids: vec![old] },
        "update" => Statement::Update { p, ids: vec![young] },
        "merge" => Statement::Merge {
            p,
            ids: vec![old, new],
        },
        "optimize" => optimize(p, Layout::BinPack),
        "z-order" => optimize(p, Layout::ZOrder),
        "cluster" => optimize(p, Layout::Clustered),
        "vacuum" => Statement::Vacuum,
        "restore" => Statement::Restore(1),
        "add column" => Statement::AddColumn(format!("c{new}")),
        "property" => Statement::SetProperty(format!("p{new}")),
        "streaming" => Statement::StreamingAppend { batch: 1, rows },
        other => panic!("no statement called {other}"),
    }
}

fn optimize(p: String, kind: Layout) -> Statement {
    Statement::Optimize { p, kind }
}

/// Runs one pair and says how it ended.
async fn cell(
    winner: &str,
    loser: &str,
    loser_partition: &str,
    isolation: &str,
    one_process: bool,
) -> String {
    let store = Arc::new(InMemory::new());
    let process = || {
        let url = Url::parse("mem://lake/").expect("url");
        DeltaTables::new(TablesOptions::default()).with_store(url, Arc::clone(&store) as _)
    };
    let location = Url::parse("mem://lake/t/").expect("url");
    let ours = process();
    let table = ours
        .create(&location, spec(&[("delta.isolationLevel", isolation)]))
        .await;
    let table = table.expect("created");
    for version in 1..=2 {
        let rows = vec![Row::new(version, "a", 0), Row::new(version + 2, "b", 0)];
        commit(&table, &Statement::Append(rows)).await;
    }
    let theirs = process();
    let theirs = match one_process {
        true => Arc::clone(&table),
        false => theirs.open(&location).await.expect("opens"),
    };
    let read = table.snapshot().await.expect("snapshot");
    let lost = statement(loser, loser_partition, 20);
    let (lost, _) = stage(&table, &read, &lost).await.expect("staged");
    commit(&theirs, &statement(winner, "a", 10)).await;
    let outcome = lost.commit().await.expect("no failure");
    let apart = process().open(&location).await.expect("opens");
    let snapshot = apart.snapshot().await.expect("snapshot");
    let rows = live_rows(&apart, &snapshot).await.expect("rows").len();
    let committed = matches!(outcome, CommitOutcome::Committed { .. });
    assert_eq!(snapshot.version(), if committed { 4 } else { 3 });
    format!("{} {rows}", named(&outcome))
}

async fn commit(table: &Arc<DeltaTable>, statement: &Statement) {
    let snapshot = table.snapshot().await.expect("snapshot");
    let (transaction, _) = stage(table, &snapshot, statement).await.expect("staged");
    let outcome = transaction.commit().await.expect("no failure");
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
}

fn named(outcome: &CommitOutcome) -> &'static str {
    match outcome {
        CommitOutcome::Committed { .. } => "ok",
        CommitOutcome::AlreadyApplied { .. } => "done",
        CommitOutcome::Conflicted(reason) => match reason {
            ConflictReason::MetadataChanged { .. } => "metadata",
            ConflictReason::ProtocolChanged { .. } => "protocol",
            ConflictReason::ConcurrentAppend { .. } => "append",
            ConflictReason::ConcurrentDeleteRead { .. } => "read",
            ConflictReason::ConcurrentDeleteDelete { .. } => "delete",
            ConflictReason::ConcurrentTransaction { .. } => "app",
            ConflictReason::ConcurrentDomainMetadata { .. } => "domain",
            ConflictReason::FeatureDrop { .. } => "feature",
            ConflictReason::LogReplaced { .. } => "log",
        },
    }
}

#[test_case("WriteSerializable", "a", include_str!("matrix/write_serializable_same_rows.txt"), false; "write serializable, same rows, two processes")]
#[test_case("WriteSerializable", "a", include_str!("matrix/write_serializable_same_rows.txt"), true; "write serializable, same rows, one process")]
#[test_case("WriteSerializable", "b", include_str!("matrix/write_serializable_other_rows.txt"), false; "write serializable, other rows, two processes")]
#[test_case("WriteSerializable", "b", include_str!("matrix/write_serializable_other_rows.txt"), true; "write serializable, other rows, one process")]
#[test_case("Serializable", "a", include_str!("matrix/serializable_same_rows.txt"), false; "serializable, same rows, two processes")]
#[test_case("Serializable", "a", include_str!("matrix/serializable_same_rows.txt"), true; "serializable, same rows, one process")]
#[test_case("Serializable", "b", include_str!("matrix/serializable_other_rows.txt"), false; "serializable, other rows, two processes")]
#[test_case("Serializable", "b", include_str!("matrix/serializable_other_rows.txt"), true; "serializable, other rows, one process")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn winner_against_loser(isolation: &str, loser_partition: &str, stated: &str, one_process: bool) {
    let pairs = NAMES
        .iter()
        .flat_map(|winner| NAMES.iter().map(move |loser| (winner, loser)));
    let cells = stream::iter(pairs)
        .map(|(winner, loser)| cell(winner, loser, loser_partition, isolation, one_process))
        .buffered(PAIRS_MAX);
    let cells: Vec<String> = cells.collect().await;
    let mut grid = row("winner", NAMES.iter().map(|name| (*name).to_owned()));
    for (winner, cells) in NAMES.iter().zip(cells.chunks(NAMES.len())) {
        grid.push_str(&row(winner, cells.iter().cloned()));
    }
    let stated: String = stated
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .fold(String::new(), |text, line| text + line + "\n");
    assert!(grid == stated, "stated:\n{stated}\nfound:\n{grid}");
}

fn row(head: &str, cells: impl Iterator<Item = String>) -> String {
    let mut line = format!("{head:<12}");
    for cell in cells {
        write!(line, "| {cell:<13}").expect("a string takes all");
    }
    line.trim_end().to_owned() + "\n"
}
