//! One transaction at a time, and what others did meanwhile.

use std::sync::Arc;

use ingot_common::{Classify, Kind};
use ingot_delta::{
    CommitOutcome, ConflictReason, DeltaTable, Error, FileWriter, Operation, OperationMetrics, ReadSet,
    Transaction, WriterOptions,
};
use serde_json::json;
use test_case::test_case;

use crate::foreign::{ForeignTable, features, metadata, protocol};
use crate::support::{Folder, PATIENCE, append, create, ids, rows, schema, spec, tables, write};

/// Makes a table with properties.
async fn create_with(folder: &Folder, properties: &[(&str, &str)]) -> Arc<DeltaTable> {
    let mut spec = spec(schema(), &[]);
    let properties = properties
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    spec.properties = properties.collect();
    let created = tables().create(&folder.location(), spec).await;
    created.expect("table is created")
}

/// Stages a blind append of one row on the newest snapshot.
async fn staged_append(table: &Arc<DeltaTable>, id: i64) -> Transaction {
    let snapshot = table.snapshot().await.expect("snapshot");
    let files = write(table, &snapshot, &rows(&[(id, None)])).await;
    let mut transaction = table.transaction(snapshot, Operation::new("WRITE"));
    transaction.add_files(files);
    transaction
}

async fn conflict(transaction: Transaction) -> ConflictReason {
    match transaction.commit().await.expect("no failure") {
        CommitOutcome::Conflicted(reason) => reason,
        other => panic!("no conflict: {other:?}"),
    }
}

/// Replaces every row by one row `id`, as an overwrite does, on a snapshot taken before `meanwhile`.
async fn overwrite_after(
    table: &Arc<DeltaTable>,
    id: i64,
    data_change: bool,
    meanwhile: impl Future<Output = ()>,
) -> CommitOutcome {
    let snapshot = table.snapshot().await.expect("snapshot");
    let files = snapshot.files().await.expect("files");
    let removed: Vec<_> = (0..files.len())
        .map(|file| files.add(file).to_remove(1, data_change))
        .collect();
    let mut added = write(table, &snapshot, &rows(&[(id, None)])).await;
    added.iter_mut().for_each(|add| add.data_change = data_change);
    let mut transaction = table.transaction(snapshot, Operation::new("WRITE").with("mode", "Overwrite"));
    transaction.set_read_set(ReadSet::WholeTable);
    transaction.remove_files(removed);
    transaction.add_files(added);
    meanwhile.await;
    transaction.commit().await.expect("no failure")
}

#[tokio::test]
async fn blind_append_goes_on_top_of_a_rewrite() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    append(&table, &[1, 2]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let files = write(&table, &snapshot, &rows(&[(3, None)])).await;
    let mut transaction = table.transaction(snapshot, Operation::new("WRITE"));
    transaction.add_files(files);
    let other = tables().open(&folder.location()).await.expect("opens");
    overwrite_after(&other, 9, true, async {}).await;
    let CommitOutcome::Committed { version, snapshot } = transaction.commit().await.expect("commit") else {
        panic!("a blind append conflicts with nothing");
    };
    assert_eq!(version, 3);
    assert_eq!(ids(&table, &snapshot).await, [3, 9]);
}

#[tokio::test]
async fn rewrite_conflicts_with_a_rewrite_that_changed_no_rows() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    append(&table, &[1]).await;
    let other = tables().open(&folder.location()).await.expect("opens");
    let outcome = overwrite_after(&table, 5, true, async {
        // As OPTIMIZE does: the same rows in another file.
        overwrite_after(&other, 1, false, async {}).await;
    })
    .await;
    assert!(
        matches!(
            outcome,
            CommitOutcome::Conflicted(ConflictReason::ConcurrentDeleteRead { version: 2, .. })
        ),
        "{outcome:?}"
    );
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(ids(&table, &snapshot).await, [1]);
}

#[tokio::test]
async fn application_transaction_is_applied_once() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    for (version, applied) in [(5, true), (5, false), (3, false), (6, true)] {
        let snapshot = table.snapshot().await.expect("snapshot");
        let files = write(&table, &snapshot, &rows(&[(version, None)])).await;
        let mut transaction = table.transaction(snapshot, Operation::new("STREAMING UPDATE"));
        transaction.add_files(files);
        transaction.set_app_transaction("stream", version);
        let outcome = transaction.commit().await.expect("no failure");
        assert_eq!(
            matches!(outcome, CommitOutcome::Committed { .. }),
            applied,
            "{version}: {outcome:?}"
        );
        assert_eq!(matches!(outcome, CommitOutcome::AlreadyApplied { .. }), !applied);
    }
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(ids(&table, &snapshot).await, [5, 6]);
    assert_eq!(snapshot.app_transaction("stream").await.expect("txn"), Some(6));
}

#[tokio::test]
async fn stale_instance_of_an_application_finds_its_batch_applied() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let stale = table.snapshot().await.expect("snapshot");
    let commit = async |snapshot| {
        let files = write(&table, &stale, &rows(&[(1, None)])).await;
        let mut transaction = table.transaction(snapshot, Operation::new("STREAMING UPDATE"));
        transaction.add_files(files);
        transaction.set_app_transaction("stream", 0);
        transaction.commit().await.expect("no failure")
    };
    assert!(matches!(
        commit(Arc::clone(&stale)).await,
        CommitOutcome::Committed { .. }
    ));
    assert!(matches!(
        commit(Arc::clone(&stale)).await,
        CommitOutcome::AlreadyApplied { version: 0, .. }
    ));
}

#[tokio::test]
async fn in_commit_timestamps_grow_with_versions() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    for id in 0..5 {
        append(&table, &[id]).await;
    }
    let history = table.history(None).await.expect("history");
    let times: Vec<i64> = history.iter().map(|entry| entry.timestamp_ms).collect();
    assert_eq!(times.len(), 6);
    assert!(times.windows(2).all(|pair| pair[0] > pair[1]), "{times:?}");
    assert_eq!(history[0].info.operation.as_deref(), Some("WRITE"));
    assert_eq!(history[0].info.is_blind_append, Some(true));
}

/// The version after the one that was read is absent here, and yet long taken.
#[tokio::test]
async fn commit_below_a_cleaned_up_log_is_refused() {
    let folder = Folder::new();
    let properties = [
        ("delta.checkpointInterval", "2"),
        ("delta.logRetentionDuration", "interval 0 seconds"),
    ];
    let (registry, other) = (tables(), tables());
    create_with(&folder, &properties).await;
    let table = registry.open(&folder.location()).await.expect("opens");
    append(&table, &[1]).await;
    let stale = staged_append(&other.open(&folder.location()).await.expect("opens"), 9).await;
    for id in 2..=5 {
        append(&table, &[id]).await;
        assert!(registry.settle(PATIENCE).await);
    }
    assert!(table.cleanup_expired_logs().await.expect("cleanup") > 0);
    let reason = conflict(stale).await;
    assert_eq!(reason, ConflictReason::LogReplaced { version: 1 });
    let reopened = tables().open(&folder.location()).await.expect("opens");
    let snapshot = reopened.snapshot().await.expect("snapshot");
    assert_eq!(ids(&reopened, &snapshot).await, [1, 2, 3, 4, 5]);
}

/// The process that made the commits knows them, although the log no longer tells.
#[tokio::test]
async fn commit_below_a_log_that_this_process_made_and_cleaned_up_goes_through() {
    let folder = Folder::new();
    let properties = [
        ("delta.checkpointInterval", "2"),
        ("delta.logRetentionDuration", "interval 0 seconds"),
    ];
    create_with(&folder, &properties).await;
    let registry = tables();
    let table = registry.open(&folder.location()).await.expect("opens");
    append(&table, &[1]).await;
    let stale = staged_append(&table, 9).await;
    for id in 2..=5 {
        append(&table, &[id]).await;
        assert!(registry.settle(PATIENCE).await);
    }
    assert!(table.cleanup_expired_logs().await.expect("cleanup") > 0);
    let outcome = stale.commit().await.expect("no failure");
    assert!(
        matches!(outcome, CommitOutcome::Committed { version: 6, .. }),
        "{outcome:?}"
    );
    let reopened = tables().open(&folder.location()).await.expect("opens");
    let snapshot = reopened.snapshot().await.expect("snapshot");
    assert_eq!(ids(&reopened, &snapshot).await, [1, 2, 3, 4, 5, 9]);
}

#[tokio::test]
async fn commit_to_a_table_made_anew_is_refused() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    append(&table, &[1]).await;
    let stale = staged_append(&table, 9).await;
    tables().delete(&folder.location()).await.expect("deleted");
    let anew = create(&folder, &[]).await;
    append(&anew, &[2]).await;
    assert_eq!(conflict(stale).await, ConflictReason::LogReplaced { version: 1 });
    let snapshot = anew.snapshot().await.expect("snapshot");
    assert_eq!(ids(&anew, &snapshot).await, [2]);
}

#[tokio::test]
async fn table_is_not_created_over_a_log_whose_first_commit_is_gone() {
    let folder = Folder::new();
    let properties = [
        ("delta.checkpointInterval", "2"),
        ("delta.logRetentionDuration", "interval 0 seconds"),
    ];
    let table = create_with(&folder, &properties).await;
    for id in 1..=4 {
        append(&table, &[id]).await;
    }
    table.cleanup_expired_logs().await.expect("cleanup");
    let again = tables().create(&folder.location(), spec(schema(), &[])).await;
    assert!(matches!(again, Err(Error::TableExists { .. })), "{again:?}");
}

#[tokio::test]
async fn metadata_change_conflicts_with_a_blind_append() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let stale = staged_append(&table, 1).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut metadata = snapshot.metadata().clone();
    metadata.description = Some("changed".to_owned());
    let mut change = table.transaction(snapshot, Operation::new("SET TBLPROPERTIES"));
    change.set_metadata(metadata);
    assert!(matches!(
        change.commit().await.expect("no failure"),
        CommitOutcome::Committed { version: 1, .. }
    ));
    assert_eq!(
        conflict(stale).await,
        ConflictReason::MetadataChanged { version: 1 }
    );
}

#[tokio::test]
async fn later_batch_conflicts_with_another_instance_of_its_application() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let mut stale = staged_append(&table, 1).await;
    stale.set_app_transaction("stream", 8);
    let mut winner = staged_append(&table, 2).await;
    winner.set_app_transaction("stream", 7);
    winner.commit().await.expect("commit");
    assert_eq!(
        conflict(stale).await,
        ConflictReason::ConcurrentTransaction {
            version: 1,
            app_id: "stream".to_owned()
        }
    );
}

#[test_case(&[], true; "by default an append counts as later")]
#[test_case(&[("delta.isolationLevel", "Serializable")], false; "a serializable one does not")]
#[tokio::test]
async fn overwrite_beside_a_blind_append(properties: &[(&str, &str)], commits: bool) {
    let folder = Folder::new();
    let table = create_with(&folder, properties).await;
    append(&table, &[1]).await;
    let other = tables().open(&folder.location()).await.expect("opens");
    let outcome = overwrite_after(&table, 5, true, async {
        append(&other, &[2]).await;
    })
    .await;
    assert_eq!(
        matches!(outcome, CommitOutcome::Committed { version: 3, .. }),
        commits,
        "{outcome:?}"
    );
    let snapshot = table.snapshot().await.expect("snapshot");
    let expected = if commits { [2, 5] } else { [1, 2] };
    assert_eq!(ids(&table, &snapshot).await, expected);
}

#[tokio::test]
async fn append_only_table_takes_appends_and_compaction_only() {
    let folder = Folder::new();
    let table = create_with(&folder, &[("delta.appendOnly", "true")]).await;
    append(&table, &[1]).await;
    let outcome = overwrite_after(&table, 1, false, async {}).await;
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
    let snapshot = table.snapshot().await.expect("snapshot");
    let file = snapshot.files().await.expect("files").add(0).to_remove(1, true);
    let mut delete = table.transaction(snapshot, Operation::new("DELETE"));
    delete.remove_files([file]);
    let error = delete.commit().await.expect_err("append only");
    assert!(
        matches!(&error, Error::UnsupportedFeature { feature, .. } if feature == "appendOnly"),
        "{error}"
    );
}

#[test_case("icebergCompatV2", ("delta.enableIcebergCompatV2", "true"))]
#[tokio::test]
async fn table_with_rules_that_cannot_be_kept_is_not_written(feature: &str, property: (&str, &str)) {
    let fields = json!([{"name": "id", "type": "long", "nullable": false, "metadata": {}}]);
    let protocol = json!({"protocol": {
        "minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": [feature],
    }});
    let properties = json!({property.0: property.1});
    let foreign = ForeignTable::new(&[protocol, metadata("table-1", &fields, &[], properties)]);
    let table = foreign.open().await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let error = FileWriter::new(Arc::clone(&table), &snapshot, WriterOptions::default())
        .expect_err("cannot be written");
    assert!(
        matches!(&error, Error::UnsupportedFeature { feature: named, .. } if named == feature),
        "{error}"
    );
    let error = table
        .transaction(snapshot, Operation::new("WRITE"))
        .commit()
        .await
        .expect_err("cannot be committed to");
    assert!(matches!(&error, Error::UnsupportedFeature { .. }), "{error}");
}

#[test_case("delta.checkpointInterval", "often", "expected a number of commits above 0")]
#[test_case(
    "delta.logRetentionDuration",
    "1 month",
    "expected an interval of fixed length"
)]
#[test_case(
    "delta.checkpointIntervall",
    "5",
    "the nearest known is `delta.checkpointInterval`"
)]
#[test_case("delta.feature.fromTheFuture", "supported", "is not known"; "unknown feature")]
#[tokio::test]
async fn staged_properties_are_checked(key: &str, value: &str, message: &str) {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut metadata = snapshot.metadata().clone();
    metadata.configuration.insert(key.to_owned(), value.to_owned());
    let mut change = table.transaction(snapshot, Operation::new("SET TBLPROPERTIES"));
    change.set_metadata(metadata);
    let error = change.commit().await.expect_err("refused");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    let text = error.to_string();
    let named = key.trim_start_matches("delta.feature.");
    assert!(text.contains(named) && text.contains(message), "{text}");
    assert_eq!(table.snapshot().await.expect("snapshot").version(), 0);
}

#[tokio::test]
async fn a_property_that_implies_a_feature_adds_it() {
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let foreign = ForeignTable::new(&[protocol(1, 1), metadata("t", &fields, &[], json!({}))]);
    let table = foreign.open().await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut metadata = snapshot.metadata().clone();
    let added = [
        ("delta.appendOnly", "true"),
        ("delta.feature.v2Checkpoint", "supported"),
    ];
    let added = added.map(|(key, value)| (key.to_owned(), value.to_owned()));
    metadata.configuration.extend(added);
    let mut change = table.transaction(snapshot, Operation::new("SET TBLPROPERTIES"));
    change.set_metadata(metadata);
    change.commit().await.expect("committed");
    let snapshot = table.snapshot().await.expect("snapshot");
    let protocol = snapshot.protocol();
    assert_eq!((protocol.min_reader_version, protocol.min_writer_version), (3, 7));
    assert_eq!(protocol.reader_features, Some(vec!["v2Checkpoint".to_owned()]));
    let writer = ["appendOnly", "v2Checkpoint"].map(str::to_owned).to_vec();
    assert_eq!(protocol.writer_features, Some(writer));
    assert_eq!(
        snapshot.properties().len(),
        1,
        "what was only asked for is not stored"
    );
}

#[tokio::test]
async fn properties_of_other_writers_survive_a_change_beside_them() {
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let properties = json!({"delta.columnMapping.mode": "none", "delta.tuneFileSizesForRewrites": "maybe"});
    let foreign = ForeignTable::new(&[protocol(1, 2), metadata("t", &fields, &[], properties)]);
    let table = foreign.open().await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut metadata = snapshot.metadata().clone();
    metadata.description = Some("changed".to_owned());
    let mut change = table.transaction(snapshot, Operation::new("SET TBLPROPERTIES"));
    change.set_metadata(metadata);
    let outcome = change.commit().await.expect("no failure");
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn staged_columns_are_named_as_delta_allows() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut metadata = snapshot.metadata().clone();
    metadata.schema_string = metadata.schema_string.replace("\"p\"", "\"p (old)\"");
    let mut change = table.transaction(snapshot, Operation::new("RENAME COLUMN"));
    change.set_metadata(metadata);
    let error = change.commit().await.expect_err("refused");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert!(error.to_string().contains("`p (old)`"), "{error}");
}

/// A table whose newest commit says it was made at the end of time.
#[tokio::test]
async fn commit_after_the_end_of_time_is_refused() {
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let properties = json!({"delta.enableInCommitTimestamps": "true"});
    let foreign = ForeignTable::new(&[
        json!({"commitInfo": {"inCommitTimestamp": i64::MAX}}),
        features(&[], &["inCommitTimestamp"]),
        metadata("t", &fields, &[], properties),
    ]);
    let table = foreign.open().await;
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.timestamp_ms(), i64::MAX);
    let transaction = table.transaction(snapshot, Operation::new("WRITE"));
    let error = transaction.commit().await.expect_err("no time is left");
    assert!(matches!(error, Error::CorruptLog { .. }), "{error}");
}

/// A clock that is ahead of ours wrote the commit that ours is based on.
#[tokio::test]
async fn commit_is_later_than_one_by_a_clock_that_is_ahead() {
    let ahead_ms = ingot_common::clock::now_ms() + 3_600_000;
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let properties = json!({"delta.enableInCommitTimestamps": "true"});
    let foreign = ForeignTable::new(&[
        json!({"commitInfo": {"inCommitTimestamp": ahead_ms}}),
        features(&[], &["inCommitTimestamp"]),
        metadata("t", &fields, &[], properties),
    ]);
    let table = foreign.open().await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let transaction = table.transaction(snapshot, Operation::new("WRITE"));
    let outcome = transaction.commit().await.expect("commit");
    let CommitOutcome::Committed { snapshot, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(snapshot.timestamp_ms(), ahead_ms + 1);
}

#[tokio::test]
async fn commit_info_says_who_did_what_on_which_version() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let files = write(&table, &snapshot, &rows(&[(1, None)])).await;
    let mut metrics = OperationMetrics::default();
    metrics.increase("numOutputRows", 1);
    let mut transaction = table.transaction(snapshot, Operation::new("WRITE").with("mode", "Append"));
    transaction.add_files(files);
    transaction.set_metrics(metrics);
    transaction.set_user_name("ada");
    transaction.set_user_metadata("first");
    transaction.commit().await.expect("commit");
    let path = folder.location().to_file_path().expect("local");
    let text = std::fs::read_to_string(path.join("_delta_log/00000000000000000001.json"));
    let text = text.expect("commit file");
    let first: serde_json::Value = serde_json::from_str(text.lines().next().expect("line")).expect("json");
    let info = &first["commitInfo"];
    assert_eq!(info["operationParameters"], json!({"mode": "Append"}));
    assert_eq!(info["operationMetrics"], json!({"numOutputRows": "1"}));
    assert_eq!(info["userName"], "ada");
    assert_eq!(info["userMetadata"], "first");
    assert_eq!(info["readVersion"], 0);
    assert_eq!(info["isolationLevel"], "WriteSerializable");
    assert_eq!(info["isBlindAppend"], true);
    assert!(info["inCommitTimestamp"].is_i64() && info["txnId"].is_string());
}

/// Makes a table with domain `d` configured as `1`.
async fn create_with_domain(folder: &Folder) -> Arc<DeltaTable> {
    let mut spec = spec(schema(), &[]);
    spec.domains.insert("d".to_owned(), "1".to_owned());
    let created = tables().create(&folder.location(), spec).await;
    created.expect("table is created")
}

#[tokio::test]
async fn domain_metadata_is_set_and_removed() {
    let folder = Folder::new();
    let table = create_with_domain(&folder).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.domain_metadata("d"), Some("1"));
    let mut change = table.transaction(snapshot, Operation::new("SET DOMAIN"));
    change.set_domain_metadata("d", "2");
    change.set_domain_metadata("gone", "3");
    change.remove_domain_metadata("gone");
    change.commit().await.expect("commit");
    table.checkpoint().await.expect("checkpoint");

    for reader in [&tables(), &tables()] {
        let read = reader.open(&folder.location()).await.expect("table");
        let snapshot = read.snapshot().await.expect("snapshot");
        assert_eq!(snapshot.domain_metadata("d"), Some("2"));
        assert_eq!(snapshot.domain_metadata("gone"), None);
    }
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut removal = table.transaction(snapshot, Operation::new("REMOVE DOMAIN"));
    removal.remove_domain_metadata("d");
    removal.commit().await.expect("commit");
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.domain_metadata("d"), None);
    let anew = tables().open(&folder.location()).await.expect("table");
    assert_eq!(
        anew.snapshot().await.expect("snapshot").domain_metadata("d"),
        None
    );
}

#[tokio::test]
async fn writers_of_one_domain_conflict_and_of_two_do_not() {
    let folder = Folder::new();
    let table = create_with_domain(&folder).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let staged = |domain: &str| {
        let mut change = table.transaction(Arc::clone(&snapshot), Operation::new("SET DOMAIN"));
        change.set_domain_metadata(domain, "2");
        change
    };
    let (stale, beside, winner) = (staged("d"), staged("other"), staged("d"));
    let append = staged_append(&table, 1).await;
    winner.commit().await.expect("commit");
    assert_eq!(
        conflict(stale).await,
        ConflictReason::ConcurrentDomainMetadata {
            version: 1,
            domain: "d".to_owned()
        }
    );
    for (transaction, expected) in [(beside, 2), (append, 3)] {
        match transaction.commit().await.expect("no failure") {
            CommitOutcome::Committed { version, .. } => assert_eq!(version, expected),
            other => panic!("not committed: {other:?}"),
        }
    }
}

#[tokio::test]
async fn domain_metadata_needs_its_feature() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut change = table.transaction(snapshot, Operation::new("SET DOMAIN"));
    change.set_domain_metadata("d", "1");
    let error = change.commit().await.expect_err("no feature");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert!(
        error.to_string().contains("lacks feature `domainMetadata`"),
        "{error}"
    );
}
