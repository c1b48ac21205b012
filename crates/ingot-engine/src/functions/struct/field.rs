//! `a.name` of an array of structs: the array of the field's values. Source: Spark, `GetArrayStructFields`.

use std::sync::Arc;

use arrow::array::Scalar;
use arrow::array::new_null_array;
use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::compute::kernels::boolean::is_not_null;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{immutable, item_type, list_of};
use crate::functions::function::Returns;

const NAME: &str = "__ingot_field_of_items";

/// Takes an array and the name of a field, which is a literal.
pub(crate) fn field_of_items() -> Arc<ScalarUDF> {
    immutable(
        NAME,
        |types| {
            count(NAME, types, 2, 2)?;
            let item = item_type(&types[0]).unwrap_or(DataType::Null);
            Ok(vec![list_of(item), DataType::Utf8])
        },
        Returns::Field(returns),
        fields,
    )
}

fn returns(arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
    let item = arguments
        .arg_fields
        .first()
        .and_then(|list| item_type(list.data_type()));
    let name = arguments.scalar_arguments.get(1).copied().flatten();
    let name = name
        .and_then(|name| name.try_as_str().flatten())
        .unwrap_or_default();
    match item {
        Some(DataType::Struct(fields)) => match fields.find(name) {
            Some((_, field)) => Ok(list_of(field.data_type().clone())),
            None => Err(DataFusionError::Plan(format!("there is no field `{name}`"))),
        },
        _ => Err(DataFusionError::Plan("only structs have fields".to_owned())),
    }
}

fn fields(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let list = arrays[0].as_list::<i32>();
        let structs = list.values().as_struct();
        let names = arrays[1].as_string::<i32>();
        let name = if names.is_empty() { "" } else { names.value(0) };
        let Some(values) = structs.column_by_name(name) else {
            return Ok(new_null_array(arguments.return_type(), list.len()));
        };
        // A null struct has null fields.
        let values: ArrayRef = match structs.null_count() {
            0 => Arc::clone(values),
            _ => {
                let null = Scalar::new(new_null_array(values.data_type(), 1));
                zip(&is_not_null(structs)?, values, &null)?
            }
        };
        let field: FieldRef = Arc::new(Field::new("element", values.data_type().clone(), true));
        Ok(Arc::new(ListArray::try_new(
            field,
            list.offsets().clone(),
            values,
            list.nulls().cloned(),
        )?))
    })
}
