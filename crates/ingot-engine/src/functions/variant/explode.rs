//! The parts of a variant, each with its place and its name: what `variant_explode` makes rows of. Source: Spark,
//! `VariantExplode`.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, Int32Builder, ListArray, StringBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};
use parquet_variant::Variant;

use super::encode::of_part;
use super::{Variants, is_variant, variant_at, variant_type};
use crate::functions::arguments::{count, over_arrays, unexpected};
use crate::functions::function::{Function, Returns};

/// The fields of a part.
pub(crate) const PART: [&str; 3] = ["pos", "key", "value"];

/// Returns the function: `VARIANT` to `ARRAY<STRUCT<pos: INT, key: STRING, value: VARIANT>>`. The elements of an array
/// have no keys; what is neither an array nor an object has no parts.
pub(crate) fn variant_parts() -> &'static ScalarUDF {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Function {
            name: "__ingot_variant_parts",
            aliases: &[],
            volatility: Volatility::Immutable,
            arguments: |types| {
                count("variant_explode", types, 1, 1)?;
                match types {
                    [variant] if is_variant(variant) => Ok(types.to_vec()),
                    [DataType::Null] => Ok(vec![variant_type()]),
                    types => Err(unexpected(
                        "variant_explode",
                        1,
                        "a VARIANT",
                        types.first().unwrap_or(&DataType::Null),
                    )),
                }
            },
            returns: Returns::Of(|_| Ok(DataType::List(item()))),
            invoke: |arguments| {
                over_arrays(arguments, |arrays| match arrays {
                    [variants] => parts(variants.as_struct()),
                    _ => Ok(arrow::array::new_null_array(&DataType::Null, 0)),
                })
            },
        }
        .udf()
    });
    &FUNCTION
}

fn fields() -> Fields {
    let [position, key, value] = PART;
    Fields::from(vec![
        Field::new(position, DataType::Int32, false),
        Field::new(key, DataType::Utf8, true),
        Field::new(value, variant_type(), false),
    ])
}

fn item() -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Struct(fields()), true))
}

fn parts(variants: &StructArray) -> Result<ArrayRef> {
    let mut found = Parts {
        positions: Int32Builder::new(),
        keys: StringBuilder::new(),
        values: Variants::new(variants.len()),
    };
    let mut lengths = Vec::with_capacity(variants.len());
    for row in 0..variants.len() {
        let before = found.positions.len();
        match variant_at(variants, row)? {
            Some(Variant::Object(object)) => {
                for (position, (key, value)) in (0..).zip(object.iter()) {
                    found.append(position, Some(key), value);
                }
            }
            Some(Variant::List(list)) => {
                for (position, value) in (0..).zip(list.iter()) {
                    found.append(position, None, value);
                }
            }
            _ => {}
        }
        lengths.push(found.positions.len() - before);
    }
    Ok(Arc::new(ListArray::try_new(
        item(),
        OffsetBuffer::from_lengths(lengths),
        found.finish()?,
        None,
    )?))
}

/// Parts as they come.
struct Parts {
    positions: Int32Builder,
    keys: StringBuilder,
    values: Variants,
}

impl Parts {
    fn append(&mut self, position: i32, key: Option<&str>, value: Variant<'_, '_>) {
        self.positions.append_value(position);
        self.keys.append_option(key);
        let (metadata, value) = of_part(value);
        self.values.append(&metadata, &value);
    }

    fn finish(mut self) -> Result<ArrayRef> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.positions.finish()),
            Arc::new(self.keys.finish()),
            self.values.finish()?,
        ];
        Ok(Arc::new(StructArray::try_new(fields(), columns, None)?))
    }
}
