//! `mode`: the value that a group has most often.
//!
//! Of values that are equally often Spark returns any, unless it is told which. Here it is always the smallest, and the
//! largest where the order is descending. Source: Spark, `Mode`, `ModeBuilder`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, new_empty_array};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::PhysicalExpr;

use super::collected::state_field;
use super::within_group::{ORDERED_MODE, constant, descending, missing, without_distinct, wrong_orderings};
use crate::error::condition;
use crate::functions::arguments::count;
use crate::functions::variant::is_variant;
use crate::write::type_text;

const NAME: &str = "mode";

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let made = [false, true].map(|ordered| Arc::new(AggregateUDF::from(Mode::new(ordered))));
    made.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mode {
    /// If it was called with WITHIN GROUP.
    ordered: bool,
    signature: Signature,
}

impl Mode {
    fn new(ordered: bool) -> Self {
        Self {
            ordered,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for Mode {
    fn name(&self) -> &str {
        if self.ordered { ORDERED_MODE } else { NAME }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Leaves all as it is: values may be of any type, and `accumulator` looks at the flag.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.ordered, types) {
            (true, [values, _]) | (false, [values] | [values, _]) => Ok(values.clone()),
            (true, _) => Err(wrong_orderings(NAME)),
            (false, []) => Err(missing(NAME)),
            (false, [first, ..]) => count(NAME, types, 0, 2).map(|()| first.clone()),
        }
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let values = arguments.return_field.data_type();
        let compares = match (self.ordered, arguments.exprs) {
            (false, [_, flag]) => deterministic(flag)?,
            (ordered, _) => ordered,
        };
        if compares {
            check_order(values)?;
        }
        Ok(Box::new(Counts {
            largest: self.ordered && descending(arguments.exprs),
            converter: RowConverter::new(vec![SortField::new(values.clone())])?,
            data_type: values.clone(),
            counts: HashMap::new(),
            key_bytes: 0,
        }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format!("{}[counts]", arguments.name);
        let counts = DataType::new_list(DataType::Int64, true);
        Ok(vec![
            state_field(arguments.name, arguments.return_field.data_type()),
            Arc::new(Field::new(name, counts, true)),
        ])
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(without_distinct(NAME))
    }
}

/// Returns the flag of `mode(x, deterministic)`.
fn deterministic(flag: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    match constant(flag) {
        Some(ScalarValue::Boolean(Some(deterministic))) => Ok(*deterministic),
        None => Err(condition(
            "NON_FOLDABLE_ARGUMENT",
            "42K08",
            format!("argument `deterministic` of `{NAME}` has to be a constant of type BOOLEAN"),
        )),
        Some(value) if value.is_null() => Err(condition(
            "DATATYPE_MISMATCH.UNEXPECTED_NULL",
            "42K09",
            format!("argument `deterministic` of `{NAME}` must not be null"),
        )),
        Some(value) => Err(condition(
            "UNEXPECTED_INPUT_TYPE",
            "42K09",
            format!(
                "argument 2 of `{NAME}` has to be BOOLEAN, and is {}",
                type_text(&value.data_type()).to_uppercase()
            ),
        )),
    }
}

/// Refuses to compare variants: they have no order.
fn check_order(values: &DataType) -> Result<()> {
    if holds_variant(values) {
        return Err(condition(
            "DATATYPE_CANNOT_ORDER",
            "0A000",
            format!(
                "values of type {} have no order",
                type_text(values).to_uppercase()
            ),
        ));
    }
    Ok(())
}

fn holds_variant(data_type: &DataType) -> bool {
    match data_type {
        variant if is_variant(variant) => true,
        DataType::Struct(fields) => fields.iter().any(|field| holds_variant(field.data_type())),
        DataType::List(item) | DataType::Map(item, _) => holds_variant(item.data_type()),
        _ => false,
    }
}

/// How often a group has each value.
#[derive(Debug)]
struct Counts {
    /// If the largest wins of those that are equally often.
    largest: bool,
    converter: RowConverter,
    data_type: DataType,
    /// By values as the converter writes them, which compare as the values do.
    counts: HashMap<Box<[u8]>, i64>,
    key_bytes: usize,
}

impl Counts {
    /// Adds those of `values` that are not null, each as often as `times` says of its row.
    fn add(&mut self, values: &ArrayRef, times: impl Fn(usize) -> i64) -> Result<()> {
        let nulls = values.logical_nulls();
        let rows = self.converter.convert_columns(&[Arc::clone(values)])?;
        for row in 0..values.len() {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            let key = rows.row(row).data();
            match self.counts.get_mut(key) {
                Some(count) => *count += times(row),
                None => {
                    self.key_bytes += key.len();
                    self.counts.insert(key.into(), times(row));
                }
            }
        }
        Ok(())
    }

    /// Returns values as they were.
    fn values<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows(keys.map(|key| parser.parse(key)))?;
        let values = columns.into_iter().next();
        Ok(values.unwrap_or_else(|| new_empty_array(&self.data_type)))
    }
}

impl Accumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values {
            [values, ..] => self.add(values, |_| 1),
            [] => Ok(()),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let most = self.counts.values().max();
        let keys = self.counts.iter().filter(|(_, count)| Some(*count) == most);
        let keys = keys.map(|(key, _)| key.as_ref());
        let found = if self.largest { keys.max() } else { keys.min() };
        match found {
            Some(key) => ScalarValue::try_from_array(&self.values([key].into_iter())?, 0),
            None => ScalarValue::try_from(&self.data_type),
        }
    }

    fn size(&self) -> usize {
        let entry = size_of::<(Box<[u8]>, i64)>() + 1;
        size_of_val(self) + self.converter.size() + self.counts.capacity() * entry + self.key_bytes
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (keys, counts): (Vec<&[u8]>, Vec<i64>) = self
            .counts
            .iter()
            .map(|(key, count)| (key.as_ref(), *count))
            .unzip();
        let values = self.values(keys.into_iter())?;
        let counts: ArrayRef = Arc::new(Int64Array::from(counts));
        let lists = [values, counts].map(|items| SingleRowListArrayBuilder::new(items).build_list_scalar());
        Ok(lists.into())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts] = states else {
            return Err(DataFusionError::Internal(
                "values and counts are needed".to_owned(),
            ));
        };
        for (values, counts) in values.as_list::<i32>().iter().zip(counts.as_list::<i32>().iter()) {
            let (Some(values), Some(counts)) = (values, counts) else {
                continue;
            };
            let counts = counts.as_primitive::<Int64Type>().values();
            self.add(&values, |row| counts.get(row).copied().unwrap_or(0))?;
        }
        Ok(())
    }
}
