//! HyperLogLog sketches, which say how many different values a group has: `hll_sketch_agg`, `hll_union_agg`,
//! `hll_sketch_estimate`, `hll_union`.
//!
//! They are written in the compact form, where Spark writes the updatable one; both are read, here and there. Source:
//! Spark, `datasketchesAggregates`, `datasketchesExpressions`; DataSketches, HLL `PreambleUtil`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllType, HllUnion};

use super::aggregate::{Aggregate, Constant, Summary, each};
use super::{expected, joined, numbers, rounded};
use crate::error::condition;
use crate::functions::arguments::over_arrays;
use crate::functions::collection::{immutable, sized};
use crate::functions::function::Returns;

const SKETCH: &str = "hll_sketch_agg";
const UNION_OF_GROUP: &str = "hll_union_agg";
const ESTIMATE: &str = "hll_sketch_estimate";
const UNION: &str = "hll_union";

const LG_K_DEFAULT: u8 = 12;
const LG_K_MIN: u8 = 4;
const LG_K_MAX: u8 = 21;

/// The largest value of a register: 64 bits of a hash have no more zeros in front.
const REGISTER_MAX: u8 = 63;

pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    const VALUES: [DataType; 4] = [DataType::Int32, DataType::Int64, DataType::Utf8, DataType::Binary];
    let sketch = Aggregate {
        name: SKETCH,
        arguments: |types| expected(SKETCH, types, 1, &[&VALUES, &[DataType::Int32]]),
        returns: |_| DataType::Binary,
        start: |arguments| {
            let sketch = HllSketch::new(lg_k(arguments)?, HllType::Hll8).map_err(|_| invalid(SKETCH))?;
            Ok(Box::new(Distinct(sketch)))
        },
    };
    let union = Aggregate {
        name: UNION_OF_GROUP,
        arguments: |types| {
            expected(
                UNION_OF_GROUP,
                types,
                1,
                &[&[DataType::Binary], &[DataType::Boolean]],
            )
        },
        returns: |_| DataType::Binary,
        start: |arguments| {
            let allowed = Constant::Value(ScalarValue::Boolean(Some(true)));
            Ok(Box::new(Union {
                different_allowed: Constant::of(arguments, 1) == allowed,
                union: None,
            }))
        },
    };
    vec![sketch.udaf(), union.udaf()]
}

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            ESTIMATE,
            |types| expected(ESTIMATE, types, 1, &[&[DataType::Binary]]),
            Returns::Always(DataType::Int64),
            estimate,
        ),
        immutable(
            UNION,
            |types| {
                let (sketch, flag) = ([DataType::Binary], [DataType::Boolean]);
                expected(UNION, types, 2, &[&sketch, &sketch, &flag])
            },
            Returns::Always(DataType::Binary),
            union,
        ),
    ]
}

/// Reads how many registers a call asks for.
fn lg_k(arguments: &AccumulatorArgs<'_>) -> Result<u8> {
    let lg_k = match Constant::of(arguments, 1) {
        Constant::Absent => return Ok(LG_K_DEFAULT),
        Constant::Value(ScalarValue::Int32(Some(lg_k))) => lg_k,
        // Spark reads a NULL as 0.
        Constant::Value(_) => 0,
        Constant::Varying => {
            let message = format!("`lgConfigK` of `{SKETCH}` has to be a constant");
            return Err(condition("HLL_K_MUST_BE_CONSTANT", "42K0E", message));
        }
    };
    let found = u8::try_from(lg_k).ok();
    found
        .filter(|found| (LG_K_MIN..=LG_K_MAX).contains(found))
        .ok_or_else(|| {
            condition(
                "HLL_INVALID_LG_K",
                "22546",
                format!("`lgConfigK` of `{SKETCH}` is from {LG_K_MIN} to {LG_K_MAX}, not {lg_k}"),
            )
        })
}

fn invalid(function: &str) -> DataFusionError {
    condition(
        "HLL_INVALID_INPUT_SKETCH_BUFFER",
        "22546",
        format!("`{function}` takes sketches that `{SKETCH}` makes, and this is none"),
    )
}

/// Refuses sketches of different sizes, unless a call allows them.
fn check_sizes(function: &str, different_allowed: bool, left: u8, right: u8) -> Result<()> {
    if different_allowed || left == right {
        return Ok(());
    }
    Err(condition(
        "HLL_UNION_DIFFERENT_LG_K",
        "22000",
        format!(
            "`{function}` has sketches with the `lgConfigK` {left} and {right}; set `allowDifferentLgConfigK` to true"
        ),
    ))
}

/// Reads a sketch.
///
/// # Errors
/// `HLL_INVALID_INPUT_SKETCH_BUFFER`.
fn read(function: &str, bytes: &[u8]) -> Result<HllSketch> {
    let sketch = sound(bytes).then(|| HllSketch::deserialize(bytes));
    sketch
        .and_then(|sketch| sketch.ok())
        .ok_or_else(|| invalid(function))
}

/// Says if a binary agrees with itself in what `HllSketch` takes as given.
fn sound(bytes: &[u8]) -> bool {
    let [_, _, _, lg_k, lg_size, flags, count, mode, rest @ ..] = bytes else {
        return false;
    };
    let compact = flags & 8 != 0;
    match mode & 3 {
        0 => coupons_agree(rest, u32::from(*count), *lg_size, compact),
        1 => match rest.split_first_chunk() {
            Some((count, coupons)) => coupons_agree(coupons, u32::from_le_bytes(*count), *lg_size, compact),
            None => false,
        },
        2 => registers_agree(rest, *lg_k, (mode >> 2) & 3, *count),
        _ => false,
    }
}

/// Says if there are as many coupons as are told: an empty one is zero.
fn coupons_agree(coupons: &[u8], count: u32, lg_size: u8, compact: bool) -> bool {
    let count = usize::try_from(count).ok();
    let slots = match compact {
        true => count,
        false => 1_usize.checked_shl(u32::from(lg_size)),
    };
    let present = coupons.chunks_exact(4).take(slots.unwrap_or_default());
    Some(present.filter(|coupon| *coupon != [0; 4]).count()) == count
}

/// Says if the sums of registers are numbers, and the registers in range.
fn registers_agree(rest: &[u8], lg_k: u8, width: u8, least: u8) -> bool {
    let Some((header, registers)) = rest.split_at_checked(32) else {
        return false;
    };
    let mut sums = header
        .as_chunks::<8>()
        .0
        .iter()
        .map(|sum| f64::from_le_bytes(*sum));
    let (Some(seen), Some(large), Some(small)) = (sums.next(), sums.next(), sums.next()) else {
        return false;
    };
    let finite = seen.is_finite() && large.is_finite() && small.is_finite() && large + small > 0.0;
    let count = 1_usize.checked_shl(u32::from(lg_k)).unwrap_or_default();
    finite
        && match width {
            // Of four bits, and more than the least.
            0 => least <= REGISTER_MAX - 0xf,
            2 => registers
                .iter()
                .take(count)
                .all(|register| *register <= REGISTER_MAX),
            _ => true,
        }
}

fn new_union(function: &str, lg_k: u8) -> Result<HllUnion> {
    HllUnion::new(lg_k).map_err(|_| invalid(function))
}

/// The values of a group.
#[derive(Debug)]
struct Distinct(HllSketch);

impl Summary for Distinct {
    /// Adds values by the hash of their bytes, numbers as BIGINT; empty texts and binaries are none.
    fn update(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let Some(values) = columns.first() else {
            return Ok(());
        };
        let sketch = &mut self.0;
        match values.data_type() {
            DataType::Int32 => {
                let values = values.as_primitive::<Int32Type>().iter().flatten();
                values.for_each(|value| sketch.update(i64::from(value)));
            }
            DataType::Int64 => {
                let values = values.as_primitive::<Int64Type>().iter().flatten();
                values.for_each(|value| sketch.update(value));
            }
            DataType::Utf8 => {
                let values = values.as_string::<i32>().iter().flatten();
                let values = values.filter(|value| !value.is_empty());
                values.for_each(|value| sketch.update(raw_bytes::from_str(value)));
            }
            _ => {
                let values = values.as_binary::<i32>().iter().flatten();
                let values = values.filter(|value| !value.is_empty());
                values.for_each(|value| sketch.update(raw_bytes::from_slice(value)));
            }
        }
        Ok(())
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        let mut union = new_union(SKETCH, self.0.lg_config_k())?;
        union.update(&self.0);
        union.update(&read(SKETCH, state)?);
        self.0 = union.to_sketch(HllType::Hll8);
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.0.serialize())
    }

    fn bytes(&self) -> usize {
        self.0.estimated_size()
    }
}

/// The sketches of a group.
#[derive(Debug)]
struct Union {
    different_allowed: bool,
    /// Of the first sketch's size; none before it.
    union: Option<HllUnion>,
}

impl Union {
    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let sketch = read(UNION_OF_GROUP, bytes)?;
        let lg_k = sketch.lg_config_k();
        let mut union = match self.union.take() {
            Some(union) => union,
            None => new_union(UNION_OF_GROUP, lg_k)?,
        };
        check_sizes(UNION_OF_GROUP, self.different_allowed, union.lg_config_k(), lg_k)?;
        union.update(&sketch);
        self.union = Some(union);
        Ok(())
    }
}

impl Summary for Union {
    fn update(&mut self, columns: &[ArrayRef]) -> Result<()> {
        each(columns, |sketch| self.add(sketch))
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        self.add(state)
    }

    /// Returns nothing for a group without sketches, which has no size.
    fn state(&mut self) -> Result<Vec<u8>> {
        let union = self.union.as_ref();
        Ok(union.map_or_else(Vec::new, |union| union.to_sketch(HllType::Hll8).serialize()))
    }

    fn result(&mut self) -> Result<ScalarValue> {
        let union = match &self.union {
            Some(union) => union.clone(),
            None => new_union(UNION_OF_GROUP, LG_K_DEFAULT)?,
        };
        Ok(ScalarValue::Binary(Some(
            union.to_sketch(HllType::Hll8).serialize(),
        )))
    }

    fn bytes(&self) -> usize {
        self.union.as_ref().map_or(0, HllUnion::estimated_size)
    }
}

fn estimate(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [sketches] = sized(arrays)?;
        numbers(sketches, |bytes| Ok(rounded(read(ESTIMATE, bytes)?.estimate())))
    })
}

fn union(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [left, right, flags @ ..] = arrays else {
            return Err(DataFusionError::Internal("two sketches are needed".to_owned()));
        };
        let flags = flags.first().map(|flags| flags.as_boolean());
        joined(left, right, |row, left, right| {
            let different_allowed = match flags {
                Some(flags) if flags.is_null(row) => return Ok(None),
                Some(flags) => flags.value(row),
                None => false,
            };
            let (left, right) = (read(UNION, left)?, read(UNION, right)?);
            let sizes = [left.lg_config_k(), right.lg_config_k()];
            check_sizes(UNION, different_allowed, sizes[0], sizes[1])?;
            let mut union = new_union(UNION, sizes[0].min(sizes[1]))?;
            union.update(&left);
            union.update(&right);
            Ok(Some(union.to_sketch(HllType::Hll8).serialize()))
        })
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::Int32Array;

    use super::super::tests::garbled;
    use super::*;

    fn sketch(lg_k: u8, hll_type: HllType, values: i64) -> HllSketch {
        let mut sketch = HllSketch::new(lg_k, hll_type).expect("sketch");
        (0..values).for_each(|value| sketch.update(value));
        sketch
    }

    #[test]
    fn small_sketch_has_the_preamble_of_datasketches_and_round_trips() {
        let bytes = sketch(12, HllType::Hll8, 3).serialize();
        // Two ints, version 1, family 7, lgK 12, a list of 2^3, compact, three coupons, LIST of HLL_8.
        assert_eq!(bytes[..8], [2, 1, 7, 12, 3, 8, 3, 8]);
        assert_eq!(bytes.len(), 8 + 3 * 4);
        let read = read(ESTIMATE, &bytes).expect("sketch");
        assert_eq!(read.serialize(), bytes);
        assert_eq!(rounded(read.estimate()), 3);
    }

    #[test]
    fn states_of_partitions_are_merged() {
        let start = || Distinct(HllSketch::new(12, HllType::Hll8).expect("sketch"));
        let (mut whole, mut left, mut right) = (start(), start(), start());
        let column = |values: Vec<Option<i32>>| -> ArrayRef { Arc::new(Int32Array::from(values)) };
        left.update(&[column(vec![Some(1), Some(2), None])])
            .expect("update");
        right.update(&[column(vec![Some(2), Some(3)])]).expect("update");
        for part in [&mut left, &mut right] {
            whole.merge(&part.state().expect("state")).expect("merge");
        }
        assert_eq!(rounded(whole.0.estimate()), 3);
    }

    #[test]
    fn garbled_sketches_are_refused_or_read_and_never_panic() {
        let sketches = [
            sketch(8, HllType::Hll8, 5),
            sketch(10, HllType::Hll8, 60),
            sketch(4, HllType::Hll8, 200),
            sketch(4, HllType::Hll6, 200),
            sketch(5, HllType::Hll4, 5000),
        ];
        for sketch in sketches {
            let mut union = Union {
                different_allowed: true,
                union: None,
            };
            garbled(&sketch.serialize(), |bytes| {
                if let Ok(read) = read(ESTIMATE, bytes) {
                    rounded(read.estimate());
                    union.add(bytes).expect("a sketch that is read");
                    union.result().expect("result");
                }
            });
            let cut = sketch.serialize();
            let error = read(ESTIMATE, &cut[..cut.len() - 1])
                .expect_err("cut")
                .to_string();
            assert!(error.contains(ESTIMATE), "{error}");
        }
    }
}
