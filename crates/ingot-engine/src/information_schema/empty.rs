//! Relations about what Ingot does not have yet, without rows.

use std::sync::Arc;

use arrow::array::StringArray;

use super::Columns;

const TABLE: [&str; 3] = ["table_catalog", "table_schema", "table_name"];

/// Returns the columns of a relation, `None` when there is none of the name.
pub(super) fn columns(relation: &str) -> Option<Columns> {
    let names: Vec<&'static str> = match relation {
        "row_filters" => joined(&[
            &TABLE,
            &["filter_catalog", "filter_schema", "filter_name", "target_columns"],
        ]),
        "column_masks" => joined(&[
            &TABLE,
            &[
                "column_name",
                "mask_catalog",
                "mask_schema",
                "mask_name",
                "using_columns",
            ],
        ]),
        _ => return None,
    };
    let columns = names
        .into_iter()
        .map(|name| -> (&'static str, arrow::array::ArrayRef) {
            (name, Arc::new(StringArray::from(Vec::<&str>::new())))
        });
    Some(columns.collect())
}

fn joined(parts: &[&[&'static str]]) -> Vec<&'static str> {
    parts.concat()
}
