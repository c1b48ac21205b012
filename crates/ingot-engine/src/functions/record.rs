//! Records in texts: what JSON, CSV and XML have in common.
//!
//! ```text
//! text ─► its reader (`json::text`, `csv`, `xml`) ─► Value ─► Column: an array of the schema's type
//! ```
//! A value that is not of its column's type is null there; the record around it is kept and counts as malformed.
//! Source: Spark, `JacksonParser`, `UnivocityParser`, `StaxXmlParser`, `FailureSafeParser`.

pub(crate) mod column;
pub(crate) mod formats;
pub(crate) mod inference;
pub(crate) mod number;
pub(crate) mod options;
pub(crate) mod parser;
pub(crate) mod schema;

use std::borrow::Cow;

/// A value in a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    /// As it is written.
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    /// The items, and how the array is written.
    Array(Vec<Value<'a>>, Cow<'a, str>),
    /// The fields in their order, and how the object is written.
    Object(Vec<(Cow<'a, str>, Value<'a>)>, Cow<'a, str>),
}
