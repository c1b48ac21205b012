//! The metastore on a real SQLite file.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

mod constraints;
mod filters;
mod grants;
mod history;
mod securables;
mod tables;

use ingot_catalog::{Error, Metastore, Page};
use ingot_common::{Identifier, SchemaName};
use tempfile::TempDir;
use url::Url;

/// Opens the metastore of a folder, as each process does.
pub async fn open(folder: &TempDir) -> Metastore {
    let root = Url::from_directory_path(folder.path().join("tables")).expect("absolute path");
    Metastore::open(&folder.path().join("metastore.sqlite"), &root)
        .await
        .expect("metastore opens")
}

pub fn folder() -> TempDir {
    tempfile::tempdir().expect("temporary folder")
}

pub fn identifier(name: &str) -> Identifier {
    Identifier::new(name).expect("valid name")
}

pub fn schema_name(name: &str) -> SchemaName {
    SchemaName::new(identifier("main"), identifier(name))
}

#[tokio::test]
async fn a_new_metastore_has_the_default_namespace() {
    let folder = folder();
    let metastore = open(&folder).await;
    let catalogs = metastore.list_catalogs(&Page::default()).await.expect("catalogs");
    let names: Vec<_> = catalogs.iter().map(|catalog| catalog.name.as_str()).collect();
    assert_eq!(names, ["main", "system"]);
    assert!(metastore.schema(&schema_name("default")).await.is_ok());
}

#[tokio::test]
async fn what_was_made_is_there_after_reopening() {
    let folder = folder();
    let made = open(&folder)
        .await
        .create_schema(&schema_name("gold"), Some("for all"), "ann")
        .await
        .expect("made");
    let found = open(&folder)
        .await
        .schema(&schema_name("gold"))
        .await
        .expect("found");
    assert_eq!(found, made);
    assert_eq!(found.audit.owner, "ann");
}

#[tokio::test]
async fn names_exist_once_and_unknown_ones_are_named() {
    let folder = folder();
    let metastore = open(&folder).await;
    let again = metastore.create_catalog(&identifier("MAIN"), None, "ann").await;
    assert!(matches!(
        again,
        Err(Error::AlreadyExists {
            securable: "catalog",
            ..
        })
    ));
    let missing = metastore.schema(&schema_name("nope")).await.expect_err("missing");
    assert_eq!(missing.to_string(), "schema `main.nope` does not exist");
    let orphan = SchemaName::new(identifier("nope"), identifier("s"));
    let error = metastore
        .create_schema(&orphan, None, "ann")
        .await
        .expect_err("no catalog");
    assert_eq!(error.to_string(), "catalog `nope` does not exist");
}

#[tokio::test]
async fn pages_follow_each_other() {
    let folder = folder();
    let metastore = open(&folder).await;
    for name in ["c", "a", "b"] {
        metastore
            .create_schema(&schema_name(name), None, "ann")
            .await
            .expect("made");
    }
    let mut page = Page {
        after: None,
        limit: Some(2),
    };
    let mut names = Vec::new();
    loop {
        let schemas = metastore
            .list_schemas(&identifier("main"), &page)
            .await
            .expect("page");
        let Some(last) = schemas.last() else { break };
        page.after = Some(last.name.schema.to_string());
        names.extend(schemas.iter().map(|schema| schema.name.schema.to_string()));
    }
    assert_eq!(names, ["a", "b", "c", "default"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_at_once_agree_on_the_schema() {
    for _ in 0..10 {
        let folder = folder();
        let root = Url::from_directory_path(folder.path()).expect("absolute path");
        let database = folder.path().join("metastore.sqlite");
        let mut opening = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (database, root) = (database.clone(), root.clone());
            opening.spawn(async move { Metastore::open(&database, &root).await.map(drop) });
        }
        for outcome in opening.join_all().await {
            outcome.expect("opens");
        }
    }
}

#[tokio::test]
async fn a_catalog_begins_with_its_default_schema_and_goes_with_it() {
    let folder = folder();
    let metastore = open(&folder).await;
    let lab = identifier("lab");
    metastore.create_catalog(&lab, None, "ann").await.expect("made");
    let default = SchemaName::new(lab.clone(), identifier("default"));
    assert_eq!(
        metastore.schema(&default).await.expect("there").audit.owner,
        "ann"
    );
    let other = SchemaName::new(lab.clone(), identifier("other"));
    metastore.create_schema(&other, None, "ann").await.expect("made");
    let error = metastore
        .drop_catalog(&lab, false, "ann")
        .await
        .expect_err("holds a schema");
    assert!(matches!(error, Error::NotEmpty { .. }), "{error}");
    metastore
        .drop_schema(&other, false, "ann")
        .await
        .expect("dropped");
    metastore
        .drop_catalog(&lab, false, "ann")
        .await
        .expect("nothing but the default schema");
}
