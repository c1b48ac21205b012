//! What expressions mean in Spark, for a planner that would take them to mean something else.
//!
//! ```text
//! AST ─► names of unnamed columns (`names`) ─► forms: `{literal: '1'}`, `{in: x, of: 1}` ─► DataFusion's planner
//!            its arguments planned ─► [`SparkForms`] ─► Expr ─► [`UnionTypes`] ─► all types settled ─► [`SparkCasts`]
//! ```
//! DataFusion fixes the type of a literal and of a sign while it plans, and asks nobody. What it does ask us about is a
//! dictionary literal, which Spark has none of: so an expression whose meaning is ours becomes one (a form), with its
//! kind as the first key and its operands as values, and is planned here once the types of its operands are known.
//! Where only a plain number may stand (LIMIT, ordinals of ORDER BY and GROUP BY, frames), it stays one. Source: ADR
//! 0016.

mod access;
mod aggregates;
mod ansi_mode;
pub(crate) mod arithmetic;
mod call_names;
mod calls;
mod casts;
mod chains;
pub(crate) mod coercion;
mod conditional;
pub(crate) mod decorrelate;
mod large_literals;
pub(crate) mod literal;
mod names;
mod parts;
mod rewrite;
mod set_operations;
mod subqueries;
pub(crate) mod temporal;
mod temporal_arithmetic;
mod time_window;
mod typed_literal;
mod windows;

use arrow::datatypes::{Field, Schema};
use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawBinaryExpr, RawDictionaryExpr, RawFieldAccessExpr, RawWindowExpr,
};
use datafusion::sql::sqlparser::ast;

pub(crate) use self::ansi_mode::AnsiMode;
pub(crate) use self::calls::special_calls;
pub(crate) use self::casts::{SparkCasts, cast_to, zone_of};
pub(crate) use self::large_literals::LargeLiterals;
pub(crate) use self::names::pretty;
use self::rewrite::expression;
pub(crate) use self::rewrite::{form_expressions, name_columns, number_of};
pub(crate) use self::set_operations::UnionTypes;
pub(crate) use self::subqueries::without_single_rows;
pub(crate) use self::windows::PeerFrames;
use crate::Result;
use crate::functions::random;

/// Returns the name that a query's column has for those who asked.
pub(crate) fn shown_name(name: &str) -> &str {
    name.split_once(rewrite::AGAIN).map_or(name, |(name, _)| name)
}

/// Makes an expression over columns of one that is parsed.
///
/// # Errors
/// Spark's conditions, as `UNRESOLVED_COLUMN`.
pub(crate) fn plan(state: &SessionState, mut parsed: ast::Expr, columns: &DFSchema) -> Result<Expr> {
    expression(&mut parsed);
    let parsed = ast::ExprWithAlias {
        expr: parsed,
        alias: None,
    };
    let expression = state.create_logical_expr_from_sql_expr(parsed, columns)?;
    Ok(casts::in_expression(expression, columns, state.config_options())?)
}

/// Makes an expression over the columns of `schema` of one that is parsed.
///
/// # Errors
/// As [`plan`].
pub(crate) fn plan_over(state: &SessionState, parsed: ast::Expr, schema: &Schema) -> Result<Expr> {
    plan(state, parsed, &DFSchema::try_from(schema.clone())?)
}

/// Returns the offset that an interval of SET TIME ZONE says: `+01:00`; `None` for what is none.
pub(crate) fn offset_of_interval(parsed: &ast::Expr) -> Option<String> {
    typed_literal::offset(parsed)
}

/// Plans forms, and the operators of Spark, in a mode.
#[derive(Debug)]
pub(crate) struct SparkForms(pub AnsiMode);

impl ExprPlanner for SparkForms {
    fn plan_dictionary_literal(
        &self,
        form: RawDictionaryExpr,
        schema: &DFSchema,
    ) -> PlanResult<PlannerResult<RawDictionaryExpr>> {
        let kind = match form.keys.first() {
            Some(Expr::Literal(ScalarValue::Utf8(Some(kind)), _)) => kind.clone(),
            _ => return Ok(PlannerResult::Original(form)),
        };
        let mode = self.0;
        let planned = match (kind.as_str(), form.values.as_slice()) {
            (rewrite::LITERAL, [text]) => literal::plan(text)?,
            (rewrite::ARITHMETIC, [function, left, right]) => {
                arithmetic::plan_call(carried_text(function)?, left, right, mode, schema)?
            }
            (rewrite::RANDOM, [function, arguments @ ..]) => {
                random::plan(carried_text(function)?, arguments, schema)?
            }
            (rewrite::NAMED, [value, name]) => value.clone().alias(carried_text(name)?),
            (rewrite::CASE, branches) => conditional::case(branches.to_vec(), mode, schema)?,
            (rewrite::CASE_OF, operands) => conditional::case_of(operands.to_vec(), mode, schema)?,
            (rewrite::DECODE, operands) => conditional::decode(operands.to_vec(), mode, schema)?,
            (rewrite::BETWEEN, operands) => conditional::between(operands.to_vec(), mode, schema)?,
            (rewrite::COALESCE, values) => conditional::first_of(values.to_vec(), mode, schema)?,
            (rewrite::IN, items) => conditional::in_list(items.to_vec(), mode, schema)?,
            (rewrite::NEGATIVE, [operand]) => match temporal_arithmetic::negative(operand, schema)? {
                Some(planned) => planned,
                None => arithmetic::negative(operand.clone(), mode, schema)?,
            },
            (rewrite::TYPED, [text, of]) => typed_literal::plan(text, of)?,
            (rewrite::INTERVAL, [carried, text]) => typed_literal::plan_interval(carried, text)?,
            _ => return Ok(PlannerResult::Original(form)),
        };
        Ok(PlannerResult::Planned(planned))
    }

    fn plan_window(&self, window: RawWindowExpr) -> PlanResult<PlannerResult<RawWindowExpr>> {
        windows::plan(window)
    }

    fn plan_binary_op(
        &self,
        operation: RawBinaryExpr,
        schema: &DFSchema,
    ) -> PlanResult<PlannerResult<RawBinaryExpr>> {
        let operation = match temporal_arithmetic::plan(operation, schema)? {
            PlannerResult::Original(operation) => operation,
            planned => return Ok(planned),
        };
        match conditional::comparison(operation, self.0, schema)? {
            PlannerResult::Original(operation) => arithmetic::plan(operation, self.0, schema),
            planned => Ok(planned),
        }
    }

    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> PlanResult<PlannerResult<RawFieldAccessExpr>> {
        match access::plan(&access, schema)? {
            Some(planned) => Ok(PlannerResult::Planned(planned)),
            None => Ok(PlannerResult::Original(access)),
        }
    }

    fn plan_compound_identifier(
        &self,
        column: &Field,
        relation: Option<&TableReference>,
        fields: &[String],
    ) -> PlanResult<PlannerResult<Vec<Expr>>> {
        access::column(column, relation, fields).map(PlannerResult::Planned)
    }
}

/// Returns the text of a literal that a form carries.
fn carried_text(value: &Expr) -> PlanResult<&str> {
    match value {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Ok(text),
        other => Err(DataFusionError::Internal(format!(
            "a form carries {other}, no text"
        ))),
    }
}
