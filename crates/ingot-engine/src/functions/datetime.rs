//! Functions of dates, times and intervals, in the session's time zone.
//!
//! Arguments stay what they are given as until a function computes ([`moments`]), for only then the zone is known.

mod convert;
mod days;
mod epoch;
mod fields;
mod interval_arithmetic;
mod make;
mod moments;
mod now;
mod patterns;
mod sequence;
mod trunc;
mod units;
mod window;
mod zones;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub(crate) use self::convert::{date, instant, local};
pub(crate) use self::days::{date_add, date_sub};
pub(crate) use self::interval_arithmetic::{
    add_interval, add_intervals, divide_interval, multiply_interval, negate_calendar, subtract_moments,
};
pub(crate) use self::moments::{CALENDAR, DAY_TIME, YEAR_MONTH, interval_overflow};
pub(crate) use self::patterns::formatted;
pub(crate) use self::window::SLIDING_WINDOWS;
use super::function::Function;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let converted = [date(), instant(), local()];
    let operators = [
        add_interval(),
        add_intervals(),
        divide_interval(),
        multiply_interval(),
        negate_calendar(),
        subtract_moments(),
    ];
    let own = converted.into_iter().chain(operators).map(Function::udf);
    own.chain(days::functions())
        .chain(epoch::functions())
        .chain(fields::functions())
        .chain(make::functions())
        .chain(now::functions())
        .chain([sequence::sequence().udf()])
        .chain(window::functions())
        .chain(patterns::functions())
        .chain(trunc::functions())
        .chain(units::functions())
        .chain(zones::functions())
        .collect()
}
