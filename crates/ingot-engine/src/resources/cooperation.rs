//! Plans that let go of the thread, and of their work, soon after nobody wants their rows.
//!
//! DataFusion's scans hand the thread back once in a while; what multiplies rows or keeps them, as joins and sorts do,
//! gives batches for long without asking a scan for one. Remedies, put in when the plan is finished:
//! - Such operators count their batches against the task's budget ([`CooperativeExec`]): with it used up, the task is
//!   suspended, and can be dropped.
//! - A nested loop join whose condition nothing meets gives no batch: it gets its rows in pieces ([`PairsExec`]).
//! - A hash join whose condition nothing meets gives none either: the condition looks at the statement's allowance, and
//!   fails once that is over.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use super::Allowance;
use super::allowance::Over;
use super::pairs::PairsExec;
use crate::error::external;

/// What multiplies rows or keeps them.
const GREEDY: [&str; 12] = [
    "AggregateExec",
    "BoundedWindowAggExec",
    "CrossJoinExec",
    "HashJoinExec",
    "NestedLoopJoinExec",
    "PartialSortExec",
    "PiecewiseMergeJoin",
    "SortExec",
    "SortMergeJoinExec",
    "SortPreservingMergeExec",
    "UnnestExec",
    "WindowAggExec",
];

/// See the module's documentation. The last rule, because others look at operators' inputs.
#[derive(Debug)]
pub(crate) struct CooperativeJoins;

impl PhysicalOptimizerRule for CooperativeJoins {
    fn name(&self) -> &'static str {
        "cooperative_joins"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let over = Allowance::current().map(|allowance| allowance.over());
        let changed = plan.transform_up(|plan| {
            if !GREEDY.contains(&plan.name()) {
                return Ok(Transformed::no(plan));
            }
            let plan = in_pieces(plan)?;
            let plan = match &over {
                Some(over) => until_over(plan, over)?,
                None => plan,
            };
            Ok(Transformed::yes(Arc::new(CooperativeExec::new(plan)) as _))
        });
        Ok(changed?.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Gives a nested loop join its rows in pieces.
fn in_pieces(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() else {
        return Ok(plan);
    };
    let (build, probe) = PairsExec::around(join.left(), join.right());
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    plan.replace_children(vec![build, probe], options)
}

/// Has the condition of a hash join look at `over`.
fn until_over(plan: Arc<dyn ExecutionPlan>, over: &Over) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter()
    {
        let condition = Arc::new(UntilOver {
            condition: Arc::clone(filter.expression()),
            over: over.clone(),
        });
        let columns = filter.column_indices().to_vec();
        let filter = JoinFilter::new(condition, columns, Arc::clone(filter.schema()));
        return join.builder().with_filter(Some(filter)).build_exec();
    }
    Ok(plan)
}

/// A condition that fails once its statement has to end.
#[derive(Debug)]
struct UntilOver {
    condition: Arc<dyn PhysicalExpr>,
    over: Over,
}

impl PartialEq for UntilOver {
    fn eq(&self, other: &Self) -> bool {
        *self.condition == *other.condition
    }
}

impl Eq for UntilOver {}

impl Hash for UntilOver {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for UntilOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PhysicalExpr for UntilOver {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.over.check().map_err(external)?;
        self.condition.evaluate(batch)
    }

    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        self.condition.return_field(input_schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(match children.pop() {
            Some(condition) => Arc::new(Self {
                condition,
                over: self.over.clone(),
            }),
            None => self,
        })
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}
