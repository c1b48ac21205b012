//! Calls of every function with arguments of every kind: each gives rows or a condition, and never a panic.

use super::{Run, names, on_a_thread};
use crate::support;

/// Arguments: each kind of value, and the values at the ends of its range.
pub(super) const ARGUMENTS: [&str; 40] = [
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

/// Calls of each function.
const CALLS: usize = 12;

#[test]
fn every_call_ends_in_rows_or_a_condition() {
    on_a_thread(run_calls);
}

async fn run_calls() {
    let mut run = Run::new("calls");
    let directory = tempfile::tempdir().expect("directory");
    let engine = support::engine(directory.path()).await;
    let session = support::session(&engine);
    for name in names() {
        for _ in 0..CALLS {
            let count = run.random.below(5);
            let arguments: Vec<&str> = (0..count).map(|_| run.random.of(&ARGUMENTS)).collect();
            run.check(&session, &format!("SELECT {name}({})", arguments.join(", ")))
                .await;
        }
    }
    run.end();
}
