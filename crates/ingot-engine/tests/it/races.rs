//! Every statement against every other, as clients send them: right before the one commits (the loser), another process
//! commits the other (the winner). The files of `races/` state how the loser ends, after whatever it tries again by
//! itself, and what the table holds then.
//!
//! What a single commit does, without trying again, is stated by `ingot-delta`'s `matrix/`.

use std::fmt::Write as _;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::{StreamExt, TryStreamExt, stream};
use ingot_engine::{Engine, Error, Result, Session};
use test_case::test_case;

use crate::hooked_store::HookedStore;
use crate::support;

/// The statements by name, in the order of rows and columns; `{t}` is the table, `{id}` what the statement adds.
const STATEMENTS: [(&str, &str); 17] = [
    ("append", "INSERT INTO {t} (id, p, v) VALUES ({id}, 'a', 1)"),
    ("stream", "INSERT INTO {t} (id, p, v) VALUES ({id}, 'a', 1)"),
    (
        "overwrite",
        "INSERT OVERWRITE {t} (id, p, v) VALUES ({id}, 'a', 1)",
    ),
    (
        "replaceWhere",
        "INSERT INTO {t} (id, p, v) REPLACE WHERE p = 'a' VALUES ({id}, 'a', 1)",
    ),
    (
        "replaceUsing",
        "INSERT INTO {t} (id, p, v) REPLACE USING (p) VALUES ({id}, 'a', 1)",
    ),
    (
        "partition",
        "INSERT OVERWRITE {t} PARTITION (p = 'a') (id, v) VALUES ({id}, 1)",
    ),
    ("delete", "DELETE FROM {t} WHERE p = 'a' AND id = 1"),
    ("update", "UPDATE {t} SET v = v + 10 WHERE p = 'a' AND id = 2"),
    (
        "merge",
        "MERGE INTO {t} USING (VALUES (1, 'a'), ({id}, 'a')) AS s(id, p) ON {t}.id = s.id AND {t}.p = s.p \
         WHEN MATCHED THEN UPDATE SET v = {t}.v + 100 WHEN NOT MATCHED THEN INSERT (id, p, v) VALUES (s.id, s.p, 1)",
    ),
    ("optimize", "OPTIMIZE {t} WHERE p = 'a'"),
    ("z-order", "OPTIMIZE {t} WHERE p = 'a' ZORDER BY (v)"),
    ("cluster", "OPTIMIZE {t}"),
    ("vacuum", "VACUUM {t}"),
    ("restore", "RESTORE TABLE {t} TO VERSION AS OF 1"),
    ("truncate", "TRUNCATE TABLE {t}"),
    ("add column", "ALTER TABLE {t} ADD COLUMN c{id} INT"),
    ("property", "ALTER TABLE {t} SET TBLPROPERTIES ('p{id}' = 'x')"),
];

/// Statements that a clustered table refuses, for it has no partitions.
const PARTITIONED_ONLY: [&str; 3] = ["partition", "optimize", "z-order"];

/// Pairs that run at once.
const PAIRS_MAX: usize = 4;

/// How the table is laid out for a pair: clustered where one of them clusters, else partitioned. `None` if there is no
/// table for both.
fn layout(pair: [&str; 2]) -> Option<&'static str> {
    if !pair.contains(&"cluster") {
        return Some("PARTITIONED BY (p)");
    }
    let refused = pair.iter().any(|name| PARTITIONED_ONLY.contains(name));
    (!refused).then_some("CLUSTER BY (p)")
}

/// Two processes over one data directory; commits of the first can be preceded.
struct Race {
    store: HookedStore,
    ours: Engine,
    theirs: Engine,
    isolation: &'static str,
}

impl Race {
    /// Runs one pair and says how it ended.
    async fn cell(&self, winner: usize, loser: usize) -> String {
        let names = [STATEMENTS[winner].0, STATEMENTS[loser].0];
        let Some(layout) = layout(names) else {
            return "-".to_owned();
        };
        let name = format!("t{winner}_{loser}");
        let table = format!("main.default.{name}");
        let session = support::session(&self.ours);
        let create = format!(
            "CREATE TABLE {table} (id BIGINT, p STRING, v BIGINT) {layout} \
             TBLPROPERTIES ('delta.isolationLevel' = '{}')",
            self.isolation
        );
        run(&session, &create).await.expect("created");
        for rows in [
            "(1, 'a', 1), (2, 'a', 1), (3, 'b', 1), (4, 'b', 1)",
            "(5, 'a', 1), (6, 'b', 1)",
        ] {
            let insert = format!("INSERT INTO {table} VALUES {rows}");
            run(&session, &insert).await.expect("inserted");
        }
        let location = support::location(&self.ours, &name).await;
        let folder = location.path().trim_end_matches('/').rsplit('/').next();
        let folder = folder.expect("a folder").to_owned();
        let text = |statement: usize, id: &str| {
            let text = STATEMENTS[statement].1.replace("{t}", &table);
            text.replace("{id}", id)
        };
        let other = prepared(&self.theirs, names[0]).await;
        let winning = text(winner, "10");
        self.store.before_commit_of(&folder, 3, async move {
            run(&other, &winning).await.expect("the winner commits");
        });
        let session = prepared(&self.ours, names[1]).await;
        let outcome = run(&session, &text(loser, "20")).await;
        let pair = format!("{} before {}", names[0], names[1]);
        assert!(
            self.store.exhausted_of(&folder),
            "{pair}: the loser did not commit after version 2"
        );
        let ended = match outcome {
            Ok(counts) if names[1] == "stream" && counts[0] == "0" => "done".to_owned(),
            Ok(_) => "ok".to_owned(),
            Err(Error::Condition { condition, .. }) => condition.trim_start_matches("DELTA_").to_lowercase(),
            Err(other) => panic!("{pair}: {other}"),
        };
        // A process that saw nothing of it reads the table.
        let held = format!("SELECT count(*), coalesce(sum(v), 0) FROM {table}");
        let held = run(&support::session(&self.theirs), &held).await.expect("read");
        format!("{ended} {}", held.join(" "))
    }
}

/// Opens a session for a statement: a batch of a stream is written once.
async fn prepared(engine: &Engine, statement: &str) -> Session {
    let session = support::session(engine);
    if statement == "stream" {
        for setting in ["txnAppId = 'stream'", "txnVersion = 1"] {
            let set = format!("SET spark.databricks.delta.write.{setting}");
            run(&session, &set).await.expect("set");
        }
    }
    session
}

/// Runs a statement and returns its values.
async fn run(session: &Session, statement: &str) -> Result<Vec<String>> {
    let result = session.execute(statement).await?;
    let batches: std::result::Result<Vec<_>, _> = result.batches.try_collect().await;
    let batches = batches.map_err(|error| Error::Condition {
        kind: error.kind,
        condition: "OF_A_BATCH",
        sqlstate: "XX000",
        message: error.message.clone(),
    })?;
    let options = FormatOptions::new();
    let mut values = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                let printed = ArrayFormatter::try_new(column.as_ref(), &options).expect("printable");
                values.push(printed.value(row).to_string());
            }
        }
    }
    Ok(values)
}

#[test_case("WriteSerializable", include_str!("races/write_serializable.txt"); "write serializable")]
#[test_case("Serializable", include_str!("races/serializable.txt"); "serializable")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn winner_against_loser(isolation: &'static str, stated: &str) {
    let directory = tempfile::tempdir().expect("directory");
    let (store, tables) = HookedStore::open(&directory.path().join("tables"));
    let race = Race {
        store,
        ours: support::engine_over(directory.path(), tables).await,
        theirs: support::engine(directory.path()).await,
        isolation,
    };
    let numbers = 0..STATEMENTS.len();
    let pairs = numbers
        .clone()
        .flat_map(|winner| numbers.clone().map(move |loser| (winner, loser)));
    let cells = stream::iter(pairs)
        .map(|(winner, loser)| race.cell(winner, loser))
        .buffered(PAIRS_MAX);
    let cells: Vec<String> = cells.collect().await;
    let mut grid = row("winner", STATEMENTS.iter().map(|(name, _)| (*name).to_owned()));
    for ((name, _), cells) in STATEMENTS.iter().zip(cells.chunks(STATEMENTS.len())) {
        grid.push_str(&row(name, cells.iter().cloned()));
    }
    let stated: String = stated
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .fold(String::new(), |text, line| text + line + "\n");
    assert!(grid == stated, "stated:\n{stated}\nfound:\n{grid}");
}

fn row(head: &str, cells: impl Iterator<Item = String>) -> String {
    let mut line = format!("{head:<12}");
    for cell in cells {
        write!(line, "| {cell:<20}").expect("a string takes all");
    }
    line.trim_end().to_owned() + "\n"
}
