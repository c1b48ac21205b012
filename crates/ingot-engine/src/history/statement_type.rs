//! What kind of statement a text is, as Databricks names it; of a text that is no statement, too.
//!
//! Source: Databricks SDK, `QueryStatementType`.

/// Statements whose first word is their type.
const BY_FIRST_WORD: [&str; 20] = [
    "ALTER", "ANALYZE", "COPY", "CREATE", "DELETE", "DESCRIBE", "DROP", "EXPLAIN", "GRANT", "INSERT",
    "MERGE", "OPTIMIZE", "REFRESH", "REVOKE", "SELECT", "SET", "SHOW", "TRUNCATE", "UPDATE", "USE",
];

/// Other first words.
const OTHERS: [(&str, &str); 8] = [
    ("COMMENT", "ALTER"),
    ("DESC", "DESCRIBE"),
    ("FROM", "SELECT"),
    ("RESET", "SET"),
    ("TABLE", "SELECT"),
    ("UNSET", "SET"),
    ("VALUES", "SELECT"),
    ("WITH", "SELECT"),
];

/// Returns the type of a statement.
pub(super) fn statement_type(text: &str) -> &'static str {
    let mut words = Words { rest: text };
    let Some(first) = words.next() else { return "OTHER" };
    let first = first.to_ascii_uppercase();
    if first == "CREATE" {
        let replaces = ["OR", "REPLACE", "TABLE"];
        let replaces = replaces
            .iter()
            .all(|word| words.next().is_some_and(|next| next.eq_ignore_ascii_case(word)));
        return if replaces { "REPLACE" } else { "CREATE" };
    }
    if first == "WITH" {
        return after_with(words);
    }
    let by_first = BY_FIRST_WORD.iter().find(|word| **word == first).copied();
    let other = || {
        OTHERS
            .iter()
            .find(|(word, _)| *word == first)
            .map(|(_, name)| *name)
    };
    let query = || text.trim_start().starts_with('(').then_some("SELECT");
    by_first.or_else(other).or_else(query).unwrap_or("OTHER")
}

/// Finds what follows the queries of a WITH, which are between parentheses.
fn after_with(words: Words<'_>) -> &'static str {
    for word in words {
        for name in ["SELECT", "INSERT", "MERGE"] {
            if word.eq_ignore_ascii_case(name) {
                return name;
            }
        }
    }
    "SELECT"
}

/// The words of a text outside of comments, quotes and parentheses. A parenthesis at the beginning is looked into.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut depth = 0_usize;
        loop {
            let first = self.rest.chars().next()?;
            if let Some(comment) = self.rest.strip_prefix("--") {
                self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
            } else if matches!(first, '\'' | '"' | '`') {
                let within = &self.rest[1..];
                self.rest = within.split_once(first).map_or("", |(_, rest)| rest);
            } else if first.is_alphabetic() || first == '_' {
                let word = |character: char| character.is_alphanumeric() || character == '_';
                let end = self
                    .rest
                    .find(|character| !word(character))
                    .unwrap_or(self.rest.len());
                let (found, rest) = self.rest.split_at(end);
                self.rest = rest;
                if depth == 0 {
                    return Some(found);
                }
            } else {
                match first {
                    '(' => depth += 1,
                    ')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                self.rest = &self.rest[first.len_utf8()..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("SELECT 1", "SELECT")]
    #[test_case("  -- why\n /* what; */ select 1", "SELECT"; "comments")]
    #[test_case("(SELECT 1) UNION (SELECT 2)", "SELECT"; "parentheses")]
    #[test_case("FROM t SELECT a", "SELECT"; "from first")]
    #[test_case("VALUES (1)", "SELECT"; "values")]
    #[test_case("WITH a AS (INSERT x) SELECT * FROM a", "SELECT"; "with")]
    #[test_case("WITH `insert` AS (SELECT 1) INSERT INTO t SELECT * FROM a", "INSERT"; "with before insert")]
    #[test_case("WITH a AS (SELECT 1), b AS (SELECT ')' ) MERGE INTO t USING a", "MERGE"; "with before merge")]
    #[test_case("create or replace table t as select 1", "REPLACE"; "replace")]
    #[test_case("CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE"; "a view")]
    #[test_case("CREATE TABLE t (a INT)", "CREATE"; "create")]
    #[test_case("DESC t", "DESCRIBE"; "desc")]
    #[test_case("BEGIN SELECT 1; END", "OTHER"; "a script")]
    #[test_case("VACUUM t", "OTHER"; "vacuum")]
    #[test_case("", "OTHER"; "nothing")]
    #[test_case("'", "OTHER"; "no statement")]
    #[test_case("§", "OTHER"; "a sign")]
    fn a_statement_has_a_type(text: &str, expected: &str) {
        assert_eq!(statement_type(text), expected);
    }
}
