//! Comparisons, CASE and IN: all values of one type first, which an ANSI mode says.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::core;
use datafusion::functions::core::expr_fn::{coalesce, named_struct};
use datafusion::logical_expr::planner::{PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Case, Expr, ExprSchemable, TryCast, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::AnsiMode;
use super::coercion::{Coercion, converted_to, unified};
use crate::error::condition;
use crate::functions::arguments::unexpected;
use crate::write::type_text;

/// Converts the sides of a comparison to their common type; DataFusion compares them.
pub(super) fn comparison(
    operation: RawBinaryExpr,
    mode: AnsiMode,
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
    let common = Coercion::of_sides(mode)
        .common_type(&from, &to)
        .or_else(|| number_of_truth(&op, &from, &to, mode));
    let Some(common) = common else {
        return match is_atomic(&from) && is_atomic(&to) {
            true => Err(incomparable(&op, &from, &to)),
            false => Ok(PlannerResult::Original(operation)),
        };
    };
    Ok(PlannerResult::Original(RawBinaryExpr {
        op,
        left: converted_to(operation.left, &from, &common),
        right: converted_to(operation.right, &to, &common),
    }))
}

/// Says if a type is one of Spark's that is not made of others.
fn is_atomic(data_type: &DataType) -> bool {
    use DataType::{
        Binary, Boolean, Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Timestamp, Utf8,
    };
    matches!(
        data_type,
        Binary
            | Boolean
            | Date32
            | Decimal128(..)
            | Float32
            | Float64
            | Int8
            | Int16
            | Int32
            | Int64
            | Timestamp(..)
            | Utf8
    )
}

fn incomparable(operator: &BinaryOperator, left: &DataType, right: &DataType) -> DataFusionError {
    condition(
        "DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES",
        "42K09",
        format!(
            "`{operator}` compares values of one type, not {} and {}",
            type_text(left).to_uppercase(),
            type_text(right).to_uppercase()
        ),
    )
}

/// Returns the type of a number that is said to equal a truth value, which Spark takes without ANSI mode. Source: Spark,
/// `TypeCoercion.BooleanEquality`.
fn number_of_truth(
    operator: &BinaryOperator,
    left: &DataType,
    right: &DataType,
    mode: AnsiMode,
) -> Option<DataType> {
    let equality = matches!(
        operator,
        BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::Spaceship
    );
    match (left, right) {
        (DataType::Boolean, number) | (number, DataType::Boolean)
            if mode == AnsiMode::Off && equality && number.is_numeric() =>
        {
            Some(number.clone())
        }
        _ => None,
    }
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
pub(super) fn case(branches: Vec<Expr>, mode: AnsiMode, schema: &DFSchema) -> Result<Expr> {
    let branches = Branches::of(branches);
    for condition_of_branch in &branches.conditions {
        let data_type = condition_of_branch.get_type(schema)?;
        if data_type.is_numeric() {
            return Err(unexpected("CASE", 1, "BOOLEAN", &data_type));
        }
    }
    Ok(Expr::Case(branches.case(None, mode, schema)?))
}

/// Plans `CASE value WHEN … THEN … ELSE … END`, whose operands begin with the value.
pub(super) fn case_of(operands: Vec<Expr>, mode: AnsiMode, schema: &DFSchema) -> Result<Expr> {
    let (value, branches) = Branches::with_value(operands, mode, schema)?;
    Ok(Expr::Case(branches.case(Some(value), mode, schema)?))
}

/// Plans `decode(value, …)`, where a null is the same as another.
pub(super) fn decode(operands: Vec<Expr>, mode: AnsiMode, schema: &DFSchema) -> Result<Expr> {
    let (value, mut branches) = Branches::with_value(operands, mode, schema)?;
    let is_value = |searched: &Expr| matches!(searched, Expr::Literal(value, _) if !value.is_null());
    if branches.conditions.iter().all(is_value) {
        return Ok(Expr::Case(branches.case(Some(value), mode, schema)?));
    }
    // Structs compare with the nulls in them.
    let inside = |value: Expr| named_struct(vec![lit("value"), value]);
    branches.conditions = branches.conditions.into_iter().map(inside).collect();
    Ok(Expr::Case(branches.case(Some(inside(value)), mode, schema)?))
}

/// Plans `value BETWEEN low AND high`.
pub(super) fn between(operands: Vec<Expr>, mode: AnsiMode, schema: &DFSchema) -> Result<Expr> {
    let rule = Coercion::of_sides(mode);
    comparable("BETWEEN", &operands, rule, schema)?;
    match <[Expr; 3]>::try_from(unified(operands, rule, schema)?) {
        Ok([value, low, high]) => Ok(value.between(low, high)),
        Err(_) => Err(DataFusionError::Internal(
            "BETWEEN has a value and two bounds".to_owned(),
        )),
    }
}

/// Plans the first of values that is not null.
///
/// One within another is the same as one of all values. DataFusion makes a CASE of each that mentions its values twice,
/// and so one within another would grow with each level.
pub(super) fn first_of(values: Vec<Expr>, mode: AnsiMode, schema: &DFSchema) -> Result<Expr> {
    let mut all = Vec::with_capacity(values.len());
    for value in unified(values, Coercion::of_results(mode), schema)? {
        match value {
            Expr::ScalarFunction(inner) if inner.name() == core::coalesce().name() => all.extend(inner.args),
            value => all.push(value),
        }
    }
    Ok(coalesce(all))
}

/// The branches of a CASE.
struct Branches {
    /// What the value is compared with, or what has to be true.
    conditions: Vec<Expr>,
    results: Vec<Expr>,
    otherwise: Option<Expr>,
}

impl Branches {
    /// Takes conditions and results in turn, and the result otherwise if there is one.
    fn of(operands: Vec<Expr>) -> Self {
        let mut branches = Self {
            conditions: Vec::with_capacity(operands.len() / 2),
            results: Vec::with_capacity(operands.len() / 2),
            otherwise: None,
        };
        let mut operands = operands.into_iter();
        while let Some(first) = operands.next() {
            match operands.next() {
                Some(result) => {
                    branches.conditions.push(first);
                    branches.results.push(result);
                }
                None => branches.otherwise = Some(first),
            }
        }
        branches
    }

    /// Takes the value first, and makes it and what it is compared with of one type.
    fn with_value(operands: Vec<Expr>, mode: AnsiMode, schema: &DFSchema) -> Result<(Expr, Self)> {
        let mut operands = operands.into_iter();
        let value = operands.next();
        let mut branches = Self::of(operands.collect());
        let searched = std::mem::take(&mut branches.conditions);
        let compared = value.into_iter().chain(searched).collect();
        let mut compared = unified(compared, Coercion::of_sides(mode), schema)?.into_iter();
        let value = compared.next();
        branches.conditions = compared.collect();
        let value = value.ok_or_else(|| DataFusionError::Internal("CASE of no value".to_owned()))?;
        Ok((value, branches))
    }

    fn case(self, value: Option<Expr>, mode: AnsiMode, schema: &DFSchema) -> Result<Case> {
        let has_otherwise = self.otherwise.is_some();
        let results = self.results.into_iter().chain(self.otherwise);
        let mut results = unified(results.collect(), Coercion::of_results(mode), schema)?;
        for result in &mut results {
            if holds_case(result) {
                let data_type = result.get_type(schema)?;
                *result = of_known_type(std::mem::take(result), &data_type);
            }
        }
        let otherwise = match has_otherwise {
            true => results.pop().map(Box::new),
            false => None,
        };
        let conditions = self.conditions.into_iter().map(Box::new);
        let when = conditions.zip(results.into_iter().map(Box::new));
        Ok(Case::new(value.map(Box::new), when.collect(), otherwise))
    }
}

/// Plans `value IN (items)`.
pub(super) fn in_list(items: Vec<Expr>, mode: AnsiMode, schema: &DFSchema) -> Result<Expr> {
    let rule = Coercion::of_results(mode);
    comparable("IN", &items, rule, schema)?;
    let mut items = unified(items, rule, schema)?.into_iter();
    match items.next() {
        Some(value) => Ok(value.in_list(items.collect(), false)),
        None => Err(DataFusionError::Internal("IN without a value".to_owned())),
    }
}

/// Refuses values that have no common type.
fn comparable(operator: &str, operands: &[Expr], rule: Coercion, schema: &DFSchema) -> Result<()> {
    let types = operands.iter().map(|operand| operand.get_type(schema));
    let types = types.collect::<Result<Vec<_>>>()?;
    if rule.common_type_of(&types).is_some() || types.iter().any(|data_type| !is_plain(data_type)) {
        return Ok(());
    }
    let types: Vec<String> = types
        .iter()
        .map(|data_type| type_text(data_type).to_uppercase())
        .collect();
    Err(condition(
        "DATATYPE_MISMATCH.DATA_DIFF_TYPES",
        "42K09",
        format!(
            "{operator} compares values of one type, not {}",
            types.join(" and ")
        ),
    ))
}

/// Says if Spark has a type as it stands here, which tells of common ones.
fn is_plain(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}

/// Says if a value is computed of a CASE, and is not of a type that is known beforehand.
fn holds_case(value: &Expr) -> bool {
    !matches!(value, Expr::TryCast(_))
        && value
            .exists(|part| Ok(matches!(part, Expr::Case(_))))
            .unwrap_or(false)
}

/// Says what type a value has, where all of it would have to be looked at to know.
///
/// DataFusion asks a CASE for its type and if it can be null, both of which it asks of each result: of one CASE in
/// another, as an operand of what is no CASE, each level doubles the questions. A TRY_CAST answers both at once, and one
/// to the type that a value has is nothing when the value is computed.
fn of_known_type(value: Expr, data_type: &DataType) -> Expr {
    Expr::TryCast(TryCast::new(Box::new(value), data_type.clone()))
}
