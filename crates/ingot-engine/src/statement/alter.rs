//! `ALTER TABLE`, and `COMMENT ON`: one file per family of changes.
//!
//! ```text
//! snapshot ─► change of its metadata (pure, `ingot_delta::schema_change`) ─► one commit ─► what the metastore shows
//! ```
//! Always true: a change is one commit of metadata, made only if no other commit changed metadata meanwhile; a change
//! that depends on the rows (NOT NULL, CHECK) is made only for rows that were looked at. The log decides; the
//! metastore follows it. Source: Databricks, "ALTER TABLE"; Delta Spark, `alterDeltaTableCommands`.

mod cluster;
mod columns;
mod constraints;
mod drop_feature;
mod filters;
mod mapped;
mod namespace;
mod properties;
mod table;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use ingot_catalog::{KeyChange, Need, TableChange, TableInfo};
use ingot_common::TableName;
use ingot_common::port::StatementResult;
use ingot_delta::{CommitOutcome, DeltaTable, Metadata, Operation, ReadSet, Snapshot};

pub(super) use self::cluster::{Clustering, apply as apply_clustering};
pub(super) use self::properties::apply as apply_properties;
use super::cursor::Cursor;
use super::dataset::{self, DatasetKind};
use super::{Work, done, key, tag, volume};
use crate::write::{CommitSettings, column_infos, conflict_error};
use crate::{Result, Session, access};

/// Parses what stands after ALTER.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    if cursor.accept("VIEW") {
        return view::parse(session, cursor);
    }
    if let Some(kind) = DatasetKind::accept(cursor) {
        return dataset::alter(session, cursor, kind);
    }
    if cursor.accept("VOLUME") {
        return volume::alter(session, cursor);
    }
    if let Some(namespace) = namespace::Namespace::accept(session, cursor)? {
        return namespace::parse(session, cursor, namespace);
    }
    cursor.expect("TABLE")?;
    let name = cursor.table_name(session)?;
    change(session, cursor, name)
}

/// Parses what stands after the name of a table.
pub(super) fn change<'a>(session: &'a Session, cursor: &mut Cursor<'_>, name: TableName) -> Result<Work<'a>> {
    if let Some(work) = tag::accept(session, cursor, || tag::Tagged::Table(name.clone()))? {
        return Ok(work);
    }
    if cursor.accept("ADD") {
        return match key::at_key(cursor) {
            true => constraints::add(session, cursor, name),
            false => columns::add(session, cursor, name),
        };
    }
    if let Some(work) = constraints::drop(session, cursor, &name)? {
        return Ok(work);
    }
    if cursor.accept_all(&["DROP", "FEATURE"]) {
        return drop_feature::parse(session, cursor, name);
    }
    if cursor.accept("ALTER") || cursor.accept("CHANGE") {
        cursor.accept("COLUMN");
        return columns::change(session, cursor, name);
    }
    if cursor.accept_all(&["SET", "ROW", "FILTER"]) {
        return filters::set_row_filter(session, cursor, name);
    }
    if cursor.accept_all(&["DROP", "ROW", "FILTER"]) {
        return filters::drop_row_filter(session, cursor, name);
    }
    if cursor.accept_all(&["SET", "TBLPROPERTIES"]) {
        return properties::set(session, cursor, name);
    }
    if cursor.accept_all(&["UNSET", "TBLPROPERTIES"]) {
        return properties::unset(session, cursor, name);
    }
    if cursor.accept_all(&["CLUSTER", "BY"]) {
        return cluster::cluster_by(session, cursor, name);
    }
    if cursor.accept_all(&["SET", "LOCATION"]) {
        return table::set_location(session, cursor, name);
    }
    if cursor.accept_all(&["SET", "OWNER", "TO"]) || cursor.accept_all(&["OWNER", "TO"]) {
        return table::set_owner(session, cursor, name);
    }
    if cursor.accept_all(&["RENAME", "TO"]) {
        return table::rename(session, cursor, name);
    }
    if cursor.accept_all(&["RENAME", "COLUMN"]) {
        return mapped::rename(session, cursor, name);
    }
    if cursor.accept_all(&["DROP", "COLUMNS"]) || cursor.accept_all(&["DROP", "COLUMN"]) {
        return mapped::drop_columns(session, cursor, name);
    }
    Err(cursor.expected("a change of a table"))
}

/// Parses what stands after COMMENT.
pub(super) fn parse_comment<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    cursor.expect("ON")?;
    if let Some(namespace) = namespace::Namespace::accept(session, cursor)? {
        return namespace::comment(session, cursor, namespace);
    }
    if cursor.accept("VOLUME") {
        return volume::comment(session, cursor);
    }
    if cursor.accept("VIEW") {
        return view::comment(session, cursor);
    }
    if cursor.accept("TABLE") {
        return properties::comment_on_table(session, cursor);
    }
    if cursor.accept("COLUMN") {
        return columns::comment_on_column(session, cursor);
    }
    Err(cursor.expected("CATALOG, SCHEMA, TABLE, VIEW, COLUMN or VOLUME"))
}

/// Takes `IS 'text' | NULL`, which ends the statement.
pub(super) fn comment_text(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    cursor.expect("IS")?;
    let comment = match cursor.accept("NULL") {
        true => None,
        false => Some(cursor.string()?),
    };
    cursor.end()?;
    Ok(comment)
}

/// A table under change.
struct Altered {
    info: TableInfo,
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
}

/// What a change makes of a table.
struct Change {
    metadata: Metadata,
    operation: Operation,
    /// What is right only for the rows of the snapshot: others must not have come.
    reads_rows: bool,
    /// Domain metadata to set, by domain.
    domains: BTreeMap<String, String>,
    /// A column of the table that has another name: the one before, and the new one.
    renamed: Option<(String, String)>,
}

impl Change {
    fn new(metadata: Metadata, operation: Operation) -> Self {
        Self {
            metadata,
            operation,
            reads_rows: false,
            domains: BTreeMap::new(),
            renamed: None,
        }
    }
}

/// Opens a table that the session's principal may change so.
async fn open(session: &Session, name: &TableName, need: Need) -> Result<Altered> {
    let info = access::table(session, name, need).await?;
    let table = session.open(&info).await?;
    let snapshot = table.snapshot().await?;
    Ok(Altered {
        info,
        table,
        snapshot,
    })
}

impl Altered {
    /// Commits a change, and tells the metastore.
    ///
    /// # Errors
    /// `Conflict` when another commit made the change wrong: the table is as that one left it.
    async fn commit(self, session: &Session, change: Change) -> Result<StatementResult> {
        let mut transaction = self
            .table
            .transaction(Arc::clone(&self.snapshot), change.operation);
        transaction.set_metadata(change.metadata);
        for (domain, configuration) in change.domains {
            transaction.set_domain_metadata(domain, configuration);
        }
        if change.reads_rows {
            transaction.set_read_set(ReadSet::WholeTable);
        }
        transaction.set_user_name(session.context().principal.as_str());
        if let Some(text) = CommitSettings::of_session(session)?.user_metadata {
            transaction.set_user_metadata(text);
        }
        match transaction.commit().await? {
            CommitOutcome::Committed { snapshot, .. } => {
                let keys = change
                    .renamed
                    .as_ref()
                    .map_or(KeyChange::Keep, |(from, to)| KeyChange::Rename { from, to });
                self.publish(session, &snapshot, keys).await
            }
            CommitOutcome::AlreadyApplied { .. } => done(),
            CommitOutcome::Conflicted(reason) => Err(conflict_error(&reason)),
        }
    }

    /// Shows the table in the metastore as it is: columns, comment, and those of its properties that statements set.
    async fn publish(
        &self,
        session: &Session,
        snapshot: &Snapshot,
        keys: KeyChange<'_>,
    ) -> Result<StatementResult> {
        let before = self.snapshot.properties();
        let mut shown = self.info.properties.clone();
        shown.retain(|key, _| snapshot.properties().contains_key(key) || !before.contains_key(key));
        for (key, value) in snapshot.properties() {
            if shown.contains_key(key) || before.get(key) != Some(value) {
                shown.insert(key.clone(), value.clone());
            }
        }
        let comment = match snapshot.metadata().description == self.snapshot.metadata().description {
            true => self.info.comment.clone(),
            false => snapshot.metadata().description.clone(),
        };
        let columns = column_infos(snapshot.schema(), snapshot.partition_columns());
        let change = TableChange {
            columns: &columns,
            keys,
            comment: comment.as_deref(),
            properties: &shown,
            dataset: None,
            shallow_clone: None,
        };
        let principal = session.context().principal.as_str();
        let metastore = session.engine().metastore();
        metastore.set_replaced(self.info.id, &change, principal).await?;
        done()
    }
}
