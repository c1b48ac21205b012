//! Windows: functions that give numbers, keys that are constant, and frames of rows that are peers.
//!
//! Numbers are INT in Spark, where DataFusion gives a number without a sign. Source: Spark, `RowNumberLike`, `Rank`,
//! `NTile`, `SpecifiedWindowFrame`.

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{PlannerResult, RawWindowExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition, cast,
};
use datafusion::optimizer::AnalyzerRule;

use crate::error::condition;
use crate::write::type_text;

const NUMBERS: [&str; 4] = ["row_number", "rank", "dense_rank", "ntile"];

/// Plans such a function; others are left as they are, without the keys of partitions that all rows share.
pub(super) fn plan(mut window: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
    window.partition_by.retain(|key| !is_constant(key));
    if window.order_by.iter().all(|key| is_constant(&key.expr)) && of_peers(&window) {
        window.order_by.clear();
        window.window_frame = WindowFrame::new(None);
    }
    let numbers = match &window.func_def {
        WindowFunctionDefinition::WindowUDF(function) => NUMBERS.contains(&function.name()),
        WindowFunctionDefinition::AggregateUDF(_) => false,
    };
    if !numbers {
        return Ok(PlannerResult::Original(window));
    }
    let function = WindowFunction {
        fun: window.func_def,
        params: WindowFunctionParams {
            args: window.args,
            partition_by: window.partition_by,
            order_by: window.order_by,
            window_frame: window.window_frame,
            filter: window.filter,
            null_treatment: window.null_treatment,
            distinct: window.distinct,
        },
    };
    let number = Expr::WindowFunction(Box::new(function));
    Ok(PlannerResult::Planned(cast(number, DataType::Int32)))
}

/// Says if a frame begins and ends where rows are peers; where all rows are, it is all rows.
fn of_peers(window: &RawWindowExpr) -> bool {
    let frame = &window.window_frame;
    let bounded = [&frame.start_bound, &frame.end_bound].map(|bound| match bound {
        WindowFrameBound::CurrentRow => false,
        WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) => !value.is_null(),
    });
    frame.units == WindowFrameUnits::Range && bounded == [false, false]
}

/// Says if an expression has one value for all rows; DataFusion cannot partition by some that have.
fn is_constant(expression: &Expr) -> bool {
    let of_rows = expression.exists(|part| {
        Ok(match part {
            Expr::Column(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::Placeholder(_)
            | Expr::Unnest(_) => true,
            Expr::ScalarSubquery(query) => !query.outer_ref_columns.is_empty(),
            _ => false,
        })
    });
    matches!(of_rows, Ok(false)) && !expression.is_volatile()
}

/// Has frames by RANGE that end where rows are peers count groups of peers, where DataFusion has no ranges of the key's
/// type: the frame is the same.
#[derive(Debug)]
pub(crate) struct PeerFrames;

impl AnalyzerRule for PeerFrames {
    fn name(&self) -> &str {
        "spark_peer_frames"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let changed = plan.transform_up_with_subqueries(|plan| {
            let LogicalPlan::Window(_) = &plan else {
                return Ok(Transformed::no(plan));
            };
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expression| {
                let name = names.save(&expression);
                let changed = expression.transform_up(|part| match part {
                    Expr::WindowFunction(function) => framed(function, &schema),
                    other => Ok(Transformed::no(other)),
                });
                Ok(changed?.update_data(|expression| name.restore(expression)))
            })
        });
        Ok(changed?.data)
    }
}

fn framed(mut function: Box<WindowFunction>, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let params = &mut function.params;
    let key = params.order_by.first().map(|order| order.expr.get_type(schema));
    let (WindowFrameUnits::Range, Some(key)) = (params.window_frame.units, key.transpose()?) else {
        return Ok(Transformed::no(Expr::WindowFunction(function)));
    };
    if has_ranges(&key) {
        return Ok(Transformed::no(Expr::WindowFunction(function)));
    }
    for bound in [
        &mut params.window_frame.start_bound,
        &mut params.window_frame.end_bound,
    ] {
        match bound {
            WindowFrameBound::CurrentRow => {}
            WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) if value.is_null() => {
                *value = ScalarValue::UInt64(None);
            }
            _ => {
                return Err(condition(
                    "DATATYPE_MISMATCH.RANGE_FRAME_INVALID_TYPE",
                    "42K09",
                    format!(
                        "there is no range of values of {}",
                        type_text(&key).to_uppercase()
                    ),
                ));
            }
        }
    }
    params.window_frame.units = WindowFrameUnits::Groups;
    Ok(Transformed::yes(Expr::WindowFunction(function)))
}

/// Says if DataFusion takes a type for a range's.
fn has_ranges(key: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, List, Null, Timestamp, Utf8};
    key.is_numeric()
        || matches!(
            key,
            Utf8 | Null | Boolean | List(_) | Date32 | Date64 | Timestamp(..)
        )
}
