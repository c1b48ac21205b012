//! Plain values as values of another type: Spark's cast under ANSI.
//!
//! A value that does not fit is an error and never null or another value, unless a [`CastMode`] says so. Text is read without the blanks around it.
//! Days and clocks are those of a zone, the session's.
//! Source: Spark, `Cast.canAnsiCast`; Delta puts this cast on what INSERT (`DeltaInsertCastSupport`), UPDATE and MERGE
//! (`UpdateExpressionsSupport.cast`) write.

mod interval;
mod java;
mod nested;
mod text;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;

pub(crate) use self::text::{bare_intervals, texts};
use crate::functions::variant::is_variant;
use crate::spark::AnsiMode;
use crate::spark::temporal::{self, Zone};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Instants in seconds: whole microseconds of 64 bits fit, and more.
const SECONDS: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 6);

/// Why a value is not stored.
#[derive(Debug)]
pub(crate) enum CastFailure {
    /// A text that says no value of the type.
    Malformed {
        value: String,
    },
    /// A value that the type cannot hold.
    Overflow {
        value: String,
    },
    Arrow(ArrowError),
    /// A variant that is of another type.
    Variant(DataFusionError),
}

impl From<ArrowError> for CastFailure {
    fn from(error: ArrowError) -> Self {
        Self::Arrow(error)
    }
}

/// What becomes of a value that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CastMode {
    /// It is an error.
    Ansi,
    /// It is null.
    Try,
    /// A whole number keeps its lower bits, all else is null.
    Java,
}

impl CastMode {
    /// Returns what CAST does.
    pub fn of(mode: AnsiMode) -> Self {
        match mode {
            AnsiMode::On => Self::Ansi,
            AnsiMode::Off => Self::Java,
        }
    }

    /// Casts values, nested ones part by part.
    ///
    /// # Errors
    /// [`CastFailure`], with the first value that does not fit.
    pub fn cast(self, values: &ArrayRef, to: &DataType, zone: &Zone) -> Result<ArrayRef, CastFailure> {
        let from = values.data_type();
        match is_variant(from) || (*to != DataType::Utf8 && (from.is_nested() || to.is_nested())) {
            true => nested::cast(values, to, zone, self),
            false => self.cast_plain(values, to, zone),
        }
    }

    fn cast_plain(self, values: &ArrayRef, to: &DataType, zone: &Zone) -> Result<ArrayRef, CastFailure> {
        match self {
            Self::Ansi => cast_values(values, to, zone),
            Self::Try => Ok(try_cast_values(values, to, zone)?),
            Self::Java => Ok(java::cast(values, to, zone)?),
        }
    }

    /// Says if there are values of the plain type `from` that are cast to the plain type `to`.
    pub fn castable(self, from: &DataType, to: &DataType) -> bool {
        castable(from, to) || (self == Self::Java && java::possible(from, to))
    }
}

/// Says if there are values of the plain type `from` that a column of the plain type `to` holds after a cast.
pub(crate) fn castable(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        _ if from == to => true,
        (Null, _) => true,
        (_, Utf8) => text(from) || binary(from) || from.is_numeric() || *from == Boolean || instant(from),
        (_, Binary) => text(from) || binary(from),
        (_, Boolean) => text(from) || from.is_numeric(),
        (_, Date32) => text(from) || instant(from),
        (_, Timestamp(_, None)) => text(from) || instant(from),
        (_, Timestamp(_, Some(_))) => text(from) || instant(from) || from.is_numeric(),
        (Timestamp(_, Some(_)) | Boolean, _) => to.is_numeric(),
        _ => to.is_numeric() && (text(from) || from.is_numeric()),
    }
}

/// Casts plain values of a type that is [`castable`].
///
/// # Errors
/// [`CastFailure`], with the first value that does not fit.
pub(crate) fn cast_values(values: &ArrayRef, to: &DataType, zone: &Zone) -> Result<ArrayRef, CastFailure> {
    let cast = try_cast_values(values, to, zone)?;
    if cast.logical_null_count() == values.logical_null_count() {
        return Ok(cast);
    }
    Err(failure(values, &cast, to)?)
}

/// Casts plain values of a type that is [`castable`]; one that does not fit becomes null.
///
/// # Errors
/// None for values.
fn try_cast_values(values: &ArrayRef, to: &DataType, zone: &Zone) -> Result<ArrayRef, ArrowError> {
    use DataType::*;
    match (values.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(values)),
        (Dictionary(_, plain), _) => try_cast_values(&tried(values, plain)?, to, zone),
        (RunEndEncoded(_, plain), _) => try_cast_values(&tried(values, plain.data_type())?, to, zone),
        (_, Utf8) => texts(values, zone),
        (from, Boolean) if text(from) => truth_of_text(values),
        (from, Boolean) if from.is_decimal() => tried(&tried(values, &Float64)?, to),
        (Boolean, to) if to.is_decimal() => tried(&tried(values, &Int8)?, to),
        (from, Date32) if text(from) => days_of_text(values),
        (from, Timestamp(_, _)) if text(from) => instants_of_text(values, to, zone),
        (from, Duration(_) | Interval(_)) if text(from) => interval::of_texts(&tried(values, &Utf8)?, to),
        (from, to) if text(from) && !text(to) && !binary(to) => tried(&trimmed(values)?, to),
        (from, Timestamp(_, _)) if from.is_numeric() => instants_of_seconds(values, to),
        (Timestamp(_, _), to) if to.is_numeric() => seconds_of_instants(values, to),
        (Date32 | Timestamp(_, _), Date32 | Timestamp(_, _)) => relocated(values, to, zone),
        _ => tried(values, to),
    }
}

/// Reads days. Source: Spark, `DateTimeUtils.stringToDate`.
fn days_of_text(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = tried(values, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>().iter();
    let days: Date32Array = texts.map(|text| text.and_then(temporal::parse_date)).collect();
    Ok(Arc::new(days))
}

/// Reads instants, or what clocks show. Source: Spark, `DateTimeUtils.stringToTimestamp`.
fn instants_of_text(values: &ArrayRef, to: &DataType, zone: &Zone) -> Result<ArrayRef, ArrowError> {
    let texts = tried(values, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>().iter();
    let marked = matches!(to, DataType::Timestamp(_, Some(_)));
    let read = |text: &str| match marked {
        true => temporal::parse_timestamp(text, zone),
        false => temporal::parse_timestamp_ntz(text),
    };
    let micros: TimestampMicrosecondArray = texts.map(|text| text.and_then(read)).collect();
    of_instants(micros, to)
}

/// Gives microseconds the unit and the mark of `to`.
fn of_instants(micros: TimestampMicrosecondArray, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let micros: ArrayRef = Arc::new(micros.with_timezone_opt(match to {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    }));
    tried(&micros, to)
}

/// Casts between days, clocks and instants.
fn relocated(values: &ArrayRef, to: &DataType, zone: &Zone) -> Result<ArrayRef, ArrowError> {
    use DataType::*;
    if let Date32 = values.data_type() {
        let days = values.as_primitive::<Date32Type>().iter();
        let midnight = |day: i32| match to {
            Timestamp(_, Some(_)) => zone.start_of_day(day),
            _ => i64::from(day).checked_mul(temporal::DAY_MICROS),
        };
        return of_instants(days.map(|day| day.and_then(midnight)).collect(), to);
    }
    let marked = matches!(values.data_type(), Timestamp(_, Some(_)));
    let plain = tried(values, &Timestamp(TimeUnit::Microsecond, None))?;
    let micros = plain.as_primitive::<TimestampMicrosecondType>().iter();
    match to {
        Date32 => {
            let day = |micros: i64| match marked {
                true => Some(zone.day(micros)),
                false => i32::try_from(micros.div_euclid(temporal::DAY_MICROS)).ok(),
            };
            let days: Date32Array = micros.map(|micros| micros.and_then(day)).collect();
            Ok(Arc::new(days))
        }
        Timestamp(_, to_zone) => {
            let moved = |micros: i64| match (marked, to_zone.is_some()) {
                (true, false) => Some(zone.local(micros)),
                (false, true) => zone.instant(micros),
                _ => Some(micros),
            };
            of_instants(micros.map(|micros| micros.and_then(moved)).collect(), to)
        }
        _ => tried(values, to),
    }
}

/// Tells of the first value that became null.
fn failure(values: &ArrayRef, cast: &ArrayRef, to: &DataType) -> Result<CastFailure, ArrowError> {
    let (before, after) = (values.logical_nulls(), cast.logical_nulls());
    let null = |nulls: &Option<arrow::buffer::NullBuffer>, row: usize| {
        nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    };
    let row = (0..values.len()).find(|row| null(&after, *row) && !null(&before, *row));
    let options = FormatOptions::new();
    let value = ArrayFormatter::try_new(values.as_ref(), &options)?
        .value(row.unwrap_or_default())
        .to_string();
    let number = to.is_decimal() && value.trim().parse::<f64>().is_ok();
    Ok(match text(values.data_type()) && !number {
        true => CastFailure::Malformed { value },
        false => CastFailure::Overflow { value },
    })
}

/// Casts what can be cast; the rest is null.
fn tried(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: true,
        format_options: FormatOptions::new(),
    };
    cast_with_options(values, to, &options)
}

/// Takes blanks off both ends. Source: Spark, `UTF8String.trimAll`.
fn trimmed(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = tried(values, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>().iter();
    let trimmed = texts.map(|text| text.map(trim));
    Ok(Arc::new(trimmed.collect::<StringArray>()))
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\u{7f}')
}

/// Source: Spark, `StringUtils.isTrueString`, `isFalseString`.
fn truth_of_text(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = tried(values, &DataType::Utf8)?;
    let truth = |text: &str| match trim(text).to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "0" => Some(false),
        _ => None,
    };
    let texts = texts.as_string::<i32>().iter();
    let truths: BooleanArray = texts.map(|text| text.and_then(truth)).collect();
    Ok(Arc::new(truths))
}

/// A number stands for seconds since the epoch.
fn instants_of_seconds(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let micros: TimestampMicrosecondArray = match values.data_type().is_floating() {
        true => {
            let seconds = tried(values, &DataType::Float64)?;
            let micros = |seconds: f64| {
                let micros = seconds * MICROS_PER_SECOND as f64;
                let fits = micros >= i64::MIN as f64 && micros < i64::MAX as f64;
                fits.then_some(micros as i64)
            };
            let seconds = seconds.as_primitive::<Float64Type>().iter();
            seconds.map(|value| value.and_then(micros)).collect()
        }
        false => {
            let seconds = tried(values, &SECONDS)?;
            let seconds = seconds.as_primitive::<Decimal128Type>().iter();
            seconds
                .map(|value| value.and_then(|micros| i64::try_from(micros).ok()))
                .collect()
        }
    };
    of_instants(micros, to)
}

/// Whole numbers are the seconds before; others keep the fraction.
fn seconds_of_instants(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let DataType::Timestamp(_, zone) = values.data_type() else {
        return tried(values, to);
    };
    let micros = tried(values, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    let seconds: ArrayRef = if to.is_integer() {
        Arc::new(micros.unary::<_, Int64Type>(|micros| micros.div_euclid(MICROS_PER_SECOND)))
    } else if to.is_floating() {
        Arc::new(micros.unary::<_, Float64Type>(|micros| micros as f64 / MICROS_PER_SECOND as f64))
    } else {
        Arc::new(
            micros
                .unary::<_, Decimal128Type>(i128::from)
                .with_data_type(SECONDS),
        )
    };
    tried(&seconds, to)
}

fn text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

pub(crate) fn binary(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    )
}

pub(crate) fn instant(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _)
    )
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};
    use test_case::test_case;

    use super::*;

    const DECIMAL: DataType = DataType::Decimal128(5, 2);
    const DATE: DataType = DataType::Date32;
    const NTZ: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

    fn instant_type() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    }

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn shown(values: &ArrayRef) -> String {
        let options = FormatOptions::new();
        let formatter = ArrayFormatter::try_new(values.as_ref(), &options).expect("printable");
        let values: Vec<String> = (0..values.len())
            .map(|row| formatter.value(row).to_string())
            .collect();
        values.join(" ")
    }

    #[test_case(DataType::Utf8, DataType::Int32, true)]
    #[test_case(DataType::Utf8, DataType::Boolean, true)]
    #[test_case(DataType::Utf8View, DATE, true)]
    #[test_case(DataType::Utf8, NTZ, true)]
    #[test_case(DataType::Utf8, DataType::Binary, true)]
    #[test_case(DataType::Binary, DataType::Utf8, true)]
    #[test_case(DataType::Boolean, DataType::Int32, true)]
    #[test_case(DataType::Float64, DataType::Boolean, true)]
    #[test_case(DataType::Int64, instant_type(), true)]
    #[test_case(instant_type(), DECIMAL, true)]
    #[test_case(DATE, instant_type(), true)]
    #[test_case(DataType::Int32, DATE, false)]
    #[test_case(DATE, DataType::Int32, false)]
    #[test_case(DataType::Int64, NTZ, false)]
    #[test_case(NTZ, DataType::Int64, false)]
    #[test_case(DataType::Boolean, DATE, false)]
    #[test_case(DataType::Boolean, instant_type(), false)]
    #[test_case(DataType::Binary, DataType::Int32, false)]
    #[test_case(DataType::Int32, DataType::Binary, false)]
    fn pairs_are_those_of_ansi(from: DataType, to: DataType, allowed: bool) {
        assert_eq!(castable(&from, &to), allowed);
    }

    #[test_case(&["7", " -7\t", "+7"], DataType::Int32, "7 -7 7")]
    #[test_case(&["1.5", "1e3", " -.5 "], DataType::Float64, "1.5 1000.0 -0.5")]
    #[test_case(&["1.234", " 2 ", "-0.5"], DECIMAL, "1.23 2.00 -0.50")]
    #[test_case(&["T", "yes", "1", "no", " False "], DataType::Boolean, "true true true false false")]
    #[test_case(&["2024-02-29", " 2024-02-29 12:00:00"], DATE, "2024-02-29 2024-02-29")]
    #[test_case(&["2024-02-29 12:00:00.5"], NTZ, "2024-02-29T12:00:00.500")]
    #[test_case(&["2024-02-29T12:00:00+02:00"], instant_type(), "2024-02-29T10:00:00Z")]
    fn text_is_read_as_what_the_column_holds(given: &[&str], to: DataType, expected: &str) {
        assert_eq!(
            shown(&cast_values(&texts(given), &to, &Zone::UTC).expect("fits")),
            expected
        );
    }

    #[test_case(DataType::Int32, "x")]
    #[test_case(DataType::Int32, "1.5")]
    #[test_case(DataType::Int8, "128")]
    #[test_case(DataType::Int32, "")]
    #[test_case(DataType::Float64, "1,5")]
    #[test_case(DataType::Boolean, "on")]
    #[test_case(DATE, "2024-02-30")]
    #[test_case(instant_type(), "noon")]
    #[test_case(DECIMAL, "ten")]
    fn text_that_says_no_value_is_malformed(to: DataType, bad: &str) {
        match cast_values(&texts(&["1", bad]).slice(1, 1), &to, &Zone::UTC) {
            Err(CastFailure::Malformed { value }) => assert_eq!(value, bad),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_type_cannot_hold_overflows() {
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(1 << 40)]));
        let nan: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN]));
        let late: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX]));
        for (values, to, bad) in [
            (wide, DataType::Int32, (1_i64 << 40).to_string()),
            (texts(&["1000.00"]), DECIMAL, "1000.00".to_owned()),
            (Arc::clone(&nan), DataType::Int32, "NaN".to_owned()),
            (nan, instant_type(), "NaN".to_owned()),
            (late, instant_type(), i64::MAX.to_string()),
        ] {
            match cast_values(&values, &to, &Zone::UTC) {
                Err(CastFailure::Overflow { value }) => assert_eq!(value, bad),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn numbers_are_seconds_of_instants() {
        let seconds: ArrayRef = Arc::new(Int64Array::from(vec![1, -1]));
        let instants = cast_values(&seconds, &instant_type(), &Zone::UTC).expect("fits");
        assert_eq!(shown(&instants), "1970-01-01T00:00:01Z 1969-12-31T23:59:59Z");
        let parts: ArrayRef = Arc::new(Float64Array::from(vec![-0.5]));
        let before = cast_values(&parts, &instant_type(), &Zone::UTC).expect("fits");
        assert_eq!(shown(&before), "1969-12-31T23:59:59.500Z");
        for (to, expected) in [
            (DataType::Int64, "-1"),
            (DataType::Float64, "-0.5"),
            (DECIMAL, "-0.50"),
        ] {
            assert_eq!(
                shown(&cast_values(&before, &to, &Zone::UTC).expect("fits")),
                expected
            );
        }
    }

    #[test]
    fn truth_and_numbers_become_each_other() {
        let truth: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
        for to in [DataType::Int32, DataType::Float64, DECIMAL] {
            let numbers = cast_values(&truth, &to, &Zone::UTC).expect("fits");
            let again = cast_values(&numbers, &DataType::Boolean, &Zone::UTC).expect("fits");
            assert_eq!(&again, &truth, "{to}");
        }
    }
}
