//! Properties and the comment: `SET TBLPROPERTIES`, `UNSET TBLPROPERTIES`, `COMMENT ON TABLE`.

use std::collections::BTreeMap;

use ingot_catalog::{Need, TableKind};
use ingot_common::TableName;
use ingot_common::port::StatementResult;
use ingot_delta::{Metadata, Operation};
use serde_json::json;

use super::super::Work;
use super::super::create_table::check_properties;
use super::super::cursor::Cursor;
use super::{Change, comment_text, open, view};
use crate::access::{self, MODIFY};
use crate::write::rules::definition::refused;
use crate::{Result, Session};

/// The property that is a table's comment, as Spark has it.
const COMMENT: &str = "comment";

/// `SET TBLPROPERTIES ('key' = 'value', …)`. A property that implies a feature adds it.
pub(super) fn set<'a>(session: &'a Session, cursor: &mut Cursor<'_>, name: TableName) -> Result<Work<'a>> {
    let properties: BTreeMap<String, String> = cursor.properties()?.into_iter().collect();
    cursor.end()?;
    check_changeable(properties.keys())?;
    check_properties(&properties)?;
    Ok(set_properties(session, name, properties))
}

fn set_properties(session: &Session, name: TableName, properties: BTreeMap<String, String>) -> Work<'_> {
    Work::defines(async move { apply(session, &name, properties).await })
}

/// Gives a table properties.
pub(in crate::statement) async fn apply(
    session: &Session,
    name: &TableName,
    properties: BTreeMap<String, String>,
) -> Result<StatementResult> {
    let mut altered = open(session, name, MODIFY).await?;
    let mut metadata = with_properties(altered.snapshot.metadata(), &properties);
    if altered.snapshot.begins_row_tracking(&metadata) {
        // Rows have ids before the table promises them.
        altered
            .table
            .backfill_row_ids(&metadata, &session.author())
            .await?;
        altered = open(session, name, MODIFY).await?;
        metadata = with_properties(altered.snapshot.metadata(), &properties);
    }
    let operation = Operation::new("SET TBLPROPERTIES").with("properties", json!(properties).to_string());
    altered.commit(session, Change::new(metadata, operation)).await
}

/// Returns the metadata with properties, and the comment if it is among them.
fn with_properties(metadata: &Metadata, properties: &BTreeMap<String, String>) -> Metadata {
    let mut changed = metadata.clone();
    for (key, value) in properties {
        if key.eq_ignore_ascii_case(COMMENT) {
            changed.description = Some(value.clone());
        } else {
            changed.configuration.insert(key.clone(), value.clone());
        }
    }
    changed
}

/// `UNSET TBLPROPERTIES [IF EXISTS] ('key', …)`.
pub(super) fn unset<'a>(session: &'a Session, cursor: &mut Cursor<'_>, name: TableName) -> Result<Work<'a>> {
    let if_exists = cursor.if_exists();
    let keys = cursor.in_parentheses(Cursor::property_key)?;
    cursor.end()?;
    check_changeable(keys.iter())?;
    check_properties(&keys.iter().map(|key| (key.clone(), String::new())).collect())?;
    Ok(Work::defines(async move {
        let altered = open(session, &name, MODIFY).await?;
        let mut metadata = altered.snapshot.metadata().clone();
        for key in &keys {
            let existed = match key.eq_ignore_ascii_case(COMMENT) {
                true => metadata.description.take().is_some(),
                false => metadata.configuration.remove(key).is_some(),
            };
            if !existed && !if_exists {
                return Err(refused(
                    "DELTA_UNSET_NON_EXISTENT_PROPERTY",
                    "42616",
                    format!("attempted to unset non-existent property '{key}' in table {name}"),
                ));
            }
        }
        let operation = Operation::new("UNSET TBLPROPERTIES")
            .with("properties", json!(keys).to_string())
            .with("ifExists", if_exists.to_string());
        altered.commit(session, Change::new(metadata, operation)).await
    }))
}

/// `COMMENT ON TABLE t IS 'text' | NULL`.
pub(super) fn comment_on_table<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let name = cursor.table_name(session)?;
    let comment = comment_text(cursor)?;
    Ok(Work::defines(async move {
        if access::table(session, &name, Need::Sight).await?.kind == TableKind::View {
            return view::set_comment(session, &name, comment).await;
        }
        let altered = open(session, &name, MODIFY).await?;
        let mut metadata = altered.snapshot.metadata().clone();
        metadata.description.clone_from(&comment);
        let properties = json!({COMMENT: comment.unwrap_or_default()});
        let operation = Operation::new("SET TBLPROPERTIES").with("properties", properties.to_string());
        altered.commit(session, Change::new(metadata, operation)).await
    }))
}

/// Refuses what other statements change.
fn check_changeable<'a>(mut keys: impl Iterator<Item = &'a String>) -> Result<()> {
    let reserved = |key: &&String| {
        let words = [
            "location",
            "provider",
            "owner",
            "external",
            "delta.requireCheckpointProtectionBeforeVersion",
        ];
        words.iter().any(|word| key.eq_ignore_ascii_case(word)) || key.starts_with("delta.feature.clustering")
    };
    match keys.find(reserved).map(|key| key.to_lowercase()) {
        None => Ok(()),
        Some(key) if key == "location" => Err(refused(
            "DELTA_CANNOT_CHANGE_LOCATION",
            "42601",
            "cannot change the 'location' of the Delta table using SET TBLPROPERTIES. Please use ALTER TABLE SET \
             LOCATION instead"
                .to_owned(),
        )),
        Some(key) if key.starts_with("delta.feature.clustering") => Err(refused(
            "DELTA_ALTER_TABLE_SET_CLUSTERING_TABLE_FEATURE_NOT_ALLOWED",
            "42000",
            "cannot enable the clustering table feature using TBLPROPERTIES. Please use CLUSTER BY".to_owned(),
        )),
        Some(key) => Err(refused(
            "DELTA_CANNOT_CHANGE_PROVIDER",
            "42939",
            format!("'{key}' is a reserved table property, and cannot be altered"),
        )),
    }
}
