//! A [`TableQuery`] to a plan, without SQL text on the way.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, SortExpr, lit};
use datafusion::scalar::ScalarValue;
use ingot_common::Kind;
use ingot_common::port::{Filter, FilterOperator, TableQuery, TableVersion};
use ingot_delta::TimeTravel;
use serde_json::Value;

use crate::write::type_text;
use crate::{Error, Result, Session, resolve};

/// Plans the query.
///
/// # Errors
/// `InvalidArgument`, naming the column and what was expected, for unknown columns and values that do not fit.
pub(crate) async fn plan(session: &Session, query: &TableQuery) -> Result<DataFrame> {
    let mut rows = table(session, query).await?;
    let schema = Arc::new(rows.schema().as_arrow().clone());
    for filter in &query.filters {
        rows = rows.filter(condition(&schema, filter)?)?;
    }
    if !query.order.is_empty() {
        let order = query
            .order
            .iter()
            .map(|order| {
                let field = field(&schema, &order.column)?;
                // Spark: nulls first when ascending, last when descending.
                Ok(SortExpr::new(column(field), !order.descending, !order.descending))
            })
            .collect::<Result<Vec<_>>>()?;
        rows = rows.sort(order)?;
    }
    if !query.select.is_empty() {
        let selected = query.select.iter().map(|name| Ok(column(field(&schema, name)?)));
        rows = rows.select(selected.collect::<Result<Vec<_>>>()?)?;
    }
    match query.limit {
        Some(limit) => Ok(rows.limit(0, Some(limit))?),
        None => Ok(rows),
    }
}

/// Reads the table or view by its name as it is: no text of it is ever parsed.
async fn table(session: &Session, query: &TableQuery) -> Result<DataFrame> {
    let point = match query.version {
        TableVersion::Latest => None,
        TableVersion::Version(version) => Some(TimeTravel::Version(version)),
        TableVersion::Timestamp(timestamp) => Some(TimeTravel::Timestamp(timestamp)),
    };
    resolve::table(session, &query.table, point).await
}

fn field<'a>(schema: &'a Schema, name: &str) -> Result<&'a Field> {
    let found = schema
        .fields()
        .iter()
        .find(|field| field.name().eq_ignore_ascii_case(name));
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
                "column `{name}` cannot be resolved; the table has {}",
                known.join(", ")
            ),
        }
    })
}

fn column(field: &Field) -> Expr {
    Expr::Column(Column::from_name(field.name()))
}

fn condition(schema: &Schema, filter: &Filter) -> Result<Expr> {
    let field = field(schema, &filter.column)?;
    let column = column(field);
    let value = |value: &Value| literal(field, value);
    Ok(match (filter.operator, &filter.value) {
        (FilterOperator::Eq, Value::Null) => column.is_null(),
        (FilterOperator::NotEq, Value::Null) => column.is_not_null(),
        (FilterOperator::Eq, given) => column.eq(value(given)?),
        (FilterOperator::NotEq, given) => column.not_eq(value(given)?),
        (FilterOperator::Lt, given) => column.lt(value(given)?),
        (FilterOperator::LtEq, given) => column.lt_eq(value(given)?),
        (FilterOperator::Gt, given) => column.gt(value(given)?),
        (FilterOperator::GtEq, given) => column.gt_eq(value(given)?),
        (FilterOperator::In, Value::Array(items)) => {
            let items = items.iter().map(value).collect::<Result<Vec<_>>>()?;
            column.in_list(items, false)
        }
        (FilterOperator::In, _) => return Err(wrong_type(field, &filter.value, "an array of ")),
    })
}

/// Makes a literal of the column's type.
fn literal(field: &Field, value: &Value) -> Result<Expr> {
    let refuse = || wrong_type(field, value, "");
    let text = match (field.data_type(), value) {
        (DataType::Boolean, Value::Bool(flag)) => flag.to_string(),
        (data_type, Value::Number(number)) if data_type.is_integer() => match number.is_f64() {
            false => number.to_string(),
            true => return Err(refuse()),
        },
        (data_type, Value::Number(number)) if data_type.is_numeric() => number.to_string(),
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Value::String(text)) => text.clone(),
        (DataType::Date32 | DataType::Timestamp(_, _) | DataType::Decimal128(_, _), Value::String(text)) => {
            text.clone()
        }
        _ => return Err(refuse()),
    };
    let scalar = ScalarValue::try_from_string(text, field.data_type()).map_err(|_| refuse())?;
    Ok(lit(scalar))
}

fn wrong_type(field: &Field, value: &Value, of: &str) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "DATATYPE_MISMATCH",
        sqlstate: "42K09",
        message: format!(
            "column `{}` expects {of}{}, not {value}",
            field.name(),
            type_text(field.data_type())
        ),
    }
}
