//! Errors as HTTP: the only place that turns a [`Kind`] into a status and a Unity Catalog `error_code`.
//!
//! Source: Unity Catalog's error body (`error_code`, `message`, `details`); `condition`, `sqlstate` and
//! `request_id` are ours.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ingot_common::{Classify, Kind, ServiceError};

/// Client Closed Request: nobody reads the answer. Source: nginx.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// An error on its way out.
#[derive(Debug)]
pub struct ApiError(ServiceError);

impl ApiError {
    /// Makes an error of a request that is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self(ServiceError::new(Kind::InvalidArgument, message))
    }

    /// Makes an error of a part that does not answer.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self(ServiceError::new(Kind::Unavailable, message))
    }

    /// Converts a crate's error.
    pub fn from_error(error: &impl Classify) -> Self {
        Self(ServiceError::from_error(error))
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        Self(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let (status, error_code) = http(error.kind);
        if status.is_server_error() {
            tracing::error!(error_code, message = error.message, "request failed");
        }
        let body = serde_json::json!({
            "error_code": error_code,
            "message": error.message,
            "condition": error.condition,
            "sqlstate": error.sqlstate,
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error_code}],
        });
        (status, Json(body)).into_response()
    }
}

fn http(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::InvalidArgument => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        Kind::AlreadyExists => (StatusCode::CONFLICT, "ALREADY_EXISTS"),
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
        Kind::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        Kind::Conflict => (StatusCode::CONFLICT, "ABORTED"),
        Kind::FailedPrecondition => (StatusCode::BAD_REQUEST, "FAILED_PRECONDITION"),
        Kind::Unsupported => (StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED"),
        Kind::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        Kind::Cancelled => (
            StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::BAD_REQUEST),
            "CANCELLED",
        ),
        Kind::DataLoss => (StatusCode::INTERNAL_SERVER_ERROR, "DATA_LOSS"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case(Kind::InvalidArgument, 400; "a wrong request")]
    #[test_case(Kind::Unauthenticated, 401; "an unknown caller")]
    #[test_case(Kind::NotFound, 404; "a missing table")]
    #[test_case(Kind::Conflict, 409; "a lost race")]
    #[test_case(Kind::ResourceExhausted, 429; "a full house")]
    #[test_case(Kind::Cancelled, 499; "a client that left")]
    #[test_case(Kind::Unavailable, 503; "a store that is away")]
    fn kinds_become_statuses(kind: Kind, status: u16) {
        assert_eq!(http(kind).0.as_u16(), status);
    }
}
