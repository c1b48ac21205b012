//! A broker that goes away, and a topic that grows.

use std::time::Duration;

use ingot::demo::report::row_checks;
use ingot::kafka::{Topic, ensure_topic, grow_topic};

use crate::harness::{
    Process, Sql, eventually, ingot, only_value, pipeline_server_command, records, reference, send,
};
use crate::proxy::Proxy;

const FLIGHTS: usize = 2_000;
/// Longer than any single request of a client, so that the source meets the outage again and again.
const OUTAGE: Duration = Duration::from_secs(30);

async fn bronze_rows(sql: &Sql) -> f64 {
    match sql.rows("SELECT count(*) FROM main.bronze.flights_raw").await {
        Ok(rows) => only_value(&rows).unwrap_or_default(),
        Err(_) => 0.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
async fn bronze_reaches(sql: &Sql, rows: usize) {
    eventually("bronze holds the records", async || {
        bronze_rows(sql).await >= rows as f64
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_back_costs_no_record() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let proxy = Proxy::listen();
    let advertised = proxy.address.to_string();
    let broker = Process::start(ingot().args(["broker", "--advertise", &advertised]));
    proxy.target(broker.address("kafka").parse().expect("address"));
    let topic: Topic = "flights:4".parse().expect("topic");
    ensure_topic(&advertised, &topic).await.expect("topic");

    let records = records(FLIGHTS);
    let (early, late) = records.split_at(records.len() / 2);
    send(&advertised, early);
    let server = Process::start(&mut pipeline_server_command(data_dir.path(), &advertised));
    let sql = server.client();
    bronze_reaches(&sql, early.len()).await;

    proxy.cut();
    tokio::time::sleep(OUTAGE).await;
    assert!(
        sql.rows("SELECT 1").await.is_ok(),
        "the server answers during the outage"
    );
    proxy.mend();
    send(&advertised, late);
    bronze_reaches(&sql, records.len()).await;
    for check in row_checks(&reference(&records)) {
        eventually(&check.question, async || {
            let rows = sql.rows(&check.sql).await;
            rows.is_ok_and(|rows| check.holds(only_value(&rows)))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_added_later_is_read_from_its_start() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let broker = Process::broker(&["flights:4"]);
    let kafka = broker.address("kafka").to_owned();
    let mut records = records(FLIGHTS);
    let (early, late) = records.split_at_mut(FLIGHTS / 2);
    send(&kafka, early);
    let server = Process::start(&mut pipeline_server_command(data_dir.path(), &kafka));
    let sql = server.client();
    bronze_reaches(&sql, early.len()).await;

    let grown: Topic = "flights:5".parse().expect("topic");
    grow_topic(&kafka, &grown).await.expect("grow");
    for record in &mut *late {
        record.partition = 4;
    }
    send(&kafka, late);
    bronze_reaches(&sql, records.len()).await;
    for check in row_checks(&reference(&records)) {
        eventually(&check.question, async || {
            let rows = sql.rows(&check.sql).await;
            rows.is_ok_and(|rows| check.holds(only_value(&rows)))
        })
        .await;
    }
}
