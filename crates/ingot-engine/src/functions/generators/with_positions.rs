//! The elements of a list with their places, from 0: what `posexplode` makes rows of.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use crate::functions::arguments::{over_arrays, unexpected};
use crate::functions::function::{Function, Returns};

/// The fields of an element.
pub(crate) const POSITION: &str = "pos";
pub(crate) const VALUE: &str = "col";

/// Returns the function: `ARRAY<T>` to `ARRAY<STRUCT<pos: INT, col: T>>`.
pub(crate) fn with_positions() -> &'static ScalarUDF {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Function {
            name: "__ingot_with_positions",
            aliases: &[],
            volatility: Volatility::Immutable,
            arguments: |types| Ok(types.to_vec()),
            returns: Returns::Of(|types| match types {
                [DataType::List(item)] => Ok(DataType::List(Arc::new(Field::new_list_field(
                    DataType::Struct(fields(item)),
                    true,
                )))),
                types => Err(unexpected(
                    "posexplode",
                    1,
                    "an ARRAY or a MAP",
                    types.first().unwrap_or(&DataType::Null),
                )),
            }),
            invoke: |arguments| {
                over_arrays(arguments, |arrays| match arrays {
                    [lists] => positions(lists.as_list::<i32>()),
                    _ => Ok(arrow::array::new_null_array(&DataType::Null, 0)),
                })
            },
        }
        .udf()
    });
    &FUNCTION
}

fn fields(item: &Field) -> Fields {
    Fields::from(vec![
        Field::new(POSITION, DataType::Int32, false),
        Field::new(VALUE, item.data_type().clone(), true),
    ])
}

fn positions(lists: &ListArray) -> Result<ArrayRef> {
    let values = lists.values();
    let mut positions = vec![0_i32; values.len()];
    for bounds in lists.value_offsets().windows(2) {
        let [start, end] = *bounds else { continue };
        let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else {
            continue;
        };
        for (position, place) in positions.iter_mut().take(end).skip(start).zip(0_i32..) {
            *position = place;
        }
    }
    let item = Field::new_list_field(values.data_type().clone(), true);
    let fields = fields(&item);
    let elements = StructArray::try_new(
        fields.clone(),
        vec![Arc::new(Int32Array::from(positions)), Arc::clone(values)],
        None,
    )?;
    Ok(Arc::new(ListArray::try_new(
        Arc::new(Field::new_list_field(DataType::Struct(fields), true)),
        lists.offsets().clone(),
        Arc::new(elements),
        lists.nulls().cloned(),
    )?))
}
