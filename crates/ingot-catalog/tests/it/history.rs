//! The history of statements on a real SQLite file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ingot_catalog::{HistoryRetention, HistoryStore, history_file};
use ingot_common::clock;
use ingot_common::history::{
    HistoryFilter, StatementCounts, StatementRecord, StatementStatus, StatementTimes, user_id,
};
use test_case::test_case;
use uuid::Uuid;

use crate::folder;

const KEPT: HistoryRetention = HistoryRetention {
    days_max: 30,
    bytes_max: 64 << 20,
};

async fn open(directory: &Path) -> HistoryStore {
    HistoryStore::open(&history_file(directory))
        .await
        .expect("history")
}

fn record(number: u128, start_time: i64, executed_by: &str) -> StatementRecord {
    StatementRecord {
        statement_id: Uuid::from_u128(number),
        session_id: Some(Uuid::from_u128(1)),
        status: match number % 2 {
            0 => StatementStatus::Finished,
            _ => StatementStatus::Failed,
        },
        executed_by: executed_by.to_owned(),
        statement_text: format!("SELECT {number}"),
        statement_type: "SELECT".to_owned(),
        error_message: None,
        client_application: Some("test".to_owned()),
        client_driver: None,
        start_time,
        end_time: Some(start_time + 1),
        update_time: start_time + 1,
        times: StatementTimes::default(),
        counts: StatementCounts::default(),
        from_result_cache: false,
        query_tags: BTreeMap::from([("team".to_owned(), Some("a:b".to_owned()))]),
    }
}

fn numbers(records: &[StatementRecord]) -> Vec<u128> {
    records
        .iter()
        .map(|record| record.statement_id.as_u128())
        .collect()
}

/// Five statements of today, each a second after the one before; the odd ones are Bob's.
async fn filled(directory: &Path) -> (HistoryStore, i64) {
    let store = open(directory).await;
    let start = clock::now_ms();
    let records: Vec<_> = (0..5)
        .map(|number| {
            let user = if number % 2 == 0 { "ann" } else { "bob" };
            record(number, start + 1000 * i64::try_from(number).expect("small"), user)
        })
        .collect();
    store.append(&records).await.expect("kept");
    (store, start)
}

#[tokio::test]
async fn what_was_kept_is_there_for_another_process() {
    let folder = folder();
    let (store, start) = filled(folder.path()).await;
    let other = open(folder.path()).await;
    other.append(&[record(9, start - 1, "ann")]).await.expect("kept");
    for store in [store, other] {
        let all = store.list(&HistoryFilter::default()).await.expect("listed");
        assert_eq!(numbers(&all), [4, 3, 2, 1, 0, 9]);
        assert_eq!(all.last(), Some(&record(9, start - 1, "ann")));
    }
}

#[test_case(|_, filter| filter.user_ids = vec![user_id("bob")], &[3, 1]; "a user by number")]
#[test_case(|_, filter| filter.executed_by = Some("ann".to_owned()), &[4, 2, 0]; "a user by name")]
#[test_case(|_, filter| filter.statuses = vec![StatementStatus::Failed], &[3, 1]; "a status")]
#[test_case(|_, filter| filter.statement_ids = vec![Uuid::from_u128(2), Uuid::from_u128(7)], &[2]; "ids")]
#[test_case(|start, filter| (filter.started_from, filter.started_to) = (Some(start + 1000), Some(start + 3000)), &[3, 2, 1]; "times")]
#[test_case(|_, filter| filter.limit = Some(2), &[4, 3]; "a limit")]
#[test_case(|start, filter| { filter.after = Some(record(3, start + 3000, "").position()); filter.limit = Some(2) }, &[2, 1]; "a page")]
#[tokio::test]
async fn statements_are_chosen_as_the_filter_says(choose: fn(i64, &mut HistoryFilter), expected: &[u128]) {
    let folder = folder();
    let (store, start) = filled(folder.path()).await;
    let mut filter = HistoryFilter::default();
    choose(start, &mut filter);
    let listed = store.list(&filter).await.expect("listed");
    assert_eq!(numbers(&listed), expected);
    // What is in memory is chosen by the same rule.
    let all = store.list(&HistoryFilter::default()).await.expect("listed");
    let limit = filter.limit.unwrap_or(usize::MAX);
    let chosen: Vec<_> = all
        .into_iter()
        .filter(|record| filter.matches(record))
        .take(limit)
        .collect();
    assert_eq!(chosen, listed);
}

#[tokio::test]
async fn an_id_that_is_known_keeps_its_statement() {
    let folder = folder();
    let (store, start) = filled(folder.path()).await;
    store.append(&[record(4, start, "mallory")]).await.expect("left");
    let filter = HistoryFilter {
        executed_by: Some("mallory".to_owned()),
        ..HistoryFilter::default()
    };
    assert_eq!(store.list(&filter).await.expect("listed"), []);
}

#[tokio::test]
async fn what_is_old_goes() {
    let folder = folder();
    let (store, _) = filled(folder.path()).await;
    store.trim(KEPT).await.expect("trimmed");
    assert_eq!(
        store.list(&HistoryFilter::default()).await.expect("listed").len(),
        5
    );
    let later = Duration::from_secs(31 * 24 * 3600);
    clock::later(later, store.trim(KEPT)).await.expect("trimmed");
    assert_eq!(store.list(&HistoryFilter::default()).await.expect("listed"), []);
}

#[tokio::test]
async fn what_is_too_much_goes_the_oldest_first() {
    let folder = folder();
    let store = open(folder.path()).await;
    let start = clock::now_ms();
    let records: Vec<_> = (0..2000_u128)
        .map(|number| record(number, start + i64::try_from(number).expect("small"), "ann"))
        .collect();
    store.append(&records).await.expect("kept");
    let retention = HistoryRetention {
        bytes_max: 256 << 10,
        ..KEPT
    };
    store.trim(retention).await.expect("trimmed");
    let left = store.list(&HistoryFilter::default()).await.expect("listed");
    assert!((100..1000).contains(&left.len()), "{} are left", left.len());
    assert_eq!(
        left.first().map(|record| record.statement_id),
        Some(Uuid::from_u128(1999))
    );
    let newest: Vec<u128> = (2000 - left.len() as u128..2000).rev().collect();
    assert_eq!(numbers(&left), newest);
    // There is nothing to do the second time.
    store.trim(retention).await.expect("trimmed");
    assert_eq!(store.list(&HistoryFilter::default()).await.expect("listed"), left);
}

#[tokio::test]
async fn processes_that_write_at_once_lose_nothing() {
    let folder = folder();
    let start = clock::now_ms();
    let writers = (0..4_u128).map(|writer| {
        let path = folder.path().to_owned();
        async move {
            let store = open(&path).await;
            for number in 0..25 {
                let record = record(100 * writer + number, start, "ann");
                store.append(&[record]).await.expect("kept");
            }
        }
    });
    let [a, b, c, d] = writers.collect::<Vec<_>>().try_into().ok().expect("four");
    tokio::join!(a, b, c, d);
    let all = open(folder.path()).await.list(&HistoryFilter::default()).await;
    assert_eq!(all.expect("listed").len(), 100);
}
