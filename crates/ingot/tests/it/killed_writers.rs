//! Servers that write to one table and are killed in the middle of their statements. Each writer changes rows of its
//! own, so that it knows after every statement what they must be, although all of them share files, and a compaction
//! moves them about. A statement that was cut off has been done, or it has not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingot_common::Kind;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::harness::{self, Process, Sql};

const WRITERS: i64 = 3;
const STATEMENTS: usize = 30;
const RETRIES_MAX: u32 = 300;

/// Ids of one writer.
const IDS: i64 = 1_000;

/// A statement that is cut off lives at most so long: little more than one takes.
const LIFE_MS_MAX: u64 = 150;

/// The rows of one writer: `v` by `id`.
type Rows = BTreeMap<i64, i64>;

/// Returns a statement on the rows of `writer`, and the rows after it.
fn statement(random: &mut StdRng, writer: i64, rows: &Rows) -> (String, Rows) {
    let mut after = rows.clone();
    let any = rows.keys().copied().choose(random).unwrap_or(writer * IDS);
    let next = rows.keys().last().map_or(writer * IDS, |last| last + 1);
    let text = match random.random_range(0..4) {
        0 => {
            after.extend((next..next + 3).map(|id| (id, 0)));
            let values: Vec<String> = (next..next + 3)
                .map(|id| format!("({id}, {writer}, 0)"))
                .collect();
            format!("INSERT INTO t VALUES {}", values.join(", "))
        }
        1 => {
            after.remove(&any);
            format!("DELETE FROM t WHERE id = {any}")
        }
        2 => {
            after
                .iter_mut()
                .filter(|(id, _)| *id % 2 == any % 2)
                .for_each(|(_, v)| *v += 1);
            let parity = any % 2;
            format!("UPDATE t SET v = v + 1 WHERE writer = {writer} AND id % 2 = {parity}")
        }
        _ => {
            after.entry(any).and_modify(|v| *v += 10).or_insert(0);
            after.insert(next + 1, 0);
            format!(
                "MERGE INTO t USING (VALUES (CAST({any} AS BIGINT)), ({})) AS s(id) ON t.id = s.id \
                 WHEN MATCHED THEN UPDATE SET v = t.v + 10 \
                 WHEN NOT MATCHED THEN INSERT (id, writer, v) VALUES (s.id, {writer}, 0)",
                next + 1
            )
        }
    };
    (text, after)
}

async fn rows(sql: &Sql, writer: i64) -> Rows {
    let text = format!("SELECT id, v FROM t WHERE writer = {writer}");
    let found = sql.rows(&text).await.expect("read");
    let number = |row: &serde_json::Value, name: &str| row[name].as_i64().expect("number");
    let rows: Vec<_> = found
        .iter()
        .map(|row| (number(row, "id"), number(row, "v")))
        .collect();
    let distinct: Rows = rows.iter().copied().collect();
    assert_eq!(
        distinct.len(),
        rows.len(),
        "rows of writer {writer} are doubled: {rows:?}"
    );
    distinct
}

/// Runs a statement until it does not lose to another writer. `false` when its server was killed under it; another
/// server is there then.
async fn run(random: &mut StdRng, server: &mut Process, data_dir: &Path, text: &str) -> bool {
    let life = Duration::from_millis(random.random_range(1..LIFE_MS_MAX));
    let dies = random.random_ratio(1, 3);
    let sql = server.client();
    let work = async {
        for _ in 0..RETRIES_MAX {
            match sql.rows(text).await {
                Ok(_) => return,
                Err(error) if error.kind == Kind::Conflict => {}
                Err(error) => panic!("{text}: {error}"),
            }
        }
        panic!("{text}: lost {RETRIES_MAX} times");
    };
    if !dies {
        work.await;
        return true;
    }
    tokio::pin!(work);
    let ended = tokio::time::timeout(life, work.as_mut()).await.is_ok();
    // The request is still open: to the server that is killed, no client has gone away.
    server.kill();
    *server = Process::server(data_dir);
    ended
}

async fn writer(data_dir: PathBuf, writer: i64, seed: u64) -> Rows {
    let mut random = StdRng::seed_from_u64(seed.wrapping_add(writer.unsigned_abs()));
    let mut server = Process::server(&data_dir);
    let mut known = Rows::new();
    for _ in 0..STATEMENTS {
        let (text, after) = statement(&mut random, writer, &known);
        let told = run(&mut random, &mut server, &data_dir, &text).await;
        let found = rows(&server.client(), writer).await;
        let right = found == after || (!told && found == known);
        assert!(
            right,
            "INGOT_TEST_SEED={seed}: after `{text}` (told: {told}) writer {writer} finds {found:?}; before: {known:?}"
        );
        known = found;
    }
    known
}

/// Packs files until the writers are done.
async fn compactor(data_dir: PathBuf, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut server = Process::server(&data_dir);
    for _ in 0..STATEMENTS {
        run(&mut random, &mut server, &data_dir, "OPTIMIZE t").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_killed_servers_are_done_or_not() {
    let seed = harness::seed();
    let data_dir = tempfile::tempdir().expect("tempdir");
    let path = data_dir.path().to_owned();
    let server = Process::server(&path);
    let create = server
        .client()
        .rows("CREATE TABLE t (id BIGINT, writer BIGINT, v BIGINT)")
        .await;
    create.expect("created");
    let mut writers = JoinSet::new();
    for number in 1..=WRITERS {
        let path = path.clone();
        writers.spawn(async move { (number, writer(path, number, seed).await) });
    }
    let mut compactors = JoinSet::new();
    compactors.spawn(compactor(path, seed.wrapping_mul(31)));
    let mut expected: BTreeMap<i64, Rows> = BTreeMap::new();
    while let Some(ended) = writers.join_next().await {
        let (number, rows) = ended.expect("writer");
        expected.insert(number, rows);
    }
    compactors.join_all().await;
    for (number, expected) in expected {
        let found = rows(&server.client(), number).await;
        assert_eq!(found, expected, "INGOT_TEST_SEED={seed}: rows of writer {number}");
    }
    let history = server.client().rows("DESCRIBE HISTORY t").await.expect("history");
    let versions = history.iter().rev().map(|row| row["version"].as_i64());
    let gapless = (0..).map(Some).take(history.len());
    assert!(
        versions.eq(gapless),
        "INGOT_TEST_SEED={seed}: versions are missing"
    );
}
