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
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Ident, SelectItem, SetExpr, Statement, visit_expressions_mut,
};
use ingot_common::TableName;

use crate::provider::DeltaTableProvider;
use crate::resolve::{self, Reads};
use crate::{Error, Result, Session, dialect, pruning};

/// What a statement changes, as its expressions call it.
#[derive(Debug, Clone)]
pub(crate) struct TargetName {
    pub table: TableName,
    pub alias: Option<String>,
}

impl TargetName {
    fn called(&self) -> &str {
        self.alias.as_deref().unwrap_or(self.table.table.as_str())
    }

    /// Says if `parts` name the target: its alias, or the end of its name.
    pub fn is_called(&self, parts: &[String]) -> bool {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        if let Some(alias) = &self.alias {
            return matches!(parts, [only] if same(only, alias));
        }
        let full = [&self.table.catalog, &self.table.schema, &self.table.table];
        let end = full
            .get(full.len().saturating_sub(parts.len())..)
            .unwrap_or_default();
        parts.len() == end.len()
            && parts
                .iter()
                .zip(end)
                .all(|(part, name)| same(part, name.as_str()))
    }

    /// Cuts `catalog.schema.table.column` to `table.column`, for a target without an alias.
    fn cut(&self, parts: &mut Vec<Ident>) {
        if self.alias.is_some() {
            return;
        }
        let full = [&self.table.catalog, &self.table.schema, &self.table.table];
        for named in [&full[..], &full[1..]] {
            let begins = parts.len() > named.len()
                && parts
                    .iter()
                    .zip(named)
                    .all(|(part, name)| part.value.eq_ignore_ascii_case(name.as_str()));
            if begins {
                parts.drain(..named.len() - 1);
                return;
            }
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

/// What a plan over the target says of the target's files.
pub(crate) struct TargetFilters {
    /// What each row that the plan returns fulfils, in terms of the table's columns.
    pub filters: Vec<Expr>,
    /// Nothing else decides about a row than the partition values of its file.
    pub decided_by_partition: bool,
}

/// Reads the filters off an optimised plan; `None` when it reads no row of the target.
pub(crate) fn filters(plan: &LogicalPlan, partition_columns: &[String]) -> Result<Option<TargetFilters>> {
    let mut found: Option<Vec<Expr>> = None;
    let mut plain = true;
    plan.apply(|node| {
        match node {
            LogicalPlan::TableScan(scan) if reads_target(scan) => {
                plain &= scan.fetch.is_none();
                found = Some(scan.filters.clone());
            }
            LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {}
            _ => plain = false,
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found.map(|filters| {
        let unqualified = datafusion::logical_expr::expr_rewriter::unnormalize_cols(filters);
        let by_partition = |filter: &Expr| pruning::decided_by_partition(filter, partition_columns);
        TargetFilters {
            decided_by_partition: plain && unqualified.iter().all(by_partition),
            filters: unqualified,
        }
    }))
}

fn reads_target(scan: &datafusion::logical_expr::TableScan) -> bool {
    let Ok(provider) = source_as_provider(&scan.source) else {
        return false;
    };
    provider
        .downcast_ref::<DeltaTableProvider>()
        .is_some_and(DeltaTableProvider::target)
}
