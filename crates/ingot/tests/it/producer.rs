//! The demo's records, sent to a real broker.

use std::sync::atomic::AtomicU64;

use ingot::demo::plan::BrokerKind;
use ingot::demo::producer::{Production, reference};
use ingot::kafka::{Topic, watermarks};
use tokio_util::sync::CancellationToken;

use crate::harness::{Process, example, records, send};

const FLIGHTS: usize = 3_000;

#[test]
fn sending_goes_on_after_what_a_topic_holds() {
    let broker = Process::broker(&["flights:4"]);
    let kafka = broker.address("kafka").to_owned();
    let topic: Topic = "flights:4".parse().expect("topic");
    let flights = example().join("data/flights.parquet");
    let reference = reference(&flights, Some(FLIGHTS), 4).expect("reference");

    let earlier = &records(FLIGHTS)[..1_234];
    send(&kafka, earlier);
    let held = next_offsets(&kafka, &topic);
    assert_eq!(held.iter().sum::<i64>(), 1_234);

    let mut production = Production {
        flights,
        limit: Some(FLIGHTS),
        bootstrap_servers: kafka.clone(),
        topic: topic.clone(),
        skip: held.clone(),
    };
    production.check_held(&held).expect("the records are the demo's");
    let sent = production
        .run(&AtomicU64::new(0), &CancellationToken::new())
        .expect("sent");
    let expected: Vec<i64> = reference.records.values().copied().collect();
    assert_eq!(
        i64::try_from(sent).expect("small"),
        reference.record_count() - 1_234
    );
    assert_eq!(next_offsets(&kafka, &topic), expected);
    let state = production
        .topic_state(BrokerKind::External, &reference)
        .expect("state");
    assert_eq!(state.next, state.expected);

    // The same topic is no other demo's.
    production.limit = Some(FLIGHTS * 2);
    let error = production.check_held(&held).expect_err("other flights");
    assert!(error.to_string().contains("is not the demo's"), "{error}");
}

fn next_offsets(kafka: &str, topic: &Topic) -> Vec<i64> {
    let watermarks = watermarks(kafka, topic).expect("watermarks");
    watermarks.into_iter().map(|(_, next)| next).collect()
}

#[test]
fn the_whole_year_has_the_known_means() {
    let flights = example().join("data/flights.parquet");
    let reference = reference(&flights, None, 4).expect("reference");
    assert_eq!(reference.flights, 336_776);
    assert_eq!(reference.departure_delay.value(), Some(12.639_070_257_304_708));
    assert_eq!(reference.arrival_delay.value(), Some(6.895_376_757_314_89));
    assert_eq!(reference.aircraft.len(), 4_043);
    assert_eq!(reference.aircraft_that_changed_carrier(), 17);
    assert_eq!(reference.aircraft_history_rows(), 4_060);
    assert_eq!(reference.carriers.len(), 16);
    assert_eq!(reference.airport_months.len(), 36);
    assert_eq!(reference.duplicates, 3_368);
    assert_eq!(reference.malformed, 336);
}
