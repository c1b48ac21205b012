//! COPY INTO: files into a table, each once.

use std::path::Path;

use test_case::test_case;

use super::*;

fn write(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("folder");
    std::fs::write(file, text).expect("written");
}

async fn all(session: &Session) -> Vec<String> {
    let mut found = rows(session, "SELECT * FROM t").await;
    found.sort();
    found
}

async fn prepare(session: &Session, directory: &Path) -> String {
    rows(session, "CREATE TABLE t (id INT, v STRING)").await;
    let folder = directory.join("in");
    write(&folder, "a.csv", "id,v\n1,one\n2,\n");
    write(&folder, "b.csv", "v,id\nthree,3\n");
    write(&folder, "_hidden.csv", "id,v\n99,no\n");
    folder.display().to_string()
}

const HEADER: &str = "FORMAT_OPTIONS ('header' = 'true')";

#[tokio::test]
async fn files_are_loaded_once_unless_they_are_forced() {
    let (directory, _engine, session) = open().await;
    let folder = prepare(&session, directory.path()).await;
    let copy = format!("COPY INTO t FROM '{folder}' FILEFORMAT = CSV {HEADER}");
    assert_eq!(rows(&session, &copy).await, ["3|3|0"]);
    assert_eq!(all(&session).await, ["1|one", "2|NULL", "3|three"]);
    write(Path::new(&folder), "a.csv", "id,v\n1,changed\n");
    assert_eq!(rows(&session, &copy).await, ["0|0|0"]);
    write(Path::new(&folder), "c.csv", "id,v\n4,four\n");
    assert_eq!(rows(&session, &copy).await, ["1|1|0"]);
    let forced = format!("{copy} COPY_OPTIONS ('force' = 'true')");
    assert_eq!(rows(&session, &forced).await, ["3|3|0"]);
    assert_eq!(rows(&session, &copy).await, ["0|0|0"]);
    let history = rows(&session, "DESCRIBE HISTORY t").await;
    assert!(history[0].contains("COPY INTO"), "{history:?}");
}

#[test_case("FILES = ('a.csv')", &["1|one", "2|NULL"]; "one file")]
#[test_case("FILES = ('a.csv', '/a.csv', 'b.csv')", &["1|one", "2|NULL", "3|three"]; "a file twice")]
#[test_case("PATTERN = '[b-z]*.csv'", &["3|three"]; "pattern")]
#[test_case("PATTERN = '*.json'", &[]; "pattern without files")]
#[tokio::test]
async fn some_files_are_loaded(which: &str, expected: &[&str]) {
    let (directory, _engine, session) = open().await;
    let folder = prepare(&session, directory.path()).await;
    rows(
        &session,
        &format!("COPY INTO t FROM '{folder}' FILEFORMAT = CSV {which} {HEADER}"),
    )
    .await;
    assert_eq!(all(&session).await, expected);
    rows(
        &session,
        &format!("COPY INTO t FROM '{folder}/' FILEFORMAT = CSV {HEADER}"),
    )
    .await;
    assert_eq!(all(&session).await, ["1|one", "2|NULL", "3|three"]);
}

#[tokio::test]
async fn a_query_over_the_files_makes_the_rows() {
    let (directory, _engine, session) = open().await;
    rows(&session, "CREATE TABLE t (id INT, v STRING)").await;
    let folder = directory.path().join("in");
    write(&folder, "a.csv", "1;one\n2;two\n");
    let folder = folder.display();
    let copy = format!(
        "COPY INTO t FROM (SELECT _c1 AS v, cast(_c0 AS INT) * 10 AS id FROM '{folder}' WHERE _c0 > '1') \
         FILEFORMAT = csv FORMAT_OPTIONS ('delimiter' = ';')"
    );
    assert_eq!(rows(&session, &copy).await, ["1|1|0"]);
    assert_eq!(all(&session).await, ["20|two"]);
    assert_eq!(rows(&session, &copy).await, ["0|0|0"]);
    write(directory.path(), "in/b.csv", "5;five\n");
    let copy =
        format!("COPY INTO t BY POSITION FROM '{folder}' FILEFORMAT = CSV FORMAT_OPTIONS ('sep' = ';')");
    assert_eq!(rows(&session, &copy).await, ["1|1|0"]);
    assert_eq!(all(&session).await, ["20|two", "5|five"]);
}

#[tokio::test]
async fn json_and_parquet_are_loaded_by_name() {
    let (directory, _engine, session) = open().await;
    rows(
        &session,
        "CREATE TABLE t (id INT, v STRING) TBLPROPERTIES ('delta.checkpointInterval' = '2')",
    )
    .await;
    let folder = directory.path().join("in");
    write(
        &folder,
        "a.json",
        "{\"v\":\"one\",\"id\":1}\n{\"id\":2,\"w\":[1,2]}\n",
    );
    let copy = format!("COPY INTO t FROM '{}' FILEFORMAT = JSON", folder.display());
    let error = try_rows(&session, &copy).await.expect_err("an unknown column");
    assert_eq!(
        error.condition(),
        Some("INCOMPATIBLE_DATA_FOR_TABLE.EXTRA_COLUMNS")
    );
    let merged = format!("{copy} COPY_OPTIONS ('mergeSchema' = 'true')");
    assert_eq!(rows(&session, &merged).await, ["2|2|0"]);
    assert_eq!(all(&session).await, ["1|one|NULL", "2|NULL|[1, 2]"]);
    let other = directory.path().join("other");
    rows(
        &session,
        &format!(
            "CREATE TABLE p (id BIGINT, v STRING) LOCATION '{}'",
            other.display()
        ),
    )
    .await;
    rows(&session, "INSERT INTO p VALUES (7, 'seven')").await;
    let copy = format!(
        "COPY INTO t FROM '{}' FILEFORMAT = PARQUET PATTERN = '*.parquet'",
        other.display()
    );
    assert_eq!(rows(&session, &copy).await, ["1|1|0"]);
    assert_eq!(rows(&session, &copy).await, ["0|0|0"]);
    assert_eq!(rows(&session, "SELECT v FROM t WHERE id = 7").await, ["seven"]);
}

#[test_case("FILEFORMAT = AVRO", "UNSUPPORTED_FEATURE"; "a format that is not read")]
#[test_case("", "PARSE_SYNTAX_ERROR"; "no format")]
#[test_case("FILEFORMAT = CSV FILES = ('nope.csv')", "PATH_NOT_FOUND"; "a file that is not there")]
#[test_case("FILEFORMAT = CSV FILES = ('a.csv') PATTERN = '*'", "PARSE_SYNTAX_ERROR"; "files and pattern")]
#[test_case("FILEFORMAT = CSV FORMAT_OPTIONS ('heder' = 'true')", "INVALID_PARAMETER_VALUE"; "an unknown option")]
#[test_case("FILEFORMAT = CSV FORMAT_OPTIONS ('ignoreCorruptFiles' = 'true')", "UNSUPPORTED_FEATURE"; "what is not done")]
#[test_case("FILEFORMAT = JSON FORMAT_OPTIONS ('multiLine' = 'true')", "UNSUPPORTED_FEATURE"; "objects over lines")]
#[test_case("FILEFORMAT = CSV COPY_OPTIONS ('forse' = 'true')", "INVALID_PARAMETER_VALUE"; "an unknown copy option")]
#[test_case("FILEFORMAT = CSV COPY_OPTIONS ('force' = 'maybe')", "INVALID_PARAMETER_VALUE"; "neither true nor false")]
#[test_case("FILEFORMAT = CSV VALIDATE ALL FORMAT_OPTIONS ('header' = 'true') FILES = ('bad.csv')", "CAST_INVALID_INPUT"; "a value that is none, before it is loaded")]
#[test_case("FILEFORMAT = CSV FORMAT_OPTIONS ('header' = 'true') FILES = ('bad.csv')", "CAST_INVALID_INPUT"; "a value that is none")]
#[tokio::test]
async fn what_cannot_be_loaded_is_refused_and_not_remembered(clauses: &str, condition: &str) {
    let (directory, _engine, session) = open().await;
    let folder = prepare(&session, directory.path()).await;
    write(Path::new(&folder), "bad.csv", "id,v\n6,ok\nx,bad\n");
    let statement = format!("COPY INTO t FROM '{folder}' {clauses}");
    let error = try_rows(&session, &statement).await.expect_err("refused");
    assert_eq!(error.condition(), Some(condition), "{error}");
    assert!(all(&session).await.is_empty());
    write(Path::new(&folder), "bad.csv", "id,v\n6,ok\n");
    let copy = format!("COPY INTO t FROM '{folder}' FILEFORMAT = CSV {HEADER}");
    assert_eq!(rows(&session, &copy).await, ["4|4|0"]);
}

/// Loads of two processes, of which each has a registry of its own, and new columns in between.
#[tokio::test]
async fn loads_at_once_never_load_a_file_twice() {
    let (directory, engine, session) = open().await;
    rows(&session, "CREATE TABLE t (id INT)").await;
    let other = support::engine(directory.path()).await;
    let folder = directory.path().join("in");
    let mut expected = 0;
    for round in 0..6 {
        for file in 0..3 {
            write(
                &folder,
                &format!("{round}-{file}.json"),
                &format!("{{\"id\":{expected},\"c{round}\":1}}\n"),
            );
            expected += 1;
        }
        let copy = format!(
            "COPY INTO t FROM '{}' FILEFORMAT = JSON COPY_OPTIONS ('mergeSchema' = 'true')",
            folder.display()
        );
        let sessions = [&engine, &other, &engine, &other].map(support::session);
        let loads = sessions.iter().map(|session| rows(session, &copy));
        let counts = futures::future::join_all(loads).await;
        let total: i64 = counts
            .iter()
            .filter_map(|counts| counts[0].split('|').next()?.parse::<i64>().ok())
            .sum();
        assert_eq!(total, 3, "round {round}: {counts:?}");
    }
    let found = rows(&session, "SELECT count(*), count(DISTINCT id), count(c5) FROM t").await;
    assert_eq!(found, [format!("{expected}|{expected}|3")]);
    let log = directory.path().join("tables");
    assert!(entries(&log) <= 6, "entries are merged: {}", entries(&log));
}

/// Counts the entries of loads below a folder.
fn entries(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            count += entries(&path);
        } else if path
            .parent()
            .is_some_and(|folder| folder.ends_with("_copy_into_log"))
        {
            count += 1;
        }
    }
    count
}

#[tokio::test]
async fn a_load_that_stopped_before_its_commit_counts_for_nothing() {
    let (directory, _engine, session) = open().await;
    let folder = prepare(&session, directory.path()).await;
    let copy = format!("COPY INTO t FROM '{folder}' FILEFORMAT = CSV {HEADER}");
    let location = session
        .open_table(&session.resolve(&object_name("t")).expect("a name"))
        .await
        .expect("table")
        .1
        .location()
        .to_file_path()
        .expect("a folder");
    let left = location.join("_delta_log/_copy_into_log/00000000000000000001.json");
    std::fs::create_dir_all(left.parent().expect("folder")).expect("folder");
    std::fs::write(
        &left,
        format!("{{\"total\":1,\"files\":[\"file://{folder}/a.csv\"]}}"),
    )
    .expect("written");
    assert_eq!(rows(&session, &copy).await, ["3|3|0"]);
    assert_eq!(rows(&session, &copy).await, ["0|0|0"]);
    // An entry that counts and is gone is not taken for none.
    std::fs::remove_file(location.join("_delta_log/_copy_into_log/00000000000000000002.json"))
        .expect("removed");
    let error = try_rows(&session, &copy)
        .await
        .expect_err("what was loaded is unknown");
    assert!(error.to_string().contains("entry 2"), "{error}");
    assert_eq!(all(&session).await.len(), 3);
}

fn object_name(name: &str) -> datafusion::sql::sqlparser::ast::ObjectName {
    datafusion::sql::sqlparser::ast::ObjectName::from(vec![datafusion::sql::sqlparser::ast::Ident::new(name)])
}

#[tokio::test]
async fn lines_of_text_are_loaded_once() {
    let (directory, _engine, session) = open().await;
    rows(&session, "CREATE TABLE t (value STRING, line INT)").await;
    let folder = directory.path().join("text");
    write(&folder, "a.txt", "one\r\n\n\"three");
    write(&folder, "b.txt", "7\n");
    let folder = folder.display();
    let copy = format!("COPY INTO t FROM '{folder}' FILEFORMAT = TEXT PATTERN = 'a*'");
    assert_eq!(rows(&session, &copy).await, ["3|3|0"]);
    assert_eq!(rows(&session, &copy).await, ["0|0|0"]);
    let numbers = format!(
        "COPY INTO t FROM (SELECT value AS line FROM '{folder}') FILEFORMAT = TEXT FILES = ('b.txt')"
    );
    assert_eq!(rows(&session, &numbers).await, ["1|1|0"]);
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY coalesce(line, 0), value").await,
        ["|NULL", "\"three|NULL", "one|NULL", "NULL|7"]
    );
    let read = format!("SELECT count(*), count(value) FROM read_files('{folder}', format => 'text')");
    assert_eq!(rows(&session, &read).await, ["4|4"]);
    let named = format!("SELECT l FROM read_files('{folder}/b.txt', schema => 'l STRING')");
    assert_eq!(rows(&session, &named).await, ["7"]);
}

#[tokio::test]
async fn a_validated_load_is_none() {
    let (directory, _engine, session) = open().await;
    let folder = prepare(&session, directory.path()).await;
    let copy = |validate: &str| format!("COPY INTO t FROM '{folder}' FILEFORMAT = CSV {validate} {HEADER}");
    let shown = rows(&session, &copy("VALIDATE")).await;
    let some = rows(&session, &copy("VALIDATE 1 ROWS")).await;
    assert!(shown.len() > 1, "{shown:?}");
    assert_eq!(some.len(), 1);
    assert!(all(&session).await.is_empty());
    assert_eq!(
        rows(&session, "SELECT count(*) FROM (DESCRIBE HISTORY t)").await,
        ["1"]
    );
    // Nothing is remembered of it.
    let loaded = rows(&session, &copy("")).await;
    assert_eq!(loaded, [format!("{0}|{0}|0", shown.len())]);
    assert!(rows(&session, &copy("VALIDATE ALL")).await.is_empty());
}
