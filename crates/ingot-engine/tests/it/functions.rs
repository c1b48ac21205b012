//! The list of functions in `docs/functions.md`: Spark's, and which of them a session has.
//!
//! `tests/spark/functions.txt` has Spark's by group, and what of ours differs. The document is made of it and of what
//! `SHOW SYSTEM FUNCTIONS` shows: a test fails when it is another, and writes it when `UPDATE_DOCS` is set.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use ingot_engine::Session;

use crate::sql::rows;
use crate::support;

const LISTED: &str = include_str!("../spark/functions.txt");

const HEAD: &str = "# Functions\n\n\
    The built-in functions of Apache Spark 4.2 and Databricks SQL, and what Ingot has of them. Generated from\n\
    `crates/ingot-engine/tests/spark/functions.txt` and from what `SHOW SYSTEM FUNCTIONS` shows; not to be edited:\n\
    `UPDATE_DOCS=1 cargo test -p ingot-engine --test it functions_are_listed` writes it anew.\n";

/// A line of the list.
#[derive(Debug, Clone, PartialEq)]
struct Listed<'a> {
    name: &'a str,
    /// Planned from the syntax tree, without a registered function of the name.
    planned: bool,
    differs: Option<&'a str>,
}

impl<'a> Listed<'a> {
    fn read(line: &'a str) -> Self {
        let (name, differs) = match line.split_once(": ") {
            Some((name, how)) => (name, Some(how)),
            None => (line, None),
        };
        let planned = name.strip_suffix(" @");
        Self {
            name: planned.unwrap_or(name),
            planned: planned.is_some(),
            differs,
        }
    }

    fn row(&self, registered: &BTreeSet<String>) -> String {
        let state = match (self.planned || registered.contains(self.name), self.differs) {
            (false, _) => "absent".to_owned(),
            (true, None) => "done".to_owned(),
            (true, Some(how)) => format!("differs: {how}"),
        };
        format!("| `{}` | {state} |", self.name.replace('|', "\\|"))
    }
}

fn document(listed: &str, registered: &BTreeSet<String>) -> String {
    let mut text = HEAD.to_owned();
    for line in listed.lines() {
        if let Some(group) = line.strip_prefix('[') {
            let title = group.split_once("] ").map_or(group, |(_, title)| title);
            write!(text, "\n## {title}\n\n| function | |\n| --- | --- |\n").expect("text");
        } else if !line.is_empty() && !line.starts_with("# ") {
            writeln!(text, "{}", Listed::read(line).row(registered)).expect("text");
        }
    }
    text
}

/// Returns the names of the engine's own functions.
async fn registered(session: &Session) -> BTreeSet<String> {
    let names = rows(session, "SHOW SYSTEM FUNCTIONS").await;
    names.into_iter().collect()
}

#[tokio::test]
async fn functions_are_listed() {
    let directory = tempfile::tempdir().expect("directory");
    let engine = support::engine(directory.path()).await;
    let expected = document(LISTED, &registered(&support::session(&engine)).await);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/functions.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/functions.md is out of date: UPDATE_DOCS=1 cargo test -p ingot-engine --test it functions_are_listed"
    );
}

#[test]
fn lines_say_what_is_there_and_how_it_differs() {
    let registered = BTreeSet::from(["abs".to_owned(), "hash".to_owned()]);
    let listed = "# A comment.\n[math] Numbers\nabs\nhash: other values\n|| @\nuuid\n";
    let document = document(listed, &registered);
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(
        rows,
        [
            "| `abs` | done |",
            "| `hash` | differs: other values |",
            "| `\\|\\|` | done |",
            "| `uuid` | absent |"
        ]
    );
}
