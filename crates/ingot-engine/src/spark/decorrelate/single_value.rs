//! The only value of a group: null where there is none, an error where there are more.
//!
//! Source: Spark, `ScalarSubquery`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use crate::error::condition;

const NAME: &str = "__ingot_single_value";

/// Takes the only value of a group.
///
/// # Errors
/// `SCALAR_SUBQUERY_TOO_MANY_ROWS`, as it runs.
pub(super) fn single_value(value: Expr) -> Expr {
    let function = AggregateUDF::from(SingleValue {
        signature: Signature::any(1, Volatility::Immutable),
    });
    function.call(vec![value])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleValue {
    signature: Signature,
}

impl AggregateUDFImpl for SingleValue {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let value = arguments.return_field.data_type().clone();
        Ok(vec![
            Arc::new(Field::new("value", value, true)),
            Arc::new(Field::new("seen", DataType::Boolean, false)),
        ])
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single {
            value: ScalarValue::try_from(arguments.return_field.data_type())?,
            seen: false,
        }))
    }
}

#[derive(Debug)]
struct Single {
    value: ScalarValue,
    seen: bool,
}

impl Single {
    fn see(&mut self, values: &ArrayRef, place: usize) -> Result<()> {
        if self.seen {
            return Err(condition(
                "SCALAR_SUBQUERY_TOO_MANY_ROWS",
                "21000",
                "more than one row is returned by a subquery that stands for a value".to_owned(),
            ));
        }
        self.seen = true;
        self.value = ScalarValue::try_from_array(values, place)?;
        Ok(())
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if let Some(values) = values.first() {
            (0..values.len()).try_for_each(|place| self.see(values, place))?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::Boolean(Some(self.seen))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, seen] = states else { return Ok(()) };
        let seen = seen.as_boolean();
        for place in 0..seen.len() {
            if seen.value(place) {
                self.see(values, place)?;
            }
        }
        Ok(())
    }
}
