//! `max_by` and `min_by`: the value beside the largest or smallest of another column. Source: Spark, `MaxByBase`.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let made =
        [Ordering::Greater, Ordering::Less].map(|wins| Arc::new(AggregateUDF::from(ValueBy::new(wins))));
    made.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ValueBy {
    /// How an order has to compare with the best so far to take its place.
    wins: Ordering,
    signature: Signature,
}

impl ValueBy {
    fn new(wins: Ordering) -> Self {
        Self {
            wins,
            signature: Signature::any(2, Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for ValueBy {
    fn name(&self) -> &str {
        match self.wins {
            Ordering::Greater => "max_by",
            _ => "min_by",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let [value, order] = arguments.expr_fields else {
            return Err(DataFusionError::Internal(
                "a value and its order are needed".to_owned(),
            ));
        };
        let (value, order) = (value.data_type(), order.data_type());
        let field = SortField::new_with_options(order.clone(), SortOptions::default());
        Ok(Box::new(Best {
            wins: self.wins,
            converter: RowConverter::new(vec![field])?,
            value: ScalarValue::try_from(value)?,
            order: ScalarValue::try_from(order)?,
            key: None,
        }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let fields = arguments.input_fields.iter().zip(["value", "order"]);
        let fields = fields.map(|(field, part)| {
            let name = format!("{}[{part}]", arguments.name);
            Arc::new(Field::new(name, field.data_type().clone(), true))
        });
        Ok(fields.collect())
    }
}

#[derive(Debug)]
struct Best {
    wins: Ordering,
    converter: RowConverter,
    value: ScalarValue,
    order: ScalarValue,
    /// The order so that it compares; none before the first.
    key: Option<OwnedRow>,
}

impl Accumulator for Best {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values, orders] = values else {
            return Err(DataFusionError::Internal(
                "a value and its order are needed".to_owned(),
            ));
        };
        let keys = self.converter.convert_columns(&[Arc::clone(orders)])?;
        let mut best = None;
        for row in (0..orders.len()).filter(|row| orders.is_valid(*row)) {
            let key = keys.row(row);
            let better = match best {
                Some(best) => key.cmp(&keys.row(best)) == self.wins,
                None => self
                    .key
                    .as_ref()
                    .is_none_or(|known| key.cmp(&known.row()) == self.wins),
            };
            if better {
                best = Some(row);
            }
        }
        if let Some(row) = best {
            self.value = ScalarValue::try_from_array(values, row)?;
            self.order = ScalarValue::try_from_array(orders, row)?;
            self.key = Some(keys.row(row).owned());
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size() + self.order.size() + self.converter.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), self.order.clone()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}
