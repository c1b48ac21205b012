//! `DESCRIBE [QUERY] query`, `DESCRIBE FUNCTION name`.

use datafusion::sql::sqlparser::ast::Statement;
use ingot_common::Kind;
use ingot_common::port::StatementResult;

use super::super::text_rows;
use crate::resolve::{self, Reads};
use crate::write::type_text;
use crate::{Error, Result, Session, spark};

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

/// Describes a function: that there is one of the name.
pub(super) async fn function(session: &Session, name: String) -> Result<StatementResult> {
    let state = session.datafusion().state();
    let lower = name.to_lowercase();
    let known = state.scalar_functions().contains_key(&lower)
        || state.aggregate_functions().contains_key(&lower)
        || state.window_functions().contains_key(&lower)
        || state.higher_order_functions().contains_key(&lower)
        || resolve::GENERATORS.contains(&lower.as_str());
    if !known {
        return Err(Error::Condition {
            kind: Kind::NotFound,
            condition: "ROUTINE_NOT_FOUND",
            sqlstate: "42883",
            message: format!("there is no function `{name}`"),
        });
    }
    let line = format!("Function: {lower}");
    text_rows(&[("function_desc", vec![line.as_str()])])
}
