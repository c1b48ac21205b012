//! Moments as numbers from 1970, and back. Source: Spark, `SecondsToTimestamp`, `UnixSeconds`, `UnixDate`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::moments::{days, instants, ints, large, longs, moment, overflow, small, zone, zoned};
use crate::functions::arguments::{count, over_arrays, timestamp};
use crate::functions::function::{Function, Returns};
use crate::spark::temporal::SECOND_MICROS;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    macro_rules! timestamp_of {
        ($name:literal, $micros:expr) => {
            Function {
                name: $name,
                aliases: &[],
                volatility: Volatility::Immutable,
                arguments: |types| {
                    count($name, types, 1, 1)?;
                    Ok(vec![large($name, 1, &types[0])?])
                },
                returns: Returns::Always(timestamp()),
                invoke: |arguments| {
                    over_arrays(arguments, |arrays| {
                        let instants = longs(&arrays[0])
                            .try_unary::<_, TimestampMicrosecondType, _>(|value| times(value, $micros))?;
                        Ok(zoned(instants))
                    })
                },
            }
        };
    }
    macro_rules! number_of {
        ($name:literal, $micros:expr) => {
            Function {
                name: $name,
                aliases: &[],
                volatility: Volatility::Immutable,
                arguments: |types| {
                    count($name, types, 1, 1)?;
                    Ok(vec![moment($name, 1, &types[0], timestamp())?])
                },
                returns: Returns::Always(DataType::Int64),
                invoke: |arguments| {
                    let zone = zone(arguments);
                    over_arrays(arguments, |arrays| {
                        let numbers = instants(&arrays[0], &zone)?
                            .unary::<_, Int64Type>(|instant| instant.div_euclid($micros));
                        Ok(Arc::new(numbers))
                    })
                },
            }
        };
    }
    [
        timestamp_seconds(),
        timestamp_of!("timestamp_millis", 1000),
        timestamp_of!("timestamp_micros", 1),
        number_of!("unix_seconds", SECOND_MICROS),
        number_of!("unix_millis", 1000),
        number_of!("unix_micros", 1),
        unix_date(),
        date_from_unix_date(),
    ]
    .map(Function::udf)
    .into()
}

fn times(value: i64, by: i64) -> Result<i64> {
    value.checked_mul(by).ok_or_else(overflow)
}

/// Seconds may have a fraction: digits beyond microseconds are no instant.
fn timestamp_seconds() -> Function {
    Function {
        name: "timestamp_seconds",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("timestamp_seconds", types, 1, 1)?;
            Ok(vec![match &types[0] {
                DataType::Decimal128(..) => types[0].clone(),
                DataType::Float32 | DataType::Float64 => DataType::Float64,
                found => large("timestamp_seconds", 1, found)?,
            }])
        },
        returns: Returns::Always(timestamp()),
        invoke: |arguments| over_arrays(arguments, |arrays| Ok(zoned(of_seconds(&arrays[0])?))),
    }
}

pub(super) fn of_seconds(seconds: &ArrayRef) -> Result<TimestampMicrosecondArray> {
    match seconds.data_type() {
        DataType::Decimal128(_, scale) => {
            let up = 10_i128.pow(u32::from(6_u8.saturating_sub(scale.unsigned_abs())));
            let down = 10_i128.pow(u32::from(scale.unsigned_abs().saturating_sub(6)));
            seconds.as_primitive::<Decimal128Type>().try_unary(|value| {
                let micros = value.checked_mul(up).ok_or_else(overflow)?;
                match micros % down {
                    0 => i64::try_from(micros / down).map_err(|_| overflow()),
                    _ => Err(overflow()),
                }
            })
        }
        DataType::Float64 => Ok(seconds.as_primitive::<Float64Type>().unary_opt(|seconds| {
            // A cast of a double saturates; what is no number has no instant.
            seconds
                .is_finite()
                .then_some((seconds * SECOND_MICROS as f64) as i64)
        })),
        _ => longs(seconds).try_unary(|seconds| times(seconds, SECOND_MICROS)),
    }
}

fn unix_date() -> Function {
    Function {
        name: "unix_date",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("unix_date", types, 1, 1)?;
            Ok(vec![moment("unix_date", 1, &types[0], DataType::Date32)?])
        },
        returns: Returns::Always(DataType::Int32),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                Ok(Arc::new(
                    days(&arrays[0], &zone)?.unary::<_, Int32Type>(|days| days),
                ))
            })
        },
    }
}

fn date_from_unix_date() -> Function {
    Function {
        name: "date_from_unix_date",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("date_from_unix_date", types, 1, 1)?;
            Ok(vec![small("date_from_unix_date", 1, &types[0])?])
        },
        returns: Returns::Always(DataType::Date32),
        invoke: |arguments| {
            over_arrays(arguments, |arrays| {
                Ok(Arc::new(ints(&arrays[0]).unary::<_, Date32Type>(|days| days)))
            })
        },
    }
}
