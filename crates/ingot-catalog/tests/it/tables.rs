//! The life of tables and views.

use std::collections::BTreeMap;

use ingot_catalog::{ColumnInfo, Error, NewTable, Page, TableKind};
use ingot_common::TableName;
use tokio::task::JoinSet;

use crate::{folder, open, schema_name};

fn new_table(name: &str, kind: TableKind) -> NewTable {
    NewTable {
        name: TableName::parse(&format!("main.default.{name}")).expect("valid name"),
        kind,
        location: None,
        definition: None,
        definition_namespace: None,
        columns: vec![ColumnInfo {
            name: "id".to_owned(),
            type_text: "bigint".to_owned(),
            nullable: false,
            comment: Some("the key".to_owned()),
            partition_index: None,
        }],
        comment: None,
        properties: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
    }
}

fn external(name: &str, location: &str) -> NewTable {
    NewTable {
        location: Some(location.to_owned()),
        ..new_table(name, TableKind::External)
    }
}

#[tokio::test]
async fn a_table_is_seen_once_published() {
    let folder = folder();
    let metastore = open(&folder).await;
    let table = new_table("t", TableKind::Managed);
    let reserved = metastore.reserve_table(&table, "ann").await.expect("reserved");
    assert!(matches!(
        metastore.table(&table.name).await,
        Err(Error::NotFound { .. })
    ));
    let published = metastore.publish_table(reserved.id).await.expect("published");
    let found = open(&folder).await.table(&table.name).await.expect("found");
    assert_eq!(found, published);
    assert_eq!(
        (found.columns, found.properties),
        (table.columns, table.properties)
    );
    let location = found.location.expect("managed tables have a place");
    assert!(location.ends_with(&format!("tables/{}/", found.id)), "{location}");
}

#[tokio::test]
async fn an_abandoned_name_is_free_again() {
    let folder = folder();
    let metastore = open(&folder).await;
    let table = new_table("t", TableKind::Managed);
    let first = metastore.reserve_table(&table, "ann").await.expect("reserved");
    let error = metastore.reserve_table(&table, "bob").await.expect_err("taken");
    assert_eq!(error.to_string(), "table `main.default.t` already exists");
    metastore.abandon_table(first.id).await.expect("abandoned");
    let second = metastore.reserve_table(&table, "bob").await.expect("free");
    assert_ne!(first.location, second.location);
    assert!(matches!(
        metastore.publish_table(first.id).await,
        Err(Error::NotFound { .. })
    ));
    let garbage = metastore.dropped_tables().await.expect("dropped");
    assert_eq!(
        garbage.iter().map(|table| table.id).collect::<Vec<_>>(),
        [first.id]
    );
}

#[tokio::test]
async fn a_dropped_table_waits_for_its_files() {
    let folder = folder();
    let metastore = open(&folder).await;
    let table = new_table("t", TableKind::StreamingTable);
    let reserved = metastore.reserve_table(&table, "ann").await.expect("reserved");
    metastore.publish_table(reserved.id).await.expect("published");
    metastore.drop_table(&table.name, "ann").await.expect("dropped");
    assert!(matches!(
        metastore.drop_table(&table.name, "ann").await,
        Err(Error::NotFound { .. })
    ));
    assert_eq!(metastore.dropped_tables().await.expect("dropped").len(), 1);
    metastore.purge_table(reserved.id).await.expect("purged");
    assert!(metastore.dropped_tables().await.expect("dropped").is_empty());
}

#[tokio::test]
async fn views_replace_views_and_never_tables() {
    let folder = folder();
    let metastore = open(&folder).await;
    let mut view = new_table("v", TableKind::View);
    view.definition = Some("SELECT 1".to_owned());
    view.definition_namespace = Some(schema_name("default"));
    metastore.create_view(&view, false, "ann").await.expect("made");
    assert!(matches!(
        metastore.create_view(&view, false, "ann").await,
        Err(Error::AlreadyExists { .. })
    ));
    view.definition = Some("SELECT 2".to_owned());
    metastore.create_view(&view, true, "ann").await.expect("replaced");
    let found = metastore.table(&view.name).await.expect("found");
    assert_eq!(found.definition.as_deref(), Some("SELECT 2"));
    assert_eq!(found.definition_namespace, view.definition_namespace);
    let table = new_table("t", TableKind::Managed);
    let reserved = metastore.reserve_table(&table, "ann").await.expect("reserved");
    metastore.publish_table(reserved.id).await.expect("published");
    let over_table = NewTable {
        name: table.name.clone(),
        ..view
    };
    assert!(matches!(
        metastore.create_view(&over_table, true, "ann").await,
        Err(Error::AlreadyExists { .. })
    ));
}

#[tokio::test]
async fn schemas_with_tables_are_dropped_by_cascade_only() {
    let folder = folder();
    let metastore = open(&folder).await;
    let reserved = metastore
        .reserve_table(&new_table("t", TableKind::Managed), "ann")
        .await
        .expect("reserved");
    metastore.publish_table(reserved.id).await.expect("published");
    let schema = schema_name("default");
    assert!(matches!(
        metastore.drop_schema(&schema, false, "ann").await,
        Err(Error::NotEmpty { .. })
    ));
    let dropped = metastore
        .drop_schema(&schema, true, "ann")
        .await
        .expect("dropped");
    assert_eq!(dropped.len(), 1);
    assert!(matches!(
        metastore.schema(&schema).await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn external_locations_overlap_nothing() {
    let folder = folder();
    let metastore = open(&folder).await;
    metastore
        .reserve_table(&external("a", "file:///data/a"), "ann")
        .await
        .expect("free");
    metastore
        .reserve_table(&external("ab", "file:///data/ab"), "ann")
        .await
        .expect("a sibling");
    for location in ["file:///data/a/", "file:///data/a/inside", "file:///data"] {
        let error = metastore
            .reserve_table(&external("b", location), "ann")
            .await
            .expect_err("overlaps");
        assert!(error.to_string().contains("overlaps"), "{error}");
    }
    let managed = format!("file://{}/tables/x", folder.path().display());
    let error = metastore
        .reserve_table(&external("b", &managed), "ann")
        .await
        .expect_err("inside");
    assert!(error.to_string().contains("folder of managed tables"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_creators_one_wins_each_name() {
    let folder = folder();
    let mut creators = JoinSet::new();
    for _ in 0..4 {
        let metastore = open(&folder).await;
        creators.spawn(async move {
            let mut won = 0;
            for name in 0..10 {
                let table = new_table(&format!("t{name}"), TableKind::Managed);
                match metastore.reserve_table(&table, "ann").await {
                    Ok(reserved) => {
                        metastore.publish_table(reserved.id).await.expect("published");
                        won += 1;
                    }
                    Err(Error::AlreadyExists { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            won
        });
    }
    assert_eq!(creators.join_all().await.into_iter().sum::<i32>(), 10);
    let metastore = open(&folder).await;
    let tables = metastore
        .list_tables(&schema_name("default"), &Page::default())
        .await
        .expect("tables");
    assert_eq!(tables.len(), 10);
}
