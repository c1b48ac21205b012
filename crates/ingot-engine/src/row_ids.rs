//! Row ids on their way from old files to new ones.
//!
//! ```text
//! file ─► hidden columns: id and version that it keeps itself, or else its first id + position, its own version
//!           └─► `tracked_rows`: the table's columns, then id and version ─► WriteTarget::with_row_ids ─► new file
//! ```
//! A row that is copied keeps both; one that is updated keeps its id, and gets the version of its commit by having none
//! of its own. A new row has neither. Source: Delta protocol, "Row Tracking".

use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, lit};
use datafusion::scalar::ScalarValue;
use ingot_delta::{RowIdColumns, Snapshot};

use crate::Result;
use crate::provider::{BASE_ROW_ID, FILE_COMMIT_VERSION, ROW_COLUMN};

/// Adds the ids and versions of rows to a table's columns, under the names that they have in files. `rows` are those of
/// a provider that gives the hidden columns.
pub(crate) fn tracked_rows(rows: DataFrame, snapshot: &Snapshot, ids: &RowIdColumns) -> Result<DataFrame> {
    let column = |name: &str| Expr::Column(Column::from_name(name));
    let fields = snapshot.schema().fields().iter();
    let mut columns: Vec<Expr> = fields.map(|field| column(field.name())).collect();
    columns.push(row_id(ids, column).alias(ids.row_id.as_str()));
    let version = or_else(column(&ids.row_commit_version), column(FILE_COMMIT_VERSION));
    columns.push(version.alias(ids.row_commit_version.as_str()));
    Ok(rows.select(columns)?)
}

/// The id of a row, of the columns that `column` makes of their names.
pub(crate) fn row_id(ids: &RowIdColumns, column: impl Fn(&str) -> Expr) -> Expr {
    or_else(column(&ids.row_id), column(BASE_ROW_ID) + column(ROW_COLUMN))
}

/// `coalesce`, as an expression that needs no optimiser to be evaluated.
fn or_else(own: Expr, other: Expr) -> Expr {
    let none = (Box::new(own.clone().is_null()), Box::new(other));
    Expr::Case(Case::new(None, vec![none], Some(Box::new(own))))
}

/// The id, or version, of a row that gets one by its place in its new file.
pub(crate) fn none() -> Expr {
    lit(ScalarValue::Int64(None))
}
