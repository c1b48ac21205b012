//! Whether rows that were written with an older schema are read with a newer one.
//!
//! Columns and fields of structs may have come since; what there was must still be there, be of the same type, and be
//! the same column: one that was dropped and added again under its name holds nothing of the old one.
//! Source: Delta, `SchemaUtils.isReadCompatible`, `DeltaColumnMapping.hasNoColumnMappingSchemaChanges`.

use arrow::datatypes::{DataType, Field, Fields};

use crate::column_mapping::physical_name;

/// Returns the path of the first column of `older` whose rows `newer` cannot read. Both say how columns stand in files.
pub(super) fn lost_column(older: &Fields, newer: &Fields) -> Option<String> {
    older.iter().find_map(|field| {
        let mut read = newer.iter().filter(|read| same_column(field, read));
        match read.next() {
            Some(read) => lost_part(field.name(), field.data_type(), read.data_type()),
            None => Some(field.name().clone()),
        }
    })
}

fn same_column(one: &Field, other: &Field) -> bool {
    one.name() == other.name() && physical_name(one) == physical_name(other)
}

/// Returns where in the type of the column at `path` the newer one differs.
fn lost_part(path: &str, older: &DataType, newer: &DataType) -> Option<String> {
    match (older, newer) {
        (DataType::Struct(older), DataType::Struct(newer)) => {
            lost_column(older, newer).map(|inner| format!("{path}.{inner}"))
        }
        (DataType::List(older), DataType::List(newer)) => {
            lost_part(&format!("{path}.element"), older.data_type(), newer.data_type())
        }
        (DataType::Map(older, _), DataType::Map(newer, _)) => {
            lost_part(path, older.data_type(), newer.data_type())
        }
        (older, newer) => (older != newer).then(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::schema::parse_schema_string;

    fn fields(columns: &str) -> Fields {
        let schema = format!(r#"{{"type":"struct","fields":[{columns}]}}"#);
        parse_schema_string(&schema).expect("schema").fields().clone()
    }

    fn called(name: &str, physical: &str, data_type: &str) -> String {
        format!(
            r#"{{"name":"{name}","type":{data_type},"nullable":true,
                "metadata":{{"delta.columnMapping.physicalName":"{physical}"}}}}"#
        )
    }

    fn column(name: &str, data_type: &str) -> String {
        called(name, name, data_type)
    }

    fn of_fields(inner: &str) -> String {
        format!(r#"{{"type":"struct","fields":[{inner}]}}"#)
    }

    fn list(element: &str) -> String {
        format!(r#"{{"type":"array","elementType":{element},"containsNull":true}}"#)
    }

    const INT: &str = r#""integer""#;
    const LONG: &str = r#""long""#;

    #[test]
    fn columns_and_fields_may_come_and_not_go() {
        let older = column("s", &of_fields(&column("a", INT)));
        let inner = [column("b", LONG), column("a", INT)].join(",");
        let newer = [column("new", LONG), column("s", &of_fields(&inner))].join(",");
        assert_eq!(lost_column(&fields(&older), &fields(&newer)), None);
        assert_eq!(
            lost_column(&fields(&newer), &fields(&older)),
            Some("new".to_owned())
        );
    }

    #[test_case(&column("a", LONG), &column("a", INT), "a"; "another type")]
    #[test_case(&column("a", INT), &column("b", INT), "a"; "another name")]
    #[test_case(&column("a", INT), &called("a", "col-2", INT), "a"; "another column of that name")]
    #[test_case(
        &column("s", &of_fields(&column("x", LONG))), &column("s", &of_fields(&column("x", INT))), "s.x";
        "another type of a field"
    )]
    #[test_case(
        &column("l", &list(&of_fields(&column("x", LONG)))), &column("l", &list(&of_fields(&column("y", LONG)))),
        "l.element.x";
        "a field of elements that is gone"
    )]
    fn what_there_was_must_stay(older: &str, newer: &str, lost: &str) {
        assert_eq!(lost_column(&fields(older), &fields(newer)), Some(lost.to_owned()));
    }
}
