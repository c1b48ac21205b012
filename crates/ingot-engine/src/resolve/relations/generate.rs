//! A generation: the elements of a list, each a row, beside the columns of the row that has the list.
//!
//! ```text
//! input ─► input, list of structs ─► Unnest ─► input, the fields of the struct
//! ```
//! Source: Spark, `Explode`, `PosExplode`, `Inline`, `Stack`, `JsonTuple`, `VariantExplode`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::TableReference;
use datafusion::common::{Column, DFSchema, NullHandling, UnnestOptions};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::{get_field, named_struct};
use datafusion::functions_nested::expr_fn::{make_array, map_entries};
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, ExprWithAlias, FunctionArg, FunctionArgExpr, FunctionArguments, TableAlias,
};

use crate::error::condition;
use crate::functions::variant::{PART, is_variant, variant_parts};
use crate::functions::{arguments, generators};
use crate::resolve::generators::{ARGUMENT, Place, bad_call, generator_name};

/// Rows of one `stack`, at most: each is part of the plan.
const STACK_ROWS_MAX: i32 = 100_000;

/// The column of lists before they become rows.
const ELEMENTS: &str = "__ingot_elements";

/// What a generator makes of a row.
pub(super) struct Generated {
    /// A list, each of whose elements becomes a row.
    pub elements: Expr,
    /// The columns of such a row: names and values, which read the element as [`element`].
    pub columns: Vec<(String, Expr)>,
}

/// The element that has become a row.
pub(super) fn element() -> Expr {
    Expr::Column(Column::from_name(ELEMENTS))
}

/// Plans a generation over `input`.
pub(super) fn plan(
    input: LogicalPlan,
    mut calls: Vec<ExprWithAlias>,
    place: Place,
    alias: Option<TableAlias>,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let Some(SqlExpr::Function(call)) = calls.pop().map(|call| call.expr) else {
        return Err(bad_call("a generator is a call of a function"));
    };
    let name = generator_name(&call.name).unwrap_or_default();
    let FunctionArguments::List(list) = call.args else {
        return Err(bad_call("a generator takes a list of arguments"));
    };
    let schema = Arc::clone(input.schema());
    let mut values = Vec::with_capacity(list.args.len());
    for argument in list.args {
        let (FunctionArg::Unnamed(FunctionArgExpr::Expr(value))
        | FunctionArg::Named {
            arg: FunctionArgExpr::Expr(value),
            ..
        }) = argument
        else {
            return Err(bad_call("a generator takes values"));
        };
        values.push(context.sql_to_expr(value, &schema)?);
    }
    let (name, outer) = match name.strip_suffix("_outer") {
        Some(name) => (name, true),
        None => (name, place == Place::AfterOuter),
    };
    let mut generated = generated(name, values, &schema)?;
    rename(&mut generated, name, alias.as_ref())?;
    let relation = match place {
        Place::OfArguments => None,
        Place::After | Place::AfterOuter => {
            alias.map(|alias| TableReference::bare(context.normalize_ident(alias.name)))
        }
    };
    rows(input, generated, outer, place, relation)
}

/// Gives the columns the names of an alias.
fn rename(generated: &mut Generated, name: &str, alias: Option<&TableAlias>) -> Result<()> {
    let names = alias.map(|alias| alias.columns.as_slice()).unwrap_or_default();
    if names.is_empty() {
        return Ok(());
    }
    if names.len() != generated.columns.len() {
        return Err(condition(
            "UDTF_ALIAS_NUMBER_MISMATCH",
            "42802",
            format!(
                "`{name}` gives {} columns, and {} are named",
                generated.columns.len(),
                names.len()
            ),
        ));
    }
    for ((column, _), named) in generated.columns.iter_mut().zip(names) {
        column.clone_from(&named.name.value);
    }
    Ok(())
}

/// Makes rows of the elements, beside the columns of `input`.
pub(super) fn rows(
    input: LogicalPlan,
    generated: Generated,
    outer: bool,
    place: Place,
    relation: Option<TableReference>,
) -> Result<LogicalPlan> {
    let kept: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut with_list = kept.clone();
    with_list.push(generated.elements.alias(ELEMENTS));
    let handling = match outer {
        true => NullHandling::PreserveAndExpandEmpty,
        false => NullHandling::Drop,
    };
    let columns = generated
        .columns
        .into_iter()
        .map(|(name, value)| match &relation {
            Some(relation) => value.alias_qualified(Some(relation.clone()), name),
            None => value.alias(name),
        });
    let mut columns: Vec<Expr> = columns.collect();
    let mut output = Vec::with_capacity(kept.len() + columns.len());
    for column in kept {
        let argument = match &column {
            Expr::Column(column) => place == Place::OfArguments && column.name.starts_with(ARGUMENT),
            _ => false,
        };
        match argument {
            true => output.append(&mut columns),
            false => output.push(column),
        }
    }
    output.append(&mut columns);
    LogicalPlanBuilder::from(input)
        .project(with_list)?
        .unnest_column_with_options(
            Column::from_name(ELEMENTS),
            UnnestOptions::new().with_null_handling(handling),
        )?
        .project(output)?
        .build()
}

/// Says what a generator makes of its arguments.
fn generated(name: &str, mut values: Vec<Expr>, schema: &DFSchema) -> Result<Generated> {
    let types = values
        .iter()
        .map(|value| value.get_type(schema))
        .collect::<Result<Vec<_>>>()?;
    match name {
        "stack" => return stack(values, &types),
        "json_tuple" => return json_tuple(values, &types),
        _ => arguments::count(name, &types, 1, 1)?,
    }
    let (Some(value), Some(data_type)) = (values.pop(), types.first()) else {
        return Err(bad_call("a generator takes an argument"));
    };
    match (name, data_type) {
        ("inline", DataType::List(item)) => {
            let DataType::Struct(fields) = item.data_type() else {
                return Err(unexpected(name, "an ARRAY of STRUCT", data_type));
            };
            let column =
                |field: &Arc<Field>| (field.name().clone(), get_field(element(), field.name().clone()));
            Ok(Generated {
                elements: value,
                columns: fields.iter().map(column).collect(),
            })
        }
        ("inline", _) => Err(unexpected(name, "an ARRAY of STRUCT", data_type)),
        ("explode", DataType::List(_)) => Ok(Generated {
            elements: value,
            columns: vec![("col".to_owned(), element())],
        }),
        ("explode", DataType::Map(..)) => Ok(Generated {
            elements: map_entries(value),
            columns: entry(&element()),
        }),
        ("posexplode", DataType::List(_)) => Ok(Generated {
            elements: generators::with_positions().call(vec![value]),
            columns: positioned(vec![("col".to_owned(), positioned_value())]),
        }),
        ("posexplode", DataType::Map(..)) => Ok(Generated {
            elements: generators::with_positions().call(vec![map_entries(value)]),
            columns: positioned(entry(&positioned_value())),
        }),
        ("variant_explode", variant) if is_variant(variant) || variant.is_null() => Ok(Generated {
            elements: variant_parts().call(vec![value]),
            columns: PART
                .map(|part| (part.to_owned(), get_field(element(), part)))
                .into(),
        }),
        ("variant_explode", _) => Err(unexpected(name, "a VARIANT", data_type)),
        _ => Err(unexpected(name, "an ARRAY or a MAP", data_type)),
    }
}

fn unexpected(name: &str, wanted: &str, found: &DataType) -> datafusion::error::DataFusionError {
    arguments::unexpected(name, 1, wanted, found)
}

fn entry(element: &Expr) -> Vec<(String, Expr)> {
    ["key", "value"]
        .map(|part| (part.to_owned(), get_field(element.clone(), part)))
        .into()
}

fn positioned_value() -> Expr {
    get_field(element(), generators::VALUE)
}

fn positioned(columns: Vec<(String, Expr)>) -> Vec<(String, Expr)> {
    let position = ("pos".to_owned(), get_field(element(), generators::POSITION));
    std::iter::once(position).chain(columns).collect()
}

/// `stack(n, v1, …)`: `n` rows of the values, one row after the other; what is missing at the end is null.
fn stack(values: Vec<Expr>, types: &[DataType]) -> Result<Generated> {
    arguments::count("stack", types, 2, usize::MAX)?;
    let mut values = values.into_iter();
    let rows = match values.next() {
        Some(Expr::Literal(ScalarValue::Int32(Some(rows)), _)) if (1..=STACK_ROWS_MAX).contains(&rows) => {
            usize::try_from(rows).unwrap_or(1)
        }
        _ => {
            return Err(condition(
                "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE",
                "42K09",
                format!("the number of rows of `stack` is a constant from 1 to {STACK_ROWS_MAX}"),
            ));
        }
    };
    let values: Vec<Expr> = values.collect();
    let width = values.len().div_ceil(rows).max(1);
    let table: Vec<Vec<Expr>> = (0..rows)
        .map(|row| {
            let cell = |column| values.get(row * width + column).cloned();
            (0..width)
                .map(|column| cell(column).unwrap_or_else(null))
                .collect()
        })
        .collect();
    let value_types = types.get(1..).unwrap_or_default();
    let column_type = |column: usize| {
        let cells: Vec<DataType> = value_types.iter().skip(column).step_by(width).cloned().collect();
        union_type("stack", &cells)
    };
    let column_types = (0..width).map(column_type).collect::<Result<Vec<_>>>()?;
    let names: Vec<String> = (0..width).map(|column| format!("col{column}")).collect();
    Ok(of_table(table, &column_types, names))
}

fn null() -> Expr {
    lit(ScalarValue::Null)
}

/// Finds the type of values that are to stand in one column.
///
/// # Errors
/// `DATATYPE_MISMATCH.STACK_COLUMN_DIFF_TYPES`.
pub(super) fn union_type(name: &str, types: &[DataType]) -> Result<DataType> {
    type_union_resolution(types).ok_or_else(|| {
        let types: Vec<String> = types.iter().map(crate::write::type_text).collect();
        condition(
            "DATATYPE_MISMATCH.STACK_COLUMN_DIFF_TYPES",
            "42K09",
            format!(
                "a column of `{name}` would have the types {}",
                types.join(", ").to_uppercase()
            ),
        )
    })
}

/// Makes the list of the rows of a table whose columns have types and names.
pub(super) fn of_table(table: Vec<Vec<Expr>>, types: &[DataType], names: Vec<String>) -> Generated {
    let field = |place: usize| format!("c{place}");
    let row = |cells: Vec<Expr>| {
        let cells = cells.into_iter().zip(types).enumerate();
        named_struct(
            cells
                .flat_map(|(place, (cell, data_type))| [lit(field(place)), cast(cell, data_type.clone())])
                .collect(),
        )
    };
    Generated {
        elements: make_array(table.into_iter().map(row).collect()),
        columns: names
            .into_iter()
            .enumerate()
            .map(|(place, name)| (name, get_field(element(), field(place))))
            .collect(),
    }
}

/// `json_tuple(text, 'a', …)`: the fields of an object at its top level, as texts, in one row.
fn json_tuple(values: Vec<Expr>, types: &[DataType]) -> Result<Generated> {
    arguments::count("json_tuple", types, 2, usize::MAX)?;
    let fields = values.len() - 1;
    Ok(Generated {
        elements: generators::json_fields().call(values),
        columns: (0..fields)
            .map(|place| (format!("c{place}"), get_field(element(), format!("c{place}"))))
            .collect(),
    })
}
