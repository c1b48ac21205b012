//! Which schemas of a table's past can be read with its schema of today. Pure.

use serde::Deserialize;
use serde_json::Value;

/// A schema as it stands in a table's metadata. Source: Delta protocol, "Schema Serialization Format".
#[derive(Debug, Deserialize)]
struct TableSchema {
    fields: Vec<Column>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    data_type: Value,
}

/// Returns the first column of `old` that `new` has not, or has with another type; `None` when rows written with `old`
/// can be read with `new`, whose further columns are null in them.
pub fn unreadable_column(old: &str, new: &str) -> Option<String> {
    let (Ok(old), Ok(new)) = (parse(old), parse(new)) else {
        return Some("of an unknown kind".to_owned());
    };
    let same = |column: &Column, other: &Column| {
        column.name.eq_ignore_ascii_case(&other.name) && column.data_type == other.data_type
    };
    old.fields
        .into_iter()
        .find(|column| !new.fields.iter().any(|other| same(column, other)))
        .map(|column| column.name)
}

fn parse(schema: &str) -> Result<TableSchema, serde_json::Error> {
    serde_json::from_str(schema)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn schema(columns: &[(&str, &str)]) -> String {
        let fields: Vec<_> = columns
            .iter()
            .map(|(name, data_type)| serde_json::json!({"name": name, "type": data_type, "nullable": true}))
            .collect();
        serde_json::json!({"type": "struct", "fields": fields}).to_string()
    }

    #[test_case(&[("a", "long")], &[("a", "long"), ("b", "string")], None; "a column was added")]
    #[test_case(&[("a", "long"), ("b", "string")], &[("b", "string"), ("a", "long")], None; "columns were put in another order")]
    #[test_case(&[("a", "long"), ("b", "string")], &[("a", "long")], Some("b"); "a column was dropped")]
    #[test_case(&[("a", "long")], &[("a", "string")], Some("a"); "a type was changed")]
    fn rows_of_the_past(old: &[(&str, &str)], new: &[(&str, &str)], expected: Option<&str>) {
        assert_eq!(unreadable_column(&schema(old), &schema(new)).as_deref(), expected);
    }
}
