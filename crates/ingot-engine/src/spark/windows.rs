//! Functions of windows that give numbers: INT in Spark, where DataFusion gives a number without a sign.
//!
//! Source: Spark, `RowNumberLike`, `Rank`, `NTile`.

use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::planner::{PlannerResult, RawWindowExpr};
use datafusion::logical_expr::{Expr, WindowFunctionDefinition, cast};

const NUMBERS: [&str; 4] = ["row_number", "rank", "dense_rank", "ntile"];

/// Plans such a function; others are left as they are.
pub(super) fn plan(window: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
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
