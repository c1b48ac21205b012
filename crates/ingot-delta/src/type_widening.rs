//! Type widening: a column gets a type that holds all of its values, and files stay as they are.
//!
//! ```text
//! ALTER COLUMN … TYPE ─► widened_column ─► new type, and `delta.typeChanges` with the old one ─► metadata
//! file of the old type ─► read as it is, cast to the new one
//! ```
//! Always true: every change of a type is recorded on the nearest field of a struct, the oldest first, so that readers
//! know what they may find. Source: Delta protocol, "Type Widening"; Delta Spark, `TypeWideningShims`.

use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};

use crate::column::IDENTITY_START;
use crate::column_mapping::check_unreferenced;
use crate::schema::{parse_schema_string, schema_string, storable_type, without_field_metadata};
use crate::{Error, Metadata, Result};

/// The property that lets types be widened.
pub(crate) const ENABLE: &str = "delta.enableTypeWidening";

/// The key of a field's metadata that lists the changes of its type.
pub(crate) const TYPE_CHANGES: &str = "delta.typeChanges";

/// Digits of the largest values of `int` and `long`, and so the least of a decimal that holds them.
const INT_DIGITS: u8 = 10;
const LONG_DIGITS: u8 = 20;

/// Says if a table's types may be widened.
pub(crate) fn enabled(metadata: &Metadata) -> bool {
    let value = metadata.configuration.get(ENABLE);
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Says if every value of `from` is one of `to`, so that a column may be widened. Types are those of Arrow.
/// Source: Delta protocol, "Type Widening", the table of supported changes.
pub fn can_widen(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Timestamp};
    let decimal = |digits: u8| match to {
        Decimal128(precision, scale) => {
            u8::try_from(*scale).is_ok_and(|scale| precision.saturating_sub(scale) >= digits)
        }
        _ => false,
    };
    match (from, to) {
        (Int8, Int16 | Int32 | Int64 | Float64)
        | (Int16, Int32 | Int64 | Float64)
        | (Int32, Int64 | Float64)
        | (Float32, Float64)
        | (Date32, Timestamp(_, None)) => true,
        (Int8 | Int16 | Int32, Decimal128(_, _)) => decimal(INT_DIGITS),
        (Int64, Decimal128(_, _)) => decimal(LONG_DIGITS),
        (Decimal128(precision, scale), Decimal128(wider, more)) => {
            let (whole, wider_whole) = (
                i16::from(*precision) - i16::from(*scale),
                i16::from(*wider) - i16::from(*more),
            );
            more >= scale && wider_whole >= whole && (wider, more) != (precision, scale)
        }
        _ => false,
    }
}

/// Says if a write that evolves the schema may widen a column by itself: only into a type of the same family, as Spark
/// does. Source: Delta Spark, `TypeWidening.isTypeChangeSupportedForSchemaEvolution`.
pub(crate) fn widens_automatically(from: &DataType, to: &DataType) -> bool {
    let same_family = match (from, to) {
        (from, to) if from.is_integer() && to.is_integer() => true,
        (from, to) if from.is_floating() && to.is_floating() => true,
        (DataType::Decimal128(_, _), DataType::Decimal128(_, _)) => true,
        _ => false,
    };
    same_family && can_widen(from, to)
}

/// Returns the metadata of the table with the column at `path` (names from the top level down; `element`, `key` and
/// `value` lead into lists and maps) of type `to`.
///
/// # Errors
/// `InvalidArgument` with Delta's condition where there is no such column, where the table does not have
/// `delta.enableTypeWidening`, for a type that is not wider, and for a column that a constraint or a generated column
/// names, whose value could be another in the new type.
pub fn widened_column(metadata: &Metadata, path: &[String], to: &DataType) -> Result<Metadata> {
    let mut schema = parse(&metadata.schema_string)?;
    let dotted = path.join(".");
    let place = Place::find(&mut schema, path).ok_or_else(|| Error::Refused {
        condition: "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA",
        sqlstate: "42703",
        message: format!("cannot find column `{dotted}` in the table's schema"),
    })?;
    let old = place.data_type().clone();
    let new = type_json(to)?;
    if old == new {
        return Ok(metadata.clone());
    }
    let from = arrow_type(&old);
    if !from.is_some_and(|from| can_widen(&from, to)) {
        return Err(refused_change(&dotted, &old, &new, ""));
    }
    if !enabled(metadata) {
        let hint = "; turn type widening on with ALTER TABLE … SET TBLPROPERTIES ('delta.enableTypeWidening' = 'true')";
        return Err(refused_change(&dotted, &old, &new, hint));
    }
    let identity = path.len() == 1 && place.field["metadata"].get(IDENTITY_START).is_some();
    if identity {
        return Err(Error::Refused {
            condition: "DELTA_IDENTITY_COLUMNS_ALTER_COLUMN_NOT_SUPPORTED",
            sqlstate: "429BQ",
            message: format!("the type of column `{dotted}` cannot be changed: it is an IDENTITY column"),
        });
    }
    check_unreferenced(metadata, path, "change the type of")?;
    place.widen(new);
    Ok(Metadata {
        schema_string: schema.to_string(),
        ..metadata.clone()
    })
}

/// Widens the type `table`, which stands in a schema as the log has it, for values of type `rows`, if a write may do
/// so. Returns what is to be recorded of it on the nearest field of a struct, from which `inside` leads to the type
/// (`element`, `value.element`; empty for the field's own).
pub(crate) fn widen_automatically(table: &mut Value, inside: &str, rows: &DataType) -> Option<Value> {
    let from = arrow_type(table)?;
    let to = storable_type(rows)?;
    if !widens_automatically(&from, &to) {
        return None;
    }
    let new = type_json(&to).ok()?;
    let change = change(table, &new, inside);
    *table = new;
    Some(change)
}

/// Records changes of types on a field of a struct.
pub(crate) fn record(field: &mut Value, changes: Vec<Value>) {
    if changes.is_empty() {
        return;
    }
    if !field["metadata"].is_object() {
        field["metadata"] = json!({});
    }
    let recorded = &mut field["metadata"][TYPE_CHANGES];
    match recorded.as_array_mut() {
        Some(recorded) => recorded.extend(changes),
        None => *recorded = Value::Array(changes),
    }
}

fn change(old: &Value, new: &Value, inside: &str) -> Value {
    let mut change = json!({"fromType": old, "toType": new});
    if !inside.is_empty() {
        change["fieldPath"] = inside.into();
    }
    change
}

/// Returns `metadata` that tells of no types that columns had.
pub(crate) fn without_changes(metadata: &Metadata) -> Result<Metadata> {
    without_field_metadata(metadata, &|key| key == TYPE_CHANGES)
}

/// Says if the schema tells of types that columns had.
pub(crate) fn changed(metadata: &Metadata) -> bool {
    metadata.schema_string.contains(TYPE_CHANGES)
}

/// Says if a field, of a schema with what the log says of it, had a type once, by its name in the log.
pub(crate) fn was(field: &Field, type_name: &str) -> bool {
    let Some(changes) = field.metadata().get(TYPE_CHANGES) else {
        return false;
    };
    let changes: Value = serde_json::from_str(changes).unwrap_or_default();
    let mut changes = changes.as_array().into_iter().flatten();
    changes.any(|change| change.get("fromType").and_then(Value::as_str) == Some(type_name))
}

/// A type in a schema: in a field of a struct, or in a list or a map below it.
struct Place<'a> {
    field: &'a mut Value,
    inside: Vec<String>,
    old: Value,
}

impl<'a> Place<'a> {
    fn find(schema: &'a mut Value, path: &[String]) -> Option<Self> {
        let (first, rest) = path.split_first()?;
        let fields = schema.get_mut("fields")?.as_array_mut()?;
        let field = fields.iter_mut().find(|field| {
            let name = field.get("name").and_then(Value::as_str);
            name.is_some_and(|name| name.eq_ignore_ascii_case(first))
        })?;
        // The part of the path that goes through lists and maps belongs to this field.
        let mut inside = Vec::new();
        let mut rest = rest;
        loop {
            let names: Vec<&str> = inside.iter().map(String::as_str).collect();
            let data_type = inner_type(field, &names)?;
            let kind = data_type.get("type").and_then(Value::as_str);
            match (kind, rest.split_first()) {
                (_, None) => {
                    let old = data_type.clone();
                    return Some(Self { field, inside, old });
                }
                (Some("struct"), Some(_)) => {
                    return Self::find(inner_type_mut(field, &names)?, rest);
                }
                (Some("array" | "map"), Some((part, after))) => {
                    inside.push(part.to_lowercase());
                    rest = after;
                }
                _ => return None,
            }
        }
    }

    fn data_type(&self) -> &Value {
        &self.old
    }

    /// Sets the type and records the old one.
    fn widen(self, new: Value) {
        let change = change(&self.old, &new, &self.inside.join("."));
        let names: Vec<&str> = self.inside.iter().map(String::as_str).collect();
        if let Some(data_type) = inner_type_mut(self.field, &names) {
            *data_type = new;
        }
        record(self.field, vec![change]);
    }
}

fn part_name(part: &str) -> Option<&'static str> {
    match part {
        "element" => Some("elementType"),
        "key" => Some("keyType"),
        "value" => Some("valueType"),
        _ => None,
    }
}

fn inner_type<'a>(field: &'a Value, inside: &[&str]) -> Option<&'a Value> {
    let outer = field.get("type")?;
    inside
        .iter()
        .try_fold(outer, |data_type, part| data_type.get(part_name(part)?))
}

fn inner_type_mut<'a>(field: &'a mut Value, inside: &[&str]) -> Option<&'a mut Value> {
    let outer = field.get_mut("type")?;
    inside
        .iter()
        .try_fold(outer, |data_type, part| data_type.get_mut(part_name(part)?))
}

/// Returns Arrow's type for a primitive one of the log.
fn arrow_type(data_type: &Value) -> Option<DataType> {
    let field = json!({"name": "c", "type": data_type, "nullable": true, "metadata": {}});
    let schema = json!({"type": "struct", "fields": [field]}).to_string();
    let schema = parse_schema_string(&schema).ok()?;
    Some(schema.field(0).data_type().clone())
}

fn type_json(data_type: &DataType) -> Result<Value> {
    let text = schema_string(&Schema::new(vec![Field::new("c", data_type.clone(), true)]))?;
    let mut schema = parse(&text)?;
    Ok(schema["fields"][0]["type"].take())
}

fn parse(schema_string: &str) -> Result<Value> {
    serde_json::from_str(schema_string).map_err(|error| Error::Internal {
        message: format!("schema is no JSON: {error}"),
    })
}

fn refused_change(column: &str, old: &Value, new: &Value, hint: &str) -> Error {
    let text = |data_type: &Value| {
        data_type
            .as_str()
            .map_or_else(|| data_type.to_string(), str::to_uppercase)
    };
    Error::Refused {
        condition: "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP",
        sqlstate: "0AKDC",
        message: format!(
            "column `{column}` cannot be changed from {} to {}{hint}",
            text(old),
            text(new)
        ),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;
    use test_case::test_case;

    use super::*;
    use crate::action::Format;

    const NTZ: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

    #[test_case(DataType::Int8, DataType::Int16, true)]
    #[test_case(DataType::Int8, DataType::Int64, true)]
    #[test_case(DataType::Int32, DataType::Float64, true)]
    #[test_case(DataType::Int64, DataType::Float64, false; "a double does not hold every long")]
    #[test_case(DataType::Int32, DataType::Float32, false)]
    #[test_case(DataType::Int64, DataType::Int32, false)]
    #[test_case(DataType::Float32, DataType::Float64, true)]
    #[test_case(DataType::Int32, DataType::Decimal128(10, 0), true)]
    #[test_case(DataType::Int8, DataType::Decimal128(9, 0), false)]
    #[test_case(DataType::Int32, DataType::Decimal128(12, 2), true)]
    #[test_case(DataType::Int32, DataType::Decimal128(11, 2), false)]
    #[test_case(DataType::Int64, DataType::Decimal128(20, 0), true)]
    #[test_case(DataType::Int64, DataType::Decimal128(19, 0), false)]
    #[test_case(DataType::Decimal128(5, 2), DataType::Decimal128(7, 4), true)]
    #[test_case(DataType::Decimal128(5, 2), DataType::Decimal128(6, 4), false)]
    #[test_case(DataType::Decimal128(5, 2), DataType::Decimal128(5, 2), false)]
    #[test_case(DataType::Date32, NTZ, true)]
    #[test_case(DataType::Date32, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)]
    #[test_case(DataType::Utf8, DataType::Int32, false)]
    fn types_that_hold_all_values(from: DataType, to: DataType, holds: bool) {
        assert_eq!(can_widen(&from, &to), holds);
    }

    #[test_case(DataType::Int32, DataType::Int64, true)]
    #[test_case(DataType::Int32, DataType::Float64, false)]
    #[test_case(DataType::Int32, DataType::Decimal128(10, 0), false)]
    #[test_case(DataType::Float32, DataType::Float64, true)]
    #[test_case(DataType::Decimal128(5, 2), DataType::Decimal128(7, 2), true)]
    fn writes_stay_in_the_family(from: DataType, to: DataType, widens: bool) {
        assert_eq!(widens_automatically(&from, &to), widens);
    }

    fn metadata(enabled: bool) -> Metadata {
        let column = |name: &str, data_type: Value| json!({"name": name, "type": data_type, "nullable": true, "metadata": {}});
        let inner = json!({"type": "struct", "fields": [column("y", json!("integer"))]});
        let list = json!({"type": "array", "elementType": "short", "containsNull": true});
        let schema = json!({"type": "struct", "fields": [
            column("a", json!("byte")),
            column("m", json!({"type": "map", "keyType": "byte", "valueType": list, "valueContainsNull": true})),
            column("l", json!({"type": "array", "elementType": inner, "containsNull": true})),
        ]});
        Metadata {
            id: "id".to_owned(),
            name: None,
            description: None,
            format: Format::default(),
            schema_string: schema.to_string(),
            partition_columns: Vec::new(),
            created_time: None,
            configuration: [(ENABLE.to_owned(), enabled.to_string())].into(),
        }
    }

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn changes_are_recorded_on_the_nearest_field() {
        let mut table = metadata(true);
        for (column, to) in [
            ("A", DataType::Int16),
            ("a", DataType::Int64),
            ("m.key", DataType::Int32),
            ("m.value.element", DataType::Int32),
            ("l.element.y", DataType::Int64),
        ] {
            table = widened_column(&table, &path(column), &to).expect("widened");
        }
        let schema = parse(&table.schema_string).expect("json");
        assert_eq!(schema["fields"][0]["type"], "long");
        assert_eq!(
            schema["fields"][0]["metadata"][TYPE_CHANGES],
            json!([{"fromType": "byte", "toType": "short"}, {"fromType": "short", "toType": "long"}])
        );
        assert_eq!(
            schema["fields"][1]["metadata"][TYPE_CHANGES],
            json!([
                {"fromType": "byte", "toType": "integer", "fieldPath": "key"},
                {"fromType": "short", "toType": "integer", "fieldPath": "value.element"},
            ])
        );
        let inner = &schema["fields"][2]["type"]["elementType"]["fields"][0];
        assert_eq!(
            inner["metadata"][TYPE_CHANGES],
            json!([{"fromType": "integer", "toType": "long"}])
        );
    }

    #[test]
    fn what_is_not_wider_or_not_enabled_is_refused() {
        let refused = |metadata: &Metadata, column: &str, to: DataType| match widened_column(
            metadata,
            &path(column),
            &to,
        )
        .expect_err("refused")
        {
            Error::Refused {
                condition, message, ..
            } => (condition, message),
            other => panic!("another error: {other}"),
        };
        let (condition, message) = refused(&metadata(false), "a", DataType::Int16);
        assert_eq!(condition, "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP");
        assert!(
            message.contains("from BYTE to SHORT; turn type widening on"),
            "{message}"
        );
        let (condition, message) = refused(&metadata(true), "a", DataType::Utf8);
        assert_eq!(condition, "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP");
        assert!(message.ends_with("from BYTE to STRING"), "{message}");
        let (condition, _) = refused(&metadata(true), "q", DataType::Int16);
        assert_eq!(condition, "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA");
    }
}
