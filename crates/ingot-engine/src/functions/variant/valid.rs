//! `is_valid_variant(v)`: says if the bytes of a variant are one. Source: Spark, `IsValidVariant`.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::{is_variant, variant_at, variant_type};
use crate::functions::arguments::{count, over_arrays, unexpected};
use crate::functions::collection::{immutable, sized};
use crate::functions::function::Returns;

const NAME: &str = "is_valid_variant";

pub(super) fn function() -> Arc<ScalarUDF> {
    immutable(NAME, arguments, Returns::Always(DataType::Boolean), is_valid)
}

fn arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    count(NAME, types, 1, 1)?;
    types
        .iter()
        .map(|found| match found {
            variant if is_variant(variant) => Ok(variant.clone()),
            DataType::Null => Ok(variant_type()),
            other => Err(unexpected(NAME, 1, "a VARIANT", other)),
        })
        .collect()
}

fn is_valid(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [variants] = sized(arrays)?;
        let variants = variants.as_struct();
        let valid: BooleanArray = (0..variants.len())
            .map(|row| match variant_at(variants, row) {
                Ok(variant) => variant.map(|_| true),
                Err(_) => Some(false),
            })
            .collect();
        Ok(Arc::new(valid))
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, BinaryArray, StructArray};
    use arrow::datatypes::Field;
    use datafusion::common::ScalarValue;
    use datafusion::config::ConfigOptions;

    use super::*;

    fn valid(metadata: &[u8], value: &[u8]) -> ScalarValue {
        let DataType::Struct(fields) = variant_type() else {
            panic!("a variant is a struct");
        };
        let bytes: Vec<ArrayRef> = vec![
            Arc::new(BinaryArray::from(vec![metadata])),
            Arc::new(BinaryArray::from(vec![value])),
        ];
        let variant: ArrayRef = Arc::new(StructArray::new(fields, bytes, None));
        let answer = function().invoke_with_args(ScalarFunctionArgs {
            args: vec![ColumnarValue::Array(variant)],
            arg_fields: vec![Arc::new(Field::new("v", variant_type(), true))],
            number_rows: 1,
            return_field: Arc::new(Field::new(NAME, DataType::Boolean, true)),
            config_options: Arc::new(ConfigOptions::default()),
        });
        let answers = answer.and_then(|answer| answer.into_array(1)).expect("an answer");
        ScalarValue::try_from_array(&answers, 0).expect("a value")
    }

    #[test]
    fn malformed_bytes_are_not_valid() {
        let (yes, no) = (ScalarValue::from(true), ScalarValue::from(false));
        assert_eq!(valid(&[1, 0, 0], &[0]), yes);
        assert_eq!(valid(&[1, 0, 0], &[]), no);
        assert_eq!(valid(&[], &[0]), no);
        assert_eq!(valid(&[2, 0, 0], &[0]), no);
        // An object of 255 fields, of which there are none.
        assert_eq!(valid(&[1, 0, 0], &[2, 255, 0, 0]), no);
        // A name that the metadata has not.
        assert_eq!(valid(&[1, 0, 0], &[2, 1, 0, 0, 1, 0]), no);
        // A short text that is no UTF-8.
        assert_eq!(valid(&[1, 0, 0], &[5, 0xff]), no);
    }
}
