//! Counters and durations of requests, and what runs now, for Prometheus.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::error::ApiError;
use crate::state::AppState;

/// Between two times that recorded durations are summed up.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The `metrics` crate has one recorder a process, so its handle is one, too.
static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the process's recorder, or returns the one installed before; `None` when it is somebody else's.
pub fn install() -> Option<PrometheusHandle> {
    HANDLE
        .get_or_init(|| PrometheusBuilder::new().install_recorder().ok())
        .clone()
}

/// Sums recorded durations up, again and again; never ends. Without it they pile up until somebody asks for the
/// metrics, and nobody may.
pub async fn keep_up(handle: Option<&PrometheusHandle>) {
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        if let Some(handle) = handle {
            handle.run_upkeep();
        }
    }
}

/// Counts a request under its route, not its path: the number of series stays bounded.
pub async fn count(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = method(request.method());
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::counter!("ingot_http_requests_total", "method" => method, "route" => route.clone(), "status" => status)
        .increment(1);
    metrics::histogram!("ingot_http_request_seconds", "route" => route)
        .record(started.elapsed().as_secs_f64());
    response
}

/// Returns a method's name as a label. A client can make names up, and each would be a series that stays.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// `GET /metrics`
pub async fn show(State(state): State<AppState>) -> Result<String, ApiError> {
    let handle = state
        .metrics
        .ok_or_else(|| ApiError::unavailable("no metrics are recorded"))?;
    handle.run_upkeep();
    Ok(handle.render())
}
