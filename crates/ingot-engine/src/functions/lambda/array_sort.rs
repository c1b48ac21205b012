//! `array_sort(a)`, with nulls last, and `array_sort(a, (x, y) -> …)`, whose function gives a negative number, zero or a
//! positive one for an item that comes before, with or behind another.
//!
//! All arrays of a batch are sorted at once by merging ever longer runs: in each step every pair of runs has one pair of
//! items compared. Items that are alike keep their order.

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::error::Result;

use super::higher_order::{Call, HigherOrder, Items};
use crate::error::condition;
use crate::functions::arguments::{count, unexpected};
use crate::functions::collection::{Gathered, item_type, items, keys, list_of};

const NAME: &str = "array_sort";

pub(super) fn functions() -> Vec<HigherOrder> {
    vec![HigherOrder {
        name: NAME,
        aliases: &[],
        lambdas: 0..=1,
        values: |types| {
            count(NAME, types, 1, 1)?;
            Ok(vec![list_of(items(NAME, 1, &types[0])?)])
        },
        parameters: |values| {
            let item = values.first().and_then(item_type).unwrap_or(DataType::Null);
            vec![vec![item.clone(), item]]
        },
        returns: |values, lambdas| match lambdas.first() {
            Some(order) if order != &DataType::Int32 && !order.is_null() => {
                Err(unexpected(NAME, 2, "a function that gives an INT", order))
            }
            _ => Ok(values.first().cloned().unwrap_or(DataType::Null)),
        },
        invoke: sort,
    }]
}

fn sort(call: &Call<'_>) -> Result<ArrayRef> {
    let items = Items::of_list(&call.values[0])?;
    let order = match call.has_lambda(0) {
        true => by_lambda(call, &items)?,
        false => natural(&items)?,
    };
    let mut result = Gathered::new(items.len());
    for row in 0..items.len() {
        match items.at(row) {
            Some(places) => {
                result.extend(0, order[places].iter().copied());
                result.end()?;
            }
            None => result.null()?,
        }
    }
    result.finish(items.columns[0].data_type(), &items.columns[..1])
}

/// Returns the items in their order, those of each row in its place.
fn natural(items: &Items) -> Result<Vec<usize>> {
    let values = &items.columns[0];
    let keys = keys(values)?;
    let mut order: Vec<usize> = (0..values.len()).collect();
    for places in (0..items.len()).filter_map(|row| items.at(row)) {
        order[places].sort_by(|x, y| {
            let nulls_last = values.is_null(*x).cmp(&values.is_null(*y));
            nulls_last.then_with(|| keys.row(*x).cmp(&keys.row(*y)))
        });
    }
    Ok(order)
}

fn by_lambda(call: &Call<'_>, items: &Items) -> Result<Vec<usize>> {
    let mut order: Vec<usize> = (0..items.rows.len()).collect();
    let longest = items.offsets.lengths().max().unwrap_or(0);
    let mut width = 1;
    while width < longest {
        let mut merges = Vec::new();
        for places in (0..items.len()).filter_map(|row| items.at(row)) {
            for start in places.clone().step_by(2 * width) {
                let middle = (start + width).min(places.end);
                let end = (middle + width).min(places.end);
                merges.push(Merge::new(
                    order[start..middle].to_vec(),
                    order[middle..end].to_vec(),
                    start,
                ));
            }
        }
        merge_all(call, items, &mut merges)?;
        for merge in merges {
            let end = merge.start + merge.merged.len();
            order[merge.start..end].copy_from_slice(&merge.merged);
        }
        width *= 2;
    }
    Ok(order)
}

/// Two sorted runs that become one.
struct Merge {
    left: Vec<usize>,
    right: Vec<usize>,
    taken: (usize, usize),
    merged: Vec<usize>,
    /// Where the runs are in the order.
    start: usize,
}

impl Merge {
    fn new(left: Vec<usize>, right: Vec<usize>, start: usize) -> Self {
        Self {
            merged: Vec::with_capacity(left.len() + right.len()),
            left,
            right,
            taken: (0, 0),
            start,
        }
    }

    /// Returns the items to compare; `None` when one run is empty.
    fn pair(&self) -> Option<(usize, usize)> {
        Some((*self.left.get(self.taken.0)?, *self.right.get(self.taken.1)?))
    }

    fn take(&mut self, left: bool) {
        let (run, taken) = match left {
            true => (&self.left, &mut self.taken.0),
            false => (&self.right, &mut self.taken.1),
        };
        self.merged.extend(run.get(*taken));
        *taken += 1;
    }

    fn finish(&mut self) {
        let left = self.left.get(self.taken.0..).unwrap_or_default();
        let right = self.right.get(self.taken.1..).unwrap_or_default();
        self.merged.extend(left.iter().chain(right));
    }
}

fn merge_all(call: &Call<'_>, items: &Items, merges: &mut [Merge]) -> Result<()> {
    loop {
        let pending: Vec<(usize, (usize, usize))> = merges
            .iter()
            .enumerate()
            .filter_map(|(merge, runs)| Some((merge, runs.pair()?)))
            .collect();
        if pending.is_empty() {
            break;
        }
        let pairs: Vec<(usize, usize)> = pending.iter().map(|(_, pair)| *pair).collect();
        let order = compared(call, items, &pairs)?;
        for ((merge, _), order) in pending.iter().zip(order.values()) {
            merges[*merge].take(*order <= 0);
        }
    }
    merges.iter_mut().for_each(Merge::finish);
    Ok(())
}

/// Asks the lambda about pairs of items.
fn compared(call: &Call<'_>, items: &Items, pairs: &[(usize, usize)]) -> Result<Int32Array> {
    let indices = |side: fn(&(usize, usize)) -> usize| -> UInt32Array {
        let indices = pairs
            .iter()
            .map(|pair| u32::try_from(side(pair)).unwrap_or(u32::MAX));
        indices.collect::<Vec<u32>>().into()
    };
    let (left, right) = (indices(|pair| pair.0), indices(|pair| pair.1));
    let parameters = [
        take(&items.columns[0], &left, None)?,
        take(&items.columns[0], &right, None)?,
    ];
    let rows = take(&items.rows, &left, None)?;
    let order = call.evaluate(0, &parameters, rows.as_primitive())?;
    let order = cast(&order, &DataType::Int32)?;
    if order.null_count() > 0 {
        return Err(condition(
            "COMPARATOR_RETURNS_NULL",
            "22004",
            "the function of `array_sort` gave NULL for a pair of items".to_owned(),
        ));
    }
    Ok(order.as_primitive::<Int32Type>().clone())
}
