//! Casts as they are without ANSI mode: whole numbers that do not fit keep their lower bits, numbers with a fraction lose it
//! and stay within the type, and texts of numbers may have a fraction. Source: Spark, `Cast`; Java, "Narrowing Primitive
//! Conversion".

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, PrimitiveArray, new_null_array};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;

use super::{MICROS_PER_SECOND, of_instants, text, tried, trim, try_cast_values};
use crate::spark::temporal::Zone;

/// Says if there is such a cast, of those that ANSI has not.
pub(super) fn possible(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (Date32, to) => to.is_numeric() || *to == Boolean,
        (Timestamp(_, Some(_)), Boolean) | (Boolean, Timestamp(_, Some(_))) => true,
        (Int8 | Int16 | Int32 | Int64, Binary) => true,
        _ => false,
    }
}

/// Casts plain values; one that is none of the type becomes null.
///
/// # Errors
/// None for values.
pub(super) fn cast(values: &ArrayRef, to: &DataType, zone: &Zone) -> Result<ArrayRef, ArrowError> {
    use DataType::*;
    match (values.data_type(), to) {
        (Dictionary(_, plain), _) => cast(&tried(values, plain)?, to, zone),
        (from, Int8 | Int16 | Int32 | Int64) if text(from) => whole_of_text(values, to),
        (from, Int8 | Int16 | Int32 | Int64) if from.is_numeric() => narrowed(values, to),
        (Timestamp(_, Some(_)), Int8 | Int16 | Int32 | Int64) => {
            narrowed(&try_cast_values(values, &Int64, zone)?, to)
        }
        (Timestamp(_, Some(_)), Boolean) => {
            let micros = micros(values)?;
            Ok(Arc::new(BooleanArray::from_unary(
                micros.as_primitive::<TimestampMicrosecondType>(),
                |micros| micros != 0,
            )))
        }
        (Boolean, Timestamp(_, Some(_))) => {
            let micros = values.as_boolean().iter().map(|truth| truth.map(i64::from));
            of_instants(micros.collect(), to)
        }
        (Int8 | Int16 | Int32 | Int64, Timestamp(_, Some(_))) => {
            let seconds = tried(values, &Int64)?;
            let micros = seconds
                .as_primitive::<Int64Type>()
                .unary(|seconds| seconds.saturating_mul(MICROS_PER_SECOND));
            of_instants(micros, to)
        }
        (from, Timestamp(_, Some(_))) if from.is_floating() => {
            let seconds = tried(values, &Float64)?;
            let seconds = seconds.as_primitive::<Float64Type>().iter();
            let micros = |seconds: f64| {
                let micros = seconds * MICROS_PER_SECOND as f64;
                seconds.is_finite().then_some(micros as i64)
            };
            of_instants(seconds.map(|seconds| seconds.and_then(micros)).collect(), to)
        }
        (Date32, to) if to.is_numeric() || *to == Boolean => Ok(new_null_array(to, values.len())),
        (Int8, Binary) => Ok(bytes::<Int8Type>(values, |value| value.to_be_bytes().to_vec())),
        (Int16, Binary) => Ok(bytes::<Int16Type>(values, |value| value.to_be_bytes().to_vec())),
        (Int32, Binary) => Ok(bytes::<Int32Type>(values, |value| value.to_be_bytes().to_vec())),
        (Int64, Binary) => Ok(bytes::<Int64Type>(values, |value| value.to_be_bytes().to_vec())),
        _ => try_cast_values(values, to, zone),
    }
}

fn micros(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match values.data_type() {
        DataType::Timestamp(_, zone) => {
            tried(values, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        other => Err(ArrowError::CastError(format!("{other} is no instant"))),
    }
}

fn bytes<T: ArrowPrimitiveType>(values: &ArrayRef, of: fn(T::Native) -> Vec<u8>) -> ArrayRef {
    let values = values.as_primitive::<T>().iter();
    Arc::new(values.map(|value| value.map(of)).collect::<BinaryArray>())
}

/// Makes whole numbers of numbers. Doubles become INT or BIGINT first, in whose bounds they stay.
fn narrowed(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let values = match values.data_type() {
        DataType::Decimal128(_, scale) => {
            let digits = u32::try_from(*scale).unwrap_or(0);
            let one = 10_i128.checked_pow(digits).unwrap_or(i128::MAX);
            let values = values.as_primitive::<Decimal128Type>();
            values.unary::<_, Int64Type>(|value| (value / one) as i64)
        }
        DataType::Float32 | DataType::Float64 => {
            let wide = tried(values, &DataType::Float64)?;
            let wide = wide.as_primitive::<Float64Type>();
            match to {
                DataType::Int64 => wide.unary::<_, Int64Type>(|value| value as i64),
                _ => wide.unary::<_, Int64Type>(|value| i64::from(value as i32)),
            }
        }
        _ => tried(values, &DataType::Int64)?
            .as_primitive::<Int64Type>()
            .clone(),
    };
    Ok(match to {
        DataType::Int8 => Arc::new(values.unary::<_, Int8Type>(|value| value as i8)),
        DataType::Int16 => Arc::new(values.unary::<_, Int16Type>(|value| value as i16)),
        DataType::Int32 => Arc::new(values.unary::<_, Int32Type>(|value| value as i32)),
        _ => Arc::new(values),
    })
}

fn whole_of_text(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let texts = tried(values, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>().iter();
    let numbers: PrimitiveArray<Int64Type> = texts.map(|text| text.and_then(whole)).collect();
    let numbers: ArrayRef = Arc::new(numbers);
    // What is outside of the type is null.
    tried(&numbers, to)
}

/// Reads a whole number, which may have a fraction that is passed over. Source: Spark, `UTF8String.toLong`.
fn whole(text: &str) -> Option<i64> {
    let text = trim(text);
    let (number, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match number {
        "" | "+" | "-" if number.len() < text.len() => Some(0),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("7", Some(7))]
    #[test_case(" -7.9 ", Some(-7))]
    #[test_case("+1.", Some(1))]
    #[test_case(".5", Some(0))]
    #[test_case("-.5", Some(0))]
    #[test_case(".", Some(0))]
    #[test_case("", None)]
    #[test_case("-", None)]
    #[test_case("1.x", None)]
    #[test_case("1e3", None)]
    #[test_case("9223372036854775808", None)]
    fn a_text_of_a_whole_number_may_have_a_fraction(text: &str, expected: Option<i64>) {
        assert_eq!(whole(text), expected);
    }
}
