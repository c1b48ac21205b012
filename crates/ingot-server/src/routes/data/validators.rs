//! What tells a client that the answer it has still holds.
//!
//! An answer follows from the state of the table, from what the caller may see of it, from the request and from the
//! format; their hash is its entity tag. It is weak: the same rows may come in another order. What follows from more
//! than that, as a view does, has none. Source: RFC 9110, 8.8.3, 13.1.2; RFC 9111, 5.2.2.

use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED, VARY};
use axum::response::Response;
use chrono::DateTime;
use ingot_common::port::TableState;
use sha2::{Digest, Sha256};

use crate::encode::Format;

/// Bytes of a tag's hash.
const TAG_BYTES: usize = 16;

/// What stands on an answer about how long it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    /// `None` where nothing tells.
    tag: Option<Tag>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    etag: String,
    last_modified: Option<String>,
}

impl Validators {
    /// Makes those of the answer to `request`, its parameters in one order, in `format`.
    pub fn of(state: &TableState, request: &str, format: Format) -> Self {
        let (Some(id), Some(policy)) = (&state.id, &state.policy) else {
            return Self { tag: None };
        };
        let mut hash = Sha256::new();
        let (version, committed_at) = (id.version.to_string(), id.committed_at_ms.to_string());
        let parts = [
            env!("CARGO_PKG_VERSION"),
            &id.table,
            &version,
            &committed_at,
            policy,
            request,
            format.name(),
        ];
        for part in parts {
            hash.update(part.len().to_le_bytes());
            hash.update(part.as_bytes());
        }
        let hash = hash.finalize();
        let hex: String = hash
            .iter()
            .take(TAG_BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let committed = DateTime::from_timestamp_millis(id.committed_at_ms);
        Self {
            tag: Some(Tag {
                etag: format!("W/\"{hex}\""),
                last_modified: committed.map(|at| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            }),
        }
    }

    /// Says if the client has this answer.
    pub fn match_any(&self, headers: &HeaderMap) -> bool {
        let Some(tag) = &self.tag else { return false };
        let values = headers.get_all(IF_NONE_MATCH).iter();
        let mut tags = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim);
        let opaque = tag.etag.trim_start_matches("W/");
        tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == opaque)
    }

    /// Writes them on an answer.
    pub fn describe(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(VARY, HeaderValue::from_static("accept, authorization"));
        if let Some(tag) = &self.tag {
            let last_modified = tag.last_modified.as_ref();
            for (name, text) in [(ETAG, Some(&tag.etag)), (LAST_MODIFIED, last_modified)] {
                if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
                    headers.insert(name, value);
                }
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;
    use axum::response::IntoResponse;
    use ingot_common::port::StateId;
    use test_case::test_case;

    use super::*;

    fn state(version: i64, policy: Option<&str>) -> TableState {
        TableState {
            schema: Arc::new(Schema::empty()),
            id: Some(StateId {
                table: "t".to_owned(),
                version,
                committed_at_ms: 784_111_777_000,
            }),
            policy: policy.map(str::to_owned),
        }
    }

    fn etag(state: &TableState, request: &str, format: Format) -> Option<String> {
        Validators::of(state, request, format).tag.map(|tag| tag.etag)
    }

    #[test]
    fn a_tag_follows_from_all_that_the_answer_follows_from() {
        let own = state(1, Some("ann"));
        let tag = etag(&own, "a=1", Format::Json);
        assert!(tag.is_some());
        assert_eq!(etag(&own, "a=1", Format::Json), tag);
        for other in [
            etag(&state(2, Some("ann")), "a=1", Format::Json),
            etag(&state(1, Some("ben")), "a=1", Format::Json),
            etag(&own, "a=2", Format::Json),
            etag(&own, "a=1", Format::Csv),
        ] {
            assert_ne!(other, tag);
        }
        assert_eq!(etag(&state(1, None), "a=1", Format::Json), None);
        let view = TableState { id: None, ..own };
        assert_eq!(etag(&view, "a=1", Format::Json), None);
    }

    #[test_case("TAG", true; "the tag")]
    #[test_case("\"other\", TAG", true; "one of several")]
    #[test_case("STRONG", true; "the tag as a strong one")]
    #[test_case("*", true; "any")]
    #[test_case("W/\"other\"", false; "another")]
    #[test_case("", false; "none")]
    fn a_client_tells_what_it_has(header: &str, expected: bool) {
        let validators = Validators::of(&state(1, Some("ann")), "a=1", Format::Json);
        let tag = validators.tag.clone().expect("a tag").etag;
        let strong = tag.trim_start_matches("W/").to_owned();
        let header = header.replace("TAG", &tag).replace("STRONG", &strong);
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, HeaderValue::from_str(&header).expect("header"));
        assert_eq!(validators.match_any(&headers), expected);
    }

    #[test]
    fn instants_are_dates_of_http() {
        let validators = Validators::of(&state(1, Some("ann")), "", Format::Json);
        let response = validators.describe(().into_response());
        assert_eq!(response.headers()[LAST_MODIFIED], "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(response.headers()[CACHE_CONTROL], "private, no-cache");
    }
}
