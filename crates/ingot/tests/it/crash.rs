//! Processes killed at random moments; the tables at the end must not show it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ingot::demo::report::{Check, gold_checks, row_checks};
use ingot::flights::Reference;
use ingot::kafka::Sender;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::{
    Process, Sql, embedded, eventually, example, ingot, only_value, pipeline_server_command, records,
    reference, seed,
};

const FLIGHTS: usize = 20_000;
const KILLS: u32 = 20;
/// Longest life of a process that will be killed.
const LIFE_MS_MAX: u64 = 4_000;

fn checks(reference: &Reference) -> Vec<Check> {
    let mut checks = row_checks(reference);
    checks.extend(gold_checks(reference, false));
    checks
}

/// Says whether every check holds; `false`, too, while tables are missing.
async fn all_hold(sql: &Sql, checks: &[Check]) -> bool {
    for check in checks {
        match sql.rows(&check.sql).await {
            Ok(rows) if check.holds(only_value(&rows)) => {}
            Ok(_) | Err(_) => return false,
        }
    }
    true
}

fn assert_all_hold(data_dir: &Path, checks: &[Check]) {
    for check in checks {
        let output = embedded(data_dir, "json", &check.sql);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", check.question);
        let text = String::from_utf8_lossy(&output.stdout);
        let rows: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert!(
            check.holds(only_value(&rows)),
            "{}: {text}, expected {}",
            check.question,
            check.expected
        );
    }
}

/// Every partition's offsets are there from 0 on, each once.
async fn assert_offsets_are_contiguous(sql: &Sql, reference: &Reference) {
    let rows = sql
        .rows(
            "SELECT partition, count(*) AS n, count(DISTINCT offset) AS d, min(offset) AS first, max(offset) AS last \
             FROM main.bronze.flights_raw GROUP BY partition ORDER BY partition",
        )
        .await
        .expect("offsets");
    let found: Vec<_> = rows
        .iter()
        .map(|row| ["partition", "n", "d", "first", "last"].map(|name| row[name].as_i64().expect("number")))
        .collect();
    let expected: Vec<_> = reference
        .records
        .iter()
        .map(|(partition, count)| [i64::from(*partition), *count, *count, 0, count - 1])
        .collect();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_twenty_times_ends_with_the_same_rows() {
    let mut random = StdRng::seed_from_u64(seed());
    let data_dir = tempfile::tempdir().expect("tempdir");
    let broker = Process::broker(&["flights:4"]);
    let kafka = broker.address("kafka").to_owned();
    let records = records(FLIGHTS);
    let reference = reference(&records);

    let address = kafka.clone();
    let producer = std::thread::spawn(move || {
        // Records keep coming over the lives of all processes.
        let pause = Duration::from_millis(u64::from(KILLS) * LIFE_MS_MAX / 2 / 200);
        let sender = Sender::connect(&address, "flights").expect("sender");
        for chunk in records.chunks(records.len().div_ceil(200)) {
            for record in chunk {
                sender
                    .send(record.partition, &record.key, &record.value)
                    .expect("send");
            }
            std::thread::sleep(pause);
        }
        sender.finish().expect("confirmed")
    });
    for _ in 0..KILLS {
        let mut process = Process::spawn(&mut pipeline_server_command(data_dir.path(), &kafka));
        tokio::time::sleep(Duration::from_millis(random.random_range(50..LIFE_MS_MAX))).await;
        process.kill().expect("kill");
        process.wait().expect("wait");
    }
    producer.join().expect("producer");

    let server = Process::start(&mut pipeline_server_command(data_dir.path(), &kafka));
    let sql = server.client();
    let checks = checks(&reference);
    eventually("all answers are right", || all_hold(&sql, &checks)).await;
    assert_offsets_are_contiguous(&sql, &reference).await;
    assert!(server.terminate());
    assert_all_hold(data_dir.path(), &checks);
}

fn demo(data_dir: &Path) -> Command {
    let mut command = ingot();
    command.args(["demo", "--limit", &FLIGHTS.to_string()]);
    command
        .arg("--data-dir")
        .arg(data_dir)
        .arg("--project")
        .arg(example());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_killed_at_random_ends_right_and_again_changes_nothing() {
    let mut random = StdRng::seed_from_u64(seed());
    let data_dir = tempfile::tempdir().expect("tempdir");
    for _ in 0..4 {
        let mut process = Process::spawn(&mut demo(data_dir.path()));
        tokio::time::sleep(Duration::from_millis(random.random_range(200..8_000))).await;
        process.kill().expect("kill");
        process.wait().expect("wait");
    }
    let reference = reference(&records(FLIGHTS));
    for _ in 0..2 {
        let output = demo(data_dir.path()).output().expect("demo");
        let text = String::from_utf8_lossy(&output.stdout);
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}\n{log}");
        assert_all_hold(data_dir.path(), &checks(&reference));
    }
}
