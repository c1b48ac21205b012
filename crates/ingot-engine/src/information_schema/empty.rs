//! Relations about what Ingot does not have yet, without rows.

use std::sync::Arc;

use arrow::array::{Int32Array, StringArray};

use super::Columns;

const TABLE: [&str; 3] = ["table_catalog", "table_schema", "table_name"];
const CONSTRAINT: [&str; 3] = ["constraint_catalog", "constraint_schema", "constraint_name"];

/// Columns that are numbers; all others are texts.
const NUMBERS: [&str; 2] = ["ordinal_position", "position_in_unique_constraint"];

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
        "table_constraints" => joined(&[
            &CONSTRAINT,
            &TABLE,
            &[
                "constraint_type",
                "is_deferrable",
                "initially_deferred",
                "enforced",
                "comment",
            ],
        ]),
        "key_column_usage" => joined(&[
            &CONSTRAINT,
            &TABLE,
            &["column_name", "ordinal_position", "position_in_unique_constraint"],
        ]),
        "referential_constraints" => joined(&[
            &CONSTRAINT,
            &[
                "unique_constraint_catalog",
                "unique_constraint_schema",
                "unique_constraint_name",
                "match_option",
                "update_rule",
                "delete_rule",
            ],
        ]),
        "constraint_column_usage" => joined(&[&TABLE, &["column_name"], &CONSTRAINT]),
        "constraint_table_usage" => joined(&[&TABLE, &CONSTRAINT]),
        "check_constraints" => joined(&[&CONSTRAINT, &["check_clause", "sql_path"]]),
        _ => return None,
    };
    let columns = names
        .into_iter()
        .map(|name| -> (&'static str, arrow::array::ArrayRef) {
            match NUMBERS.contains(&name) {
                true => (name, Arc::new(Int32Array::from(Vec::<i32>::new()))),
                false => (name, Arc::new(StringArray::from(Vec::<&str>::new()))),
            }
        });
    Some(columns.collect())
}

fn joined(parts: &[&[&'static str]]) -> Vec<&'static str> {
    parts.concat()
}
