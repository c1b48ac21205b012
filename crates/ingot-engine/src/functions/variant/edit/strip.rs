//! `variant_strip_nulls(v [, include_arrays])`: a variant without the fields, and the items, that are null.
//!
//! What has nothing left stays as an empty object or list. Source: Spark, `VariantStripNulls`; Databricks,
//! "variant_strip_nulls function".

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use parquet_variant::{ObjectFieldBuilder, Variant, VariantBuilder, VariantBuilderExt};

use super::{append, check_constant, constant_argument, truth, variant_argument};
use crate::functions::arguments::{count, over_arrays, up_to};
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::functions::room::Room;
use crate::functions::variant::{Variants, encode, variant_at, variant_type};

const NAME: &str = "variant_strip_nulls";

pub(super) fn function() -> Arc<ScalarUDF> {
    immutable(
        NAME,
        arguments,
        Returns::Field(|arguments| {
            check_constant(NAME, arguments, 1)?;
            Ok(variant_type())
        }),
        strip,
    )
}

fn arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    count(NAME, types, 1, 2)?;
    let mut wanted = vec![variant_argument(NAME, types.first())?];
    wanted.extend(types.get(1).map(constant_argument));
    up_to(NAME, types, 1, &wanted)
}

/// Whether nulls are left in lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Items {
    Stripped,
    Kept,
}

fn strip(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [variants, rest @ ..] = arrays else {
            return Err(DataFusionError::Internal("a variant is wanted".to_owned()));
        };
        let variants = variants.as_struct();
        let (mut stripped, mut room) = (Variants::new(variants.len()), Room::new());
        for row in 0..variants.len() {
            let items = match rest.first().map(|include| truth(include, row)) {
                None | Some(Some(true)) => Some(Items::Stripped),
                Some(Some(false)) => Some(Items::Kept),
                Some(None) => None,
            };
            match (items, variant_at(variants, row)?) {
                (Some(items), Some(variant)) => {
                    let mut builder = VariantBuilder::new();
                    write(&variant, items, &mut builder)?;
                    append(&encode::finish(builder), &mut stripped, &mut room)?;
                }
                _ => stripped.append_null(),
            }
        }
        stripped.finish()
    })
}

/// Writes a part without the nulls in it.
fn write(
    part: &Variant<'_, '_>,
    items: Items,
    into: &mut impl VariantBuilderExt,
) -> std::result::Result<(), ArrowError> {
    match part {
        Variant::Object(object) => {
            let mut fields = into.try_new_object()?;
            for (name, value) in object.iter().filter(|(_, value)| *value != Variant::Null) {
                write(&value, items, &mut ObjectFieldBuilder::new(name, &mut fields))?;
            }
            fields.finish();
        }
        Variant::List(list) => {
            let mut list_builder = into.try_new_list()?;
            for value in list.iter() {
                if items == Items::Kept || value != Variant::Null {
                    write(&value, items, &mut list_builder)?;
                }
            }
            list_builder.finish();
        }
        scalar => into.append_value(scalar.clone()),
    }
    Ok(())
}
