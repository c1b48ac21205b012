//! How `sum` adds: what does not fit into its type is an error, where DataFusion's starts again from the other end. Sums
//! of decimals that do not fit are null without ANSI mode.
//!
//! Groups add as DataFusion's do and mark what overflows; without groups, and in windows, sums are kept in more bits than
//! their type has. Spark too notices an overflow where a part of a sum does not fit. Source: Spark, `Sum`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, DecimalType, DurationMicrosecondType, Int64Type,
    IntervalUnit, IntervalYearMonthType, TimeUnit, i256,
};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;

use crate::error::condition;
use crate::functions::datetime::interval_overflow;
use crate::write::type_text;

/// Says if sums of a type are added here; others cannot overflow, or are no sums of Spark's.
pub(super) fn adds(sum: &DataType) -> bool {
    matches!(
        sum,
        DataType::Int64
            | DataType::Decimal128(..)
            | DataType::Duration(TimeUnit::Microsecond)
            | DataType::Interval(IntervalUnit::YearMonth)
    )
}

/// Says that a sum does not fit into its type.
pub(super) fn too_large(sum: &DataType) -> DataFusionError {
    match sum {
        DataType::Duration(_) | DataType::Interval(_) => interval_overflow(),
        other => condition(
            "ARITHMETIC_OVERFLOW",
            "22003",
            format!(
                "a sum does not fit into {}; use `try_sum` to get NULL instead",
                type_text(other).to_uppercase()
            ),
        ),
    }
}

/// What becomes of a sum that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    Error,
    /// Of decimals only.
    Null,
}

/// Stands for a sum of decimals that did not fit: it has more digits than any decimal.
const TOO_LARGE: i128 = i128::MAX;

/// Adds to a sum of decimals; one that did not fit once never does again.
fn add_or_mark(sum: i128, value: i128) -> i128 {
    match sum == TOO_LARGE || value == TOO_LARGE {
        true => TOO_LARGE,
        false => sum.checked_add(value).unwrap_or(TOO_LARGE),
    }
}

/// Makes a value of a type of a sum.
///
/// # Errors
/// `ARITHMETIC_OVERFLOW`, or that of intervals, where it does not fit.
fn value(sum: Option<i128>, of: &DataType) -> Result<ScalarValue> {
    let refused = |_| too_large(of);
    Ok(match of {
        DataType::Decimal128(precision, scale) => {
            if let Some(sum) = sum {
                Decimal128Type::validate_decimal_precision(sum, *precision, *scale)
                    .map_err(|_| too_large(of))?;
            }
            ScalarValue::Decimal128(sum, *precision, *scale)
        }
        DataType::Interval(_) => {
            ScalarValue::IntervalYearMonth(sum.map(i32::try_from).transpose().map_err(refused)?)
        }
        other => {
            let sum = sum.map(i64::try_from).transpose().map_err(refused)?;
            match other {
                DataType::Duration(_) => ScalarValue::DurationMicrosecond(sum),
                _ => ScalarValue::Int64(sum),
            }
        }
    })
}

/// Makes the value of a sum that is all of it, null for one that does not fit where it shall be.
fn evaluated(sum: Option<i256>, of: &DataType, overflow: Overflow) -> Result<ScalarValue> {
    let sum = sum
        .map(|sum| sum.to_i128().ok_or_else(|| too_large(of)))
        .transpose();
    match sum.and_then(|sum| value(sum, of)) {
        Err(_) if overflow == Overflow::Null => ScalarValue::try_from(of),
        made => made,
    }
}

/// Adds the values of an array that are not null.
fn added(values: &ArrayRef) -> Option<i256> {
    if values.null_count() == values.len() {
        return None;
    }
    Some(match values.data_type() {
        DataType::Decimal128(..) => decimals(values.as_primitive::<Decimal128Type>()),
        DataType::Interval(_) => {
            let values = values.as_primitive::<IntervalYearMonthType>();
            i256::from_i128(values.iter().flatten().map(i128::from).sum())
        }
        DataType::Duration(_) => i256::from_i128(longs(values.as_primitive::<DurationMicrosecondType>())),
        _ => i256::from_i128(longs(values.as_primitive::<Int64Type>())),
    })
}

/// Adds in 128 bits where they are enough, else in 256, which no number of rows fills.
fn decimals(values: &PrimitiveArray<Decimal128Type>) -> i256 {
    let narrow = values.iter().flatten().try_fold(0_i128, i128::checked_add);
    narrow.map_or_else(|| wide(values.iter().flatten()), i256::from_i128)
}

fn wide(values: impl Iterator<Item = i128>) -> i256 {
    values.fold(i256::ZERO, |sum, value| sum.wrapping_add(i256::from_i128(value)))
}

/// Adds in two halves, each of which fits into 64 bits: several at a time.
fn longs<T: ArrowPrimitiveType<Native = i64>>(values: &PrimitiveArray<T>) -> i128 {
    const ROWS: usize = 1 << 16;
    let halves = |sums: (i64, i64), value: i64| (sums.0 + (value >> 32), sums.1 + (value & 0xFFFF_FFFF));
    let joined = |(high, low): (i64, i64)| (i128::from(high) << 32) + i128::from(low);
    match values.null_count() {
        0 => values
            .values()
            .chunks(ROWS)
            .map(|chunk| joined(chunk.iter().copied().fold((0, 0), halves)))
            .sum(),
        _ => values.iter().flatten().map(i128::from).sum(),
    }
}

/// The sum of all rows, or of those in a frame.
#[derive(Debug)]
pub(super) struct Sum {
    of: DataType,
    overflow: Overflow,
    sum: i256,
    /// A part of it that was added elsewhere did not fit.
    too_large: bool,
    /// Values added.
    count: usize,
}

impl Sum {
    pub fn new(of: &DataType, overflow: Overflow) -> Self {
        Self {
            of: of.clone(),
            overflow,
            sum: i256::ZERO,
            too_large: false,
            count: 0,
        }
    }

    /// Returns the sum; one that does not fit into 128 bits does not fit into its type.
    fn sum(&self) -> Option<i256> {
        (self.count > 0).then_some(match self.too_large {
            true => i256::MAX,
            false => self.sum,
        })
    }
}

impl Accumulator for Sum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for values in values {
            self.sum = self.sum.wrapping_add(added(values).unwrap_or(i256::ZERO));
            self.count += values.len() - values.null_count();
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let marked = |states: &ArrayRef| match states.as_primitive_opt::<Decimal128Type>() {
            Some(states) => states.iter().flatten().any(|state| state == TOO_LARGE),
            None => false,
        };
        self.too_large |= states.iter().any(marked);
        self.update_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for values in values {
            self.sum = self.sum.wrapping_sub(added(values).unwrap_or(i256::ZERO));
            self.count = self.count.saturating_sub(values.len() - values.null_count());
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![match (&self.of, self.overflow) {
            (DataType::Decimal128(precision, scale), Overflow::Null) => {
                let sum = self.sum().map(|sum| sum.to_i128().unwrap_or(TOO_LARGE));
                ScalarValue::Decimal128(sum, *precision, *scale)
            }
            _ => evaluated(self.sum(), &self.of, Overflow::Error)?,
        }])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        evaluated(self.sum(), &self.of, self.overflow)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sum of the values that differ.
#[derive(Debug)]
pub(super) struct DistinctSum {
    of: DataType,
    overflow: Overflow,
    values: HashSet<i128>,
}

impl DistinctSum {
    pub fn new(of: &DataType, overflow: Overflow) -> Self {
        Self {
            of: of.clone(),
            overflow,
            values: HashSet::new(),
        }
    }

    fn add(&mut self, values: &ArrayRef) {
        let mut add = |value: i128| {
            self.values.insert(value);
        };
        match values.data_type() {
            DataType::Decimal128(..) => values
                .as_primitive::<Decimal128Type>()
                .iter()
                .flatten()
                .for_each(add),
            DataType::Interval(_) => {
                let values = values.as_primitive::<IntervalYearMonthType>();
                values.iter().flatten().for_each(|value| add(value.into()));
            }
            DataType::Duration(_) => {
                let values = values.as_primitive::<DurationMicrosecondType>();
                values.iter().flatten().for_each(|value| add(value.into()));
            }
            _ => {
                let values = values.as_primitive::<Int64Type>();
                values.iter().flatten().for_each(|value| add(value.into()));
            }
        }
    }
}

impl Accumulator for DistinctSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values.iter().for_each(|values| self.add(values));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in states {
            for values in state.as_list::<i32>().iter().flatten() {
                self.add(&values);
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = self.values.iter().map(|one| value(Some(*one), &self.of));
        let values = values.collect::<Result<Vec<_>>>()?;
        let values = match values.is_empty() {
            true => arrow::array::new_empty_array(&self.of),
            false => ScalarValue::iter_to_array(values)?,
        };
        Ok(vec![SingleRowListArrayBuilder::new(values).build_list_scalar()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = (!self.values.is_empty()).then(|| wide(self.values.iter().copied()));
        evaluated(sum, &self.of, self.overflow)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<i128>()
    }
}

/// Makes the sums of groups.
pub(super) fn of_groups(of: &DataType, overflow: Overflow) -> Box<dyn GroupsAccumulator> {
    let overflowed = Arc::new(AtomicBool::new(false));
    macro_rules! sums {
        ($primitive:ty) => {{
            let mark = Arc::clone(&overflowed);
            Box::new(PrimitiveGroupsAccumulator::<$primitive, _>::new(
                of,
                move |sum, value| {
                    let (added, too_large) = sum.overflowing_add(value);
                    *sum = added;
                    if too_large {
                        mark.store(true, Ordering::Relaxed);
                    }
                },
            ))
        }};
    }
    let sums: Box<dyn GroupsAccumulator> = match of {
        DataType::Decimal128(..) if overflow == Overflow::Null => {
            Box::new(PrimitiveGroupsAccumulator::<Decimal128Type, _>::new(
                of,
                |sum, value| *sum = add_or_mark(*sum, value),
            ))
        }
        DataType::Decimal128(..) => sums!(Decimal128Type),
        DataType::Interval(_) => sums!(IntervalYearMonthType),
        DataType::Duration(_) => sums!(DurationMicrosecondType),
        _ => sums!(Int64Type),
    };
    Box::new(Sums {
        of: of.clone(),
        overflow,
        sums,
        overflowed,
    })
}

/// The sums of groups, which fail once one of them has overflowed.
struct Sums {
    of: DataType,
    overflow: Overflow,
    sums: Box<dyn GroupsAccumulator>,
    overflowed: Arc<AtomicBool>,
}

impl Sums {
    fn checked(&self) -> Result<()> {
        match self.overflowed.load(Ordering::Relaxed) {
            true => Err(too_large(&self.of)),
            false => Ok(()),
        }
    }

    /// Checks that sums have no more digits than their type.
    fn fitting(&self, sums: ArrayRef) -> Result<ArrayRef> {
        let DataType::Decimal128(precision, _) = &self.of else {
            return Ok(sums);
        };
        let decimals = sums.as_primitive::<Decimal128Type>();
        match self.overflow {
            Overflow::Null => {
                let fitting = decimals.null_if_overflow_precision(*precision);
                Ok(Arc::new(fitting.with_data_type(self.of.clone())))
            }
            Overflow::Error => match decimals.validate_decimal_precision(*precision) {
                Ok(()) => Ok(sums),
                Err(_) => Err(too_large(&self.of)),
            },
        }
    }
}

impl GroupsAccumulator for Sums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.sums.update_batch(values, groups, filter, count)?;
        self.checked()
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.sums.merge_batch(values, groups, count)?;
        self.checked()
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let sums = self.sums.evaluate(emit)?;
        self.fitting(sums)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.sums.state(emit)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.sums.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.sums.size()
    }
}
