//! Expressions and functions that mean what they mean in Spark.

mod arrays;
mod datetime;
mod lambdas;
mod maps;

use crate::sql::{open, refused, rows};

/// Checks the one row that each query gives, its values joined by `|`. A row that starts with `!` is a condition.
async fn check(expected: &[(&str, &str)]) {
    let (_directory, _, session) = open().await;
    for (query, row) in expected {
        match row.strip_prefix('!') {
            Some(condition) => assert_eq!(refused(&session, query).await, condition, "{query}"),
            None => assert_eq!(rows(&session, query).await, [*row], "{query}"),
        }
    }
}
