//! Changes of a table's columns, as pure functions from metadata to metadata.
//!
//! The schema is changed as the log has it, in JSON: what Delta or another writer keeps with a column (ids,
//! expressions, comments, keys that nobody here knows) stays with it. A column is named by its path from the top level
//! down, in any case; `element`, `key` and `value` lead into lists and maps. Source: Delta protocol, "Schema
//! Serialization Format"; Delta Spark, `alterDeltaTableCommands`.

use arrow::datatypes::{Field, Schema};
use serde_json::{Map, Value};

use crate::schema::{ColumnNames, schema_string, storable_schema};
use crate::{Error, Metadata, Result};

/// Where a column stands among its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnPosition {
    First,
    After(String),
}

/// A column that a table is to get.
#[derive(Debug, Clone)]
pub struct NewColumn {
    /// The structs that it is in, outermost first; none for a column of the top level.
    pub parent: Vec<String>,
    pub field: Field,
    /// The end when `None`.
    pub position: Option<ColumnPosition>,
}

/// What is changed of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnChange {
    Nullable(bool),
    Position(ColumnPosition),
    /// Sets a key of the column's metadata, or removes it.
    Metadata(&'static str, Option<String>),
}

/// Adds columns.
///
/// # Errors
/// `InvalidArgument` where a parent is missing or no struct, for a name that is taken, and for a column that Delta
/// cannot store. Rows that are there hold null, so that a new column cannot be NOT NULL.
pub fn add_columns(metadata: &Metadata, columns: &[NewColumn]) -> Result<Metadata> {
    let mut schema = parse(metadata)?;
    for column in columns {
        let path = path_text(&column.parent, column.field.name());
        if !column.field.is_nullable() {
            return Err(Error::refused(
                "DELTA_NOT_NULL_NESTED_FIELD",
                "0A000",
                format!("column `{path}` cannot be NOT NULL: the rows that are there have no value for it"),
            ));
        }
        let fields = fields_of(&mut schema, &column.parent, &path)?;
        if fields.iter().any(|field| named(field, column.field.name())) {
            return Err(Error::refused(
                "FIELD_ALREADY_EXISTS",
                "42710",
                format!("cannot add column `{path}`: there is such a column"),
            ));
        }
        let place = match &column.position {
            None => fields.len(),
            Some(position) => place_of(fields, position)?,
        };
        fields.insert(place, field_json(&column.field)?);
    }
    Ok(with_schema(metadata, &schema))
}

/// Changes a column.
///
/// # Errors
/// `InvalidArgument` where there is no such column, and where a neighbour is missing.
pub fn change_column(metadata: &Metadata, path: &[String], change: &ColumnChange) -> Result<Metadata> {
    let mut schema = parse(metadata)?;
    let (parent, name) = split(path)?;
    let text = path_text(parent, name);
    let fields = fields_of(&mut schema, parent, &text)?;
    let Some(place) = fields.iter().position(|field| named(field, name)) else {
        return Err(not_found(&text));
    };
    match change {
        ColumnChange::Nullable(nullable) => fields[place]["nullable"] = (*nullable).into(),
        ColumnChange::Position(position) => {
            let field = fields.remove(place);
            let place = place_of(fields, position)?;
            fields.insert(place, field);
        }
        ColumnChange::Metadata(key, value) => {
            if !fields[place]["metadata"].is_object() {
                fields[place]["metadata"] = Value::Object(Map::new());
            }
            let keys = fields[place]["metadata"].as_object_mut();
            match (keys, value) {
                (Some(keys), Some(value)) => drop(keys.insert((*key).to_owned(), value.as_str().into())),
                (Some(keys), None) => drop(keys.remove(*key)),
                (None, _) => {}
            }
        }
    }
    Ok(with_schema(metadata, &schema))
}

/// Returns a column as the log has it.
///
/// # Errors
/// `InvalidArgument` where there is no such column.
pub fn column_json(metadata: &Metadata, path: &[String]) -> Result<Value> {
    let mut schema = parse(metadata)?;
    let (parent, name) = split(path)?;
    let text = path_text(parent, name);
    let fields = fields_of(&mut schema, parent, &text)?;
    let found = fields.iter().find(|field| named(field, name));
    found.cloned().ok_or_else(|| not_found(&text))
}

/// Writes a column as the log has it. Its name is checked when it becomes part of a table.
///
/// # Errors
/// `InvalidArgument` for a type that Delta cannot store.
pub fn field_json(field: &Field) -> Result<Value> {
    let stored = storable_schema(&Schema::new(vec![field.clone()]), ColumnNames::Any)?;
    let mut schema: Value =
        serde_json::from_str(&schema_string(&stored)?).map_err(|error| Error::Internal {
            message: format!("schema does not parse: {error}"),
        })?;
    Ok(schema["fields"][0].take())
}

fn parse(metadata: &Metadata) -> Result<Value> {
    serde_json::from_str(&metadata.schema_string).map_err(|error| Error::CorruptLog {
        location: String::new(),
        message: format!("schema is not JSON: {error}"),
    })
}

fn with_schema(metadata: &Metadata, schema: &Value) -> Metadata {
    Metadata {
        schema_string: schema.to_string(),
        ..metadata.clone()
    }
}

/// Finds the fields of the struct at `parent`.
fn fields_of<'a>(schema: &'a mut Value, parent: &[String], column: &str) -> Result<&'a mut Vec<Value>> {
    let mut inside = schema;
    for part in parent {
        inside = step(inside, part).ok_or_else(|| not_found(&parent.join(".")))?;
    }
    let fields = inside.get_mut("fields").and_then(Value::as_array_mut);
    fields.ok_or_else(|| {
        Error::refused(
            "DELTA_ADD_COLUMN_PARENT_NOT_STRUCT",
            "42KD3",
            format!(
                "`{column}` cannot be a column: `{}` is not a struct",
                parent.join(".")
            ),
        )
    })
}

/// Goes into a type by one name of a path.
fn step<'a>(data_type: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    let kind = data_type.get("type").and_then(Value::as_str)?.to_owned();
    let lower = part.to_lowercase();
    let inner = match (kind.as_str(), lower.as_str()) {
        ("array", "element") => "elementType",
        ("map", "key") => "keyType",
        ("map", "value") => "valueType",
        ("struct", _) => {
            let mut fields = data_type.get_mut("fields")?.as_array_mut()?.iter_mut();
            return fields.find(|field| named(field, part))?.get_mut("type");
        }
        _ => return None,
    };
    data_type.get_mut(inner)
}

fn named(field: &Value, name: &str) -> bool {
    let found = field.get("name").and_then(Value::as_str);
    found.is_some_and(|found| found.to_lowercase() == name.to_lowercase())
}

fn place_of(fields: &[Value], position: &ColumnPosition) -> Result<usize> {
    match position {
        ColumnPosition::First => Ok(0),
        ColumnPosition::After(name) => match fields.iter().position(|field| named(field, name)) {
            Some(place) => Ok(place + 1),
            None => Err(not_found(name)),
        },
    }
}

fn split(path: &[String]) -> Result<(&[String], &String)> {
    let parts = path.split_last();
    parts
        .map(|(name, parent)| (parent, name))
        .ok_or_else(|| not_found(""))
}

fn path_text(parent: &[String], name: &str) -> String {
    let mut parts: Vec<&str> = parent.iter().map(String::as_str).collect();
    parts.push(name);
    parts.join(".")
}

fn not_found(column: &str) -> Error {
    Error::refused(
        "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA",
        "42703",
        format!("cannot find column `{column}` in the table's schema"),
    )
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;
    use test_case::test_case;

    use super::*;
    use crate::action::Format;

    /// A column that is known here, one with keys that are not, a struct, and structs in a list and in a map.
    fn metadata() -> Metadata {
        let leaf = |name: &str, keys: Value| serde_json::json!({"name": name, "type": "integer", "nullable": true, "metadata": keys});
        let inner =
            |name: &str| serde_json::json!({"type": "struct", "fields": [leaf(name, serde_json::json!({}))]});
        let field = |name: &str, data_type: Value| serde_json::json!({"name": name, "type": data_type, "nullable": true, "metadata": {}});
        let schema = serde_json::json!({"type": "struct", "fields": [
            leaf("a", serde_json::json!({"comment": "first", "of.another": {"x": [1]}})),
            leaf("B", serde_json::json!({})),
            field("s", inner("x")),
            field("l", serde_json::json!({"type": "array", "elementType": inner("y"), "containsNull": true})),
            field("m", serde_json::json!({"type": "map", "keyType": "string", "valueType": inner("z"),
                "valueContainsNull": true})),
        ]});
        Metadata {
            id: "id".to_owned(),
            name: None,
            description: None,
            format: Format::default(),
            schema_string: schema.to_string(),
            partition_columns: Vec::new(),
            created_time: None,
            configuration: std::collections::BTreeMap::new(),
        }
    }

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    fn names(metadata: &Metadata, parent: &str) -> Vec<String> {
        let mut schema = parse(metadata).expect("json");
        let parent = if parent.is_empty() {
            Vec::new()
        } else {
            path(parent)
        };
        let fields = fields_of(&mut schema, &parent, "").expect("a struct");
        fields
            .iter()
            .map(|field| field["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    fn new_column(parent: &str, name: &str, position: Option<ColumnPosition>) -> NewColumn {
        NewColumn {
            parent: if parent.is_empty() {
                Vec::new()
            } else {
                path(parent)
            },
            field: Field::new(name, DataType::Int64, true),
            position,
        }
    }

    #[test_case("", None, &["a", "B", "s", "l", "m", "n"])]
    #[test_case("", Some(ColumnPosition::First), &["n", "a", "B", "s", "l", "m"])]
    #[test_case("", Some(ColumnPosition::After("b".to_owned())), &["a", "B", "n", "s", "l", "m"])]
    #[test_case("S", None, &["x", "n"]; "in a struct")]
    #[test_case("l.element", Some(ColumnPosition::First), &["n", "y"]; "in a list")]
    #[test_case("m.value", None, &["z", "n"]; "in a map")]
    fn columns_are_added_where_they_belong(
        parent: &str,
        position: Option<ColumnPosition>,
        expected: &[&str],
    ) {
        let changed = add_columns(&metadata(), &[new_column(parent, "n", position)]).expect("added");
        assert_eq!(names(&changed, parent), expected);
        let kept = column_json(&changed, &path("a")).expect("kept");
        assert_eq!(kept, column_json(&metadata(), &path("a")).expect("there"));
    }

    #[test_case("", "b", None, "FIELD_ALREADY_EXISTS")]
    #[test_case("a", "n", None, "DELTA_ADD_COLUMN_PARENT_NOT_STRUCT")]
    #[test_case("q", "n", None, "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA")]
    #[test_case("", "n", Some(ColumnPosition::After("q".to_owned())), "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA")]
    fn columns_that_cannot_be_added(
        parent: &str,
        name: &str,
        position: Option<ColumnPosition>,
        refused: &str,
    ) {
        let error = add_columns(&metadata(), &[new_column(parent, name, position)]).expect_err("refused");
        assert!(
            matches!(&error, Error::Refused { condition, .. } if *condition == refused),
            "{error:?}"
        );
    }

    #[test]
    fn changes_touch_one_thing() {
        let before = metadata();
        let moved = change_column(
            &before,
            &path("b"),
            &ColumnChange::Position(ColumnPosition::First),
        )
        .expect("moved");
        assert_eq!(names(&moved, ""), ["B", "a", "s", "l", "m"]);
        let after_itself = ColumnChange::Position(ColumnPosition::After("b".to_owned()));
        assert!(change_column(&before, &path("b"), &after_itself).is_err());
        let required = change_column(&before, &path("a"), &ColumnChange::Nullable(false)).expect("changed");
        let a = column_json(&required, &path("a")).expect("there");
        assert_eq!(
            (&a["nullable"], &a["metadata"]["of.another"]["x"][0]),
            (&false.into(), &1.into())
        );
        let comment = ColumnChange::Metadata("comment", Some("two".to_owned()));
        let changed = change_column(&before, &path("l.element.y"), &comment).expect("changed");
        let y = column_json(&changed, &path("l.element.y")).expect("there");
        assert_eq!(y["metadata"]["comment"], "two");
        let none = change_column(
            &changed,
            &path("L.element.Y"),
            &ColumnChange::Metadata("comment", None),
        );
        assert_eq!(none.expect("changed").schema_string, before.schema_string);
    }
}
