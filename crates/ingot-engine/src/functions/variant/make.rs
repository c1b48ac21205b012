//! `parse_json(text)`, `try_parse_json(text)` and `to_variant_object(value)`.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::cast::to_variants;
use super::{Variants, encode, variant_type};
use crate::functions::arguments::{count, exact, over_arrays, unexpected};
use crate::functions::collection::{immutable, sized};
use crate::functions::function::Returns;
use crate::functions::json::text::{Leniency, read};
use crate::functions::record::options::malformed;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            "parse_json",
            |types| exact("parse_json", types, &[DataType::Utf8]),
            Returns::Of(|_| Ok(variant_type())),
            |arguments| parse(arguments, true),
        ),
        immutable(
            "try_parse_json",
            |types| exact("try_parse_json", types, &[DataType::Utf8]),
            Returns::Of(|_| Ok(variant_type())),
            |arguments| parse(arguments, false),
        ),
        immutable(
            "to_variant_object",
            |types| {
                count("to_variant_object", types, 1, 1)?;
                match types[0].is_nested() || types[0].is_null() {
                    true => Ok(types.to_vec()),
                    false => Err(unexpected(
                        "to_variant_object",
                        1,
                        "a STRUCT, an ARRAY or a MAP",
                        &types[0],
                    )),
                }
            },
            Returns::Of(|_| Ok(variant_type())),
            to_variant,
        ),
    ]
}

fn parse(arguments: &ScalarFunctionArgs, strict: bool) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [texts] = sized(arrays)?;
        let mut variants = Variants::new(texts.len());
        for text in texts.as_string::<i32>() {
            let Some(text) = text else {
                variants.append_null();
                continue;
            };
            let encoded = match read(text, Leniency::none()) {
                Ok(Some(value)) => encode::of_value(&value),
                _ => Err(malformed(text)),
            };
            match encoded {
                Ok((metadata, value)) => variants.append(&metadata, &value),
                Err(error) if strict => return Err(error),
                Err(_) => variants.append_null(),
            }
        }
        variants.finish()
    })
}

fn to_variant(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [values] = sized(arrays)?;
        to_variants(values)
    })
}
