//! What a client is told of a statement.
//!
//! Source: Databricks, Statement Execution API, `StatementResponse`.

use axum::Json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use ingot_common::{Kind, ServiceError, clock};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::columns::{self, ColumnInfo};
use super::execution::{Execution, KEPT, Links, State};
use super::result::{Chunk, Format, StoredResult};

/// How far a statement is, and its result once it is there.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementResponse {
    statement_id: String,
    #[schema(value_type = Object)]
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    manifest: Option<Manifest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result: Option<ResultData>,
}

#[derive(Debug, Serialize)]
struct Status {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_state: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failure {
    error_code: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
struct Manifest {
    format: &'static str,
    schema: ResultSchema,
    total_row_count: u64,
    total_byte_count: u64,
    total_chunk_count: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<ChunkInfo>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_compression: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct ResultSchema {
    column_count: usize,
    columns: Vec<ColumnInfo>,
}

#[derive(Debug, Serialize)]
struct ChunkInfo {
    chunk_index: usize,
    row_offset: u64,
    row_count: u64,
    byte_count: u64,
}

/// A chunk of a result: its rows, or a link to them. All is absent for a result without rows.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ResultData {
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    byte_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_chunk_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_chunk_internal_link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<Option<String>>>>)]
    data_array: Option<Box<RawValue>>,
    /// An Arrow stream, in Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    external_links: Option<Vec<ExternalLink>>,
}

#[derive(Debug, Serialize)]
struct ExternalLink {
    external_link: String,
    expiration: String,
    chunk_index: usize,
    row_offset: u64,
    row_count: u64,
    byte_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_chunk_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_chunk_internal_link: Option<String>,
}

/// Tells how far a statement is. `origin` is how the client reaches the server: `https://HOST:PORT`.
///
/// # Errors
/// `Internal` for a result that cannot be read.
pub async fn statement(
    execution: &Execution,
    state: &State,
    origin: &str,
) -> Result<Json<StatementResponse>, ServiceError> {
    let (manifest, result) = match state {
        State::Succeeded(stored) => {
            let first = match stored.chunks.is_empty() {
                true => ResultData::default(),
                false => chunk(execution, stored, 0, origin).await?,
            };
            (Some(manifest(stored)), Some(first))
        }
        _ => (None, None),
    };
    Ok(Json(StatementResponse {
        statement_id: execution.id().to_string(),
        status: status(state),
        manifest,
        result,
    }))
}

/// Gives a chunk, or a link to it.
///
/// # Errors
/// `NotFound` where there is none of this number; `Internal` for one that cannot be read.
pub async fn chunk(
    execution: &Execution,
    stored: &StoredResult,
    index: usize,
    origin: &str,
) -> Result<ResultData, ServiceError> {
    let found = found(stored, index)?;
    let next = Some(index + 1).filter(|next| *next < stored.chunks.len());
    let link_to_next =
        next.map(|next| format!("/api/2.0/sql/statements/{}/result/chunks/{next}", execution.id()));
    let linked = match execution.links() {
        Links::Never => false,
        Links::Always => true,
        Links::Many => stored.chunks.len() > 1,
    };
    if linked {
        let link = ExternalLink {
            external_link: format!(
                "{origin}/api/2.0/sql/results/{}/{}/{index}",
                execution.id(),
                execution.secret()
            ),
            expiration: expiration(),
            chunk_index: index,
            row_offset: found.row_offset,
            row_count: found.row_count,
            byte_count: found.byte_count,
            next_chunk_index: next,
            next_chunk_internal_link: link_to_next,
        };
        return Ok(ResultData {
            external_links: Some(vec![link]),
            ..ResultData::default()
        });
    }
    let bytes = stored.read(found).await?;
    let (data_array, attachment) = match stored.format {
        Format::JsonArray => (Some(raw(bytes)?), None),
        Format::ArrowStream { .. } | Format::Csv => (None, Some(STANDARD.encode(bytes))),
    };
    Ok(ResultData {
        chunk_index: Some(index),
        row_offset: Some(found.row_offset),
        row_count: Some(found.row_count),
        byte_count: Some(found.byte_count),
        next_chunk_index: next,
        next_chunk_internal_link: link_to_next,
        data_array,
        attachment,
        external_links: None,
    })
}

/// Returns a chunk of a result.
///
/// # Errors
/// `NotFound` where there is none of this number.
pub fn found(stored: &StoredResult, index: usize) -> Result<Chunk, ServiceError> {
    stored.chunks.get(index).copied().ok_or_else(|| {
        let message = format!(
            "the result has no chunk {index}: it has {}, counted from 0",
            stored.chunks.len()
        );
        ServiceError::new(Kind::NotFound, message)
    })
}

fn manifest(stored: &StoredResult) -> Manifest {
    let columns = columns::columns(&stored.schema);
    let chunks = stored.chunks.iter().enumerate();
    Manifest {
        format: match stored.format {
            Format::JsonArray => "JSON_ARRAY",
            Format::ArrowStream { .. } => "ARROW_STREAM",
            Format::Csv => "CSV",
        },
        schema: ResultSchema {
            column_count: columns.len(),
            columns,
        },
        total_row_count: stored.rows,
        total_byte_count: stored.bytes(),
        total_chunk_count: stored.chunks.len(),
        chunks: chunks
            .map(|(chunk_index, chunk)| ChunkInfo {
                chunk_index,
                row_offset: chunk.row_offset,
                row_count: chunk.row_count,
                byte_count: chunk.byte_count,
            })
            .collect(),
        truncated: stored.truncated,
        result_compression: (stored.format == Format::ArrowStream { lz4: true }).then_some("LZ4_FRAME"),
    }
}

fn status(state: &State) -> Status {
    let status = |state| Status {
        state,
        error: None,
        sql_state: None,
    };
    match state {
        State::Running => status("RUNNING"),
        State::Succeeded(_) => status("SUCCEEDED"),
        State::Canceled => status("CANCELED"),
        State::Failed(error) => Status {
            state: "FAILED",
            error: Some(Failure {
                error_code: error_code(error.kind),
                message: error.described(),
            }),
            sql_state: error.sqlstate.clone(),
        },
    }
}

/// Source: Databricks, Statement Execution API, `ServiceErrorCode`.
fn error_code(kind: Kind) -> &'static str {
    match kind {
        Kind::InvalidArgument | Kind::FailedPrecondition | Kind::Unsupported | Kind::PermissionDenied => {
            "BAD_REQUEST"
        }
        Kind::NotFound => "NOT_FOUND",
        Kind::AlreadyExists => "ALREADY_EXISTS",
        Kind::Unauthenticated => "UNAUTHENTICATED",
        Kind::Conflict => "ABORTED",
        Kind::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Kind::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Kind::Unavailable => "TEMPORARILY_UNAVAILABLE",
        Kind::Cancelled => "CANCELLED",
        Kind::DataLoss => "IO_ERROR",
        Kind::Internal => "INTERNAL_ERROR",
    }
}

/// When a link ends that is given now: a statement is forgotten then, at the earliest.
fn expiration() -> String {
    let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    let end = DateTime::from_timestamp_millis(clock::now_ms().saturating_add(kept));
    end.unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn raw(bytes: Vec<u8>) -> Result<Box<RawValue>, ServiceError> {
    let text = String::from_utf8(bytes).ok();
    let raw = text.and_then(|text| RawValue::from_string(text).ok());
    raw.ok_or_else(|| ServiceError::new(Kind::Internal, "the result is no JSON"))
}
