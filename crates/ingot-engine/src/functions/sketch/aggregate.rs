//! An aggregate function over sketches as data, and its accumulator. What a group has seen is one binary between the
//! stages of an aggregation.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Signature, Volatility,
};

/// An aggregate function of Spark's.
#[derive(Debug)]
pub(super) struct Aggregate {
    pub name: &'static str,
    /// Says which types the arguments are converted to, given those of the call or those that it said.
    ///
    /// # Errors
    /// `WRONG_NUM_ARGS`, `DATATYPE_MISMATCH`.
    pub arguments: fn(&[DataType]) -> Result<Vec<DataType>>,
    /// Says the type of the result, given the arguments' after conversion.
    pub returns: fn(&[DataType]) -> DataType,
    /// Starts a group.
    ///
    /// # Errors
    /// Those of the arguments that are the same in all rows.
    pub start: fn(&AccumulatorArgs<'_>) -> Result<Box<dyn Summary>>,
}

impl Aggregate {
    /// Makes what DataFusion calls.
    pub fn udaf(self) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::from(Udaf {
            aggregate: self,
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    }
}

/// What is known of a group. It may be asked for its state or its result more than once, and be updated after that.
pub(super) trait Summary: Debug + Send + Sync {
    /// Adds rows, given as the columns of the arguments.
    fn update(&mut self, columns: &[ArrayRef]) -> Result<()>;

    /// Adds what another knows, given as its state; one of no bytes knows nothing, and is left out.
    fn merge(&mut self, state: &[u8]) -> Result<()>;

    fn state(&mut self) -> Result<Vec<u8>>;

    /// Returns the function's result, which for most is the state.
    fn result(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(Some(self.state()?)))
    }

    /// Returns the bytes of memory that it has, apart from itself.
    fn bytes(&self) -> usize;
}

/// An argument that has to be the same in all rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Absent,
    Varying,
    Value(ScalarValue),
}

impl Constant {
    /// Returns the argument at a place, from 0.
    pub fn of(arguments: &AccumulatorArgs<'_>, place: usize) -> Self {
        let Some(argument) = arguments.exprs.get(place) else {
            return Self::Absent;
        };
        // What reads no column has a value without any.
        match argument.evaluate(&RecordBatch::new_empty(Arc::new(Schema::empty()))) {
            Ok(ColumnarValue::Scalar(value)) => Self::Value(value),
            _ => Self::Varying,
        }
    }
}

#[derive(Debug)]
struct Udaf {
    aggregate: Aggregate,
    signature: Signature,
}

/// There is one function of a name.
impl PartialEq for Udaf {
    fn eq(&self, other: &Self) -> bool {
        self.aggregate.name == other.aggregate.name
    }
}

impl Eq for Udaf {}

impl Hash for Udaf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.aggregate.name.hash(state);
    }
}

impl AggregateUDFImpl for Udaf {
    fn name(&self) -> &str {
        self.aggregate.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Leaves arguments that are refused as they are: DataFusion would make its own error of ours, so that
    /// `return_field` says it.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok((self.aggregate.arguments)(types).unwrap_or_else(|_| types.to_vec()))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let types = (self.aggregate.arguments)(types)?;
        Ok((self.aggregate.returns)(&types))
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        let types: Vec<DataType> = fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, true)))
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Summarized((self.aggregate.start)(&arguments)?)))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format!("{}[sketch]", arguments.name);
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }
}

#[derive(Debug)]
struct Summarized(Box<dyn Summary>);

impl Accumulator for Summarized {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.0.update(columns)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.result()
    }

    fn size(&self) -> usize {
        size_of_val(self) + size_of_val(self.0.as_ref()) + self.0.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.0.state()?))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        each(states, |state| match state {
            [] => Ok(()),
            state => self.0.merge(state),
        })
    }
}

/// Adds the binaries of the first column that are not null.
pub(super) fn each(columns: &[ArrayRef], add: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let Some(binaries) = columns.first() else {
        return Ok(());
    };
    binaries.as_binary::<i32>().iter().flatten().try_for_each(add)
}
