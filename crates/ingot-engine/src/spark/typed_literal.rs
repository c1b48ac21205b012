//! `DATE'…'`, `TIMESTAMP'…'`, `TIMESTAMP_NTZ'…'` and INTERVAL literals. Source: Spark SQL, "Literals".

use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::lit;
use datafusion::sql::sqlparser::ast::{
    self, DataType, DateTimeField, Interval, TimezoneInfo, Value, ValueWithSpan,
};
use ingot_common::Kind;

use super::temporal::{
    self, CalendarParts, DAY_MICROS, HOUR_MICROS, IntervalField, MINUTE_MICROS, SECOND_MICROS, Zone,
};
use super::{carried_text, literal, rewrite, temporal_arithmetic};
use crate::Error;
use crate::error::{condition, external};
use crate::functions::datetime;

const DATE: &str = "DATE";
const TIMESTAMP: &str = "TIMESTAMP";
const TIMESTAMP_NTZ: &str = "TIMESTAMP_NTZ";
const TIME: &str = "TIME";

/// Returns which of the types that are planned here a literal is of.
pub(super) fn word(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Date => Some(DATE),
        DataType::Timestamp(_, TimezoneInfo::None) => Some(TIMESTAMP),
        DataType::TimestampNtz(_) => Some(TIMESTAMP_NTZ),
        DataType::Time(..) => Some(TIME),
        _ => None,
    }
}

/// Plans a literal of a date or a time.
///
/// # Errors
/// `INVALID_TYPED_LITERAL`, `UNSUPPORTED_TIME_TYPE`.
pub(super) fn plan(text: &Expr, of: &Expr) -> Result<Expr> {
    let (text, of) = (carried_text(text)?, carried_text(of)?);
    let invalid = || {
        condition(
            "INVALID_TYPED_LITERAL",
            "42604",
            format!("`{text}` is no value of {of}"),
        )
    };
    match of {
        // Words as `today` are of the session's zone.
        DATE => match temporal::parse_date(text) {
            Some(days) => Ok(lit(ScalarValue::Date32(Some(days)))),
            None if temporal::special_date(text, &Zone::UTC).is_some() => Ok(in_zone(datetime::date(), text)),
            None => Err(invalid()),
        },
        TIMESTAMP => {
            let special = temporal::special_timestamp(text, &Zone::UTC).is_some();
            match special || temporal::parse_timestamp(text, &Zone::UTC).is_some() {
                true => Ok(in_zone(datetime::instant(), text)),
                false => Err(invalid()),
            }
        }
        TIMESTAMP_NTZ => {
            let local = temporal::parse_timestamp_ntz(text).ok_or_else(invalid)?;
            Ok(lit(ScalarValue::TimestampMicrosecond(Some(local), None)))
        }
        _ => Err(external(Error::Condition {
            kind: Kind::Unsupported,
            condition: "UNSUPPORTED_TIME_TYPE",
            sqlstate: "0A000",
            message: "the type TIME is not supported".to_owned(),
        })),
    }
}

/// Makes a call that reads `text` in the session's zone, which is known when the call is computed.
fn in_zone(function: crate::functions::function::Function, text: &str) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(function.udf(), vec![lit(text)]))
}

/// What an interval is, as text that a form carries: `months 14`, `days 86400000000`, `micros 5`, `calendar 1 2 3`;
/// without a number where the text is no interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IntervalLiteral {
    Months(i32),
    /// Whole days, as microseconds.
    Days(i64),
    Micros(i64),
    Calendar(CalendarParts),
    Invalid,
}

impl IntervalLiteral {
    /// Reads an interval.
    pub fn of(interval: &Interval) -> Self {
        Self::read(interval).unwrap_or(Self::Invalid)
    }

    fn read(interval: &Interval) -> Option<Self> {
        let text = value_text(&interval.value)?;
        let Some(first) = &interval.leading_field else {
            return Self::of_parts(temporal::parse_calendar(&text)?, &text);
        };
        if let Some(last) = &interval.last_field {
            let (from, to) = (field(first)?, field(last)?);
            return match from {
                IntervalField::Year | IntervalField::Month => {
                    temporal::months_between_fields(&text, from, to).map(Self::Months)
                }
                _ => temporal::micros_between_fields(&text, from, to).map(Self::Micros),
            };
        }
        let unit = first.to_string().to_lowercase();
        Self::of_parts(temporal::parse_calendar(&format!("{text} {unit}"))?, &unit)
    }

    /// Says which type numbers of units have; years and days do not mix.
    fn of_parts(parts: CalendarParts, units: &str) -> Option<Self> {
        let units = units.to_lowercase();
        let has = |names: &[&str]| names.iter().any(|name| units.contains(name));
        let months = has(&["year", "month"]);
        let below_days = has(&["hour", "minute", "second"]);
        let days = has(&["day", "week"]) || below_days;
        match (months, days) {
            (true, true) => Some(Self::Calendar(parts)),
            (true, false) => Some(Self::Months(parts.months)),
            (false, _) if below_days => parts.day_time().map(Self::Micros),
            (false, _) => parts.day_time().map(Self::Days),
        }
    }

    /// Writes what a form carries.
    pub fn carried(self) -> String {
        match self {
            Self::Months(months) => format!("months {months}"),
            Self::Days(micros) => format!("days {micros}"),
            Self::Micros(micros) => format!("micros {micros}"),
            Self::Calendar(parts) => format!("calendar {} {} {}", parts.months, parts.days, parts.micros),
            Self::Invalid => "invalid".to_owned(),
        }
    }

    fn from_carried(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let read = match words.as_slice() {
            ["months", months] => months.parse().ok().map(Self::Months),
            ["days", micros] => micros.parse().ok().map(Self::Days),
            ["micros", micros] => micros.parse().ok().map(Self::Micros),
            ["calendar", months, days, micros] => match (months.parse(), days.parse(), micros.parse()) {
                (Ok(months), Ok(days), Ok(micros)) => {
                    Some(Self::Calendar(CalendarParts { months, days, micros }))
                }
                _ => None,
            },
            _ => None,
        };
        read.unwrap_or(Self::Invalid)
    }

    /// Makes the AST of a form an interval again, which DataFusion's planner reads where only such may stand.
    pub fn plain(carried: &str) -> Option<ast::Expr> {
        let text = match Self::from_carried(carried) {
            Self::Months(months) => format!("{months} months"),
            Self::Days(micros) | Self::Micros(micros) => {
                format!(
                    "{} days {} microseconds",
                    micros / DAY_MICROS,
                    micros % DAY_MICROS
                )
            }
            Self::Calendar(CalendarParts { months, days, micros }) => {
                format!("{months} months {days} days {micros} microseconds")
            }
            Self::Invalid => return None,
        };
        Some(ast::Expr::Interval(Interval {
            value: Box::new(ast::Expr::value(Value::SingleQuotedString(text))),
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        }))
    }

    /// Returns how Spark writes the literal.
    pub fn shown(interval: &Interval) -> Option<String> {
        let mut text = String::new();
        let literal = Self::of(interval);
        if let (Some(field), None) = (&interval.leading_field, &interval.last_field)
            && let Some(of_one) = literal.shown_in(field)
        {
            return Some(of_one);
        }
        match literal {
            Self::Months(months) => temporal::write_year_month(months, &mut text),
            Self::Days(micros) => text = format!("INTERVAL '{}' DAY", micros / DAY_MICROS),
            Self::Micros(micros) => temporal::write_day_time(micros, &mut text),
            Self::Calendar(parts) => {
                text.push_str("INTERVAL '");
                temporal::write_calendar(parts, &mut text);
                text.push('\'');
            }
            Self::Invalid => return None,
        }
        Some(text)
    }
}

impl IntervalLiteral {
    /// Writes a literal of one field, if it is whole in it: `INTERVAL '1' MONTH`.
    fn shown_in(self, field: &DateTimeField) -> Option<String> {
        let (number, unit) = match (self, self::field(field)?) {
            (Self::Months(months), IntervalField::Year) => (format!("{}", months / 12), "YEAR"),
            (Self::Months(months), _) => (format!("{months}"), "MONTH"),
            (Self::Days(micros), _) => (format!("{}", micros / DAY_MICROS), "DAY"),
            (Self::Micros(micros), IntervalField::Hour) => (format!("{:02}", micros / HOUR_MICROS), "HOUR"),
            (Self::Micros(micros), IntervalField::Minute) => {
                (format!("{:02}", micros / MINUTE_MICROS), "MINUTE")
            }
            (Self::Micros(micros), IntervalField::Second) if micros % SECOND_MICROS == 0 => {
                (format!("{:02}", micros / SECOND_MICROS), "SECOND")
            }
            _ => return None,
        };
        Some(format!("INTERVAL '{number}' {unit}"))
    }
}

/// Plans an interval.
///
/// # Errors
/// `INVALID_INTERVAL_FORMAT` for a text that is none.
pub(super) fn plan_interval(carried: &Expr, text: &Expr) -> Result<Expr> {
    Ok(match IntervalLiteral::from_carried(carried_text(carried)?) {
        IntervalLiteral::Months(months) => lit(ScalarValue::IntervalYearMonth(Some(months))),
        IntervalLiteral::Days(micros) => temporal_arithmetic::day_time_literal(micros, true),
        IntervalLiteral::Micros(micros) => temporal_arithmetic::day_time_literal(micros, false),
        IntervalLiteral::Calendar(parts) => {
            let nanos = parts.micros.checked_mul(1000).ok_or_else(|| no_interval(text))?;
            let value = arrow::datatypes::IntervalMonthDayNano::new(parts.months, parts.days, nanos);
            lit(ScalarValue::IntervalMonthDayNano(Some(value)))
        }
        IntervalLiteral::Invalid => return Err(no_interval(text)),
    })
}

/// Returns the offset of an interval of at most 18 hours, in whole seconds: `-08:00`.
pub(super) fn offset(parsed: &ast::Expr) -> Option<String> {
    let ast::Expr::Interval(interval) = parsed else {
        return None;
    };
    let micros = match IntervalLiteral::of(interval) {
        IntervalLiteral::Micros(micros) | IntervalLiteral::Days(micros) => micros,
        _ => return None,
    };
    let (sign, seconds) = (if micros < 0 { '-' } else { '+' }, micros.abs() / SECOND_MICROS);
    if micros % SECOND_MICROS != 0 || seconds > 18 * 3600 {
        return None;
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(match seconds {
        0 => format!("{sign}{hours:02}:{minutes:02}"),
        seconds => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    })
}

fn no_interval(text: &Expr) -> DataFusionError {
    let text = carried_text(text).unwrap_or_default();
    condition(
        "INVALID_INTERVAL_FORMAT.UNMATCHED_FORMAT_STRING",
        "22006",
        format!("`{text}` is no interval"),
    )
}

fn value_text(value: &ast::Expr) -> Option<String> {
    match value {
        ast::Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text) | Value::DoubleQuotedString(text),
            ..
        }) => Some(text.clone()),
        ast::Expr::Value(ValueWithSpan {
            value: Value::Number(text, _),
            ..
        }) => Some(literal::split(text).0.to_owned()),
        ast::Expr::UnaryOp { op, expr } => match op {
            ast::UnaryOperator::Minus => Some(match value_text(expr)?.strip_prefix('-') {
                Some(positive) => positive.to_owned(),
                None => format!("-{}", value_text(expr)?),
            }),
            ast::UnaryOperator::Plus => value_text(expr),
            _ => None,
        },
        other => rewrite::number_of(other).map(|number| literal::split(number).0.to_owned()),
    }
}

fn field(field: &DateTimeField) -> Option<IntervalField> {
    IntervalField::parse(field.to_string().trim_end_matches(['s', 'S']))
}
