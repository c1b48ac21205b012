//! A statement's predicate and values, planned on the rows of its target.
//!
//! The target stands in the query under an internal name with the statement's alias, or the table's own name: a
//! subquery that names the table reads it as any other, in the same snapshot. Names of several parts (`s.t.a`) are
//! cut to the part that the target is called by.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Ident, SelectItem, SetExpr, Statement, visit_expressions_mut,
};

use crate::provider::{DeltaTableProvider, with_delta};
use crate::resolve::{self, Reads};
use crate::{Error, Result, Session, dialect};

/// What a statement changes, as its expressions call it. Names compare without case.
#[derive(Debug, Clone)]
pub(crate) struct TargetName {
    /// The alias, or the table's full name, part by part; its end means the table, too.
    parts: Vec<String>,
}

impl TargetName {
    /// Makes the name of a target with these parts, one for an alias.
    pub fn new(parts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let parts = parts.into_iter().map(|part| part.as_ref().to_lowercase());
        Self {
            parts: parts.collect(),
        }
    }

    fn called(&self) -> &str {
        self.parts.last().map_or("target", String::as_str)
    }

    /// Says if `parts`, at least one, name the target.
    pub fn is_called<'p>(&self, parts: impl ExactSizeIterator<Item = &'p str>) -> bool {
        let Some(first) = self.parts.len().checked_sub(parts.len()) else {
            return false;
        };
        parts.len() > 0
            && parts
                .zip(&self.parts[first..])
                .all(|(part, name)| part.to_lowercase() == *name)
    }

    /// Makes `catalog.schema.table.column`, in any case, `table.column` as the target is called in the query.
    fn cut(&self, parts: &mut Vec<Ident>) {
        let lengths = 1..parts.len().min(self.parts.len() + 1);
        let named = lengths
            .rev()
            .find(|length| self.is_called(parts[..*length].iter().map(|part| part.value.as_str())));
        if let Some(length) = named {
            parts.drain(..length - 1);
            parts[0] = Ident::with_quote('`', self.called());
        }
    }
}

/// Plans `SELECT items FROM target WHERE predicate`.
pub(crate) async fn plan(
    session: &Session,
    name: &TargetName,
    rows: Arc<dyn TableProvider>,
    items: Vec<SelectItem>,
    predicate: Option<SqlExpr>,
    reads: &Reads,
) -> Result<DataFrame> {
    let mut query = skeleton(name.called())?;
    if let Statement::Query(query) = &mut query
        && let SetExpr::Select(select) = query.body.as_mut()
    {
        select.projection = items;
        select.selection = predicate;
    }
    let _ = visit_expressions_mut(&mut query, |expression| {
        if let SqlExpr::CompoundIdentifier(parts) = expression {
            name.cut(parts);
        }
        ControlFlow::<()>::Continue(())
    });
    resolve::plan_on_target(session, query, &session.namespace(), reads, rows).await
}

/// Returns `SELECT 1 FROM target AS called`.
fn skeleton(called: &str) -> Result<Statement> {
    let text = format!("SELECT 1 FROM {} AS {}", resolve::TARGET, dialect::quoted(called));
    dialect::statements(&text)?
        .pop()
        .ok_or_else(|| Error::internal("the query over a statement's target is empty".to_owned()))
}

/// What a plan over the target says of the target's rows.
pub(crate) struct TargetFilters {
    /// What each row that the plan returns fulfils, in terms of the table's columns.
    pub filters: Vec<Expr>,
    /// Each row that fulfils them is returned.
    pub complete: bool,
}

/// Reads the filters off an optimised plan; `None` when it reads no row of the target.
pub(crate) fn filters(plan: &LogicalPlan) -> Result<Option<TargetFilters>> {
    let mut found: Option<Vec<Expr>> = None;
    let mut above = Vec::new();
    let mut plain = true;
    plan.apply(|node| {
        match node {
            LogicalPlan::TableScan(scan) if reads_target(scan) => {
                plain &= scan.fetch.is_none();
                found = Some(unnormalize_cols(scan.filters.clone()));
            }
            LogicalPlan::Filter(filter) => {
                above.extend(split_conjunction(&filter.predicate).into_iter().cloned())
            }
            LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {}
            _ => plain = false,
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let above = unnormalize_cols(above);
    Ok(found.map(|filters| TargetFilters {
        complete: plain && above.iter().all(|filter| filters.contains(filter)),
        filters,
    }))
}

fn reads_target(scan: &datafusion::logical_expr::TableScan) -> bool {
    with_delta(scan, DeltaTableProvider::target).unwrap_or(false)
}
