//! `flatten(a)` and `slice(a, start, length)`.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::error::condition;
use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{Gathered, immutable, item_type, items, items_at, list_of, sized};
use crate::functions::function::Returns;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            "flatten",
            |types| {
                count("flatten", types, 1, 1)?;
                let inner = items("flatten", 1, &types[0])?;
                let item = items("flatten", 1, &inner)?;
                Ok(vec![list_of(list_of(item))])
            },
            Returns::Of(|types| Ok(types.first().and_then(item_type).unwrap_or(DataType::Null))),
            flatten,
        ),
        immutable(
            "slice",
            |types| {
                count("slice", types, 3, 3)?;
                let list = list_of(items("slice", 1, &types[0])?);
                Ok(vec![list, DataType::Int32, DataType::Int32])
            },
            Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Null))),
            slice,
        ),
    ]
}

/// An array of which one is null gives null.
fn flatten(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [outer] = sized(arrays)?;
        let outer = outer.as_list::<i32>();
        let inner = outer.values().as_list::<i32>();
        let mut result = Gathered::new(outer.len());
        for row in 0..outer.len() {
            let lists: Option<Vec<Range<usize>>> =
                items_at(outer, row).and_then(|lists| lists.map(|list| items_at(inner, list)).collect());
            match lists {
                Some(lists) => {
                    lists.into_iter().for_each(|items| result.extend(0, items));
                    result.end()?;
                }
                None => result.null()?,
            }
        }
        result.finish(inner.values().data_type(), &[Arc::clone(inner.values())])
    })
}

fn slice(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [list, starts, lengths] = sized(arrays)?;
        let list = list.as_list::<i32>();
        let (starts, lengths) = (
            starts.as_primitive::<Int32Type>(),
            lengths.as_primitive::<Int32Type>(),
        );
        let mut result = Gathered::new(list.len());
        for row in 0..list.len() {
            let known = starts.is_valid(row) && lengths.is_valid(row);
            let Some(items) = items_at(list, row).filter(|_| known) else {
                result.null()?;
                continue;
            };
            let part = part(items.len(), starts.value(row), lengths.value(row))?;
            result.extend(0, items.start + part.start..items.start + part.end);
            result.end()?;
        }
        result.finish(list.values().data_type(), &[Arc::clone(list.values())])
    })
}

fn part(items: usize, start: i32, length: i32) -> Result<Range<usize>> {
    let Ok(length) = usize::try_from(length) else {
        return Err(invalid(
            "INVALID_PARAMETER_VALUE.LENGTH",
            format!("the length of `slice` is not negative, as {length} is"),
        ));
    };
    let distance = start.unsigned_abs() as usize;
    let first = match start {
        0 => {
            let message = "the start of `slice` counts from 1, or from -1 at the end, and is not 0";
            return Err(invalid("INVALID_PARAMETER_VALUE.START", message.to_owned()));
        }
        1.. => Some(distance - 1),
        _ => items.checked_sub(distance),
    };
    Ok(match first {
        Some(first) if first < items => first..items.min(first + length),
        _ => 0..0,
    })
}

fn invalid(name: &'static str, message: String) -> DataFusionError {
    condition(name, "22023", message)
}
