//! `percentile_disc`: the first value whose share of the group, in an order, is at least a percentage.
//!
//! It takes its order from WITHIN GROUP alone. Source: Spark, `PercentileDisc`, `PercentileDiscBuilder`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{SortOptions, sort};
use arrow::datatypes::{DataType, FieldRef, Float64Type, IntervalUnit};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::PhysicalExpr;

use super::collected::{Collected, state_field};
use super::percentile::at_shares;
use super::within_group::{
    ORDERED_PERCENTILE_DISC, constant, descending, missing, without_distinct, wrong_orderings,
};
use crate::error::condition;
use crate::functions::arguments::{count, is_text, unexpected};

const NAME: &str = "percentile_disc";

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let made = [false, true].map(|ordered| Arc::new(AggregateUDF::from(PercentileDisc::new(ordered))));
    made.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PercentileDisc {
    /// If it was called with WITHIN GROUP, as it has to be.
    ordered: bool,
    signature: Signature,
}

impl PercentileDisc {
    fn new(ordered: bool) -> Self {
        Self {
            ordered,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn converted(&self, types: &[DataType]) -> Result<[DataType; 3]> {
        match (self.ordered, types) {
            (true, [values, shares, direction]) => {
                Ok([value_type(values)?, share_type(shares)?, direction.clone()])
            }
            (true, _) => Err(wrong_orderings(NAME)),
            (false, _) => {
                count(NAME, types, 1, 1)?;
                Err(missing(NAME))
            }
        }
    }
}

/// Returns the type of what is ordered, which is that of a percentile too.
fn value_type(values: &DataType) -> Result<DataType> {
    match values {
        DataType::Duration(_) | DataType::Interval(IntervalUnit::YearMonth) => Ok(values.clone()),
        number if number.is_numeric() || number.is_null() || is_text(number) => Ok(DataType::Float64),
        other => Err(unexpected(NAME, 1, "a number or an interval", other)),
    }
}

fn share_type(shares: &DataType) -> Result<DataType> {
    let number = |share: &DataType| share.is_numeric() || share.is_null() || is_text(share);
    match shares {
        DataType::List(item) if number(item.data_type()) => Ok(DataType::new_list(DataType::Float64, true)),
        share if number(share) => Ok(DataType::Float64),
        other => Err(unexpected(NAME, 2, "a number or an array of numbers", other)),
    }
}

impl AggregateUDFImpl for PercentileDisc {
    fn name(&self) -> &str {
        if self.ordered {
            ORDERED_PERCENTILE_DISC
        } else {
            NAME
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Leaves arguments that are refused as they are: DataFusion would make its own error of ours, so that
    /// `return_type` says it.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.converted(types).map_or_else(|_| types.to_vec(), Vec::from))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [values, shares, _] = self.converted(types)?;
        match shares {
            DataType::List(_) => Ok(DataType::new_list(values, true)),
            _ => Ok(values),
        }
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let result = arguments.return_field.data_type().clone();
        let values = match &result {
            DataType::List(item) => item.data_type().clone(),
            other => other.clone(),
        };
        let shares = match arguments.exprs {
            [_, shares, _] => shares_of(shares)?,
            _ => return Err(wrong_orderings(NAME)),
        };
        Ok(Box::new(Discrete {
            values: Collected::new(values),
            shares,
            descending: descending(arguments.exprs),
            result,
        }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let values = match arguments.return_field.data_type() {
            DataType::List(item) => item.data_type(),
            other => other,
        };
        Ok(vec![state_field(arguments.name, values)])
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(without_distinct(NAME))
    }
}

/// Returns the percentages, from 0 to 1, of an argument that is one or an array of them.
fn shares_of(argument: &Arc<dyn PhysicalExpr>) -> Result<Vec<f64>> {
    let Some(constant) = constant(argument) else {
        return Err(mismatch(
            "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
            "has to be a constant",
        ));
    };
    let array = constant.to_array()?;
    let shares = match array.as_list_opt::<i32>() {
        Some(lists) if lists.is_valid(0) => lists.value(0),
        _ => array,
    };
    let Some(shares) = shares.as_primitive_opt::<Float64Type>() else {
        return Err(mismatch("DATATYPE_MISMATCH.UNEXPECTED_NULL", "must not be null"));
    };
    let mut found = Vec::with_capacity(shares.len());
    for share in shares {
        let Some(share) = share else {
            return Err(match constant {
                ScalarValue::List(_) => mismatch(
                    "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
                    "has a null in its array",
                ),
                _ => mismatch("DATATYPE_MISMATCH.UNEXPECTED_NULL", "must not be null"),
            });
        };
        if !(0.0..=1.0).contains(&share) {
            let outside = format!("lies between 0.0 and 1.0, and is {share}");
            return Err(mismatch("DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE", &outside));
        }
        found.push(share);
    }
    Ok(found)
}

fn mismatch(name: &'static str, how: &str) -> DataFusionError {
    condition(name, "42K09", format!("the percentage of `{NAME}` {how}"))
}

#[derive(Debug)]
struct Discrete {
    values: Collected,
    /// From 0 to 1.
    shares: Vec<f64>,
    /// If the order is that from the largest to the smallest.
    descending: bool,
    result: DataType,
}

impl Accumulator for Discrete {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values {
            [values, ..] => self.values.add(values),
            [] => Ok(()),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let values = self.values.values()?;
        if values.is_empty() || self.shares.is_empty() {
            return ScalarValue::try_from(&self.result);
        }
        let options = SortOptions {
            descending: self.descending,
            nulls_first: true,
        };
        let percentiles = at_shares(&sort(&values, Some(options))?, &self.shares)?;
        match &self.result {
            DataType::List(_) => Ok(SingleRowListArrayBuilder::new(percentiles).build_list_scalar()),
            _ => ScalarValue::try_from_array(&percentiles, 0),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.size() + size_of_val(self.shares.as_slice())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.values.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge(states)
    }
}
