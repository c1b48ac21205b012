//! A table as its row filter and its column masks show it.
//!
//! ```text
//! Delta scan ─► row filter ─► masks ─► FilteredExec ║ ─► the query's own filters, joins, …
//!      ▲                                             ║
//!      └── filters that cannot fail, on columns that no mask hides
//! ```
//! What always holds: nothing of a query is computed over a row that the filter hides or over a value that a mask hides,
//! but for comparisons that can neither fail nor tell: an error, like a division by zero, would say what is there. So
//! the plan below is optimised by itself, and the nodes here are closed to the optimiser: they take only such filters,
//! and what is below has no parent that is seen from there. Source: Databricks, "Row filters and column masks".

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{
    BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, TableProviderFilterPushDown, TableScan,
    TableType,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// What the rows are called in the plan of a scan.
const ROWS: &str = "filtered";

/// Rows of a table that has a row filter or masks.
#[derive(Debug)]
pub(crate) struct FilteredProvider {
    schema: SchemaRef,
    /// Gives the table's columns, filtered and masked.
    plan: LogicalPlan,
    /// The columns that are shown as they are.
    open: BTreeSet<String>,
}

impl FilteredProvider {
    /// Makes the provider of what `plan` gives; columns that are not `open` are masked.
    pub fn new(plan: LogicalPlan, open: BTreeSet<String>) -> Self {
        Self {
            schema: Arc::clone(plan.schema().inner()),
            plan,
            open,
        }
    }

    /// Says if a filter can be computed before the row filter: it cannot fail, and is of columns that are shown.
    fn passes(&self, filter: &Expr) -> bool {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::And | Operator::Or => self.passes(left) && self.passes(right),
                Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq => self.compares(left, right) || self.compares(right, left),
                _ => false,
            },
            Expr::IsNull(of) | Expr::IsNotNull(of) => self.shown(of).is_some(),
            Expr::Not(of) => self.passes(of),
            Expr::InList(list) => list.list.iter().all(|value| self.compares(&list.expr, value)),
            _ => false,
        }
    }

    /// Says if a column that is shown is compared with a constant of its own type.
    fn compares(&self, column: &Expr, value: &Expr) -> bool {
        let constant = match value {
            Expr::Literal(value, _) => Some(ScalarValue::data_type(value)),
            _ => None,
        };
        constant.is_some() && self.shown(column) == constant
    }

    /// Returns the type of a column that is shown.
    fn shown(&self, expr: &Expr) -> Option<DataType> {
        let Expr::Column(column) = expr else { return None };
        let field = self.schema.field_with_name(&column.name).ok()?;
        self.open
            .contains(&column.name)
            .then(|| field.data_type().clone())
    }
}

/// Calls `of` with the plan of what a scan reads, if that is filtered.
pub(crate) fn with_filtered<T>(scan: &TableScan, of: impl FnOnce(&LogicalPlan) -> T) -> Option<T> {
    let provider = source_as_provider(&scan.source).ok()?;
    provider
        .downcast_ref::<FilteredProvider>()
        .map(|filtered| of(&filtered.plan))
}

/// Says if a plan reads a table through a row filter or masks.
pub(crate) fn reads_filtered(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found |= with_filtered(scan, |_| ()).is_some();
        }
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

#[async_trait]
impl TableProvider for FilteredProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let filters = filters.iter().map(|filter| match self.passes(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        });
        Ok(filters.collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut rows = LogicalPlanBuilder::from(self.plan.clone()).alias(ROWS)?;
        for filter in filters.iter().filter(|filter| self.passes(filter)) {
            rows = rows.filter(of_rows(filter.clone())?)?;
        }
        if let Some(projection) = projection {
            let columns = projection.iter().map(|place| {
                let column = Column::new(Some(ROWS), self.schema.field(*place).name());
                Expr::Column(column)
            });
            rows = rows.project(columns.collect::<Vec<_>>())?;
        }
        if filters.is_empty() {
            rows = rows.limit(0, limit)?;
        }
        let input = state.create_physical_plan(&rows.build()?).await?;
        Ok(Arc::new(FilteredExec { input }))
    }
}

/// Takes the columns of a filter as those of [`ROWS`].
fn of_rows(filter: Expr) -> Result<Expr> {
    let named = filter.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::new(Some(ROWS), column.name))),
            other => Transformed::no(other),
        })
    });
    Ok(named?.data)
}

/// Gives what its input gives. It shows no input, so no rule moves anything past it.
#[derive(Debug)]
struct FilteredExec {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for FilteredExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FilteredExec")
    }
}

impl ExecutionPlan for FilteredExec {
    fn name(&self) -> &'static str {
        "FilteredExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => Err(DataFusionError::Internal(
                "filtered rows have no input that is shown".to_owned(),
            )),
        }
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = reset_plan_states(Arc::clone(&self.input))?;
        Ok(Arc::new(Self { input }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{col, lit};
    use test_case::test_case;

    use super::*;

    fn provider() -> FilteredProvider {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int32, true),
            Field::new("secret", DataType::Int32, true),
        ]);
        let plan = LogicalPlanBuilder::empty(false).build().expect("plan");
        FilteredProvider {
            schema: Arc::new(schema),
            plan,
            open: ["id".to_owned()].into(),
        }
    }

    #[test_case(col("id").eq(lit(1_i32)), true; "a comparison")]
    #[test_case(lit(1_i32).lt(col("id")), true; "a comparison from the other side")]
    #[test_case(col("id").in_list(vec![lit(1_i32), lit(2_i32)], true), true; "a list")]
    #[test_case(col("id").is_null().or(col("id").gt(lit(1_i32))), true; "a choice")]
    #[test_case(col("secret").eq(lit(1_i32)), false; "a masked column")]
    #[test_case(col("id").gt(lit(1_i32)).and(col("secret").is_null()), false; "a masked column beside another")]
    #[test_case((lit(1_i32) / col("id")).gt(lit(1_i32)), false; "what may fail")]
    #[test_case(col("id").eq(lit(1_i64)), false; "another type")]
    #[test_case(col("id").eq(col("id")), false; "two columns")]
    fn only_what_cannot_fail_passes(filter: Expr, expected: bool) {
        assert_eq!(provider().passes(&filter), expected);
    }
}
