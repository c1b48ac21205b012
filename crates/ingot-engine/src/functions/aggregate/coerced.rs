//! `sum`, `avg` and `try_avg` of what Spark takes: text is read as doubles, a date is refused by name.
//!
//! DataFusion's functions are beneath, and do all but say which types they take, add what can overflow, and divide
//! decimals.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
    StatisticsArgs, Volatility,
};

use super::average::{Average, Averages, Division};
use super::sum::{self, DistinctSum, Overflow, Sum};
use crate::functions::arguments::{count, is_text, unexpected};
use crate::spark::AnsiMode;

pub(super) fn functions(mode: AnsiMode) -> Vec<Arc<AggregateUDF>> {
    [
        Coerced::new("sum", sum_udaf(), mode),
        Coerced::new("avg", avg_udaf(), mode),
        Coerced::new("try_avg", avg_udaf(), AnsiMode::Off),
    ]
    .map(|function| Arc::new(AggregateUDF::from(function)))
    .into()
}

/// A function of DataFusion's with Spark's conversions of its argument.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Coerced {
    name: &'static str,
    inner: Arc<AggregateUDF>,
    mode: AnsiMode,
    signature: Signature,
}

impl Coerced {
    fn new(name: &'static str, inner: Arc<AggregateUDF>, mode: AnsiMode) -> Self {
        Self {
            name,
            inner,
            mode,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    /// Returns the type of a sum that can overflow, and what becomes of one that does; `None` where DataFusion's is
    /// Spark's, which starts again from the other end.
    fn sum_of<'a>(&self, arguments: &'a AccumulatorArgs<'_>) -> Option<(&'a DataType, Overflow)> {
        let of = arguments.return_field.data_type();
        let overflow = match (self.mode, of) {
            (AnsiMode::Off, DataType::Int64) => return None,
            (AnsiMode::Off, DataType::Decimal128(..)) => Overflow::Null,
            _ => Overflow::Error,
        };
        (self.name == "sum" && sum::adds(of)).then_some((of, overflow))
    }

    /// Returns how an average of decimals ends.
    fn division_of(&self, arguments: &AccumulatorArgs<'_>) -> Option<Division> {
        let overflow = match self.mode {
            AnsiMode::On => Overflow::Error,
            AnsiMode::Off => Overflow::Null,
        };
        (self.name != "sum")
            .then(|| Division::of(arguments, overflow))
            .flatten()
    }

    /// Ends an average of decimals as Spark does.
    fn ended(inner: Box<dyn Accumulator>, division: Option<Division>) -> Box<dyn Accumulator> {
        match division {
            Some(division) => Box::new(Average { inner, division }),
            None => inner,
        }
    }

    fn converted(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name;
        count(name, types, 1, 1)?;
        let whole = |data_type: &DataType| match name {
            "sum" => DataType::Int64,
            _ if data_type.is_integer() => DataType::Float64,
            _ => data_type.clone(),
        };
        types
            .iter()
            .map(|data_type| match data_type {
                text if is_text(text) => Ok(DataType::Float64),
                DataType::Null | DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                    Ok(DataType::Float64)
                }
                DataType::Decimal128(..)
                | DataType::Decimal256(..)
                | DataType::Duration(_)
                | DataType::Interval(_) => Ok(data_type.clone()),
                number if number.is_integer() => Ok(whole(number)),
                other => Err(unexpected(name, 1, "a number or an interval", other)),
            })
            .collect()
    }
}

impl AggregateUDFImpl for Coerced {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        match self.name == self.inner.name() {
            true => self.inner.aliases(),
            false => &[],
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Leaves an argument that is refused as it is: DataFusion would make its own error of ours, so that
    /// `return_field` says it.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.converted(types).unwrap_or_else(|_| types.to_vec()))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(&self.converted(types)?)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        let types: Vec<DataType> = fields.iter().map(|field| field.data_type().clone()).collect();
        self.converted(&types)?;
        self.inner.return_field(fields)
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match self.sum_of(&arguments) {
            Some((of, overflow)) if arguments.is_distinct => Ok(Box::new(DistinctSum::new(of, overflow))),
            Some((of, overflow)) => Ok(Box::new(Sum::new(of, overflow))),
            None => {
                let division = self.division_of(&arguments);
                Ok(Self::ended(self.inner.accumulator(arguments)?, division))
            }
        }
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(arguments)
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(arguments)
    }

    fn create_groups_accumulator(
        &self,
        arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        match self.sum_of(&arguments) {
            Some((of, overflow)) => Ok(sum::of_groups(of, overflow)),
            None => match self.division_of(&arguments) {
                Some(division) => {
                    let inner = self.inner.create_groups_accumulator(arguments)?;
                    Ok(Box::new(Averages { inner, division }))
                }
                None => self.inner.create_groups_accumulator(arguments),
            },
        }
    }

    fn create_sliding_accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match self.sum_of(&arguments) {
            Some((of, overflow)) if !arguments.is_distinct => Ok(Box::new(Sum::new(of, overflow))),
            _ => {
                let division = self.division_of(&arguments);
                Ok(Self::ended(
                    self.inner.create_sliding_accumulator(arguments)?,
                    division,
                ))
            }
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.inner.value_from_stats(statistics)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }
}
