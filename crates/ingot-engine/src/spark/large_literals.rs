//! Large constants, which are not repeated for more rows than memory and offsets of 32 bits have room for.
//!
//! A constant is one value until something wants it as a column, and then Arrow panics where the column's bytes cannot be
//! counted: `transform(sequence(1, 100000), x -> repeat('a', 100000))` is folded to a lambda of a constant. So a large one
//! becomes a call that looks at the number of rows before it gives the value. The rule comes last: those before it read
//! constants, and make them.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::Lambda;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::functions::room::check_repeated;

const NAME: &str = "__ingot_large_literal";

/// Bytes of a constant that is large: 32,768 of them are as many as offsets count, which is more than a batch has.
const LARGE: usize = 64 << 10;

/// Bytes of a constant in a lambda, which is called for the items of all rows at once.
const LARGE_IN_LAMBDA: usize = 1 << 10;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct LargeLiterals;

impl OptimizerRule for LargeLiterals {
    fn name(&self) -> &str {
        "large_literals"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Window(_) => {
                let names = NamePreserver::new(&plan);
                plan.map_expressions(|expr| {
                    let name = names.save(&expr);
                    Ok(counted(expr, LARGE)?.update_data(|expr| name.restore(expr)))
                })
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// Makes calls of the constants of an expression that have more than `most` bytes.
fn counted(expr: Expr, most: usize) -> Result<Transformed<Expr>> {
    expr.transform_down(|part| {
        Ok(match part {
            Expr::Literal(ref value, _) if value.size() > most => {
                let call = ScalarUDF::from(LargeLiteral {
                    signature: Signature::any(1, Volatility::Volatile),
                });
                Transformed::new(call.call(vec![part]), true, TreeNodeRecursion::Jump)
            }
            Expr::ScalarFunction(ref call) if call.name() == NAME => {
                Transformed::new(part, false, TreeNodeRecursion::Jump)
            }
            Expr::Lambda(Lambda { params, body }) => {
                let body = counted(*body, most.min(LARGE_IN_LAMBDA))?;
                let lambda = Expr::Lambda(Lambda {
                    params,
                    body: Box::new(body.data),
                });
                Transformed::new(lambda, body.transformed, TreeNodeRecursion::Jump)
            }
            // Their arguments may have to be constants.
            Expr::AggregateFunction(ref call) if call.params.args.iter().any(is_literal) => {
                Transformed::new(part, false, TreeNodeRecursion::Jump)
            }
            Expr::WindowFunction(ref call) if call.params.args.iter().any(is_literal) => {
                Transformed::new(part, false, TreeNodeRecursion::Jump)
            }
            other => Transformed::no(other),
        })
    })
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(..))
}

/// Gives its argument, unless there are too many rows.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LargeLiteral {
    /// Volatile, so that it is not folded.
    signature: Signature,
}

impl ScalarUDFImpl for LargeLiteral {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().ok_or_else(no_argument)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        arguments
            .arg_fields
            .first()
            .map(Arc::clone)
            .ok_or_else(no_argument)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let value = arguments.args.into_iter().next().ok_or_else(no_argument)?;
        if let ColumnarValue::Scalar(value) = &value {
            check_repeated(value, rows)?;
        }
        Ok(value)
    }
}

fn no_argument() -> DataFusionError {
    DataFusionError::Internal(format!("{NAME} has one argument"))
}
