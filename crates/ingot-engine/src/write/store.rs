//! A value as the column holds it that UPDATE or MERGE sets: cast as INSERT casts it, but that the fields of structs go by
//! name. Source: Delta, `UpdateExpressionsSupport.castIfNeeded`.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;
use ingot_common::Kind;

use super::assign::{Misfit, MissingFields, Nested, OVERFLOW_OF_WRITE, assign, storable_misfit, type_text};
use crate::spark::temporal::Zone;
use crate::{Error, spark};

/// Makes `value`, which has type `given`, one of the column `field`, named `path` in errors.
///
/// # Errors
/// `InvalidArgument` for a type that cannot be stored there. A value that does not fit is an error when it is met.
pub(crate) fn stored(
    value: Expr,
    given: &DataType,
    field: &Field,
    path: &str,
    missing: MissingFields,
) -> Result<Expr, Error> {
    let data_type = field.data_type();
    if given == data_type {
        return Ok(value);
    }
    if given.is_null() {
        return Ok(lit(ScalarValue::try_from(data_type)?));
    }
    let nested = Nested::Name(missing);
    if let Some(misfit) = storable_misfit(given, data_type, nested, path) {
        return Err(refused(misfit, given, data_type));
    }
    let function = StoreAs {
        column: path.to_owned(),
        data_type: data_type.clone(),
        nested,
        signature: Signature::any(1, Volatility::Immutable),
    };
    Ok(ScalarUDF::from(function).call(vec![value]))
}

fn refused(misfit: Misfit, given: &DataType, data_type: &DataType) -> Error {
    let quoted = |data_type: &DataType| format!("\"{}\"", type_text(data_type).to_uppercase());
    let (condition, sqlstate, message) = match misfit {
        Misfit::Type { path, from, to } => (
            "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
            "42K09",
            format!("cannot cast `{path}` {} to {}", quoted(&from), quoted(&to)),
        ),
        Misfit::ExtraField { path } | Misfit::NoField { path } => (
            "DELTA_UPDATE_SCHEMA_MISMATCH_EXPRESSION",
            "42846",
            format!(
                "cannot cast {} to {}: all nested columns must match, and `{path}` is on one side only",
                quoted(given),
                quoted(data_type)
            ),
        ),
    };
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition,
        sqlstate,
        message,
    }
}

/// Stores its argument in a column.
#[derive(Debug, PartialEq, Eq, Hash)]
struct StoreAs {
    column: String,
    data_type: DataType,
    nested: Nested,
    signature: Signature,
}

impl StoreAs {
    fn store(&self, values: &ArrayRef, zone: &Zone) -> Result<ArrayRef> {
        assign(values, &self.data_type, self.nested, zone).map_err(|not_stored| {
            DataFusionError::External(Box::new(not_stored.into_error(&self.column, OVERFLOW_OF_WRITE)))
        })
    }
}

impl ScalarUDFImpl for StoreAs {
    fn name(&self) -> &str {
        "store_as"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = spark::zone_of(&arguments.config_options);
        match arguments.args.first() {
            Some(ColumnarValue::Array(values)) => Ok(ColumnarValue::Array(self.store(values, &zone)?)),
            Some(ColumnarValue::Scalar(value)) => {
                let stored = self.store(&value.to_array()?, &zone)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&stored, 0)?))
            }
            None => Err(DataFusionError::Internal("nothing is stored".to_owned())),
        }
    }
}
