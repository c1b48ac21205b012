//! `+ - * /` where a side is a date, a timestamp or an interval.
//!
//! A date is moved by whole days and stays one; by hours it is the instant at which it begins, moved. Two moments are
//! apart by a day-time interval. Source: Spark, `BinaryArithmeticWithDatetimeResolver`, `AnsiTypeCoercion`.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::error::condition;
use crate::functions::arguments::is_text;
use crate::functions::datetime::{self, CALENDAR, DAY_TIME, YEAR_MONTH};
use crate::functions::function::Function;
use crate::write::type_text;

/// Marks an interval that has whole days only: its type is `INTERVAL DAY`.
const FIELDS: &str = "interval.fields";
const DAYS: &str = "day";

/// Plans an operator of which a side is temporal; others are left as they are.
pub(super) fn plan(operation: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
    let side = |side: &Expr| Some(Side::of(&side.get_type(schema).ok()?));
    let (Some(left), Some(right)) = (side(&operation.left), side(&operation.right)) else {
        return Ok(PlannerResult::Original(operation));
    };
    if !left.is_temporal() && !right.is_temporal() {
        return Ok(PlannerResult::Original(operation));
    }
    let (x, y) = (operation.left.clone(), operation.right.clone());
    let planned = match &operation.op {
        BinaryOperator::Plus => add((x, left), (y, right), schema)?,
        BinaryOperator::Minus => subtract((x, left), (y, right), schema)?,
        BinaryOperator::Multiply => multiply((x, left), (y, right)),
        BinaryOperator::Divide => divide((x, left), (y, right)),
        _ => return Ok(PlannerResult::Original(operation)),
    };
    match planned {
        Some(planned) => Ok(PlannerResult::Planned(planned)),
        None => Err(mismatch(&operation, schema)),
    }
}

/// Plans `-x` of an interval; `None` where it is none.
pub(super) fn negative(operand: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let side = Side::of(&operand.get_type(schema)?);
    Ok(matches!(side, Side::DayTime | Side::YearMonth).then(|| {
        let planned = call(datetime::multiply_interval(), vec![operand.clone(), lit(-1_i64)]);
        keep_days(planned, operand, schema)
    }))
}

/// Makes a literal of a day-time interval.
pub(super) fn day_time_literal(micros: i64, days_only: bool) -> Expr {
    let value = ScalarValue::DurationMicrosecond(Some(micros));
    Expr::Literal(value, days_only.then(days_marked))
}

fn days_marked() -> FieldMetadata {
    FieldMetadata::new(BTreeMap::from([(FIELDS.to_owned(), DAYS.to_owned())]))
}

/// Says if an interval has whole days only.
fn has_days_only(interval: &Expr, schema: &DFSchema) -> bool {
    match interval {
        Expr::Alias(alias) => has_days_only(&alias.expr, schema),
        interval => interval
            .to_field(schema)
            .is_ok_and(|(_, field)| field.metadata().get(FIELDS).is_some_and(|fields| fields == DAYS)),
    }
}

fn keep_days(planned: Expr, operand: &Expr, schema: &DFSchema) -> Expr {
    match (operand, has_days_only(operand, schema)) {
        (Expr::Literal(ScalarValue::DurationMicrosecond(Some(micros)), _), true) => {
            match micros.checked_neg() {
                Some(negative) => day_time_literal(negative, true),
                None => planned,
            }
        }
        _ => planned,
    }
}

/// What a side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Date,
    Instant,
    Local,
    DayTime,
    YearMonth,
    Calendar,
    Text,
    Small,
    Number,
    Null,
    Other,
}

impl Side {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Date32 => Self::Date,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::Instant,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Local,
            found if *found == DAY_TIME => Self::DayTime,
            found if *found == YEAR_MONTH => Self::YearMonth,
            found if *found == CALENDAR => Self::Calendar,
            found if is_text(found) => Self::Text,
            DataType::Int8 | DataType::Int16 | DataType::Int32 => Self::Small,
            DataType::Int64 | DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
                Self::Number
            }
            DataType::Null => Self::Null,
            _ => Self::Other,
        }
    }

    fn is_moment(self) -> bool {
        matches!(self, Self::Date | Self::Instant | Self::Local)
    }

    fn is_interval(self) -> bool {
        matches!(self, Self::DayTime | Self::YearMonth | Self::Calendar)
    }

    fn is_temporal(self) -> bool {
        self.is_moment() || self.is_interval()
    }
}

type Operand = (Expr, Side);

fn add((x, left): Operand, (y, right): Operand, schema: &DFSchema) -> Result<Option<Expr>> {
    Ok(match (left, right) {
        (Side::Date, Side::Small) => Some(call(datetime::date_add(), vec![x, y])),
        (Side::Small, Side::Date) => Some(call(datetime::date_add(), vec![y, x])),
        (left, right) if left.is_interval() && right.is_interval() => sum((x, left), (y, right)),
        (left, right) if right.is_interval() => moved((x, left), (y, right), schema)?,
        (left, right) if left.is_interval() => moved((y, right), (x, left), schema)?,
        (Side::Null, Side::Date) => Some(call(datetime::date_add(), vec![y, x])),
        (Side::Date, Side::Null) => Some(call(datetime::date_add(), vec![x, y])),
        _ => None,
    })
}

fn subtract((x, left): Operand, (y, right): Operand, schema: &DFSchema) -> Result<Option<Expr>> {
    Ok(match (left, right) {
        (Side::Date, Side::Small) => Some(call(datetime::date_sub(), vec![x, y])),
        (left, right) if right.is_interval() && left != Side::Calendar && right != Side::Calendar => {
            let opposite = match &y {
                Expr::Literal(..) => negative(&y, schema)?.unwrap_or(y),
                _ => call(datetime::multiply_interval(), vec![y, lit(-1_i64)]),
            };
            add((x, left), (opposite, right), schema)?
        }
        (left, Side::Calendar) => {
            let opposite = call(datetime::negate_calendar(), vec![y]);
            add((x, left), (opposite, Side::Calendar), schema)?
        }
        (left, right) if left.is_moment() || right.is_moment() => {
            let Some((x, y)) = alike((x, left), (y, right)) else {
                return Ok(None);
            };
            Some(call(datetime::subtract_moments(), vec![x, y]))
        }
        _ => None,
    })
}

fn multiply((x, left): Operand, (y, right): Operand) -> Option<Expr> {
    let (interval, number) = match left.is_interval() {
        true => ((x, left), (y, right)),
        false => ((y, right), (x, left)),
    };
    Some(call(
        datetime::multiply_interval(),
        vec![interval.0, factor(interval.1, number)?],
    ))
}

fn divide((x, left): Operand, (y, right): Operand) -> Option<Expr> {
    Some(call(
        datetime::divide_interval(),
        vec![x, factor(left, (y, right))?],
    ))
}

/// Makes a number of a type that intervals are multiplied with.
fn factor(interval: Side, (number, side): Operand) -> Option<Expr> {
    if !matches!(interval, Side::DayTime | Side::YearMonth) {
        return None;
    }
    match side {
        Side::Small | Side::Null => Some(cast(number, DataType::Int64)),
        Side::Text => Some(cast(number, DataType::Float64)),
        Side::Number => Some(number),
        _ => None,
    }
}

fn sum((x, left): Operand, (y, right): Operand) -> Option<Expr> {
    (left == right).then(|| call(datetime::add_intervals(), vec![x, y]))
}

fn moved((moment, side): Operand, (interval, of): Operand, schema: &DFSchema) -> Result<Option<Expr>> {
    let moment = match (side, of) {
        (Side::Date, Side::DayTime) if !has_days_only(&interval, schema) => {
            call(datetime::instant(), vec![moment])
        }
        (Side::Text, _) | (Side::Null, _) => call(datetime::instant(), vec![moment]),
        (side, _) if side.is_moment() => moment,
        _ => return Ok(None),
    };
    Ok(Some(call(datetime::add_interval(), vec![moment, interval])))
}

/// Converts two sides to one type of moment, of which at least one is.
fn alike((x, left): Operand, (y, right): Operand) -> Option<(Expr, Expr)> {
    let common = match (left, right) {
        (left, right) if left == right => left,
        (Side::Text | Side::Null, other) | (other, Side::Text | Side::Null) => other,
        (Side::Instant, other) | (other, Side::Instant) if other.is_moment() => Side::Instant,
        (Side::Local, other) | (other, Side::Local) if other.is_moment() => Side::Local,
        _ => return None,
    };
    let converted = |expr: Expr, side: Side| match common == side {
        true => Some(expr),
        false => converted(expr, common),
    };
    Some((converted(x, left)?, converted(y, right)?))
}

/// Makes a moment of a kind of what has one.
fn converted(expression: Expr, to: Side) -> Option<Expr> {
    let function = match to {
        Side::Date => datetime::date(),
        Side::Instant => datetime::instant(),
        Side::Local => datetime::local(),
        _ => return None,
    };
    Some(call(function, vec![expression]))
}

/// Converts a text or a moment to a moment of another type, in the session's zone; gives back what is none.
pub(super) fn moment(expression: Expr, from: &DataType, to: &DataType) -> Result<Expr, Expr> {
    let (from, to) = (Side::of(from), Side::of(to));
    let converts = from == Side::Text || (from.is_moment() && from != to);
    match converts && to.is_moment() {
        true => converted(expression.clone(), to).ok_or(expression),
        false => Err(expression),
    }
}

fn call(function: Function, arguments: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(function.udf(), arguments))
}

fn mismatch(operation: &RawBinaryExpr, schema: &DFSchema) -> datafusion::error::DataFusionError {
    let shown = |side: &Expr| match side.get_type(schema) {
        Ok(found) => type_text(&found).to_uppercase(),
        Err(_) => "a type that is unknown".to_owned(),
    };
    condition(
        "DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES",
        "42K09",
        format!(
            "`{}` does not take {} and {}",
            operation.op,
            shown(&operation.left),
            shown(&operation.right)
        ),
    )
}
