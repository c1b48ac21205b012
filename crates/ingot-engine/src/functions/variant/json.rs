//! Variants as values of a text, and as JSON.

use std::borrow::Cow;

use arrow::array::{ArrayRef, AsArray};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::error::Result;
use parquet_variant::Variant;

use super::variant_at;
use crate::functions::json::text::write_text;
use crate::functions::record::Value;
use crate::functions::record::formats::Formats;
use crate::functions::record::number::{write_double, write_float};
use crate::spark::temporal::parse_date;

/// Writes the variant of a row as JSON.
///
/// # Errors
/// `MALFORMED_VARIANT`.
pub(crate) fn write_json(
    variants: &ArrayRef,
    row: usize,
    formats: &Formats,
    into: &mut String,
) -> Result<()> {
    match variant_at(variants.as_struct(), row)? {
        Some(variant) => write(&variant, formats, into),
        None => into.push_str("null"),
    }
    Ok(())
}

/// Writes a variant as JSON.
pub(super) fn write(variant: &Variant<'_, '_>, formats: &Formats, into: &mut String) {
    match variant {
        Variant::Object(object) => {
            into.push('{');
            for (place, (name, value)) in object.iter().enumerate() {
                if place > 0 {
                    into.push(',');
                }
                write_text(name, into);
                into.push(':');
                write(&value, formats, into);
            }
            into.push('}');
        }
        Variant::List(list) => {
            into.push('[');
            for (place, item) in list.iter().enumerate() {
                if place > 0 {
                    into.push(',');
                }
                write(&item, formats, into);
            }
            into.push(']');
        }
        scalar => match value_of(scalar, formats) {
            Value::Null => into.push_str("null"),
            Value::Boolean(value) => into.push_str(if value { "true" } else { "false" }),
            Value::Number(text) if text.ends_with(['N', 'y']) => write_text(&text, into),
            Value::Number(text) => into.push_str(&text),
            Value::Text(text) => write_text(&text, into),
            Value::Array(..) | Value::Object(..) => {}
        },
    }
}

/// Returns a variant that is neither a list nor an object as a value of a text.
fn value_of<'a>(variant: &'a Variant<'_, '_>, formats: &Formats) -> Value<'a> {
    let number = |text: String| Value::Number(Cow::Owned(text));
    let written = |write: &dyn Fn(&mut String)| {
        let mut text = String::new();
        write(&mut text);
        text
    };
    match variant {
        Variant::Null => Value::Null,
        Variant::BooleanTrue => Value::Boolean(true),
        Variant::BooleanFalse => Value::Boolean(false),
        Variant::Int8(value) => number(value.to_string()),
        Variant::Int16(value) => number(value.to_string()),
        Variant::Int32(value) => number(value.to_string()),
        Variant::Int64(value) => number(value.to_string()),
        Variant::Float(value) => number(written(&|into| write_float(*value, into))),
        Variant::Double(value) => number(written(&|into| write_double(*value, into))),
        Variant::Decimal4(value) => number(decimal(value.integer().into(), value.scale())),
        Variant::Decimal8(value) => number(decimal(value.integer().into(), value.scale())),
        Variant::Decimal16(value) => number(decimal(value.integer(), value.scale())),
        Variant::String(text) => Value::Text(Cow::Borrowed(text)),
        Variant::ShortString(text) => Value::Text(Cow::Borrowed(text.as_str())),
        Variant::Binary(bytes) => Value::Text(Cow::Owned(STANDARD.encode(bytes))),
        Variant::Date(day) => {
            let text = day.to_string();
            Value::Text(Cow::Owned(written(&|into| match parse_date(&text) {
                Some(days) => formats.write_date(days, into),
                None => into.push_str(&text),
            })))
        }
        Variant::TimestampMicros(_) | Variant::TimestampNanos(_) => {
            let instant = match variant {
                Variant::TimestampMicros(at) | Variant::TimestampNanos(at) => at.timestamp_micros(),
                _ => 0,
            };
            Value::Text(Cow::Owned(written(&|into| {
                formats.write_plain_timestamp(instant, into)
            })))
        }
        Variant::TimestampNtzMicros(at) | Variant::TimestampNtzNanos(at) => {
            let local = at.and_utc().timestamp_micros();
            Value::Text(Cow::Owned(written(&|into| {
                crate::spark::temporal::write_local(local, into);
            })))
        }
        Variant::Time(time) => Value::Text(Cow::Owned(time.to_string())),
        Variant::Uuid(id) => Value::Text(Cow::Owned(id.to_string())),
        // They have no text of one value.
        Variant::List(_) | Variant::Object(_) => Value::Null,
    }
}

fn decimal(digits: i128, scale: u8) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    let all = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = all.split_at(all.len() - scale);
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}
