//! Processes killed at random moments; the tables at the end must not show it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ingot::demo::report::{Check, gold_checks, row_checks};
use ingot::flights::Reference;
use ingot::kafka::Sender;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::harness::{
    Process, Sql, embedded_rows, eventually, example, ingot, only_value, pipeline_server_command, records,
    reference, seed,
};

/// Spread over the year, so that aircraft change their carriers among them.
const FLIGHTS: usize = 20_000;
const KILLS: u32 = 20;
/// Longest life of a process that will be killed.
const LIFE_MS_MAX: u64 = 4_000;

fn checks(reference: &Reference) -> Vec<Check> {
    assert!(
        reference.aircraft_that_changed_carrier() >= 3,
        "the sample shows histories"
    );
    let mut checks = row_checks(reference);
    checks.extend(gold_checks(reference));
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

/// Runs all checks as one statement: a process for each would take longer than the answers.
fn assert_all_hold(data_dir: &Path, checks: &[Check]) {
    let statements: Vec<_> = checks
        .iter()
        .enumerate()
        .map(|(number, check)| format!("SELECT CAST(({}) AS DOUBLE) AS c{number}", check.sql))
        .collect();
    let answers = embedded_rows(data_dir, &statements.join(";"));
    assert_eq!(answers.len(), checks.len());
    for (check, answer) in checks.iter().zip(answers) {
        let answer = only_value(&[answer]);
        assert!(
            check.holds(answer),
            "{}: {answer:?}, expected {}",
            check.question,
            check.expected
        );
    }
}

/// Returns the rows of every table of the three layers, sorted. Left out are the pipeline's event log, which tells of
/// the updates, and the columns that `ignored` names.
fn layers(data_dir: &Path, ignored: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut layers = BTreeMap::new();
    for schema in ["bronze", "silver", "gold"] {
        for table in embedded_rows(data_dir, &format!("SHOW TABLES IN main.{schema}")) {
            let name = table["tableName"].as_str().expect("a name");
            if name.starts_with("event_log") || name.starts_with("__") {
                continue;
            }
            let table = format!("main.{schema}.{name}");
            let mut rows: Vec<_> = embedded_rows(data_dir, &format!("SELECT * FROM {table}"))
                .into_iter()
                .map(|row| without(row, ignored))
                .collect();
            rows.sort_unstable();
            layers.insert(table, rows);
        }
    }
    layers
}

fn without(row: Value, ignored: &[&str]) -> String {
    let Value::Object(mut columns) = row else {
        panic!("a row is an object: {row}");
    };
    columns.retain(|name, _| !ignored.contains(&name.as_str()));
    Value::Object(columns).to_string()
}

/// Compares every row of every table.
fn assert_same_layers(killed: &BTreeMap<String, Vec<String>>, left_alone: &BTreeMap<String, Vec<String>>) {
    let names = |layers: &BTreeMap<String, Vec<String>>| layers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(killed), names(left_alone));
    assert!(killed.len() >= 13, "all tables are compared: {:?}", names(killed));
    for (table, expected) in left_alone {
        let found = &killed[table];
        let differing = found.iter().zip(expected).find(|(ours, theirs)| ours != theirs);
        assert_eq!(differing, None, "{table}");
        assert_eq!(found.len(), expected.len(), "{table}");
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

/// Brings the example's datasets up to date once.
fn update(data_dir: &Path, kafka: &str) {
    let mut command = ingot();
    command.args(["pipeline", "run"]).arg(example());
    command.arg("--data-dir").arg(data_dir);
    command.args(["--set", &format!("bootstrap_servers={kafka}")]);
    let output = command
        .args(["--set", "topic=flights"])
        .output()
        .expect("ingot pipeline run");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
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

    let left_alone = tempfile::tempdir().expect("tempdir");
    update(left_alone.path(), &kafka);
    // The moment at which a record was taken in is the only thing that may differ.
    let ignored = ["ingested_at"];
    assert_same_layers(
        &layers(data_dir.path(), &ignored),
        &layers(left_alone.path(), &ignored),
    );
}

/// Returns the command of a demo with fewer flights.
fn demo(data_dir: &Path, kafka: Option<&str>) -> Command {
    let mut command = ingot();
    command.args(["demo", "--limit", &FLIGHTS.to_string()]);
    command.arg("--data-dir").arg(data_dir);
    command.arg("--project").arg(example());
    if let Some(kafka) = kafka {
        command.args(["--bootstrap-servers", kafka]);
    }
    command
}

fn assert_demo_succeeds(data_dir: &Path, kafka: Option<&str>) -> String {
    let output = demo(data_dir, kafka).output().expect("demo");
    let text = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{log}");
    text.into_owned()
}

/// Starts demos and kills each at a random moment.
async fn kill_demos(data_dir: &Path, kafka: Option<&str>, kills: u32) {
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..kills {
        let mut process = Process::spawn(&mut demo(data_dir, kafka));
        tokio::time::sleep(Duration::from_millis(random.random_range(200..8_000))).await;
        process.kill().expect("kill");
        process.wait().expect("wait");
    }
}

/// Columns that tell when a record came: the records of an embedded broker are sent anew by each demo.
const TIMES: [&str; 3] = ["timestamp", "sent_at", "ingested_at"];

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_killed_at_random_ends_right_and_again_changes_nothing() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    kill_demos(data_dir.path(), None, 4).await;
    let checks = checks(&reference(&records(FLIGHTS)));
    assert_demo_succeeds(data_dir.path(), None);
    assert_all_hold(data_dir.path(), &checks);
    let first = layers(data_dir.path(), &[]);
    assert_demo_succeeds(data_dir.path(), None);
    assert_same_layers(&layers(data_dir.path(), &[]), &first);

    let left_alone = tempfile::tempdir().expect("tempdir");
    assert_demo_succeeds(left_alone.path(), None);
    assert_same_layers(
        &layers(data_dir.path(), &TIMES),
        &layers(left_alone.path(), &TIMES),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_on_a_broker_of_its_own_is_resumed_also_after_the_broker_lost_all() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let checks = checks(&reference(&records(FLIGHTS)));
    let broker = Process::broker(&[]);
    let kafka = broker.address("kafka").to_owned();
    kill_demos(data_dir.path(), Some(&kafka), 2).await;
    assert_demo_succeeds(data_dir.path(), Some(&kafka));
    assert_all_hold(data_dir.path(), &checks);
    let first = layers(data_dir.path(), &[]);
    drop(broker);

    let empty = Process::broker(&[]);
    let text = assert_demo_succeeds(data_dir.path(), Some(empty.address("kafka")));
    assert!(text.contains("the broker holds only 0 of them"), "{text}");
    assert_same_layers(&layers(data_dir.path(), &[]), &first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_cannot_use_a_topic_leaves_the_directory_free() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let broker = Process::broker(&["flights:4"]);
    let kafka = broker.address("kafka").to_owned();
    let sender = Sender::connect(&kafka, "flights").expect("sender");
    sender.send(2, b"key", b"somebody else's").expect("send");
    sender.finish().expect("confirmed");

    let refused = demo(data_dir.path(), Some(&kafka)).output().expect("demo");
    let log = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{log}");
    assert!(
        log.contains("record 0 in partition 2 of topic `flights` is not the demo's"),
        "{log}"
    );

    let mut other = demo(data_dir.path(), Some(&kafka));
    let output = other.args(["--topic", "other"]).output().expect("demo");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
}
