//! Which schemas of a table's past can be read with its schema of today. Pure.

use serde_json::Value;

/// The key of a column's metadata with its id, where the table maps columns: it tells a column from a later one of the
/// same name.
const COLUMN_ID: &str = "delta.columnMapping.id";

/// Returns the first column of `old` that `new` has not, or has with another type; `None` when rows written with `old`
/// can be read with `new`, whose further columns are null in them. Nested columns are named with those that they are
/// in, by dots.
pub fn unreadable_column(old: &str, new: &str) -> Option<String> {
    let (Ok(old), Ok(new)) = (parse(old), parse(new)) else {
        return Some("of an unknown kind".to_owned());
    };
    unreadable_type(&old, &new, "")
}

/// Returns the first column in type `old` that `new` lacks; the column at `path` itself if the types differ.
fn unreadable_type(old: &Value, new: &Value, path: &str) -> Option<String> {
    if old.as_str().is_some() || new.as_str().is_some() || old.get("type") != new.get("type") {
        return (old != new).then(|| path.to_owned());
    }
    for (part, name) in [
        ("elementType", "element"),
        ("keyType", "key"),
        ("valueType", "value"),
    ] {
        if let (Some(old), Some(new)) = (old.get(part), new.get(part))
            && let Some(column) = unreadable_type(old, new, &join(path, name))
        {
            return Some(column);
        }
    }
    let fields = |data_type: &Value| data_type.get("fields").and_then(Value::as_array).cloned();
    let new = fields(new).unwrap_or_default();
    fields(old).unwrap_or_default().iter().find_map(|field| {
        let column = join(path, name(field));
        let found = new.iter().find(|other| same_column(field, other));
        match found {
            Some(found) => unreadable_type(&field["type"], &found["type"], &column),
            None => Some(column),
        }
    })
}

fn same_column(old: &Value, new: &Value) -> bool {
    let id = |field: &Value| {
        field
            .get("metadata")
            .and_then(|metadata| metadata.get(COLUMN_ID))
            .cloned()
    };
    let same_id = match (id(old), id(new)) {
        (Some(old), Some(new)) => old == new,
        // Columns were not mapped then: they have kept their names in files.
        _ => true,
    };
    same_id && name(old).eq_ignore_ascii_case(name(new))
}

fn name(field: &Value) -> &str {
    field.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

fn parse(schema: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(schema)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;

    fn schema(columns: &[(&str, &str)]) -> String {
        let fields: Vec<_> = columns
            .iter()
            .map(|(name, data_type)| json!({"name": name, "type": data_type, "nullable": true}))
            .collect();
        json!({"type": "struct", "fields": fields}).to_string()
    }

    #[test_case(&[("a", "long")], &[("a", "long"), ("b", "string")], None; "a column was added")]
    #[test_case(&[("a", "long"), ("b", "string")], &[("b", "string"), ("a", "long")], None; "columns were put in another order")]
    #[test_case(&[("a", "long"), ("b", "string")], &[("a", "long")], Some("b"); "a column was dropped")]
    #[test_case(&[("a", "long")], &[("a", "string")], Some("a"); "a type was changed")]
    fn rows_of_the_past(old: &[(&str, &str)], new: &[(&str, &str)], expected: Option<&str>) {
        assert_eq!(unreadable_column(&schema(old), &schema(new)).as_deref(), expected);
    }

    /// `s STRUCT<x>` and `a`, with ids or without.
    fn nested(inner: &str, ids: Option<[i64; 2]>) -> String {
        let field = |name: &str, data_type: Value, id: Option<i64>| {
            let metadata = id.map_or(json!({}), |id| json!({COLUMN_ID: id}));
            json!({"name": name, "type": data_type, "nullable": true, "metadata": metadata})
        };
        let inner = field(inner, json!("long"), ids.map(|ids| ids[0]));
        let outer = field(
            "s",
            json!({"type": "struct", "fields": [inner]}),
            ids.map(|_| 100),
        );
        let other = field("a", json!("long"), ids.map(|ids| ids[1]));
        json!({"type": "struct", "fields": [outer, other]}).to_string()
    }

    #[test_case(nested("x", None), nested("x", Some([1, 2])), None; "columns were mapped since")]
    #[test_case(nested("x", Some([1, 2])), nested("y", Some([1, 2])), Some("s.x"); "a nested one was renamed")]
    #[test_case(nested("x", Some([1, 2])), nested("x", Some([1, 3])), Some("a"); "one was dropped and made anew")]
    fn mapped_columns_of_the_past(old: String, new: String, expected: Option<&str>) {
        assert_eq!(unreadable_column(&old, &new).as_deref(), expected);
    }
}
