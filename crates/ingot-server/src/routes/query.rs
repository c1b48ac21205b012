//! `GET /api/v1/query`: rows of one table, without SQL.
//!
//! The parameters become a [`TableQuery`], which the engine compiles to a plan. Nothing of them is ever SQL text.

#![allow(
    unused_qualifications,
    reason = "utoipa's macro repeats the path of a parameter's type"
)]

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, NaiveDateTime};
use ingot_common::TableName;
use ingot_common::port::{Filter, FilterOperator, OrderBy, TableQuery, TableVersion};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::routes::openapi::Rows;
use crate::state::AppState;
use crate::statement::respond;

/// Operators of a filter, in the order of the message that lists them.
const OPERATORS: [(&str, FilterOperator); 7] = [
    ("eq", FilterOperator::Eq),
    ("ne", FilterOperator::NotEq),
    ("lt", FilterOperator::Lt),
    ("lte", FilterOperator::LtEq),
    ("gt", FilterOperator::Gt),
    ("gte", FilterOperator::GtEq),
    ("in", FilterOperator::In),
];

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct QueryParameters {
    /// Table or view, as `catalog.schema.table`.
    #[param(example = "main.gold.carrier_delay")]
    pub table: String,
    /// JSON object of conditions, all of which must hold: `{"carrier":"UA"}`, `{"carrier":["UA","F9"]}`,
    /// `{"flights":{"gte":1000,"lt":5000}}`. Operators: eq, ne, lt, lte, gt, gte, in.
    #[param(example = r#"{"carrier":"UA"}"#)]
    pub filters: Option<String>,
    /// Columns to return, separated by commas; all by default.
    pub select: Option<String>,
    /// Columns to sort by, separated by commas; `-` before a column sorts it downwards.
    #[param(example = "-flights")]
    pub order: Option<String>,
    /// Rows to return at most.
    pub limit: Option<usize>,
    /// Version of the table to read.
    pub version: Option<i64>,
    /// Reads the table as it was then: RFC 3339, or milliseconds since the epoch.
    pub timestamp: Option<String>,
}

/// Returns rows of a table. `Accept` chooses between JSON (an array of objects), CSV and an Arrow IPC stream.
#[utoipa::path(
    get, path = "/api/v1/query", tag = "data", params(QueryParameters),
    responses(
        Rows,
        (status = 400, description = "an unknown column, or a value of the wrong type, named", body = ErrorBody),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 404, description = "no such table or version", body = ErrorBody),
        (status = 406, description = "`Accept` takes no format that there is", body = ErrorBody),
        (status = 429, description = "too many statements are running or wait", body = ErrorBody),
        (status = 503, description = "the server is stopping, or a part of it does not answer", body = ErrorBody),
        (status = 504, description = "the statement took longer than it may", body = ErrorBody),
    )
)]
pub async fn query(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    parameters: Result<Query<QueryParameters>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(parameters) = parameters.map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
    let query = table_query(parameters)?;
    let statements = state.statements.clone();
    respond(&state, caller, &headers, async move |context| {
        statements.query_table(&context, query).await
    })
    .await
}

fn table_query(parameters: QueryParameters) -> Result<TableQuery, ApiError> {
    Ok(TableQuery {
        table: TableName::parse(&parameters.table).map_err(|error| ApiError::from_error(&error))?,
        select: list(parameters.select.as_deref()).map(str::to_owned).collect(),
        filters: filters(parameters.filters.as_deref())?,
        order: list(parameters.order.as_deref()).map(order_by).collect(),
        limit: parameters.limit,
        version: version(parameters.version, parameters.timestamp.as_deref())?,
    })
}

fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.into_iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn order_by(item: &str) -> OrderBy {
    match item.strip_prefix('-') {
        Some(column) => OrderBy {
            column: column.to_owned(),
            descending: true,
        },
        None => OrderBy {
            column: item.to_owned(),
            descending: false,
        },
    }
}

fn filters(text: Option<&str>) -> Result<Vec<Filter>, ApiError> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let Ok(Value::Object(conditions)) = serde_json::from_str(text) else {
        return Err(ApiError::invalid(format!(
            "parameter `filters` is not a JSON object such as {{\"carrier\":\"UA\"}}: `{text}`"
        )));
    };
    let mut filters = Vec::with_capacity(conditions.len());
    for (column, condition) in conditions {
        match condition {
            Value::Object(operators) => {
                for (name, value) in operators {
                    filters.push(filter(&column, operator(&column, &name)?, value)?);
                }
            }
            Value::Array(_) => filters.push(filter(&column, FilterOperator::In, condition)?),
            value => filters.push(filter(&column, FilterOperator::Eq, value)?),
        }
    }
    Ok(filters)
}

fn operator(column: &str, name: &str) -> Result<FilterOperator, ApiError> {
    let found = OPERATORS.iter().find(|(known, _)| *known == name);
    found.map(|(_, operator)| *operator).ok_or_else(|| {
        let known: Vec<_> = OPERATORS.iter().map(|(name, _)| *name).collect();
        ApiError::invalid(format!(
            "filter on column `{column}` has unknown operator `{name}`, known are {}",
            known.join(", ")
        ))
    })
}

fn filter(column: &str, operator: FilterOperator, value: Value) -> Result<Filter, ApiError> {
    let scalars = match (&value, operator) {
        (Value::Array(items), FilterOperator::In) => items.iter().all(scalar),
        (value, operator) => operator != FilterOperator::In && scalar(value),
    };
    if !scalars {
        let expected = if operator == FilterOperator::In {
            "an array of scalars"
        } else {
            "a scalar"
        };
        return Err(ApiError::invalid(format!(
            "filter on column `{column}` has value {value}, expected {expected}"
        )));
    }
    Ok(Filter {
        column: column.to_owned(),
        operator,
        value,
    })
}

fn scalar(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_))
}

fn version(version: Option<i64>, timestamp: Option<&str>) -> Result<TableVersion, ApiError> {
    match (version, timestamp) {
        (None, None) => Ok(TableVersion::Latest),
        (Some(version), None) => Ok(TableVersion::Version(version)),
        (None, Some(text)) => instant(text).map(TableVersion::Timestamp).ok_or_else(|| {
            ApiError::invalid(format!(
                "parameter `timestamp` is neither RFC 3339 nor milliseconds since the epoch: `{text}`"
            ))
        }),
        (Some(_), Some(_)) => Err(ApiError::invalid(
            "parameters `version` and `timestamp` exclude each other",
        )),
    }
}

fn instant(text: &str) -> Option<i64> {
    if let Ok(milliseconds) = text.parse() {
        return Some(milliseconds);
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_millis());
    }
    // Without an offset: UTC.
    let instant = text.parse::<NaiveDateTime>().ok()?;
    Some(instant.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    fn filter_of(column: &str, operator: FilterOperator, value: Value) -> Filter {
        Filter {
            column: column.to_owned(),
            operator,
            value,
        }
    }

    #[test]
    fn conditions_become_filters() {
        let text = r#"{"carrier":"UA","month":[1,2],"flights":{"gte":10,"ne":null}}"#;
        assert_eq!(
            filters(Some(text)).expect("filters"),
            [
                filter_of("carrier", FilterOperator::Eq, "UA".into()),
                filter_of("month", FilterOperator::In, vec![1, 2].into()),
                filter_of("flights", FilterOperator::GtEq, 10.into()),
                filter_of("flights", FilterOperator::NotEq, Value::Null),
            ]
        );
    }

    #[test_case("UA"; "no JSON")]
    #[test_case("[1]"; "no object")]
    #[test_case(r#"{"carrier":{"like":"U%"}}"#; "unknown operator")]
    #[test_case(r#"{"carrier":{"eq":[1]}}"#; "array for a scalar")]
    #[test_case(r#"{"carrier":{"in":1}}"#; "scalar for an array")]
    #[test_case(r#"{"carrier":[{"a":1}]}"#; "object in an array")]
    fn wrong_filters_are_refused(text: &str) {
        filters(Some(text)).expect_err("wrong");
    }

    #[test_case("1000", Some(1000); "milliseconds")]
    #[test_case("1970-01-01T00:00:01Z", Some(1000); "utc")]
    #[test_case("1970-01-01T01:00:01+01:00", Some(1000); "offset")]
    #[test_case("1970-01-01T00:00:01", Some(1000); "no offset")]
    #[test_case("yesterday", None; "a word")]
    fn instants_are_read(text: &str, expected: Option<i64>) {
        assert_eq!(instant(text), expected);
    }
}
