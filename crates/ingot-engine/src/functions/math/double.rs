//! Functions of one or two doubles, and the constants.
//!
//! Logarithms of what has none are NULL; all else is as IEEE 754 has it. Source: Spark, `mathExpressions`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::kernels::arity::{binary, unary};
use arrow::datatypes::DataType::{self, Float64};
use arrow::datatypes::Float64Type;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use crate::functions::arguments::{count, exact, over_arrays};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{value_at, values};

/// Makes a function of one double.
macro_rules! of_one {
    ($name:literal, $compute:expr) => {
        Function::pure(
            $name,
            |types| exact($name, types, &[Float64]),
            Returns::Always(Float64),
            |arguments| of_each(arguments, $compute),
        )
    };
}

/// Makes a function of one double that may have no result.
macro_rules! maybe_of_one {
    ($name:literal, $compute:expr) => {
        Function::pure(
            $name,
            |types| exact($name, types, &[Float64]),
            Returns::Always(Float64),
            |arguments| maybe_of_each(arguments, $compute),
        )
    };
}

/// Makes a function of two doubles.
macro_rules! of_two {
    ($name:literal, $compute:expr) => {
        Function::pure(
            $name,
            |types| exact($name, types, &[Float64, Float64]),
            Returns::Always(Float64),
            |arguments| of_both(arguments, $compute),
        )
    };
}

/// Makes a constant.
macro_rules! constant {
    ($name:literal, $value:expr) => {
        Function::pure(
            $name,
            |types| exact($name, types, &[]),
            Returns::Always(Float64),
            |_| Ok(ColumnarValue::Scalar(ScalarValue::Float64(Some($value)))),
        )
    };
}

pub(super) fn functions() -> Vec<Function> {
    vec![
        of_one!("acos", f64::acos),
        of_one!("acosh", f64::acosh),
        of_one!("asin", f64::asin),
        of_one!("asinh", f64::asinh),
        of_one!("atan", f64::atan),
        of_one!("atanh", f64::atanh),
        of_one!("cbrt", f64::cbrt),
        of_one!("cos", f64::cos),
        of_one!("cosh", f64::cosh),
        of_one!("cot", |x| 1.0 / x.tan()),
        of_one!("csc", |x| 1.0 / x.sin()),
        of_one!("degrees", f64::to_degrees),
        of_one!("exp", f64::exp),
        of_one!("expm1", f64::exp_m1),
        of_one!("radians", f64::to_radians),
        of_one!("rint", f64::round_ties_even),
        of_one!("sec", |x| 1.0 / x.cos()),
        of_one!("signum", |x| match x == 0.0 || x.is_nan() {
            true => x,
            false => x.signum(),
        })
        .also(&["sign"]),
        of_one!("sin", f64::sin),
        of_one!("sinh", f64::sinh),
        of_one!("sqrt", f64::sqrt),
        of_one!("tan", f64::tan),
        of_one!("tanh", f64::tanh),
        maybe_of_one!("ln", |x| (x > 0.0 || x.is_nan()).then(|| x.ln())),
        maybe_of_one!("log2", |x| (x > 0.0 || x.is_nan()).then(|| x.log2())),
        maybe_of_one!("log10", |x| (x > 0.0 || x.is_nan()).then(|| x.log10())),
        maybe_of_one!("log1p", |x| (x > -1.0 || x.is_nan()).then(|| x.ln_1p())),
        of_two!("atan2", |y, x| (y + 0.0).atan2(x + 0.0)),
        of_two!("hypot", f64::hypot),
        of_two!("power", power).also(&["pow"]),
        Function::pure("log", log_types, Returns::Always(Float64), |arguments| {
            over_arrays(arguments, logarithms)
        }),
        constant!("e", std::f64::consts::E),
        constant!("pi", std::f64::consts::PI),
    ]
}

/// Java: one to the power of NaN, or of an infinity, is no number.
fn power(x: f64, y: f64) -> f64 {
    match x.abs() == 1.0 && !y.is_finite() {
        true => f64::NAN,
        false => x.powf(y),
    }
}

fn of_each(arguments: &ScalarFunctionArgs, compute: impl Fn(f64) -> f64) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let values = unary::<_, _, Float64Type>(value_at::<Float64Type>(arrays, 0)?, compute);
        Ok(Arc::new(values))
    })
}

fn maybe_of_each(
    arguments: &ScalarFunctionArgs,
    compute: impl Fn(f64) -> Option<f64>,
) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let values = value_at::<Float64Type>(arrays, 0)?.unary_opt::<_, Float64Type>(compute);
        Ok(Arc::new(values))
    })
}

fn of_both(arguments: &ScalarFunctionArgs, compute: impl Fn(f64, f64) -> f64) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let (left, right) = (
            value_at::<Float64Type>(arrays, 0)?,
            value_at::<Float64Type>(arrays, 1)?,
        );
        Ok(Arc::new(binary::<_, _, _, Float64Type>(left, right, compute)?))
    })
}

fn log_types(types: &[DataType]) -> Result<Vec<DataType>> {
    count("log", types, 1, 2)?;
    Ok(vec![Float64; types.len()])
}

/// `log(x)`, and `log(base, x)`.
fn logarithms(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let has_none = |x: f64| x <= 0.0;
    let first = value_at::<Float64Type>(arrays, 0)?;
    if arrays.len() == 1 {
        let values = first.unary_opt::<_, Float64Type>(|x| (!has_none(x)).then(|| x.ln()));
        return Ok(Arc::new(values));
    }
    let second = value_at::<Float64Type>(arrays, 1)?;
    let values = values::<Float64Type>(arrays, |row| {
        let (base, x) = (first.value(row), second.value(row));
        Ok((!has_none(base) && !has_none(x)).then(|| x.ln() / base.ln()))
    })?;
    Ok(Arc::new(values))
}
