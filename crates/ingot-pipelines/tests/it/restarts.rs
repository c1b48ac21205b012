//! Updates that are killed, and state that is lost.

use std::fs;
use std::time::Duration;

use ingot_common::{Classify, Kind};
use ingot_pipelines::{Mode, PipelineEvent, UpdateHandle, run_update};
use rand::Rng;
use tokio_util::sync::CancellationToken;

use crate::support::{Lake, dice};

fn definition(lake: &Lake) -> String {
    format!(
        "CREATE OR REFRESH STREAMING TABLE numbers (\n\
           CONSTRAINT odd EXPECT (id % 2 = 1),\n\
           CONSTRAINT no_third EXPECT (id % 3 <> 0) ON VIOLATION DROP ROW\n\
         ) AS SELECT id FROM STREAM read_files('{}', format => 'csv', header => true, schema => 'id BIGINT',\n\
           maxFilesPerTrigger => 1);\n\
         CREATE OR REFRESH MATERIALIZED VIEW summary (CONSTRAINT some EXPECT (n > 0))\n\
         AS SELECT count(*) AS n, sum(id) AS total FROM numbers;\n\
         CREATE OR REFRESH STREAMING TABLE latest;\n\
         CREATE FLOW f AS AUTO CDC INTO latest FROM STREAM(numbers) KEYS (id) SEQUENCE BY id",
        lake.landing().display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_update_counts_each_row_and_each_expectation_once() {
    let lake = Lake::new().await;
    let mut dice = dice();
    lake.define(&definition(&lake));
    // A name that an update reserved for a table and was killed over is free only after a minute.
    lake.update().await.expect("the tables are made");
    let mut landed = 0_i64;
    for round in 0..12 {
        for file in 0..dice.random_range(0..3) {
            let more = dice.random_range(1..20);
            lake.land(&format!("{round}-{file}.csv"), landed..landed + more);
            landed += more;
        }
        let moment = Duration::from_micros(dice.random_range(0..500_000));
        let _ = tokio::time::timeout(moment, lake.update()).await;
        lake.wait_for_release().await;
    }
    lake.update().await.expect("to the end");
    let count = |wanted: &dyn Fn(i64) -> bool| (0..landed).filter(|id| wanted(*id)).count() as u64;
    let kept = count(&|id| id % 3 != 0);
    let ids = lake.rows("SELECT id FROM main.lake.numbers").await;
    assert_eq!(ids.len() as u64, kept);
    let (rows_in, rows_out, expectations) = lake.counted("numbers").await;
    assert_eq!((rows_in, rows_out), (landed as u64, kept));
    let odd = count(&|id| id % 2 == 1);
    assert_eq!(expectations["odd"], (odd, landed as u64 - odd));
    assert_eq!(expectations["no_third"], (kept, landed as u64 - kept));
    let (rows_in, rows_out, _) = lake.counted("latest").await;
    assert_eq!((rows_in, rows_out), (kept, kept), "of the flow of changes");
    // A view counts once for each time that it was computed.
    let (computed, _, expectations) = lake.counted("summary").await;
    let changes = lake.version("summary").await;
    assert_eq!(
        (computed, expectations["some"].0 + expectations["some"].1),
        (changes as u64, changes as u64)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_in_the_event_log() {
    let lake = Lake::new().await;
    lake.define(&definition(&lake));
    lake.land("a.csv", 0..10);
    lake.update().await.expect("update");
    let events = lake.events("flow_progress", "numbers").await;
    let [event] = events.as_slice() else {
        panic!("one batch: {events:?}")
    };
    assert_eq!(event["batch_id"], 0);
    let progress = &event["progress"];
    assert_eq!(progress["name"], "main.lake.numbers");
    assert_eq!(progress["numInputRows"], 10);
    assert_eq!(progress["sink"]["numOutputRows"], 6);
    assert_eq!(progress["sources"][0]["endOffset"]["logOffset"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_checkpoint_is_refused_and_doubles_nothing() {
    let lake = Lake::new().await;
    lake.define(&definition(&lake));
    lake.land("a.csv", 0..10);
    lake.update().await.expect("update");
    let rows = lake.rows("SELECT id FROM main.lake.numbers").await;
    fs::remove_dir_all(lake.state()).expect("deleted");
    let error = lake.update().await.expect_err("the table knows its query");
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    assert!(error.to_string().contains("drop the sink's table"), "{error}");
    assert_eq!(lake.rows("SELECT id FROM main.lake.numbers").await, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_table_starts_over() {
    let lake = Lake::new().await;
    lake.define(&definition(&lake));
    lake.land("a.csv", 0..10);
    lake.update().await.expect("update");
    let rows = lake.rows("SELECT id FROM main.lake.latest").await;
    lake.run("DROP TABLE main.lake.latest").await;
    lake.run("DROP TABLE main.lake.numbers").await;
    lake.update().await.expect("from the beginning");
    assert_eq!(lake.rows("SELECT id FROM main.lake.latest").await, rows);
    assert_eq!(lake.rows("SELECT id FROM main.lake.numbers").await, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_updates_on_one_state_double_nothing() {
    let lake = Lake::new().await;
    lake.define(&definition(&lake));
    for round in 0..4 {
        lake.land(&format!("{round}.csv"), round * 10..round * 10 + 10);
        let (one, other) = tokio::join!(lake.update(), lake.update());
        for outcome in [&one, &other] {
            if let Err(error) = outcome {
                assert_eq!(error.kind(), Kind::FailedPrecondition, "{error}");
            }
        }
        assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
    }
    lake.update().await.expect("alone");
    let kept = (0..40).filter(|id| id % 3 != 0).count();
    assert_eq!(lake.rows("SELECT id FROM main.lake.numbers").await.len(), kept);
    assert_eq!(lake.rows("SELECT id FROM main.lake.latest").await.len(), kept);
    assert_eq!(lake.counted("numbers").await.0, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_that_fails_does_not_stop_the_others() {
    let lake = Lake::new().await;
    lake.run("CREATE TABLE main.raw.numbers (id BIGINT)").await;
    lake.run("INSERT INTO main.raw.numbers VALUES (1)").await;
    lake.define(
        "CREATE OR REFRESH STREAMING TABLE picky (CONSTRAINT never EXPECT (id > 1) ON VIOLATION FAIL UPDATE)\n\
         AS SELECT id FROM STREAM raw.numbers;\n\
         CREATE OR REFRESH STREAMING TABLE easy AS SELECT id FROM STREAM raw.numbers;\n\
         CREATE OR REFRESH MATERIALIZED VIEW broken (CONSTRAINT never EXPECT (n > 1000) ON VIOLATION FAIL UPDATE)\n\
         AS SELECT count(*) AS n FROM raw.numbers;\n\
         CREATE OR REFRESH MATERIALIZED VIEW whole AS SELECT count(*) AS n FROM easy",
    );
    let (handle, mut events) = UpdateHandle::new();
    let project = lake.project("p").expect("project");
    let (token, state) = (CancellationToken::new(), lake.state());
    let update = run_update(
        &lake.engine,
        &project,
        &state,
        Mode::Continuous,
        &handle,
        token.clone(),
    );
    let follow = async {
        let (mut failed, mut inserted) = (Vec::new(), false);
        while let Some(event) = events.recv().await {
            match event {
                PipelineEvent::FlowFailed { dataset, .. } => failed.push(dataset),
                PipelineEvent::FlowProgress {
                    dataset, rows_out: 2, ..
                } if dataset.ends_with("easy") => break,
                _ => {}
            }
            let all_failed = ["picky", "broken"]
                .iter()
                .all(|name| failed.iter().any(|dataset| dataset.ends_with(name)));
            if all_failed && !inserted {
                lake.run("INSERT INTO main.raw.numbers VALUES (2), (3)").await;
                inserted = true;
            }
        }
        token.cancel();
    };
    let (outcome, ()) = tokio::join!(update, follow);
    outcome.expect("stopped, not failed for good");
    assert_eq!(lake.rows("SELECT id FROM main.lake.easy").await, ["1", "2", "3"]);
    assert!(lake.rows("SELECT id FROM main.lake.picky").await.is_empty());
    assert!(
        !lake.events("flow_failed", "picky").await.is_empty(),
        "it is in the log"
    );
}
