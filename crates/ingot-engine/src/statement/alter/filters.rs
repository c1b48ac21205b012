//! `SET ROW FILTER f ON (…)`, `DROP ROW FILTER`, `ALTER COLUMN c SET MASK f [USING COLUMNS (…)]`, `DROP MASK`.
//!
//! Source: Databricks, "ALTER TABLE", "Row filters and column masks".

use ingot_catalog::{FilterChange, Need};
use ingot_common::TableName;
use ingot_common::port::StatementResult;

use super::super::cursor::Cursor;
use super::super::row_filter::{FunctionClause, check};
use super::super::{Work, done};
use super::{Altered, open};
use crate::{Error, Result, Session};

/// What is set: a clause, or nothing.
enum Set {
    RowFilter(Option<FunctionClause>),
    Mask(String, Option<FunctionClause>),
}

/// Parses what stands after SET ROW FILTER.
pub(super) fn set_row_filter<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: TableName,
) -> Result<Work<'a>> {
    let clause = FunctionClause::row_filter(cursor)?;
    cursor.end()?;
    Ok(Work::defines(apply(session, name, Set::RowFilter(Some(clause)))))
}

/// Parses what stands after DROP ROW FILTER.
pub(super) fn drop_row_filter<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: TableName,
) -> Result<Work<'a>> {
    cursor.end()?;
    Ok(Work::defines(apply(session, name, Set::RowFilter(None))))
}

/// Takes `SET MASK …` or `DROP MASK` of a column, if one of them comes next.
pub(super) fn accept_mask<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: &TableName,
    column: &[String],
) -> Result<Option<Work<'a>>> {
    let clause = if cursor.accept_all(&["SET", "MASK"]) {
        Some(FunctionClause::mask(cursor)?)
    } else if cursor.accept_all(&["DROP", "MASK"]) {
        None
    } else {
        return Ok(None);
    };
    cursor.end()?;
    let [column] = column else {
        return Err(Error::unsupported(format!(
            "`{}` is a field; a mask is of a whole column",
            column.join(".")
        )));
    };
    let set = Set::Mask(column.clone(), clause);
    Ok(Some(Work::defines(apply(session, name.clone(), set))))
}

async fn apply(session: &Session, name: TableName, set: Set) -> Result<StatementResult> {
    let Altered { info, snapshot, .. } = open(session, &name, Need::Manage).await?;
    let change = match set {
        Set::RowFilter(None) => FilterChange::RowFilter(None),
        Set::RowFilter(Some(clause)) => FilterChange::RowFilter(Some(clause.to_row_filter(session).await?)),
        Set::Mask(column, clause) => {
            let fields = snapshot.schema().fields();
            let found = fields
                .iter()
                .find(|field| field.name().eq_ignore_ascii_case(&column));
            let Some(found) = found else {
                return Err(Error::unknown_column(&name, &column));
            };
            let mask = match clause {
                Some(clause) => Some(clause.to_mask(session).await?),
                None => None,
            };
            FilterChange::ColumnMask(found.name().clone(), mask)
        }
    };
    let sets = !matches!(
        change,
        FilterChange::RowFilter(None) | FilterChange::ColumnMask(_, None)
    );
    if sets {
        let filters = info.filters.clone().after(change.clone());
        check(session, &name, &filters, snapshot.schema()).await?;
    }
    let principal = session.context().principal.as_str();
    let metastore = session.engine().metastore();
    metastore.alter_filters(info.id, change, principal).await?;
    done()
}
