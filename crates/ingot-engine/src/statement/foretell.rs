//! What a statement will give, before it runs: for clients that have to know if it gives rows.
//!
//! A query is planned, with null for its markers; what lists or describes is run, because it does little. Of all others
//! nothing is said.

use arrow::datatypes::SchemaRef;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::Statement;
use ingot_common::port::StatementDescription;

use super::{parse, parse_query, read_part, run};
use crate::resolve::{self, Reads};
use crate::session::Parameters;
use crate::stack::{deep, with_room};
use crate::{Result, Session, dialect};

/// Describes a statement, and changes nothing.
///
/// # Errors
/// Those of the statement that are known before it runs. What may be wrong because its markers have no values yet is
/// told when it runs.
pub(crate) async fn foretell(session: &Session, text: &str) -> Result<StatementDescription> {
    let markers = dialect::count_markers(text)?;
    session.values().parameters = Parameters {
        positional: vec![ScalarValue::Null; markers],
        ..Parameters::default()
    };
    let nothing = StatementDescription {
        schema: None,
        markers,
    };
    let work = with_room(|| parse(session, text))?;
    if !work.reads_only {
        return Ok(nothing);
    }
    let schema = match with_room(|| parse_query(text)) {
        Ok(query @ Statement::Query(_)) => {
            drop(work);
            match read_part(session, true, deep(columns(session, query))).await {
                Ok(schema) => schema,
                Err(error) if markers == 0 && !text.contains(':') => return Err(error),
                Err(_) => return Ok(nothing),
            }
        }
        _ => {
            let answer = run(session, work).await?;
            answer.result.schema
        }
    };
    Ok(StatementDescription {
        schema: (!schema.fields().is_empty()).then_some(schema),
        ..nothing
    })
}

async fn columns(session: &Session, query: Statement) -> Result<SchemaRef> {
    let rows = resolve::plan(session, query, &session.namespace(), &Reads::default()).await?;
    session.columns_of(rows.schema())
}
