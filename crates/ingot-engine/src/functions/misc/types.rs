//! What is known of a value without it: `typeof`, `collation`, `collate`; and `reflect`, for which there is no Java.

use std::fmt::Write as _;

use arrow::datatypes::DataType::{self, Utf8};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use crate::error::condition;
use crate::functions::arguments::{count, exact, over_arrays};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{text_at, texts};
use crate::write::type_text;

/// The collation of all text.
const COLLATION: &str = "UTF8_BINARY";

pub(super) fn functions() -> [Function; 5] {
    [
        Function::pure(
            "typeof",
            |types| {
                count("typeof", types, 1, 1)?;
                Ok(types.to_vec())
            },
            Returns::Always(Utf8),
            |arguments| {
                let data_type = arguments
                    .arg_fields
                    .first()
                    .map(|field| type_text(field.data_type()));
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8(data_type)))
            },
        ),
        Function::pure(
            "collation",
            |types| exact("collation", types, &[Utf8]),
            Returns::Always(Utf8),
            |_| {
                let name = format!("SYSTEM.BUILTIN.{COLLATION}");
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(name))))
            },
        ),
        Function::pure(
            "collate",
            |types| exact("collate", types, &[Utf8, Utf8]),
            Returns::Always(Utf8),
            collated,
        ),
        Function::pure("reflect", no_class, Returns::Always(Utf8), none).also(&["java_method"]),
        Function::pure("try_reflect", no_class, Returns::Always(Utf8), none),
    ]
}

fn collated(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let (values, names) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
        texts(arrays, |row, out| {
            let name = names.value(row);
            if !name.eq_ignore_ascii_case(COLLATION) {
                return Err(condition(
                    "COLLATION_INVALID_NAME",
                    "42704",
                    format!("there is no collation `{name}`; text has `{COLLATION}`"),
                ));
            }
            Ok(out.write_str(values.value(row)).is_ok())
        })
    })
}

/// Java's classes are not here, so that none is ever found.
fn no_class(_: &[DataType]) -> Result<Vec<DataType>> {
    Err(condition(
        "DATATYPE_MISMATCH.UNEXPECTED_CLASS_TYPE",
        "42K09",
        "the class is not found: there is no Java".to_owned(),
    ))
}

fn none(_: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)))
}
