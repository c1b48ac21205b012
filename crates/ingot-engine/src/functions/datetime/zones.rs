//! `convert_timezone`, `from_utc_timestamp`, `to_utc_timestamp`, `current_timezone`.
//!
//! Source: Spark, `ConvertTimezone`, `FromUTCTimestamp`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility};

use super::moments::{LOCAL, instants, locals, moment, named_zone, overflow, zone, zoned};
use crate::functions::arguments::{count, is_text, over_arrays, session_zone, timestamp, unexpected};
use crate::functions::function::{Function, Returns};
use crate::spark::temporal::Zone;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        convert_timezone(),
        from_utc_timestamp(),
        to_utc_timestamp(),
        current_timezone(),
    ]
    .map(Function::udf)
    .into()
}

/// `convert_timezone([from, ]to, timestamp_ntz)`.
fn convert_timezone() -> Function {
    Function {
        name: "convert_timezone",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("convert_timezone", types, 2, 3)?;
            let last = types.len() - 1;
            let one = |(nth, found): (usize, &DataType)| match nth == last {
                true => moment("convert_timezone", nth + 1, found, LOCAL),
                false => zone_type("convert_timezone", nth + 1, found),
            };
            types.iter().enumerate().map(one).collect()
        },
        returns: Returns::Always(LOCAL),
        invoke: |arguments| {
            let session = zone(arguments);
            over_arrays(arguments, |arrays| {
                let converted = match arrays {
                    [to, moments] => {
                        let from: ArrayRef =
                            Arc::new(StringArray::from(vec![session_zone(arguments); moments.len()]));
                        between_zones(&from, to, &locals(moments, &session)?)
                    }
                    arrays => between_zones(&arrays[0], &arrays[1], &locals(&arrays[2], &session)?),
                };
                Ok(Arc::new(converted?))
            })
        },
    }
}

fn from_utc_timestamp() -> Function {
    Function {
        name: "from_utc_timestamp",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| moment_and_zone("from_utc_timestamp", types),
        returns: Returns::Always(timestamp()),
        invoke: |arguments| {
            let session = zone(arguments);
            over_arrays(arguments, |arrays| {
                let instants = instants(&arrays[0], &session)?;
                let utc: ArrayRef = Arc::new(StringArray::from(vec!["UTC"; instants.len()]));
                Ok(zoned(between_zones(&utc, &arrays[1], &instants)?))
            })
        },
    }
}

fn to_utc_timestamp() -> Function {
    Function {
        name: "to_utc_timestamp",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| moment_and_zone("to_utc_timestamp", types),
        returns: Returns::Always(timestamp()),
        invoke: |arguments| {
            let session = zone(arguments);
            over_arrays(arguments, |arrays| {
                let instants = instants(&arrays[0], &session)?;
                let utc: ArrayRef = Arc::new(StringArray::from(vec!["UTC"; instants.len()]));
                Ok(zoned(between_zones(&arrays[1], &utc, &instants)?))
            })
        },
    }
}

fn current_timezone() -> Function {
    Function {
        name: "current_timezone",
        aliases: &[],
        volatility: Volatility::Stable,
        arguments: |types| count("current_timezone", types, 0, 0).map(|()| Vec::new()),
        returns: Returns::Always(DataType::Utf8),
        invoke: |arguments| {
            let zone = session_zone(arguments).to_owned();
            Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(zone))))
        },
    }
}

fn moment_and_zone(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 2, 2)?;
    Ok(vec![
        moment(function, 1, &types[0], timestamp())?,
        zone_type(function, 2, &types[1])?,
    ])
}

fn zone_type(function: &str, place: usize, found: &DataType) -> Result<DataType> {
    match is_text(found) || *found == DataType::Null {
        true => Ok(DataType::Utf8),
        false => Err(unexpected(function, place, "STRING", found)),
    }
}

/// Moves what clocks show in one zone to what they show in another at the same instant.
fn between_zones(
    from: &ArrayRef,
    to: &ArrayRef,
    locals: &TimestampMicrosecondArray,
) -> Result<TimestampMicrosecondArray> {
    let zones = from.as_string::<i32>().iter().zip(to.as_string::<i32>());
    // Zones seldom differ from row to row.
    let mut last: Option<(&str, &str, Zone, Zone)> = None;
    let rows = zones.zip(locals.iter()).map(|row| match row {
        ((Some(from), Some(to)), Some(local)) => {
            let (source, target) = match last {
                Some((known_from, known_to, source, target)) if (known_from, known_to) == (from, to) => {
                    (source, target)
                }
                _ => (named_zone(from)?, named_zone(to)?),
            };
            last = Some((from, to, source, target));
            let instant = source.instant(local).ok_or_else(overflow)?;
            Ok(Some(target.local(instant)))
        }
        _ => Ok(None),
    });
    rows.collect()
}
