//! The sizes that the crate is designed for: what snapshots cost as tables grow.
//! `cargo bench --profile dev -p ingot-delta --bench snapshot`: in the one profile that everything is built with.
//!
//! Prints times, and ratios to compare between machines: the last commits should cost what the first did, and what
//! is warm a small part of what is cold.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark ends where its expectation fails"
)]

#[path = "../tests/it/foreign.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod foreign;

use std::time::{Duration, Instant};

use ingot_delta::{CommitOutcome, Operation};
use serde_json::{Value, json};

use crate::foreign::{ForeignTable, add, metadata, protocol};

const COMMITS: i64 = 10_000;
const APPENDS: i64 = 5_000;
const FILES: i64 = 200_000;
const COLUMNS: usize = 32;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("runtime");
    runtime.block_on(commits_on_one_handle());
    runtime.block_on(blind_appends());
    runtime.block_on(files_with_wide_statistics());
}

/// One handle that sees every commit.
async fn commits_on_one_handle() {
    const STEP: i64 = COMMITS / 10;
    println!("refreshes of one handle, {COMMITS} commits of 10 files each");
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    let mut steps = Steps::begin();
    for version in 1..=COMMITS {
        let files: Vec<Value> = (0..10)
            .map(|file| add(&format!("f{version}-{file}"), None, version))
            .collect();
        foreign.commit(version, &files);
        let snapshot = table.snapshot().await.expect("snapshot");
        assert_eq!(snapshot.version(), version);
        if version % 10 == 0 {
            assert_eq!(snapshot.files().await.expect("files").len() as i64, version * 10);
        }
        if version % STEP == 0 {
            steps.end();
        }
    }
    steps.print(STEP);
    measured("checkpoint", async {
        table.checkpoint().await.expect("checkpoint")
    })
    .await;
    measured("open from the checkpoint", foreign.open()).await;
}

/// Commits of one writer, checkpoints and syncs included.
async fn blind_appends() {
    const STEP: i64 = APPENDS / 10;
    println!("blind appends of one writer, {APPENDS} commits");
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    let mut steps = Steps::begin();
    for number in 1..=APPENDS {
        let read = table.snapshot().await.expect("snapshot");
        let mut transaction = table.transaction(read, Operation::new("WRITE"));
        let file = add(&format!("f{number}"), None, number);
        transaction.add_files([serde_json::from_value(file["add"].clone()).expect("add")]);
        let outcome = transaction.commit().await.expect("commit");
        assert!(matches!(outcome, CommitOutcome::Committed { version, .. } if version == number));
        if number % STEP == 0 {
            steps.end();
        }
    }
    steps.print(STEP);
}

/// Statistics of many files and columns.
async fn files_with_wide_statistics() {
    println!("{FILES} files with statistics of {COLUMNS} columns");
    let fields: Vec<Value> = (0..COLUMNS)
        .map(|column| {
            let data_type = ["long", "string", "timestamp", "double"][column % 4];
            json!({"name": format!("column_{column}"), "type": data_type, "nullable": true, "metadata": {}})
        })
        .collect();
    let foreign = ForeignTable::new(&[protocol(1, 2), metadata("t", &json!(fields), &[], json!({}))]);
    let last = FILES / 10_000;
    for commit in 0..last {
        let files: Vec<Value> = (0..10_000).map(|file| wide_add(commit * 10_000 + file)).collect();
        foreign.commit(commit + 1, &files);
    }
    let (table, open) = measured("open", foreign.open()).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let (files, parse) = measured("statistics parsed", async {
        snapshot.files().await.expect("files")
    })
    .await;
    measured("bounds of all columns, first time", async {
        for column in 0..COLUMNS {
            files.min_values(&format!("column_{column}")).expect("bounds");
            files.max_values(&format!("column_{column}")).expect("bounds");
        }
    })
    .await;
    foreign.commit(last + 1, &[wide_add(FILES)]);
    let (next, refresh) = measured("refresh by one commit", async {
        table.snapshot().await.expect("snapshot")
    })
    .await;
    let (_, bounds) = measured("bounds of one column after it", async {
        let next = next.files().await.expect("files");
        next.min_values("column_0").expect("bounds")
    })
    .await;
    measured("checkpoint", async {
        table.checkpoint().await.expect("checkpoint")
    })
    .await;
    let (_, reopen) = measured("open from the checkpoint", foreign.open()).await;
    println!("  refresh / open: {:.5}", ratio(refresh, open));
    println!(
        "  bounds after a commit / parsing all: {:.5}",
        ratio(bounds, parse)
    );
    println!("  open from the checkpoint / open: {:.3}", ratio(reopen, open));
}

/// Times of equal shares of the work.
struct Steps {
    begun: Instant,
    took: Vec<Duration>,
}

impl Steps {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            took: Vec::new(),
        }
    }

    fn end(&mut self) {
        self.took.push(self.begun.elapsed());
        self.begun = Instant::now();
    }

    fn print(&self, step: i64) {
        for took in &self.took {
            println!("  {step} commits: {took:?}");
        }
        if let (Some(first), Some(last)) = (self.took.first(), self.took.last()) {
            println!("  last / first: {:.2}", ratio(*last, *first));
        }
    }
}

async fn measured<T>(what: &str, work: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    let done = work.await;
    let took = begun.elapsed();
    println!("  {what}: {took:?}, {} KiB resident", resident_kib());
    (done, took)
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    part.as_secs_f64() / whole.as_secs_f64()
}

fn wide_add(file: i64) -> Value {
    let bound = |column: usize, value: i64| match column % 4 {
        0 => json!(value),
        1 => json!(format!("value {value}")),
        2 => json!("2024-01-01T12:00:00.000Z"),
        _ => json!(value as f64 / 7.0),
    };
    let member = |value: &dyn Fn(usize) -> Value| -> Value {
        (0..COLUMNS)
            .map(|column| (format!("column_{column}"), value(column)))
            .collect()
    };
    let stats = json!({
        "numRecords": 1000,
        "minValues": member(&|column| bound(column, file)),
        "maxValues": member(&|column| bound(column, file + 1000)),
        "nullCount": member(&|_| json!(0)),
    });
    json!({"add": {
        "path": format!("part-{file:08}-c3a1e2f0.parquet"), "partitionValues": {}, "size": 1_000_000,
        "modificationTime": 1, "dataChange": true, "stats": stats.to_string(),
    }})
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
