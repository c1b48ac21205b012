//! `round`, `bround`, `ceil`, `floor`, with the number of digits that are kept after the point, or zeroed before it.
//!
//! `round` takes halves away from zero, `bround` to the even one. Whole numbers stay of their type, and an overflow is an
//! error, or starts again from the other end without ANSI mode; decimals get the digits that the result may have; doubles are rounded as they are written. Source: Spark,
//! `RoundBase`, `RoundCeil`, `RoundFloor`.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::DataType::{self, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64};
use arrow::datatypes::{
    Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, i256,
};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs};

use super::written;
use crate::error::{arithmetic_overflow, condition};
use crate::functions::arguments::{count, is_integral, is_text, over_arrays, unexpected};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::values;
use crate::spark::AnsiMode;

const DIGITS_MAX: i32 = 38;

pub(super) fn functions() -> [Function; 4] {
    [
        Function::pure(
            "round",
            |types| rounded_types("round", types),
            Returns::Field(|arguments| result("round", arguments, Mode::HalfUp)),
            |arguments| rounded(arguments, Mode::HalfUp),
        ),
        Function::pure(
            "bround",
            |types| rounded_types("bround", types),
            Returns::Field(|arguments| result("bround", arguments, Mode::HalfEven)),
            |arguments| rounded(arguments, Mode::HalfEven),
        ),
        Function::pure(
            "ceil",
            |types| rounded_types("ceil", types),
            Returns::Field(|arguments| result("ceil", arguments, Mode::Up)),
            |arguments| rounded(arguments, Mode::Up),
        )
        .also(&["ceiling"]),
        Function::pure(
            "floor",
            |types| rounded_types("floor", types),
            Returns::Field(|arguments| result("floor", arguments, Mode::Down)),
            |arguments| rounded(arguments, Mode::Down),
        ),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    HalfUp,
    HalfEven,
    Up,
    Down,
}

impl Mode {
    fn nearest(self) -> bool {
        matches!(self, Self::HalfUp | Self::HalfEven)
    }

    /// Divides by a power of ten, and rounds.
    fn divide(self, value: i256, divisor: i256) -> i256 {
        let (quotient, rest) = (value.wrapping_div(divisor), value.wrapping_rem(divisor));
        if rest == i256::ZERO {
            return quotient;
        }
        let left = divisor.wrapping_sub(rest.wrapping_abs());
        let odd = quotient.wrapping_rem(i256::from_i128(2)) != i256::ZERO;
        let away = match self {
            Self::HalfUp => rest.wrapping_abs() >= left,
            Self::HalfEven => rest.wrapping_abs() > left || (rest.wrapping_abs() == left && odd),
            Self::Up => !value.is_negative(),
            Self::Down => value.is_negative(),
        };
        match (away, value.is_negative()) {
            (false, _) => quotient,
            (true, false) => quotient.wrapping_add(i256::ONE),
            (true, true) => quotient.wrapping_sub(i256::ONE),
        }
    }
}

fn rounded_types(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 1, 2)?;
    let value = match types.first() {
        Some(DataType::Null) | None => Float64,
        Some(value) if is_text(value) => Float64,
        Some(value @ (Int8 | Int16 | Int32 | Int64 | Float32 | Float64 | Decimal128(..))) => value.clone(),
        Some(other) => return Err(unexpected(function, 1, "NUMERIC", other)),
    };
    Ok([value, Int32].into_iter().take(types.len()).collect())
}

/// Returns the digits asked for; `None` when they are left to the default, which is 0.
fn digits(function: &str, arguments: &ReturnFieldArgs<'_>) -> Result<Option<i32>> {
    match arguments.scalar_arguments.get(1) {
        None => Ok(None),
        Some(Some(digits)) => match digits.cast_to(&Int32)? {
            ScalarValue::Int32(digits) => Ok(Some(digits.unwrap_or(0))),
            _ => Ok(Some(0)),
        },
        Some(None) => Err(condition(
            "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
            "42K09",
            format!("the number of digits of `{function}` has to be a constant"),
        )),
    }
}

fn result(function: &str, arguments: &ReturnFieldArgs<'_>, mode: Mode) -> Result<DataType> {
    let digits = digits(function, arguments)?;
    let value = arguments
        .arg_fields
        .first()
        .map(|field| field.data_type().clone());
    Ok(match (value.unwrap_or(Float64), digits) {
        (Decimal128(precision, scale), digits) => rounded_decimal(precision, scale, digits.unwrap_or(0)),
        (value, _) if mode.nearest() => value,
        (_, None) => Int64,
        // With digits, other numbers are decimals first.
        (value, Some(digits)) => {
            let (precision, scale) = as_decimal(&value);
            rounded_decimal(precision, scale, digits)
        }
    })
}

/// Returns the decimal that holds any number of a type. Source: Spark, `DecimalType.forType`.
fn as_decimal(value: &DataType) -> (u8, i8) {
    match value {
        Int8 => (3, 0),
        Int16 => (5, 0),
        Int32 => (10, 0),
        Int64 => (20, 0),
        Float32 => (14, 7),
        _ => (30, 15),
    }
}

fn rounded_decimal(precision: u8, scale: i8, digits: i32) -> DataType {
    let (precision, scale) = (i32::from(precision), i32::from(scale));
    let whole = precision - scale + 1;
    let (precision, scale) = match digits {
        ..0 => (whole.max(1_i32.saturating_sub(digits)).min(DIGITS_MAX), 0),
        digits => {
            let scale = scale.min(digits);
            ((whole + scale).min(DIGITS_MAX), scale)
        }
    };
    Decimal128(
        u8::try_from(precision).unwrap_or(38),
        i8::try_from(scale).unwrap_or(0),
    )
}

fn rounded(arguments: &ScalarFunctionArgs, mode: Mode) -> Result<ColumnarValue> {
    let digits = match arguments.args.get(1) {
        Some(ColumnarValue::Scalar(ScalarValue::Int32(digits))) => *digits,
        _ => Some(0),
    };
    let to = arguments.return_field.data_type().clone();
    let Some(digits) = digits else {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from(&to)?));
    };
    let ansi = AnsiMode::of(&arguments.config_options);
    over_arrays(arguments, |arrays| {
        let [array, ..] = arrays else {
            return Err(DataFusionError::Internal("no number to round".to_owned()));
        };
        match (array.data_type(), &to) {
            (Decimal128(..), _) => round_array(array, digits, mode, &to, ansi),
            (from, Decimal128(..)) => {
                let (precision, scale) = as_decimal(from);
                let decimals = arrow::compute::cast(array, &Decimal128(precision, scale))?;
                round_array(&decimals, digits, mode, &to, ansi)
            }
            _ => round_array(array, digits, mode, &to, ansi),
        }
    })
}

fn round_array(array: &ArrayRef, digits: i32, mode: Mode, to: &DataType, ansi: AnsiMode) -> Result<ArrayRef> {
    // The lower bits of a number, as Java narrows it.
    macro_rules! whole {
        ($primitive:ty, $native:ty) => {
            whole::<$primitive>(
                array,
                digits,
                mode,
                match ansi {
                    AnsiMode::On => None,
                    AnsiMode::Off => Some(|value: i128| value as $native),
                },
            )?
        };
    }
    Ok(match (array.data_type(), to) {
        (Decimal128(_, scale), Decimal128(precision, to_scale)) => {
            decimals(array, *scale, digits, mode, (*precision, *to_scale))?
        }
        (from, to) if is_integral(from) && !mode.nearest() => arrow::compute::cast(array, to)?,
        (Int8, _) => whole!(Int8Type, i8),
        (Int16, _) => whole!(Int16Type, i16),
        (Int32, _) => whole!(Int32Type, i32),
        (Int64, _) => whole!(Int64Type, i64),
        (Float32 | Float64, Int64) => {
            let wide = arrow::compute::cast(array, &Float64)?;
            let values = wide.as_primitive::<Float64Type>();
            // As Java converts: what is out of range becomes the nearest, and NaN 0.
            Arc::new(values.unary::<_, Int64Type>(|value| match mode {
                Mode::Up => value.ceil() as i64,
                _ => value.floor() as i64,
            }))
        }
        (Float32, _) => {
            let values = array.as_primitive::<Float32Type>();
            Arc::new(values.unary::<_, Float32Type>(|value| written::float(value, digits, mode)))
        }
        _ => {
            let values = array.as_primitive::<Float64Type>();
            Arc::new(values.unary::<_, Float64Type>(|value| written::double(value, digits, mode)))
        }
    })
}

fn power(exponent: u32) -> i256 {
    i256::from_i128(10).wrapping_pow(exponent)
}

/// Digits of the largest power of ten that 256 bits hold.
const POWER_MAX: u32 = 76;

fn decimals(
    array: &ArrayRef,
    scale: i8,
    digits: i32,
    mode: Mode,
    (precision, to_scale): (u8, i8),
) -> Result<ArrayRef> {
    let given = array.as_primitive::<Decimal128Type>();
    let dropped = i32::from(scale).saturating_sub(digits.min(i32::from(scale)));
    let dropped = u32::try_from(dropped).unwrap_or(0).min(POWER_MAX);
    // Zeros that take the place of digits before the point.
    let zeros = u32::try_from(digits.saturating_neg()).unwrap_or(0);
    let limit = power(u32::from(precision));
    let rounded = values::<Decimal128Type>(std::slice::from_ref(array), |row| {
        let quotient = mode.divide(i256::from_i128(given.value(row)), power(dropped));
        let rounded = match quotient == i256::ZERO {
            true => Some(quotient),
            false => power(zeros.min(POWER_MAX)).checked_mul(quotient),
        };
        let fitting = rounded.filter(|rounded| rounded.wrapping_abs() < limit);
        match fitting.and_then(i256::to_i128) {
            Some(rounded) => Ok(Some(rounded)),
            None => Err(condition(
                "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
                "22003",
                format!("a rounded value does not fit into DECIMAL({precision},{to_scale})"),
            )),
        }
    })?;
    Ok(Arc::new(rounded.with_precision_and_scale(precision, to_scale)?))
}

/// Rounds whole numbers; what does not fit is an error, or what `wrap` makes of it.
fn whole<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    digits: i32,
    mode: Mode,
    wrap: Option<fn(i128) -> T::Native>,
) -> Result<ArrayRef>
where
    T::Native: Into<i64> + TryFrom<i128>,
{
    if digits >= 0 {
        return Ok(Arc::clone(array));
    }
    let zeros = u32::try_from(digits.saturating_neg()).unwrap_or(0).min(30);
    let given = array.as_primitive::<T>();
    let rounded = values::<T>(std::slice::from_ref(array), |row| {
        let value: i64 = given.value(row).into();
        let quotient = mode.divide(i256::from_i128(i128::from(value)), power(zeros));
        let rounded = quotient.wrapping_mul(power(zeros)).to_i128();
        let fitting = rounded.and_then(|rounded| T::Native::try_from(rounded).ok());
        let wrapped = || wrap.zip(rounded).map(|(wrap, rounded)| wrap(rounded));
        fitting
            .or_else(wrapped)
            .map(Some)
            .ok_or_else(|| arithmetic_overflow(array.data_type()))
    })?;
    Ok(Arc::new(rounded))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(4, 3, 2, Decimal128(4, 2))]
    #[test_case(2, 1, 0, Decimal128(2, 0))]
    #[test_case(10, 2, 5, Decimal128(11, 2))]
    #[test_case(5, 2, -1, Decimal128(4, 0))]
    #[test_case(3, 2, -5, Decimal128(6, 0))]
    #[test_case(38, 0, 0, Decimal128(38, 0))]
    fn decimals_have_room_for_one_more_digit(precision: u8, scale: i8, digits: i32, expected: DataType) {
        assert_eq!(rounded_decimal(precision, scale, digits), expected);
    }

    #[test_case(25, 10, Mode::HalfUp, 3)]
    #[test_case(25, 10, Mode::HalfEven, 2)]
    #[test_case(-25, 10, Mode::HalfUp, -3)]
    #[test_case(21, 10, Mode::Up, 3)]
    #[test_case(-21, 10, Mode::Up, -2)]
    #[test_case(-21, 10, Mode::Down, -3)]
    #[test_case(20, 10, Mode::Up, 2)]
    fn quotients_are_rounded(value: i128, divisor: i128, mode: Mode, expected: i128) {
        let quotient = mode.divide(i256::from_i128(value), i256::from_i128(divisor));
        assert_eq!(quotient, i256::from_i128(expected));
    }
}
