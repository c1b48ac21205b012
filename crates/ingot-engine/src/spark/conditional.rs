//! Comparisons, CASE and IN: all values of one type first.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::planner::{PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Case, Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::coercion::{common_type, converted_to, unified};

/// Converts the sides of a comparison to their common type; DataFusion compares them.
pub(super) fn comparison(
    operation: RawBinaryExpr,
    schema: &DFSchema,
) -> Result<PlannerResult<RawBinaryExpr>> {
    let op = match &operation.op {
        BinaryOperator::Spaceship
        | BinaryOperator::Eq
        | BinaryOperator::NotEq
        | BinaryOperator::Lt
        | BinaryOperator::LtEq
        | BinaryOperator::Gt
        | BinaryOperator::GtEq => operation.op.clone(),
        _ => return Ok(PlannerResult::Original(operation)),
    };
    let type_of = |side: &Expr| side.get_type(schema).ok();
    let (Some(from), Some(to)) = (type_of(&operation.left), type_of(&operation.right)) else {
        return Ok(PlannerResult::Original(operation));
    };
    if !changes(&from, &to) {
        return Ok(PlannerResult::Original(operation));
    }
    let Some(common) = common_type(&from, &to) else {
        return Ok(PlannerResult::Original(operation));
    };
    Ok(PlannerResult::Original(RawBinaryExpr {
        op,
        left: converted_to(operation.left, &from, &common),
        right: converted_to(operation.right, &to, &common),
    }))
}

/// Says if DataFusion would compare two types otherwise than Spark: it knows how whole numbers, decimals and texts
/// compare, and takes casts off columns where it makes them itself.
fn changes(left: &DataType, right: &DataType) -> bool {
    let decimal_or_whole = |side: &DataType| side.is_decimal() || side.is_integer();
    match (left, right) {
        (left, right) if left == right => false,
        (DataType::Null, _) | (_, DataType::Null) => false,
        (left, right) if decimal_or_whole(left) && decimal_or_whole(right) => false,
        _ => true,
    }
}

/// Plans `CASE WHEN … THEN … ELSE … END`.
pub(super) fn case(branches: Vec<Expr>, schema: &DFSchema) -> Result<Expr> {
    let mut conditions = Vec::with_capacity(branches.len() / 2);
    let mut results = Vec::with_capacity(branches.len() / 2 + 1);
    let has_else = branches.len() % 2 == 1;
    let mut branches = branches.into_iter();
    while let Some(first) = branches.next() {
        match branches.next() {
            Some(result) => {
                conditions.push(first);
                results.push(result);
            }
            None => results.push(first),
        }
    }
    let mut results = unified(results, schema)?;
    let otherwise = match has_else {
        true => results.pop().map(Box::new),
        false => None,
    };
    let when = conditions
        .into_iter()
        .map(Box::new)
        .zip(results.into_iter().map(Box::new));
    Ok(Expr::Case(Case::new(None, when.collect(), otherwise)))
}

/// Plans `value IN (items)`.
pub(super) fn in_list(items: Vec<Expr>, schema: &DFSchema) -> Result<Expr> {
    let mut items = unified(items, schema)?.into_iter();
    match items.next() {
        Some(value) => Ok(value.in_list(items.collect(), false)),
        None => Err(DataFusionError::Internal("IN without a value".to_owned())),
    }
}
