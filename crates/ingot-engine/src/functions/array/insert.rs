//! `array_append(a, x)`, `array_prepend(a, x)` and `array_insert(a, place, x)`.
//!
//! A place counts from 1, or from the end where -1 is behind the last item; what lies between the array and a place
//! beyond its ends is filled with nulls.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::element::zero_index;
use crate::error::condition;
use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{Gathered, immutable, items, items_at, list_of, sized};
use crate::functions::common_type::common_type;
use crate::functions::function::Returns;

/// Items of an array, at most. Source: Spark, `ByteArrayMethods.MAX_ROUNDED_ARRAY_LENGTH`.
const ITEMS_MAX: usize = 2_147_483_632;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let first = || Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Null)));
    vec![
        immutable(
            "array_append",
            |types| with_item("array_append", types),
            first(),
            |arguments| at_end(arguments, End::Last),
        ),
        immutable(
            "array_prepend",
            |types| with_item("array_prepend", types),
            first(),
            |arguments| at_end(arguments, End::First),
        ),
        immutable("array_insert", with_place, first(), insert),
    ]
}

fn with_item(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 2, 2)?;
    let item = common_type(function, [&items(function, 1, &types[0])?, &types[1]])?;
    Ok(vec![list_of(item.clone()), item])
}

fn with_place(types: &[DataType]) -> Result<Vec<DataType>> {
    const NAME: &str = "array_insert";
    count(NAME, types, 3, 3)?;
    let item = common_type(NAME, [&items(NAME, 1, &types[0])?, &types[2]])?;
    Ok(vec![list_of(item.clone()), DataType::Int32, item])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

fn at_end(arguments: &ScalarFunctionArgs, end: End) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [list, item] = sized(arrays)?;
        let list = list.as_list::<i32>();
        let mut result = Gathered::new(list.len());
        for row in 0..list.len() {
            let Some(items) = items_at(list, row) else {
                result.null()?;
                continue;
            };
            if end == End::First {
                result.push(1, row);
            }
            result.extend(0, items);
            if end == End::Last {
                result.push(1, row);
            }
            result.end()?;
        }
        result.finish(item.data_type(), &[Arc::clone(list.values()), Arc::clone(item)])
    })
}

fn insert(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [list, places, item] = sized(arrays)?;
        let (list, places) = (list.as_list::<i32>(), places.as_primitive::<Int32Type>());
        let mut result = Gathered::new(list.len());
        for row in 0..list.len() {
            let items = items_at(list, row).filter(|_| places.is_valid(row));
            let Some(items) = items else {
                result.null()?;
                continue;
            };
            let layout = Layout::of(places.value(row), items.len())?;
            let split = items.start + layout.before;
            result.extend(0, items.start..split);
            result.repeat(2, 0, layout.nulls_before)?;
            result.push(1, row);
            result.repeat(2, 0, layout.nulls_after)?;
            result.extend(0, split..items.end);
            result.end()?;
        }
        let null: ArrayRef = new_null_array(item.data_type(), 1);
        result.finish(
            item.data_type(),
            &[Arc::clone(list.values()), Arc::clone(item), null],
        )
    })
}

/// Where an item goes in an array.
struct Layout {
    /// Items of the array before it.
    before: usize,
    nulls_before: usize,
    nulls_after: usize,
}

impl Layout {
    fn of(place: i32, length: usize) -> Result<Self> {
        let distance = place.unsigned_abs() as usize;
        if distance.max(length + 1) > ITEMS_MAX {
            return Err(condition(
                "COLLECTION_SIZE_LIMIT_EXCEEDED.FUNCTION",
                "54000",
                format!("`array_insert` makes no array of more than {ITEMS_MAX} elements"),
            ));
        }
        let none = Self {
            before: 0,
            nulls_before: 0,
            nulls_after: 0,
        };
        match place {
            0 => Err(zero_index()),
            1.. => {
                let before = (distance - 1).min(length);
                Ok(Self {
                    before,
                    nulls_before: distance - 1 - before,
                    ..none
                })
            }
            _ => match (length + 1).checked_sub(distance) {
                Some(before) => Ok(Self { before, ..none }),
                None => Ok(Self {
                    nulls_after: distance - length - 1,
                    ..none
                }),
            },
        }
    }
}
