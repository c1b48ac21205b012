//! JSON in columns.

use super::{open, rows, run};

/// A record of twenty columns must not be parsed once for each of them.
#[tokio::test]
async fn a_record_is_parsed_once_however_many_of_its_fields_are_read() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE raw (value STRING)",
            "INSERT INTO raw VALUES ('{\"a\":1,\"b\":\"x\",\"c\":2.5}')",
        ],
    )
    .await;
    let query = "SELECT record.a AS a, record.b AS b, record.c AS c \
                 FROM (SELECT from_json(value, 'a INT, b STRING, c DOUBLE') AS record FROM raw) AS parsed";
    assert_eq!(rows(&session, query).await, ["1|x|2.5"]);
    let plans = rows(&session, &format!("EXPLAIN {query}")).await;
    let parses = plans[0].matches("from_json(").count();
    assert_eq!(parses, 1, "{plans:?}");
}
