//! `EXPLAIN [EXTENDED | FORMATTED | CODEGEN | COST | ANALYZE] query`: one row with the plan as text.
//!
//! The plan is DataFusion's. Source: Spark, `EXPLAIN`, for the headings.

use datafusion::physical_plan::displayable;
use datafusion::sql::sqlparser::ast::Statement;
use ingot_common::port::StatementResult;

use super::cursor::Cursor;
use super::light::is_light;
use super::{Work, text_rows};
use crate::resolve::{self, Reads};
use crate::{Result, Session};

/// What the plan is shown with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Physical,
    /// With the logical plans before it.
    Extended,
    /// After it has run, with what that took.
    Analyzed,
}

/// Parses the statement.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let shown = if cursor.accept("EXTENDED") {
        Shown::Extended
    } else if cursor.accept("ANALYZE") {
        Shown::Analyzed
    } else {
        let _ = cursor.accept("FORMATTED") || cursor.accept("CODEGEN") || cursor.accept("COST");
        Shown::Physical
    };
    let query = cursor.query()?;
    cursor.end()?;
    Ok(match shown {
        Shown::Analyzed => Work::queries(is_light(session, &query), explain(session, query, shown)),
        Shown::Physical | Shown::Extended => Work::reads(explain(session, query, shown)),
    })
}

async fn explain(session: &Session, query: Statement, shown: Shown) -> Result<StatementResult> {
    let rows = resolve::plan(session, query, &session.namespace(), &Reads::default()).await?;
    if shown == Shown::Analyzed {
        let analyzed = rows.explain(false, true)?;
        return session.run(analyzed).await;
    }
    let mut text = String::new();
    if shown == Shown::Extended {
        text += &format!(
            "== Analyzed Logical Plan ==\n{}\n",
            rows.logical_plan().display_indent()
        );
        let optimized = rows.clone().into_optimized_plan()?;
        text += &format!(
            "\n== Optimized Logical Plan ==\n{}\n\n",
            optimized.display_indent()
        );
    }
    let physical = rows.create_physical_plan().await?;
    let physical = displayable(physical.as_ref())
        .indent(shown == Shown::Extended)
        .to_string();
    text += &format!("== Physical Plan ==\n{physical}");
    text_rows(&[("plan", vec![text.as_str()])])
}
