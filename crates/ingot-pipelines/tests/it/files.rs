//! Files that land in a folder.

use std::time::Duration;

use rand::Rng;

use crate::support::{Lake, dice};

fn definition(lake: &Lake) -> String {
    format!(
        "CREATE OR REFRESH STREAMING TABLE numbers AS SELECT id, id * 2 AS twice\n\
         FROM STREAM read_files('{}', format => 'csv', header => true, schema => 'id BIGINT', maxFilesPerTrigger => 1)",
        lake.landing().display()
    )
}

fn expected(ids: std::ops::Range<i64>) -> Vec<String> {
    let mut rows: Vec<_> = ids.map(|id| format!("{id}|{}", id * 2)).collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_arrive_between_updates_are_read_once() {
    let lake = Lake::new().await;
    lake.define(&definition(&lake));
    lake.update().await.expect("no file yet");
    lake.land("a.csv", 0..3);
    lake.land("b [1] 100%.csv", 3..5);
    lake.land("_hidden.csv", 90..99);
    lake.update().await.expect("two files");
    assert_eq!(lake.rows("SELECT * FROM main.lake.numbers").await, expected(0..5));
    lake.update().await.expect("nothing new");
    lake.land("c.csv", 5..6);
    lake.update().await.expect("one file");
    assert_eq!(lake.rows("SELECT * FROM main.lake.numbers").await, expected(0..6));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_once_also_when_updates_are_dropped_midway() {
    let lake = Lake::new().await;
    let mut dice = dice();
    lake.define(&definition(&lake));
    // A name that an update reserved for a table and was killed over is free only after a minute.
    lake.update().await.expect("the table is made");
    let mut landed = 0;
    for round in 0..10 {
        for file in 0..dice.random_range(0..4) {
            let more = dice.random_range(1..5);
            lake.land(&format!("{round}-{file}.csv"), landed..landed + more);
            landed += more;
        }
        let moment = Duration::from_micros(dice.random_range(0..400_000));
        let _ = tokio::time::timeout(moment, lake.update()).await;
        lake.wait_for_release().await;
    }
    lake.update().await.expect("to the end");
    assert_eq!(
        lake.rows("SELECT * FROM main.lake.numbers").await,
        expected(0..landed)
    );
}
