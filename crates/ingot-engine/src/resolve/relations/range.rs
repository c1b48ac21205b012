//! `range(end)`, `range(start, end [, step [, partitions]])`: whole numbers in a column `id`, the end left out.
//!
//! Source: Spark, `Range`.

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::optimizer::simplify_expressions::{ExprSimplifier, SimplifyContext};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{FunctionArg, FunctionArgExpr, ObjectName, ObjectNamePart};

use crate::error::condition;

/// How DataFusion's function of this name is asked for, and called in its plan.
const FUNCTION: &str = "range";

/// Says if the function is ours to plan.
pub(super) fn is_range(name: &ObjectName) -> bool {
    matches!(name.0.as_slice(), [ObjectNamePart::Identifier(ident)] if ident.value.eq_ignore_ascii_case(FUNCTION))
}

/// Plans a call.
pub(super) fn plan(
    arguments: Vec<FunctionArg>,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let mut numbers = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let (FunctionArg::Unnamed(FunctionArgExpr::Expr(value))
        | FunctionArg::Named {
            arg: FunctionArgExpr::Expr(value),
            ..
        }) = argument
        else {
            return Err(mismatch());
        };
        let value = context.sql_to_expr(value, &DFSchema::empty())?;
        numbers.push(number(value)?);
    }
    let (start, end, step) = match *numbers.as_slice() {
        [end] => (0, end, 1),
        [start, end] => (start, end, 1),
        [start, end, step] | [start, end, step, _] => (start, end, step),
        _ => return Err(mismatch()),
    };
    if step == 0 {
        return Err(condition(
            "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE",
            "42K09",
            "the step of `range` cannot be 0".to_owned(),
        ));
    }
    let arguments = [start, end, step].map(|number| Expr::Literal(ScalarValue::Int64(Some(number)), None));
    let source = context
        .context_provider()
        .get_table_function_source(FUNCTION, arguments.to_vec())?;
    let plan = LogicalPlanBuilder::scan(FUNCTION, source, None)?;
    let value = plan
        .schema()
        .columns()
        .into_iter()
        .next()
        .unwrap_or_else(|| Column::from_name("value"));
    plan.project([Expr::Column(value).alias_qualified(Some(FUNCTION), "id")])?
        .build()
}

/// Evaluates an argument, which is about no row.
fn number(value: Expr) -> Result<i64> {
    if !value.get_type(&DFSchema::empty())?.is_integer() {
        return Err(mismatch());
    }
    let simplifier = ExprSimplifier::new(SimplifyContext::default());
    match simplifier.simplify(cast(value, DataType::Int64))? {
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => Ok(number),
        _ => Err(mismatch()),
    }
}

fn mismatch() -> datafusion::error::DataFusionError {
    condition(
        "UNRESOLVABLE_TABLE_VALUED_FUNCTION",
        "42883",
        "`range` takes an end, or a start and an end with a step and a number of partitions: whole numbers"
            .to_owned(),
    )
}
