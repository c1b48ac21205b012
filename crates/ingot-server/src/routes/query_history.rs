//! `GET /api/2.0/sql/history/queries`: statements that ran and that run, as Databricks' API lists them.
//!
//! Filters come as `filter_by.statuses=FAILED`, repeated for several, as its SDKs send them, or as the JSON of a body, which
//! its documentation shows. A page begins after the last statement of the page before, which the token names. Source:
//! Databricks REST API, "List Queries".

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, FromRequest, Query, Request, State};
use ingot_common::history::{
    HistoryFilter, HistoryPosition, StatementRecord, StatementStatus, WAREHOUSE_ID, user_id,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;

/// Statements of a page that asks for no number.
const RESULTS_DEFAULT: usize = 100;
/// Statements of a page, at most.
const RESULTS_MAX: usize = 1000;
/// Values of a filter, at most.
const VALUES_MAX: usize = 1000;

/// Lists statements, the one that started last first: those of the caller, unless it may see all.
#[utoipa::path(
    get, path = "/api/2.0/sql/history/queries", tag = "sql",
    params(
        ("max_results" = Option<usize>, Query, description = "statements of a page, 1000 at most; 100 by default"),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
        ("include_metrics" = Option<bool>, Query, description = "with what each has read and taken"),
        ("filter_by.statuses" = Option<Vec<String>>, Query, description = "QUEUED, RUNNING, CANCELED, FAILED, FINISHED"),
        ("filter_by.statement_ids" = Option<Vec<String>>, Query, description = "ids"),
        ("filter_by.user_ids" = Option<Vec<i64>>, Query, description = "numbers of users, as `user_id` has them"),
        ("filter_by.warehouse_ids" = Option<Vec<String>>, Query, description = "there is one warehouse, `ingot`"),
        ("filter_by.query_start_time_range.start_time_ms" = Option<i64>, Query, description = "milliseconds since the epoch"),
        ("filter_by.query_start_time_range.end_time_ms" = Option<i64>, Query, description = "milliseconds since the epoch"),
    ),
    responses(
        (status = 200, description = "a page of statements", body = Object),
        (status = 400, description = "a filter that cannot be, named", body = ErrorBody),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 503, description = "the history cannot be read", body = ErrorBody),
    )
)]
pub async fn list(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let Query(mut parameters) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
        .map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
    let body = tokio::time::timeout(state.limits.stall_max, Bytes::from_request(request, &state))
        .await
        .map_err(|_| ApiError::body_timed_out())?
        .map_err(|rejection| {
            let bytes_max = state.limits.body_bytes_max;
            ApiError::body(rejection.status(), rejection.body_text(), bytes_max)
        })?;
    if !body.is_empty() {
        let body = serde_json::from_slice(&body)
            .map_err(|error| ApiError::invalid(format!("the request's body is not JSON: {error}")))?;
        flatten("", &body, &mut parameters);
    }
    let request = ListQueries::read(&parameters)?;
    let history = state
        .statements
        .history()
        .ok_or_else(|| ApiError::unavailable("no history of statements is kept"))?;
    let listed = match request.elsewhere {
        true => Vec::new(),
        false => history.list(&state.context(caller), request.filter()).await?,
    };
    Ok(Json(page(listed, request.results, request.metrics)))
}

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct ListQueries {
    filter: HistoryFilter,
    /// Statements of other warehouses alone.
    elsewhere: bool,
    results: usize,
    metrics: bool,
}

impl ListQueries {
    fn read(parameters: &[(String, String)]) -> Result<Self, ApiError> {
        let mut request = Self {
            results: RESULTS_DEFAULT,
            ..Self::default()
        };
        let mut warehouses = Vec::new();
        let filter = &mut request.filter;
        for (key, value) in parameters {
            match key.as_str() {
                "max_results" => {
                    let results: usize = number(key, value)?;
                    // Zero is what clients send for none.
                    if results > 0 {
                        request.results = results.min(RESULTS_MAX);
                    }
                }
                "page_token" if value.is_empty() => {}
                "page_token" => filter.after = Some(position(value)?),
                "include_metrics" => request.metrics = number(key, value)?,
                "filter_by.statuses" => filter.statuses.push(status(value)?),
                "filter_by.statement_ids" => filter.statement_ids.push(number(key, value)?),
                "filter_by.user_ids" => filter.user_ids.push(number(key, value)?),
                "filter_by.warehouse_ids" => warehouses.push(value),
                "filter_by.query_start_time_range.start_time_ms" => {
                    filter.started_from = Some(number(key, value)?);
                }
                "filter_by.query_start_time_range.end_time_ms" => {
                    filter.started_to = Some(number(key, value)?);
                }
                _ => return Err(ApiError::invalid(format!("there is no parameter `{key}`"))),
            }
        }
        let values = [
            filter.statuses.len(),
            filter.statement_ids.len(),
            filter.user_ids.len(),
        ];
        if values.into_iter().any(|count| count > VALUES_MAX) {
            return Err(ApiError::invalid(format!(
                "a filter takes {VALUES_MAX} values at most"
            )));
        }
        request.elsewhere = !warehouses.is_empty() && warehouses.iter().all(|id| *id != WAREHOUSE_ID);
        Ok(request)
    }

    /// Asks for one more than a page has: it says whether there is another.
    fn filter(&self) -> HistoryFilter {
        HistoryFilter {
            limit: Some(self.results + 1),
            ..self.filter.clone()
        }
    }
}

/// Writes JSON as parameters: the names of nested fields are joined by dots, and lists are repeated.
fn flatten(path: &str, value: &Value, parameters: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{name}"), value, parameters);
            }
        }
        Value::Array(values) => {
            for value in values {
                flatten(path, value, parameters);
            }
        }
        Value::Null => {}
        Value::String(text) => parameters.push((path.to_owned(), text.clone())),
        other => parameters.push((path.to_owned(), other.to_string())),
    }
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, ApiError> {
    let wrong = |_| ApiError::invalid(format!("parameter `{key}` cannot be `{value}`"));
    value.parse().map_err(wrong)
}

/// Reads a status; those between two of ours are the next of ours.
fn status(value: &str) -> Result<StatementStatus, ApiError> {
    let known = StatementStatus::ALL
        .iter()
        .find(|status| status.as_str() == value);
    match (known, value) {
        (Some(status), _) => Ok(*status),
        (None, "STARTED" | "COMPILING" | "COMPILED") => Ok(StatementStatus::Running),
        (None, _) => {
            let known = StatementStatus::ALL.map(StatementStatus::as_str).join(", ");
            Err(ApiError::invalid(format!(
                "there is no status `{value}`; there are {known}"
            )))
        }
    }
}

/// Reads the place that a page's token stands for.
fn position(token: &str) -> Result<HistoryPosition, ApiError> {
    let parts = token.split_once('_').and_then(|(start, id)| {
        Some(HistoryPosition {
            start_time: start.parse().ok()?,
            statement_id: Uuid::parse_str(id).ok()?,
        })
    });
    parts.ok_or_else(|| ApiError::invalid("parameter `page_token` is of no page; leave it out to begin anew"))
}

fn page(mut listed: Vec<StatementRecord>, results: usize, metrics: bool) -> Value {
    let more = listed.len() > results;
    listed.truncate(results);
    let mut page = Map::new();
    if let Some(last) = listed.last().filter(|_| more) {
        let token = format!("{}_{}", last.start_time, last.statement_id);
        page.insert("next_page_token".to_owned(), json!(token));
    }
    page.insert("has_next_page".to_owned(), json!(more));
    let listed = listed.iter().map(|record| query_info(record, metrics));
    page.insert("res".to_owned(), listed.collect());
    Value::Object(page)
}

/// `QueryInfo`. What is not known is left out.
fn query_info(record: &StatementRecord, metrics: bool) -> Value {
    let user = user_id(&record.executed_by);
    let tags = record
        .query_tags
        .iter()
        .map(|(key, value)| without_nulls(json!({ "key": key, "value": value })));
    let end = record.end_time;
    let fetching = i64::try_from(record.times.result_fetch).unwrap_or_default();
    let info = json!({
        "query_id": record.statement_id,
        "session_id": record.session_id,
        "status": record.status.as_str(),
        "is_final": record.status.ended(),
        "query_text": record.statement_text,
        "statement_type": record.statement_type,
        "error_message": record.error_message,
        "query_start_time_ms": record.start_time,
        "execution_end_time_ms": end.map(|end| end - fetching),
        "query_end_time_ms": end,
        "duration": record.times.total.saturating_sub(record.times.result_fetch),
        "rows_produced": record.counts.produced_rows,
        "user_id": user,
        "user_name": record.executed_by,
        "executed_as_user_id": user,
        "executed_as_user_name": record.executed_by,
        "client_application": record.client_application,
        "warehouse_id": WAREHOUSE_ID,
        "endpoint_id": WAREHOUSE_ID,
        "query_tags": tags.collect::<Vec<_>>(),
        "metrics": metrics.then(|| query_metrics(record)),
    });
    without_nulls(info)
}

/// `QueryMetrics`.
fn query_metrics(record: &StatementRecord) -> Value {
    let (times, counts) = (record.times, record.counts);
    json!({
        "total_time_ms": times.total,
        "compilation_time_ms": times.compilation,
        "execution_time_ms": times.execution,
        "result_fetch_time_ms": times.result_fetch,
        "task_total_time_ms": times.tasks,
        "result_from_cache": record.from_result_cache,
        "read_bytes": counts.read_bytes,
        "read_cache_bytes": counts.read_cache_bytes,
        "read_remote_bytes": counts.read_bytes.saturating_sub(counts.read_cache_bytes),
        "read_files_count": counts.read_files,
        "pruned_files_count": counts.pruned_files,
        "rows_read_count": counts.read_rows,
        "rows_produced_count": counts.produced_rows,
        "spill_to_disk_bytes": counts.spilled_bytes,
        "write_remote_bytes": counts.written_bytes,
        "network_sent_bytes": 0,
    })
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn read(parameters: &[(&str, &str)]) -> Result<ListQueries, ApiError> {
        let owned = parameters
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        ListQueries::read(&owned.collect::<Vec<_>>())
    }

    #[test]
    fn parameters_are_read() {
        let id = Uuid::from_u128(7);
        let request = read(&[
            ("max_results", "5"),
            ("include_metrics", "true"),
            ("page_token", &format!("100_{id}")),
            ("filter_by.statuses", "FAILED"),
            ("filter_by.statuses", "COMPILING"),
            ("filter_by.statement_ids", &id.to_string()),
            ("filter_by.user_ids", "12"),
            ("filter_by.warehouse_ids", "ingot"),
            ("filter_by.query_start_time_range.start_time_ms", "1"),
            ("filter_by.query_start_time_range.end_time_ms", "2"),
        ]);
        let expected = ListQueries {
            filter: HistoryFilter {
                started_from: Some(1),
                started_to: Some(2),
                statement_ids: vec![id],
                statuses: vec![StatementStatus::Failed, StatementStatus::Running],
                user_ids: vec![12],
                executed_by: None,
                after: Some(HistoryPosition {
                    start_time: 100,
                    statement_id: id,
                }),
                limit: None,
            },
            elsewhere: false,
            results: 5,
            metrics: true,
        };
        assert_eq!(request.expect("read"), expected);
    }

    #[test_case(&[("max_results", "-1")]; "no number of results")]
    #[test_case(&[("max_results", "many")]; "a word for a number")]
    #[test_case(&[("page_token", "x")]; "no token")]
    #[test_case(&[("page_token", "1_x")]; "half a token")]
    #[test_case(&[("filter_by.statuses", "DONE")]; "no status")]
    #[test_case(&[("filter_by.statement_ids", "1")]; "no id")]
    #[test_case(&[("filter_by.user_ids", "ann")]; "no number of a user")]
    #[test_case(&[("filter_by.users", "1")]; "no filter")]
    fn what_cannot_be_is_refused(parameters: &[(&str, &str)]) {
        read(parameters).expect_err("refused");
    }

    #[test]
    fn too_many_values_are_refused() {
        let many = vec![("filter_by.user_ids", "1"); VALUES_MAX + 1];
        read(&many).expect_err("refused");
        read(&many[1..]).expect("as many as may be");
    }

    #[test]
    fn a_page_is_bounded() {
        let results = |text| read(&[("max_results", text)]).expect("read").results;
        assert_eq!((results("0"), results("100000")), (RESULTS_DEFAULT, RESULTS_MAX));
    }

    #[test]
    fn a_body_says_the_same() {
        let body = json!({"filter_by": {"user_ids": [1, 2], "statuses": ["FAILED"]}, "max_results": 3, "page_token": null});
        let mut parameters = Vec::new();
        flatten("", &body, &mut parameters);
        let expected = [
            ("filter_by.user_ids", "1"),
            ("filter_by.user_ids", "2"),
            ("filter_by.statuses", "FAILED"),
            ("max_results", "3"),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(parameters, expected);
    }
}
