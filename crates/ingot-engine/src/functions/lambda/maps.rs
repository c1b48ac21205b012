//! `map_filter(m, (k, v) -> …)`, `transform_keys(m, (k, v) -> …)`, `transform_values(m, (k, v) -> …)` and
//! `map_zip_with(m, n, (k, v, w) -> …)`, which has the keys of both maps and nulls where one has none.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, interleave, take};
use arrow::datatypes::DataType;
use datafusion::error::Result;

use super::higher_order::{Call, HigherOrder, Items, condition_lambda};
use crate::functions::arguments::count;
use crate::functions::collection::{Gathered, entries, entries_at, entry_types, keys_of, map_of, maps};
use crate::functions::common_type::common_type;

pub(super) fn functions() -> Vec<HigherOrder> {
    vec![
        HigherOrder {
            name: "map_filter",
            aliases: &[],
            lambdas: 1..=1,
            values: |types| map("map_filter", types),
            parameters,
            returns: |values, lambdas| {
                condition_lambda("map_filter", 2, lambdas)?;
                Ok(values.first().cloned().unwrap_or(DataType::Null))
            },
            invoke: filter,
        },
        HigherOrder {
            name: "transform_keys",
            aliases: &[],
            lambdas: 1..=1,
            values: |types| map("transform_keys", types),
            parameters,
            returns: |values, lambdas| Ok(map_of(nth(lambdas, 0), entry(values).1)),
            invoke: |call| transform(call, Side::Keys),
        },
        HigherOrder {
            name: "transform_values",
            aliases: &[],
            lambdas: 1..=1,
            values: |types| map("transform_values", types),
            parameters,
            returns: |values, lambdas| Ok(map_of(entry(values).0, nth(lambdas, 0))),
            invoke: |call| transform(call, Side::Values),
        },
        HigherOrder {
            name: "map_zip_with",
            aliases: &[],
            lambdas: 1..=1,
            values: two_maps,
            parameters: |values| {
                let (key, left) = entry(values);
                let right = values.get(1).and_then(entry_types).map(|(_, value)| value);
                vec![vec![key, left, right.unwrap_or(DataType::Null)]]
            },
            returns: |values, lambdas| Ok(map_of(entry(values).0, nth(lambdas, 0))),
            invoke: zip_with,
        },
    ]
}

fn map(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 1, 1)?;
    let (key, value) = entries(function, 1, &types[0])?;
    Ok(vec![map_of(key, value)])
}

fn two_maps(types: &[DataType]) -> Result<Vec<DataType>> {
    const NAME: &str = "map_zip_with";
    count(NAME, types, 2, 2)?;
    let ((left_key, left), (right_key, right)) = (entries(NAME, 1, &types[0])?, entries(NAME, 2, &types[1])?);
    let key = common_type(NAME, [&left_key, &right_key])?;
    Ok(vec![map_of(key.clone(), left), map_of(key, right)])
}

fn parameters(values: &[DataType]) -> Vec<Vec<DataType>> {
    let (key, value) = entry(values);
    vec![vec![key, value]]
}

fn entry(values: &[DataType]) -> (DataType, DataType) {
    let types = values.first().and_then(entry_types);
    types.unwrap_or((DataType::Null, DataType::Null))
}

fn nth(types: &[DataType], place: usize) -> DataType {
    types.get(place).cloned().unwrap_or(DataType::Null)
}

fn filter(call: &Call<'_>) -> Result<ArrayRef> {
    let items = Items::of_map(&call.values[0])?;
    let kept = cast(
        &call.evaluate(0, &items.columns, &items.rows)?,
        &DataType::Boolean,
    )?;
    let kept = kept.as_boolean();
    let mut result = Gathered::new(items.len());
    for row in 0..items.len() {
        match items.at(row) {
            Some(places) => {
                result.extend(0, places.filter(|item| kept.is_valid(*item) && kept.value(*item)));
                result.end()?;
            }
            None => result.null()?,
        }
    }
    let types = entry_types(call.returns).unwrap_or((DataType::Null, DataType::Null));
    result.finish_map(types, &items.columns[..1], &items.columns[1..])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Keys,
    Values,
}

fn transform(call: &Call<'_>, side: Side) -> Result<ArrayRef> {
    let items = Items::of_map(&call.values[0])?;
    let transformed = call.evaluate(0, &items.columns, &items.rows)?;
    let [keys, values] = [&items.columns[0], &items.columns[1]];
    match side {
        Side::Keys => maps::checked(transformed, Arc::clone(values), items.offsets, items.nulls),
        Side::Values => maps::unchecked(Arc::clone(keys), transformed, items.offsets, items.nulls),
    }
}

/// The entries of two maps side by side, as places in them.
#[derive(Default)]
struct Zipped {
    /// Where a key is: in the first map or the second.
    keys: Vec<(usize, usize)>,
    left: Vec<Option<u32>>,
    right: Vec<Option<u32>>,
    rows: Vec<u32>,
    lengths: Vec<usize>,
}

fn zip_with(call: &Call<'_>) -> Result<ArrayRef> {
    let (left, right): (&MapArray, &MapArray) = (call.values[0].as_map(), call.values[1].as_map());
    let zipped = zipped(left, right)?;
    let keys = match zipped.keys.is_empty() {
        true => left.keys().slice(0, 0),
        false => interleave(&[left.keys().as_ref(), right.keys().as_ref()], &zipped.keys)?,
    };
    let parameters = [
        Arc::clone(&keys),
        take(left.values(), &UInt32Array::from(zipped.left), None)?,
        take(right.values(), &UInt32Array::from(zipped.right), None)?,
    ];
    let values = call.evaluate(0, &parameters, &zipped.rows.into())?;
    let nulls = NullBuffer::union(left.nulls(), right.nulls());
    maps::unchecked(keys, values, OffsetBuffer::from_lengths(zipped.lengths), nulls)
}

fn zipped(left: &MapArray, right: &MapArray) -> Result<Zipped> {
    let [left_keys, right_keys] = keys_of([left.keys(), right.keys()])?;
    let index = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    let mut zipped = Zipped::default();
    for row in 0..left.len() {
        let start = zipped.keys.len();
        let (Some(x), Some(y)) = (entries_at(left, row), entries_at(right, row)) else {
            zipped.lengths.push(0);
            continue;
        };
        let mut places = HashMap::new();
        for entry in x {
            places.insert(left_keys.row(entry), zipped.keys.len());
            zipped.keys.push((0, entry));
            zipped.left.push(Some(index(entry)));
            zipped.right.push(None);
        }
        for entry in y {
            match places.get(&right_keys.row(entry)) {
                Some(place) => zipped.right[*place] = Some(index(entry)),
                None => {
                    zipped.keys.push((1, entry));
                    zipped.left.push(None);
                    zipped.right.push(Some(index(entry)));
                }
            }
        }
        zipped.lengths.push(zipped.keys.len() - start);
        zipped.rows.resize(zipped.keys.len(), index(row));
    }
    Ok(zipped)
}
