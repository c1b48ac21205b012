//! Messages of sessions, which the library lacks. Source: `Flight.proto`.

use std::collections::HashMap;

use prost::{Enumeration, Message, Oneof};

/// The value of an option; none takes the option back.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionOptionValue {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    pub value: Option<OptionValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum OptionValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Truth(bool),
    #[prost(sfixed64, tag = "3")]
    Number(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub session_options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum SetError {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    /// It cannot be set.
    Error = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetErrorValue {
    #[prost(enumeration = "SetError", tag = "1")]
    pub value: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsResult {
    /// By the names of options that were not set.
    #[prost(map = "string, message", tag = "1")]
    pub errors: HashMap<String, SetErrorValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub session_options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum CloseStatus {
    Unspecified = 0,
    Closed = 1,
    Closing = 2,
    NotCloseable = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CloseSessionResult {
    #[prost(enumeration = "CloseStatus", tag = "1")]
    pub status: i32,
}

impl SessionOptionValue {
    /// Makes the value of a text.
    pub fn text(text: String) -> Self {
        Self {
            value: Some(OptionValue::Text(text)),
        }
    }
}

impl OptionValue {
    /// Writes a value as SET takes it; `None` for a list.
    pub fn written(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Truth(truth) => Some(truth.to_string()),
            Self::Number(number) => Some(number.to_string()),
            Self::Double(number) => Some(number.to_string()),
            Self::Texts(_) => None,
        }
    }
}
