//! Ids and physical names for fields that have none, on the schema as the log has it.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde_json::{Map, Value};

use super::{ID, MAPPING_PREFIX, MAX_COLUMN_ID, MODE, PHYSICAL_NAME, mode};
use crate::type_widening::TYPE_CHANGES;
use crate::{Error, Metadata, Result};

/// Gives every field of `metadata` its id and its physical name, if the table maps columns: those of the field of the
/// same path in `previous`, else new ones. A table that begins to map columns keeps the names that stand in its files.
/// The same change of the same table gives the same names, so that files may be written before it is committed.
///
/// # Errors
/// `InvalidArgument` for a change of the mode that Delta does not allow.
pub(crate) fn assign(metadata: &mut Metadata, previous: Option<&Metadata>) -> Result<()> {
    let invalid = |message: String| Error::InvalidArgument { message };
    let before = previous.map(|previous| mode(&previous.configuration)).transpose();
    let before = before.map_err(invalid)?.flatten();
    let after = mode(&metadata.configuration).map_err(invalid)?;
    let begins = before.is_none() && after == Some(super::ColumnMappingMode::Name);
    // Only who writes the files anew takes out what the schema says of columns in files.
    let ends = after.is_none() && !metadata.schema_string.contains(MAPPING_PREFIX);
    if let Some(previous) = previous
        && before != after
        && !begins
        && !ends
    {
        let name = |metadata: &Metadata| {
            metadata
                .configuration
                .get(MODE)
                .map_or("none", String::as_str)
                .to_owned()
        };
        return Err(Error::refused(
            "DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE",
            "0AKDC",
            format!(
                "changing column mapping mode from `{}` to `{}` is not supported",
                name(previous),
                name(metadata)
            ),
        ));
    }
    if after.is_none() {
        return Ok(());
    }
    let mut schema = parse(&metadata.schema_string)?;
    let old = previous
        .map(|previous| parse(&previous.schema_string))
        .transpose()?;
    let largest = largest_id(&schema);
    // A clone comes with the ids of another table; its own properties say which were given there.
    let known = match previous {
        Some(previous) => previous.configuration.get(MAX_COLUMN_ID),
        None => metadata.configuration.get(MAX_COLUMN_ID).filter(|_| largest > 0),
    };
    let known = known.and_then(|id| id.parse().ok());
    let mut assignment = Assignment {
        id_max: known
            .unwrap_or(0)
            .max(largest)
            .max(old.as_ref().map_or(0, largest_id)),
        upgrade: previous.is_some() && before.is_none(),
        table_id: metadata.id.clone(),
    };
    assignment.visit(&mut schema, old.as_ref());
    check_unique(&schema)?;
    metadata.schema_string = schema.to_string();
    let id_max = assignment.id_max.to_string();
    metadata.configuration.insert(MAX_COLUMN_ID.to_owned(), id_max);
    Ok(())
}

struct Assignment {
    id_max: i64,
    table_id: String,
    /// Columns were not mapped before: those that are there keep their names in files.
    upgrade: bool,
}

impl Assignment {
    fn visit(&mut self, data_type: &mut Value, old: Option<&Value>) {
        for part in ["elementType", "keyType", "valueType"] {
            if let Some(inner) = data_type.get_mut(part) {
                self.visit(inner, old.and_then(|old| old.get(part)));
            }
        }
        let Some(fields) = data_type.get_mut("fields").and_then(Value::as_array_mut) else {
            return;
        };
        for field in fields {
            let before = old.and_then(|old| same_field(old, name(field)));
            self.visit_field(field, before);
        }
    }

    fn visit_field(&mut self, field: &mut Value, before: Option<&Value>) {
        let logical = name(field).to_owned();
        let kept = before.and_then(|before| before.get("metadata"));
        if !field.get("metadata").is_some_and(Value::is_object) {
            field["metadata"] = Value::Object(Map::new());
        }
        let same_type = before.and_then(|before| before.get("type")) == field.get("type");
        if let Some(metadata) = field.get_mut("metadata").and_then(Value::as_object_mut) {
            let mut keep = |key: &str| {
                if let (false, Some(value)) =
                    (metadata.contains_key(key), kept.and_then(|kept| kept.get(key)))
                {
                    metadata.insert(key.to_owned(), value.clone());
                }
            };
            keep(ID);
            keep(PHYSICAL_NAME);
            if same_type {
                keep(TYPE_CHANGES);
            }
            // Some writers let ids pass through as texts.
            let id = metadata.get(ID).and_then(id_of);
            let id = id.unwrap_or_else(|| {
                self.id_max += 1;
                self.id_max
            });
            metadata.insert(ID.to_owned(), id.into());
            if !metadata.contains_key(PHYSICAL_NAME) {
                let physical = match self.upgrade && before.is_some() {
                    true => logical,
                    false => new_physical_name(&self.table_id, id, &logical),
                };
                metadata.insert(PHYSICAL_NAME.to_owned(), physical.into());
            }
        }
        if let Some(data_type) = field.get_mut("type") {
            self.visit(data_type, before.and_then(|before| before.get("type")));
        }
    }
}

/// Makes a name of an id that no other column of any table has.
fn new_physical_name(table_id: &str, id: i64, logical: &str) -> String {
    let half = |half: u8| {
        let mut hasher = DefaultHasher::new();
        (half, table_id, id, logical).hash(&mut hasher);
        hasher.finish()
    };
    let bits = (u128::from(half(0)) << 64) | u128::from(half(1));
    let unique = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
    format!("col-{unique}")
}

fn id_of(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Returns the largest id in a type; 0 for none.
fn largest_id(data_type: &Value) -> i64 {
    let parts = ["elementType", "keyType", "valueType"].into_iter();
    let inner = parts.filter_map(|part| data_type.get(part)).map(largest_id);
    let fields = data_type
        .get("fields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let fields = fields.map(|field| {
        let own = field
            .get("metadata")
            .and_then(|metadata| id_of(metadata.get(ID)?));
        own.unwrap_or(0).max(field.get("type").map_or(0, largest_id))
    });
    inner.chain(fields).max().unwrap_or(0)
}

/// Refuses two columns with one id, and two of one struct with one physical name.
fn check_unique(schema: &Value) -> Result<()> {
    fn visit(data_type: &Value, ids: &mut HashSet<i64>) -> Result<()> {
        for part in ["elementType", "keyType", "valueType"] {
            if let Some(inner) = data_type.get(part) {
                visit(inner, ids)?;
            }
        }
        let mut names = HashSet::new();
        for field in data_type
            .get("fields")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let metadata = field.get("metadata");
            let id = metadata.and_then(|metadata| id_of(metadata.get(ID)?));
            let physical = metadata.and_then(|metadata| metadata.get(PHYSICAL_NAME)?.as_str());
            if !id.is_some_and(|id| ids.insert(id)) || !physical.is_some_and(|name| names.insert(name)) {
                let message = format!(
                    "column `{}` has the id or the physical name of another",
                    name(field)
                );
                return Err(Error::InvalidArgument { message });
            }
            if let Some(data_type) = field.get("type") {
                visit(data_type, ids)?;
            }
        }
        Ok(())
    }
    visit(schema, &mut HashSet::new())
}

fn same_field<'a>(data_type: &'a Value, wanted: &str) -> Option<&'a Value> {
    let mut fields = data_type.get("fields").and_then(Value::as_array)?.iter();
    fields.find(|field| name(field).eq_ignore_ascii_case(wanted))
}

pub(super) fn name(field: &Value) -> &str {
    field.get("name").and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn parse(schema_string: &str) -> Result<Value> {
    serde_json::from_str(schema_string).map_err(|error| Error::Internal {
        message: format!("schema is no JSON: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::action::Format;

    fn metadata(fields: Value, properties: &[(&str, &str)]) -> Metadata {
        Metadata {
            id: "id".to_owned(),
            name: None,
            description: None,
            format: Format::default(),
            schema_string: json!({"type": "struct", "fields": fields}).to_string(),
            partition_columns: Vec::new(),
            created_time: None,
            configuration: properties
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    fn column(name: &str, data_type: Value) -> Value {
        json!({"name": name, "type": data_type, "nullable": true, "metadata": {}})
    }

    fn nested() -> Value {
        let element = json!({"type": "struct", "fields": [column("x", json!("long"))]});
        json!([
            column("a", json!("long")),
            column(
                "l",
                json!({"type": "array", "elementType": element, "containsNull": true})
            ),
        ])
    }

    fn mapped(metadata: &Metadata, path: &str) -> (i64, String) {
        let schema = parse(&metadata.schema_string).expect("json");
        let field = schema.pointer(path).expect("field");
        let physical = field["metadata"][PHYSICAL_NAME].as_str().expect("physical name");
        (field["metadata"][ID].as_i64().expect("id"), physical.to_owned())
    }

    #[test]
    fn a_new_table_gets_ids_and_names_at_every_depth() {
        let mut new = metadata(nested(), &[(MODE, "name")]);
        assign(&mut new, None).expect("assigned");
        assert_eq!(new.configuration[MAX_COLUMN_ID], "3");
        let inner = "/fields/1/type/elementType/fields/0";
        for (path, id) in [("/fields/0", 1), ("/fields/1", 2), (inner, 3)] {
            let (found, physical) = mapped(&new, path);
            assert_eq!(found, id);
            assert!(physical.starts_with("col-"), "{physical}");
        }
        let mut again = new.clone();
        assign(&mut again, Some(&new)).expect("assigned");
        assert_eq!(again, new);
    }

    #[test]
    fn an_upgraded_table_keeps_the_names_in_its_files() {
        let old = metadata(nested(), &[]);
        let mut new = metadata(nested(), &[(MODE, "name")]);
        assign(&mut new, Some(&old)).expect("assigned");
        assert_eq!(mapped(&new, "/fields/0"), (1, "a".to_owned()));
        assert_eq!(
            mapped(&new, "/fields/1/type/elementType/fields/0"),
            (3, "x".to_owned())
        );
    }

    #[test]
    fn fields_that_come_without_keep_theirs_and_new_ones_never_get_a_used_id() {
        let mut old = metadata(nested(), &[(MODE, "id")]);
        assign(&mut old, None).expect("assigned");
        let (_, physical) = mapped(&old, "/fields/0");
        let mut new = metadata(
            json!([column("b", json!("long")), column("A", json!("long"))]),
            &[(MODE, "id")],
        );
        assign(&mut new, Some(&old)).expect("assigned");
        assert_eq!(mapped(&new, "/fields/1"), (1, physical));
        assert_eq!(mapped(&new, "/fields/0").0, 4);
        assert_eq!(new.configuration[MAX_COLUMN_ID], "4");
    }

    #[test]
    fn a_clone_keeps_the_ids_of_its_source() {
        let mut source = metadata(nested(), &[(MODE, "name")]);
        assign(&mut source, None).expect("assigned");
        source
            .configuration
            .insert(MAX_COLUMN_ID.to_owned(), "9".to_owned());
        let mut clone = source.clone();
        clone.id = "another".to_owned();
        assign(&mut clone, None).expect("assigned");
        assert_eq!(clone.schema_string, source.schema_string);
        assert_eq!(clone.configuration[MAX_COLUMN_ID], "9");
    }

    #[test]
    fn modes_change_from_none_to_name_only() {
        let with = |mode: &str| metadata(nested(), &[(MODE, mode)]);
        for (from, to) in [("none", "id"), ("name", "id"), ("id", "name"), ("name", "none")] {
            let mut old = with(from);
            assign(&mut old, None).expect("a new table may have it");
            let mut new = old.clone();
            new.configuration.insert(MODE.to_owned(), to.to_owned());
            let error = assign(&mut new, Some(&old)).expect_err("refused");
            assert!(
                error.to_string().contains(&format!("from `{from}` to `{to}`")),
                "{error}"
            );
        }
    }

    #[test]
    fn mapping_ends_with_a_schema_that_says_nothing_of_files() {
        let mut old = metadata(nested(), &[(MODE, "name")]);
        assign(&mut old, None).expect("assigned");
        let unmapped = super::super::unmapped_metadata(&old).expect("names that files can have");
        let mut new = unmapped.clone();
        assign(&mut new, Some(&old)).expect("all files are written anew");
        assert_eq!(new, unmapped);
        assert!(!super::super::used(&new));
    }
}
