//! Errors as gRPC: the only place that turns a [`Kind`] into a code.
//!
//! The message begins with Spark's condition and ends with its SQLSTATE, as other doors write it; the details are a
//! `google.rpc.Status` with an `ErrorInfo`, for programs. Source: gRPC, "Status codes"; `google/rpc/error_details.proto`.

use std::collections::BTreeMap;

use bytes::Bytes;
use ingot_common::{Kind, ServiceError};
use prost::Message;
use tonic::{Code, Status};
use uuid::Uuid;

/// Bytes of a message, at most: it travels as a header, and clients bound those.
const MESSAGE_BYTES_MAX: usize = 2048;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<arrow_flight::sql::Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

/// Makes the status of an error of the request `request_id`.
pub(super) fn status(error: &ServiceError, request_id: Uuid) -> Status {
    let code = code(error.kind);
    let known = [Code::Unimplemented, Code::DeadlineExceeded];
    let ours = matches!(code, Code::Internal | Code::DataLoss | Code::Unavailable);
    if ours && !known.contains(&code) {
        tracing::error!(?code, message = error.message, "call failed");
    } else {
        tracing::debug!(?code, message = error.message, "call refused");
    }
    let message = shortened(error.described());
    let details = details(error, code, &message, request_id);
    Status::with_details(code, message, details)
}

fn details(error: &ServiceError, code: Code, message: &str, request_id: Uuid) -> Bytes {
    let sqlstate = error.sqlstate.clone().map(|state| ("sqlstate".to_owned(), state));
    let request_id = ("request_id".to_owned(), request_id.to_string());
    let info = ErrorInfo {
        reason: error.condition.clone().unwrap_or_else(|| format!("{code:?}")),
        domain: "ingot".to_owned(),
        metadata: sqlstate.into_iter().chain([request_id]).collect(),
    };
    let status = RpcStatus {
        code: code.into(),
        message: message.to_owned(),
        details: vec![arrow_flight::sql::Any {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
            value: info.encode_to_vec().into(),
        }],
    };
    status.encode_to_vec().into()
}

/// Cuts the middle out of a message that is too long: what it begins and ends with tells most.
fn shortened(message: String) -> String {
    if message.len() <= MESSAGE_BYTES_MAX {
        return message;
    }
    let begin = message.floor_char_boundary(MESSAGE_BYTES_MAX / 2);
    let end = message.ceil_char_boundary(message.len() - MESSAGE_BYTES_MAX / 4);
    let parts = (message.get(..begin), message.get(end..));
    format!(
        "{} … {}",
        parts.0.unwrap_or_default(),
        parts.1.unwrap_or_default()
    )
}

fn code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::Conflict => Code::Aborted,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::Unsupported => Code::Unimplemented,
        Kind::ResourceExhausted => Code::ResourceExhausted,
        Kind::DeadlineExceeded => Code::DeadlineExceeded,
        Kind::Unavailable => Code::Unavailable,
        Kind::Cancelled => Code::Cancelled,
        Kind::DataLoss => Code::DataLoss,
        Kind::Internal => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_read_the_condition() {
        let error = ServiceError {
            kind: Kind::NotFound,
            condition: Some("TABLE_OR_VIEW_NOT_FOUND".to_owned()),
            sqlstate: Some("42P01".to_owned()),
            message: "there is no `t`".to_owned(),
        };
        let status = status(&error, Uuid::nil());
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(
            status.message(),
            "[TABLE_OR_VIEW_NOT_FOUND] there is no `t` SQLSTATE: 42P01"
        );
        let details = RpcStatus::decode(status.details()).expect("google.rpc.Status");
        let info = ErrorInfo::decode(details.details[0].value.clone()).expect("ErrorInfo");
        assert_eq!(info.reason, "TABLE_OR_VIEW_NOT_FOUND");
        assert_eq!(info.metadata["sqlstate"], "42P01");
    }

    #[test]
    fn a_long_message_keeps_its_ends() {
        let error = ServiceError {
            sqlstate: Some("42601".to_owned()),
            ..ServiceError::new(Kind::InvalidArgument, "ß".repeat(100_000))
        };
        let status = status(&error, Uuid::nil());
        assert!(status.message().len() <= MESSAGE_BYTES_MAX);
        assert!(status.message().ends_with("SQLSTATE: 42601"));
    }
}
