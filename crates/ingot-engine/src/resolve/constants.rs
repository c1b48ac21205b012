//! Expressions that are about no row: their values, and values as expressions.

use arrow::array::Array;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::dataframe::DataFrame;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, Expr, SelectItem, SetExpr, Statement, Value};

use super::{Reads, plan};
use crate::write::type_text;
use crate::{Error, Result, Session, ast, dialect};

/// Evaluates an expression that is about no row, in the type given if one is.
pub(crate) async fn constant(
    session: &Session,
    expr: Expr,
    data_type: Option<SqlType>,
) -> Result<ScalarValue> {
    let expr = match data_type {
        Some(data_type) => ast::cast(expr, data_type),
        None => expr,
    };
    let mut select = ast::select_all();
    select.projection = vec![SelectItem::UnnamedExpr(expr)];
    let query = Statement::Query(Box::new(ast::query(SetExpr::Select(Box::new(select)))));
    let rows = plan(session, query, &session.namespace(), &Reads::default()).await?;
    let row = rows_of(rows, 1).await?.into_iter().flatten().next();
    Ok(row.unwrap_or(ScalarValue::Null))
}

/// Reads the first rows, at most so many.
pub(crate) async fn rows_of(rows: DataFrame, count: usize) -> Result<Vec<Vec<ScalarValue>>> {
    let batches = rows.limit(0, Some(count))?.collect().await?;
    let mut read = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let values = batch
                .columns()
                .iter()
                .map(|column| ScalarValue::try_from_array(column, row));
            read.push(values.collect::<datafusion::error::Result<_>>()?);
        }
    }
    Ok(read)
}

/// Writes a value as an expression.
///
/// # Errors
/// `UNSUPPORTED_FEATURE` for a type that no expression here makes.
pub(crate) fn literal(value: &ScalarValue) -> Result<Expr> {
    let data_type = value.data_type();
    let sql_type = || dialect::data_type(&type_text(&data_type));
    if value.is_null() {
        let null = Expr::value(Value::Null);
        return match data_type {
            DataType::Null => Ok(null),
            _ => Ok(ast::cast(null, sql_type()?)),
        };
    }
    match value {
        ScalarValue::Boolean(Some(value)) => Ok(Expr::value(Value::Boolean(*value))),
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => Ok(Expr::value(Value::SingleQuotedString(text.clone()))),
        ScalarValue::Binary(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02X}"));
            Ok(Expr::value(Value::HexStringLiteral(digits.collect())))
        }
        ScalarValue::List(list) => elements(list.values(), "array"),
        ScalarValue::Struct(fields) => {
            let mut arguments = Vec::new();
            for (name, column) in fields.column_names().into_iter().zip(fields.columns()) {
                arguments.push(Expr::value(Value::SingleQuotedString(name.to_owned())));
                arguments.push(literal(&ScalarValue::try_from_array(column, 0)?)?);
            }
            Ok(ast::call("named_struct", arguments))
        }
        ScalarValue::Map(map) => {
            let entries = map.entries();
            let mut arguments = Vec::new();
            for row in 0..entries.len() {
                for column in entries.columns() {
                    arguments.push(literal(&ScalarValue::try_from_array(column, row)?)?);
                }
            }
            Ok(ast::call("map", arguments))
        }
        _ if data_type.is_numeric() || data_type.is_temporal() && !is_interval(&data_type) => {
            let array = value.to_array()?;
            let text =
                array_value_to_string(&array, 0).map_err(|error| Error::internal(error.to_string()))?;
            let text = Expr::value(Value::SingleQuotedString(text));
            Ok(ast::cast(text, sql_type()?))
        }
        other => Err(Error::unsupported(format!(
            "a variable or parameter cannot be of the type {}",
            other.data_type()
        ))),
    }
}

fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}

fn elements(values: &dyn Array, function: &str) -> Result<Expr> {
    let elements = (0..values.len()).map(|place| literal(&ScalarValue::try_from_array(values, place)?));
    Ok(ast::call(function, elements.collect::<Result<Vec<_>>>()?))
}
