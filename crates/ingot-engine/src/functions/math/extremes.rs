//! `greatest`, `least`: of two values and more, nulls left out. NaN is the greatest number.
//!
//! The values are compared as DataFusion's functions of the names do; the type that they have in common is Spark's. Source:
//! Spark, `Greatest`, `Least`.

use arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::functions::arguments::count;
use crate::functions::common_type::common_type;
use crate::functions::function::{Function, Returns};

pub(super) fn functions() -> [Function; 2] {
    [
        Function::pure(
            "greatest",
            |types| compared("greatest", types),
            Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Null))),
            |arguments| datafusion::functions::core::greatest().invoke_with_args(arguments.clone()),
        ),
        Function::pure(
            "least",
            |types| compared("least", types),
            Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Null))),
            |arguments| datafusion::functions::core::least().invoke_with_args(arguments.clone()),
        ),
    ]
}

fn compared(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 2, usize::MAX)?;
    Ok(vec![common_type(function, types)?; types.len()])
}
