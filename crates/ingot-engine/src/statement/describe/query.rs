//! `DESCRIBE [QUERY] query`.

use datafusion::sql::sqlparser::ast::Statement;
use ingot_common::port::StatementResult;

use super::super::text_rows;
use crate::resolve::{self, Reads};
use crate::write::type_text;
use crate::{Result, Session, spark};

/// Describes the columns of a query.
pub(super) async fn columns(session: &Session, query: Statement) -> Result<StatementResult> {
    let rows = resolve::plan(session, query, &session.namespace(), &Reads::default()).await?;
    let fields = rows.schema().fields();
    let types: Vec<String> = fields.iter().map(|field| type_text(field.data_type())).collect();
    text_rows(&[
        (
            "col_name",
            fields
                .iter()
                .map(|field| spark::shown_name(field.name()))
                .collect(),
        ),
        ("data_type", types.iter().map(String::as_str).collect()),
        ("comment", vec![""; fields.len()]),
    ])
}
