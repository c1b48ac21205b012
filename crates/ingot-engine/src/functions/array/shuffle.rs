//! `shuffle(a[, seed])`: the items of an array in another order.
//!
//! `datafusion-spark`'s reads past the end of the items where an array is null. Source: Spark, `Shuffle`.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, Volatility};
use ingot_common::clock;

use crate::functions::arguments::count;
use crate::functions::collection::{Gathered, items, items_at, list_of};
use crate::functions::function::{Function, Returns};
use crate::functions::misc::random::Generator;
use crate::functions::room::column;

const NAME: &str = "shuffle";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let first = Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Null)));
    vec![
        Function::pure(NAME, arguments, first, shuffle)
            .changing(Volatility::Volatile)
            .udf(),
    ]
}

fn arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    count(NAME, types, 1, 2)?;
    let list = list_of(items(NAME, 1, &types[0])?);
    Ok([list, DataType::Int64].into_iter().take(types.len()).collect())
}

fn shuffle(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    // Each row has an order of its own, also where all have the same array.
    let rows = arguments.number_rows;
    let Some(list) = arguments.args.first() else {
        return Err(DataFusionError::Internal("no array".to_owned()));
    };
    let list = column(list, rows)?;
    let list = list.as_list::<i32>();
    let seeds = arguments
        .args
        .get(1)
        .map(|seeds| seeds.to_array(rows))
        .transpose()?;
    let seed = seeds.and_then(|seeds| {
        let seeds = seeds.as_primitive::<Int64Type>();
        (!seeds.is_empty() && seeds.is_valid(0)).then(|| seeds.value(0))
    });
    let seed = seed.unwrap_or_else(|| clock::random_below(u64::MAX).cast_signed());
    let mut random = Generator::new(seed);
    let mut result = Gathered::new(list.len());
    for row in 0..list.len() {
        let Some(items) = items_at(list, row) else {
            result.null()?;
            continue;
        };
        let mut items: Vec<usize> = items.collect();
        for last in (1..items.len()).rev() {
            items.swap(last, random.up_to(last));
        }
        result.extend(0, items);
        result.end()?;
    }
    let shuffled = result.finish(list.values().data_type(), &[Arc::clone(list.values())])?;
    Ok(ColumnarValue::Array(shuffled))
}
