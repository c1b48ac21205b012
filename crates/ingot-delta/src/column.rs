//! What Delta keeps with a column beside its type: keys of a field's metadata, and identity columns.
//!
//! A snapshot's schema carries them as texts, the log as JSON of their types; [`crate::schema`] converts both ways.
//! Source: Delta protocol, "Generated Columns", "Identity Columns", "Default Columns", "Column Invariants".

use std::collections::BTreeMap;

use arrow::datatypes::Field;
use serde_json::Value;

use crate::{Error, Metadata, Result};

/// The column's comment.
pub const COMMENT: &str = "comment";
/// A SQL expression over the row that gives the column's value when a statement does not.
pub const CURRENT_DEFAULT: &str = "CURRENT_DEFAULT";
/// A SQL expression over the row that the column's value always equals.
pub const GENERATION_EXPRESSION: &str = "delta.generationExpression";
/// The type of a text whose length is limited: `varchar(5)`. Source: Spark, `CharVarcharUtils`.
pub const CHAR_VARCHAR: &str = "__CHAR_VARCHAR_TYPE_STRING";
/// JSON with a SQL expression that is true for every row.
pub const INVARIANTS: &str = "delta.invariants";
/// The first value of an identity column.
pub const IDENTITY_START: &str = "delta.identity.start";
/// What lies between the values of an identity column; negative for one that falls.
pub const IDENTITY_STEP: &str = "delta.identity.step";
/// The last value that an identity column was given.
pub const IDENTITY_HIGH_WATER_MARK: &str = "delta.identity.highWaterMark";
/// Whether statements may give values to an identity column themselves.
pub const IDENTITY_ALLOW_EXPLICIT_INSERT: &str = "delta.identity.allowExplicitInsert";

/// How an identity column gets its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub start: i64,
    pub step: i64,
    /// `None` when no value was given yet.
    pub high_water_mark: Option<i64>,
    pub allow_explicit_insert: bool,
}

impl Identity {
    /// Reads it from a column; `None` for a column that is no identity column.
    ///
    /// # Errors
    /// `DataLoss` when the metadata of the column is not whole.
    pub fn of(field: &Field) -> Result<Option<Self>> {
        let metadata = field.metadata();
        if !metadata.contains_key(IDENTITY_START) && !metadata.contains_key(IDENTITY_STEP) {
            return Ok(None);
        }
        let number = |key: &str| metadata.get(key).map(|text| text.parse::<i64>()).transpose();
        let inconsistent = || Error::CorruptLog {
            location: String::new(),
            message: format!("metadata of identity column `{}` is inconsistent", field.name()),
        };
        let (Ok(Some(start)), Ok(Some(step)), Ok(high_water_mark)) = (
            number(IDENTITY_START),
            number(IDENTITY_STEP),
            number(IDENTITY_HIGH_WATER_MARK),
        ) else {
            return Err(inconsistent());
        };
        if step == 0 {
            return Err(inconsistent());
        }
        let explicit = metadata.get(IDENTITY_ALLOW_EXPLICIT_INSERT);
        Ok(Some(Self {
            start,
            step,
            high_water_mark,
            allow_explicit_insert: explicit.is_some_and(|text| text == "true"),
        }))
    }

    /// Returns the value that comes next; `None` when there is none in 64 bits.
    pub fn next(&self) -> Option<i64> {
        match self.high_water_mark {
            None => Some(self.start),
            Some(mark) => mark.checked_add(self.step),
        }
    }

    /// Returns the mark after `value` was seen in the column: the next value in the order of the column that is
    /// `value` or follows it, and never one before the mark. `None` for values that change nothing.
    pub fn mark_after(&self, value: i64) -> Option<i64> {
        let rising = self.step > 0;
        let before = |a: i64, b: i64| if rising { a < b } else { a > b };
        if before(value, self.start) {
            return None;
        }
        let distance = (i128::from(value) - i128::from(self.start)).unsigned_abs();
        let steps = distance.div_ceil(u128::from(self.step.unsigned_abs()));
        let mark = i128::from(self.start) + i128::try_from(steps).ok()? * i128::from(self.step);
        let mark = i64::try_from(mark).ok()?;
        let moves = self.high_water_mark.is_none_or(|present| before(present, mark));
        moves.then_some(mark)
    }
}

/// Returns metadata in which identity columns, by name, have been given values up to `marks`. Marks never go back.
///
/// # Errors
/// `DataLoss` for a schema that cannot be read.
pub fn with_high_water_marks(metadata: &Metadata, marks: &BTreeMap<String, i64>) -> Result<Metadata> {
    let corrupt = |message: &str| Error::CorruptLog {
        location: String::new(),
        message: message.to_owned(),
    };
    let mut schema: Value = serde_json::from_str(&metadata.schema_string)
        .map_err(|error| corrupt(&format!("schema is not JSON: {error}")))?;
    let fields = schema.get_mut("fields").and_then(Value::as_array_mut);
    for field in fields.into_iter().flatten() {
        let mark = field
            .get("name")
            .and_then(Value::as_str)
            .and_then(|name| marks.get(name));
        let (Some(mark), Some(Value::Object(keys))) = (mark.copied(), field.get_mut("metadata")) else {
            continue;
        };
        let rising = keys
            .get(IDENTITY_STEP)
            .and_then(Value::as_i64)
            .is_none_or(|step| step > 0);
        let present = keys.get(IDENTITY_HIGH_WATER_MARK).and_then(Value::as_i64);
        let mark = match (present, rising) {
            (None, _) => mark,
            (Some(present), true) => present.max(mark),
            (Some(present), false) => present.min(mark),
        };
        keys.insert(IDENTITY_HIGH_WATER_MARK.to_owned(), mark.into());
    }
    Ok(Metadata {
        schema_string: schema.to_string(),
        ..metadata.clone()
    })
}

/// Gives the keys of a field's metadata that are no texts their types, at any depth of a schema.
pub(crate) fn restore_types(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("metadata", Value::Object(metadata)) => {
                        metadata
                            .iter_mut()
                            .for_each(|(key, value)| restore_type(key, value));
                    }
                    (_, value) => restore_types(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(restore_types),
        _ => {}
    }
}

fn restore_type(key: &str, value: &mut Value) {
    let Value::String(text) = value else {
        return;
    };
    let typed = match key {
        IDENTITY_START | IDENTITY_STEP | IDENTITY_HIGH_WATER_MARK | "delta.columnMapping.id" => {
            text.parse::<i64>().ok().map(Value::from)
        }
        IDENTITY_ALLOW_EXPLICIT_INSERT => text.parse::<bool>().ok().map(Value::from),
        _ => None,
    };
    if let Some(typed) = typed {
        *value = typed;
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;
    use test_case::test_case;

    use super::*;

    fn identity(start: i64, step: i64, high_water_mark: Option<i64>) -> Identity {
        Identity {
            start,
            step,
            high_water_mark,
            allow_explicit_insert: false,
        }
    }

    #[test_case(1, 1, None, Some(1))]
    #[test_case(1, 2, Some(5), Some(7))]
    #[test_case(-1, -3, Some(-4), Some(-7))]
    #[test_case(1, 1, Some(i64::MAX), None; "no value is left")]
    fn next_value(start: i64, step: i64, mark: Option<i64>, next: Option<i64>) {
        assert_eq!(identity(start, step, mark).next(), next);
    }

    #[test_case(1, 1, None, 5, Some(5))]
    #[test_case(1, 3, None, 5, Some(7); "rounded to a value of the column")]
    #[test_case(1, 1, Some(9), 5, None; "never back")]
    #[test_case(10, 1, None, 5, None; "before the start")]
    #[test_case(-1, -2, Some(-3), -6, Some(-7); "falling")]
    #[test_case(-1, -2, Some(-9), -6, None; "falling and never back")]
    #[test_case(i64::MIN, 2, None, i64::MAX, None; "beyond what fits")]
    fn mark_after_a_value(start: i64, step: i64, mark: Option<i64>, value: i64, after: Option<i64>) {
        assert_eq!(identity(start, step, mark).mark_after(value), after);
    }

    #[test]
    fn identity_is_read_and_its_half_is_refused() {
        let field = |keys: &[(&str, &str)]| {
            let keys = keys
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Field::new("id", DataType::Int64, true).with_metadata(keys.collect())
        };
        assert_eq!(Identity::of(&field(&[])).expect("none"), None);
        let whole = field(&[
            (IDENTITY_START, "1"),
            (IDENTITY_STEP, "2"),
            (IDENTITY_HIGH_WATER_MARK, "5"),
        ]);
        assert_eq!(
            Identity::of(&whole).expect("whole"),
            Some(identity(1, 2, Some(5)))
        );
        for half in [
            field(&[(IDENTITY_START, "1")]),
            field(&[(IDENTITY_START, "1"), (IDENTITY_STEP, "0")]),
            field(&[(IDENTITY_START, "one"), (IDENTITY_STEP, "1")]),
        ] {
            assert!(Identity::of(&half).is_err(), "{half:?}");
        }
    }
}
