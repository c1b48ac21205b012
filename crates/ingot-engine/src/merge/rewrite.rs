//! The rows of touched files that a merge leaves as they are, to be written again.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;
use ingot_delta::DeletionVector;

use super::Attempt;
use super::expressions::{TARGET, column};
use super::values::{MissingFields, stored};
use crate::Result;
use crate::provider::{FILE_COLUMN, ROW_COLUMN, tagged_provider};

/// Plans the rows of `files` but for the `changed` ones, in the columns of `schema`.
pub(crate) fn kept_rows(
    attempt: &Attempt<'_>,
    changed: &Arc<BTreeMap<usize, DeletionVector>>,
    files: Vec<usize>,
    schema: &SchemaRef,
) -> Result<DataFrame> {
    let provider = tagged_provider(
        Arc::clone(attempt.table),
        Arc::clone(attempt.snapshot),
        Some(files),
    );
    let kept = ScalarUDF::from(Kept {
        changed: Arc::clone(changed),
        signature: Signature::exact(vec![DataType::Int64, DataType::Int64], Volatility::Immutable),
    });
    let position = [FILE_COLUMN, ROW_COLUMN].map(|name| column(TARGET, name));
    let old = attempt.snapshot.schema();
    let columns = schema.fields().iter().map(|field| {
        let value = match old.fields().find(field.name()) {
            Some((_, old)) => stored(
                column(TARGET, old.name()),
                old.data_type(),
                field,
                field.name(),
                MissingFields::Null,
            )?,
            None => lit(ScalarValue::try_from(field.data_type())?),
        };
        Ok(value.alias(field.name()))
    });
    let rows = attempt.session.datafusion().read_table(provider)?.alias(TARGET)?;
    let rows = rows.filter(kept.call(position.to_vec()))?;
    Ok(rows.select(columns.collect::<Result<Vec<Expr>>>()?)?)
}

/// Says of a position if its row is kept.
#[derive(Debug)]
struct Kept {
    changed: Arc<BTreeMap<usize, DeletionVector>>,
    signature: Signature,
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.changed, &other.changed)
    }
}

impl Eq for Kept {}

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.changed).hash(state);
    }
}

impl ScalarUDFImpl for Kept {
    fn name(&self) -> &str {
        "kept"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let (files, positions) = (
            arrays[0].as_primitive::<Int64Type>(),
            arrays[1].as_primitive::<Int64Type>(),
        );
        debug_assert!(rows == 1 || files.len() == rows || files.len() == 1);
        let kept = files
            .values()
            .iter()
            .zip(positions.values())
            .map(|(file, position)| {
                let changed = usize::try_from(*file)
                    .ok()
                    .and_then(|file| self.changed.get(&file));
                let position = u64::try_from(*position).unwrap_or_default();
                Some(!changed.is_some_and(|changed| changed.contains(position)))
            });
        Ok(ColumnarValue::Array(Arc::new(kept.collect::<BooleanArray>())))
    }
}
