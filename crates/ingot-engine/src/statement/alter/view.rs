//! `ALTER VIEW`: its query, its name, its properties.

use ingot_catalog::{ColumnInfo, Need, NewTable, Replace, TableInfo, TableKind};
use ingot_common::port::StatementResult;
use ingot_common::{Kind, TableName};

use super::super::cursor::Cursor;
use super::super::tag;
use super::super::view::{ViewText, schema_mode};
use super::super::{Work, done};
use super::{comment_text, table};
use crate::{Error, Result, Session, access};

/// Parses what stands after VIEW.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let name = cursor.table_name(session)?;
    if let Some(work) = tag::accept(session, cursor, || tag::Tagged::Table(name.clone()))? {
        return Ok(work);
    }
    if cursor.accept_all(&["RENAME", "TO"]) {
        return table::rename(session, cursor, name);
    }
    if cursor.accept_all(&["SET", "OWNER", "TO"]) || cursor.accept_all(&["OWNER", "TO"]) {
        return table::set_owner(session, cursor, name);
    }
    if cursor.accept_all(&["SET", "TBLPROPERTIES"]) {
        let set = cursor.properties()?;
        cursor.end()?;
        return Ok(Work::defines(async move {
            let mut view = open(session, &name, Need::Manage).await?;
            view.properties.extend(set);
            replace(session, view).await
        }));
    }
    if cursor.accept_all(&["UNSET", "TBLPROPERTIES"]) {
        let if_exists = cursor.if_exists();
        let keys = cursor.in_parentheses(Cursor::property_key)?;
        cursor.end()?;
        return Ok(Work::defines(async move {
            let mut view = open(session, &name, Need::Manage).await?;
            for key in keys {
                if view.properties.remove(&key).is_none() && !if_exists {
                    return Err(Error::Condition {
                        kind: Kind::InvalidArgument,
                        condition: "UNSET_NONEXISTENT_PROPERTIES",
                        sqlstate: "42K0J",
                        message: format!("view `{name}` has no property `{key}`"),
                    });
                }
            }
            replace(session, view).await
        }));
    }
    if cursor.at("WITH") {
        schema_mode(cursor)?;
        cursor.end()?;
        return Ok(Work::writes(async move {
            open(session, &name, Need::Manage).await?;
            done()
        }));
    }
    if !cursor.at("AS") {
        return Err(cursor.expected("AS, RENAME TO, SET or UNSET TBLPROPERTIES"));
    }
    let text = ViewText::parse(cursor)?;
    Ok(Work::defines(async move {
        let mut view = open(session, &name, Need::Ownership).await?;
        text.check_same_kind(&view)?;
        let (definition, mut columns) = text.plan_lasting(session, &name).await?;
        keep_comments(&mut columns, &view.columns);
        view.definition = Some(definition);
        view.definition_namespace = Some(session.namespace());
        view.columns = columns;
        replace(session, view).await
    }))
}

/// `COMMENT ON VIEW v IS 'text' | NULL`.
pub(super) fn comment<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let name = cursor.table_name(session)?;
    let comment = comment_text(cursor)?;
    Ok(Work::writes(
        async move { set_comment(session, &name, comment).await },
    ))
}

/// Gives a view a comment.
pub(super) async fn set_comment(
    session: &Session,
    name: &TableName,
    comment: Option<String>,
) -> Result<StatementResult> {
    let mut view = open(session, name, Need::Manage).await?;
    view.comment = comment;
    replace(session, view).await
}

/// Gives a column of a view a comment.
pub(super) async fn set_column_comment(
    session: &Session,
    name: &TableName,
    path: &[String],
    comment: Option<String>,
) -> Result<StatementResult> {
    let mut view = open(session, name, Need::Manage).await?;
    let mut columns = view.columns.iter_mut();
    let found = match path {
        [column] => columns.find(|known| known.name.eq_ignore_ascii_case(column)),
        _ => None,
    };
    let Some(found) = found else {
        return Err(Error::unknown_column(name, &path.join(".")));
    };
    found.comment = comment;
    replace(session, view).await
}

/// Keeps the comments of columns that a view had before, where it has none of its own for them.
fn keep_comments(columns: &mut [ColumnInfo], before: &[ColumnInfo]) {
    for column in columns.iter_mut().filter(|column| column.comment.is_none()) {
        let same = before
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(&column.name));
        column.comment = same.and_then(|known| known.comment.clone());
    }
}

async fn open(session: &Session, name: &TableName, need: Need) -> Result<TableInfo> {
    let info = access::table(session, name, need).await?;
    match info.kind {
        TableKind::View => Ok(info),
        _ => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "EXPECT_VIEW_NOT_TABLE.NO_ALTERNATIVE",
            sqlstate: "42809",
            message: format!("`{name}` is a table, a view is needed here"),
        }),
    }
}

async fn replace(session: &Session, view: TableInfo) -> Result<StatementResult> {
    let owner = view.audit.owner;
    let view = NewTable {
        name: view.name,
        kind: view.kind,
        shallow_clone: false,
        metrics: view.metrics,
        location: None,
        definition: view.definition,
        definition_namespace: view.definition_namespace,
        refresh_schedule: None,
        columns: view.columns,
        constraints: Vec::new(),
        comment: view.comment,
        properties: view.properties,
        filters: view.filters,
    };
    let principal = session.context().principal.as_str();
    session
        .engine()
        .metastore()
        .create_view(&view, Replace::OfOwner(&owner), principal)
        .await?;
    done()
}
