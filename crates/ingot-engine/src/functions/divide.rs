//! `/` of Spark under ANSI: numbers that are no decimals divide as doubles, and by zero not at all.
//!
//! Decimals divide as DataFusion divides them, which also refuses zero. Source: Spark, `Divide`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::compute::kernels::arity::try_binary;
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    cast,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Plans `/`.
#[derive(Debug)]
pub(crate) struct SparkDivision {
    function: Arc<ScalarUDF>,
}

impl SparkDivision {
    pub fn new() -> Self {
        Self {
            function: Arc::new(ScalarUDF::from(Divide::new())),
        }
    }
}

impl ExprPlanner for SparkDivision {
    fn plan_binary_op(
        &self,
        expression: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let type_of = |side: &Expr| side.get_type(schema).ok();
        let sides = (type_of(&expression.left), type_of(&expression.right));
        let double = match (&expression.op, sides) {
            (BinaryOperator::Divide, (Some(left), Some(right))) => divides_as_double(&left, &right),
            _ => false,
        };
        if !double {
            return Ok(PlannerResult::Original(expression));
        }
        let sides = [expression.left, expression.right].map(|side| cast(side, DataType::Float64));
        let function = ScalarFunction::new_udf(Arc::clone(&self.function), sides.to_vec());
        Ok(PlannerResult::Planned(Expr::ScalarFunction(function)))
    }
}

fn divides_as_double(left: &DataType, right: &DataType) -> bool {
    let plain = |side: &DataType| side.is_integer() || side.is_floating();
    let either = |side: &DataType| plain(side) || side.is_decimal();
    match (left.is_floating() || right.is_floating(), left, right) {
        (true, left, right) => either(left) && either(right),
        (false, left, right) => plain(left) && plain(right),
    }
}

/// Division of doubles.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Divide {
    signature: Signature,
}

impl Divide {
    fn new() -> Self {
        let doubles = vec![DataType::Float64, DataType::Float64];
        Self {
            signature: Signature::exact(doubles, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Divide {
    fn name(&self) -> &str {
        "divide"
    }

    /// Columns without a name of their own are called as other operators call them.
    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        let sides = arguments.iter().map(|side| side.schema_name().to_string());
        Ok(sides.collect::<Vec<_>>().join(" / "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let sides = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [left, right] = sides.as_slice() else {
            return datafusion::common::internal_err!("division has two sides");
        };
        Ok(ColumnarValue::Array(divided(left, right)?))
    }
}

fn divided(left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let (left, right) = (
        left.as_primitive::<Float64Type>(),
        right.as_primitive::<Float64Type>(),
    );
    let quotients: Float64Array = try_binary(left, right, |left, right| match right == 0.0 {
        true => Err(ArrowError::DivideByZero),
        false => Ok(left / right),
    })?;
    Ok(Arc::new(quotients))
}
