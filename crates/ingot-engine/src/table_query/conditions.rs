//! Filters of a table query: which column, and values of its type.

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Column;
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{Expr, lit, when};
use datafusion::scalar::ScalarValue;
use ingot_common::Kind;
use ingot_common::port::{Filter, FilterOperator, FilterValue};
use serde_json::Value;

use crate::write::type_text;
use crate::{Error, Result};

/// Finds a column by its name, in any case.
///
/// # Errors
/// `InvalidArgument` with the names that there are.
pub(super) fn field<'a>(schema: &'a Schema, name: &str) -> Result<&'a Field> {
    let exact = schema.fields().iter().find(|field| field.name() == name);
    let found = exact.or_else(|| {
        let mut fields = schema.fields().iter();
        fields.find(|field| field.name().eq_ignore_ascii_case(name))
    });
    found.map(AsRef::as_ref).ok_or_else(|| {
        let known: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| format!("`{}`", field.name()))
            .collect();
        Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "UNRESOLVED_COLUMN.WITH_SUGGESTION",
            sqlstate: "42703",
            message: format!(
                "column `{name}` cannot be resolved; there are {}",
                known.join(", ")
            ),
        }
    })
}

pub(super) fn column(field: &Field) -> Expr {
    Expr::Column(Column::from_name(field.name()))
}

/// The column as rows are sorted by it: both zeros are one value, as comparisons take them. Source: Spark,
/// `SQLOrderingUtil`.
pub(super) fn sort_key(field: &Field) -> Result<Expr> {
    if !field.data_type().is_floating() {
        return Ok(column(field));
    }
    let zero = lit(ScalarValue::new_zero(field.data_type())?);
    let zeros = column(field).eq(zero.clone());
    Ok(when(zeros, zero).otherwise(column(field))?)
}

/// Makes the condition of a filter.
///
/// # Errors
/// `InvalidArgument`, naming the column and what was expected.
pub(super) fn condition(schema: &Schema, filter: &Filter) -> Result<Expr> {
    let field = field(schema, &filter.column)?;
    let own = column(field);
    let value = || one(field, &filter.value);
    Ok(match (filter.operator, &filter.value) {
        (FilterOperator::Eq, FilterValue::Json(Value::Null)) => own.is_null(),
        (FilterOperator::NotEq, FilterValue::Json(Value::Null)) => own.is_not_null(),
        (FilterOperator::Eq, _) => own.eq(value()?),
        (FilterOperator::NotEq, _) => own.not_eq(value()?),
        (FilterOperator::Lt, _) => own.lt(value()?),
        (FilterOperator::LtEq, _) => own.lt_eq(value()?),
        (FilterOperator::Gt, _) => own.gt(value()?),
        (FilterOperator::GtEq, _) => own.gt_eq(value()?),
        (FilterOperator::In, given) => own.in_list(several(field, given)?, false),
        (FilterOperator::NotIn, given) => own.in_list(several(field, given)?, true),
        (FilterOperator::Like, given) => like(field, given, false)?,
        (FilterOperator::ILike, given) => like(field, given, true)?,
        (FilterOperator::IsNull, given) => match flag(given) {
            Some(true) => own.is_null(),
            Some(false) => own.is_not_null(),
            None => {
                return Err(refused(format!(
                    "filter `is_null` of column `{}` is true or false, not {}",
                    field.name(),
                    shown(given)
                )));
            }
        },
    })
}

fn flag(given: &FilterValue) -> Option<bool> {
    match given {
        FilterValue::Json(Value::Bool(flag)) => Some(*flag),
        FilterValue::Text(text) => text.to_ascii_lowercase().parse().ok(),
        FilterValue::Json(_) | FilterValue::Texts(_) => None,
    }
}

fn like(field: &Field, given: &FilterValue, any_case: bool) -> Result<Expr> {
    let pattern = match given {
        FilterValue::Json(Value::String(pattern)) | FilterValue::Text(pattern) => pattern,
        FilterValue::Json(_) | FilterValue::Texts(_) => {
            return Err(wrong_type(field, given, "a pattern for "));
        }
    };
    if !is_text(field.data_type()) {
        return Err(refused(format!(
            "column `{}` is {}; only texts have patterns",
            field.name(),
            type_text(field.data_type())
        )));
    }
    let pattern = ScalarValue::Utf8(Some(pattern.clone())).cast_to(field.data_type())?;
    let pattern = Box::new(lit(pattern));
    Ok(Expr::Like(Like::new(
        false,
        Box::new(column(field)),
        pattern,
        None,
        any_case,
    )))
}

fn several(field: &Field, given: &FilterValue) -> Result<Vec<Expr>> {
    match given {
        FilterValue::Json(Value::Array(items)) => items.iter().map(|item| json(field, item)).collect(),
        FilterValue::Texts(items) => items.iter().map(|item| text(field, item)).collect(),
        FilterValue::Json(_) | FilterValue::Text(_) => Err(wrong_type(field, given, "an array of ")),
    }
}

fn one(field: &Field, given: &FilterValue) -> Result<Expr> {
    match given {
        FilterValue::Json(value) => json(field, value),
        FilterValue::Text(value) => text(field, value),
        FilterValue::Texts(_) => Err(wrong_type(field, given, "")),
    }
}

/// Makes a literal of the column's type of a JSON scalar that has it, too.
fn json(field: &Field, value: &Value) -> Result<Expr> {
    let refuse = || wrong_type(field, &FilterValue::Json(value.clone()), "");
    let text = match (field.data_type(), value) {
        (DataType::Boolean, Value::Bool(flag)) => flag.to_string(),
        (data_type, Value::Number(number)) if data_type.is_integer() => match number.is_f64() {
            false => number.to_string(),
            true => return Err(refuse()),
        },
        (data_type, Value::Number(number)) if data_type.is_numeric() => number.to_string(),
        (data_type, Value::String(text)) if is_text(data_type) => text.clone(),
        (DataType::Date32 | DataType::Timestamp(_, _) | DataType::Decimal128(_, _), Value::String(text)) => {
            text.clone()
        }
        _ => return Err(refuse()),
    };
    parsed(field, text).ok_or_else(refuse)
}

/// Makes a literal of the column's type of a text.
fn text(field: &Field, value: &str) -> Result<Expr> {
    let refuse = || wrong_type(field, &FilterValue::Text(value.to_owned()), "");
    let known = match field.data_type() {
        DataType::Boolean => ["true", "false"]
            .iter()
            .any(|known| value.eq_ignore_ascii_case(known)),
        DataType::Date32 | DataType::Timestamp(_, _) => true,
        data_type => data_type.is_numeric() || is_text(data_type),
    };
    if !known {
        return Err(refuse());
    }
    parsed(field, value.to_owned()).ok_or_else(refuse)
}

fn parsed(field: &Field, text: String) -> Option<Expr> {
    if let DataType::Decimal128(_, scale) = field.data_type()
        && !within_scale(&text, *scale)
    {
        return None;
    }
    let scalar = ScalarValue::try_from_string(text, field.data_type()).ok()?;
    (!scalar.is_null()).then(|| lit(scalar))
}

/// Says if a decimal number needs no more digits after its point than there are: a value that would be rounded is
/// another value.
fn within_scale(text: &str, scale: i8) -> bool {
    let digits = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let plain = !text.contains(['e', 'E']);
    plain && digits.trim_end_matches('0').len() <= usize::try_from(scale).unwrap_or(0)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn shown(given: &FilterValue) -> String {
    match given {
        FilterValue::Json(value) => value.to_string(),
        FilterValue::Text(text) => format!("`{text}`"),
        FilterValue::Texts(texts) => format!("`{}`", texts.join(",")),
    }
}

fn refused(message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "DATATYPE_MISMATCH",
        sqlstate: "42K09",
        message,
    }
}

fn wrong_type(field: &Field, given: &FilterValue, of: &str) -> Error {
    refused(format!(
        "column `{}` expects {of}{}, not {}",
        field.name(),
        type_text(field.data_type()),
        shown(given)
    ))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;
    use test_case::test_case;

    use super::*;

    fn schema(data_type: DataType) -> Schema {
        Schema::new(vec![Field::new("c", data_type, true)])
    }

    fn filter(operator: FilterOperator, value: FilterValue) -> Filter {
        Filter {
            column: "C".to_owned(),
            operator,
            value,
        }
    }

    #[test_case(DataType::Int32, "12", true)]
    #[test_case(DataType::Int32, "12.5", false; "a fraction of a whole number")]
    #[test_case(DataType::Int8, "300", false; "too large")]
    #[test_case(DataType::Int32, "", false; "nothing")]
    #[test_case(DataType::Float64, "-1.5e3", true; "a double")]
    #[test_case(DataType::Boolean, "TRUE", true; "a flag")]
    #[test_case(DataType::Boolean, "yes", false; "a word for a flag")]
    #[test_case(DataType::Decimal128(10, 2), "1.50", true; "a decimal")]
    #[test_case(DataType::Decimal128(10, 2), "1.505", false; "a decimal that would be rounded")]
    #[test_case(DataType::Decimal128(4, 2), "12345", false; "a decimal that is too large")]
    #[test_case(DataType::Date32, "2024-02-29", true; "a date")]
    #[test_case(DataType::Date32, "2023-02-29", false; "no date")]
    #[test_case(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), "2024-02-29T12:00:00Z", true; "an instant")]
    #[test_case(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), "noon", false; "no instant")]
    #[test_case(DataType::Utf8, "' OR 1=1 --", true; "any text")]
    #[test_case(DataType::Binary, "00", false; "bytes")]
    fn texts_are_read_as_the_columns_type(data_type: DataType, text: &str, fits: bool) {
        let made = condition(
            &schema(data_type),
            &filter(FilterOperator::Eq, FilterValue::Text(text.to_owned())),
        );
        assert_eq!(made.is_ok(), fits, "{made:?}");
    }

    #[test_case(DataType::Utf8, true)]
    #[test_case(DataType::Int32, false)]
    fn only_texts_have_patterns(data_type: DataType, fits: bool) {
        let pattern = FilterValue::Text("N1%".to_owned());
        let made = condition(&schema(data_type), &filter(FilterOperator::Like, pattern));
        assert_eq!(made.is_ok(), fits, "{made:?}");
    }
}
