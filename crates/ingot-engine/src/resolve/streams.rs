//! `STREAM(t)` in a query: the table whose rows come batch after batch.
//!
//! Only a refresh of a streaming table says which batch that is ([`super::Reads::streaming`]); in any other query there is
//! no stream. Source: Databricks, "CREATE STREAMING TABLE".

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, ObjectName, Statement, TableFactor, TableFunctionArgs, Visit, Visitor,
};

use super::names::parts;
use crate::{Error, Result};

const STREAM: &str = "stream";

/// Returns the name of the table that a relation is the stream of; `None` for another relation.
///
/// # Errors
/// `Unsupported` for a stream of something else than a table.
pub(super) fn streamed(name: &ObjectName, args: Option<&TableFunctionArgs>) -> Result<Option<ObjectName>> {
    let Some(args) = args else { return Ok(None) };
    let named = parts(name)?;
    if !matches!(named.as_slice(), [function] if function.eq_ignore_ascii_case(STREAM)) {
        return Ok(None);
    }
    match args.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(name)))] => {
            Ok(Some(ObjectName::from(vec![name.clone()])))
        }
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(parts)))] => {
            Ok(Some(ObjectName::from(parts.clone())))
        }
        _ => Err(Error::unsupported(
            "STREAM takes the name of a table; files and topics are streamed by pipelines".to_owned(),
        )),
    }
}

/// Returns the names of the tables that a query streams, each once for each time that it is named.
///
/// # Errors
/// As [`streamed`].
pub(crate) fn streams(query: &Statement) -> Result<Vec<ObjectName>> {
    struct Streams(Vec<ObjectName>);
    impl Visitor for Streams {
        type Break = Error;

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
            if let TableFactor::Table { name, args, .. } = factor {
                match streamed(name, args.as_ref()) {
                    Ok(found) => self.0.extend(found),
                    Err(error) => return ControlFlow::Break(error),
                }
            }
            ControlFlow::Continue(())
        }
    }
    let mut streams = Streams(Vec::new());
    match query.visit(&mut streams) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(streams.0),
    }
}
