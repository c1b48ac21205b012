//! KLL sketches, which say where values are among those of a group: `kll_sketch_agg_*`, `kll_merge_agg_*`,
//! `kll_sketch_get_n_*`, `kll_sketch_get_quantile_*`, `kll_sketch_get_rank_*`, `kll_sketch_merge_*` and
//! `kll_sketch_to_string_*`, each for BIGINT, DOUBLE and FLOAT.
//!
//! Source: Spark, `kllAggregates`, `kllExpressions`; DataSketches, `KllSketch`, `QuantilesUtil`.

pub(super) mod numbers;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use datasketches::common::SearchCriteria;
use datasketches::kll::KllSketch;

use self::numbers::{Bigints, Doubles, Floats, Numbers};
use super::aggregate::{Aggregate, Constant, Summary, each};
use super::kll_text::text;
use super::{expected, joined, mismatch};
use crate::error::condition;
use crate::functions::arguments::{count, exact, over_arrays};
use crate::functions::collection::{immutable, item_type, list_of, sized};
use crate::functions::function::Returns;

const K_DEFAULT: u16 = 200;
const K_MIN: u16 = 8;

/// How many values a sketch may have so that ranks of more digits than a double's are rounded to seven places.
const ROUNDED_MAX: f64 = 1e7;

type Sketch<N> = KllSketch<<N as Numbers>::Item>;
type Native<N> = <<N as Numbers>::Arrow as ArrowPrimitiveType>::Native;

pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let mut aggregates = aggregates_of::<Bigints>();
    aggregates.extend(aggregates_of::<Doubles>());
    aggregates.extend(aggregates_of::<Floats>());
    aggregates
}

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = functions_of::<Bigints>();
    functions.extend(functions_of::<Doubles>());
    functions.extend(functions_of::<Floats>());
    functions
}

fn aggregates_of<N: Numbers>() -> Vec<Arc<AggregateUDF>> {
    let sketch = Aggregate {
        name: N::NAMES.sketch,
        arguments: |types| {
            let mut types = expected(N::NAMES.sketch, types, 1, &[N::TAKEN, &[DataType::Int32]])?;
            if let Some(values) = types.first_mut() {
                *values = N::Arrow::DATA_TYPE;
            }
            Ok(types)
        },
        returns: |_| DataType::Binary,
        start: |arguments| {
            let k = constant_k(N::NAMES.sketch, arguments)?.unwrap_or(K_DEFAULT);
            Ok(Box::new(Values::<N>(new_sketch::<N>(N::NAMES.sketch, k)?)))
        },
    };
    let merged = Aggregate {
        name: N::NAMES.merge_of_group,
        arguments: |types| {
            let wanted: [&[DataType]; 2] = [&[DataType::Binary], &[DataType::Int32]];
            expected(N::NAMES.merge_of_group, types, 1, &wanted)
        },
        returns: |_| DataType::Binary,
        start: |arguments| {
            let k = constant_k(N::NAMES.merge_of_group, arguments)?;
            let sketch = k.map(|k| new_sketch::<N>(N::NAMES.merge_of_group, k));
            Ok(Box::new(Merged::<N>(sketch.transpose()?)))
        },
    };
    vec![sketch.udaf(), merged.udaf()]
}

fn functions_of<N: Numbers>() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            N::NAMES.count,
            |types| exact(N::NAMES.count, types, &[DataType::Binary]),
            Returns::Always(DataType::Int64),
            |arguments| {
                over_arrays(arguments, |arrays| {
                    let [sketches] = sized(arrays)?;
                    super::numbers(sketches, |bytes| {
                        let count = read::<N>(N::NAMES.count, bytes)?.n();
                        Ok(i64::try_from(count).unwrap_or(i64::MAX))
                    })
                })
            },
        ),
        immutable(
            N::NAMES.quantile,
            |types| one_or_more(N::NAMES.quantile, types, DataType::Float64),
            Returns::Of(|types| Ok(like_second(types, N::Arrow::DATA_TYPE))),
            quantiles::<N>,
        ),
        immutable(
            N::NAMES.rank,
            |types| one_or_more(N::NAMES.rank, types, N::Arrow::DATA_TYPE),
            Returns::Of(|types| Ok(like_second(types, DataType::Float64))),
            ranks::<N>,
        ),
        immutable(
            N::NAMES.merge,
            |types| exact(N::NAMES.merge, types, &[DataType::Binary, DataType::Binary]),
            Returns::Always(DataType::Binary),
            |arguments| {
                over_arrays(arguments, |arrays| {
                    let [left, right] = sized(arrays)?;
                    joined(left, right, |_, left, right| {
                        let mut sketch = read::<N>(N::NAMES.merge, left)?;
                        merge::<N>(N::NAMES.merge, &mut sketch, &read::<N>(N::NAMES.merge, right)?)?;
                        Ok(Some(sketch.serialize()))
                    })
                })
            },
        ),
        immutable(
            N::NAMES.text,
            |types| exact(N::NAMES.text, types, &[DataType::Binary]),
            Returns::Always(DataType::Utf8),
            texts::<N>,
        ),
    ]
}

/// Takes a sketch and a number or an array of numbers.
fn one_or_more(function: &str, types: &[DataType], number: DataType) -> Result<Vec<DataType>> {
    count(function, types, 2, 2)?;
    let item = types.get(1).filter(|list| list.is_list()).and_then(item_type);
    match (types, item) {
        ([sketch, _], Some(item)) => {
            exact(
                function,
                &[sketch.clone(), item],
                &[DataType::Binary, number.clone()],
            )?;
            Ok(vec![DataType::Binary, list_of(number)])
        }
        _ => exact(function, types, &[DataType::Binary, number]),
    }
}

/// Returns a type, or an array of it if the second argument is one.
fn like_second(types: &[DataType], number: DataType) -> DataType {
    match types.get(1) {
        Some(list) if list.is_list() => list_of(number),
        _ => number,
    }
}

/// Reads the size that a call asks for, none if it is left out.
fn constant_k(function: &str, arguments: &AccumulatorArgs<'_>) -> Result<Option<u16>> {
    let mismatched = |condition_name, message: String| Err(condition(condition_name, "42K09", message));
    match Constant::of(arguments, 1) {
        Constant::Absent => Ok(None),
        Constant::Value(ScalarValue::Int32(Some(k))) => {
            let found = u16::try_from(k).ok().filter(|found| *found >= K_MIN);
            let reason = || {
                format!(
                    "[KLL_SKETCH_K_OUT_OF_RANGE] `k` is from {K_MIN} to {}, not {k}",
                    u16::MAX
                )
            };
            found.map(Some).ok_or_else(|| mismatch(function, &reason()))
        }
        Constant::Value(_) => mismatched(
            "DATATYPE_MISMATCH.UNEXPECTED_NULL",
            format!("`k` of `{function}` is NULL"),
        ),
        Constant::Varying => mismatched(
            "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
            format!("`k` of `{function}` has to be a constant"),
        ),
    }
}

fn invalid(function: &str) -> DataFusionError {
    condition(
        "KLL_INVALID_INPUT_SKETCH_BUFFER",
        "22000",
        format!(
            "`{function}` takes KLL sketches of its type, with values where it asks for some; this is none"
        ),
    )
}

fn new_sketch<N: Numbers>(function: &str, k: u16) -> Result<Sketch<N>> {
    KllSketch::new(k).map_err(|_| invalid(function))
}

/// Reads a sketch.
///
/// # Errors
/// `KLL_INVALID_INPUT_SKETCH_BUFFER`.
fn read<N: Numbers>(function: &str, bytes: &[u8]) -> Result<Sketch<N>> {
    let sketch: Option<Sketch<N>> = KllSketch::deserialize(bytes).ok();
    sketch
        .filter(|sketch| countable(sketch.n(), 0))
        .ok_or_else(|| invalid(function))
}

/// Says if the counts of two sketches are one of Java's. Then the highest level is never full, which the crate takes
/// as given.
fn countable(left: u64, right: u64) -> bool {
    left.checked_add(right)
        .is_some_and(|count| i64::try_from(count).is_ok())
}

fn merge<N: Numbers>(function: &str, sketch: &mut Sketch<N>, other: &Sketch<N>) -> Result<()> {
    if !countable(sketch.n(), other.n()) {
        return Err(invalid(function));
    }
    sketch.merge(other).map_err(|_| invalid(function))
}

/// The values of a group.
#[derive(Debug)]
struct Values<N: Numbers>(Sketch<N>);

impl<N: Numbers> Summary for Values<N> {
    fn update(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let Some(values) = columns.first() else {
            return Ok(());
        };
        let values = values.as_primitive::<N::Arrow>().iter().flatten();
        values.filter_map(N::item).for_each(|item| self.0.update(item));
        Ok(())
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        let name = N::NAMES.sketch;
        merge::<N>(name, &mut self.0, &read::<N>(name, state)?)
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.0.serialize())
    }

    fn bytes(&self) -> usize {
        self.0.num_retained() * size_of::<N::Item>()
    }
}

/// The sketches of a group, none before the first if the call does not say how large the result is.
#[derive(Debug)]
struct Merged<N: Numbers>(Option<Sketch<N>>);

impl<N: Numbers> Merged<N> {
    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let name = N::NAMES.merge_of_group;
        let other = read::<N>(name, bytes)?;
        let mut sketch = match self.0.take() {
            Some(sketch) => sketch,
            None => new_sketch::<N>(name, other.k())?,
        };
        merge::<N>(name, &mut sketch, &other)?;
        self.0 = Some(sketch);
        Ok(())
    }
}

impl<N: Numbers> Summary for Merged<N> {
    fn update(&mut self, columns: &[ArrayRef]) -> Result<()> {
        each(columns, |sketch| self.add(sketch))
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        self.add(state)
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.0.as_ref().map_or_else(Vec::new, KllSketch::serialize))
    }

    fn result(&mut self) -> Result<ScalarValue> {
        let bytes = match &self.0 {
            Some(sketch) => sketch.serialize(),
            None => new_sketch::<N>(N::NAMES.merge_of_group, K_DEFAULT)?.serialize(),
        };
        Ok(ScalarValue::Binary(Some(bytes)))
    }

    fn bytes(&self) -> usize {
        let retained = self.0.as_ref().map_or(0, |sketch| sketch.num_retained());
        retained * size_of::<N::Item>()
    }
}

/// Returns the value at a share of the values, which is from 0 to 1.
fn quantile<N: Numbers>(sketch: &Sketch<N>, share: f64) -> Result<Native<N>> {
    let name = N::NAMES.quantile;
    if !(0.0..=1.0).contains(&share) {
        return Err(condition(
            "KLL_SKETCH_INVALID_QUANTILE_RANGE",
            "22003",
            format!("`{name}` takes ranks from 0 to 1, not {share}"),
        ));
    }
    let count = sketch.n() as f64;
    let mut place = share * count;
    if count <= ROUNDED_MAX {
        place = (place * ROUNDED_MAX).round() / ROUNDED_MAX;
    }
    let place = place.ceil();
    let item = if place <= 1.0 {
        sketch.min_item().cloned()
    } else if place >= count {
        sketch.max_item().cloned()
    } else {
        // Half a place before it, so that what the division leaves out does not matter.
        let share = (place - 0.5) / count;
        sketch
            .quantile(share, SearchCriteria::Inclusive)
            .map_err(|_| invalid(name))?
    };
    item.map(|item| N::value(&item)).ok_or_else(|| invalid(name))
}

/// Returns which share of the values is at most a value; all of them for what is no number.
fn rank<N: Numbers>(sketch: &Sketch<N>, value: Native<N>) -> Result<f64> {
    let (Some(least), Some(largest)) = (sketch.min_item(), sketch.max_item()) else {
        return Err(invalid(N::NAMES.rank));
    };
    // What is no number is larger than all numbers.
    let Some(item) = N::item(value) else {
        return Ok(1.0);
    };
    let count = sketch.n() as f64;
    let rank = sketch.rank(&item, SearchCriteria::Inclusive).unwrap_or_default();
    // The least and the largest count even when the sketch has let go of them.
    let lowest = if item >= *least { 1.0 / count } else { 0.0 };
    let highest = if item >= *largest {
        1.0
    } else {
        (count - 1.0) / count
    };
    Ok(rank.clamp(lowest.min(highest), highest))
}

fn quantiles<N: Numbers>(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [sketches, shares] = sized(arrays)?;
        looked_up::<N, Float64Type, N::Arrow>(N::NAMES.quantile, sketches, shares, quantile::<N>)
    })
}

fn ranks<N: Numbers>(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [sketches, values] = sized(arrays)?;
        looked_up::<N, N::Arrow, Float64Type>(N::NAMES.rank, sketches, values, rank::<N>)
    })
}

/// Computes a number of each sketch and each number beside it, or an array of them.
fn looked_up<N: Numbers, From: ArrowPrimitiveType, To: ArrowPrimitiveType>(
    function: &str,
    sketches: &ArrayRef,
    asked: &ArrayRef,
    look_up: impl Fn(&Sketch<N>, From::Native) -> Result<To::Native>,
) -> Result<ArrayRef> {
    let sketches = sketches.as_binary::<i32>();
    let found = |row: usize, asked: &PrimitiveArray<From>| -> Result<PrimitiveArray<To>> {
        let sketch = read::<N>(function, sketches.value(row))?;
        let numbers = asked
            .iter()
            .map(|asked| asked.map(|asked| look_up(&sketch, asked)).transpose());
        numbers.collect()
    };
    let mut parts: Vec<Option<PrimitiveArray<To>>> = Vec::with_capacity(sketches.len());
    let lists = asked.as_list_opt::<i32>();
    for row in 0..sketches.len() {
        parts.push(match lists {
            _ if sketches.is_null(row) || asked.is_null(row) => None,
            Some(lists) => Some(found(row, lists.value(row).as_primitive())?),
            None => Some(found(row, &asked.as_primitive::<From>().slice(row, 1))?),
        });
    }
    Ok(match lists {
        Some(_) => {
            let rows = parts.iter().map(|part| part.as_ref().map(|part| part.iter()));
            let lists = ListArray::from_iter_primitive::<To, _, _>(rows);
            // Its items have another name.
            cast(&lists, &list_of(To::DATA_TYPE))?
        }
        None => {
            let numbers = parts.iter().map(|part| part.as_ref()?.iter().next()?);
            Arc::new(numbers.collect::<PrimitiveArray<To>>())
        }
    })
}

fn texts<N: Numbers>(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [sketches] = sized(arrays)?;
        let sketches = sketches.as_binary::<i32>().iter();
        let texts = sketches.map(|bytes| {
            let sketch = bytes.map(|bytes| read::<N>(N::NAMES.text, bytes)).transpose()?;
            Ok(sketch.map(|sketch| text::<N>(&sketch)))
        });
        Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::garbled;
    use super::*;

    fn sketch(k: u16, values: i64) -> Sketch<Bigints> {
        let mut sketch = KllSketch::new(k).expect("sketch");
        (1..=values).for_each(|value| sketch.update(value));
        sketch
    }

    #[test]
    fn small_sketch_has_the_preamble_of_datasketches_and_round_trips() {
        let bytes = sketch(200, 3).serialize();
        // Five ints, version 1, family 15, k 200, m 8.
        assert_eq!(bytes[..3], [5, 1, 15]);
        assert_eq!(bytes[4..7], [200, 0, 8]);
        let read = read::<Bigints>("f", &bytes).expect("sketch");
        assert_eq!(read.serialize(), bytes);
        assert_eq!(read.n(), 3);
    }

    #[test]
    fn quantiles_and_ranks_of_few_values_are_exact() {
        let sketch = sketch(200, 100);
        let quantiles = [0.0, 0.07, 0.5, 0.501, 1.0].map(|share| quantile::<Bigints>(&sketch, share).ok());
        assert_eq!(quantiles, [Some(1), Some(7), Some(50), Some(51), Some(100)]);
        let ranks = [0, 1, 25, 100, 101].map(|value| rank::<Bigints>(&sketch, value).ok());
        assert_eq!(ranks, [Some(0.0), Some(0.01), Some(0.25), Some(1.0), Some(1.0)]);
        assert!(quantile::<Bigints>(&sketch, 1.5).is_err());
        assert!(quantile::<Bigints>(&sketch, f64::NAN).is_err());
    }

    #[test]
    fn garbled_sketches_are_refused_or_read_and_never_panic() {
        for bytes in
            [sketch(8, 0), sketch(8, 1), sketch(8, 5), sketch(8, 100)].map(|sketch| sketch.serialize())
        {
            garbled(&bytes, |bytes| {
                if let Ok(mut read) = read::<Bigints>("f", bytes) {
                    let _ = quantile::<Bigints>(&read, 0.3);
                    let _ = rank::<Bigints>(&read, 3);
                    text::<Bigints>(&read);
                    if merge::<Bigints>("f", &mut read, &sketch(8, 30)).is_ok() {
                        read.serialize();
                    }
                }
            });
            assert!(read::<Bigints>("f", &bytes[..bytes.len() - 1]).is_err());
        }
    }

    #[test]
    fn text_says_what_the_sketch_has() {
        let text = text::<Bigints>(&sketch(200, 7));
        assert!(
            text.starts_with("\n### KllKllLongsSketch Summary:\n   K                      : 200\n"),
            "{text}"
        );
        assert!(text.contains("   Free Space             : 193\n"), "{text}");
        assert!(text.contains("   Max Item               : 7\n"), "{text}");
    }
}
