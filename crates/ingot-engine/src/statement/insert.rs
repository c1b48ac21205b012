//! `INSERT INTO | OVERWRITE [TABLE] name [(columns)] [BY NAME] query`.

use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::Column;
use datafusion::scalar::ScalarValue;
use ingot_common::Kind;
use ingot_delta::{Operation, Snapshot};

use super::cursor::Cursor;
use super::{Work, counts};
use crate::resolve::{self, Reads};
use crate::write::{align_by_name, commit_append, commit_overwrite, stage_files};
use crate::{Error, Result, Session};

/// Parses the statement. It has committed when its work is done.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let overwrite = cursor.accept("OVERWRITE");
    if !overwrite {
        cursor.expect("INTO")?;
    }
    cursor.accept("TABLE");
    let name = cursor.table_name(session)?;
    if cursor.at("PARTITION") || cursor.at("REPLACE") {
        return Err(Error::unsupported(
            "INSERT … PARTITION and REPLACE WHERE are not supported yet".to_owned(),
        ));
    }
    let by_name = cursor.accept_all(&["BY", "NAME"]);
    let columns = match !by_name && cursor.at_names() {
        true => Some(cursor.names_in_parentheses()?),
        false => None,
    };
    let by_name = by_name || cursor.accept_all(&["BY", "NAME"]);
    let query = cursor.query()?;
    cursor.end()?;
    Ok(Work::writes(async move {
        let (_, table) = session.open_table(&name).await?;
        let reads = Reads::default();
        let snapshot = reads.snapshot(&table).await?;
        let mut rows = resolve::plan(session, query, &session.namespace(), &reads).await?;
        if by_name {
            rows = align_by_name(rows, &snapshot)?;
        } else if let Some(columns) = columns {
            rows = place(rows, &columns, &snapshot)?;
        }
        let staged = stage_files(session, &table, &snapshot, rows).await?;
        let affected = staged.metrics.get("numOutputRows");
        let partition_by = format!("{:?}", snapshot.partition_columns());
        let operation = |mode: &str| {
            Operation::new("WRITE")
                .with("mode", mode)
                .with("partitionBy", partition_by)
        };
        if overwrite {
            commit_overwrite(session, &table, &snapshot, staged, operation("Overwrite")).await?;
        } else {
            commit_append(session, &table, &snapshot, staged, operation("Append")).await?;
        }
        counts(&[("num_affected_rows", affected), ("num_inserted_rows", affected)])
    }))
}

/// Puts the query's columns at the places of the listed ones; the table's other columns are null.
fn place(rows: DataFrame, columns: &[String], snapshot: &Snapshot) -> Result<DataFrame> {
    let mismatch = |message: String| Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INSERT_COLUMN_ARITY_MISMATCH",
        sqlstate: "21S01",
        message,
    };
    let given = rows.schema().columns();
    if given.len() != columns.len() {
        return Err(mismatch(format!(
            "the query gives {} columns, the statement lists {}",
            given.len(),
            columns.len()
        )));
    }
    let schema = snapshot.schema();
    let known = |name: &String| {
        schema
            .fields()
            .iter()
            .any(|field| field.name().eq_ignore_ascii_case(name))
    };
    if let Some(unknown) = columns.iter().find(|name| !known(name)) {
        return Err(mismatch(format!("the table has no column `{unknown}`")));
    }
    let mut placed: Vec<Expr> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let listed = columns
            .iter()
            .position(|name| field.name().eq_ignore_ascii_case(name));
        let value = match listed.and_then(|place| given.get(place)) {
            Some(column) => Expr::Column(Column::clone(column)),
            None => lit(ScalarValue::try_from(field.data_type())?),
        };
        placed.push(value.alias(field.name()));
    }
    Ok(rows.select(placed)?)
}
