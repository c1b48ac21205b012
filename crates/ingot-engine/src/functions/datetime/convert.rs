//! `date(x)`, `timestamp(x)`, `timestamp_ntz(x)`: casts in the session's zone, as calls.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::logical_expr::Volatility;

use super::moments::{LOCAL, days, instants, locals, moment, zone, zoned};
use crate::functions::arguments::{count, over_arrays, timestamp};
use crate::functions::function::{Function, Returns};

pub(crate) fn date() -> Function {
    Function {
        name: "date",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("date", types, 1, 1)?;
            let one = |found| moment("date", 1, found, DataType::Date32);
            types.iter().map(one).collect()
        },
        returns: Returns::Always(DataType::Date32),
        invoke: |arguments| {
            over_arrays(arguments, |arrays| {
                Ok(Arc::new(days(&arrays[0], &zone(arguments))?))
            })
        },
    }
}

pub(crate) fn instant() -> Function {
    Function {
        name: "timestamp",
        aliases: &["timestamp_ltz"],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("timestamp", types, 1, 1)?;
            let one = |found| moment("timestamp", 1, found, timestamp());
            types.iter().map(one).collect()
        },
        returns: Returns::Always(timestamp()),
        invoke: |arguments| {
            over_arrays(arguments, |arrays| {
                Ok(zoned(instants(&arrays[0], &zone(arguments))?))
            })
        },
    }
}

pub(crate) fn local() -> Function {
    Function {
        name: "timestamp_ntz",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("timestamp_ntz", types, 1, 1)?;
            let one = |found| moment("timestamp_ntz", 1, found, LOCAL);
            types.iter().map(one).collect()
        },
        returns: Returns::Always(LOCAL),
        invoke: |arguments| {
            over_arrays(arguments, |arrays| {
                Ok(Arc::new(locals(&arrays[0], &zone(arguments))?))
            })
        },
    }
}
