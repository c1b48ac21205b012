//! How `avg` of decimals ends: rounded half up, where DataFusion's cuts digits off, and a sum or a result that does not fit
//! is an error, or null for `try_avg` and without ANSI mode.
//!
//! DataFusion's function adds and counts, and says both as its state. Source: Spark, `Average`,
//! `DecimalDivideWithOverflowCheck`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, UInt64Type, i256};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::sum::{self, Overflow};
use crate::error::condition;
use crate::spark::arithmetic::{Computation, Operator};

/// Digits of a decimal at most, and those that a sum has more than what it is of.
const DIGITS_MAX: u8 = 38;
const DIGITS_OF_ROWS: u8 = 10;

/// The division that ends an average.
#[derive(Debug, Clone, Copy)]
pub(super) struct Division {
    precision: u8,
    scale: i8,
    sum_scale: i8,
    /// What a sum is below.
    sum_limit: i256,
    computation: Computation,
    overflow: Overflow,
}

impl Division {
    /// Prepares the division; `None` for what is no average of decimals.
    pub fn of(arguments: &AccumulatorArgs<'_>, overflow: Overflow) -> Option<Self> {
        let from = arguments.expr_fields.first()?.data_type();
        match (from, arguments.return_field.data_type()) {
            (DataType::Decimal128(digits, sum_scale), DataType::Decimal128(precision, scale)) => Some(Self {
                precision: *precision,
                scale: *scale,
                sum_scale: *sum_scale,
                sum_limit: power(digits.saturating_add(DIGITS_OF_ROWS).min(DIGITS_MAX)),
                computation: Computation::new(Operator::Divide, (*sum_scale, 0), (*precision, *scale)),
                overflow,
            }),
            _ => None,
        }
    }

    fn data_type(&self) -> DataType {
        DataType::Decimal128(self.precision, self.scale)
    }

    fn divided(&self, sum: i256, count: u64) -> Result<Option<i128>> {
        let result = match sum.wrapping_abs() < self.sum_limit {
            false => Err(sum::too_large(&DataType::Decimal128(DIGITS_MAX, self.sum_scale))),
            true => {
                let quotient = sum
                    .to_i128()
                    .map(|sum| self.computation.of(sum, i128::from(count)));
                quotient.and_then(Result::ok).ok_or_else(|| self.out_of_range())
            }
        };
        match (result, self.overflow) {
            (Ok(quotient), _) => Ok(Some(quotient)),
            (Err(_), Overflow::Null) => Ok(None),
            (Err(error), Overflow::Error) => Err(error),
        }
    }

    fn out_of_range(&self) -> DataFusionError {
        condition(
            "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
            "22003",
            format!(
                "an average does not fit into DECIMAL({},{}); use `try_avg` to get NULL instead",
                self.precision, self.scale
            ),
        )
    }
}

fn power(exponent: u8) -> i256 {
    i256::from_i128(10).wrapping_pow(u32::from(exponent))
}

/// Returns the number of a decimal in a row.
fn number(decimals: &dyn Array, row: usize) -> Option<i256> {
    if decimals.is_null(row) {
        return None;
    }
    match decimals.data_type() {
        DataType::Decimal128(..) => Some(i256::from_i128(
            decimals.as_primitive::<Decimal128Type>().value(row),
        )),
        DataType::Decimal256(..) => Some(decimals.as_primitive::<Decimal256Type>().value(row)),
        _ => None,
    }
}

/// An average of DataFusion's with another end.
#[derive(Debug)]
pub(super) struct Average {
    pub inner: Box<dyn Accumulator>,
    pub division: Division,
}

impl Accumulator for Average {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let summed = match self.inner.state()?.as_slice() {
            [ScalarValue::UInt64(count), sum] => {
                number(&sum.to_array()?, 0).map(|sum| (sum, count.unwrap_or(0)))
            }
            // Of values that differ, all of which are known.
            [ScalarValue::List(list)] => {
                let values = list.value(0);
                let numbers = (0..values.len()).filter_map(|row| number(&values, row));
                let sum = numbers.fold(i256::ZERO, |sum, value| sum.wrapping_add(value));
                u64::try_from(values.len()).ok().map(|count| (sum, count))
            }
            state => {
                return Err(DataFusionError::Internal(format!(
                    "an average has no state {state:?}"
                )));
            }
        };
        let average = match summed {
            Some((sum, count)) if count > 0 => self.division.divided(sum, count)?,
            _ => None,
        };
        let Division { precision, scale, .. } = self.division;
        Ok(ScalarValue::Decimal128(average, precision, scale))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }
}

/// The averages of groups, of DataFusion's, with another end.
pub(super) struct Averages {
    pub inner: Box<dyn GroupsAccumulator>,
    pub division: Division,
}

impl GroupsAccumulator for Averages {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.inner.update_batch(values, groups, filter, count)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.inner.merge_batch(values, groups, count)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let state = self.inner.state(emit)?;
        let [counts, sums] = state.as_slice() else {
            return Err(DataFusionError::Internal(
                "an average has a count and a sum".to_owned(),
            ));
        };
        let counts = counts.as_primitive::<UInt64Type>();
        let averages = (0..sums.len()).map(|row| match number(sums, row) {
            Some(sum) if counts.value(row) > 0 => self.division.divided(sum, counts.value(row)),
            _ => Ok(None),
        });
        let averages = averages.collect::<Result<Decimal128Array>>()?;
        Ok(Arc::new(averages.with_data_type(self.division.data_type())))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
