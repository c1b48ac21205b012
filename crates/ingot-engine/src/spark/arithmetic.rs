//! `+ - * / %` and the sign, of numbers: an overflow is an error, `/` of whole numbers gives a double, decimals keep
//! what digits they can.
//!
//! What DataFusion's operators do as Spark's do stays theirs, so that its optimiser knows it: sums of doubles, and
//! decimals whose digits all fit. Source: Spark, `Add`, `Divide`, `DecimalPrecision`, `AnsiTypeCoercion`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, PrimitiveArray};
use arrow::compute::kernels::arity::{try_binary, try_unary};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{
    ArrowNativeTypeOp, ArrowPrimitiveType, DataType, Decimal128Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, i256,
};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    cast,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::coercion::{digits, is_integral};
use crate::error::{arithmetic_overflow, condition, divide_by_zero};

const DIGITS_MAX: u8 = 38;

/// Digits after the point that a decimal keeps at the least where not all of its digits fit.
const SCALE_KEPT: i16 = 6;

/// Plans an operator between numbers; others are left as they are.
pub(super) fn plan(operation: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
    let Some(operator) = Operator::of(&operation.op) else {
        return Ok(PlannerResult::Original(operation));
    };
    let type_of = |side: &Expr| side.get_type(schema).ok();
    let (Some(left), Some(right)) = (type_of(&operation.left), type_of(&operation.right)) else {
        return Ok(PlannerResult::Original(operation));
    };
    let Some(common) = common_type(&left, &right) else {
        return Ok(PlannerResult::Original(operation));
    };
    let RawBinaryExpr {
        op,
        left: x,
        right: y,
    } = operation;
    let planned = match (common, operator) {
        (Common::Decimals, _) => {
            let (x, left) = as_decimal(x, &left)?;
            let (y, right) = as_decimal(y, &right)?;
            let all_digits = operator.all_digits(left, right);
            if all_digits.0 <= i16::from(DIGITS_MAX)
                && !matches!(operator, Operator::Divide | Operator::Modulo)
            {
                return Ok(PlannerResult::Original(RawBinaryExpr {
                    op,
                    left: x,
                    right: y,
                }));
            }
            call(operator, x, y)
        }
        (Common::Same(common), Operator::Divide) if !common.is_floating() => call(
            operator,
            converted(x, &left, &DataType::Float64),
            converted(y, &right, &DataType::Float64),
        ),
        (Common::Same(_), Operator::Divide) => call(
            operator,
            converted(x, &left, &DataType::Float64),
            converted(y, &right, &DataType::Float64),
        ),
        (Common::Same(common), operator) => {
            let (x, y) = (converted(x, &left, &common), converted(y, &right, &common));
            if common.is_floating() && operator != Operator::Modulo {
                return Ok(PlannerResult::Original(RawBinaryExpr {
                    op,
                    left: x,
                    right: y,
                }));
            }
            call(operator, x, y)
        }
    };
    Ok(PlannerResult::Planned(planned))
}

/// Plans `-x`.
pub(super) fn negative(operand: Expr, schema: &DFSchema) -> Result<Expr> {
    match operand.get_type(schema)? {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let function = ScalarUDF::from(Negative::new());
            Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
                Arc::new(function),
                vec![operand],
            )))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            Ok(Expr::Negative(Box::new(cast(operand, DataType::Float64))))
        }
        _ => Ok(Expr::Negative(Box::new(operand))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Operator {
    fn of(operator: &BinaryOperator) -> Option<Self> {
        match operator {
            BinaryOperator::Plus => Some(Self::Add),
            BinaryOperator::Minus => Some(Self::Subtract),
            BinaryOperator::Multiply => Some(Self::Multiply),
            BinaryOperator::Divide => Some(Self::Divide),
            BinaryOperator::Modulo => Some(Self::Modulo),
            _ => None,
        }
    }

    fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }

    /// Returns precision and scale of a result that keeps all digits.
    fn all_digits(self, (p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> (i16, i16) {
        let [p1, s1, p2, s2] = [i16::from(p1), i16::from(s1), i16::from(p2), i16::from(s2)];
        match self {
            Self::Add | Self::Subtract => {
                let scale = s1.max(s2);
                ((p1 - s1).max(p2 - s2) + scale + 1, scale)
            }
            Self::Multiply => (p1 + p2 + 1, s1 + s2),
            Self::Divide => {
                let scale = (s1 + p2 + 1).max(SCALE_KEPT);
                (p1 - s1 + s2 + scale, scale)
            }
            Self::Modulo => {
                let scale = s1.max(s2);
                ((p1 - s1).min(p2 - s2) + scale, scale)
            }
        }
    }
}

/// Fits a decimal into 38 digits: those before the point are kept, and six after it.
/// Source: Spark, `DecimalType.adjustPrecisionScale`.
pub(crate) fn adjusted(precision: i16, scale: i16) -> (u8, i8) {
    let max = i16::from(DIGITS_MAX);
    let fitted = match precision <= max {
        true => (precision, scale),
        false => (max, (max - (precision - scale)).max(scale.min(SCALE_KEPT))),
    };
    (
        u8::try_from(fitted.0).unwrap_or(DIGITS_MAX),
        i8::try_from(fitted.1).unwrap_or(0),
    )
}

/// What two sides become before they are computed with.
enum Common {
    Same(DataType),
    /// Each stays the decimal that it is.
    Decimals,
}

fn common_type(left: &DataType, right: &DataType) -> Option<Common> {
    use DataType::{Float32, Float64, Int64, Null};
    let text = |side: &DataType| matches!(side, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let number = |side: &DataType| is_integral(side) || side.is_floating() || is_decimal(side);
    Some(match (left, right) {
        (Null, Null) => Common::Same(Float64),
        (Null, other) | (other, Null) if number(other) => return common_type(other, other),
        (word, other) | (other, word) if text(word) && is_integral(other) => Common::Same(Int64),
        (word, other) | (other, word) if text(word) && (number(other) || text(other)) => {
            Common::Same(Float64)
        }
        (left, right) if !number(left) || !number(right) => return None,
        (left, right) if is_decimal(left) || is_decimal(right) => {
            match left.is_floating() || right.is_floating() {
                true => Common::Same(Float64),
                false => Common::Decimals,
            }
        }
        (Float32, Float32) => Common::Same(Float32),
        (left, right) if left.is_floating() || right.is_floating() => Common::Same(Float64),
        (left, right) => Common::Same(wider(left, right).clone()),
    })
}

fn is_decimal(side: &DataType) -> bool {
    matches!(side, DataType::Decimal128(..))
}

fn wider<'a>(left: &'a DataType, right: &'a DataType) -> &'a DataType {
    match left.primitive_width() >= right.primitive_width() {
        true => left,
        false => right,
    }
}

/// Converts where it has to be.
fn converted(side: Expr, from: &DataType, to: &DataType) -> Expr {
    match from == to {
        true => side,
        false => cast(side, to.clone()),
    }
}

/// Makes a side a decimal, and says of how many digits: a whole number that is written has just its own.
fn as_decimal(side: Expr, from: &DataType) -> Result<(Expr, (u8, i8))> {
    if let DataType::Decimal128(precision, scale) = from {
        return Ok((side, (*precision, *scale)));
    }
    let precision = match &side {
        Expr::Literal(value, _) if is_integral(from) => match value.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(Some(value)) => value.unsigned_abs().checked_ilog10().unwrap_or(0) as u8 + 1,
            _ => 1,
        },
        _ => digits(from),
    };
    Ok((cast(side, DataType::Decimal128(precision, 0)), (precision, 0)))
}

fn call(operator: Operator, left: Expr, right: Expr) -> Expr {
    let function = Arc::new(ScalarUDF::from(Arithmetic::new(operator)));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![left, right]))
}

/// An operator whose sides are both of one type that is no decimal, or both decimals.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    operator: Operator,
    signature: Signature,
}

impl Arithmetic {
    fn new(operator: Operator) -> Self {
        Self {
            operator,
            signature: Signature::any(2, Volatility::Immutable),
        }
    }

    fn decimal(&self, left: (u8, i8), right: (u8, i8)) -> (u8, i8) {
        let (precision, scale) = self.operator.all_digits(left, right);
        adjusted(precision, scale)
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        self.operator.symbol()
    }

    /// Columns without a name of their own are called as other operators call them.
    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        let sides = arguments.iter().map(|side| side.schema_name().to_string());
        Ok(sides
            .collect::<Vec<_>>()
            .join(&format!(" {} ", self.operator.symbol())))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)] => {
                let (precision, scale) = self.decimal((*p1, *s1), (*p2, *s2));
                Ok(DataType::Decimal128(precision, scale))
            }
            [left, right] if left == right => Ok(left.clone()),
            other => Err(DataFusionError::Internal(format!(
                "{} of {other:?}",
                self.operator.symbol()
            ))),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalars = arguments
            .args
            .iter()
            .all(|side| matches!(side, ColumnarValue::Scalar(_)));
        let rows = if scalars { 1 } else { arguments.number_rows };
        let [left, right] = arguments.args.as_slice() else {
            return Err(DataFusionError::Internal("an operator has two sides".to_owned()));
        };
        let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
        let result = match left.data_type() {
            DataType::Decimal128(..) => self.of_decimals(left.as_primitive(), right.as_primitive())?,
            _ => of_numbers(self.operator, &left, &right)?,
        };
        match scalars {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)),
            false => Ok(ColumnarValue::Array(result)),
        }
    }
}

fn of_numbers(operator: Operator, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    let computed = match operator {
        Operator::Add => numeric::add(left, right),
        Operator::Subtract => numeric::sub(left, right),
        Operator::Multiply => numeric::mul(left, right),
        Operator::Divide => return divided(left.as_primitive(), right.as_primitive()),
        Operator::Modulo => {
            return match left.data_type() {
                DataType::Int8 => remainder::<Int8Type>(left, right),
                DataType::Int16 => remainder::<Int16Type>(left, right),
                DataType::Int32 => remainder::<Int32Type>(left, right),
                DataType::Int64 => remainder::<Int64Type>(left, right),
                DataType::Float32 => remainder::<Float32Type>(left, right),
                _ => remainder::<Float64Type>(left, right),
            };
        }
    };
    computed.map_err(|error| match error {
        ArrowError::ArithmeticOverflow(_) => arithmetic_overflow(left.data_type()),
        other => other.into(),
    })
}

fn divided(left: &PrimitiveArray<Float64Type>, right: &PrimitiveArray<Float64Type>) -> Result<ArrayRef> {
    let quotients = try_binary::<_, _, _, Float64Type>(left, right, |left, right| match right == 0.0 {
        true => Err(ArrowError::DivideByZero),
        false => Ok(left / right),
    });
    match quotients {
        Ok(quotients) => Ok(Arc::new(quotients)),
        Err(ArrowError::DivideByZero) => Err(divide_by_zero()),
        Err(other) => Err(other.into()),
    }
}

fn remainder<T: ArrowPrimitiveType>(left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    let (left, right) = (left.as_primitive::<T>(), right.as_primitive::<T>());
    let remainders = try_binary::<_, _, _, T>(left, right, |left, right| match right.is_zero() {
        true => Err(ArrowError::DivideByZero),
        false => Ok(left.mod_wrapping(right)),
    });
    match remainders {
        Ok(remainders) => Ok(Arc::new(remainders)),
        Err(ArrowError::DivideByZero) => Err(remainder_by_zero()),
        Err(other) => Err(other.into()),
    }
}

fn remainder_by_zero() -> DataFusionError {
    condition(
        "REMAINDER_BY_ZERO",
        "22012",
        "remainder by zero; use `try_mod` to get NULL instead".to_owned(),
    )
}

impl Arithmetic {
    /// Computes in 256 bits and rounds half up to the scale of the result.
    fn of_decimals(&self, left: &Decimal128Array, right: &Decimal128Array) -> Result<ArrayRef> {
        let ((p1, s1), (p2, s2)) = (
            (left.precision(), left.scale()),
            (right.precision(), right.scale()),
        );
        let (precision, scale) = self.decimal((p1, s1), (p2, s2));
        let limit = power(i16::from(precision));
        let operator = self.operator;
        let compute = |left: i128, right: i128| -> Option<i256> {
            let (x, y) = (i256::from_i128(left), i256::from_i128(right));
            let common = s1.max(s2);
            let (x_common, y_common) = (
                x.checked_mul(power(i16::from(common - s1)))?,
                y.checked_mul(power(i16::from(common - s2)))?,
            );
            match operator {
                Operator::Add => rescaled(x_common.checked_add(y_common)?, common, scale),
                Operator::Subtract => rescaled(x_common.checked_sub(y_common)?, common, scale),
                Operator::Multiply => rescaled(x.checked_mul(y)?, s1 + s2, scale),
                Operator::Modulo => rescaled(x_common.checked_rem(y_common)?, common, scale),
                Operator::Divide => {
                    // x / 10^s1 / (y / 10^s2), at `scale`.
                    let up = i16::from(scale) - i16::from(s1) + i16::from(s2);
                    match up >= 0 {
                        true => half_up(x.checked_mul(power(up))?, y),
                        false => half_up(x, y.checked_mul(power(-up))?),
                    }
                }
            }
        };
        let results = try_binary::<_, _, _, Decimal128Type>(left, right, |left, right| {
            if right == 0 && matches!(operator, Operator::Divide | Operator::Modulo) {
                return Err(ArrowError::DivideByZero);
            }
            compute(left, right)
                .filter(|value| value.wrapping_abs() < limit)
                .and_then(i256::to_i128)
                .ok_or_else(|| ArrowError::ArithmeticOverflow(String::new()))
        });
        let results = results.map_err(|error| match error {
            ArrowError::DivideByZero if operator == Operator::Modulo => remainder_by_zero(),
            ArrowError::DivideByZero => divide_by_zero(),
            ArrowError::ArithmeticOverflow(_) => condition(
                "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
                "22003",
                format!(
                    "the result of `{}` does not fit into DECIMAL({precision},{scale}); use `try_` functions to get NULL instead",
                    operator.symbol()
                ),
            ),
            other => other.into(),
        })?;
        Ok(Arc::new(results.with_precision_and_scale(precision, scale)?))
    }
}

fn power(exponent: i16) -> i256 {
    let exponent = u32::try_from(exponent).unwrap_or(0);
    i256::from_i128(10).wrapping_pow(exponent)
}

fn rescaled(value: i256, from: i8, to: i8) -> Option<i256> {
    match i16::from(to) - i16::from(from) {
        up if up >= 0 => value.checked_mul(power(up)),
        down => half_up(value, power(-down)),
    }
}

/// Divides and rounds to the nearest, halves away from zero.
fn half_up(value: i256, divisor: i256) -> Option<i256> {
    let (quotient, rest) = (value.checked_div(divisor)?, value.checked_rem(divisor)?);
    let (rest, divisor_abs) = (rest.wrapping_abs(), divisor.wrapping_abs());
    match rest >= divisor_abs.wrapping_sub(rest) {
        false => Some(quotient),
        true if value.is_negative() == divisor.is_negative() => quotient.checked_add(i256::ONE),
        true => quotient.checked_sub(i256::ONE),
    }
}

/// `-x` of whole numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Negative {
    signature: Signature,
}

impl Negative {
    fn new() -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Negative {
    fn name(&self) -> &str {
        "-"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [values] = arrays.as_slice() else {
            return Err(DataFusionError::Internal("a sign has one operand".to_owned()));
        };
        let negated = match values.data_type() {
            DataType::Int8 => negated::<Int8Type>(values),
            DataType::Int16 => negated::<Int16Type>(values),
            DataType::Int32 => negated::<Int32Type>(values),
            _ => negated::<Int64Type>(values),
        }?;
        match arguments.args.as_slice() {
            [ColumnarValue::Scalar(_)] => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&negated, 0)?))
            }
            _ => Ok(ColumnarValue::Array(negated)),
        }
    }
}

fn negated<T: ArrowPrimitiveType>(values: &ArrayRef) -> Result<ArrayRef> {
    let negated = try_unary::<T, _, T>(values.as_primitive::<T>(), ArrowNativeTypeOp::neg_checked);
    match negated {
        Ok(negated) => Ok(Arc::new(negated)),
        Err(_) => Err(arithmetic_overflow(values.data_type())),
    }
}
