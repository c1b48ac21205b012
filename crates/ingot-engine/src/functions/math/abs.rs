//! `abs`: a number without its sign, of its type. The smallest whole number of a type has none, and
//! stays as it is without ANSI mode. Source: Spark, `Abs`.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::compute::kernels::arity::try_unary;
use arrow::datatypes::DataType::{self, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64};
use arrow::datatypes::{
    ArrowNativeTypeOp, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use datafusion::error::{DataFusionError, Result};

use crate::error::arithmetic_overflow;
use crate::functions::arguments::{count, is_text, over_arrays, unexpected};
use crate::functions::function::{Function, Returns};
use crate::spark::AnsiMode;

pub(super) fn function() -> Function {
    Function::pure(
        "abs",
        types,
        Returns::Of(|types| Ok(types.first().cloned().unwrap_or(Float64))),
        |arguments| {
            let mode = AnsiMode::of(&arguments.config_options);
            over_arrays(arguments, |arrays| absolute(arrays.first(), mode))
        },
    )
}

fn types(types: &[DataType]) -> Result<Vec<DataType>> {
    count("abs", types, 1, 1)?;
    let of = |data_type: &DataType| match data_type {
        DataType::Null => Ok(Float64),
        text if is_text(text) => Ok(Float64),
        Int8 | Int16 | Int32 | Int64 | Float32 | Float64 | Decimal128(..) => Ok(data_type.clone()),
        other => Err(unexpected("abs", 1, "NUMERIC", other)),
    };
    types.iter().map(of).collect()
}

fn absolute(array: Option<&ArrayRef>, mode: AnsiMode) -> Result<ArrayRef> {
    let Some(array) = array else {
        return Err(DataFusionError::Internal("abs has an argument".to_owned()));
    };
    match array.data_type() {
        Int8 => of_whole::<Int8Type>(array, mode),
        Int16 => of_whole::<Int16Type>(array, mode),
        Int32 => of_whole::<Int32Type>(array, mode),
        Int64 => of_whole::<Int64Type>(array, mode),
        Float32 => {
            let values = array.as_primitive::<Float32Type>();
            Ok(Arc::new(values.unary::<_, Float32Type>(f32::abs)))
        }
        Decimal128(precision, scale) => {
            let values = array
                .as_primitive::<Decimal128Type>()
                .unary::<_, Decimal128Type>(i128::wrapping_abs);
            Ok(Arc::new(values.with_precision_and_scale(*precision, *scale)?))
        }
        _ => {
            let values = array.as_primitive::<Float64Type>();
            Ok(Arc::new(values.unary::<_, Float64Type>(f64::abs)))
        }
    }
}

fn of_whole<T: ArrowPrimitiveType>(array: &ArrayRef, mode: AnsiMode) -> Result<ArrayRef> {
    let absolute = try_unary::<T, _, T>(array.as_primitive::<T>(), |value| {
        match (value.is_lt(T::Native::ZERO), mode) {
            (true, AnsiMode::On) => value.neg_checked(),
            (true, AnsiMode::Off) => Ok(value.neg_wrapping()),
            (false, _) => Ok(value),
        }
    });
    match absolute {
        Ok(absolute) => Ok(Arc::new(absolute)),
        Err(_) => Err(arithmetic_overflow(array.data_type())),
    }
}
