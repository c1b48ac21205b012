//! Every statement against every other, as clients send them: right before the one commits (the loser), another process
//! commits the other (the winner). The files of `races/` state how the loser ends, after whatever it tries again by
//! itself, and what the table holds then.

use std::fmt::Write as _;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use ingot_engine::{Engine, Error, Result, Session};
use test_case::test_case;

use crate::hooked_store::HookedStore;
use crate::support;

/// The statements by name; `{t}` is the table, `{id}` what the statement inserts.
const STATEMENTS: [(&str, &str); 12] = [
    ("append", "INSERT INTO {t} VALUES ({id}, 'a', 1)"),
    ("overwrite", "INSERT OVERWRITE {t} VALUES ({id}, 'a', 1)"),
    (
        "replaceWhere",
        "INSERT INTO {t} REPLACE WHERE p = 'a' VALUES ({id}, 'a', 1)",
    ),
    (
        "replaceUsing",
        "INSERT INTO {t} REPLACE USING (p) VALUES ({id}, 'a', 1)",
    ),
    (
        "partition",
        "INSERT OVERWRITE {t} PARTITION (p = 'a') VALUES ({id}, 1)",
    ),
    ("delete", "DELETE FROM {t} WHERE p = 'a' AND id = 1"),
    ("update", "UPDATE {t} SET v = v + 10 WHERE p = 'a' AND id = 2"),
    (
        "merge",
        "MERGE INTO {t} USING (VALUES (1, 'a'), ({id}, 'a')) AS s(id, p) ON {t}.id = s.id AND {t}.p = s.p \
         WHEN MATCHED THEN UPDATE SET v = {t}.v + 100 WHEN NOT MATCHED THEN INSERT (id, p, v) VALUES (s.id, s.p, 1)",
    ),
    ("optimize", "OPTIMIZE {t} WHERE p = 'a'"),
    ("vacuum", "VACUUM {t}"),
    ("restore", "RESTORE TABLE {t} TO VERSION AS OF 1"),
    ("truncate", "TRUNCATE TABLE {t}"),
];

/// Runs one pair and says how it ended.
async fn cell(
    store: &HookedStore,
    ours: &Engine,
    theirs: &Engine,
    isolation: &str,
    (winner, loser): (usize, usize),
) -> String {
    let table = format!("main.default.t{winner}_{loser}");
    let (session, other) = (support::session(ours), support::session(theirs));
    let create = format!(
        "CREATE TABLE {table} (id BIGINT, p STRING, v BIGINT) PARTITIONED BY (p) \
         TBLPROPERTIES ('delta.isolationLevel' = '{isolation}')"
    );
    run(&session, &create).await.expect("created");
    for rows in [
        "(1, 'a', 1), (2, 'a', 1), (3, 'b', 1), (4, 'b', 1)",
        "(5, 'a', 1), (6, 'b', 1)",
    ] {
        let insert = format!("INSERT INTO {table} VALUES {rows}");
        run(&session, &insert).await.expect("inserted");
    }
    let text =
        |statement: usize, id: &str| STATEMENTS[statement].1.replace("{t}", &table).replace("{id}", id);
    let winning = text(winner, "10");
    store.before_commit(3, async move {
        run(&other, &winning).await.expect("the winner commits");
    });
    let outcome = run(&session, &text(loser, "20")).await;
    let pair = format!("{} before {}", STATEMENTS[winner].0, STATEMENTS[loser].0);
    assert!(
        store.exhausted(),
        "{pair}: the loser did not commit after version 2"
    );
    let ended = match outcome {
        Ok(_) => "ok".to_owned(),
        Err(Error::Condition { condition, .. }) => condition.trim_start_matches("DELTA_").to_lowercase(),
        Err(other) => panic!("{pair}: {other}"),
    };
    // A process that saw nothing of it reads the table.
    let held = format!("SELECT count(*), coalesce(sum(v), 0) FROM {table}");
    let held = run(&support::session(theirs), &held).await.expect("read");
    format!("{ended} {}", held.join(" "))
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
async fn winner_against_loser(isolation: &str, stated: &str) {
    let directory = tempfile::tempdir().expect("directory");
    let (store, tables) = HookedStore::open(&directory.path().join("tables"));
    let ours = support::engine_over(directory.path(), tables).await;
    let theirs = support::engine(directory.path()).await;
    let names = STATEMENTS.iter().map(|(name, _)| *name);
    let mut grid = row("winner", names.map(str::to_owned));
    for (winner, (name, _)) in STATEMENTS.iter().enumerate() {
        let mut cells = Vec::new();
        for loser in 0..STATEMENTS.len() {
            cells.push(cell(&store, &ours, &theirs, isolation, (winner, loser)).await);
        }
        grid.push_str(&row(name, cells.into_iter()));
    }
    let stated: String = stated
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .fold(String::new(), |text, line| text + line + "\n");
    assert!(grid == stated, "stated:\n{stated}\nfound:\n{grid}");
}

fn row(head: &str, cells: impl Iterator<Item = String>) -> String {
    let mut line = format!("{head:<10}");
    for cell in cells {
        write!(line, "| {cell:<29}").expect("a string takes all");
    }
    line.trim_end().to_owned() + "\n"
}
