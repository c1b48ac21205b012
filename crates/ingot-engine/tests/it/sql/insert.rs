//! INSERT in all its forms, and what becomes of the rows and columns that are there.

use test_case::test_case;

use super::*;

async fn table(session: &Session, columns: &str, partitions: &str, values: &str) {
    let partitions = match partitions {
        "" => String::new(),
        partitions => format!("PARTITIONED BY ({partitions})"),
    };
    rows(
        session,
        &format!("CREATE TABLE t ({columns}) USING DELTA {partitions}"),
    )
    .await;
    if !values.is_empty() {
        rows(session, &format!("INSERT INTO t VALUES {values}")).await;
    }
}

async fn all(session: &Session) -> Vec<String> {
    let mut found = rows(session, "SELECT * FROM t").await;
    found.sort();
    found
}

async fn refused(session: &Session, statement: &str) -> (String, String) {
    let error = try_rows(session, statement).await.expect_err("refused");
    (
        error.condition().unwrap_or_default().to_owned(),
        error.to_string(),
    )
}

/// The newest commit's operation parameters.
async fn last_parameters(session: &Session) -> String {
    let history = rows(session, "DESCRIBE HISTORY t").await;
    history.first().cloned().unwrap_or_default()
}

#[test_case("INSERT INTO t VALUES (3, 'c', 'z')"; "plain")]
#[test_case("INSERT INTO TABLE t SELECT 3, 'c', 'z'"; "word TABLE")]
#[test_case("INSERT INTO t (v, p, id) VALUES ('c', 'z', 3)"; "listed")]
#[test_case("INSERT INTO t BY NAME SELECT 'z' AS P, 3 AS id, 'c' AS v"; "by name")]
#[test_case("INSERT INTO t PARTITION (p = 'z') VALUES (3, 'c')"; "partition")]
#[test_case("INSERT INTO t PARTITION (p = 'z') (v, id) VALUES ('c', 3)"; "partition and list")]
#[test_case("INSERT INTO t PARTITION (p) SELECT 3, 'c', 'z'"; "partition without a value")]
#[test_case("INSERT INTO t PARTITION (p) BY NAME SELECT 'z' AS p, 3 AS id, 'c' AS v"; "partition by name")]
#[test_case("INSERT INTO t TABLE other"; "table")]
#[test_case("INSERT INTO t (TABLE other)"; "table in parentheses")]
#[test_case("INSERT INTO t (SELECT * FROM other)"; "query in parentheses")]
#[test_case("WITH w AS (SELECT * FROM other) INSERT INTO t SELECT * FROM w"; "cte before")]
#[test_case("INSERT INTO t WITH w AS (SELECT * FROM other) SELECT * FROM w"; "cte after")]
#[test_case("WITH w AS (TABLE other) INSERT INTO t WITH x AS (SELECT * FROM w) SELECT * FROM x"; "ctes before and after")]
#[tokio::test]
async fn rows_are_added(statement: &str) {
    let (_directory, _engine, session) = open().await;
    table(&session, "id INT, v STRING, p STRING", "p", "(1, 'a', 'x')").await;
    rows(
        &session,
        "CREATE TABLE other AS SELECT 3 AS id, 'c' AS v, 'z' AS p",
    )
    .await;
    // The word TABLE at the head of a common table expression is not DataFusion's to read.
    let statement = statement.replace("(TABLE other) INSERT", "(SELECT * FROM other) INSERT");
    assert_eq!(rows(&session, &statement).await, ["1|1"]);
    assert_eq!(all(&session).await, ["1|a|x", "3|c|z"]);
}

#[tokio::test]
async fn a_table_is_named_by_its_path() {
    let (directory, _engine, session) = open().await;
    let path = directory.path().join("elsewhere");
    let path = path.display();
    rows(&session, &format!("CREATE TABLE t (id INT) LOCATION '{path}'")).await;
    rows(&session, &format!("INSERT INTO delta.`{path}` VALUES (1)")).await;
    rows(
        &session,
        &format!("INSERT OVERWRITE delta.`{path}` VALUES (2), (3)"),
    )
    .await;
    assert_eq!(all(&session).await, ["2", "3"]);
}

#[tokio::test]
async fn default_stands_for_what_is_left_out() {
    let (_directory, _engine, session) = open().await;
    table(&session, "id INT, v STRING", "", "").await;
    rows(
        &session,
        "INSERT INTO t VALUES (1, DEFAULT), (2, 'b'), (DEFAULT, 'c')",
    )
    .await;
    rows(&session, "INSERT INTO t (v, id) VALUES (DEFAULT, 3)").await;
    rows(&session, "INSERT INTO t VALUES (DEFAULT, default)").await;
    assert_eq!(
        all(&session).await,
        ["1|NULL", "2|b", "3|NULL", "NULL|NULL", "NULL|c"]
    );
}

#[test_case("INSERT INTO t VALUES (1)", "INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS"; "too few")]
#[test_case("INSERT INTO t VALUES (1, 'a', 'b', 4)", "INSERT_COLUMN_ARITY_MISMATCH.TOO_MANY_DATA_COLUMNS"; "too many")]
#[test_case("INSERT INTO t (id, v) VALUES (1)", "INSERT_COLUMN_ARITY_MISMATCH"; "other than the list")]
#[test_case("INSERT INTO t (id, ID) VALUES (1, 2)", "INSERT_COLUMN_ARITY_MISMATCH"; "listed twice")]
#[test_case("INSERT INTO t (id, w) VALUES (1, 2)", "INCOMPATIBLE_DATA_FOR_TABLE.EXTRA_COLUMNS"; "listed and unknown")]
#[test_case("INSERT INTO t BY NAME SELECT 1 AS w", "INCOMPATIBLE_DATA_FOR_TABLE.EXTRA_COLUMNS"; "unknown by name")]
#[test_case("INSERT INTO t PARTITION (id = 1) VALUES ('a', 'b')", "NON_PARTITION_COLUMN"; "no partition column")]
#[test_case("INSERT INTO t PARTITION (p = 'a') (p, id) VALUES ('a', 1)", "INCOMPATIBLE_DATA_FOR_TABLE.AMBIGUOUS_COLUMN_NAME"; "partition and list say the same")]
#[test_case("INSERT INTO t PARTITION (p = id) VALUES (1, 'a')", "UNRESOLVED_COLUMN.WITH_SUGGESTION"; "a partition value with a column")]
#[test_case("INSERT OVERWRITE t REPLACE WHERE id = 1 VALUES (1, 'a', 'b')", "PARSE_SYNTAX_ERROR"; "overwrite and replace")]
#[test_case("INSERT INTO t (id) BY NAME SELECT 1 AS id", "PARSE_SYNTAX_ERROR"; "list and by name")]
#[test_case("INSERT INTO t REPLACE WHERE nope = 1 VALUES (1, 'a', 'b')", "UNRESOLVED_COLUMN.WITH_SUGGESTION"; "unknown in the predicate")]
#[test_case("INSERT INTO t REPLACE WHERE id VALUES (1, 'a', 'b')", "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN"; "no truth value")]
#[test_case("INSERT INTO t REPLACE WHERE rand() < 2 VALUES (1, 'a', 'b')", "UNSUPPORTED_FEATURE"; "not the same each time")]
#[test_case("INSERT INTO t REPLACE WHERE id IN (SELECT 1) VALUES (1, 'a', 'b')", "UNSUPPORTED_FEATURE"; "subquery")]
#[test_case("INSERT INTO t REPLACE USING (nope) VALUES (1, 'a', 'b')", "UNRESOLVED_INSERT_REPLACE_USING_COLUMN"; "unknown to use")]
#[test_case("INSERT INTO t AS a REPLACE ON (id = b.id) (SELECT 1 AS id, 'a' AS v, 'b' AS p) AS b", "AMBIGUOUS_REFERENCE"; "ambiguous")]
#[test_case("INSERT INTO t AS a REPLACE ON (a.x = b.id) (SELECT 1 AS id, 'a' AS v, 'b' AS p) AS b", "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"; "unknown to meet")]
#[tokio::test]
async fn what_does_not_fit_is_refused(statement: &str, condition: &str) {
    let (_directory, _engine, session) = open().await;
    table(&session, "id INT, v STRING, p STRING", "p", "(1, 'a', 'x')").await;
    assert_eq!(refused(&session, statement).await.0, condition);
    assert_eq!(all(&session).await, ["1|a|x"]);
}

#[test_case("static", "INSERT OVERWRITE t VALUES (9, 'n', 'y')", &["9|n|y"]; "static takes all")]
#[test_case("static", "INSERT OVERWRITE t PARTITION (p = 'y') VALUES (9, 'n')", &["1|a|x", "3|c|NULL", "9|n|y"]; "static partition")]
#[test_case("static", "INSERT OVERWRITE t PARTITION (p = NULL) VALUES (9, 'n')", &["1|a|x", "2|b|y", "9|n|NULL"]; "static null")]
#[test_case("static", "INSERT OVERWRITE TABLE t PARTITION (p) VALUES (9, 'n', 'y')", &["9|n|y"]; "static without a value")]
#[test_case("static", "INSERT OVERWRITE t PARTITION (p = 'y') SELECT 1, 'a' WHERE false", &["1|a|x", "3|c|NULL"]; "static partition, no rows")]
#[test_case("dynamic", "INSERT OVERWRITE t VALUES (9, 'n', 'y'), (8, 'm', 'new')", &["1|a|x", "3|c|NULL", "8|m|new", "9|n|y"]; "dynamic")]
#[test_case("dynamic", "INSERT OVERWRITE t PARTITION (p) BY NAME SELECT 9 AS id, 'n' AS v, NULL AS p", &["1|a|x", "2|b|y", "9|n|NULL"]; "dynamic null")]
#[test_case("DYNAMIC", "INSERT OVERWRITE t PARTITION (p = 'x') VALUES (9, 'n')", &["2|b|y", "3|c|NULL", "9|n|x"]; "dynamic with a value")]
#[test_case("dynamic", "INSERT OVERWRITE t SELECT * FROM t WHERE false", &["1|a|x", "2|b|y", "3|c|NULL"]; "dynamic, no rows")]
#[test_case("dynamic", "INSERT OVERWRITE t SELECT id + 1, v, p FROM t WHERE p = 'x'", &["2|a|x", "2|b|y", "3|c|NULL"]; "dynamic from itself")]
#[tokio::test]
async fn partitions_are_overwritten(mode: &str, statement: &str, expected: &[&str]) {
    let (_directory, _engine, session) = open().await;
    table(
        &session,
        "id INT, v STRING, p STRING",
        "p",
        "(1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', NULL)",
    )
    .await;
    rows(
        &session,
        &format!("SET spark.sql.sources.partitionOverwriteMode = {mode}"),
    )
    .await;
    rows(&session, statement).await;
    assert_eq!(all(&session).await, expected);
}

#[test_case("STRING", &["'a/b'", "'50%'", "'x=y'", "'ü \"q\"'", "'it\\'s'", "' '"]; "texts")]
#[test_case("DOUBLE", &["1.5", "cast('NaN' as double)", "-0.1"]; "doubles")]
#[test_case("TIMESTAMP", &["timestamp'2024-02-29 12:34:56.789012'", "timestamp'1969-12-31 23:59:59.9'"]; "timestamps")]
#[test_case("DECIMAL(10,2)", &["-0.05", "12345678.90"]; "decimals")]
#[test_case("BOOLEAN", &["true", "false"]; "booleans")]
#[tokio::test]
async fn partition_values_of_every_kind_are_replaced(data_type: &str, values: &[&str]) {
    let (_directory, _engine, session) = open().await;
    table(&session, &format!("id INT, p {data_type}"), "p", "").await;
    for (id, value) in values.iter().enumerate() {
        rows(
            &session,
            &format!("INSERT INTO t PARTITION (p = {value}) VALUES ({id})"),
        )
        .await;
    }
    rows(&session, "SET spark.sql.sources.partitionOverwriteMode = dynamic").await;
    for (id, value) in values.iter().enumerate() {
        rows(
            &session,
            &format!("INSERT OVERWRITE t SELECT {id} + 100, {value}"),
        )
        .await;
    }
    rows(&session, "SET spark.sql.sources.partitionOverwriteMode = static").await;
    let last = values.last().expect("a value");
    rows(
        &session,
        &format!("INSERT OVERWRITE t PARTITION (p = {last}) VALUES (1000)"),
    )
    .await;
    let ids = rows(&session, "SELECT id FROM t ORDER BY id").await;
    let mut expected: Vec<String> = (100..100 + values.len() - 1).map(|id| id.to_string()).collect();
    expected.push("1000".to_owned());
    assert_eq!(ids, expected);
}

#[test_case("p = 'x'", "(8, 'm', 'x')", &["2|b|x2", "3|c|NULL", "8|m|x"]; "a partition")]
#[test_case("P IS NULL", "(8, 'm', NULL)", &["1|a|x", "2|b|x2", "8|m|NULL"]; "the null partition")]
#[test_case("substring(p, 1, 1) = 'x'", "(8, 'm', 'xx')", &["3|c|NULL", "8|m|xx"]; "a function of the partition")]
#[test_case("id >= 2", "(8, 'm', 'x')", &["1|a|x", "8|m|x"]; "rows")]
#[test_case("p = 'x' AND id >= 2", "(8, 'm', 'x')", &["1|a|x", "2|b|x2", "3|c|NULL", "8|m|x"]; "nothing matches")]
#[test_case("v = 'a' OR id = 3", "(3, 'c2', 'x')", &["2|b|x2", "3|c2|x"]; "rows here and there")]
#[test_case("true", "(8, 'm', 'x')", &["8|m|x"]; "everything")]
#[test_case("p = 'none'", "(8, 'm', 'none')", &["1|a|x", "2|b|x2", "3|c|NULL", "8|m|none"]; "a new partition")]
#[tokio::test]
async fn rows_are_replaced_where_they_match(predicate: &str, values: &str, expected: &[&str]) {
    let (_directory, _engine, session) = open().await;
    table(
        &session,
        "id INT, v STRING, p STRING",
        "p",
        "(1, 'a', 'x'), (2, 'b', 'x2'), (3, 'c', NULL)",
    )
    .await;
    let counts = rows(
        &session,
        &format!("INSERT INTO t REPLACE WHERE {predicate} VALUES {values}"),
    )
    .await;
    assert_eq!(counts, ["1|1"]);
    assert_eq!(all(&session).await, expected);
    let parameters = last_parameters(&session).await;
    assert!(
        parameters.contains("predicate") && parameters.contains("Overwrite"),
        "{parameters}"
    );
}

#[test_case("p = 'x'", "(8, 'm', 'y')"; "another partition")]
#[test_case("p = 'x'", "(8, 'm', NULL)"; "a null partition")]
#[test_case("id > 5", "(8, 'm', 'x'), (5, 'm', 'x')"; "one of two")]
#[test_case("id > 5", "(NULL, 'm', 'x')"; "neither true nor false")]
#[test_case("id > 5", "(6.4, 'm', 'x'), (5.9, 'n', 'x')"; "what is stored counts")]
#[tokio::test]
async fn rows_outside_of_the_predicate_are_refused(predicate: &str, values: &str) {
    let (directory, _engine, session) = open().await;
    table(&session, "id INT, v STRING, p STRING", "p", "(1, 'a', 'x')").await;
    let before = data_files(directory.path());
    let statement = format!("INSERT INTO t REPLACE WHERE {predicate} VALUES {values}");
    let (condition, message) = refused(&session, &statement).await;
    assert_eq!(condition, "DELTA_REPLACE_WHERE_MISMATCH", "{message}");
    assert_eq!(all(&session).await, ["1|a|x"]);
    assert_eq!(
        data_files(directory.path()),
        before,
        "files of a write that was refused"
    );
}

fn data_files(directory: &std::path::Path) -> usize {
    let mut folders = vec![directory.to_owned()];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("folder") {
            let entry = entry.expect("entry");
            if entry.file_type().expect("type").is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|ending| ending == "parquet") {
                count += 1;
            }
        }
    }
    count
}

#[tokio::test]
async fn rows_that_stay_beside_replaced_ones_are_copied_once() {
    let (_directory, _engine, session) = open().await;
    table(&session, "id INT, v STRING", "", "").await;
    let digits = "(VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))";
    let thousand = format!("{digits} AS a(v), {digits} AS b(v), {digits} AS c(v)");
    for first in [0, 1000] {
        let ids = format!("SELECT {first} + 100 * a.v + 10 * b.v + c.v, 'old' FROM {thousand}");
        rows(&session, &format!("INSERT INTO t {ids}")).await;
    }
    rows(
        &session,
        "INSERT INTO t REPLACE WHERE id >= 10 AND id < 20 SELECT 10, 'new'",
    )
    .await;
    let found = rows(
        &session,
        "SELECT count(*), count(DISTINCT id), count(CASE WHEN v = 'new' THEN 1 END) FROM t",
    )
    .await;
    assert_eq!(found, ["1991|1991|1"]);
    let history = last_parameters(&session).await;
    for metric in ["numDeletedRows: 10", "numOutputRows: 1"] {
        assert!(history.contains(metric), "{metric} in {history}");
    }
}

#[test_case("INSERT INTO t REPLACE USING (id) VALUES (1, 'n', 'y'), (9, 'm', 'z')", &["1|n|y", "2|b|x", "9|m|z", "NULL|c|NULL"]; "a column")]
#[test_case("INSERT INTO t REPLACE USING (id) VALUES (NULL, 'n', 'y')", &["1|a|x", "2|b|x", "NULL|c|NULL", "NULL|n|y"]; "null is no value")]
#[test_case("INSERT INTO t REPLACE USING (P) VALUES (9, 'n', 'x'), (8, 'n', NULL)", &["8|n|NULL", "9|n|x", "NULL|c|NULL"]; "a partition column")]
#[test_case("INSERT INTO t REPLACE USING (id, p) VALUES (1, 'n', 'y'), (2, 'n', 'x')", &["1|a|x", "1|n|y", "2|n|x", "NULL|c|NULL"]; "columns")]
#[test_case("INSERT INTO t BY NAME REPLACE USING (id) SELECT 'n' AS v, 2 AS id", &["1|a|x", "2|n|NULL", "NULL|c|NULL"]; "by name")]
#[test_case("INSERT INTO t AS o REPLACE ON (o.id <=> n.id) (SELECT cast(NULL as int) AS id, 'n' AS v, 'y' AS p) AS n", &["1|a|x", "2|b|x", "NULL|n|y"]; "nulls meet")]
#[test_case("INSERT INTO t o REPLACE ON (o.id < n.k) (SELECT 2 AS k, 'n' AS v, 'y' AS p) n", &["2|b|x", "2|n|y", "NULL|c|NULL"]; "less, under the query's name")]
#[test_case("INSERT INTO t REPLACE ON (T.id = s.id) (SELECT 2 AS id, 'n' AS v, 'y' AS p) AS s", &["1|a|x", "2|n|y", "NULL|c|NULL"]; "the table by its name")]
#[test_case("INSERT INTO t AS o REPLACE ON (o.p = s.p) (SELECT * FROM t WHERE false) AS s", &["1|a|x", "2|b|x", "NULL|c|NULL"]; "no rows")]
#[tokio::test]
async fn rows_that_meet_new_ones_are_replaced(statement: &str, expected: &[&str]) {
    let (_directory, _engine, session) = open().await;
    table(
        &session,
        "id INT, v STRING, p STRING",
        "p",
        "(1, 'a', 'x'), (2, 'b', 'x'), (NULL, 'c', NULL)",
    )
    .await;
    rows(&session, statement).await;
    assert_eq!(all(&session).await, expected);
}

#[tokio::test]
async fn columns_that_the_table_lacks_are_added() {
    let (_directory, _engine, session) = open().await;
    table(
        &session,
        "id INT, s STRUCT<a: INT>",
        "",
        "(1, named_struct('a', 1))",
    )
    .await;
    let id = rows(&session, "DESCRIBE DETAIL t").await;
    let statement = "INSERT WITH SCHEMA EVOLUTION INTO t BY NAME \
                     SELECT 2 AS id, named_struct('b', 'x', 'a', 2) AS s, date'2024-01-01' AS d";
    rows(&session, statement).await;
    let found = rows(&session, "SELECT id, s.a, s.b, d FROM t ORDER BY id").await;
    assert_eq!(found, ["1|1|NULL|NULL", "2|2|x|2024-01-01"]);
    rows(
        &session,
        "INSERT WITH SCHEMA EVOLUTION INTO t SELECT 3, named_struct('a', 3, 'b', 'y'), NULL, 'e' AS e",
    )
    .await;
    let found = rows(&session, "SELECT id, s.b, e FROM t ORDER BY id").await;
    assert_eq!(found, ["1|NULL|NULL", "2|x|NULL", "3|y|e"]);
    let table_id = |detail: &[String]| {
        detail
            .first()
            .and_then(|row| row.split('|').nth(1).map(str::to_owned))
    };
    assert_eq!(
        table_id(&rows(&session, "DESCRIBE DETAIL t").await),
        table_id(&id)
    );
    rows(
        &session,
        "SET spark.databricks.delta.schema.autoMerge.enabled = true",
    )
    .await;
    rows(
        &session,
        "INSERT INTO t BY NAME SELECT timestamp_ntz'2024-01-01 00:00:00' AS n",
    )
    .await;
    assert_eq!(rows(&session, "SELECT count(n) FROM t").await, ["1"]);
}

#[test_case("INSERT WITH SCHEMA EVOLUTION INTO t BY NAME SELECT 1 AS s", "DELTA_FAILED_TO_MERGE_FIELDS", "`s`"; "a number for a struct")]
#[test_case("INSERT WITH SCHEMA EVOLUTION INTO t BY NAME SELECT named_struct('a', named_struct('x', 1)) AS s", "DELTA_FAILED_TO_MERGE_FIELDS", "`s.a`"; "deeper")]
#[test_case("INSERT WITH SCHEMA EVOLUTION INTO t BY NAME SELECT named_struct('a', date'2024-01-01') AS s", "INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST", "`s.a`"; "a date for a number")]
#[test_case("INSERT WITH SCHEMA EVOLUTION INTO t BY NAME SELECT NULL AS z", "", "`z`"; "a column without a type")]
#[test_case("INSERT INTO t BY NAME SELECT named_struct('b', 1) AS s", "INCOMPATIBLE_DATA_FOR_TABLE.EXTRA_STRUCT_FIELDS", "`s.b`"; "not asked for")]
#[tokio::test]
async fn types_that_do_not_fit_are_refused_with_their_path(statement: &str, condition: &str, path: &str) {
    let (_directory, _engine, session) = open().await;
    table(&session, "id INT, s STRUCT<a: INT>", "", "").await;
    let (found, message) = refused(&session, statement).await;
    assert_eq!(found, condition, "{message}");
    assert!(message.contains(path), "{message}");
}

#[tokio::test]
async fn a_version_of_an_application_is_written_once() {
    let (_directory, engine, session) = open().await;
    table(&session, "id INT", "", "").await;
    rows(&session, "SET spark.databricks.delta.write.txnAppId = job").await;
    let (condition, _) = refused(&session, "INSERT INTO t VALUES (1)").await;
    assert_eq!(condition, "DELTA_INVALID_IDEMPOTENT_WRITES_OPTIONS");
    rows(&session, "SET spark.databricks.delta.write.txnVersion = 5").await;
    assert_eq!(rows(&session, "INSERT INTO t VALUES (1)").await, ["1|1"]);
    for again in ["INSERT INTO t VALUES (1)", "INSERT OVERWRITE t VALUES (2)"] {
        assert_eq!(rows(&session, again).await, ["0|0"]);
    }
    rows(&session, "SET spark.databricks.delta.write.txnVersion = 4").await;
    assert_eq!(rows(&session, "INSERT INTO t VALUES (3)").await, ["0|0"]);
    rows(&session, "SET spark.databricks.delta.write.txnVersion = 6").await;
    rows(
        &session,
        "SET spark.databricks.delta.write.txnVersion.autoReset.enabled = true",
    )
    .await;
    assert_eq!(rows(&session, "INSERT INTO t VALUES (4)").await, ["1|1"]);
    let left = rows(&session, "SET spark.databricks.delta.write.txnVersion").await;
    assert_eq!(left, ["spark.databricks.delta.write.txnVersion|<undefined>"]);
    assert_eq!(all(&new_session(&engine)).await, ["1", "4"]);
}

#[tokio::test]
async fn a_version_of_an_application_changes_rows_once() {
    let (_directory, engine, session) = open().await;
    table(&session, "id INT", "", "").await;
    rows(&session, "INSERT INTO t VALUES (1), (2), (3)").await;
    rows(&session, "SET spark.databricks.delta.write.txnAppId = job").await;
    let delete = |id: i32| format!("DELETE FROM t WHERE id = {id}");
    let update = "UPDATE t SET id = 9 WHERE id = 77".to_owned();
    let merge =
        |id: i32| format!("MERGE INTO t USING (SELECT {id} AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE");
    for (version, statement, expected) in [
        (1, delete(1), "1"),
        (1, delete(2), "0"),
        // Finds nothing, and does not do it later either.
        (2, update.clone(), "0"),
        (2, update.clone(), "0"),
        (3, merge(2), "1|0|1|0"),
        (3, merge(3), "0|0|0|0"),
    ] {
        let set = format!("SET spark.databricks.delta.write.txnVersion = {version}");
        rows(&session, &set).await;
        assert_eq!(rows(&session, &statement).await, [expected], "{statement}");
        if version == 2 {
            rows(&new_session(&engine), "INSERT OVERWRITE t VALUES (2), (3), (77)").await;
        }
    }
    assert_eq!(all(&new_session(&engine)).await, ["3", "77"]);
}

#[tokio::test]
async fn a_remark_stands_in_the_history_until_it_is_reset() {
    let (_directory, _engine, session) = open().await;
    table(&session, "id INT", "", "").await;
    rows(
        &session,
        "SET spark.databricks.delta.commitInfo.userMetadata = 'for the audit'",
    )
    .await;
    rows(&session, "INSERT INTO t VALUES (1)").await;
    assert!(last_parameters(&session).await.contains("for the audit"));
    for statement in [
        "UPDATE t SET id = 2",
        "MERGE INTO t USING (SELECT 3 AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *",
        "DELETE FROM t WHERE id = 3",
        "ALTER TABLE t SET TBLPROPERTIES ('mine' = 'x')",
    ] {
        rows(&session, statement).await;
        assert!(
            last_parameters(&session).await.contains("for the audit"),
            "{statement}"
        );
    }
    rows(&session, "RESET spark.databricks.delta.commitInfo.userMetadata").await;
    rows(&session, "INSERT INTO t VALUES (1)").await;
    assert!(!last_parameters(&session).await.contains("for the audit"));
}

#[test_case("", 3; "a table")]
#[test_case("PARTITIONED BY (p)", 4; "a partition, and not the other")]
#[tokio::test]
async fn small_files_are_packed_after_commits(partitions: &str, more: usize) {
    let (_directory, engine, session) = open().await;
    rows(
        &session,
        &format!("CREATE TABLE t (id INT, p STRING) {partitions} TBLPROPERTIES ('delta.autoOptimize.autoCompact' = 'true')"),
    )
    .await;
    rows(&session, "SET spark.databricks.delta.autoCompact.minNumFiles = 4").await;
    rows(&session, "INSERT INTO t VALUES (0, 'other')").await;
    for id in 1..=more {
        let files = live_files(&session).await;
        assert_eq!(files, id, "none is packed before there are enough");
        rows(&session, &format!("INSERT INTO t VALUES ({id}, 'p')")).await;
        assert!(engine.compactions_ended(std::time::Duration::from_secs(60)).await);
    }
    let left = live_files(&session).await;
    assert_eq!(left, if partitions.is_empty() { 1 } else { 2 });
    assert_eq!(
        rows(&session, "SELECT count(DISTINCT id) FROM t").await,
        [(more + 1).to_string()]
    );
    let history = last_parameters(&session).await;
    assert!(
        history.contains("OPTIMIZE") && history.contains("auto: true"),
        "{history}"
    );
    rows(&session, "SET spark.databricks.delta.autoCompact.enabled = false").await;
    for id in 5..=10 {
        rows(&session, &format!("INSERT INTO t VALUES ({id}, 'p')")).await;
    }
    assert!(engine.compactions_ended(std::time::Duration::from_secs(60)).await);
    assert_eq!(live_files(&session).await, left + 6);
}

async fn live_files(session: &Session) -> usize {
    let detail = batches(session, "DESCRIBE DETAIL t").await.expect("detail");
    let column = detail[0].column_by_name("numFiles").expect("a count");
    let formatter = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::new()).expect("printable");
    formatter.value(0).to_string().parse().expect("a number")
}

/// Rows of many partitions make a file each where writes are optimised, however they come.
#[tokio::test]
async fn optimised_writes_make_few_files() {
    let (_directory, _engine, session) = open().await;
    let digits = "(VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))";
    let many = format!(
        "SELECT 100 * a.v + 10 * b.v + c.v, (10 * c.v + b.v) * 2 + a.v % 2 \
         FROM {digits} AS a(v), {digits} AS b(v), {digits} AS c(v)"
    );
    table(&session, "id INT, p INT", "p", "").await;
    rows(
        &session,
        "SET spark.databricks.delta.optimizeWrite.enabled = true",
    )
    .await;
    rows(&session, &format!("INSERT INTO t {many}")).await;
    assert_eq!(live_files(&session).await, 200);
    let found = rows(
        &session,
        "SELECT count(DISTINCT id), count(DISTINCT p), sum(id) FROM t",
    )
    .await;
    assert_eq!(found, ["1000|200|499500"]);
}

/// Runs statements at the same time, in turn on two engines that know nothing of each other.
async fn at_once(engines: [&Engine; 2], statements: &[String]) -> Vec<Result<Vec<String>>> {
    let sessions: Vec<Session> = (0..statements.len())
        .map(|number| support::session(engines[number % 2]))
        .collect();
    let runs = sessions
        .iter()
        .zip(statements)
        .map(|(session, statement)| try_rows(session, statement));
    futures::future::join_all(runs).await
}

fn assert_all_ran(outcomes: Vec<Result<Vec<String>>>) {
    for outcome in outcomes {
        if let Err(error) = outcome {
            panic!("{}", ingot_common::error::chain(&error));
        }
    }
}

#[tokio::test]
async fn appends_at_once_with_new_columns_lose_nothing() {
    let (directory, engine, session) = open().await;
    let other = support::engine(directory.path()).await;
    table(&session, "id INT", "", "").await;
    let statements: Vec<String> = (0..12)
        .map(|number| {
            let select = format!("SELECT {number} AS id, {number} AS c{}", number % 6);
            format!("INSERT WITH SCHEMA EVOLUTION INTO main.default.t BY NAME {select}")
        })
        .collect();
    assert_all_ran(at_once([&engine, &other], &statements).await);
    for column in 0..6 {
        let query = format!("SELECT id FROM t WHERE c{column} IS NOT NULL ORDER BY id");
        let expected = [column, column + 6].map(|id| id.to_string());
        assert_eq!(rows(&session, &query).await, expected, "column {column}");
    }
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["12"]);
}

#[tokio::test]
async fn writes_to_different_partitions_at_once_all_succeed() {
    let (directory, engine, session) = open().await;
    let other = support::engine(directory.path()).await;
    table(
        &session,
        "id INT, p STRING",
        "p",
        "(0, 'a'), (0, 'b'), (0, 'c'), (0, 'd'), (0, NULL)",
    )
    .await;
    for round in 1..=4 {
        let statements = [
            format!("INSERT INTO t REPLACE WHERE p = 'a' VALUES ({round}, 'a')"),
            format!("INSERT OVERWRITE t PARTITION (p = 'b') VALUES ({round})"),
            format!("INSERT INTO t REPLACE WHERE substring(p, 1, 1) = 'c' VALUES ({round}, 'c')"),
            format!("INSERT INTO t REPLACE USING (p) VALUES ({round}, 'd')"),
            format!("INSERT INTO t REPLACE WHERE p IS NULL VALUES ({round}, NULL)"),
        ];
        assert_all_ran(at_once([&engine, &other], &statements).await);
        let expected = ["a", "b", "c", "d", "NULL"].map(|p| format!("{round}|{p}"));
        let mut expected: Vec<String> = expected.to_vec();
        expected.sort();
        assert_eq!(all(&session).await, expected);
    }
}

#[tokio::test]
async fn an_overwrite_beside_appends_and_deletes_is_whole() {
    let (directory, engine, session) = open().await;
    let other = support::engine(directory.path()).await;
    table(&session, "id INT, v STRING", "", "(1, 'old'), (2, 'old')").await;
    for round in 0..4 {
        let statements = [
            format!("INSERT OVERWRITE t VALUES ({round}, 'over'), ({round}, 'over')"),
            format!("INSERT INTO t VALUES ({round}, 'add')"),
            format!("INSERT INTO t REPLACE WHERE v = 'where' VALUES ({round}, 'where')"),
            "DELETE FROM t WHERE v = 'old'".to_owned(),
        ];
        assert_all_ran(at_once([&engine, &other], &statements).await);
        let found = all(&session).await;
        let count = |v: &str| found.iter().filter(|row| **row == format!("{round}|{v}")).count();
        assert_eq!(count("over"), 2, "{found:?}");
        assert!(count("add") <= 1 && count("where") <= 1, "{found:?}");
        let rows_of_round = count("over") + count("add") + count("where");
        assert_eq!(rows_of_round, found.len(), "rows of earlier rounds: {found:?}");
    }
}

#[tokio::test]
async fn rows_that_come_from_the_table_are_not_written_over_what_others_did() {
    let (directory, engine, session) = open().await;
    let other = support::engine(directory.path()).await;
    table(&session, "id INT", "", "(0)").await;
    let statements: Vec<String> = (0..6)
        .map(|_| "INSERT OVERWRITE t SELECT id + 1 FROM t".to_owned())
        .collect();
    let outcomes = at_once([&engine, &other], &statements).await;
    let succeeded = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    for outcome in outcomes {
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ingot_common::Kind::Conflict, "{error}");
        }
    }
    assert_eq!(all(&session).await, [succeeded.to_string()]);
}
