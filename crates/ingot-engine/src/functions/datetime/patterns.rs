//! Moments as texts by a pattern, and texts as moments: `date_format`, `to_date`, `to_timestamp`, `unix_timestamp`,
//! `from_unixtime` and their `try_` forms.
//!
//! Without a pattern a text is what a cast reads. One that is no moment is null for `try_` forms, and without ANSI mode.
//! Source: Spark, `DateFormatClass`, `ParseToDate`,
//! `ParseToTimestamp`, `ToTimestamp`, `FromUnixTime`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, PrimitiveArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, Volatility};

use super::epoch::of_seconds;
use super::moments::{
    LOCAL, days, instants, invalid_input, large, locals, longs, moment, nullifies, overflow, zone, zoned,
};
use crate::error::condition;
use crate::functions::arguments::{count, is_text, over_arrays, session_zone, timestamp, unexpected};
use crate::functions::function::{Function, Returns};
use crate::spark::temporal::{
    self, Parsed, Pattern, SECOND_MICROS, Use, Zone, parse_date, parse_timestamp, parse_timestamp_ntz,
    split_local,
};
use crate::write::type_text;

/// The pattern of functions that have one when none is given.
const DEFAULT_PATTERN: &str = "yyyy-MM-dd HH:mm:ss";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    macro_rules! to_day {
        ($name:literal, $tries:literal) => {
            Function {
                name: $name,
                aliases: &[],
                volatility: Volatility::Immutable,
                arguments: |types| moment_and_pattern($name, types, DataType::Date32),
                returns: Returns::Always(DataType::Date32),
                invoke: |arguments| to_days(arguments, $tries),
            }
        };
    }
    macro_rules! to_instant {
        ($name:literal, $aliases:expr, $tries:literal) => {
            Function {
                name: $name,
                aliases: $aliases,
                volatility: Volatility::Immutable,
                arguments: |types| number_or_moment_and_pattern($name, types),
                returns: Returns::Always(timestamp()),
                invoke: |arguments| to_instants(arguments, $tries),
            }
        };
    }
    macro_rules! to_local {
        ($name:literal, $tries:literal) => {
            Function {
                name: $name,
                aliases: &[],
                volatility: Volatility::Immutable,
                arguments: |types| moment_and_pattern($name, types, LOCAL),
                returns: Returns::Always(LOCAL),
                invoke: |arguments| to_locals(arguments, $tries),
            }
        };
    }
    [
        date_format(),
        from_unixtime(),
        to_day!("to_date", false),
        to_day!("try_to_date", true),
        to_instant!("to_timestamp", &["to_timestamp_ltz"], false),
        to_instant!("try_to_timestamp", &[], true),
        to_local!("to_timestamp_ntz", false),
        unix_timestamp("unix_timestamp"),
        unix_timestamp("to_unix_timestamp"),
    ]
    .map(Function::udf)
    .into()
}

fn moment_and_pattern(function: &str, types: &[DataType], null: DataType) -> Result<Vec<DataType>> {
    count(function, types, 1, 2)?;
    let one = |(nth, found): (usize, &DataType)| match nth {
        0 => moment(function, 1, found, null.clone()),
        _ => pattern_type(function, found),
    };
    types.iter().enumerate().map(one).collect()
}

fn number_or_moment_and_pattern(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [number] if number.is_integer() => Ok(vec![DataType::Int64]),
        [DataType::Float32 | DataType::Float64] => Ok(vec![DataType::Float64]),
        [decimal @ DataType::Decimal128(..)] => Ok(vec![decimal.clone()]),
        types => moment_and_pattern(function, types, timestamp()),
    }
}

fn pattern_type(function: &str, found: &DataType) -> Result<DataType> {
    match is_text(found) || *found == DataType::Null {
        true => Ok(DataType::Utf8),
        false => Err(unexpected(function, 2, "STRING", found)),
    }
}

fn date_format() -> Function {
    Function {
        name: "date_format",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("date_format", types, 2, 2)?;
            moment_and_pattern("date_format", types, timestamp())
        },
        returns: Returns::Always(DataType::Utf8),
        invoke: formatted,
    }
}

/// Writes moments, the first argument, by patterns, the second.
///
/// # Errors
/// `INVALID_DATETIME_PATTERN`.
pub(crate) fn formatted(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let zone = zone(arguments);
    over_arrays(arguments, |arrays| {
        let instants = instants(&arrays[0], &zone)?;
        written(&instants, arrays.get(1), &zone, session_zone(arguments))
    })
}

/// `from_unixtime(seconds[, pattern])`.
fn from_unixtime() -> Function {
    Function {
        name: "from_unixtime",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("from_unixtime", types, 1, 2)?;
            let one = |(nth, found): (usize, &DataType)| match nth {
                0 => large("from_unixtime", 1, found),
                _ => pattern_type("from_unixtime", found),
            };
            types.iter().enumerate().map(one).collect()
        },
        returns: Returns::Always(DataType::Utf8),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                let instants: TimestampMicrosecondArray = longs(&arrays[0])
                    .try_unary(|seconds| seconds.checked_mul(SECOND_MICROS).ok_or_else(overflow))?;
                written(&instants, arrays.get(1), &zone, session_zone(arguments))
            })
        },
    }
}

/// Writes instants, by the pattern of each.
fn written(
    instants: &TimestampMicrosecondArray,
    patterns: Option<&ArrayRef>,
    zone: &Zone,
    zone_name: &str,
) -> Result<ArrayRef> {
    let patterns = Patterns::new(patterns, Use::Write)?;
    let mut texts = StringBuilder::with_capacity(instants.len(), instants.len() * DEFAULT_PATTERN.len());
    let mut text = String::new();
    let mut patterns = patterns.rows();
    for (row, instant) in instants.iter().enumerate() {
        let (Some(pattern), Some(instant)) = (patterns.of(row)?, instant) else {
            texts.append_null();
            continue;
        };
        text.clear();
        pattern.write(instant, zone, zone_name, &mut text);
        texts.append_value(&text);
    }
    Ok(Arc::new(texts.finish()))
}

fn to_days(arguments: &ScalarFunctionArgs, tries: bool) -> Result<ColumnarValue> {
    let tries = nullifies(arguments, tries);
    let zone = zone(arguments);
    over_arrays(arguments, |arrays| {
        if !is_text(arrays[0].data_type()) {
            return Ok(Arc::new(days(&arrays[0], &zone)?));
        }
        let of = |parsed: Parsed| match parsed.zone {
            Some(_) => parsed.instant(&zone).map(|instant| zone.day(instant)),
            None => Some(split_local(parsed.local).0),
        };
        let dates: Date32Array = read(arrays, tries, &DataType::Date32, parse_date, of)?;
        Ok(Arc::new(dates))
    })
}

fn to_instants(arguments: &ScalarFunctionArgs, tries: bool) -> Result<ColumnarValue> {
    let tries = nullifies(arguments, tries);
    let zone = zone(arguments);
    over_arrays(arguments, |arrays| {
        let found = arrays[0].data_type();
        if found.is_numeric() {
            return Ok(zoned(of_seconds(&arrays[0])?));
        }
        if !is_text(found) {
            return Ok(zoned(instants(&arrays[0], &zone)?));
        }
        let plain = |text: &str| parse_timestamp(text, &zone);
        let of = |parsed: Parsed| parsed.instant(&zone);
        Ok(zoned(read(arrays, tries, &timestamp(), plain, of)?))
    })
}

fn to_locals(arguments: &ScalarFunctionArgs, tries: bool) -> Result<ColumnarValue> {
    let tries = nullifies(arguments, tries);
    let zone = zone(arguments);
    over_arrays(arguments, |arrays| {
        if !is_text(arrays[0].data_type()) {
            return Ok(Arc::new(locals(&arrays[0], &zone)?));
        }
        let of = |parsed: Parsed| Some(parsed.local);
        let locals: TimestampMicrosecondArray = read(arrays, tries, &LOCAL, parse_timestamp_ntz, of)?;
        Ok(Arc::new(locals))
    })
}

/// `unix_timestamp([moment[, pattern]])`: seconds; those of now without an argument.
fn unix_timestamp(name: &'static str) -> Function {
    Function {
        name,
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| match types {
            [] => Ok(Vec::new()),
            types => moment_and_pattern("unix_timestamp", types, timestamp()),
        },
        returns: Returns::Always(DataType::Int64),
        invoke: |arguments| {
            let zone = zone(arguments);
            let rows = arguments.number_rows;
            let tries = nullifies(arguments, false);
            over_arrays(arguments, |arrays| {
                let Some(moments) = arrays.first() else {
                    let now = temporal::now().div_euclid(SECOND_MICROS);
                    return Ok(Arc::new(Int64Array::from(vec![now; rows])));
                };
                let instants = match is_text(moments.data_type()) {
                    false => instants(moments, &zone)?,
                    true => {
                        let of = |parsed: Parsed| parsed.instant(&zone);
                        by_pattern(moments, arrays.get(1), tries, of)?
                    }
                };
                let seconds = instants.unary::<_, Int64Type>(|instant| instant.div_euclid(SECOND_MICROS));
                Ok(Arc::new(seconds))
            })
        },
    }
}

/// Reads texts: by a pattern where there is one, as a cast does otherwise.
fn read<T: ArrowPrimitiveType>(
    arrays: &[ArrayRef],
    tries: bool,
    target: &DataType,
    plain: impl Fn(&str) -> Option<T::Native>,
    of: impl Fn(Parsed) -> Option<T::Native>,
) -> Result<PrimitiveArray<T>> {
    match arrays {
        [texts] => {
            let texts = texts.as_string::<i32>();
            let values = texts
                .iter()
                .map(|text| match text.map(|text| (text, plain(text))) {
                    None => Ok(None),
                    Some((_, Some(value))) => Ok(Some(value)),
                    Some((_, None)) if tries => Ok(None),
                    Some((text, None)) => Err(invalid_input(text, target)),
                });
            values.collect()
        }
        arrays => by_pattern(&arrays[0], arrays.get(1), tries, of),
    }
}

fn by_pattern<T: ArrowPrimitiveType>(
    texts: &ArrayRef,
    patterns: Option<&ArrayRef>,
    tries: bool,
    of: impl Fn(Parsed) -> Option<T::Native>,
) -> Result<PrimitiveArray<T>> {
    let patterns = Patterns::new(patterns, Use::Read)?;
    let mut patterns = patterns.rows();
    let texts = texts.as_string::<i32>();
    let values = texts.iter().enumerate().map(|(row, text)| {
        let (Some(pattern), Some(text)) = (patterns.of(row)?, text) else {
            return Ok(None);
        };
        match pattern.read(text).and_then(&of) {
            Some(value) => Ok(Some(value)),
            None if tries => Ok(None),
            None => Err(unparsed(text)),
        }
    });
    values.collect()
}

fn unparsed(text: &str) -> DataFusionError {
    condition(
        "CANNOT_PARSE_TIMESTAMP",
        "22007",
        format!(
            "the text '{text}' is not as the pattern says; use `try_to_timestamp` to get NULL instead of {}",
            type_text(&timestamp()).to_uppercase()
        ),
    )
}

/// The patterns of a batch, mostly one.
struct Patterns<'a> {
    texts: Option<&'a ArrayRef>,
    used: Use,
    default: Pattern,
}

impl<'a> Patterns<'a> {
    fn new(texts: Option<&'a ArrayRef>, used: Use) -> Result<Self> {
        Ok(Self {
            texts,
            used,
            default: Pattern::new(DEFAULT_PATTERN, used)?,
        })
    }

    fn rows(&self) -> PatternRows<'_> {
        PatternRows {
            patterns: self,
            last: None,
        }
    }
}

/// Reads a pattern only where it differs from that of the row before.
struct PatternRows<'a> {
    patterns: &'a Patterns<'a>,
    last: Option<(&'a str, Pattern)>,
}

impl PatternRows<'_> {
    fn of(&mut self, row: usize) -> Result<Option<&Pattern>> {
        let Some(texts) = self.patterns.texts else {
            return Ok(Some(&self.patterns.default));
        };
        if texts.is_null(row) {
            return Ok(None);
        }
        let text = texts.as_string::<i32>().value(row);
        if self.last.as_ref().is_none_or(|(known, _)| *known != text) {
            self.last = Some((text, Pattern::new(text, self.patterns.used)?));
        }
        Ok(self.last.as_ref().map(|(_, pattern)| pattern))
    }
}
