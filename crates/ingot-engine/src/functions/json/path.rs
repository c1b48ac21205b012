//! `get_json_object(text, path)`: what a path as `$.a[0].b` or `$.a[*]['b']` finds, as text; null where it finds nothing.
//!
//! Source: Spark, `GetJsonObjectEvaluator`, whose cases are these, with the ways of Hive that it keeps: one match of a
//! wildcard stands without brackets, and `[*][*]` flattens.

use std::sync::Arc;

use arrow::array::{AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::text::{Leniency, read, write_text};
use crate::functions::arguments::{exact, over_arrays};
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::functions::record::Value;
use crate::functions::record::number::{special_double, write_double};

const NAME: &str = "get_json_object";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(
        NAME,
        |types| exact(NAME, types, &[DataType::Utf8, DataType::Utf8]),
        Returns::Always(DataType::Utf8),
        get,
    )]
}

/// Computes `get_json_object`, whatever it is called.
///
/// # Errors
/// None: what is no JSON has nothing in it.
pub(crate) fn get(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let (texts, paths) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
        let mut found = StringBuilder::new();
        let mut known: Option<(&str, Option<Vec<Step>>)> = None;
        for (text, path) in texts.iter().zip(paths) {
            let (Some(text), Some(path)) = (text, path) else {
                found.append_null();
                continue;
            };
            if known.as_ref().is_none_or(|(known, _)| *known != path) {
                known = Some((path, steps(path)));
            }
            let steps = known.as_ref().and_then(|(_, steps)| steps.as_deref());
            found.append_option(steps.and_then(|steps| evaluate(text, steps)));
        }
        Ok(Arc::new(found.finish()))
    })
}

fn evaluate(text: &str, steps: &[Step]) -> Option<String> {
    let value = read(text, Leniency::default()).ok()??;
    let mut out = Out::default();
    (value != Value::Null && follow(&value, steps, Style::Raw, &mut out)).then_some(out.text)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    AnyName,
    Index(usize),
    AnyIndex,
}

/// Reads a path; `None` when it is none.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("['") {
            let (name, after) = after.split_once('\'')?;
            steps.push(match name {
                "*" => Step::AnyName,
                name => Step::Name(name.to_owned()),
            });
            rest = after.strip_prefix(']')?;
        } else if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']')?;
            steps.push(match index {
                "*" => Step::AnyIndex,
                index => Step::Index(index.parse().ok()?),
            });
            rest = after;
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            steps.push(match name {
                "" => return None,
                "*" => Step::AnyName,
                name => Step::Name(name.to_owned()),
            });
            rest = after;
        }
    }
    Some(steps)
}

/// How what is found is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// A text without quotes.
    Raw,
    Quoted,
    /// An array as its items.
    Flatten,
}

/// What is written, values one after the other.
#[derive(Default)]
struct Out {
    text: String,
    values: usize,
}

impl Out {
    fn begin(&mut self) -> &mut String {
        if self.values > 0 {
            self.text.push(',');
        }
        self.values += 1;
        &mut self.text
    }
}

fn follow(value: &Value<'_>, steps: &[Step], style: Style, out: &mut Out) -> bool {
    match (value, steps) {
        (Value::Text(text), []) if style == Style::Raw => {
            out.begin().push_str(text);
            true
        }
        (Value::Array(items, _), []) if style == Style::Flatten => {
            let mut found = false;
            for item in items {
                found |= follow(item, &[], style, out);
            }
            found
        }
        (value, []) => {
            write(value, out.begin());
            true
        }
        (Value::Object(fields, _), [step @ (Step::Name(_) | Step::AnyName), rest @ ..]) => {
            fields.iter().any(|(name, value)| match step {
                Step::Name(wanted) if wanted != name.as_ref() => false,
                Step::Name(_) if value == &Value::Null => false,
                _ => follow(value, rest, style, out),
            })
        }
        (Value::Array(items, _), [Step::AnyIndex, Step::AnyIndex, rest @ ..]) => {
            array_of(items, rest, Style::Flatten, out)
        }
        (Value::Array(items, _), [Step::AnyIndex, rest @ ..]) if style != Style::Quoted => {
            let inner_style = match style {
                Style::Flatten => Style::Flatten,
                Style::Raw | Style::Quoted => Style::Quoted,
            };
            let mut inner = Out::default();
            let mut found = 0;
            for item in items {
                found += usize::from(follow(item, rest, inner_style, &mut inner));
            }
            match found {
                0 => false,
                1 => {
                    out.begin().push_str(&inner.text);
                    true
                }
                _ => {
                    let text = out.begin();
                    text.push('[');
                    text.push_str(&inner.text);
                    text.push(']');
                    true
                }
            }
        }
        (Value::Array(items, _), [Step::AnyIndex, rest @ ..]) => array_of(items, rest, Style::Quoted, out),
        (Value::Array(items, _), [Step::Index(index), rest @ ..]) => {
            let style = match rest {
                [Step::AnyIndex, ..] => Style::Quoted,
                _ => style,
            };
            items
                .get(*index)
                .is_some_and(|item| follow(item, rest, style, out))
        }
        _ => false,
    }
}

/// Writes an array of all that is found in the items.
fn array_of(items: &[Value<'_>], steps: &[Step], style: Style, out: &mut Out) -> bool {
    let mut inner = Out::default();
    let mut found = false;
    for item in items {
        found |= follow(item, steps, style, &mut inner);
    }
    let text = out.begin();
    text.push('[');
    text.push_str(&inner.text);
    text.push(']');
    found
}

/// Writes a value without spaces, numbers with a point as doubles.
fn write(value: &Value<'_>, into: &mut String) {
    match value {
        Value::Null => into.push_str("null"),
        Value::Boolean(value) => into.push_str(if *value { "true" } else { "false" }),
        Value::Number(text) if text.contains(['.', 'e', 'E']) => match text.parse() {
            Ok(number) => write_double(number, into),
            Err(_) => into.push_str(text),
        },
        Value::Number(text) if special_double(text).is_some() => write_text(text, into),
        Value::Number(text) => into.push_str(text),
        Value::Text(text) => write_text(text, into),
        Value::Array(items, _) => {
            into.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    into.push(',');
                }
                write(item, into);
            }
            into.push(']');
        }
        Value::Object(fields, _) => {
            into.push('{');
            for (place, (name, value)) in fields.iter().enumerate() {
                if place > 0 {
                    into.push(',');
                }
                write_text(name, into);
                into.push(':');
                write(value, into);
            }
            into.push('}');
        }
    }
}
