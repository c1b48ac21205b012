//! Keys of tables.

use ingot_catalog::{
    ColumnInfo, ConstraintChoice, Error, Key, KeyChange, Metastore, NewConstraint, NewKey, NewTable,
    TableChange, TableConstraint, TableInfo, TableKind,
};
use ingot_common::TableName;
use tempfile::TempDir;
use test_case::test_case;

use crate::tables::new_table;
use crate::{folder, open};

fn name(table: &str) -> TableName {
    TableName::parse(&format!("main.default.{table}")).expect("valid name")
}

fn column(name: &str, type_text: &str, nullable: bool) -> ColumnInfo {
    ColumnInfo {
        name: name.to_owned(),
        type_text: type_text.to_owned(),
        nullable,
        comment: None,
        partition_index: None,
    }
}

/// `id BIGINT NOT NULL, day DATE NOT NULL, note STRING`.
fn columns() -> Vec<ColumnInfo> {
    vec![
        column("Id", "bigint", false),
        column("day", "date", false),
        column("note", "string", true),
    ]
}

fn texts(columns: &[&str]) -> Vec<String> {
    columns.iter().map(|column| (*column).to_owned()).collect()
}

fn primary(key: &str, columns: &[&str]) -> NewConstraint {
    NewConstraint {
        name: Some(key.to_owned()),
        columns: texts(columns),
        rely: true,
        key: NewKey::Primary { timeseries: None },
    }
}

fn foreign(key: &str, columns: &[&str], parent: &str, parent_columns: &[&str]) -> NewConstraint {
    NewConstraint {
        key: NewKey::Foreign {
            parent: name(parent),
            parent_columns: texts(parent_columns),
        },
        ..primary(key, columns)
    }
}

async fn table<const N: usize>(
    metastore: &Metastore,
    table: &str,
    constraints: [NewConstraint; N],
) -> Result<TableInfo, Error> {
    let new = NewTable {
        columns: columns(),
        constraints: constraints.to_vec(),
        ..new_table(table, TableKind::Managed)
    };
    let reserved = metastore.reserve_table(&new, "ann").await?;
    metastore.publish_table(reserved.id).await
}

/// A table `parent` with the key `pk` of (id, day), and `child` with the foreign key `fk` to it.
async fn family(folder: &TempDir) -> (Metastore, TableInfo, TableInfo) {
    let metastore = open(folder).await;
    let parent = table(&metastore, "parent", [primary("pk", &["id", "day"])]);
    let parent = parent.await.expect("made");
    let child = table(
        &metastore,
        "child",
        [foreign("fk", &["day", "id"], "parent", &["day", "id"])],
    );
    let child = child.await.expect("made");
    (metastore, parent, child)
}

async fn make_of(metastore: &Metastore, table: &TableInfo, columns: &[ColumnInfo], keys: KeyChange<'_>) {
    let change = TableChange {
        columns,
        keys,
        comment: None,
        properties: &[].into(),
        dataset: None,
        shallow_clone: None,
    };
    metastore
        .set_replaced(table.id, &change, "ann")
        .await
        .expect("changed");
}

async fn keys(metastore: &Metastore, table: &TableInfo) -> Vec<TableConstraint> {
    metastore.table_constraints(table.id).await.expect("read")
}

#[tokio::test]
async fn keys_are_there_with_their_tables() {
    let folder = folder();
    let (metastore, parent, child) = family(&folder).await;
    let [key] = &*keys(&metastore, &parent).await else {
        panic!("one key");
    };
    assert_eq!((&*key.name, key.rely), ("pk", true));
    assert_eq!(key.columns, ["Id", "day"], "as the table spells them");
    let [key] = &*keys(&metastore, &child).await else {
        panic!("one key");
    };
    let Key::Foreign(refers) = &key.key else {
        panic!("a foreign key");
    };
    assert_eq!((refers.parent, &*refers.parent_key), (parent.id, "pk"));
    assert_eq!(refers.parent_columns, ["day", "Id"]);
    assert_eq!(metastore.list_constraints().await.expect("read").len(), 2);
}

#[tokio::test]
async fn a_key_without_a_name_gets_one() {
    let folder = folder();
    let metastore = open(&folder).await;
    let unnamed = |key: NewConstraint| NewConstraint { name: None, ..key };
    let parent = table(&metastore, "parent", [unnamed(primary("", &["id"]))]);
    let parent = parent.await.expect("made");
    // It refers to itself, in the order of the key.
    let own = unnamed(foreign("", &["id"], "parent", &[]));
    metastore.add_constraint(parent.id, &own).await.expect("added");
    let names: Vec<String> = keys(&metastore, &parent)
        .await
        .into_iter()
        .map(|key| key.name)
        .collect();
    assert_eq!(names, ["parent_pk", "parent_parent_fk"]);
}

#[test_case(primary("other", &["id"]), "MULTIPLE_PRIMARY_KEYS"; "a second primary key")]
#[test_case(foreign("PK", &["id", "day"], "parent", &[]), "CONSTRAINT_ALREADY_EXISTS"; "a name of another table's key")]
#[test_case(foreign("f", &["id"], "parent", &[]), "FOREIGN_KEY_MISMATCH"; "too few columns")]
#[test_case(foreign("f", &["id", "day"], "parent", &["id", "note"]), "FOREIGN_KEY_MISMATCH"; "columns that are no key")]
#[test_case(foreign("f", &["day", "id"], "parent", &[]), "FOREIGN_KEY_MISMATCH"; "columns of another type")]
#[test_case(foreign("f", &["id", "day"], "child", &[]), "FOREIGN_KEY_MISMATCH"; "a parent without a key")]
#[test_case(foreign("f", &["id", "id"], "parent", &[]), "INVALID_PARAMETER_VALUE"; "a column twice")]
#[test_case(foreign("f", &["id", "nope"], "parent", &[]), "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"; "no column")]
#[test_case(foreign("f", &["id", "day"], "nope", &[]), "TABLE_OR_VIEW_NOT_FOUND"; "no parent")]
#[test_case(foreign("f", &["id", "day"], "parent", &[]), "none"; "one that fits")]
#[tokio::test]
async fn a_key_that_cannot_be_is_refused(key: NewConstraint, expected: &str) {
    let folder = folder();
    let metastore = open(&folder).await;
    let pk = primary("pk", &["id", "day"]);
    let parent = table(&metastore, "parent", [pk]).await.expect("made");
    let child = table(&metastore, "child", []).await.expect("made");
    let of_child = matches!(key.key, NewKey::Foreign { .. });
    let added = metastore
        .add_constraint(if of_child { child.id } else { parent.id }, &key)
        .await;
    let condition = added.err().and_then(|error| {
        use ingot_common::Classify;
        error.condition().map(str::to_owned)
    });
    assert_eq!(condition.as_deref().unwrap_or("none"), expected);
}

#[tokio::test]
async fn columns_of_a_primary_key_hold_no_nulls() {
    let folder = folder();
    let metastore = open(&folder).await;
    let made = table(&metastore, "t", [primary("pk", &["id", "note"])]).await;
    let message = made.expect_err("refused").to_string();
    assert!(
        message.contains("primary key `pk`") && message.contains("`note` is nullable"),
        "{message}"
    );
    assert!(metastore.table(&name("t")).await.is_err(), "and no table is made");
}

#[tokio::test]
async fn two_foreign_keys_are_of_different_columns() {
    let folder = folder();
    let (metastore, _, child) = family(&folder).await;
    let twin = foreign("twin", &["id", "day"], "parent", &["id", "day"]);
    let added = metastore.add_constraint(child.id, &twin).await;
    assert!(matches!(added, Err(Error::InvalidConstraint { .. })), "{added:?}");
}

#[tokio::test]
async fn a_key_that_is_referred_to_goes_by_cascade_only() {
    let folder = folder();
    let (metastore, parent, child) = family(&folder).await;
    let choice = ConstraintChoice::Primary;
    let refused = metastore.drop_constraint(parent.id, &choice, false).await;
    assert!(matches!(refused, Err(Error::ReferencedKey { .. })), "{refused:?}");
    let dropped = metastore.drop_constraint(parent.id, &choice, true).await;
    assert_eq!(dropped.expect("dropped").as_deref(), Some("pk"));
    assert!(keys(&metastore, &child).await.is_empty());
    let again = metastore.drop_constraint(parent.id, &choice, true).await;
    assert_eq!(again.expect("none"), None);
}

#[test_case(ConstraintChoice::Named("FK".to_owned()), true; "by name")]
#[test_case(ConstraintChoice::Foreign(texts(&["DAY", "id"])), true; "by columns")]
#[test_case(ConstraintChoice::Foreign(texts(&["id", "day"])), false; "by columns in another order")]
#[test_case(ConstraintChoice::Primary, false; "as a primary key")]
#[tokio::test]
async fn a_foreign_key_is_chosen(choice: ConstraintChoice, found: bool) {
    let folder = folder();
    let (metastore, _, child) = family(&folder).await;
    let dropped = metastore
        .drop_constraint(child.id, &choice, false)
        .await
        .expect("dropped");
    assert_eq!(dropped.is_some(), found);
}

#[tokio::test]
async fn foreign_keys_go_with_their_parent() {
    let folder = folder();
    let (metastore, parent, _) = family(&folder).await;
    metastore.drop_table(&parent.name, "ann").await.expect("dropped");
    assert!(metastore.list_constraints().await.expect("read").is_empty());
    // Its name is free.
    table(&metastore, "parent", [primary("pk", &["id"])])
        .await
        .expect("made");
}

#[tokio::test]
async fn keys_follow_a_column_to_its_new_name() {
    let folder = folder();
    let (metastore, parent, child) = family(&folder).await;
    let mut renamed = columns();
    renamed[0].name = "number".to_owned();
    let change = KeyChange::Rename {
        from: "Id",
        to: "number",
    };
    make_of(&metastore, &parent, &renamed, change).await;
    assert_eq!(keys(&metastore, &parent).await[0].columns, ["number", "day"]);
    let of_child = &keys(&metastore, &child).await[0];
    assert_eq!(of_child.columns, ["day", "Id"]);
    assert!(matches!(&of_child.key, Key::Foreign(refers) if refers.parent_columns == ["day", "number"]));
}

#[test_case(&[primary("again", &["day", "id"])], 1; "with the same key")]
#[test_case(&[primary("pk", &["id"])], 0; "with another key")]
#[test_case(&[], 0; "without a key")]
#[tokio::test]
async fn a_foreign_key_stays_while_there_is_what_it_refers_to(replaced: &[NewConstraint], stays: usize) {
    let folder = folder();
    let (metastore, parent, child) = family(&folder).await;
    metastore
        .check_constraints(parent.id, &columns(), replaced)
        .await
        .expect("they fit");
    assert_eq!(keys(&metastore, &child).await.len(), 1, "a check changes nothing");
    make_of(&metastore, &parent, &columns(), KeyChange::Replace(replaced)).await;
    assert_eq!(keys(&metastore, &parent).await.len(), replaced.len());
    assert_eq!(keys(&metastore, &child).await.len(), stays);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_add_a_primary_key_one_has() {
    let folder = folder();
    let metastore = open(&folder).await;
    let made = table(&metastore, "t", []).await.expect("made");
    let mut attempts = tokio::task::JoinSet::new();
    for number in 0..8 {
        let metastore = metastore.clone();
        attempts.spawn(async move {
            let key = primary(&format!("pk{number}"), &["id"]);
            metastore.add_constraint(made.id, &key).await
        });
    }
    let outcomes = attempts.join_all().await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        1,
        "{outcomes:?}"
    );
}
