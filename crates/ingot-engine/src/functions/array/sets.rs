//! `array_distinct(a)`, `array_union(a, b)`, `array_intersect(a, b)` and `array_except(a, b)`: items in the order of
//! their first place, each once; nulls are equal to each other.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, ListArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{Gathered, immutable, items, items_at, keys, keys_of, list_of, sized};
use crate::functions::common_type::common_type;
use crate::functions::function::Returns;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let first = || Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Null)));
    vec![
        immutable(
            "array_distinct",
            |types| {
                count("array_distinct", types, 1, 1)?;
                Ok(vec![list_of(items("array_distinct", 1, &types[0])?)])
            },
            first(),
            distinct,
        ),
        immutable(
            "array_union",
            |types| two("array_union", types),
            first(),
            |arguments| combined(arguments, Set::Union),
        ),
        immutable(
            "array_intersect",
            |types| two("array_intersect", types),
            first(),
            |arguments| combined(arguments, Set::Intersect),
        ),
        immutable(
            "array_except",
            |types| two("array_except", types),
            first(),
            |arguments| combined(arguments, Set::Except),
        ),
    ]
}

fn two(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 2, 2)?;
    let item = common_type(
        function,
        [&items(function, 1, &types[0])?, &items(function, 2, &types[1])?],
    )?;
    Ok(vec![list_of(item); 2])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Union,
    Intersect,
    Except,
}

fn distinct(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [list] = sized(arrays)?;
        let list = list.as_list::<i32>();
        let keys = keys(list.values())?;
        let mut result = Gathered::new(list.len());
        let mut seen = HashSet::new();
        for row in 0..list.len() {
            let Some(items) = items_at(list, row) else {
                result.null()?;
                continue;
            };
            seen.clear();
            result.extend(0, items.filter(|item| seen.insert(keys.row(*item))));
            result.end()?;
        }
        result.finish(list.values().data_type(), &[Arc::clone(list.values())])
    })
}

fn combined(arguments: &ScalarFunctionArgs, set: Set) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [left, right] = sized(arrays)?;
        let (left, right): (&ListArray, &ListArray) = (left.as_list(), right.as_list());
        let [left_keys, right_keys] = keys_of([left.values(), right.values()])?;
        let mut result = Gathered::new(left.len());
        let (mut seen, mut others) = (HashSet::new(), HashSet::new());
        for row in 0..left.len() {
            let (Some(x), Some(y)) = (items_at(left, row), items_at(right, row)) else {
                result.null()?;
                continue;
            };
            seen.clear();
            others.clear();
            if set != Set::Union {
                others.extend(y.clone().map(|item| right_keys.row(item)));
            }
            let wanted = x.filter(|item| {
                let key = left_keys.row(*item);
                let member = match set {
                    Set::Union => true,
                    Set::Intersect => others.contains(&key),
                    Set::Except => !others.contains(&key),
                };
                member && seen.insert(key)
            });
            result.extend(0, wanted);
            if set == Set::Union {
                result.extend(1, y.filter(|item| seen.insert(right_keys.row(*item))));
            }
            result.end()?;
        }
        let sources = [Arc::clone(left.values()), Arc::clone(right.values())];
        result.finish(left.values().data_type(), &sources)
    })
}
