//! What a session is: `current_catalog`, `current_schema`, `version`, and `spark_partition_id`, of which there is one.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, Volatility};

use crate::functions::arguments::exact;
use crate::functions::function::{Function, Returns};

/// The version of Spark whose functions these are, and ours.
const VERSION: &str = concat!("4.2.0 ingot-", env!("CARGO_PKG_VERSION"));

pub(super) fn functions() -> [Function; 4] {
    [
        Function::pure(
            "current_catalog",
            |types| exact("current_catalog", types, &[]),
            Returns::Always(DataType::Utf8),
            |arguments| Ok(constant(&arguments.config_options.catalog.default_catalog)),
        )
        .changing(Volatility::Stable),
        Function::pure(
            "current_schema",
            |types| exact("current_schema", types, &[]),
            Returns::Always(DataType::Utf8),
            |arguments| Ok(constant(&arguments.config_options.catalog.default_schema)),
        )
        .also(&["current_database"])
        .changing(Volatility::Stable),
        Function::pure(
            "version",
            |types| exact("version", types, &[]),
            Returns::Always(DataType::Utf8),
            |_| Ok(constant(VERSION)),
        ),
        Function::pure(
            "spark_partition_id",
            |types| exact("spark_partition_id", types, &[]),
            Returns::Always(DataType::Int32),
            |_| Ok(ColumnarValue::Scalar(ScalarValue::Int32(Some(0)))),
        ),
    ]
}

fn constant(text: &str) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::Utf8(Some(text.to_owned())))
}
