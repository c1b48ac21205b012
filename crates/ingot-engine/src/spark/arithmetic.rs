//! `+ - * / %` and the sign, of numbers: an overflow is an error, `/` of whole numbers gives a double, decimals keep
//! what digits they can. Without ANSI mode whole numbers start again from their other end, and all else that does not
//! fit is null.
//!
//! What DataFusion's operators do as Spark's do stays theirs, so that its optimiser knows it: sums of doubles, and
//! decimals whose digits all fit. Source: Spark, `Add`, `Divide`, `DecimalPrecision`, `AnsiTypeCoercion`.

mod decimal;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Datum, PrimitiveArray};
use arrow::compute::kernels::arity::{try_binary, try_unary};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{
    ArrowNativeTypeOp, ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type,
};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    binary_expr, cast,
};
use datafusion::physical_expr_common::datum::apply;
use datafusion::sql::sqlparser::ast::BinaryOperator;

pub(crate) use self::decimal::Computation;
use super::coercion::{digits, is_integral};
use super::{AnsiMode, temporal_arithmetic};
use crate::error::{arithmetic_overflow, condition, divide_by_zero};
use crate::functions::arguments::{over_arrays, unexpected};
use crate::write::type_text;

const DIGITS_MAX: u8 = 38;

/// Digits after the point that a decimal keeps at the least where not all of its digits fit.
const SCALE_KEPT: i16 = 6;

/// Plans an operator between numbers; others are left as they are.
pub(super) fn plan(
    operation: RawBinaryExpr,
    mode: AnsiMode,
    schema: &DFSchema,
) -> Result<PlannerResult<RawBinaryExpr>> {
    let Some(operator) = Operator::of(&operation.op) else {
        return Ok(PlannerResult::Original(operation));
    };
    let failure = Failure::of(mode);
    let (left, right) = (&operation.left, &operation.right);
    Ok(match computed((operator, failure), left, right, mode, schema)? {
        Some(planned) => PlannerResult::Planned(planned),
        None => PlannerResult::Original(operation),
    })
}

/// Plans the call of a function that is an operator: `mod(x, y)`, `try_add(x, y)`.
///
/// # Errors
/// Those of the operator, for a type that it is not of.
pub(super) fn plan_call(
    function: &str,
    left: &Expr,
    right: &Expr,
    mode: AnsiMode,
    schema: &DFSchema,
) -> Result<Expr> {
    let (operator, failure) = match function {
        "try_add" => (Operator::Add, Failure::Null),
        "try_subtract" => (Operator::Subtract, Failure::Null),
        "try_multiply" => (Operator::Multiply, Failure::Null),
        "try_divide" => (Operator::Divide, Failure::Null),
        "try_mod" => (Operator::Modulo, Failure::Null),
        "pmod" => (Operator::PositiveModulo, Failure::of(mode)),
        _ => (Operator::Modulo, Failure::of(mode)),
    };
    if let Some(planned) = computed((operator, failure), left, right, mode, schema)? {
        return Ok(planned);
    }
    let Some((op, theirs)) = operator.of_sql().zip(operator.of_datafusion()) else {
        let found = left.get_type(schema)?;
        return Err(unexpected(function, 1, "NUMERIC", &found));
    };
    let (left, right) = (left.clone(), right.clone());
    let operation = RawBinaryExpr { op, left, right };
    Ok(match temporal_arithmetic::plan(operation, schema)? {
        PlannerResult::Planned(planned) => planned,
        PlannerResult::Original(operation) => binary_expr(operation.left, theirs, operation.right),
    })
}

/// Plans an operator between numbers; `None` for what is none.
fn computed(
    (operator, failure): (Operator, Failure),
    left: &Expr,
    right: &Expr,
    mode: AnsiMode,
    schema: &DFSchema,
) -> Result<Option<Expr>> {
    let (Ok(left_type), Ok(right_type)) = (left.get_type(schema), right.get_type(schema)) else {
        return Ok(None);
    };
    let Some(common) = common_type(&left_type, &right_type, mode) else {
        return Ok(None);
    };
    let (x, y) = (left.clone(), right.clone());
    let (common, x, y) = match (common, operator) {
        (Common::Decimals, _) => {
            let (x, left) = as_decimal(x, &left_type)?;
            let (y, right) = as_decimal(y, &right_type)?;
            let all_fit = operator.all_digits(left, right).0 <= i16::from(DIGITS_MAX);
            return Ok(Some(match operator.of_datafusion().filter(|_| all_fit) {
                Some(theirs) if operator.keeps_all_digits() => binary_expr(x, theirs, y),
                _ => call(operator, failure, x, y),
            }));
        }
        (Common::Same(_), Operator::Divide) => (DataType::Float64, x, y),
        (Common::Same(_), Operator::IntegerDivide) => (DataType::Int64, x, y),
        (Common::Same(common), _) => (common, x, y),
    };
    let (x, y) = (
        converted(x, &left_type, &common),
        converted(y, &right_type, &common),
    );
    Ok(Some(
        match operator.of_datafusion().filter(|_| common.is_floating()) {
            Some(theirs) if operator.keeps_all_digits() => binary_expr(x, theirs, y),
            _ => call(operator, failure, x, y),
        },
    ))
}

/// Plans `-x`.
pub(super) fn negative(operand: Expr, mode: AnsiMode, schema: &DFSchema) -> Result<Expr> {
    match operand.get_type(schema)? {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let function = ScalarUDF::from(Negative::new(mode));
            Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
                Arc::new(function),
                vec![operand],
            )))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            Ok(Expr::Negative(Box::new(cast(operand, DataType::Float64))))
        }
        of if of.is_numeric()
            || matches!(of, DataType::Null | DataType::Interval(_) | DataType::Duration(_)) =>
        {
            Ok(Expr::Negative(Box::new(operand)))
        }
        other => Err(condition(
            "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
            "42K09",
            format!(
                "a sign stands before a number or an interval, not before {}",
                type_text(&other).to_uppercase()
            ),
        )),
    }
}

/// An operator between numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    IntegerDivide,
    Modulo,
    /// `pmod`: never below zero when the divisor is above.
    PositiveModulo,
}

/// What comes of an overflow, and of a division by zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Failure {
    Error,
    Null,
    /// Whole numbers start again from their other end, and all else is null.
    Wrap,
}

impl Failure {
    fn of(mode: AnsiMode) -> Self {
        match mode {
            AnsiMode::On => Self::Error,
            AnsiMode::Off => Self::Wrap,
        }
    }
}

impl Operator {
    fn of(operator: &BinaryOperator) -> Option<Self> {
        match operator {
            BinaryOperator::Plus => Some(Self::Add),
            BinaryOperator::Minus => Some(Self::Subtract),
            BinaryOperator::Multiply => Some(Self::Multiply),
            BinaryOperator::Divide => Some(Self::Divide),
            BinaryOperator::Modulo => Some(Self::Modulo),
            BinaryOperator::MyIntegerDivide => Some(Self::IntegerDivide),
            _ => None,
        }
    }

    fn of_sql(self) -> Option<BinaryOperator> {
        match self {
            Self::Add => Some(BinaryOperator::Plus),
            Self::Subtract => Some(BinaryOperator::Minus),
            Self::Multiply => Some(BinaryOperator::Multiply),
            Self::Divide => Some(BinaryOperator::Divide),
            Self::Modulo => Some(BinaryOperator::Modulo),
            Self::IntegerDivide | Self::PositiveModulo => None,
        }
    }

    fn of_datafusion(self) -> Option<datafusion::logical_expr::Operator> {
        match self {
            Self::Add => Some(datafusion::logical_expr::Operator::Plus),
            Self::Subtract => Some(datafusion::logical_expr::Operator::Minus),
            Self::Multiply => Some(datafusion::logical_expr::Operator::Multiply),
            Self::Divide => Some(datafusion::logical_expr::Operator::Divide),
            Self::Modulo => Some(datafusion::logical_expr::Operator::Modulo),
            Self::IntegerDivide | Self::PositiveModulo => None,
        }
    }

    /// Says if DataFusion computes as Spark does where no digit is lost.
    fn keeps_all_digits(self) -> bool {
        matches!(self, Self::Add | Self::Subtract | Self::Multiply)
    }

    fn symbol(self, failure: Failure) -> &'static str {
        match (self, failure) {
            (Self::IntegerDivide, _) => "div",
            (Self::PositiveModulo, _) => "pmod",
            (Self::Add, Failure::Null) => "try_add",
            (Self::Subtract, Failure::Null) => "try_subtract",
            (Self::Multiply, Failure::Null) => "try_multiply",
            (Self::Divide, Failure::Null) => "try_divide",
            (Self::Modulo, Failure::Null) => "try_mod",
            (Self::Add, _) => "+",
            (Self::Subtract, _) => "-",
            (Self::Multiply, _) => "*",
            (Self::Divide, _) => "/",
            (Self::Modulo, _) => "%",
        }
    }

    /// Says if zero on the right is a failure.
    fn divides(self) -> bool {
        matches!(
            self,
            Self::Divide | Self::IntegerDivide | Self::Modulo | Self::PositiveModulo
        )
    }

    fn zero(self) -> DataFusionError {
        match self {
            Self::Modulo | Self::PositiveModulo => remainder_by_zero(),
            _ => divide_by_zero(),
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
            Self::IntegerDivide => (20, 0),
            Self::Modulo | Self::PositiveModulo => {
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

fn common_type(left: &DataType, right: &DataType, mode: AnsiMode) -> Option<Common> {
    use DataType::{Float32, Float64, Int64, Null};
    let text = |side: &DataType| matches!(side, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let number = |side: &DataType| is_integral(side) || side.is_floating() || is_decimal(side);
    Some(match (left, right) {
        (Null, Null) => Common::Same(Float64),
        (Null, other) | (other, Null) if number(other) => return common_type(other, other, mode),
        (word, other) | (other, word) if mode == AnsiMode::On && text(word) && is_integral(other) => {
            Common::Same(Int64)
        }
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
        (Float32, whole) | (whole, Float32) if mode == AnsiMode::Off && is_integral(whole) => {
            Common::Same(Float32)
        }
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

fn call(operator: Operator, failure: Failure, left: Expr, right: Expr) -> Expr {
    let function = Arc::new(ScalarUDF::from(Arithmetic::new(operator, failure, &left, &right)));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![left, right]))
}

/// Bytes of a name that tells all of an expression, at most.
const NAME_BYTES_MAX: usize = 256;

/// Makes a name of a long one that no other expression has.
fn shortened(name: String) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let mut hash = DefaultHasher::new();
    name.hash(&mut hash);
    let shown: String = name.chars().take(NAME_BYTES_MAX / 4).collect();
    format!("{shown}… {:016x}", hash.finish())
}

/// An operator whose sides are both of one type that is no decimal, or both decimals.
#[derive(Debug)]
struct Arithmetic {
    operator: Operator,
    failure: Failure,
    /// What the expression is called that it was made for. DataFusion asks for the names of all parts of an expression
    /// wherever it asks for a type; each made of those of its own parts, a long sum would be named in a square of steps.
    full_name: String,
    signature: Signature,
}

impl PartialEq for Arithmetic {
    fn eq(&self, other: &Self) -> bool {
        (self.operator, self.failure) == (other.operator, other.failure)
    }
}

impl Eq for Arithmetic {}

impl Hash for Arithmetic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.operator, self.failure).hash(state);
    }
}

impl Arithmetic {
    fn new(operator: Operator, failure: Failure, left: &Expr, right: &Expr) -> Self {
        let symbol = operator.symbol(failure);
        let [left, right] = [left, right].map(|side| match side.schema_name().to_string() {
            name if name.contains(' ') => format!("({name})"),
            name => name,
        });
        let full_name = shortened(format!("{left} {symbol} {right}"));
        Self {
            operator,
            failure,
            full_name,
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
        self.operator.symbol(self.failure)
    }

    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.full_name.clone())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            _ if self.operator == Operator::IntegerDivide => Ok(DataType::Int64),
            [DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)] => {
                let (precision, scale) = self.decimal((*p1, *s1), (*p2, *s2));
                Ok(DataType::Decimal128(precision, scale))
            }
            [left, right] if left == right => Ok(left.clone()),
            other => Err(DataFusionError::Internal(format!("{} of {other:?}", self.name()))),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = arguments.args.as_slice() else {
            return Err(DataFusionError::Internal("an operator has two sides".to_owned()));
        };
        if let [DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)] =
            [left.data_type(), right.data_type()]
        {
            let computed = self.of_decimals(left, right, [(p1, s1), (p2, s2)])?;
            return Ok(match (left, right) {
                (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)) => {
                    ColumnarValue::Scalar(ScalarValue::try_from_array(&computed, 0)?)
                }
                _ => ColumnarValue::Array(computed),
            });
        }
        if let Some(kernel) = self.kernel() {
            return apply(left, right, |left, right| kernel(left, right)).map_err(|error| match error {
                DataFusionError::ArrowError(error, _) => self.failed(*error, &left.data_type()),
                other => other,
            });
        }
        over_arrays(&arguments, |arrays| {
            let [left, right] = arrays else {
                return Err(DataFusionError::Internal("an operator has two sides".to_owned()));
            };
            match left.data_type() {
                DataType::Int8 => self.of_numbers::<Int8Type>(left, right),
                DataType::Int16 => self.of_numbers::<Int16Type>(left, right),
                DataType::Int32 => self.of_numbers::<Int32Type>(left, right),
                DataType::Int64 => self.of_numbers::<Int64Type>(left, right),
                DataType::Float32 => self.of_numbers::<Float32Type>(left, right),
                _ => self.of_numbers::<Float64Type>(left, right),
            }
        })
    }
}

/// Computes over whole arrays, without a branch for each value.
type Kernel = fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>;

impl Arithmetic {
    fn kernel(&self) -> Option<Kernel> {
        match (self.operator, self.failure) {
            (Operator::Add, Failure::Error) => Some(numeric::add),
            (Operator::Subtract, Failure::Error) => Some(numeric::sub),
            (Operator::Multiply, Failure::Error) => Some(numeric::mul),
            (Operator::Add, Failure::Wrap) => Some(numeric::add_wrapping),
            (Operator::Subtract, Failure::Wrap) => Some(numeric::sub_wrapping),
            (Operator::Multiply, Failure::Wrap) => Some(numeric::mul_wrapping),
            _ => None,
        }
    }

    fn of_numbers<T: ArrowPrimitiveType>(&self, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
        let (x, y) = (left.as_primitive::<T>(), right.as_primitive::<T>());
        let compute = |x: T::Native, y: T::Native| match y.is_zero() && self.operator.divides() {
            true => Err(ArrowError::DivideByZero),
            false => number(self.operator, x, y),
        };
        match self.failure {
            Failure::Error => {
                let computed = try_binary::<_, _, _, T>(x, y, compute);
                Ok(Arc::new(
                    computed.map_err(|error| self.failed(error, left.data_type()))?,
                ))
            }
            Failure::Null => {
                let values = x.iter().zip(y).map(|(x, y)| compute(x?, y?).ok());
                Ok(Arc::new(values.collect::<PrimitiveArray<T>>()))
            }
            Failure::Wrap => {
                let compute = |x: T::Native, y: T::Native| match compute(x, y) {
                    Err(ArrowError::DivideByZero) => None,
                    Err(_) => Some(x.div_wrapping(y)),
                    Ok(value) => Some(value),
                };
                let values = x.iter().zip(y).map(|(x, y)| compute(x?, y?));
                Ok(Arc::new(values.collect::<PrimitiveArray<T>>()))
            }
        }
    }

    fn failed(&self, error: ArrowError, data_type: &DataType) -> DataFusionError {
        match error {
            ArrowError::ArithmeticOverflow(_) => arithmetic_overflow(data_type),
            ArrowError::DivideByZero => self.operator.zero(),
            other => other.into(),
        }
    }
}

/// Computes with two numbers, of which the second is no zero where it divides.
fn number<N: ArrowNativeTypeOp>(operator: Operator, x: N, y: N) -> Result<N, ArrowError> {
    match operator {
        Operator::Add => x.add_checked(y),
        Operator::Subtract => x.sub_checked(y),
        Operator::Multiply => x.mul_checked(y),
        Operator::Divide | Operator::IntegerDivide => x.div_checked(y),
        Operator::Modulo => Ok(x.mod_wrapping(y)),
        Operator::PositiveModulo => {
            let rest = x.mod_wrapping(y);
            Ok(match rest.is_lt(N::ZERO) {
                true => rest.add_wrapping(y).mod_wrapping(y),
                false => rest,
            })
        }
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
    fn of_decimals(
        &self,
        left: &ColumnarValue,
        right: &ColumnarValue,
        sides: [(u8, i8); 2],
    ) -> Result<ArrayRef> {
        let [left_digits, right_digits] = sides;
        let (precision, scale) = self.decimal(left_digits, right_digits);
        let scales = (left_digits.1, right_digits.1);
        let computation = Computation::new(self.operator, scales, (precision, scale));
        let results = computation
            .over(left, right, self.failure)
            .map_err(|error| match error {
                DataFusionError::ArrowError(error, _) => self.decimal_failed(*error, precision, scale),
                other => other,
            })?;
        if self.operator == Operator::IntegerDivide {
            if self.failure == Failure::Wrap {
                // The lower bits, as Java's `BigInteger.longValue` takes them.
                return Ok(Arc::new(results.unary::<_, Int64Type>(|value| value as i64)));
            }
            let whole = results.unary_opt::<_, Int64Type>(|value| i64::try_from(value).ok());
            return match whole.null_count() == results.null_count() {
                true => Ok(Arc::new(whole)),
                false => Err(arithmetic_overflow(&DataType::Int64)),
            };
        }
        Ok(Arc::new(results.with_precision_and_scale(precision, scale)?))
    }

    fn decimal_failed(&self, error: ArrowError, precision: u8, scale: i8) -> DataFusionError {
        match error {
            ArrowError::DivideByZero => self.operator.zero(),
            ArrowError::ArithmeticOverflow(_) => condition(
                "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
                "22003",
                format!(
                    "the result of `{}` does not fit into DECIMAL({precision},{scale}); use `try_` functions to get NULL instead",
                    self.name()
                ),
            ),
            other => other.into(),
        }
    }
}

/// `-x` of whole numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Negative {
    mode: AnsiMode,
    signature: Signature,
}

impl Negative {
    fn new(mode: AnsiMode) -> Self {
        Self {
            mode,
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
            DataType::Int8 => negated::<Int8Type>(values, self.mode),
            DataType::Int16 => negated::<Int16Type>(values, self.mode),
            DataType::Int32 => negated::<Int32Type>(values, self.mode),
            _ => negated::<Int64Type>(values, self.mode),
        }?;
        match arguments.args.as_slice() {
            [ColumnarValue::Scalar(_)] => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&negated, 0)?))
            }
            _ => Ok(ColumnarValue::Array(negated)),
        }
    }
}

fn negated<T: ArrowPrimitiveType>(values: &ArrayRef, mode: AnsiMode) -> Result<ArrayRef> {
    let numbers = values.as_primitive::<T>();
    if mode == AnsiMode::Off {
        return Ok(Arc::new(numbers.unary::<_, T>(ArrowNativeTypeOp::neg_wrapping)));
    }
    let negated = try_unary::<T, _, T>(numbers, ArrowNativeTypeOp::neg_checked);
    match negated {
        Ok(negated) => Ok(Arc::new(negated)),
        Err(_) => Err(arithmetic_overflow(values.data_type())),
    }
}
