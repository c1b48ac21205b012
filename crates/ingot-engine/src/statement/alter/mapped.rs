//! `RENAME COLUMN` and `DROP COLUMN[S]`: files keep what they have, so only tables that map columns can be changed so.
//! What Delta allows is decided by [`ingot_delta::column_mapping`].

use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::TableInfo;
use ingot_common::TableName;
use ingot_delta::Operation;
use ingot_delta::column_mapping::{dropped_columns, renamed_column};
use ingot_delta::schema_change::column_json;
use serde_json::json;

use super::super::cursor::Cursor;
use super::super::{Work, done};
use super::constraints::check_in_no_key;
use super::{Change, open};
use crate::access::MODIFY;
use crate::{Error, Result, Session};

/// `RENAME COLUMN a.b TO c`.
pub(super) fn rename<'a>(session: &'a Session, cursor: &mut Cursor<'_>, name: TableName) -> Result<Work<'a>> {
    let path = cursor.column_path()?;
    cursor.expect("TO")?;
    let new_name = cursor.name()?;
    cursor.end()?;
    Ok(Work::defines(async move {
        let altered = open(session, &name, MODIFY).await?;
        if let [column] = &*path {
            check_in_no_filter(&altered.info, &[column])?;
        }
        let metadata = renamed_column(altered.snapshot.metadata(), &path, &new_name)?;
        let mut new_path = path.clone();
        if let Some(last) = new_path.last_mut() {
            last.clone_from(&new_name);
        }
        let operation = Operation::new("RENAME COLUMN")
            .with("oldColumnPath", path.join("."))
            .with("newColumnPath", new_path.join("."));
        let mut change = Change::new(metadata, operation);
        if let [column] = &*path {
            change.renamed = Some((column.clone(), new_name));
        }
        altered.commit(session, change).await
    }))
}

/// `DROP COLUMN[S] [IF EXISTS] a.b, c`, in parentheses or not.
pub(super) fn drop_columns<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: TableName,
) -> Result<Work<'a>> {
    let if_exists = cursor.if_exists();
    let mut paths = Vec::new();
    if cursor.at_token(&Token::LParen) {
        paths = cursor.in_parentheses(Cursor::column_path)?;
    } else {
        loop {
            paths.push(cursor.column_path()?);
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
    }
    cursor.end()?;
    Ok(Work::defines(async move {
        let altered = open(session, &name, MODIFY).await?;
        if if_exists {
            paths.retain(|path| column_json(altered.snapshot.metadata(), path).is_ok());
            if paths.is_empty() {
                return done();
            }
        }
        let columns: Vec<&str> = paths
            .iter()
            .filter_map(|path| match &**path {
                [column] => Some(column.as_str()),
                _ => None,
            })
            .collect();
        check_in_no_key(session, &altered.info, "drop", &columns).await?;
        check_in_no_filter(&altered.info, &columns)?;
        let clustering = altered.snapshot.clustering_columns()?.unwrap_or_default();
        let metadata = dropped_columns(altered.snapshot.metadata(), &paths, &clustering)?;
        let dropped: Vec<String> = paths.iter().map(|path| path.join(".")).collect();
        let operation = Operation::new("DROP COLUMNS").with("columns", json!(dropped).to_string());
        altered.commit(session, Change::new(metadata, operation)).await
    }))
}

/// Refuses a change of columns that a row filter or a mask needs.
fn check_in_no_filter(info: &TableInfo, columns: &[&str]) -> Result<()> {
    match columns.iter().find(|column| info.filters.names(column)) {
        None => Ok(()),
        Some(column) => Err(Error::unsupported(format!(
            "`{column}` is a column of a row filter or a mask of `{}`; drop that first",
            info.name
        ))),
    }
}
