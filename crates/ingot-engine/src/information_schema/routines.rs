//! `routines`, `parameters`, `routine_columns`: functions that statements have made.

use ingot_catalog::{DataAccess, FunctionInfo, FunctionReturns, ParameterInfo};

use super::columns::{base, datetime_precision, precision, radix, scale};
use super::{Columns, Contents, always, instants, numbers, texts};

/// What a function returns that returns rows.
const TABLE: &str = "TABLE";

pub(super) fn routines(contents: &Contents) -> Columns {
    let all = || contents.functions.iter();
    let rows = contents.functions.len();
    let mut columns = names("specific", all());
    columns.extend(names("routine", all()));
    columns.push((
        "routine_owner",
        texts(all().map(|function| Some(&function.audit.owner))),
    ));
    columns.push(("routine_type", always("FUNCTION", rows)));
    columns.extend(types(all().map(returned)));
    columns.extend([
        ("routine_body", always("SQL", rows)),
        (
            "routine_definition",
            texts(all().map(|function| Some(&function.definition))),
        ),
        ("external_name", nothing(rows)),
        ("external_language", nothing(rows)),
        ("parameter_style", always("SQL", rows)),
        (
            "is_deterministic",
            texts(all().map(|function| Some(if function.deterministic { "YES" } else { "NO" }))),
        ),
        ("sql_data_access", texts(all().map(data_access))),
        ("is_null_call", always("YES", rows)),
        ("sql_path", nothing(rows)),
        ("security_type", always("DEFINER", rows)),
        ("as_locator", always("NO", rows)),
        ("comment", texts(all().map(|function| function.comment.as_ref()))),
        (
            "created",
            instants(all().map(|function| function.audit.created_at)),
        ),
        (
            "created_by",
            texts(all().map(|function| Some(&function.audit.created_by))),
        ),
        (
            "last_altered",
            instants(all().map(|function| function.audit.updated_at)),
        ),
        (
            "last_altered_by",
            texts(all().map(|function| Some(&function.audit.updated_by))),
        ),
    ]);
    columns
}

pub(super) fn parameters(contents: &Contents) -> Columns {
    let all = || places(contents, |function| &function.parameters);
    let rows = all().count();
    let mut columns = names("specific", all().map(|(function, ..)| function));
    columns.extend([
        ("ordinal_position", numbers(all().map(|(.., place)| Some(place)))),
        ("parameter_mode", always("IN", rows)),
        ("is_result", always("NO", rows)),
        ("as_locator", always("NO", rows)),
        (
            "parameter_name",
            texts(all().map(|(_, parameter, _)| Some(&parameter.name))),
        ),
    ]);
    columns.extend(types(all().map(|(_, parameter, _)| parameter.type_text.as_str())));
    columns.extend([
        (
            "parameter_default",
            texts(all().map(|(_, parameter, _)| parameter.default.as_ref())),
        ),
        (
            "comment",
            texts(all().map(|(_, parameter, _)| parameter.comment.as_ref())),
        ),
    ]);
    columns
}

pub(super) fn routine_columns(contents: &Contents) -> Columns {
    let all = || {
        places(contents, |function| match &function.returns {
            FunctionReturns::Table(columns) => columns,
            FunctionReturns::Scalar(_) => &[],
        })
    };
    let mut columns = names("specific", all().map(|(function, ..)| function));
    columns.extend([
        (
            "column_name",
            texts(all().map(|(_, column, _)| Some(&column.name))),
        ),
        ("ordinal_position", numbers(all().map(|(.., place)| Some(place)))),
    ]);
    columns.extend(types(all().map(|(_, column, _)| column.type_text.as_str())));
    columns.push((
        "comment",
        texts(all().map(|(_, column, _)| column.comment.as_ref())),
    ));
    columns
}

/// Lists what functions have several of, with their places from 1.
fn places(
    contents: &Contents,
    of: fn(&FunctionInfo) -> &[ParameterInfo],
) -> impl Iterator<Item = (&FunctionInfo, &ParameterInfo, i32)> + Clone {
    contents.functions.iter().flat_map(move |function| {
        let places = of(function).iter().zip(1..);
        places.map(move |(column, place)| (function, column, place))
    })
}

/// The three parts of a function's name.
fn names<'a>(kind: &str, functions: impl Iterator<Item = &'a FunctionInfo> + Clone) -> Columns {
    let columns = match kind {
        "routine" => ["routine_catalog", "routine_schema", "routine_name"],
        _ => ["specific_catalog", "specific_schema", "specific_name"],
    };
    let [catalog, schema, name] = columns;
    let parts = || functions.clone().map(|function| &function.name);
    vec![
        (
            catalog,
            texts(parts().map(|name| Some(name.schema.catalog.as_str()))),
        ),
        (
            schema,
            texts(parts().map(|name| Some(name.schema.schema.as_str()))),
        ),
        (name, texts(parts().map(|name| Some(name.function.as_str())))),
    ]
}

fn returned(function: &FunctionInfo) -> &str {
    match &function.returns {
        FunctionReturns::Scalar(type_text) => type_text,
        FunctionReturns::Table(_) => TABLE,
    }
}

/// What is said of a type.
fn types<'a>(type_texts: impl Iterator<Item = &'a str> + Clone) -> Columns {
    let all = || type_texts.clone();
    let rows = all().count();
    let none = || numbers(all().map(|_| None));
    vec![
        (
            "data_type",
            texts(all().map(|text| Some(base(text).to_uppercase()))),
        ),
        ("full_data_type", texts(all().map(Some))),
        ("character_maximum_length", none()),
        (
            "character_octet_length",
            numbers(all().map(|text| (base(text) == "string").then_some(0))),
        ),
        ("numeric_precision", numbers(all().map(precision))),
        ("numeric_precision_radix", numbers(all().map(radix))),
        ("numeric_scale", numbers(all().map(scale))),
        ("datetime_precision", numbers(all().map(datetime_precision))),
        ("interval_type", nothing(rows)),
        ("interval_precision", none()),
        ("maximum_cardinality", none()),
    ]
}

fn data_access(function: &FunctionInfo) -> Option<&'static str> {
    Some(match function.data_access {
        DataAccess::ContainsSql => "CONTAINS SQL",
        DataAccess::ReadsSqlData => "READS SQL DATA",
    })
}

fn nothing(rows: usize) -> arrow::array::ArrayRef {
    texts((0..rows).map(|_| None::<&str>))
}
