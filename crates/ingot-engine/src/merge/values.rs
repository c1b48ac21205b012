//! A value as the column holds it that a merge assigns it to: Spark's store assignment, but that the fields of structs
//! go by name. Source: Delta, `UpdateExpressionsSupport.castIfNeeded`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;
use ingot_common::Kind;

use crate::Error;
use crate::write::{assignable, convert, element, type_text};

/// What becomes of a field of a struct that the value lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingFields {
    Refused,
    Null,
}

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
    if !fits(given, data_type, missing) {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
            sqlstate: "42K09",
            message: format!(
                "cannot safely cast `{path}` \"{}\" to \"{}\"",
                type_text(given).to_uppercase(),
                type_text(data_type).to_uppercase()
            ),
        });
    }
    let function = StoreAs {
        column: path.to_owned(),
        data_type: data_type.clone(),
        signature: Signature::any(1, Volatility::Immutable),
    };
    Ok(ScalarUDF::from(function).call(vec![value]))
}

/// Says if values of type `given` may be stored in a column of type `data_type`.
fn fits(given: &DataType, data_type: &DataType, missing: MissingFields) -> bool {
    match (given, data_type) {
        (DataType::Struct(given), DataType::Struct(fields)) => {
            let known = given.iter().all(|field| find(fields, field.name()).is_some());
            let filled = fields.iter().all(|field| match find(given, field.name()) {
                Some(place) => fits(given[place].data_type(), field.data_type(), missing),
                None => missing == MissingFields::Null && field.is_nullable(),
            });
            known && filled
        }
        (DataType::Map(given, _), DataType::Map(entries, _)) => {
            match (given.data_type(), entries.data_type()) {
                (DataType::Struct(given), DataType::Struct(pair)) => given
                    .iter()
                    .zip(pair)
                    .all(|(given, field)| fits(given.data_type(), field.data_type(), missing)),
                _ => false,
            }
        }
        (given, DataType::List(item)) => {
            element(given).is_some_and(|given| fits(given.data_type(), item.data_type(), missing))
        }
        _ => assignable(given, data_type),
    }
}

/// Finds a field, in any case.
fn find(fields: &Fields, name: &str) -> Option<usize> {
    fields
        .iter()
        .position(|field| field.name().eq_ignore_ascii_case(name))
}

/// Stores its argument in a column.
#[derive(Debug, PartialEq, Eq, Hash)]
struct StoreAs {
    column: String,
    data_type: DataType,
    signature: Signature,
}

impl StoreAs {
    fn conform(&self, values: &ArrayRef) -> Result<ArrayRef> {
        conform(values, &self.data_type).map_err(|error| {
            DataFusionError::External(Box::new(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "CAST_OVERFLOW_IN_TABLE_INSERT",
                sqlstate: "22003",
                message: format!(
                    "failed to assign a value of \"{}\" type to the \"{}\" type column `{}`: {error}",
                    type_text(values.data_type()).to_uppercase(),
                    type_text(&self.data_type).to_uppercase(),
                    self.column
                ),
            }))
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
        match arguments.args.first() {
            Some(ColumnarValue::Array(values)) => Ok(ColumnarValue::Array(self.conform(values)?)),
            Some(ColumnarValue::Scalar(value)) => {
                let stored = self.conform(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&stored, 0)?))
            }
            None => Err(DataFusionError::Internal("nothing is stored".to_owned())),
        }
    }
}

/// Converts values to a type that they fit.
pub(crate) fn conform(values: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    match (values.data_type(), data_type) {
        (given, data_type) if given == data_type => Ok(Arc::clone(values)),
        (DataType::Struct(given), DataType::Struct(fields)) => conform_struct(values, given, fields),
        (DataType::Map(_, _), DataType::Map(entries, sorted)) => conform_map(values, entries, *sorted),
        (DataType::List(_), DataType::List(item)) => {
            let list = values.as_list::<i32>();
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(item),
                list.offsets().clone(),
                conform(list.values(), item.data_type())?,
                list.nulls().cloned(),
            )?))
        }
        (given, DataType::List(_)) => match element(given) {
            Some(item) => conform(&convert(values, &DataType::List(Arc::clone(item)))?, data_type),
            None => convert(values, data_type),
        },
        _ => convert(values, data_type),
    }
}

fn conform_struct(values: &ArrayRef, given: &Fields, fields: &Fields) -> Result<ArrayRef, ArrowError> {
    let rows = values.as_struct();
    let columns = fields.iter().map(|field| match find(given, field.name()) {
        Some(place) => conform(rows.column(place), field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows.len())),
    });
    Ok(Arc::new(StructArray::try_new_with_length(
        fields.clone(),
        columns.collect::<Result<_, _>>()?,
        rows.nulls().cloned(),
        rows.len(),
    )?))
}

fn conform_map(values: &ArrayRef, entries: &FieldRef, sorted: bool) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(pair) = entries.data_type() else {
        return convert(values, &DataType::Map(Arc::clone(entries), sorted));
    };
    let map = values.as_map();
    // Writers call the entries' fields differently.
    let columns = map.entries().columns().iter().zip(pair);
    let columns = columns.map(|(column, field)| conform(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let entries_of = StructArray::try_new(pair.clone(), columns, map.entries().nulls().cloned())?;
    Ok(Arc::new(MapArray::try_new(
        Arc::clone(entries),
        map.offsets().clone(),
        entries_of,
        map.nulls().cloned(),
        sorted,
    )?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, StringArray};
    use test_case::test_case;

    use super::*;

    fn of(fields: &[(&str, DataType)]) -> DataType {
        let fields = fields
            .iter()
            .map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
        DataType::Struct(fields.collect())
    }

    #[test_case(&["b", "A"], &["a", "b"], true, true; "by name, in any case and order")]
    #[test_case(&["a"], &["a", "b"], false, true; "a missing field is null where the schema evolves")]
    #[test_case(&["a", "c"], &["a", "b"], false, false; "an unknown field is never dropped")]
    fn fields_of_structs_fit_by_name(given: &[&str], fields: &[&str], refused: bool, null: bool) {
        let of = |names: &[&str]| {
            let fields: Vec<_> = names.iter().map(|name| (*name, DataType::Int32)).collect();
            of(&fields)
        };
        assert_eq!(fits(&of(given), &of(fields), MissingFields::Refused), refused);
        assert_eq!(fits(&of(given), &of(fields), MissingFields::Null), null);
    }

    #[test]
    fn fields_are_reordered_and_converted() {
        let given: ArrayRef = Arc::new(StructArray::from(vec![
            (
                Arc::new(Field::new("b", DataType::Int32, true)),
                Arc::new(Int32Array::from(vec![7])) as ArrayRef,
            ),
            (
                Arc::new(Field::new("a", DataType::Utf8, true)),
                Arc::new(StringArray::from(vec!["x"])) as ArrayRef,
            ),
        ]));
        let data_type = of(&[
            ("a", DataType::Utf8),
            ("b", DataType::Int64),
            ("c", DataType::Utf8),
        ]);
        let stored = conform(&given, &data_type).expect("fits");
        assert_eq!(stored.data_type(), &data_type);
        let stored = stored.as_struct();
        assert_eq!(stored.column(0).as_string::<i32>().value(0), "x");
        assert_eq!(stored.column(1).as_ref(), &Int64Array::from(vec![7]));
        assert_eq!(stored.column(2).null_count(), 1);
    }
}
