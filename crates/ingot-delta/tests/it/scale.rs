//! The sizes that the crate is designed for. Ignored: they measure, and are run by hand in release mode.

use std::time::Instant;

use ingot_delta::{CommitOutcome, Operation};
use serde_json::{Value, json};

use crate::foreign::{ForeignTable, add, metadata, protocol};

/// One handle that sees every commit: the last must cost what the first did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn ten_thousand_commits_on_one_handle() {
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    let mut begun = Instant::now();
    for version in 1..=10_000 {
        let files: Vec<Value> = (0..10)
            .map(|file| add(&format!("f{version}-{file}"), None, version))
            .collect();
        foreign.commit(version, &files);
        let snapshot = table.snapshot().await.expect("snapshot");
        assert_eq!(snapshot.version(), version);
        if version % 10 == 0 {
            assert_eq!(snapshot.files().await.expect("files").len() as i64, version * 10);
        }
        if version % 1_000 == 0 {
            println!(
                "{version}: {:?} per 1,000, {} KiB",
                begun.elapsed(),
                resident_kib()
            );
            begun = Instant::now();
        }
    }
    let begun = Instant::now();
    table.checkpoint().await.expect("checkpoint");
    println!(
        "checkpoint of 100,000 files: {:?}, {} KiB",
        begun.elapsed(),
        resident_kib()
    );
    let begun = Instant::now();
    foreign.open().await;
    println!(
        "open from the checkpoint: {:?}, {} KiB",
        begun.elapsed(),
        resident_kib()
    );
}

/// Commits of one writer, checkpoints and syncs included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn five_thousand_blind_appends() {
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    let mut begun = Instant::now();
    for number in 1..=5_000 {
        let read = table.snapshot().await.expect("snapshot");
        let mut transaction = table.transaction(read, Operation::new("WRITE"));
        let file = add(&format!("f{number}"), None, number);
        transaction.add_files([serde_json::from_value(file["add"].clone()).expect("add")]);
        let outcome = transaction.commit().await.expect("commit");
        assert!(matches!(outcome, CommitOutcome::Committed { version, .. } if version == number));
        if number % 500 == 0 {
            println!("{number}: {:?} per 500, {} KiB", begun.elapsed(), resident_kib());
            begun = Instant::now();
        }
    }
}

/// 200,000 files with statistics of 32 columns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn two_hundred_thousand_files_with_wide_statistics() {
    const COLUMNS: usize = 32;
    let fields: Vec<Value> = (0..COLUMNS)
        .map(|column| {
            let data_type = ["long", "string", "timestamp", "double"][column % 4];
            json!({"name": format!("column_{column}"), "type": data_type, "nullable": true, "metadata": {}})
        })
        .collect();
    let foreign = ForeignTable::new(&[protocol(1, 2), metadata("t", &json!(fields), &[], json!({}))]);
    for commit in 0..20 {
        let files: Vec<Value> = (0..10_000)
            .map(|file| wide_add(commit * 10_000 + file, COLUMNS))
            .collect();
        foreign.commit(commit + 1, &files);
    }
    println!("written, {} KiB", resident_kib());
    let begun = Instant::now();
    let table = foreign.open().await;
    println!("open: {:?}, {} KiB", begun.elapsed(), resident_kib());
    let snapshot = table.snapshot().await.expect("snapshot");
    let begun = Instant::now();
    let files = snapshot.files().await.expect("files");
    println!("statistics parsed: {:?}, {} KiB", begun.elapsed(), resident_kib());
    let begun = Instant::now();
    for column in 0..COLUMNS {
        files.min_values(&format!("column_{column}")).expect("bounds");
        files.max_values(&format!("column_{column}")).expect("bounds");
    }
    println!("bounds of all columns, first time: {:?}", begun.elapsed());
    let begun = Instant::now();
    files.min_values("column_0").expect("bounds");
    println!("bounds of one column, warm: {:?}", begun.elapsed());
    foreign.commit(21, &[wide_add(200_000, COLUMNS)]);
    let begun = Instant::now();
    let next = table.snapshot().await.expect("snapshot");
    println!("refresh by one commit: {:?}", begun.elapsed());
    let begun = Instant::now();
    let next = next.files().await.expect("files");
    next.min_values("column_0").expect("bounds");
    println!("bounds of one column after it: {:?}", begun.elapsed());
    let begun = Instant::now();
    table.checkpoint().await.expect("checkpoint");
    println!("checkpoint: {:?}, {} KiB", begun.elapsed(), resident_kib());
    let begun = Instant::now();
    foreign.open().await;
    println!(
        "open from the checkpoint: {:?}, {} KiB",
        begun.elapsed(),
        resident_kib()
    );
}

fn wide_add(file: i64, columns: usize) -> Value {
    let bound = |column: usize, value: i64| match column % 4 {
        0 => json!(value),
        1 => json!(format!("value {value}")),
        2 => json!("2024-01-01T12:00:00.000Z"),
        _ => json!(value as f64 / 7.0),
    };
    let member = |value: &dyn Fn(usize) -> Value| -> Value {
        (0..columns)
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
