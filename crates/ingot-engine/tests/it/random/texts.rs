//! Texts that are nearly statements: soups of tokens, and statements with parts left out, doubled, swapped or cut.

use std::path::Path;

use serde::Deserialize;

use super::{Run, on_a_thread};
use crate::sql::{open, run};
use crate::support::Random;

const RECORDED: &str = include_str!("../../spark/expressions.jsonl");

/// Words of the grammar, names, numbers and signs.
const WORDS: &str = "SELECT FROM WHERE GROUP BY HAVING ORDER SORT CLUSTER DISTRIBUTE LIMIT OFFSET WITH RECURSIVE AS \
    DISTINCT ALL UNION INTERSECT EXCEPT MINUS JOIN LEFT RIGHT FULL OUTER SEMI ANTI CROSS NATURAL LATERAL VIEW ON USING \
    VALUES TABLE CASE WHEN THEN ELSE END CAST TRY_CAST AND OR NOT IN EXISTS BETWEEN LIKE ILIKE RLIKE ESCAPE IS NULL TRUE \
    FALSE OVER PARTITION ROWS RANGE UNBOUNDED PRECEDING FOLLOWING CURRENT ROW FILTER WITHIN QUALIFY WINDOW PIVOT UNPIVOT \
    FOR TABLESAMPLE PERCENT INTERVAL DAY MONTH YEAR TO SECOND DATE TIMESTAMP EXTRACT STRUCT ARRAY MAP INT STRING DECIMAL \
    ROLLUP CUBE GROUPING SETS NULLS FIRST LAST ASC DESC VERSION OF EXPLAIN DESCRIBE HISTORY DETAIL SHOW TABLES COLUMNS \
    CREATE REPLACE TEMPORARY IF INSERT INTO OVERWRITE MERGE MATCHED UPDATE SET DELETE ALTER ADD COLUMN USE DECLARE \
    VARIABLE EXECUTE IMMEDIATE DIV COLLATE t i s r x count sum explode range array map named_struct transform date_add \
    t.i r.x * t.* 0 1 -1 1.5 1e400 9223372036854775808 10L 5Y 2BD '' 'a' '2024-01-01' \"q\" X'00' r'\\d' ( ) ( ) [ ] < > \
    , , . ; : :: -> => |> = <> <=> + - / || ? :p /*c*/ /* */ -- @ { }";

/// Characters that mean something to a tokenizer.
const BYTES: [&str; 20] = [
    "'", "\"", "`", "\\", "(", ")", "/*", "*/", "--", "\n", "\0", "é", "𝄞", "\u{feff}", "0", "e", ".", "$",
    "{", "@",
];

#[derive(Deserialize)]
struct Recorded {
    sql: String,
}

/// Statements that are meant to be right: those of the tests in `slt`, and recorded expressions.
fn corpus() -> Vec<String> {
    let mut statements: Vec<String> = RECORDED
        .lines()
        .map(|line| serde_json::from_str::<Recorded>(line).expect("recorded").sql)
        .collect();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../slt")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("directory") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "slt") {
                statements.extend(statements_of(&std::fs::read_to_string(path).expect("text")));
            }
        }
    }
    statements.sort();
    statements
}

/// Reads the statements of a file of sqllogictest.
fn statements_of(text: &str) -> impl Iterator<Item = String> {
    text.split("\n\n").filter_map(|record| {
        let mut lines = record.lines().skip_while(|line| line.starts_with('#'));
        let head = lines.next()?;
        let statement = head.starts_with("statement") || head.starts_with("query");
        let lines: Vec<&str> = lines.take_while(|line| *line != "----").collect();
        // Paths stay out: what is at them is no business of a text's.
        (statement && !lines.iter().any(|line| line.contains('$'))).then(|| lines.join("\n"))
    })
}

#[test]
fn every_text_ends_in_rows_or_a_condition() {
    on_a_thread(run_texts);
}

async fn run_texts() {
    let (_directory, _engine, session) = open().await;
    run(
        &session,
        &["CREATE TABLE t AS SELECT 1 AS i, 'a' AS s, named_struct('x', 1) AS r, 1 AS k, 2 AS v, 1.5D AS dbl, 1.5 AS dec, \
            DATE '2024-01-01' AS d, true AS b"],
    )
    .await;
    let corpus = corpus();
    assert!(corpus.len() > 500, "the statements of {} tests", corpus.len());
    let mut check = Run::new("texts");
    while check.goes_on() {
        let random = &mut check.random;
        let sql = match random.below(4) {
            0 => soup(random),
            _ => {
                let mut text = corpus[random.below(corpus.len())].clone();
                for _ in 0..=random.below(3) {
                    text = match random.once_in(3) {
                        true => other_characters(random, &text),
                        false => other_tokens(random, &text, &corpus),
                    };
                }
                text
            }
        };
        check.check(&session, &sql).await;
    }
    check.end();
}

fn word(random: &mut Random) -> &'static str {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    random.of(&words)
}

fn soup(random: &mut Random) -> String {
    let begin = random.of(&[
        "SELECT",
        "SELECT * FROM t",
        "WITH",
        "SELECT i FROM t WHERE",
        "FROM t |>",
        "",
    ]);
    let mut text = begin.to_owned();
    for _ in 0..random.below(16) {
        text.push(' ');
        text.push_str(word(random));
    }
    text
}

/// Cuts a text into words, numbers, literals and signs.
fn tokens(text: &str) -> Vec<&str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after;
    }
    tokens
}

fn other_tokens(random: &mut Random, text: &str, corpus: &[String]) -> String {
    let mut tokens = tokens(text);
    if tokens.is_empty() {
        return text.to_owned();
    }
    let at = random.below(tokens.len());
    let other = random.below(tokens.len());
    match random.below(7) {
        0 => {
            tokens.remove(at);
        }
        1 => tokens.insert(other, tokens[at]),
        2 => tokens.swap(at, other),
        3 => tokens.truncate(at),
        4 => tokens[at] = word(random),
        5 => tokens.insert(at, word(random)),
        _ => {
            let donor = self::tokens(&corpus[random.below(corpus.len())]);
            let from = random.below(donor.len().max(1));
            let taken = donor.into_iter().skip(from).take(1 + random.below(6));
            tokens.splice(at..at, taken.collect::<Vec<_>>());
        }
    }
    tokens.concat()
}

fn other_characters(random: &mut Random, text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    if characters.is_empty() {
        return text.to_owned();
    }
    let at = random.below(characters.len());
    match random.below(4) {
        0 => {
            characters.remove(at);
        }
        1 => characters.truncate(at),
        2 => characters.insert(at, characters[random.below(characters.len())]),
        _ => {
            characters.splice(at..at, random.of(&BYTES).chars());
        }
    }
    characters.into_iter().collect()
}

/// Repeats `before` and `after` around `inner`.
fn nested(levels: usize, before: &str, inner: &str, after: &str) -> String {
    format!("{}{inner}{}", before.repeat(levels), after.repeat(levels))
}

#[test]
fn every_depth_ends_in_rows_or_a_condition() {
    on_a_thread(run_every_depth);
}

async fn run_every_depth() {
    let (_directory, _engine, session) = open().await;
    let mut check = Run::new("depths");
    for levels in [20, 120, 20_000] {
        let texts = [
            nested(levels, "(", "1", ")"),
            nested(levels, "NOT ", "true", ""),
            nested(levels, "- ", "1", ""),
            nested(levels, "~", "1", ""),
            nested(levels, "CASE WHEN true THEN ", "1", " END"),
            nested(levels, "CASE ", "1", " WHEN 1 THEN 1 END"),
            nested(levels, "(SELECT ", "1", ")"),
            nested(levels, "abs(", "1", ")"),
            nested(levels, "CAST(", "1", " AS INT)"),
            nested(levels, "array(", "1", ")"),
            nested(levels, "transform(array(1), x -> ", "x", ")"),
            nested(levels, "/*", "", "*/") + " 1",
            format!("CAST(NULL AS {})", nested(levels, "ARRAY<", "INT", ">")),
            format!("CAST(NULL AS {})", nested(levels, "STRUCT<a: ", "INT", ">")),
            format!("CAST(NULL AS {})", nested(levels, "MAP<INT, ", "INT", ">")),
            format!("1{}", "::INT".repeat(levels)),
            format!("array(1){}", "[0]".repeat(levels)),
            format!("r{}", ".x".repeat(levels)),
            format!("1{}", " + 1L".repeat(levels)),
            format!("1{}", " - i".repeat(levels)),
            format!("true{}", " AND i = 1".repeat(levels)),
            format!("true{}", " OR i = 1".repeat(levels)),
            format!("'a'{}", " || s".repeat(levels)),
            format!("1{}", " = 1".repeat(levels)),
            format!("1{}", " IS NULL".repeat(levels)),
            format!("i IN (1{})", ", 2".repeat(levels)),
            format!("coalesce(i{})", ", i".repeat(levels)),
            format!("array(1{})", ", 2".repeat(levels)),
            format!("1{}", ", i".repeat(levels)),
            format!("CASE{} END", " WHEN i = 2 THEN 3".repeat(levels)),
            format!("'{}'", "a".repeat(levels)),
            "1".repeat(levels),
            format!("{}1", "(".repeat(levels)),
            format!("1 AS {}", "a".repeat(levels)),
            format!("schema_of_json('{}')", nested(levels, "[", "1", "]")),
            format!("from_json('{}', 'a INT')", nested(levels, "{\"a\":", "1", "}")),
            format!("parse_json('{}')", nested(levels, "[", "1", "]")),
            format!("from_json('[]', '{}')", nested(levels, "ARRAY<", "INT", ">")),
            format!("get_json_object('{{}}', '${}')", ".a".repeat(levels)),
            format!("xpath('{}', '/a')", nested(levels, "<a>", "", "</a>")),
            format!("from_xml('{}', 'a STRING')", nested(levels, "<a>", "", "</a>")),
            format!("'a' RLIKE '{}'", nested(levels, "(", "a", ")")),
            format!("'a' LIKE '{}'", "%a".repeat(levels)),
            format!(
                "regexp_replace('aaaa', '{}', 'b')",
                nested(levels, "(", "a", ")*")
            ),
        ];
        for text in texts {
            let from = "FROM (SELECT 1 AS i, 's' AS s, struct(1 AS x) AS r)";
            check.check(&session, &format!("SELECT {text} {from}")).await;
        }
        let texts = [
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(levels)),
            format!("SELECT 1{}", " UNION SELECT 1".repeat(levels)),
            format!("SELECT 1{}", " EXCEPT SELECT 1".repeat(levels)),
            format!("{}SELECT 1{}", "(".repeat(levels), ")".repeat(levels)),
            format!(
                "SELECT * FROM {}",
                nested(levels, "(SELECT * FROM ", "(SELECT 1)", ")")
            ),
            format!("SELECT * FROM {}", nested(levels, "(", "(SELECT 1)", ")")),
            format!("SELECT 1 FROM (SELECT 1){}", " |> WHERE true".repeat(levels)),
            format!("VALUES (1){}", ", (1)".repeat(levels)),
            format!("SELECT '{}", "a".repeat(levels)),
            "SELECT".repeat(levels),
            "SELECT 1;".repeat(levels),
            ";".repeat(levels),
            "(".repeat(levels),
            "EXPLAIN ".repeat(levels),
            format!("{} SELECT 1", "WITH a AS (SELECT 1) ".repeat(levels)),
            format!(
                "WITH a AS (SELECT 1){} SELECT 1",
                ", a AS (SELECT 1)".repeat(levels)
            ),
            format!("CREATE TABLE deep (a {})", nested(levels, "ARRAY<", "INT", ">")),
        ];
        for sql in texts {
            check.check(&session, &sql).await;
        }
    }
    check.end();
}
