//! Tables with a row filter or column masks: what is read of one is what these leave.
//!
//! ```text
//! SELECT a, CAST(mask(b, c) AS type) AS b FROM table WHERE filter(a, c)
//! ```
//! The functions are those of the catalog that the table was given, by name and id, and run with their owners' rights;
//! whoever reads the table needs no privilege on them. One that is gone, or another under its name, shows nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use ingot_catalog::{FunctionArgument, RowFilter, TableFilters, TableFunction};
use ingot_common::{Kind, TableName};

use super::scope::{Scope, SeenValues};
use super::{Reads, TARGET, plan_in};
use crate::access::Reader;
use crate::dialect::quoted;
use crate::filtered::FilteredProvider;
use crate::session::Routine;
use crate::write::type_text;
use crate::{Error, Result, Session};

/// Makes what a query of `scope` may read of the table whose rows are `rows`.
///
/// # Errors
/// `ROUTINE_NOT_FOUND` for a function that is gone; what is wrong with a function or its arguments.
pub(super) async fn filtered(
    session: &Session,
    name: &TableName,
    filters: &TableFilters,
    rows: Arc<dyn TableProvider>,
    reads: &Reads,
    scope: &Scope,
) -> Result<Arc<dyn TableProvider>> {
    if filters.is_empty() {
        return Ok(rows);
    }
    let functions = filters.row_filter.iter().map(|filter| &filter.function);
    let functions = functions.chain(filters.column_masks.values().map(|mask| &mask.function));
    for function in functions {
        check_function(session, name, function, reads).await?;
    }
    let schema = rows.schema();
    let mut open = BTreeSet::new();
    let columns = schema.fields().iter().map(|field| {
        let column = quoted(field.name());
        match filters.mask(field.name()) {
            Some(mask) => {
                let call = call(&mask.function, Some(field.name()), &mask.using_columns);
                format!("CAST({call} AS {}) AS {column}", type_text(field.data_type()))
            }
            None => {
                open.insert(field.name().clone());
                column
            }
        }
    });
    let columns: Vec<String> = columns.collect();
    let mut query = format!("SELECT {} FROM {TARGET}", columns.join(", "));
    if let Some(RowFilter { function, columns }) = &filters.row_filter {
        query += &format!(" WHERE {}", call(function, None, columns));
    }
    let query = crate::statement::parse_query(&query)?;
    let scope = scope.of_view(
        &name.to_string(),
        scope.namespace.clone(),
        BTreeSet::new(),
        SeenValues::None,
        Reader::Anybody,
    )?;
    let planned = plan_in(session, query, scope, reads, Some(rows)).await?;
    Ok(Arc::new(FilteredProvider::new(
        planned.into_unoptimized_plan(),
        open,
    )))
}

async fn check_function(
    session: &Session,
    table: &TableName,
    function: &TableFunction,
    reads: &Reads,
) -> Result<()> {
    let found = reads.function(session, &function.name).await?;
    let same = |routine: &Arc<Routine>| routine.id == Some(function.id);
    match found.as_ref().is_some_and(same) {
        true => Ok(()),
        false => Err(Error::Condition {
            kind: Kind::FailedPrecondition,
            condition: "ROUTINE_NOT_FOUND",
            sqlstate: "42883",
            message: format!(
                "`{table}` is shown through the function `{}`, which was dropped: nobody can read the table until its owner \
                 sets or drops the row filter or mask",
                function.name
            ),
        }),
    }
}

/// Writes the call of a function with a column, if one is given, and arguments.
fn call(function: &TableFunction, column: Option<&str>, arguments: &[FunctionArgument]) -> String {
    let schema = &function.name.schema;
    let name = [&schema.catalog, &schema.schema, &function.name.function];
    let name = name.map(|part| quoted(part.as_str())).join(".");
    let arguments = arguments.iter().map(|argument| match argument {
        FunctionArgument::Column(column) => quoted(column),
        FunctionArgument::Constant(text) => text.clone(),
    });
    let arguments: Vec<String> = column.map(quoted).into_iter().chain(arguments).collect();
    format!("{name}({})", arguments.join(", "))
}
