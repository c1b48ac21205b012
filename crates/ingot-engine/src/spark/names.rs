//! What Spark calls a column that the query gives no name.
//!
//! People select by these names: `count(1)`, `(a + b)`, `CAST(x AS INT)`. Source: Spark, `toPrettySQL`.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, CeilFloorKind, DuplicateTreatment, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Subscript, TrimWhereField,
    UnaryOperator, Value, WindowSpec, WindowType,
};

use super::typed_literal::IntervalLiteral;
use super::{call_names, literal};

/// Returns the name of a column; `None` when it is one of a table's, which keeps its own.
pub(super) fn of_column(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => None,
        Expr::Nested(inner) => of_column(inner),
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last() {
            Some(AccessExpr::Dot(Expr::Identifier(field))) => Some(field.value.clone()),
            _ => Some(pretty(expr)),
        },
        Expr::Function(function) if makes_columns(function) => None,
        Expr::Function(function) if name(&function.name) == "window" => Some("window".to_owned()),
        expr => Some(pretty(expr)),
    }
}

/// Says if a function gives columns with names of their own.
fn makes_columns(function: &Function) -> bool {
    const GENERATORS: [&str; 11] = [
        "explode",
        "explode_outer",
        "posexplode",
        "posexplode_outer",
        "inline",
        "inline_outer",
        "stack",
        "json_tuple",
        "unnest",
        "variant_explode",
        "variant_explode_outer",
    ];
    let name = name(&function.name);
    GENERATORS.contains(&name.as_str())
}

/// Writes an expression as Spark shows it.
pub(crate) fn pretty(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(Ident { value, .. }) => value.clone(),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [.., relation, column] if parts.len() == 2 => format!("{}.{}", relation.value, column.value),
            parts => parts.last().map(|part| part.value.clone()).unwrap_or_default(),
        }
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .to_owned(),
        Expr::Nested(inner) => pretty(inner),
        Expr::Value(value) => literal_text(&value.value),
        Expr::TypedString(typed) => match typed.value.clone().into_string() {
            Some(text) => format!("{} '{text}'", typed.data_type),
            None => typed.to_string(),
        },
        Expr::BinaryOp { left, op, right } => binary(left, op, right),
        Expr::UnaryOp { op, expr } => match (op, expr.as_ref()) {
            (UnaryOperator::Minus, Expr::Value(value)) => format!("-{}", literal_text(&value.value)),
            (UnaryOperator::Minus, inner) => format!("(- {})", pretty(inner)),
            (UnaryOperator::Plus, inner) => format!("(+ {})", pretty(inner)),
            (UnaryOperator::Not | UnaryOperator::BangNot, inner) => format!("(NOT {})", pretty(inner)),
            (UnaryOperator::BitwiseNot, inner) => format!("~{}", pretty(inner)),
            (op, inner) => format!("({op} {})", pretty(inner)),
        },
        Expr::IsNull(inner) => format!("({} IS NULL)", pretty(inner)),
        Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", pretty(inner)),
        Expr::IsTrue(inner) => format!("({} IS TRUE)", pretty(inner)),
        Expr::IsNotTrue(inner) => format!("(NOT ({} IS TRUE))", pretty(inner)),
        Expr::IsFalse(inner) => format!("({} IS FALSE)", pretty(inner)),
        Expr::IsNotFalse(inner) => format!("(NOT ({} IS FALSE))", pretty(inner)),
        Expr::IsDistinctFrom(left, right) => format!("(NOT ({} <=> {}))", pretty(left), pretty(right)),
        Expr::IsNotDistinctFrom(left, right) => format!("({} <=> {})", pretty(left), pretty(right)),
        Expr::InList { expr, list, negated } => {
            not(*negated, format!("({} IN ({}))", pretty(expr), joined(list)))
        }
        Expr::InSubquery { expr, negated, .. } => {
            not(*negated, format!("({} IN (listquery()))", pretty(expr)))
        }
        Expr::Exists { negated, .. } => not(*negated, "exists()".to_owned()),
        Expr::Subquery(_) => "scalarsubquery()".to_owned(),
        Expr::Between {
            expr,
            low,
            high,
            negated,
        } => not(
            *negated,
            format!("between({}, {}, {})", pretty(expr), pretty(low), pretty(high)),
        ),
        Expr::Like {
            expr,
            pattern,
            negated,
            ..
        } => not(*negated, format!("{} LIKE {}", pretty(expr), pretty(pattern))),
        Expr::ILike {
            expr,
            pattern,
            negated,
            ..
        } => not(*negated, format!("ilike({}, {})", pretty(expr), pretty(pattern))),
        Expr::RLike {
            expr,
            pattern,
            negated,
            ..
        } => not(*negated, format!("RLIKE({}, {})", pretty(expr), pretty(pattern))),
        Expr::Cast {
            kind,
            expr,
            data_type,
            ..
        } => {
            let word = match kind {
                CastKind::TryCast | CastKind::SafeCast => "TRY_CAST",
                CastKind::Cast | CastKind::DoubleColon => "CAST",
            };
            format!(
                "{word}({} AS {})",
                pretty(expr),
                data_type.to_string().to_uppercase()
            )
        }
        Expr::Extract { field, expr, .. } => format!("extract({field} FROM {})", pretty(expr)),
        Expr::Ceil { expr, field } => format!("CEIL({})", scaled(expr, field)),
        Expr::Floor { expr, field } => format!("FLOOR({})", scaled(expr, field)),
        Expr::Position { expr, r#in } => format!("position({}, {}, 1)", pretty(expr), pretty(r#in)),
        Expr::Substring {
            expr,
            substring_from,
            substring_for,
            shorthand,
            ..
        } => {
            let name = if *shorthand { "substr" } else { "substring" };
            let from = substring_from.as_deref().map_or("1".to_owned(), pretty);
            let length = substring_for.as_deref().map_or("2147483647".to_owned(), pretty);
            format!("{name}({}, {from}, {length})", pretty(expr))
        }
        Expr::Trim {
            trim_where,
            trim_what,
            expr,
            ..
        } => {
            let place = match trim_where {
                Some(TrimWhereField::Leading) => "LEADING",
                Some(TrimWhereField::Trailing) => "TRAILING",
                Some(TrimWhereField::Both) | None => "BOTH",
            };
            match trim_what {
                Some(what) => format!("TRIM({place} {} FROM {})", pretty(what), pretty(expr)),
                None => format!("trim({})", pretty(expr)),
            }
        }
        Expr::Overlay {
            expr,
            overlay_what,
            overlay_from,
            overlay_for,
        } => format!(
            "overlay({}, {}, {}, {})",
            pretty(expr),
            pretty(overlay_what),
            pretty(overlay_from),
            overlay_for.as_deref().map_or("-1".to_owned(), pretty)
        ),
        Expr::Case {
            operand,
            conditions,
            else_result,
            ..
        } => {
            let mut text = "CASE".to_owned();
            for when in conditions {
                let condition = match operand {
                    Some(operand) => format!("({} = {})", pretty(operand), pretty(&when.condition)),
                    None => pretty(&when.condition),
                };
                text += &format!(" WHEN {condition} THEN {}", pretty(&when.result));
            }
            if let Some(otherwise) = else_result {
                text += &format!(" ELSE {}", pretty(otherwise));
            }
            text + " END"
        }
        Expr::Function(function) => call(function),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let mut text = pretty(root);
            for access in access_chain {
                match access {
                    AccessExpr::Dot(field) => text += &format!(".{}", pretty(field)),
                    AccessExpr::Subscript(Subscript::Index { index }) => {
                        text += &format!("[{}]", pretty(index))
                    }
                    AccessExpr::Subscript(slice) => text += &slice.to_string(),
                }
            }
            text
        }
        Expr::Struct { values, .. } => format!("struct({})", joined(values)),
        Expr::Named { expr, name } => format!("{} AS {}", pretty(expr), name.value),
        Expr::Lambda(lambda) => format!("lambdafunction({})", pretty(&lambda.body)),
        Expr::Interval(interval) => {
            let shown = IntervalLiteral::shown(interval);
            shown.unwrap_or_else(|| interval.to_string())
        }
        other => other.to_string(),
    }
}

fn not(negated: bool, text: String) -> String {
    match negated {
        true => format!("(NOT {text})"),
        false => text,
    }
}

fn scaled(expr: &Expr, field: &CeilFloorKind) -> String {
    match field {
        CeilFloorKind::Scale(scale) => format!("{}, {}", pretty(expr), literal_text(&scale.value)),
        CeilFloorKind::DateTimeField(_) => pretty(expr),
    }
}

fn literal_text(value: &Value) -> String {
    match value {
        Value::Number(text, _) => literal::split(text).0.to_owned(),
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
        Value::HexStringLiteral(digits) => format!("X'{}'", digits.to_uppercase()),
        Value::Boolean(value) => value.to_string(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}

fn binary(left: &Expr, op: &BinaryOperator, right: &Expr) -> String {
    let (left, right) = (pretty(left), pretty(right));
    match op {
        BinaryOperator::NotEq => format!("(NOT ({left} = {right}))"),
        BinaryOperator::StringConcat => format!("concat({left}, {right})"),
        BinaryOperator::Spaceship => format!("({left} <=> {right})"),
        BinaryOperator::PGBitwiseShiftLeft => format!("({left} << {right})"),
        BinaryOperator::PGBitwiseShiftRight => format!("({left} >> {right})"),
        BinaryOperator::MyIntegerDivide => format!("({left} div {right})"),
        op => format!("({left} {op} {right})"),
    }
}

fn call(function: &Function) -> String {
    let name = name(&function.name);
    let mut text = match (&function.args, name.as_str()) {
        (FunctionArguments::List(list), name) => {
            let distinct = matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct));
            let arguments: Vec<String> = list
                .args
                .iter()
                .map(|argument| argument_text(name, argument))
                .collect();
            match distinct {
                true => format!("{name}(DISTINCT {})", arguments.join(", ")),
                false => call_names::shown(name, &arguments),
            }
        }
        (_, name) => call_names::shown(name, &[]),
    };
    if let Some(filter) = &function.filter {
        text += &format!(" FILTER (WHERE {})", pretty(filter));
    }
    match &function.over {
        Some(WindowType::WindowSpec(window)) => text += &format!(" OVER ({})", window_text(window, &name)),
        Some(WindowType::NamedWindow(window)) => text += &format!(" OVER {}", window.value),
        None => {}
    }
    text
}

fn argument_text(function: &str, argument: &FunctionArg) -> String {
    let value = |argument: &FunctionArgExpr| match argument {
        FunctionArgExpr::Expr(expr) => pretty(expr),
        FunctionArgExpr::Wildcard if function == "count" => "1".to_owned(),
        other => other.to_string(),
    };
    match argument {
        FunctionArg::Unnamed(argument) => value(argument),
        FunctionArg::Named { name, arg, .. } => format!("{} => {}", name.value, value(arg)),
        FunctionArg::ExprNamed { name, arg, .. } => format!("{} => {}", pretty(name), value(arg)),
    }
}

fn window_text(window: &WindowSpec, function: &str) -> String {
    /// Functions that are about the place of a row, whatever the frame.
    const BY_ROW: [&str; 8] = [
        "row_number",
        "rank",
        "dense_rank",
        "percent_rank",
        "cume_dist",
        "ntile",
        "lag",
        "lead",
    ];
    let mut parts = Vec::new();
    if !window.partition_by.is_empty() {
        parts.push(format!("PARTITION BY {}", joined(&window.partition_by)));
    }
    if !window.order_by.is_empty() {
        let keys = window.order_by.iter().map(|key| {
            let ascending = key.options.asc.unwrap_or(true);
            let nulls_first = key.options.nulls_first.unwrap_or(ascending);
            format!(
                "{} {} NULLS {}",
                pretty(&key.expr),
                if ascending { "ASC" } else { "DESC" },
                if nulls_first { "FIRST" } else { "LAST" }
            )
        });
        parts.push(format!("ORDER BY {}", keys.collect::<Vec<_>>().join(", ")));
    }
    let frame = match (&window.window_frame, function) {
        (Some(frame), _) => {
            let end = frame
                .end_bound
                .as_ref()
                .map_or("CURRENT ROW".to_owned(), ToString::to_string);
            format!("{} BETWEEN {} AND {end}", frame.units, frame.start_bound)
        }
        (None, "lag") => "ROWS BETWEEN -1 FOLLOWING AND -1 FOLLOWING".to_owned(),
        (None, "lead") => "ROWS BETWEEN 1 FOLLOWING AND 1 FOLLOWING".to_owned(),
        (None, name) if BY_ROW.contains(&name) => {
            "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned()
        }
        (None, _) if window.order_by.is_empty() => {
            "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING".to_owned()
        }
        (None, _) => "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned(),
    };
    parts.push(frame);
    parts.join(" ")
}

fn name(name: &ObjectName) -> String {
    let parts = name.0.iter().map(|part| match part {
        ObjectNamePart::Identifier(ident) => ident.value.to_lowercase(),
        other => other.to_string().to_lowercase(),
    });
    parts.collect::<Vec<_>>().join(".")
}

fn joined(expressions: &[Expr]) -> String {
    expressions.iter().map(pretty).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::dialect;

    #[test_case("a + b", "(a + b)")]
    #[test_case("t.a * (1 - b)", "(a * (1 - b))")]
    #[test_case("COUNT(*)", "count(1)")]
    #[test_case("SQRT(4)", "SQRT(4)")]
    #[test_case("ceil(-0.1)", "CEIL(-0.1)")]
    #[test_case("int(x)", "x")]
    #[test_case("mod(10, 3)", "(10 % 3)")]
    #[test_case("locate('bar', x)", "locate(bar, x, 1)")]
    #[test_case("split(x, ',')", "split(x, ,, -1)")]
    #[test_case("overlay(x PLACING '_' FROM 6)", "overlay(x, _, 6, -1)")]
    #[test_case("trim(x)", "trim(x)")]
    #[test_case("x RLIKE 'a'", "RLIKE(x, a)")]
    #[test_case("sum(DISTINCT x)", "sum(DISTINCT x)")]
    #[test_case("cast(x as int)", "CAST(x AS INT)")]
    #[test_case("1L", "1")]
    #[test_case("-1.5D", "-1.5")]
    #[test_case("'it''s'", "it's")]
    #[test_case("a != 1 AND NOT b", "((NOT (a = 1)) AND (NOT b))")]
    #[test_case("a IN (1, 2)", "(a IN (1, 2))")]
    #[test_case("CASE WHEN a THEN 1 ELSE 2 END", "CASE WHEN a THEN 1 ELSE 2 END")]
    #[test_case("NULL", "NULL")]
    #[test_case(
        "row_number() over (partition by k order by v desc)",
        "row_number() OVER (PARTITION BY k ORDER BY v DESC NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    )]
    fn columns_without_a_name_are_called_as_in_spark(sql: &str, expected: &str) {
        let parsed = dialect::expression(sql).expect("an expression");
        assert_eq!(of_column(&parsed).as_deref(), Some(expected));
    }
}
