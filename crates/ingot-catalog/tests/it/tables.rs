//! The life of tables and views.

use std::collections::BTreeMap;
use std::time::Duration;

use ingot_catalog::{ColumnInfo, Error, NewTable, Page, Replace, TableId, TableKind};
use ingot_common::TableName;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{folder, open, schema_name};

/// A table of one column in `main.default`.
pub fn new_table(name: &str, kind: TableKind) -> NewTable {
    NewTable {
        name: TableName::parse(&format!("main.default.{name}")).expect("valid name"),
        kind,
        shallow_clone: false,
        metrics: false,
        location: None,
        definition: None,
        definition_namespace: None,
        refresh_schedule: None,
        columns: vec![ColumnInfo {
            name: "id".to_owned(),
            type_text: "bigint".to_owned(),
            nullable: false,
            comment: Some("the key".to_owned()),
            partition_index: None,
        }],
        constraints: Vec::new(),
        comment: None,
        properties: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        filters: Default::default(),
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
    let garbage = metastore.dropped_tables(Duration::ZERO).await.expect("dropped");
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
    assert_eq!(
        metastore
            .dropped_tables(Duration::ZERO)
            .await
            .expect("dropped")
            .len(),
        1
    );
    metastore.purge_table(reserved.id).await.expect("purged");
    assert!(
        metastore
            .dropped_tables(Duration::ZERO)
            .await
            .expect("dropped")
            .is_empty()
    );
}

/// Makes a reservation as old as one whose holder died.
async fn age_reservation(folder: &TempDir, id: TableId) {
    let path = folder.path().join("metastore.sqlite");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let pool = sqlx::SqlitePool::connect_with(options).await.expect("database");
    let aged =
        sqlx::query("UPDATE tables SET state_at = state_at - 61000 WHERE id = $1 AND state = 'CREATING'")
            .bind(id.to_string())
            .execute(&pool)
            .await
            .expect("aged");
    assert_eq!(aged.rows_affected(), 1);
    pool.close().await;
}

#[tokio::test]
async fn a_reservation_past_its_time_is_the_purges_alone() {
    let folder = folder();
    let metastore = open(&folder).await;
    let table = new_table("t", TableKind::Managed);
    let reserved = metastore.reserve_table(&table, "ann").await.expect("reserved");
    metastore.renew_reservation(reserved.id).await.expect("renewed");
    assert!(
        metastore
            .dropped_tables(Duration::ZERO)
            .await
            .expect("dropped")
            .is_empty()
    );
    age_reservation(&folder, reserved.id).await;
    for outcome in [
        metastore.renew_reservation(reserved.id).await,
        metastore.publish_table(reserved.id).await.map(drop),
    ] {
        assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
    }
    // No reader ever saw it: it goes at once, however long dropped tables are kept.
    let garbage = metastore
        .dropped_tables(Duration::from_secs(3600))
        .await
        .expect("dropped");
    assert_eq!(garbage.len(), 1);
    assert!(metastore.publish_table(reserved.id).await.is_err());
    metastore.purge_table(reserved.id).await.expect("purged");
    metastore.reserve_table(&table, "bob").await.expect("free");
}

#[tokio::test]
async fn files_of_a_dropped_table_stay_for_those_who_read_it() {
    let folder = folder();
    let metastore = open(&folder).await;
    let table = new_table("t", TableKind::Managed);
    let reserved = metastore.reserve_table(&table, "ann").await.expect("reserved");
    metastore.publish_table(reserved.id).await.expect("published");
    metastore
        .purge_table(reserved.id)
        .await
        .expect("not dropped: nothing to do");
    metastore.drop_table(&table.name, "ann").await.expect("dropped");
    let kept = metastore
        .dropped_tables(Duration::from_secs(60))
        .await
        .expect("dropped");
    assert!(kept.is_empty(), "{kept:?}");
    assert_eq!(
        metastore
            .dropped_tables(Duration::ZERO)
            .await
            .expect("dropped")
            .len(),
        1
    );
}

#[tokio::test]
async fn a_table_is_dropped_by_id_whoever_has_its_name() {
    let folder = folder();
    let metastore = open(&folder).await;
    let table = new_table("t", TableKind::Managed);
    let first = metastore.reserve_table(&table, "ann").await.expect("reserved");
    metastore.publish_table(first.id).await.expect("published");
    metastore.drop_table(&table.name, "ann").await.expect("dropped");
    let second = metastore.reserve_table(&table, "bob").await.expect("reserved");
    metastore.publish_table(second.id).await.expect("published");
    metastore
        .drop_table_by_id(first.id, "ann")
        .await
        .expect("gone already");
    assert_eq!(metastore.table(&table.name).await.expect("found").id, second.id);
    metastore
        .drop_table_by_id(second.id, "ann")
        .await
        .expect("dropped");
    assert!(metastore.table(&table.name).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_made_in_a_schema_that_is_dropped_meanwhile() {
    let folder = folder();
    for round in 0..20 {
        let name = format!("s{round}");
        let metastore = open(&folder).await;
        metastore
            .create_schema(&schema_name(&name), None, "ann")
            .await
            .expect("made");
        let mut at_once = JoinSet::new();
        for maker in 0..4 {
            let metastore = open(&folder).await;
            let mut view = new_table("v", TableKind::View);
            view.name = TableName::parse(&format!("main.{name}.v{maker}")).expect("valid name");
            at_once.spawn(async move {
                let made = metastore.create_view(&view, Replace::No, "ann").await;
                assert!(matches!(made, Ok(_) | Err(Error::NotFound { .. })), "{made:?}");
            });
        }
        let dropper = open(&folder).await;
        let dropped = schema_name(&name);
        at_once.spawn(async move {
            dropper.drop_schema(&dropped, true, "ann").await.expect("dropped");
        });
        at_once.join_all().await;
        // Made anew, the schema must not find views of its former self.
        metastore
            .create_schema(&schema_name(&name), None, "ann")
            .await
            .expect("made");
        let orphans = metastore
            .list_tables(&schema_name(&name), &Page::default())
            .await
            .expect("tables");
        assert!(orphans.is_empty(), "{orphans:?}");
    }
}

#[tokio::test]
async fn a_replaced_view_keeps_what_it_is() {
    let folder = folder();
    let metastore = open(&folder).await;
    let mut view = new_table("v", TableKind::View);
    view.definition = Some("SELECT 1".to_owned());
    let made = metastore
        .create_view(&view, Replace::No, "ann")
        .await
        .expect("made");
    view.definition = Some("SELECT 2".to_owned());
    let replaced = metastore
        .create_view(&view, Replace::OfOwner("ann"), "bob")
        .await
        .expect("replaced");
    assert_eq!(
        (replaced.id, &replaced.audit.owner, replaced.audit.created_at),
        (made.id, &made.audit.owner, made.audit.created_at)
    );
    assert_eq!(replaced.audit.updated_by, "bob");
    assert_eq!(replaced.definition.as_deref(), Some("SELECT 2"));
}

#[tokio::test]
async fn views_replace_views_and_never_tables() {
    let folder = folder();
    let metastore = open(&folder).await;
    let mut view = new_table("v", TableKind::View);
    view.definition = Some("SELECT 1".to_owned());
    view.definition_namespace = Some(schema_name("default"));
    metastore
        .create_view(&view, Replace::No, "ann")
        .await
        .expect("made");
    assert!(matches!(
        metastore.create_view(&view, Replace::No, "ann").await,
        Err(Error::AlreadyExists { .. })
    ));
    view.definition = Some("SELECT 2".to_owned());
    metastore
        .create_view(&view, Replace::OfOwner("ann"), "ann")
        .await
        .expect("replaced");
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
        metastore
            .create_view(&over_table, Replace::OfOwner("ann"), "ann")
            .await,
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
    for place in ["/tables/x", "/tables", ""] {
        let managed = format!("file://{}{place}", folder.path().display());
        let error = metastore
            .reserve_table(&external("b", &managed), "ann")
            .await
            .expect_err("inside, or around");
        assert!(error.to_string().contains("folder of managed tables"), "{error}");
    }
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
