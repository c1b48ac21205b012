//! AUTO CDC: whatever the order of changes and however they are cut into batches, the result is that of a fold.

use std::collections::BTreeMap;

use rand::Rng;
use rand::seq::SliceRandom;

use crate::support::{Lake, dice};

/// A change as the source has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    key: Option<i64>,
    value: Option<String>,
    sequence: Option<i64>,
    gone: Option<bool>,
}

impl Change {
    fn deletes(&self) -> bool {
        self.gone == Some(true)
    }

    fn sql(&self) -> String {
        let number = |value: Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
        let text = self
            .value
            .as_ref()
            .map_or("NULL".to_owned(), |value| format!("'{value}'"));
        let gone = self.gone.map_or("NULL".to_owned(), |gone| gone.to_string());
        format!(
            "({}, {text}, {}, {gone})",
            number(self.key),
            number(self.sequence)
        )
    }
}

fn shown(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}

/// The changes of each key that have a place.
fn by_key(changes: &[Change]) -> BTreeMap<i64, Vec<(i64, &Change)>> {
    let mut keys = BTreeMap::<_, Vec<_>>::new();
    for change in changes {
        if let (Some(key), Some(sequence)) = (change.key, change.sequence) {
            keys.entry(key).or_default().push((sequence, change));
        }
    }
    keys
}

fn newest(changes: &[Change], deletions: bool) -> Vec<String> {
    let mut rows = Vec::new();
    for (key, changes) in by_key(changes) {
        let order =
            |change: &&(i64, &Change)| (change.0, deletions && change.1.deletes(), change.1.value.clone());
        let (sequence, change) = changes.iter().max_by_key(order).expect("one at least");
        if !(deletions && change.deletes()) {
            rows.push(format!("{key}|{}|{sequence}", shown(change.value.as_ref())));
        }
    }
    rows.sort();
    rows
}

fn history(changes: &[Change]) -> Vec<String> {
    let mut rows = Vec::new();
    for (key, mut changes) in by_key(changes) {
        // Of those with equal sequences the one that counts is the last, and stays.
        changes.sort_by_key(|(sequence, change)| (*sequence, change.deletes(), change.value.clone()));
        let mut counting: Vec<(i64, &Change)> = Vec::new();
        for (sequence, change) in changes {
            counting.pop_if(|(last, _)| *last == sequence);
            counting.push((sequence, change));
        }
        // Start, sequence of the last change, and what is the same in the run.
        let mut runs: Vec<(i64, i64, &Change)> = Vec::new();
        for (sequence, change) in counting {
            match runs.last_mut() {
                Some((_, last, of)) if of.deletes() == change.deletes() && of.value == change.value => {
                    *last = sequence
                }
                _ => runs.push((sequence, sequence, change)),
            }
        }
        for (number, (start, last, change)) in runs.iter().enumerate() {
            let end = runs
                .get(number + 1)
                .map_or(String::new(), |next| next.0.to_string());
            if !change.deletes() {
                rows.push(format!(
                    "{key}|{}|{last}|{start}|{end}",
                    shown(change.value.as_ref())
                ));
            }
        }
    }
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn scd1_and_scd2_are_the_same_for_every_order_and_cut() {
    let mut dice = dice();
    let mut changes: Vec<Change> = (0..60)
        .map(|_| Change {
            key: dice.random_bool(0.95).then(|| dice.random_range(0..5)),
            value: dice
                .random_bool(0.9)
                .then(|| ["a", "b", "c"][dice.random_range(0..3)].to_owned()),
            sequence: dice.random_bool(0.9).then(|| dice.random_range(0..12)),
            gone: dice.random_bool(0.9).then(|| dice.random_bool(0.3)),
        })
        .collect();
    for permutation in 0..3 {
        changes.shuffle(&mut dice);
        let lake = Lake::new().await;
        lake.run("CREATE TABLE main.raw.changes (key BIGINT, value STRING, sequence BIGINT, gone BOOLEAN)")
            .await;
        let flow = |name: &str, clauses: &str| {
            format!(
                "CREATE OR REFRESH STREAMING TABLE {name}; CREATE FLOW flow_{name} AS AUTO CDC INTO {name}\n\
                 FROM STREAM raw.changes KEYS (key) {clauses};"
            )
        };
        let delete = "APPLY AS DELETE WHEN gone SEQUENCE BY sequence COLUMNS * EXCEPT (gone)";
        lake.define(
            &[
                flow("kept", "SEQUENCE BY sequence COLUMNS * EXCEPT (gone)"),
                flow("current", delete),
                flow("history", &format!("{delete} STORED AS SCD TYPE 2")),
            ]
            .concat(),
        );
        let mut rest = changes.as_slice();
        let mut seen = 0;
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(dice.random_range(1..=rest.len().min(25)));
            let values: Vec<_> = batch.iter().map(Change::sql).collect();
            lake.run(&format!(
                "INSERT INTO main.raw.changes VALUES {}",
                values.join(", ")
            ))
            .await;
            (rest, seen) = (later, seen + batch.len());
            if dice.random_bool(0.2) {
                continue;
            }
            lake.update().await.expect("update");
            let so_far = &changes[..seen];
            let told = format!("permutation {permutation}, {seen} changes: {so_far:?}");
            let kept = lake.rows("SELECT key, value, sequence FROM main.lake.kept").await;
            assert_eq!(kept, newest(so_far, false), "without deletions; {told}");
            let current = lake
                .rows("SELECT key, value, sequence FROM main.lake.current")
                .await;
            assert_eq!(current, newest(so_far, true), "with deletions; {told}");
            let columns = "key, value, sequence, `__START_AT`, `__END_AT`";
            let rows = lake
                .rows(&format!("SELECT {columns} FROM main.lake.history"))
                .await;
            assert_eq!(rows, history(so_far), "history; {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_change_does_not_bring_back_what_was_deleted_since() {
    let lake = Lake::new().await;
    lake.run("CREATE TABLE main.raw.changes (key BIGINT, value STRING, sequence BIGINT, gone BOOLEAN)")
        .await;
    lake.define(
        "CREATE OR REFRESH STREAMING TABLE current;\n\
         CREATE FLOW f AS AUTO CDC INTO current FROM STREAM raw.changes KEYS (key) APPLY AS DELETE WHEN gone\n\
         SEQUENCE BY sequence COLUMNS * EXCEPT (gone)",
    );
    for (change, expected) in [
        ("(1, 'a', 1, false)", &["1|a|1"][..]),
        ("(1, 'a', 5, true)", &[]),
        ("(1, 'late', 3, false)", &[]),
        ("(1, 'no sequence', NULL, false), (NULL, 'no key', 9, false)", &[]),
        ("(NULL, 'no key', 9, false)", &[]),
        ("(1, 'new', 6, false)", &["1|new|6"]),
    ] {
        lake.run(&format!("INSERT INTO main.raw.changes VALUES {change}"))
            .await;
        lake.update().await.expect("update");
        let rows = lake
            .rows("SELECT key, value, sequence FROM main.lake.current")
            .await;
        assert_eq!(rows, expected, "after {change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_is_streamed_by_its_changes() {
    let lake = Lake::new().await;
    lake.run(
        "CREATE TABLE main.raw.t (id BIGINT, v STRING) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
    )
    .await;
    lake.run("INSERT INTO main.raw.t VALUES (1, 'a'), (2, 'b')").await;
    lake.define(
        "CREATE OR REFRESH STREAMING TABLE changes AS\n\
         SELECT _commit_version AS version, _change_type AS kind, id, v FROM STREAM raw.t WITH (readChangeFeed = true)",
    );
    let mut expected = vec!["1|insert|1|a", "1|insert|2|b"];
    for (change, more) in [
        (None, &[][..]),
        (Some("DELETE FROM main.raw.t WHERE id = 1"), &["2|delete|1|a"]),
        (
            Some("UPDATE main.raw.t SET v = 'x' WHERE id = 2"),
            &["3|update_postimage|2|x", "3|update_preimage|2|b"],
        ),
    ] {
        if let Some(change) = change {
            lake.run(change).await;
        }
        lake.update().await.expect("update");
        expected.extend(more);
        let rows = lake
            .rows("SELECT version, kind, id, v FROM main.lake.changes")
            .await;
        assert_eq!(rows, expected, "after {change:?}");
    }
}
