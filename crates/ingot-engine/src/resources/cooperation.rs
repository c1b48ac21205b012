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
    "PiecewiseMergeJoinExec",
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
pub(crate) struct UntilOver {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datafusion::physical_expr::expressions::lit;
    use datafusion::prelude::SessionContext;
    use datafusion_proto::physical_plan::from_proto::parse_physical_expr;
    use datafusion_proto::physical_plan::to_proto::serialize_physical_expr;
    use ingot_common::{Principal, RequestContext};
    use ingot_delta::{DeltaTables, TablesOptions};

    use super::*;
    use crate::codec::DeltaCodec;

    fn condition(allowance: &Allowance) -> Arc<dyn PhysicalExpr> {
        Arc::new(UntilOver {
            condition: lit(true),
            over: allowance.over(),
        })
    }

    fn evaluated(condition: &Arc<dyn PhysicalExpr>) -> Result<ColumnarValue> {
        condition.evaluate(&RecordBatch::new_empty(Arc::new(Schema::empty())))
    }

    #[tokio::test]
    async fn a_condition_fails_once_its_statement_has_to_end() {
        let context = RequestContext::new(Principal::new("ann"));
        let allowance = Allowance::begin(&context, Duration::ZERO, None);
        let guarded = condition(&allowance);
        evaluated(&guarded).expect("nothing is over");
        context.cancellation.cancel();
        evaluated(&guarded).expect_err("cancelled");

        let context = RequestContext::new(Principal::new("ann"));
        let soon = Allowance::begin(&context, Duration::from_nanos(1), None);
        let guarded = condition(&soon);
        soon.clone().ended().await;
        evaluated(&guarded).expect_err("late");

        let dropped = condition(&Allowance::begin(&context, Duration::ZERO, None));
        evaluated(&dropped).expect_err("nobody is there for it");
    }

    #[test]
    fn a_condition_arrives_elsewhere_as_it_was() {
        let context = RequestContext::new(Principal::new("ann"));
        let guarded = condition(&Allowance::begin(&context, Duration::ZERO, None));
        let codec = DeltaCodec::new(DeltaTables::new(TablesOptions::default()));
        let sent = serialize_physical_expr(&guarded, &codec).expect("encoded");
        let task = SessionContext::new().task_ctx();
        let arrived = parse_physical_expr(&sent, &task, &Schema::empty(), &codec).expect("decoded");
        assert_eq!(arrived.to_string(), guarded.to_string());
        assert!(!arrived.is::<UntilOver>());
    }
}
