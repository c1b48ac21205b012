//! `variant_get(v, path [, type])`, `try_variant_get`, and `v:path`, which takes JSON in texts too.
//!
//! Where the path leads nowhere the result is null; what cannot be of the type is an error, or null with `try_`.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StructArray};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use parquet_variant::Variant;

use super::cast::{Conversion, castable_to};
use super::path::{Step, follow, steps};
use super::{is_variant, variant_at, variant_type};
use crate::error::condition;
use crate::functions::arguments::{count, is_text, over_arrays, unexpected};
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::spark::zone_of;
use crate::types::parse_type;
use crate::write::type_text;

/// What `v:path` is made a call of.
pub(crate) const COLON: &str = "__ingot_colon";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            "variant_get",
            |types| arguments("variant_get", types),
            Returns::Field(|arguments| returns("variant_get", arguments)),
            |arguments| get(arguments, true),
        ),
        immutable(
            "try_variant_get",
            |types| arguments("try_variant_get", types),
            Returns::Field(|arguments| returns("try_variant_get", arguments)),
            |arguments| get(arguments, false),
        ),
        immutable(
            COLON,
            |types| {
                count(":", types, 2, 2)?;
                match &types[0] {
                    variant if is_variant(variant) => Ok(vec![variant.clone(), DataType::Utf8]),
                    text if is_text(text) || text.is_null() => Ok(vec![DataType::Utf8, DataType::Utf8]),
                    other => Err(unexpected(":", 1, "a VARIANT or a STRING", other)),
                }
            },
            Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Null))),
            |arguments| match is_variant(arguments.return_type()) {
                true => get(arguments, true),
                false => crate::functions::json::get_json_object(arguments),
            },
        ),
    ]
}

fn arguments(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 2, 3)?;
    let variant = match &types[0] {
        variant if is_variant(variant) => variant.clone(),
        DataType::Null => variant_type(),
        other => return Err(unexpected(function, 1, "a VARIANT", other)),
    };
    let mut wanted = vec![DataType::Utf8; types.len()];
    wanted[0] = variant;
    Ok(wanted)
}

fn returns(function: &str, arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
    if arguments.arg_fields.len() < 3 {
        return Ok(variant_type());
    }
    let text = arguments.scalar_arguments.get(2).copied().flatten();
    match text.and_then(|text| text.try_as_str().flatten()) {
        Some(text) => {
            let wanted = parse_type(text).map_err(|error| DataFusionError::External(Box::new(error)))?;
            match castable_to(&wanted) {
                true => Ok(wanted),
                false => Err(condition(
                    "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
                    "42K09",
                    format!("cannot cast VARIANT to {}", type_text(&wanted).to_uppercase()),
                )),
            }
        }
        None => Err(condition(
            "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
            "42K09",
            format!("the type of `{function}` is a literal text"),
        )),
    }
}

fn get(arguments: &ScalarFunctionArgs, strict: bool) -> Result<ColumnarValue> {
    let wanted = arguments.return_type();
    let conversion = Conversion::new(&zone_of(&arguments.config_options), strict);
    over_arrays(arguments, |arrays| {
        let (variants, paths) = (arrays[0].as_struct(), arrays[1].as_string::<i32>());
        let mut parts = Vec::with_capacity(variants.len());
        let mut known: Option<(&str, Vec<Step>)> = None;
        for row in 0..variants.len() {
            if paths.is_null(row) {
                parts.push(None);
                continue;
            }
            let path = paths.value(row);
            if known.as_ref().is_none_or(|(known, _)| *known != path) {
                known = Some((path, steps(path).ok_or_else(|| no_path(path))?));
            }
            let steps = known
                .as_ref()
                .map(|(_, steps)| steps.as_slice())
                .unwrap_or_default();
            parts.push(part(variants, row, steps)?);
        }
        conversion.values(&parts, wanted)
    })
}

fn part<'a>(variants: &'a StructArray, row: usize, steps: &[Step]) -> Result<Option<Variant<'a, 'a>>> {
    Ok(variant_at(variants, row)?.and_then(|variant| follow(variant, steps)))
}

fn no_path(path: &str) -> DataFusionError {
    condition(
        "INVALID_VARIANT_GET_PATH",
        "22023",
        format!("`{path}` is no path of a variant, as `$.a[0]['b']` is"),
    )
}
