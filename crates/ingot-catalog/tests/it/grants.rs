//! Privileges: granted, revoked, kept and forgotten.

use ingot_catalog::{
    Error, GrantChange, Metastore, Need, NewVolume, Privilege, SecurableChange, SecurableName, TableKind,
};
use ingot_common::Classify;
use ingot_common::{Kind, TableName, VolumeName};

use crate::tables::new_table;
use crate::{folder, identifier, open, schema_name};

const SELECT: Need = Need::Privilege(Privilege::Select);

fn table_name(name: &str) -> TableName {
    let schema = schema_name("default");
    TableName::new(schema.catalog, schema.schema, identifier(name))
}

fn change(principal: &str, add: &[Privilege], remove: &[Privilege]) -> GrantChange {
    GrantChange {
        principal: principal.to_owned(),
        add: add.to_vec(),
        remove: remove.to_vec(),
    }
}

async fn make_table(metastore: &Metastore, name: &str) {
    let table = new_table(name, TableKind::Managed);
    let reserved = metastore.reserve_table(&table, "tom").await.expect("reserved");
    metastore.publish_table(reserved.id).await.expect("published");
}

async fn grant(metastore: &Metastore, on: &SecurableName, principal: &str, privilege: Privilege) {
    metastore
        .update_permissions("system", on, &[change(principal, &[privilege], &[])])
        .await
        .expect("granted");
}

/// A metastore in which `ann` may read table `t`.
async fn readable(folder: &tempfile::TempDir) -> Metastore {
    let metastore = open(folder).await;
    make_table(&metastore, "t").await;
    let catalog = SecurableName::Catalog(identifier("main"));
    grant(&metastore, &catalog, "ann", Privilege::UseCatalog).await;
    grant(
        &metastore,
        &SecurableName::Schema(schema_name("default")),
        "ann",
        Privilege::UseSchema,
    )
    .await;
    grant(
        &metastore,
        &SecurableName::Table(table_name("t")),
        "ann",
        Privilege::Select,
    )
    .await;
    metastore
}

async fn reads(metastore: &Metastore, principal: &str, table: &str) -> bool {
    let securable = metastore
        .securable(&SecurableName::Table(table_name(table)))
        .await
        .expect("there");
    metastore.authorize(principal, &securable, SELECT).await.is_ok()
}

#[tokio::test]
async fn what_is_revoked_in_one_process_is_gone_in_another() {
    let folder = folder();
    let metastore = readable(&folder).await;
    let other = open(&folder).await;
    assert!(reads(&metastore, "ann", "t").await && reads(&other, "ann", "t").await);
    assert!(!reads(&metastore, "bob", "t").await);
    let table = SecurableName::Table(table_name("t"));
    other
        .update_permissions("system", &table, &[change("ann", &[], &[Privilege::Select])])
        .await
        .expect("revoked");
    assert!(!reads(&metastore, "ann", "t").await);
}

#[tokio::test]
async fn who_owns_a_schema_now_counts_at_once() {
    let folder = folder();
    let metastore = readable(&folder).await;
    assert!(!reads(&metastore, "bob", "t").await);
    let owner = SecurableChange {
        owner: Some("bob".to_owned()),
        ..SecurableChange::default()
    };
    metastore
        .alter_catalog(&identifier("main"), &owner, "system")
        .await
        .expect("altered");
    assert!(reads(&metastore, "bob", "t").await);
}

#[tokio::test]
async fn a_grant_stays_with_the_table_and_not_with_its_name() {
    let folder = folder();
    let metastore = readable(&folder).await;
    let table = metastore.table(&table_name("t")).await.expect("there");
    metastore
        .rename_table(table.id, &table_name("u"), "tom")
        .await
        .expect("renamed");
    make_table(&metastore, "t").await;
    assert!(reads(&metastore, "ann", "u").await);
    assert!(!reads(&metastore, "ann", "t").await);
    metastore
        .drop_table(&table_name("u"), "tom")
        .await
        .expect("dropped");
    make_table(&metastore, "u").await;
    assert!(!reads(&metastore, "ann", "u").await);
}

#[tokio::test]
async fn nothing_is_granted_on_what_is_gone() {
    let folder = folder();
    let metastore = readable(&folder).await;
    let name = SecurableName::Table(table_name("t"));
    let securable = metastore.securable(&name).await.expect("there");
    metastore
        .drop_table(&table_name("t"), "tom")
        .await
        .expect("dropped");
    make_table(&metastore, "t").await;
    let outcome = metastore
        .change_grants(&securable, &[change("ann", &[Privilege::Modify], &[])], "tom")
        .await;
    assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
    let grants = metastore.permissions("system", &name, None).await.expect("told");
    assert!(grants.iter().all(|on| on.inherited), "{grants:?}");
}

#[tokio::test]
async fn changes_are_made_together_or_not_at_all() {
    let folder = folder();
    let metastore = readable(&folder).await;
    let table = SecurableName::Table(table_name("t"));
    let changes = [
        change("bob", &[Privilege::Select], &[]),
        change("bob", &[Privilege::Execute], &[]),
    ];
    let error = metastore
        .update_permissions("system", &table, &changes)
        .await
        .expect_err("no privilege of tables");
    assert_eq!(error.condition(), Some("INVALID_PARAMETER_VALUE"));
    let of_bob = metastore
        .permissions("system", &table, Some("bob"))
        .await
        .expect("told");
    assert!(of_bob.is_empty());
}

#[tokio::test]
async fn who_does_not_manage_sees_only_what_is_granted_to_them_and_changes_nothing() {
    let folder = folder();
    let metastore = readable(&folder).await;
    let table = SecurableName::Table(table_name("t"));
    grant(&metastore, &table, "bob", Privilege::Modify).await;
    let seen = metastore.permissions("ann", &table, None).await.expect("told");
    let principals: Vec<_> = seen.iter().map(|on| on.grant.principal.as_str()).collect();
    assert_eq!(principals, ["ann"]);
    let error = metastore
        .update_permissions("ann", &table, &[change("ann", &[Privilege::Modify], &[])])
        .await
        .expect_err("denied");
    assert_eq!(
        (error.kind(), error.condition()),
        (Kind::PermissionDenied, Some("INSUFFICIENT_PERMISSIONS"))
    );
}

#[tokio::test]
async fn grants_of_a_volume_go_with_it() {
    let folder = folder();
    let metastore = open(&folder).await;
    let volume = NewVolume {
        name: VolumeName::new(schema_name("default"), identifier("v")),
        location: None,
        comment: None,
    };
    metastore.create_volume(&volume, "tom").await.expect("made");
    let name = SecurableName::Volume(volume.name.clone());
    grant(&metastore, &name, "ann", Privilege::ReadVolume).await;
    metastore.drop_volume(&volume.name).await.expect("dropped");
    metastore.create_volume(&volume, "tom").await.expect("made anew");
    assert!(
        metastore
            .permissions("system", &name, None)
            .await
            .expect("told")
            .is_empty()
    );
}

#[test_case::test_case(""; "empty")]
#[test_case(" ann"; "space before")]
#[test_case("a\nb"; "control character")]
fn what_can_be_no_principal_is_refused(name: &str) {
    assert!(ingot_catalog::check_principal(name).is_err());
}
