//! VARIANT: values that know their types themselves. Source: Spark SQL, "Variant functions"; Parquet, "Variant Binary
//! Encoding".
//!
//! A column of variants is a struct of two columns of bytes, `metadata` and `value`; the first carries a mark, so that
//! no struct of a user is taken for one.

pub(crate) mod cast;
mod edit;
mod encode;
mod explode;
mod extract;
mod json;
mod make;
pub(crate) mod merged_schema;
mod path;
mod questions;
mod valid;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, NullBufferBuilder, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::Result;
use datafusion::logical_expr::ScalarUDF;
use parquet_variant::Variant;

pub(crate) use self::explode::{PART, variant_parts};
pub(crate) use self::extract::COLON;
pub(crate) use self::json::write_json;
use crate::error::condition;

/// What marks the struct of a variant, in the metadata of its first field.
const MARK: &str = "ingot.variant";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = [extract::functions(), make::functions(), questions::functions()].concat();
    functions.extend(edit::functions());
    functions.push(valid::function());
    functions
}

/// The type VARIANT.
pub(crate) fn variant_type() -> DataType {
    let mark = [(MARK.to_owned(), "1".to_owned())].into();
    DataType::Struct(Fields::from(vec![
        Field::new("metadata", DataType::Binary, false).with_metadata(mark),
        Field::new("value", DataType::Binary, false),
    ]))
}

/// Says if a type is VARIANT.
pub(crate) fn is_variant(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => match fields.as_ref() {
            [metadata, _] => metadata.metadata().contains_key(MARK),
            _ => false,
        },
        _ => false,
    }
}

/// Returns the variant in a row; `None` for a null.
///
/// # Errors
/// `MALFORMED_VARIANT`.
fn variant_at<'a>(variants: &'a StructArray, row: usize) -> Result<Option<Variant<'a, 'a>>> {
    if variants.is_null(row) {
        return Ok(None);
    }
    let (metadata, value) = (
        variants.column(0).as_binary::<i32>(),
        variants.column(1).as_binary::<i32>(),
    );
    Variant::try_new(metadata.value(row), value.value(row))
        .map(Some)
        .map_err(|error| {
            condition(
                "MALFORMED_VARIANT",
                "22023",
                format!("the variant is malformed: {error}"),
            )
        })
}

/// Variants as they come.
#[derive(Default)]
struct Variants {
    metadata: BinaryBuilder,
    values: BinaryBuilder,
    nulls: Option<NullBufferBuilder>,
}

impl Variants {
    fn new(rows: usize) -> Self {
        Self {
            nulls: Some(NullBufferBuilder::new(rows)),
            ..Self::default()
        }
    }

    fn append(&mut self, metadata: &[u8], value: &[u8]) {
        self.metadata.append_value(metadata);
        self.values.append_value(value);
        self.nulls
            .get_or_insert_with(|| NullBufferBuilder::new(0))
            .append_non_null();
    }

    fn append_null(&mut self) {
        self.metadata.append_value(encode::NO_NAMES);
        self.values.append_value(encode::NULL);
        self.nulls
            .get_or_insert_with(|| NullBufferBuilder::new(0))
            .append_null();
    }

    fn finish(mut self) -> Result<ArrayRef> {
        let DataType::Struct(fields) = variant_type() else {
            return Ok(Arc::new(StructArray::new_empty_fields(0, None)));
        };
        let columns: Vec<ArrayRef> = vec![Arc::new(self.metadata.finish()), Arc::new(self.values.finish())];
        let nulls = self.nulls.as_mut().and_then(NullBufferBuilder::finish);
        Ok(Arc::new(StructArray::try_new(fields, columns, nulls)?))
    }
}
