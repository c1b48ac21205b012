//! Changes of catalogs, schemas and volumes.

use ingot_catalog::{Error, NewVolume, SecurableChange};
use ingot_common::VolumeName;
use tokio::task::JoinSet;

use crate::{folder, identifier, open, schema_name};

fn property(key: String) -> SecurableChange {
    SecurableChange {
        set_properties: [(key, "v".to_owned())].into(),
        ..SecurableChange::default()
    }
}

fn volume_name(name: &str) -> VolumeName {
    VolumeName::new(schema_name("default"), identifier(name))
}

fn new_volume(name: &str) -> NewVolume {
    NewVolume {
        name: volume_name(name),
        location: None,
        comment: Some("files".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_at_once_lose_none() {
    let folder = folder();
    let metastore = open(&folder).await;
    let mut changes = JoinSet::new();
    for number in 0..16 {
        let metastore = metastore.clone();
        changes.spawn(async move {
            let change = property(format!("k{number}"));
            let catalog = metastore.alter_catalog(&identifier("main"), &change, "ann").await;
            let schema = metastore
                .alter_schema(&schema_name("default"), &change, "ann")
                .await;
            catalog.and(schema)
        });
    }
    for outcome in changes.join_all().await {
        outcome.expect("changed");
    }
    let catalog = metastore.catalog(&identifier("main")).await.expect("catalog");
    let schema = metastore.schema(&schema_name("default")).await.expect("schema");
    assert_eq!((catalog.properties.len(), schema.properties.len()), (16, 16));
}

#[tokio::test]
async fn what_is_not_there_is_not_changed() {
    let folder = folder();
    let metastore = open(&folder).await;
    let change = property("k".to_owned());
    let outcomes = [
        metastore.alter_catalog(&identifier("nope"), &change, "ann").await,
        metastore.alter_schema(&schema_name("nope"), &change, "ann").await,
        metastore.alter_volume(&volume_name("nope"), &change, "ann").await,
        metastore
            .rename_volume(&volume_name("nope"), &identifier("v"), "ann")
            .await,
        metastore.drop_volume(&volume_name("nope")).await.map(drop),
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_volume_keeps_what_a_change_leaves_out() {
    let folder = folder();
    let metastore = open(&folder).await;
    let made = metastore
        .create_volume(&new_volume("v"), "ann")
        .await
        .expect("made");
    let owner = SecurableChange {
        owner: Some("bob".to_owned()),
        ..SecurableChange::default()
    };
    metastore
        .alter_volume(&made.name, &owner, "bob")
        .await
        .expect("changed");
    metastore
        .rename_volume(&made.name, &identifier("w"), "bob")
        .await
        .expect("renamed");
    let found = metastore.volume(&volume_name("w")).await.expect("found");
    assert_eq!(found.audit.owner, "bob");
    assert_eq!(
        (found.id, found.comment, found.location),
        (made.id, made.comment, made.location)
    );
    let no_comment = SecurableChange {
        comment: Some(None),
        ..SecurableChange::default()
    };
    metastore
        .alter_volume(&volume_name("w"), &no_comment, "bob")
        .await
        .expect("changed");
    assert_eq!(
        metastore.volume(&volume_name("w")).await.expect("found").comment,
        None
    );
    metastore
        .create_volume(&new_volume("v"), "ann")
        .await
        .expect("the name is free");
    let taken = metastore
        .rename_volume(&volume_name("w"), &identifier("v"), "ann")
        .await;
    assert!(matches!(taken, Err(Error::AlreadyExists { .. })), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_drop_a_volume_one_has() {
    let folder = folder();
    let metastore = open(&folder).await;
    metastore
        .create_volume(&new_volume("v"), "ann")
        .await
        .expect("made");
    let mut drops = JoinSet::new();
    for _ in 0..8 {
        let metastore = metastore.clone();
        drops.spawn(async move { metastore.drop_volume(&volume_name("v")).await.is_ok() });
    }
    let dropped = drops.join_all().await;
    assert_eq!(dropped.iter().filter(|dropped| **dropped).count(), 1);
}
