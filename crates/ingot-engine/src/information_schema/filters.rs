//! `row_filters`, `column_masks`: through which functions tables are shown.
//!
//! The names of the functions are full ones, as clients take them from here. Source: Databricks,
//! `INFORMATION_SCHEMA.ROW_FILTERS`, `INFORMATION_SCHEMA.COLUMN_MASKS`; dbt-databricks, which reads them.

use ingot_catalog::{ColumnMask, FunctionArgument, RowFilter, TableFunction, TableInfo};

use super::{Columns, Contents, texts};

/// Says if a relation is one of these.
pub(super) fn has(relation: &str) -> bool {
    matches!(relation, "row_filters" | "column_masks")
}

/// Returns the columns of a relation; `None` for another.
pub(super) fn columns(relation: &str, contents: &Contents) -> Option<Columns> {
    match relation {
        "row_filters" => Some(row_filters(contents)),
        "column_masks" => Some(column_masks(contents)),
        _ => None,
    }
}

fn row_filters(contents: &Contents) -> Columns {
    let tables = contents.tables.iter();
    let filters: Vec<(&TableInfo, &RowFilter)> = tables
        .filter_map(|table| Some((table, table.filters.row_filter.as_ref()?)))
        .collect();
    let mut columns = of_tables(filters.iter().map(|(table, _)| *table));
    columns.extend(of_functions(
        ["filter_catalog", "filter_schema", "filter_name"],
        filters.iter().map(|(_, filter)| &filter.function),
    ));
    let arguments = filters.iter().map(|(_, filter)| Some(written(&filter.columns)));
    columns.push(("target_columns", texts(arguments)));
    columns
}

fn column_masks(contents: &Contents) -> Columns {
    let masks: Vec<(&TableInfo, &String, &ColumnMask)> = contents
        .tables
        .iter()
        .flat_map(|table| {
            let masks = table.filters.column_masks.iter();
            masks.map(move |(column, mask)| (table, column, mask))
        })
        .collect();
    let mut columns = of_tables(masks.iter().map(|(table, ..)| *table));
    columns.push((
        "column_name",
        texts(masks.iter().map(|(_, column, _)| Some(*column))),
    ));
    columns.extend(of_functions(
        ["mask_catalog", "mask_schema", "mask_name"],
        masks.iter().map(|(.., mask)| &mask.function),
    ));
    let arguments = masks.iter().map(|(.., mask)| Some(written(&mask.using_columns)));
    columns.push((
        "using_columns",
        texts(arguments.map(|text| text.filter(|text| !text.is_empty()))),
    ));
    columns
}

fn of_tables<'a>(tables: impl Iterator<Item = &'a TableInfo> + Clone) -> Columns {
    vec![
        (
            "table_catalog",
            texts(tables.clone().map(|table| Some(table.name.catalog.as_str()))),
        ),
        (
            "table_schema",
            texts(tables.clone().map(|table| Some(table.name.schema.as_str()))),
        ),
        (
            "table_name",
            texts(tables.map(|table| Some(table.name.table.as_str()))),
        ),
    ]
}

fn of_functions<'a>(
    [catalog, schema, name]: [&'static str; 3],
    functions: impl Iterator<Item = &'a TableFunction> + Clone,
) -> Columns {
    let schemas = functions.clone().map(|function| &function.name.schema);
    vec![
        (
            catalog,
            texts(schemas.clone().map(|schema| Some(schema.catalog.as_str()))),
        ),
        (schema, texts(schemas.map(|schema| Some(schema.schema.as_str())))),
        (
            name,
            texts(functions.map(|function| Some(function.name.to_string()))),
        ),
    ]
}

/// Writes arguments with commas between them.
fn written(arguments: &[FunctionArgument]) -> String {
    let texts = arguments.iter().map(FunctionArgument::text);
    texts.collect::<Vec<_>>().join(", ")
}
