//! `percentile`, which interpolates, and `percentile_approx`, which gives one of the values.
//!
//! The approximate one is exact here: the values of a group are kept. Source: Spark, `Percentile`,
//! `ApproximatePercentile`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::{SortOptions, cast, sort, take};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::collected::{Collected, state_field};
use crate::error::condition;
use crate::functions::arguments::{count, is_text, unexpected};

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let made =
        [Way::Interpolated, Way::OfValues].map(|way| Arc::new(AggregateUDF::from(Percentile::new(way))));
    made.into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Interpolated,
    OfValues,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Percentile {
    way: Way,
    aliases: Vec<String>,
    signature: Signature,
}

impl Percentile {
    fn new(way: Way) -> Self {
        let aliases = match way {
            Way::Interpolated => Vec::new(),
            Way::OfValues => vec!["approx_percentile".to_owned()],
        };
        Self {
            way,
            aliases,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    /// Returns the type of one percentile of values of a type.
    fn of(&self, values: &DataType) -> DataType {
        match self.way {
            Way::Interpolated => DataType::Float64,
            Way::OfValues => values.clone(),
        }
    }
}

impl AggregateUDFImpl for Percentile {
    fn name(&self) -> &str {
        match self.way {
            Way::Interpolated => "percentile",
            Way::OfValues => "percentile_approx",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let most = if self.way == Way::OfValues { 3 } else { 2 };
        count(self.name(), types, 2, most)?;
        let mut wanted = Vec::with_capacity(types.len());
        for (place, data_type) in types.iter().enumerate() {
            wanted.push(match (place, data_type) {
                (0, values) if self.way == Way::Interpolated || is_text(values) || values.is_null() => {
                    DataType::Float64
                }
                (0, values) if values.is_numeric() || values.is_temporal() => values.clone(),
                (0, other) => return Err(unexpected(self.name(), 1, "a number or a moment", other)),
                (1, DataType::List(_)) => DataType::new_list(DataType::Float64, true),
                (1, _) => DataType::Float64,
                (_, _) => DataType::Int64,
            });
        }
        Ok(wanted)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [values, DataType::List(_), ..] => Ok(DataType::new_list(self.of(values), true)),
            [values, ..] => Ok(self.of(values)),
            [] => Ok(DataType::Null),
        }
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let values = arguments
            .expr_fields
            .first()
            .map(|field| field.data_type().clone());
        Ok(Box::new(Percentiles {
            way: self.way,
            values: Collected::new(values.unwrap_or(DataType::Float64)),
            shares: None,
            result: arguments.return_field.data_type().clone(),
        }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let values = arguments
            .input_fields
            .first()
            .map(|field| field.data_type().clone());
        let shares = DataType::new_list(DataType::Float64, true);
        Ok(vec![
            state_field(arguments.name, &values.unwrap_or(DataType::Float64)),
            Arc::new(Field::new(format!("{}[shares]", arguments.name), shares, true)),
        ])
    }
}

#[derive(Debug)]
struct Percentiles {
    way: Way,
    values: Collected,
    /// From 0 to 1; none before the first row.
    shares: Option<Vec<f64>>,
    result: DataType,
}

impl Percentiles {
    /// Takes the shares of the first row: they are the same in all.
    fn learn(&mut self, shares: &ArrayRef) -> Result<()> {
        if self.shares.is_some() || shares.is_empty() || shares.is_null(0) {
            return Ok(());
        }
        let first = match shares.as_list_opt::<i32>() {
            Some(lists) => lists.value(0),
            None => shares.slice(0, 1),
        };
        let first: Vec<f64> = first.as_primitive::<Float64Type>().iter().flatten().collect();
        if let Some(outside) = first.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(condition(
                "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE",
                "42K09",
                format!("a percentage lies between 0.0 and 1.0, and is {outside}"),
            ));
        }
        self.shares = Some(first);
        Ok(())
    }

    fn percentiles(&self) -> Result<Option<ArrayRef>> {
        let (Some(shares), values) = (&self.shares, self.values.values()?) else {
            return Ok(None);
        };
        if values.is_empty() {
            return Ok(None);
        }
        let ordered = sort(&values, Some(SortOptions::default()))?;
        match self.way {
            Way::Interpolated => {
                let ordered = cast(&ordered, &DataType::Float64)?;
                let ordered = ordered.as_primitive::<Float64Type>().values();
                let percentiles: Float64Array =
                    shares.iter().map(|share| interpolated(ordered, *share)).collect();
                Ok(Some(Arc::new(percentiles)))
            }
            Way::OfValues => at_shares(&ordered, shares).map(Some),
        }
    }
}

/// Returns the value a share of the way from the first to the last.
fn interpolated(ordered: &[f64], share: f64) -> Option<f64> {
    let at = share * ordered.len().saturating_sub(1) as f64;
    let (below, above) = (at.floor(), at.ceil());
    let value = |at: f64| ordered.get(at as usize).copied();
    let (low, high) = (value(below)?, value(above)?);
    match below == above {
        true => Some(low),
        false => Some(low * (above - at) + high * (at - below)),
    }
}

/// Returns those of ordered values that the shares of all values end at.
pub(super) fn at_shares(ordered: &ArrayRef, shares: &[f64]) -> Result<ArrayRef> {
    let places: Float64Array = shares.iter().map(|share| place(ordered.len(), *share)).collect();
    Ok(take(ordered, &cast(&places, &DataType::UInt64)?, None)?)
}

/// Returns the place of the first value that a share of all values does not exceed.
fn place(count: usize, share: f64) -> Option<f64> {
    Some(((share * count as f64).ceil() - 1.0).max(0.0))
}

impl Accumulator for Percentiles {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values, shares, ..] = values else {
            return Err(DataFusionError::Internal(
                "values and shares are needed".to_owned(),
            ));
        };
        self.learn(shares)?;
        self.values.add(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Some(percentiles) = self.percentiles()? else {
            return ScalarValue::try_from(&self.result);
        };
        match &self.result {
            DataType::List(_) => Ok(SingleRowListArrayBuilder::new(percentiles).build_list_scalar()),
            _ => ScalarValue::try_from_array(&percentiles, 0),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut state = self.values.state()?;
        state.push(match &self.shares {
            Some(shares) => {
                let shares: ArrayRef = Arc::new(Float64Array::from(shares.clone()));
                SingleRowListArrayBuilder::new(shares).build_list_scalar()
            }
            None => ScalarValue::try_from(DataType::new_list(DataType::Float64, true))?,
        });
        Ok(state)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [_, shares] = states else {
            return Err(DataFusionError::Internal(
                "values and shares are needed".to_owned(),
            ));
        };
        for row in 0..shares.len() {
            self.learn(&shares.slice(row, 1))?;
        }
        self.values.merge(states)
    }
}
