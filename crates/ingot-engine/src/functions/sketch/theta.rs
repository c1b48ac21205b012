//! Theta sketches, which say how many different values a group has, and are united, intersected and subtracted:
//! `theta_sketch_agg`, `theta_union_agg`, `theta_intersection_agg`, `theta_sketch_estimate`, `theta_union`,
//! `theta_intersection`, `theta_difference`.
//!
//! They are written compressed, as Spark does. Source: Spark, `thetasketchesAggregates`, `thetasketchesExpressions`,
//! `ThetaSketchUtils`.

mod values;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use datasketches::theta::{
    CompactThetaSketch, ThetaANotB, ThetaIntersection, ThetaSketch, ThetaSketchBuilder, ThetaUnion,
    ThetaUnionBuilder,
};

use super::aggregate::{Aggregate, Constant, Summary, each};
use super::{expected, joined, numbers, rounded};
use crate::error::condition;
use crate::functions::arguments::over_arrays;
use crate::functions::collection::{immutable, sized};
use crate::functions::function::Returns;

const SKETCH: &str = "theta_sketch_agg";
const UNION_OF_GROUP: &str = "theta_union_agg";
const INTERSECTION_OF_GROUP: &str = "theta_intersection_agg";
const ESTIMATE: &str = "theta_sketch_estimate";
const UNION: &str = "theta_union";
const INTERSECTION: &str = "theta_intersection";
const DIFFERENCE: &str = "theta_difference";

const LG_ENTRIES_DEFAULT: u8 = 12;
/// The least that the library keeps: what asks for less has an estimate that is nearer.
const LG_ENTRIES_KEPT_MIN: u8 = 5;
const LG_ENTRIES_MIN: u8 = 4;
const LG_ENTRIES_MAX: u8 = 26;

pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let sketch = Aggregate {
        name: SKETCH,
        arguments: |types| values::arguments(SKETCH, types),
        returns: |_| DataType::Binary,
        start: |arguments| {
            let lg_entries = constant_entries(SKETCH, arguments)?;
            let sketch = ThetaSketchBuilder::default().lg_k(lg_entries).build();
            Ok(Box::new(Distinct {
                values: sketch.map_err(|_| invalid(SKETCH))?,
                others: None,
                lg_entries,
            }))
        },
    };
    let union = Aggregate {
        name: UNION_OF_GROUP,
        arguments: |types| {
            expected(
                UNION_OF_GROUP,
                types,
                1,
                &[&[DataType::Binary], &[DataType::Int32]],
            )
        },
        returns: |_| DataType::Binary,
        start: |arguments| {
            let lg_entries = constant_entries(UNION_OF_GROUP, arguments)?;
            Ok(Box::new(Union(new_union(UNION_OF_GROUP, lg_entries)?)))
        },
    };
    let intersection = Aggregate {
        name: INTERSECTION_OF_GROUP,
        arguments: |types| expected(INTERSECTION_OF_GROUP, types, 1, &[&[DataType::Binary]]),
        returns: |_| DataType::Binary,
        start: |_| Ok(Box::new(Intersection(ThetaIntersection::default()))),
    };
    vec![sketch.udaf(), union.udaf(), intersection.udaf()]
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
                let (sketch, entries) = ([DataType::Binary], [DataType::Int32]);
                expected(UNION, types, 2, &[&sketch, &sketch, &entries])
            },
            Returns::Always(DataType::Binary),
            union,
        ),
        immutable(
            INTERSECTION,
            |types| {
                expected(
                    INTERSECTION,
                    types,
                    2,
                    &[&[DataType::Binary], &[DataType::Binary]],
                )
            },
            Returns::Always(DataType::Binary),
            intersection,
        ),
        immutable(
            DIFFERENCE,
            |types| expected(DIFFERENCE, types, 2, &[&[DataType::Binary], &[DataType::Binary]]),
            Returns::Always(DataType::Binary),
            difference,
        ),
    ]
}

/// Reads how many entries a call asks for.
fn constant_entries(function: &str, arguments: &AccumulatorArgs<'_>) -> Result<u8> {
    match Constant::of(arguments, 1) {
        Constant::Absent => Ok(LG_ENTRIES_DEFAULT),
        Constant::Value(ScalarValue::Int32(Some(lg_entries))) => check_entries(function, lg_entries),
        // Spark reads a NULL as 0.
        Constant::Value(_) => check_entries(function, 0),
        Constant::Varying => {
            let message = format!("`lgNomEntries` of `{function}` has to be a constant");
            Err(condition(
                "THETA_LG_NOM_ENTRIES_MUST_BE_CONSTANT",
                "42K0E",
                message,
            ))
        }
    }
}

fn check_entries(function: &str, lg_entries: i32) -> Result<u8> {
    let found = u8::try_from(lg_entries).ok();
    let found = found.filter(|found| (LG_ENTRIES_MIN..=LG_ENTRIES_MAX).contains(found));
    let found = found.map(|found| found.max(LG_ENTRIES_KEPT_MIN));
    found.ok_or_else(|| {
        condition(
            "SKETCH_INVALID_LG_NOM_ENTRIES",
            "22546",
            format!(
                "`lgNomEntries` of `{function}` is from {LG_ENTRIES_MIN} to {LG_ENTRIES_MAX}, not {lg_entries}"
            ),
        )
    })
}

fn invalid(function: &str) -> DataFusionError {
    condition(
        "THETA_INVALID_INPUT_SKETCH_BUFFER",
        "22546",
        format!("`{function}` takes sketches that `{SKETCH}` makes, and this is none"),
    )
}

/// Reads a sketch.
///
/// # Errors
/// `THETA_INVALID_INPUT_SKETCH_BUFFER`.
fn read(function: &str, bytes: &[u8]) -> Result<CompactThetaSketch> {
    let sketch = CompactThetaSketch::deserialize(bytes).ok();
    sketch.filter(sound).ok_or_else(|| invalid(function))
}

/// Says if a sketch has no hash twice, and has them in order if it says so, which the operations take as given.
fn sound(sketch: &CompactThetaSketch) -> bool {
    let mut hashes: Vec<u64> = sketch.iter().map(|entry| entry.hash()).collect();
    if !sketch.is_ordered() {
        hashes.sort_unstable();
    }
    hashes.is_sorted_by(|left, right| left < right)
}

fn new_union(function: &str, lg_entries: u8) -> Result<ThetaUnion> {
    let union = ThetaUnionBuilder::default().lg_k(lg_entries).build();
    union.map_err(|_| invalid(function))
}

/// The values of a group.
#[derive(Debug)]
struct Distinct {
    values: ThetaSketch,
    /// What is known of other partitions.
    others: Option<ThetaUnion>,
    lg_entries: u8,
}

impl Summary for Distinct {
    fn update(&mut self, columns: &[ArrayRef]) -> Result<()> {
        columns
            .first()
            .map_or(Ok(()), |values| values::update(&mut self.values, values))
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        let sketch = read(SKETCH, state)?;
        let mut others = match self.others.take() {
            Some(others) => others,
            None => new_union(SKETCH, self.lg_entries)?,
        };
        others.update(&sketch).map_err(|_| invalid(SKETCH))?;
        self.others = Some(others);
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        self.values.trim();
        let values = self.values.compact(true);
        let Some(others) = &mut self.others else {
            return Ok(values.serialize_compressed());
        };
        others.update(&values).map_err(|_| invalid(SKETCH))?;
        Ok(others.to_sketch(true).serialize_compressed())
    }

    fn bytes(&self) -> usize {
        let others = self.others.as_ref().map_or(0, ThetaUnion::estimated_size);
        self.values.estimated_size() + others
    }
}

/// The union of a group's sketches.
#[derive(Debug)]
struct Union(ThetaUnion);

impl Summary for Union {
    fn update(&mut self, columns: &[ArrayRef]) -> Result<()> {
        each(columns, |sketch| self.merge(sketch))
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        let sketch = read(UNION_OF_GROUP, state)?;
        self.0.update(&sketch).map_err(|_| invalid(UNION_OF_GROUP))
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.0.to_sketch(true).serialize_compressed())
    }

    fn bytes(&self) -> usize {
        self.0.estimated_size()
    }
}

/// The intersection of a group's sketches.
#[derive(Debug)]
struct Intersection(ThetaIntersection);

impl Intersection {
    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let sketch = read(INTERSECTION_OF_GROUP, bytes)?;
        self.0.update(&sketch).map_err(|_| invalid(INTERSECTION_OF_GROUP))
    }
}

impl Summary for Intersection {
    fn update(&mut self, columns: &[ArrayRef]) -> Result<()> {
        each(columns, |sketch| self.add(sketch))
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        self.add(state)
    }

    /// Returns nothing for a partition without sketches, which takes nothing away.
    fn state(&mut self) -> Result<Vec<u8>> {
        let sketch = self.0.to_sketch(true);
        Ok(sketch.map_or_else(Vec::new, |sketch| sketch.serialize_compressed()))
    }

    /// Returns an empty sketch for a group without sketches, at which Spark fails without a condition.
    fn result(&mut self) -> Result<ScalarValue> {
        let bytes = match self.0.to_sketch(true) {
            Some(sketch) => sketch.serialize_compressed(),
            None => new_union(INTERSECTION_OF_GROUP, LG_ENTRIES_DEFAULT)?
                .to_sketch(true)
                .serialize_compressed(),
        };
        Ok(ScalarValue::Binary(Some(bytes)))
    }

    fn bytes(&self) -> usize {
        self.0.estimated_size()
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
        let [left, right, entries @ ..] = arrays else {
            return Err(DataFusionError::Internal("two sketches are needed".to_owned()));
        };
        let entries = entries.first().map(|entries| entries.as_primitive::<Int32Type>());
        joined(left, right, |row, left, right| {
            let lg_entries = match entries {
                Some(entries) if entries.is_null(row) => return Ok(None),
                Some(entries) => check_entries(UNION, entries.value(row))?,
                None => LG_ENTRIES_DEFAULT,
            };
            let mut union = new_union(UNION, lg_entries)?;
            for sketch in [read(UNION, left)?, read(UNION, right)?] {
                union.update(&sketch).map_err(|_| invalid(UNION))?;
            }
            Ok(Some(union.to_sketch(true).serialize_compressed()))
        })
    })
}

fn intersection(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [left, right] = sized(arrays)?;
        joined(left, right, |_, left, right| {
            let mut intersection = ThetaIntersection::default();
            for sketch in [read(INTERSECTION, left)?, read(INTERSECTION, right)?] {
                intersection.update(&sketch).map_err(|_| invalid(INTERSECTION))?;
            }
            let sketch = intersection.to_sketch(true);
            Ok(sketch.map(|sketch| sketch.serialize_compressed()))
        })
    })
}

fn difference(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [left, right] = sized(arrays)?;
        joined(left, right, |_, left, right| {
            let (left, right) = (read(DIFFERENCE, left)?, read(DIFFERENCE, right)?);
            let difference = ThetaANotB::default().compute(&left, &right, true);
            let difference = difference.map_err(|_| invalid(DIFFERENCE))?;
            Ok(Some(difference.serialize_compressed()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::garbled;
    use super::*;

    fn sketch(lg_entries: u8, values: i64) -> Vec<u8> {
        let mut sketch = ThetaSketchBuilder::default()
            .lg_k(lg_entries)
            .build()
            .expect("sketch");
        (0..values).for_each(|value| sketch.update(value));
        sketch.compact(true).serialize_compressed()
    }

    #[test]
    fn small_sketch_has_the_preamble_of_datasketches_and_round_trips() {
        let bytes = sketch(12, 3);
        // One long, version 4 (compressed), family 3 (compact).
        assert_eq!(bytes[..3], [1, 4, 3]);
        let read = read(ESTIMATE, &bytes).expect("sketch");
        assert_eq!(read.serialize_compressed(), bytes);
        assert_eq!(rounded(read.estimate()), 3);
    }

    #[test]
    fn garbled_sketches_are_refused_or_read_and_never_panic() {
        let whole = read(ESTIMATE, &sketch(12, 20)).expect("sketch");
        let uncompressed = whole.serialize();
        for bytes in [
            sketch(12, 0),
            sketch(12, 1),
            sketch(5, 300),
            sketch(12, 20),
            uncompressed,
        ] {
            let mut union = Union(new_union(UNION_OF_GROUP, 12).expect("union"));
            garbled(&bytes, |bytes| {
                let Ok(read) = read(ESTIMATE, bytes) else {
                    return;
                };
                rounded(read.estimate());
                union.merge(bytes).expect("a sketch that is read");
                union.state().expect("state");
                let mut intersection = Intersection(ThetaIntersection::default());
                intersection.add(bytes).expect("a sketch that is read");
                intersection.0.update(&whole).expect("a sketch of the same seed");
                intersection.state().expect("state");
                let difference = ThetaANotB::default().compute(&read, &whole, true);
                difference.expect("difference").serialize_compressed();
            });
            let cut = &bytes[..bytes.len() - 1];
            assert!(read(ESTIMATE, cut).is_err(), "{cut:?}");
        }
    }
}
