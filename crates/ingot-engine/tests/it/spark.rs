//! Expressions and functions that mean what they mean in Spark.

mod aggregates;
mod ansi_mode;
mod arrays;
mod csv;
mod datetime;
mod growth;
mod hashes;
mod json;
mod lambdas;
mod limits;
mod maps;
mod misc;
mod names;
mod numbers;
mod regex;
mod text;
mod variants;
mod xml;

use std::fmt::Write as _;

use ingot_common::Classify;

use crate::sql::{open, try_rows};

/// Checks the one row that each query gives, its values joined by `|`. A row that starts with `!` is a condition.
async fn check(expected: &[(&str, &str)]) {
    let (_directory, _, session) = open().await;
    let mut wrong = String::new();
    for (query, row) in expected {
        let found = match try_rows(&session, query).await {
            Ok(rows) => rows.join("; "),
            Err(error) => format!("!{}", condition_of(&error)),
        };
        if found != *row {
            writeln!(wrong, "{query}\n    {row} is the result, not {found}").expect("text");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Returns the condition of an error, and all of the error where it has none.
fn condition_of(error: &ingot_engine::Error) -> String {
    match error {
        ingot_engine::Error::Condition {
            condition: "OF_A_BATCH",
            message,
            ..
        } => match message.split_once(' ') {
            Some((condition, _)) if !condition.is_empty() => condition.to_owned(),
            _ => message.clone(),
        },
        error => match error.condition() {
            Some(condition) => condition.to_owned(),
            None => ingot_common::error::chain(error),
        },
    }
}
