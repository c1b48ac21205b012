//! Operators between decimals: computed in 128 bits where each step fits, else in 256, and rounded half up to the scale
//! of the result.
//!
//! Source: Spark, `Decimal`, `DecimalType.adjustPrecisionScale`.

use arrow::array::{ArrowPrimitiveType, AsArray, Decimal128Array};
use arrow::compute::kernels::arity::{try_binary, try_unary};
use arrow::datatypes::{Decimal128Type, i256};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;

use super::{Failure, Operator};

/// An operator between decimals of given scales.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Computation {
    operator: Operator,
    scales: (i8, i8),
    scale: i8,
    /// What a result's number is below.
    limit: i128,
    narrow: Option<Narrow>,
}

/// The factors of a computation in 128 bits.
#[derive(Debug, Clone, Copy)]
struct Narrow {
    left: i128,
    right: i128,
    /// What the result is divided by.
    down: i128,
}

impl Computation {
    /// Prepares the computation of a result with `precision` digits, `scale` of them after the point.
    pub(crate) fn new(operator: Operator, scales: (i8, i8), (precision, scale): (u8, i8)) -> Self {
        Self {
            operator,
            scales,
            scale,
            limit: 10_i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX),
            narrow: Narrow::new(operator, scales, scale),
        }
    }

    /// Computes over two columns, or over a column and a value; a failure that gives nulls is no error.
    ///
    /// # Errors
    /// `DivideByZero` and `ArithmeticOverflow`.
    pub(super) fn over(
        &self,
        left: &ColumnarValue,
        right: &ColumnarValue,
        failure: Failure,
    ) -> Result<Decimal128Array> {
        // A loop of its own for what is most common.
        match (self.operator, self.narrow, failure) {
            (Operator::Multiply, Some(Narrow { down: 1, .. }), Failure::Error) => {
                each(left, right, |x, y| match product(x, y) {
                    Some(value) if value.unsigned_abs() < self.limit.unsigned_abs() => Ok(value),
                    _ => self.wide(x, y),
                })
            }
            (.., Failure::Error) => each(left, right, |x, y| self.of(x, y)),
            (.., Failure::Null | Failure::Wrap) => or_null(left, right, |x, y| self.of(x, y)),
        }
    }

    /// Computes for two numbers.
    ///
    /// # Errors
    /// `DivideByZero` and `ArithmeticOverflow`.
    pub(crate) fn of(&self, x: i128, y: i128) -> Result<i128, ArrowError> {
        if y == 0 && self.operator.divides() {
            return Err(ArrowError::DivideByZero);
        }
        let narrow = self.narrow.and_then(|narrow| narrow.of(self.operator, x, y));
        match narrow {
            Some(value) if value.unsigned_abs() < self.limit.unsigned_abs() => Ok(value),
            _ => self.wide(x, y),
        }
    }

    #[cold]
    fn wide(&self, x: i128, y: i128) -> Result<i128, ArrowError> {
        let limit = i256::from_i128(self.limit);
        let (x, y) = (i256::from_i128(x), i256::from_i128(y));
        wide(self.operator, (x, y), self.scales, self.scale)
            .filter(|value| value.wrapping_abs() < limit)
            .and_then(i256::to_i128)
            .ok_or_else(|| ArrowError::ArithmeticOverflow(String::new()))
    }
}

impl Narrow {
    /// Returns the factors; `None` where one does not fit.
    fn new(operator: Operator, (s1, s2): (i8, i8), scale: i8) -> Option<Self> {
        let power = |exponent: i16| 10_i128.checked_pow(u32::try_from(exponent).ok()?);
        let [s1, s2, scale] = [s1, s2, scale].map(i16::from);
        let common = s1.max(s2);
        let (left, right, down) = match operator {
            Operator::Multiply => (0, 0, s1 + s2 - scale),
            // x / 10^s1 / (y / 10^s2), at `scale`.
            Operator::Divide => {
                let up = scale - s1 + s2;
                (up.max(0), (-up).max(0), 0)
            }
            Operator::IntegerDivide => (common - s1, common - s2, 0),
            _ => (common - s1, common - s2, common - scale),
        };
        Some(Self {
            left: power(left)?,
            right: power(right)?,
            down: power(down)?,
        })
    }

    /// Computes; `None` where a step does not fit.
    #[inline]
    fn of(self, operator: Operator, x: i128, y: i128) -> Option<i128> {
        let (x, y) = match operator {
            Operator::Multiply => return half_up_narrow(product(x, y)?, self.down),
            _ => (product(x, self.left)?, product(y, self.right)?),
        };
        let value = match operator {
            Operator::Add => x.checked_add(y)?,
            Operator::Subtract => x.checked_sub(y)?,
            Operator::IntegerDivide => x.checked_div(y)?,
            Operator::Divide => return half_up_narrow(x, y),
            Operator::PositiveModulo => match x.checked_rem(y)? {
                rest if rest < 0 => rest.checked_add(y)?.checked_rem(y)?,
                rest => rest,
            },
            Operator::Modulo | Operator::Multiply => x.checked_rem(y)?,
        };
        half_up_narrow(value, self.down)
    }
}

/// Multiplies. Most numbers have 64 bits, whose product takes one instruction.
#[inline]
fn product(x: i128, y: i128) -> Option<i128> {
    match (i64::try_from(x), i64::try_from(y)) {
        (Ok(x), Ok(y)) => Some(i128::from(x) * i128::from(y)),
        _ => x.checked_mul(y),
    }
}

/// Divides and rounds to the nearest, halves away from zero.
#[inline]
fn half_up_narrow(value: i128, divisor: i128) -> Option<i128> {
    if divisor == 1 {
        return Some(value);
    }
    let (quotient, rest) = match (i64::try_from(value), i64::try_from(divisor)) {
        (Ok(value), Ok(divisor)) => {
            let quotient = value.checked_div(divisor)?;
            (i128::from(quotient), i128::from(value.checked_rem(divisor)?))
        }
        _ => (value.checked_div(divisor)?, value.checked_rem(divisor)?),
    };
    let (rest, size) = (rest.unsigned_abs(), divisor.unsigned_abs());
    match rest >= size - rest {
        false => Some(quotient),
        true if (value < 0) == (divisor < 0) => quotient.checked_add(1),
        true => quotient.checked_sub(1),
    }
}

/// Computes with the numbers of two decimals, and returns that of the result, of the scale `scale`.
fn wide(operator: Operator, (x, y): (i256, i256), (s1, s2): (i8, i8), scale: i8) -> Option<i256> {
    let common = s1.max(s2);
    let aligned = || {
        Some((
            x.checked_mul(power(i16::from(common - s1)))?,
            y.checked_mul(power(i16::from(common - s2)))?,
        ))
    };
    match operator {
        Operator::Add => aligned().and_then(|(x, y)| rescaled(x.checked_add(y)?, common, scale)),
        Operator::Subtract => aligned().and_then(|(x, y)| rescaled(x.checked_sub(y)?, common, scale)),
        Operator::Multiply => rescaled(x.checked_mul(y)?, s1 + s2, scale),
        Operator::Modulo => aligned().and_then(|(x, y)| rescaled(x.checked_rem(y)?, common, scale)),
        Operator::PositiveModulo => aligned().and_then(|(x, y)| {
            let rest = x.checked_rem(y)?;
            let rest = match rest.is_negative() {
                true => rest.checked_add(y)?.checked_rem(y)?,
                false => rest,
            };
            rescaled(rest, common, scale)
        }),
        Operator::IntegerDivide => aligned().and_then(|(x, y)| x.checked_div(y)),
        Operator::Divide => {
            let up = i16::from(scale) - i16::from(s1) + i16::from(s2);
            match up >= 0 {
                true => half_up(x.checked_mul(power(up))?, y),
                false => half_up(x, y.checked_mul(power(-up))?),
            }
        }
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

fn half_up(value: i256, divisor: i256) -> Option<i256> {
    let (quotient, rest) = (value.checked_div(divisor)?, value.checked_rem(divisor)?);
    let (rest, divisor_abs) = (rest.wrapping_abs(), divisor.wrapping_abs());
    match rest >= divisor_abs.wrapping_sub(rest) {
        false => Some(quotient),
        true if value.is_negative() == divisor.is_negative() => quotient.checked_add(i256::ONE),
        true => quotient.checked_sub(i256::ONE),
    }
}

/// Computes for each pair of values that are there, null for the others.
fn each(
    left: &ColumnarValue,
    right: &ColumnarValue,
    compute: impl Fn(i128, i128) -> Result<i128, ArrowError>,
) -> Result<Decimal128Array> {
    Ok(match (left, right) {
        (ColumnarValue::Array(left), ColumnarValue::Array(right)) => {
            try_binary::<_, _, _, Decimal128Type>(numbers(left)?, numbers(right)?, compute)?
        }
        (ColumnarValue::Array(left), ColumnarValue::Scalar(right)) => match number(right)? {
            Some(right) => try_unary::<_, _, Decimal128Type>(numbers(left)?, |left| compute(left, right))?,
            None => Decimal128Array::new_null(left.len()),
        },
        (ColumnarValue::Scalar(left), ColumnarValue::Array(right)) => match number(left)? {
            Some(left) => try_unary::<_, _, Decimal128Type>(numbers(right)?, |right| compute(left, right))?,
            None => Decimal128Array::new_null(right.len()),
        },
        (ColumnarValue::Scalar(left), ColumnarValue::Scalar(right)) => {
            let value = match number(left)?.zip(number(right)?) {
                Some((left, right)) => Some(compute(left, right)?),
                None => None,
            };
            Decimal128Array::from_iter([value])
        }
    })
}

/// The same with null where `compute` fails.
fn or_null(
    left: &ColumnarValue,
    right: &ColumnarValue,
    compute: impl Fn(i128, i128) -> Result<i128, ArrowError>,
) -> Result<Decimal128Array> {
    let arrays = ColumnarValue::values_to_arrays(&[left.clone(), right.clone()])?;
    let [left, right] = arrays.as_slice() else {
        return Err(not_decimal());
    };
    let pairs = numbers(left)?.iter().zip(numbers(right)?);
    Ok(pairs.map(|(left, right)| compute(left?, right?).ok()).collect())
}

fn numbers(array: &dyn arrow::array::Array) -> Result<&Decimal128Array> {
    array.as_primitive_opt::<Decimal128Type>().ok_or_else(not_decimal)
}

fn number(value: &ScalarValue) -> Result<Option<<Decimal128Type as ArrowPrimitiveType>::Native>> {
    match value {
        ScalarValue::Decimal128(number, ..) => Ok(*number),
        _ => Err(not_decimal()),
    }
}

fn not_decimal() -> DataFusionError {
    DataFusionError::Internal("an operator between decimals has two of them".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers around the bounds of 64 and of 128 bits, and small ones.
    fn samples() -> Vec<i128> {
        let mut samples = vec![0, 1, 2, 3, 7, 10, 49, 50, 51, 99, 100, 12_345_678_901_234_567];
        samples.extend([i128::from(i64::MAX), i128::from(i64::MAX) + 1]);
        samples.extend([
            10_i128.pow(18) + 5,
            10_i128.pow(20),
            10_i128.pow(37) + 5,
            10_i128.pow(38) - 1,
        ]);
        samples.iter().flat_map(|sample| [*sample, -sample]).collect()
    }

    #[test]
    fn narrow_and_wide_agree() {
        use Operator::*;
        let mut narrow = 0;
        for operator in [
            Add,
            Subtract,
            Multiply,
            Divide,
            IntegerDivide,
            Modulo,
            PositiveModulo,
        ] {
            for (scales, scale) in [
                ((2, 2), 2),
                ((0, 6), 6),
                ((10, 2), 6),
                ((18, 18), 6),
                ((0, 0), 6),
                ((6, 0), 0),
            ] {
                let computation = Computation::new(operator, scales, (38, scale));
                for x in samples() {
                    for y in samples().into_iter().filter(|y| *y != 0) {
                        let found = computation.of(x, y).ok();
                        assert_eq!(
                            found,
                            computation.wide(x, y).ok(),
                            "{operator:?} of {x}, {y} at {scales:?}"
                        );
                        narrow += usize::from(
                            computation
                                .narrow
                                .and_then(|narrow| narrow.of(operator, x, y))
                                .is_some(),
                        );
                    }
                }
            }
        }
        assert!(narrow > 10_000, "{narrow}");
    }
}
