//! `DESCRIBE HISTORY` and `DESCRIBE DETAIL`.

use serde_json::json;

use crate::foreign::{ForeignTable, add, features, metadata};

#[tokio::test]
async fn history_is_newest_first_and_limited() {
    let foreign = ForeignTable::partitioned();
    let info = |operation: &str| {
        json!({"commitInfo": {
            "timestamp": 5, "operation": operation, "operationParameters": {"mode": "Append"},
            "operationMetrics": {"numFiles": "1"}, "userName": "someone", "custom": {"x": 1},
        }})
    };
    foreign.commit(1, &[info("WRITE"), add("a", None, 1)]);
    foreign.commit(2, &[add("b", None, 2)]);
    for version in 0..3 {
        foreign.set_modified(version, 1_000 * (version as u64 + 1));
    }
    let table = foreign.open().await;
    let history = table.history(None).await.expect("history");
    let versions: Vec<(i64, i64)> = history
        .iter()
        .map(|entry| (entry.version, entry.timestamp_ms))
        .collect();
    assert_eq!(versions, [(2, 3_000), (1, 2_000), (0, 1_000)]);
    assert_eq!(history[1].info.operation.as_deref(), Some("WRITE"));
    assert_eq!(history[1].info.user_name.as_deref(), Some("someone"));
    assert_eq!(history[0].info.operation, None);
    assert_eq!(table.history(Some(1)).await.expect("history").len(), 1);
}

#[tokio::test]
async fn detail_sums_files_and_names_features_and_clustering() {
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let foreign = ForeignTable::new(&[
        features(
            &["timestampNtz"],
            &["timestampNtz", "clustering", "domainMetadata"],
        ),
        metadata("t", &fields, &[], json!({"user": "property"})),
        json!({"domainMetadata": {
            "domain": "delta.clustering", "configuration": "{\"clusteringColumns\":[[\"id\"]]}", "removed": false,
        }}),
    ]);
    foreign.commit(1, &[add("a", None, 1), add("b", None, 2)]);
    let detail = foreign.open().await.detail().await.expect("detail");
    assert_eq!((detail.num_files, detail.size_in_bytes), (2, 200));
    assert_eq!(
        detail.table_features,
        ["clustering", "domainMetadata", "timestampNtz"]
    );
    assert_eq!(detail.clustering_columns, ["id"]);
    assert_eq!((detail.min_reader_version, detail.min_writer_version), (3, 7));
    assert_eq!(detail.created_at_ms, Some(1_700_000_000_000));
    assert_eq!(detail.location, foreign.location().as_str());
}
