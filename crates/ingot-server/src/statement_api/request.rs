//! What a client asks for, checked.
//!
//! Source: Databricks, Statement Execution API, "Execute a SQL statement".

use std::time::Duration;

use ingot_common::port::{SessionRequest, StatementParameter};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::execution::{Links, Order, Place};
use super::result::{Format, Shape};
use crate::error::ApiError;

/// Bytes that a result within an answer may have.
pub const INLINE_BYTES_MAX: u64 = 25 << 20;

/// Bytes that a result may have that is fetched by links.
const LINKED_BYTES_MAX: u64 = 100 << 30;

/// How long an answer waits, unless its client says so.
const WAIT: Duration = Duration::from_secs(10);

/// A statement to run.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct StatementBody {
    /// The statement, in Databricks' dialect.
    #[schema(example = "SELECT carrier, count(*) FROM main.silver.flights GROUP BY carrier")]
    pub statement: String,
    /// Any text: there is one warehouse.
    #[expect(dead_code, reason = "taken, and described, because clients send it")]
    pub warehouse_id: Option<String>,
    /// A session that the statement runs in; one of its own otherwise.
    pub session_id: Option<String>,
    /// Catalog for names of fewer than three parts.
    pub catalog: Option<String>,
    /// Schema for names of one part.
    pub schema: Option<String>,
    /// Values for the parameter markers of the statement.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Rows that the result has at most.
    pub row_limit: Option<u64>,
    /// Bytes that the result has at most.
    pub byte_limit: Option<u64>,
    /// `INLINE` (by default), `EXTERNAL_LINKS` or `INLINE_OR_EXTERNAL_LINKS`.
    pub disposition: Option<String>,
    /// `JSON_ARRAY` (by default), `ARROW_STREAM` or `CSV`.
    pub format: Option<String>,
    /// `LZ4_FRAME` or `NONE` (by default). Results as `ARROW_STREAM` alone are compressed.
    pub result_compression: Option<String>,
    /// How long the answer waits for the result: `0s`, or `5s` to `50s`; `10s` by default.
    #[schema(example = "30s")]
    pub wait_timeout: Option<String>,
    /// `CONTINUE` (by default) or `CANCEL`: what becomes of the statement when the wait is over.
    pub on_wait_timeout: Option<String>,
    /// Stand in the query history.
    #[serde(default)]
    pub query_tags: Vec<QueryTag>,
}

/// A value for a parameter marker.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Parameter {
    /// The name of the markers that it is for, without the colon.
    pub name: Option<String>,
    /// The value as a text; null when it is left out.
    pub value: Option<String>,
    /// The type that the text is read as; `STRING` by default.
    #[serde(rename = "type")]
    pub type_text: Option<String>,
}

/// A tag of a statement.
#[derive(Debug, Deserialize, ToSchema)]
pub struct QueryTag {
    pub key: String,
    pub value: Option<String>,
}

/// How long an answer waits for the end of its statement, and what comes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub patience: Duration,
    pub cancel: bool,
}

impl StatementBody {
    /// Checks what is asked.
    ///
    /// # Errors
    /// A value that is not one of those that there are, and combinations that there are not.
    pub fn order(self) -> Result<(Order, Wait), ApiError> {
        let wait = Wait {
            patience: patience(self.wait_timeout.as_deref())?,
            cancel: choice(
                "on_wait_timeout",
                self.on_wait_timeout.as_deref(),
                &[("CONTINUE", false), ("CANCEL", true)],
            )?,
        };
        let lz4 = choice(
            "result_compression",
            self.result_compression.as_deref(),
            &[("NONE", false), ("LZ4_FRAME", true)],
        )?;
        let formats = [
            ("JSON_ARRAY", Format::JsonArray),
            ("ARROW_STREAM", Format::ArrowStream { lz4 }),
            ("CSV", Format::Csv),
        ];
        let format = choice("format", self.format.as_deref(), &formats)?;
        let links = choice(
            "disposition",
            self.disposition.as_deref(),
            &[
                ("INLINE", Links::Never),
                ("EXTERNAL_LINKS", Links::Always),
                ("INLINE_OR_EXTERNAL_LINKS", Links::Many),
            ],
        )?;
        if links == Links::Never && format != Format::JsonArray {
            return Err(ApiError::invalid(
                "disposition=INLINE goes with format=JSON_ARRAY only; ask for disposition=EXTERNAL_LINKS",
            ));
        }
        if links == Links::Many && format == Format::Csv {
            return Err(ApiError::invalid(
                "disposition=INLINE_OR_EXTERNAL_LINKS does not go with format=CSV; ask for disposition=EXTERNAL_LINKS",
            ));
        }
        let shape = Shape {
            format,
            whole: links == Links::Never,
            rows_max: self.row_limit,
            bytes_max: self.byte_limit,
            bytes_allowed: match links {
                Links::Never => INLINE_BYTES_MAX,
                Links::Always | Links::Many => LINKED_BYTES_MAX,
            },
        };
        let place = place(
            self.session_id.as_deref(),
            self.catalog,
            self.schema,
            &self.query_tags,
        )?;
        let order = Order {
            place,
            statement: self.statement,
            parameters: self.parameters.into_iter().map(Into::into).collect(),
            shape,
            links,
        };
        Ok((order, wait))
    }
}

impl From<Parameter> for StatementParameter {
    fn from(parameter: Parameter) -> Self {
        Self {
            name: parameter.name.filter(|name| !name.is_empty()),
            value: parameter.value,
            type_text: parameter.type_text,
        }
    }
}

fn place(
    session_id: Option<&str>,
    catalog: Option<String>,
    schema: Option<String>,
    tags: &[QueryTag],
) -> Result<Place, ApiError> {
    if let Some(id) = session_id.filter(|id| !id.is_empty()) {
        if catalog.is_some() || schema.is_some() {
            return Err(ApiError::invalid(
                "catalog and schema are those of the session; leave them out, or run USE in the session",
            ));
        }
        return Ok(Place::Session(session(id)?));
    }
    let mut request = SessionRequest {
        catalog,
        schema,
        ..SessionRequest::default()
    };
    if !tags.is_empty() {
        request.settings.insert("QUERY_TAGS".to_owned(), tags_text(tags));
    }
    Ok(Place::Own(request))
}

/// Reads the number of a session.
///
/// # Errors
/// `NotFound` for a text that is none.
pub fn session(id: &str) -> Result<Uuid, ApiError> {
    Uuid::parse_str(id).map_err(|_| ApiError::missing(format!("there is no session {id}")))
}

/// Writes tags as the setting `QUERY_TAGS` has them: `key:value,key`, with backslashes before `,`, `:` and `\`.
fn tags_text(tags: &[QueryTag]) -> String {
    let escaped = |text: &str| {
        let special = |char| matches!(char, ',' | ':' | '\\');
        text.chars()
            .flat_map(|char| special(char).then_some('\\').into_iter().chain([char]))
            .collect::<String>()
    };
    let tags = tags.iter().map(|tag| match tag.value.as_deref() {
        Some(value) if !value.is_empty() => format!("{}:{}", escaped(&tag.key), escaped(value)),
        _ => escaped(&tag.key),
    });
    tags.collect::<Vec<_>>().join(",")
}

/// Reads a duration as `10s`: 0, or 5 to 50 seconds.
fn patience(text: Option<&str>) -> Result<Duration, ApiError> {
    let Some(text) = text else { return Ok(WAIT) };
    let seconds = text
        .strip_suffix('s')
        .and_then(|digits| digits.parse::<u64>().ok());
    match seconds {
        Some(seconds @ (0 | 5..=50)) => Ok(Duration::from_secs(seconds)),
        _ => Err(ApiError::invalid(format!(
            "wait_timeout=`{text}` is neither `0s` nor between `5s` and `50s`"
        ))),
    }
}

/// Returns what `text` stands for; the first of `known` when there is none.
fn choice<T: Copy>(field: &str, text: Option<&str>, known: &[(&str, T)]) -> Result<T, ApiError> {
    let found = match text {
        None => known.first(),
        Some(text) => known.iter().find(|(name, _)| *name == text),
    };
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        ApiError::invalid(format!(
            "{field}=`{}` is none of {}",
            text.unwrap_or_default(),
            names.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn body(fields: &serde_json::Value) -> StatementBody {
        serde_json::from_value(fields.clone()).expect("a body")
    }

    #[test_case(&serde_json::json!({}), Some((10, false)); "nothing")]
    #[test_case(&serde_json::json!({"wait_timeout": "0s"}), Some((0, false)); "no wait")]
    #[test_case(&serde_json::json!({"wait_timeout": "50s", "on_wait_timeout": "CANCEL"}), Some((50, true)); "the longest wait")]
    #[test_case(&serde_json::json!({"wait_timeout": "51s"}), None; "a wait too long")]
    #[test_case(&serde_json::json!({"wait_timeout": "4s"}), None; "a wait too short")]
    #[test_case(&serde_json::json!({"wait_timeout": "-5s"}), None; "a negative wait")]
    #[test_case(&serde_json::json!({"wait_timeout": "10"}), None; "no unit")]
    #[test_case(&serde_json::json!({"on_wait_timeout": "STOP"}), None; "an unknown choice")]
    #[test_case(&serde_json::json!({"format": "ARROW_STREAM"}), None; "arrow within an answer")]
    #[test_case(&serde_json::json!({"format": "ARROW_STREAM", "disposition": "EXTERNAL_LINKS", "result_compression": "LZ4_FRAME"}), Some((10, false)); "arrow by links")]
    #[test_case(&serde_json::json!({"result_compression": "LZ4_FRAME"}), Some((10, false)); "json is never compressed")]
    #[test_case(&serde_json::json!({"result_compression": "GZIP"}), None; "an unknown compression")]
    #[test_case(&serde_json::json!({"format": "CSV", "disposition": "INLINE_OR_EXTERNAL_LINKS"}), None; "csv within an answer")]
    #[test_case(&serde_json::json!({"session_id": "x"}), None; "no session's number")]
    #[test_case(&serde_json::json!({"session_id": Uuid::nil(), "catalog": "main"}), None; "a catalog beside a session")]
    fn bodies_are_checked(fields: &serde_json::Value, expected: Option<(u64, bool)>) {
        let mut fields = fields.clone();
        fields["statement"] = "SELECT 1".into();
        let wait = body(&fields).order().ok().map(|(_, wait)| wait);
        let expected = expected.map(|(seconds, cancel)| Wait {
            patience: Duration::from_secs(seconds),
            cancel,
        });
        assert_eq!(wait, expected);
    }

    #[test]
    fn tags_are_a_setting() {
        let tags = [
            QueryTag {
                key: "team".to_owned(),
                value: Some("a,b:c".to_owned()),
            },
            QueryTag {
                key: "adhoc".to_owned(),
                value: None,
            },
        ];
        assert_eq!(tags_text(&tags), r"team:a\,b\:c,adhoc");
    }
}
