//! SHOW and DESCRIBE: which columns they give, and what stands in them.

use super::{names, open, rows, run};

#[tokio::test]
async fn listings_have_sparks_columns() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE CATALOG lab",
            "CREATE SCHEMA gold",
            "CREATE TABLE gold.carrier_delay (carrier STRING COMMENT 'code', delay INT) PARTITIONED BY (carrier)",
            "CREATE VIEW gold.late AS SELECT * FROM gold.carrier_delay WHERE delay > 0",
            "USE gold",
        ],
    )
    .await;
    for (statement, columns, listed) in [
        ("SHOW CATALOGS", vec!["catalog"], vec!["lab", "main", "system"]),
        ("SHOW SCHEMAS", vec!["databaseName"], vec!["default", "gold"]),
        ("SHOW SCHEMAS IN lab", vec!["databaseName"], vec!["default"]),
        (
            "SHOW TABLES",
            vec!["database", "tableName", "isTemporary"],
            vec!["gold|carrier_delay|false", "gold|late|false"],
        ),
        (
            "SHOW TABLES IN gold LIKE 'c*y|nothing'",
            vec!["database", "tableName", "isTemporary"],
            vec!["gold|carrier_delay|false"],
        ),
        (
            "SHOW VIEWS",
            vec!["namespace", "viewName", "isTemporary", "isMaterialized"],
            vec!["gold|late|false|false"],
        ),
        (
            "SHOW COLUMNS IN carrier_delay",
            vec!["col_name"],
            vec!["carrier", "delay"],
        ),
        (
            "DESCRIBE carrier_delay",
            vec!["col_name", "data_type", "comment"],
            vec![
                "carrier|string|code",
                "delay|int|",
                "# Partition Information||",
                "# col_name|data_type|comment",
                "carrier|string|code",
            ],
        ),
    ] {
        assert_eq!(names(&session, statement).await, columns, "{statement}");
        assert_eq!(rows(&session, statement).await, listed, "{statement}");
    }
}

#[tokio::test]
async fn history_and_detail_have_deltas_columns() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT) COMMENT 'numbers'",
            "INSERT INTO t VALUES (1)",
            "INSERT OVERWRITE t VALUES (2)",
        ],
    )
    .await;
    assert_eq!(
        names(&session, "DESCRIBE HISTORY t").await,
        [
            "version",
            "timestamp",
            "userId",
            "userName",
            "operation",
            "operationParameters",
            "job",
            "notebook",
            "clusterId",
            "readVersion",
            "isolationLevel",
            "isBlindAppend",
            "operationMetrics",
            "userMetadata",
            "engineInfo",
        ]
    );
    let newest = rows(&session, "DESCRIBE HISTORY t LIMIT 1").await;
    assert!(newest.len() == 1 && newest[0].starts_with("2|"), "{newest:?}");
    assert!(newest[0].contains("|tester|WRITE|"), "{newest:?}");
    assert_eq!(
        names(&session, "DESCRIBE DETAIL t").await,
        [
            "format",
            "id",
            "name",
            "description",
            "location",
            "createdAt",
            "lastModified",
            "partitionColumns",
            "clusteringColumns",
            "numFiles",
            "sizeInBytes",
            "properties",
            "minReaderVersion",
            "minWriterVersion",
            "tableFeatures",
        ]
    );
    let detail = rows(&session, "DESCRIBE DETAIL t").await;
    assert!(
        detail[0].starts_with("delta|") && detail[0].contains("|main.default.t|numbers|"),
        "{detail:?}"
    );
}
