//! Row filters and column masks of tables in the metastore.

use ingot_catalog::{ColumnMask, Error, FilterChange, FunctionId, TableFunction, TableKind};
use ingot_common::{FunctionName, TableName};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::tables::new_table;
use crate::{folder, identifier, open, schema_name};

fn mask() -> ColumnMask {
    let name = FunctionName::new(schema_name("default"), identifier("f"));
    ColumnMask {
        function: TableFunction {
            name,
            id: FunctionId(Uuid::nil()),
        },
        using_columns: Vec::new(),
    }
}

fn name() -> TableName {
    TableName::new(identifier("main"), identifier("default"), identifier("t"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn masks_that_are_set_at_once_are_all_there_until_the_table_goes() {
    let folder = folder();
    let metastore = open(&folder).await;
    let table = new_table("t", TableKind::Managed);
    let made = metastore.reserve_table(&table, "ann").await.expect("reserved");
    metastore.publish_table(made.id).await.expect("published");
    let mut changes = JoinSet::new();
    for number in 0..8 {
        let (metastore, id) = (metastore.clone(), made.id);
        changes.spawn(async move {
            let change = FilterChange::ColumnMask(format!("c{number}"), Some(mask()));
            metastore.alter_filters(id, change, "ann").await
        });
    }
    for outcome in changes.join_all().await {
        outcome.expect("set");
    }
    let found = metastore.table(&name()).await.expect("there");
    assert_eq!(found.filters.column_masks.len(), 8);
    let location = url::Url::parse(&found.location.expect("location")).expect("URL");
    let at = metastore.filtered_table_at(&location).await.expect("asked");
    assert_eq!(at.map(|info| info.id), Some(made.id));

    metastore.drop_table(&name(), "ann").await.expect("dropped");
    let late = metastore
        .alter_filters(made.id, FilterChange::RowFilter(None), "ann")
        .await;
    assert!(matches!(late, Err(Error::NotFound { .. })), "{late:?}");
    assert_eq!(metastore.filtered_table_at(&location).await.expect("asked"), None);
}
