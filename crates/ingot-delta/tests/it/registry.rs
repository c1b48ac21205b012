//! The registry: shared handles, injected stores, deletion.

use std::sync::Arc;

use futures::TryStreamExt;
use ingot_common::{Classify, Kind};
use ingot_delta::{DeltaTables, TablesOptions, TimeTravel};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use crate::support::{Folder, PATIENCE, append, schema, spec, tables};

#[tokio::test]
async fn a_location_has_one_handle_however_it_is_written() {
    let folder = Folder::new();
    let tables = tables();
    let created = tables
        .create(&folder.location(), spec(schema(), &[]))
        .await
        .expect("created");
    let slashes = Url::parse(&format!("{}/", folder.location())).expect("url");
    let opened = tables.clone().open(&slashes).await.expect("opened");
    assert!(Arc::ptr_eq(&created, &opened));
    assert!(opened.location().as_str().ends_with('/'));
}

#[tokio::test]
async fn tables_below_an_injected_store_live_there() {
    let store = Arc::new(InMemory::new());
    let url = Url::parse("mem://bucket/lake").expect("url");
    let injected: Arc<dyn ObjectStore> = Arc::clone(&store) as _;
    let tables = DeltaTables::new(TablesOptions::default()).with_store(url, injected);
    let location = Url::parse("mem://bucket/lake/sales/orders").expect("url");

    let table = tables
        .create(&location, spec(schema(), &["p"]))
        .await
        .expect("created");
    for id in 1..=12 {
        append(&table, &[id]).await;
    }
    let commit = "sales/orders/_delta_log/00000000000000000012.json";
    store.head(&commit.into()).await.expect("commit 12");
    assert!(tables.settle(PATIENCE).await);
    let checkpoint = "sales/orders/_delta_log/00000000000000000010.checkpoint.parquet";
    store
        .head(&checkpoint.into())
        .await
        .expect("the tenth commit is a checkpoint");

    tables.forget(&location);
    let snapshot = tables
        .open(&location)
        .await
        .expect("opened")
        .snapshot()
        .await
        .expect("snapshot");
    assert_eq!(snapshot.files().await.expect("files").len(), 12);
    let earlier = table.snapshot_at(TimeTravel::Version(5)).await.expect("snapshot");
    assert_eq!(earlier.files().await.expect("files").len(), 5);

    tables.delete(&location).await.expect("deleted");
    let left: Vec<_> = store.list(None).try_collect().await.expect("listed");
    assert!(left.is_empty(), "{left:?}");
    let gone = tables.open(&location).await.expect_err("no table");
    assert_eq!(gone.kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_scheme_without_a_store_is_refused() {
    let location = Url::parse("ftp://bucket/t").expect("url");
    let error = tables().open(&location).await.expect_err("refused");
    assert_eq!(error.kind(), Kind::InvalidArgument);
}

#[tokio::test]
async fn a_deleted_table_leaves_no_folder_and_can_be_made_again() {
    let folder = Folder::new();
    let tables = tables();
    let table = tables
        .create(&folder.location(), spec(schema(), &["p"]))
        .await
        .expect("created");
    append(&table, &[1]).await;
    tables.delete(&folder.location()).await.expect("deleted");
    assert!(!folder.location().to_file_path().expect("path").exists());
    tables
        .delete(&folder.location())
        .await
        .expect("nothing to delete");
    let again = tables
        .create(&folder.location(), spec(schema(), &[]))
        .await
        .expect("created");
    assert_eq!(again.snapshot().await.expect("snapshot").version(), 0);
    let stale = table.snapshot().await.expect("the old handle notices");
    assert_eq!(
        stale.metadata().id,
        again.snapshot().await.expect("snapshot").metadata().id
    );
}

#[tokio::test]
async fn tables_are_opened_by_many_at_once() {
    let folder = Folder::new();
    tables()
        .create(&folder.location(), spec(schema(), &[]))
        .await
        .expect("created");
    let tables = tables();
    let mut openers = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (tables, location) = (tables.clone(), folder.location());
        openers.spawn(async move { tables.open(&location).await.expect("opened") });
    }
    let opened = openers.join_all().await;
    assert!(opened.iter().all(|table| Arc::ptr_eq(table, &opened[0])));
}

#[tokio::test]
async fn handles_kept_open_are_bounded_and_those_in_use_stay_the_same() {
    const KEPT: usize = 4;
    let folder = Folder::new();
    let tables = DeltaTables::new(TablesOptions {
        open_tables_max: KEPT,
        ..TablesOptions::default()
    });
    let location = |number: usize| {
        let path = folder.root().join(format!("t{number}"));
        Url::from_directory_path(path).expect("absolute path")
    };
    let first = tables
        .create(&location(0), spec(schema(), &[]))
        .await
        .expect("created");
    let unused = Arc::downgrade(
        &tables
            .create(&location(1), spec(schema(), &[]))
            .await
            .expect("created"),
    );
    assert!(unused.upgrade().is_some(), "kept");
    for number in 2..KEPT + 2 {
        tables
            .create(&location(number), spec(schema(), &[]))
            .await
            .expect("created");
    }
    assert!(unused.upgrade().is_none(), "nobody used it, and four others were");
    assert!(format!("{tables:?}").contains("open: 4"), "{tables:?}");
    let again = tables.open(&location(0)).await.expect("opened");
    assert!(Arc::ptr_eq(&first, &again), "one handle as long as it is in use");
    drop((first, again));
    append(&tables.open(&location(1)).await.expect("opened anew"), &[1]).await;
}
