//! Errors as HTTP: the only place that turns a [`Kind`] into a status and a Unity Catalog `error_code`.
//!
//! Source: Unity Catalog's error body (`error_code`, `message`, `details`); `condition` and `sqlstate` are ours. The
//! request's id stands in the header `x-request-id`.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use ingot_common::{Classify, Kind, ServiceError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::encode::Format;

/// Client Closed Request: nobody reads the answer. Source: nginx.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Seconds after which a request that met a limit may be sent again, where nothing tells more.
const RETRY_AFTER_SECONDS: u64 = 1;

/// An error on its way out.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    error_code: &'static str,
    error: ServiceError,
    retry_after_seconds: u64,
}

/// The body of every answer that is an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What kind of error it is, for programs.
    #[schema(example = "INVALID_ARGUMENT")]
    error_code: &'static str,
    /// What was attempted and what was wrong, for people.
    message: String,
    /// Spark's error condition, if one fits.
    #[schema(example = "UNRESOLVED_COLUMN.WITH_SUGGESTION")]
    condition: Option<String>,
    /// SQLSTATE of the condition.
    #[schema(example = "42703")]
    sqlstate: Option<String>,
    details: Vec<ErrorInfo>,
}

/// Unity Catalog's detail of an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorInfo {
    #[serde(rename = "@type")]
    #[schema(example = "type.googleapis.com/google.rpc.ErrorInfo")]
    kind: &'static str,
    /// The `error_code`.
    reason: &'static str,
}

impl ApiError {
    /// Makes an error of a request that is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        ServiceError::new(Kind::InvalidArgument, message).into()
    }

    /// Makes an error of something that there is not.
    pub fn missing(message: impl Into<String>) -> Self {
        ServiceError::new(Kind::NotFound, message).into()
    }

    /// Makes an error of a part that does not answer.
    pub fn unavailable(message: impl Into<String>) -> Self {
        ServiceError::new(Kind::Unavailable, message).into()
    }

    /// Makes an error of a defect.
    pub fn internal(message: impl Into<String>) -> Self {
        ServiceError::new(Kind::Internal, message).into()
    }

    /// Converts a crate's error.
    pub fn from_error(error: &impl Classify) -> Self {
        ServiceError::from_error(error).into()
    }

    /// Makes the error of a path that leads nowhere.
    pub fn no_such_route() -> Self {
        let message = "there is nothing at this path; /docs lists what there is";
        Self::http(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", message)
    }

    /// Makes the error of a method that a path does not have.
    pub fn no_such_method() -> Self {
        let message = "this path does not have this method; /docs lists what there is";
        Self::http(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
    }

    /// Makes the error of a client that takes no format of ours.
    pub fn not_acceptable() -> Self {
        let known = Format::ALL.map(Format::media_type).join(", ");
        let message = format!("header `Accept` takes none of {known}");
        Self::http(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message)
    }

    /// Makes the error of a page that cannot be had any more: its cursor was good once.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::http(StatusCode::GONE, "CURSOR_EXPIRED", message)
    }

    /// Makes the error of a caller who asks too much at a time.
    pub fn too_many(message: impl Into<String>, retry_after_seconds: u64) -> Self {
        Self {
            retry_after_seconds,
            ..ServiceError::new(Kind::ResourceExhausted, message).into()
        }
    }

    /// Makes the error of a body that did not arrive in time.
    pub fn body_timed_out() -> Self {
        let message = "the request's body did not arrive in time";
        Self::http(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", message)
    }

    /// Makes the error of a body that cannot be read, of what axum says of it. `bytes_max` is the size that a body may
    /// have.
    pub fn body(status: StatusCode, message: String, bytes_max: usize) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let message = format!("the request's body is larger than {bytes_max} bytes");
                Self::http(status, "REQUEST_TOO_LARGE", message)
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::http(status, "UNSUPPORTED_MEDIA_TYPE", message),
            _ => Self::invalid(message),
        }
    }

    /// Makes an error of HTTP itself, which has no [`Kind`].
    fn http(status: StatusCode, error_code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            error_code,
            error: ServiceError::new(Kind::InvalidArgument, message),
            retry_after_seconds: RETRY_AFTER_SECONDS,
        }
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let (status, error_code) = http(error.kind);
        Self {
            status,
            error_code,
            error,
            retry_after_seconds: RETRY_AFTER_SECONDS,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self {
            status,
            error_code,
            error,
            retry_after_seconds,
        } = self;
        // What is not supported, and what takes too long, is the client's to know; nobody here must look.
        let known = [StatusCode::NOT_IMPLEMENTED, StatusCode::GATEWAY_TIMEOUT].contains(&status);
        if status.is_server_error() && !known {
            tracing::error!(error_code, message = error.message, "request failed");
        } else {
            tracing::debug!(error_code, message = error.message, "request refused");
        }
        let body = ErrorBody {
            error_code,
            message: error.message,
            condition: error.condition,
            sqlstate: error.sqlstate,
            details: vec![ErrorInfo {
                kind: "type.googleapis.com/google.rpc.ErrorInfo",
                reason: error_code,
            }],
        };
        let mut response = (status, Json(body)).into_response();
        if matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            let after = HeaderValue::from(retry_after_seconds);
            response.headers_mut().insert(RETRY_AFTER, after);
        }
        response
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
        Kind::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED"),
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
    #[test_case(Kind::DeadlineExceeded, 504; "a time that is over")]
    fn kinds_become_statuses(kind: Kind, status: u16) {
        assert_eq!(http(kind).0.as_u16(), status);
    }
}
