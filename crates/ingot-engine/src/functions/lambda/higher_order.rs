//! A function that takes lambdas, as data.

use std::hash::{Hash, Hasher};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, UInt32Array, new_empty_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, take, take_arrays};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};

use crate::error::condition;
use crate::functions::collection::{entries_at, items_at};
use crate::functions::room::{check_taken, column};

/// A function of values and, after them, lambdas.
#[derive(Debug)]
pub(super) struct HigherOrder {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    /// How many lambdas there may be.
    pub lambdas: RangeInclusive<usize>,
    /// Says which types the values are converted to.
    pub values: fn(&[DataType]) -> Result<Vec<DataType>>,
    /// Says the types of the parameters of each lambda, given those of the values.
    pub parameters: fn(&[DataType]) -> Vec<Vec<DataType>>,
    /// Says the type of the result, given those of the values and of what the lambdas give.
    pub returns: fn(&[DataType], &[DataType]) -> Result<DataType>,
    pub invoke: fn(&Call<'_>) -> Result<ArrayRef>,
}

impl HigherOrder {
    pub fn udf(self) -> Arc<HigherOrderUDF> {
        let aliases = self.aliases.iter().map(|alias| (*alias).to_owned()).collect();
        Arc::new(HigherOrderUDF::new_from_impl(Udf {
            signature: HigherOrderSignature::user_defined(Volatility::Immutable),
            aliases,
            function: self,
        }))
    }
}

/// One batch to compute.
pub(super) struct Call<'a> {
    pub values: Vec<ArrayRef>,
    lambdas: Vec<(&'a LambdaArgument, DataType)>,
    pub returns: &'a DataType,
}

impl Call<'_> {
    /// Says if there is a lambda of this number.
    pub fn has_lambda(&self, lambda: usize) -> bool {
        lambda < self.lambdas.len()
    }

    /// Computes a lambda for as many items as `rows` has, each of which says the row that the item belongs to.
    ///
    /// # Errors
    /// Those of the lambda.
    pub fn evaluate(&self, lambda: usize, parameters: &[ArrayRef], rows: &UInt32Array) -> Result<ArrayRef> {
        let Some((lambda, data_type)) = self.lambdas.get(lambda) else {
            return Err(DataFusionError::Internal("a lambda is missing".to_owned()));
        };
        if rows.is_empty() {
            return Ok(new_empty_array(data_type));
        }
        let parameters: Vec<_> = parameters
            .iter()
            .map(|parameter| move || Ok(Arc::clone(parameter)))
            .collect();
        let parameters: Vec<&dyn Fn() -> Result<ArrayRef>> = parameters
            .iter()
            .map(|parameter| parameter as &dyn Fn() -> Result<ArrayRef>)
            .collect();
        let result = lambda.evaluate(&parameters, |captures| {
            captures
                .iter()
                .try_for_each(|capture| check_taken(capture, rows))?;
            Ok(take_arrays(captures, rows, None)?)
        })?;
        let result = column(&result, rows.len())?;
        match result.data_type() == data_type {
            true => Ok(result),
            false => Ok(cast(&result, data_type)?),
        }
    }
}

/// The items of all rows, one after the other.
pub(super) struct Items {
    pub columns: Vec<ArrayRef>,
    /// The row of each item.
    pub rows: UInt32Array,
    pub offsets: OffsetBuffer<i32>,
    pub nulls: Option<NullBuffer>,
}

impl Items {
    /// Returns the items of arrays.
    pub fn of_list(list: &ArrayRef) -> Result<Self> {
        let list = list.as_list::<i32>();
        let ranges = (0..list.len()).map(|row| items_at(list, row)).collect();
        Self::of(ranges, &[list.values()], list.nulls())
    }

    /// Returns the keys and values of maps.
    pub fn of_map(map: &ArrayRef) -> Result<Self> {
        let map: &MapArray = map.as_map();
        let ranges = (0..map.len()).map(|row| entries_at(map, row)).collect();
        Self::of(ranges, &[map.keys(), map.values()], map.nulls())
    }

    fn of(
        ranges: Vec<Option<Range<usize>>>,
        columns: &[&ArrayRef],
        nulls: Option<&NullBuffer>,
    ) -> Result<Self> {
        let lengths = ranges.iter().map(|range| range.as_ref().map_or(0, Range::len));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let index = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        for (row, range) in ranges.into_iter().enumerate() {
            for place in range.unwrap_or_default() {
                rows.push(index(row));
                places.push(index(place));
            }
        }
        let places = UInt32Array::from(places);
        let columns = columns
            .iter()
            .map(|column| take(column, &places, None))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            columns,
            rows: rows.into(),
            offsets,
            nulls: nulls.cloned(),
        })
    }

    /// Returns where the items of a row are; `None` for a null.
    pub fn at(&self, row: usize) -> Option<Range<usize>> {
        let valid = self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        valid
            .then(|| self.offsets[row].unsigned_abs() as usize..self.offsets[row + 1].unsigned_abs() as usize)
    }

    /// Returns how many rows there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }
}

/// Refuses a lambda that gives no truth value.
///
/// # Errors
/// `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE`.
pub(super) fn condition_lambda(function: &str, place: usize, lambdas: &[DataType]) -> Result<()> {
    match lambdas.first() {
        Some(DataType::Boolean | DataType::Null) | None => Ok(()),
        Some(other) => Err(crate::functions::arguments::unexpected(
            function,
            place,
            "a condition",
            other,
        )),
    }
}

#[derive(Debug)]
struct Udf {
    function: HigherOrder,
    aliases: Vec<String>,
    signature: HigherOrderSignature,
}

/// There is one function of a name.
impl PartialEq for Udf {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Udf {}

impl Hash for Udf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl HigherOrderUDFImpl for Udf {
    fn name(&self) -> &str {
        self.function.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        (self.function.values)(types)
    }

    fn lambda_parameters(
        &self,
        _: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let values: Vec<DataType> = fields
            .iter()
            .filter_map(|field| match field {
                ValueOrLambda::Value(field) => Some(field.data_type().clone()),
                ValueOrLambda::Lambda(_) => None,
            })
            .collect();
        let lambdas = fields.len() - values.len();
        if !self.function.lambdas.contains(&lambdas) {
            return Err(condition(
                "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
                "42605",
                format!("`{}` is called with {lambdas} functions", self.function.name),
            ));
        }
        let parameters = (self.function.parameters)(&values);
        let fields = parameters.into_iter().take(lambdas).map(|types| {
            let fields = types
                .into_iter()
                .map(|data_type| Arc::new(Field::new("", data_type, true)));
            fields.collect()
        });
        Ok(LambdaParametersProgress::Complete(fields.collect()))
    }

    fn return_field_from_args(&self, arguments: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        let (mut values, mut lambdas) = (Vec::new(), Vec::new());
        for field in arguments.arg_fields {
            match field {
                ValueOrLambda::Value(field) => values.push(field.data_type().clone()),
                ValueOrLambda::Lambda(field) => lambdas.push(field.data_type().clone()),
            }
        }
        let data_type = (self.function.returns)(&values, &lambdas)?;
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, arguments: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let (mut values, mut lambdas) = (Vec::new(), Vec::new());
        for (argument, field) in arguments.args.iter().zip(&arguments.arg_fields) {
            match (argument, field) {
                (ValueOrLambda::Value(value), _) => values.push(column(value, arguments.number_rows)?),
                (
                    ValueOrLambda::Lambda(lambda),
                    ValueOrLambda::Lambda(field) | ValueOrLambda::Value(field),
                ) => lambdas.push((lambda, field.data_type().clone())),
            }
        }
        let call = Call {
            values,
            lambdas,
            returns: arguments.return_field.data_type(),
        };
        Ok(ColumnarValue::Array((self.function.invoke)(&call)?))
    }
}
