//! Calls of every function with arguments of every kind: each gives rows or a condition, and never a panic.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;

use futures::{FutureExt, TryStreamExt};
use ingot_common::error::chain;
use ingot_common::{Classify, clock};
use ingot_engine::Session;

use crate::support::{self, Random};

const FUNCTIONS: &str = include_str!("../spark/functions.txt");

/// Arguments: each kind of value, and the values at the ends of its range.
const ARGUMENTS: [&str; 40] = [
    "NULL",
    "0",
    "1",
    "-1",
    "2147483647",
    "-2147483648",
    "9223372036854775807",
    "127Y",
    "1.5",
    "-0.00001BD",
    "99999999999999999999999999999999999999",
    "1e300",
    "-0.0D",
    "double('NaN')",
    "double('infinity')",
    "1.5F",
    "''",
    "'a'",
    "'é€𝄞'",
    "'2024-02-29'",
    "'12:30'",
    "'%(['",
    "'$.a[0]'",
    "'{\"a\": [1, null, {\"b\": 2}]}'",
    "'a INT, b ARRAY<STRING>'",
    "X''",
    "X'00FF'",
    "true",
    "DATE '2024-02-29'",
    "DATE '0001-01-01'",
    "TIMESTAMP '2024-03-10 02:30:00'",
    "TIMESTAMP_NTZ '9999-12-31 23:59:59.999999'",
    "INTERVAL '1 02:03:04' DAY TO SECOND",
    "INTERVAL '1-2' YEAR TO MONTH",
    "array()",
    "array(1, NULL, 3)",
    "array('a', 'b')",
    "map('a', 1)",
    "named_struct('x', 1, 'y', 'z')",
    "parse_json('{\"a\": 1}')",
];

/// Functions whose result is as large as an argument says: not called with the ends of ranges.
const AS_LARGE_AS_SAID: [&str; 7] = [
    "array_repeat",
    "lpad",
    "range",
    "repeat",
    "rpad",
    "sequence",
    "space",
];

/// Calls of each function.
const CALLS: usize = 12;

#[tokio::test]
async fn every_call_ends_in_rows_or_a_condition() {
    let seed: u64 = match std::env::var("INGOT_TEST_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => clock::random_below(u64::MAX),
    };
    let mut random = Random(seed);
    let directory = tempfile::tempdir().expect("directory");
    let engine = support::engine(directory.path()).await;
    let session = support::session(&engine);
    let mut wrong = String::new();
    for name in names() {
        if AS_LARGE_AS_SAID.contains(&name) {
            continue;
        }
        for _ in 0..CALLS {
            let count = random.below(5);
            let arguments: Vec<&str> = (0..count)
                .map(|_| ARGUMENTS[random.below(ARGUMENTS.len())])
                .collect();
            let sql = format!("SELECT {name}({})", arguments.join(", "));
            if AssertUnwindSafe(run(&session, &sql))
                .catch_unwind()
                .await
                .is_err()
            {
                writeln!(wrong, "{sql}").expect("text");
            }
        }
    }
    assert!(wrong.is_empty(), "INGOT_TEST_SEED={seed}; not so:\n{wrong}");
}

fn names() -> impl Iterator<Item = &'static str> {
    let lines = FUNCTIONS
        .lines()
        .filter(|line| !line.starts_with(['#', ' ', '[']) && !line.is_empty());
    let names = lines.map(|line| {
        line.trim_end_matches('@')
            .split([' ', ':', '@'])
            .next()
            .unwrap_or(line)
    });
    names.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// Returns what is wrong with how a statement ends: an error without a condition.
async fn run(session: &Session, sql: &str) -> Option<String> {
    match session.execute(sql).await {
        Ok(result) => {
            let rows: Result<Vec<_>, _> = result.batches.try_collect().await;
            let error = rows.err().filter(|error| error.condition.is_none())?;
            Some(error.message)
        }
        Err(error) => error.condition().is_none().then(|| chain(&error)),
    }
}
