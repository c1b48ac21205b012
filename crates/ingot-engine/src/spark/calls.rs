//! Calls that mean something else: `int(x)` is a cast, `mod(x, y)` an operator, `TRIM(LEADING x FROM y)` a call.
//!
//! Source: Spark, `FunctionRegistry` and the `RuntimeReplaceable` expressions.

use datafusion::sql::sqlparser::ast::{
    CeilFloorKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, ObjectNamePart, TimezoneInfo, TrimWhereField, UnaryOperator, Value,
};

use super::aggregates;
use super::rewrite::{ARITHMETIC, CASE, COALESCE, DECODE, RANDOM, form, form_of};
use crate::ast::{self, call, take};
use crate::functions::random;

/// Replaces a call, before what is in it is looked at.
pub(super) fn replace(expr: &mut Expr) {
    let replaced = match &mut *expr {
        Expr::Function(function) => of_function(function),
        other => of_syntax(other),
    };
    if let Some(replaced) = replaced {
        *expr = replaced;
    }
}

/// Functions whose calls are replaced, besides those that are listed elsewhere.
const SPECIAL: [&str; 22] = [
    "coalesce",
    "nvl",
    "ifnull",
    "nvl2",
    "decode",
    "negative",
    "positive",
    "isnull",
    "isnotnull",
    "zeroifnull",
    "nullifzero",
    "mod",
    "pmod",
    "try_add",
    "try_subtract",
    "try_multiply",
    "try_divide",
    "try_mod",
    "equal_null",
    "count",
    "struct",
    "if",
];

/// What functions of these names cast to.
const CASTS: [(&str, DataType); 12] = [
    ("bigint", DataType::BigInt(None)),
    ("binary", DataType::Binary(None)),
    ("boolean", DataType::Boolean),
    ("date", DataType::Date),
    ("decimal", DataType::Decimal(ExactNumberInfo::None)),
    ("double", DataType::Double(ExactNumberInfo::None)),
    ("float", DataType::Float(ExactNumberInfo::None)),
    ("int", DataType::Int(None)),
    ("smallint", DataType::SmallInt(None)),
    ("string", DataType::String(None)),
    ("timestamp", DataType::Timestamp(None, TimezoneInfo::None)),
    ("tinyint", DataType::TinyInt(None)),
];

/// Returns the names of functions whose calls are replaced, in lower case.
pub(crate) fn special_calls() -> impl Iterator<Item = &'static str> {
    SPECIAL
        .into_iter()
        .chain(random::NAMES)
        .chain(CASTS.map(|(name, _)| name))
        .chain(aggregates::OTHER_NAMES.map(|(name, _)| name))
}

/// What has a syntax of its own becomes the call of a function.
fn of_syntax(expr: &mut Expr) -> Option<Expr> {
    Some(match expr {
        Expr::Trim {
            trim_where,
            trim_what,
            expr: text,
            trim_characters: None,
        } => {
            let name = match trim_where {
                Some(TrimWhereField::Leading) => "ltrim",
                Some(TrimWhereField::Trailing) => "rtrim",
                Some(TrimWhereField::Both) | None => "trim",
            };
            let what = trim_what.as_mut().map(|what| take(what));
            call(name, what.into_iter().chain([take(text)]))
        }
        Expr::Collate {
            expr: text,
            collation,
        } => {
            let name = collation.to_string().replace('`', "");
            call("collate", [take(text), ast::text(name)])
        }
        Expr::UnaryOp {
            op: UnaryOperator::BitwiseNot,
            expr: operand,
        } => call("bitwise_not", [take(operand)]),
        Expr::Position { expr: part, r#in } => call("locate", [take(part), take(r#in)]),
        Expr::Ceil { expr: number, field } => call("ceil", rounded(number, field)),
        Expr::Floor { expr: number, field } => call("floor", rounded(number, field)),
        Expr::Overlay {
            expr: text,
            overlay_what,
            overlay_from,
            overlay_for,
        } => {
            let taken = overlay_for.as_mut().map(|taken| take(taken));
            let first = [take(text), take(overlay_what), take(overlay_from)];
            call("overlay", first.into_iter().chain(taken))
        }
        Expr::Substring {
            expr: text,
            substring_from,
            substring_for,
            ..
        } => {
            let from = substring_from
                .as_mut()
                .map_or_else(|| number("1"), |from| take(from));
            let taken = substring_for.as_mut().map(|taken| take(taken));
            call("substring", [take(text), from].into_iter().chain(taken))
        }
        Expr::RLike {
            negated,
            expr: text,
            pattern,
            ..
        } => {
            let found = call("rlike", [take(text), take(pattern)]);
            match negated {
                true => not(found),
                false => found,
            }
        }
        _ => return None,
    })
}

fn rounded(operand: &mut Expr, field: &CeilFloorKind) -> Vec<Expr> {
    let mut arguments = vec![take(operand)];
    if let CeilFloorKind::Scale(digits) = field {
        arguments.push(Expr::Value(digits.clone()));
    }
    arguments
}

/// A function that stands for an expression.
fn of_function(function: &Function) -> Option<Expr> {
    let name = match function.name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => ident.value.to_lowercase(),
        _ => return None,
    };
    let arguments = plain_arguments(function)?;
    if random::NAMES.contains(&name.as_str()) {
        let arguments = arguments.into_iter().map(|argument| ("of", argument));
        let function = (RANDOM, ast::text(name));
        return Some(form(RANDOM, [function].into_iter().chain(arguments).collect()));
    }
    match arguments.as_slice() {
        [_, ..] if ["coalesce", "nvl", "ifnull"].contains(&name.as_str()) => {
            Some(form_of(COALESCE, arguments))
        }
        [operand] => of_one(&name, operand),
        [left, right] => of_two(&name, left, right),
        [tested, then, otherwise] if name == "nvl2" => {
            let tested = Expr::IsNotNull(Box::new(tested.clone()));
            Some(form_of(CASE, [tested, then.clone(), otherwise.clone()]))
        }
        [_, _, _] if name == "if" => Some(form_of(CASE, arguments)),
        [_, _, _, ..] if name == "decode" => Some(form_of(DECODE, arguments)),
        _ => None,
    }
}

fn of_one(name: &str, operand: &Expr) -> Option<Expr> {
    let boxed = || Box::new(operand.clone());
    Some(match name {
        "negative" => Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: boxed(),
        },
        "positive" => Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr: boxed(),
        },
        "isnull" => Expr::IsNull(boxed()),
        "isnotnull" => Expr::IsNotNull(boxed()),
        // Functions, which know the session's zone.
        "date" | "timestamp" => return None,
        "zeroifnull" => form_of(COALESCE, [operand.clone(), number("0")]),
        "nullifzero" => call("nullif", [operand.clone(), number("0")]),
        _ => ast::cast(operand.clone(), cast_type(name)?),
    })
}

fn of_two(name: &str, left: &Expr, right: &Expr) -> Option<Expr> {
    let (left, right) = (left.clone(), right.clone());
    Some(match name {
        "mod" | "pmod" | "try_add" | "try_subtract" | "try_multiply" | "try_divide" | "try_mod" => form(
            ARITHMETIC,
            vec![(ARITHMETIC, ast::text(name)), ("left", left), ("right", right)],
        ),
        "equal_null" => Expr::IsNotDistinctFrom(Box::new(left), Box::new(right)),
        _ => return None,
    })
}

/// Returns the type that a function of its name casts to.
pub(super) fn cast_type(function: &str) -> Option<DataType> {
    let mut casts = CASTS.into_iter();
    casts
        .find(|(name, _)| *name == function)
        .map(|(_, data_type)| data_type)
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(expr),
    }
}

fn number(digits: &str) -> Expr {
    Expr::value(Value::Number(digits.to_owned(), false))
}

/// Returns the arguments of a call that has nothing else.
fn plain_arguments(function: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let plain = function.over.is_none()
        && function.filter.is_none()
        && function.within_group.is_empty()
        && list.duplicate_treatment.is_none()
        && list.clauses.is_empty();
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args
        .iter()
        .map(argument)
        .collect::<Option<Vec<Expr>>>()
        .filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::dialect;

    #[test_case("TRIM(LEADING 'x' FROM y)", "ltrim('x', y)")]
    #[test_case("trim(y)", "trim(y)")]
    #[test_case("POSITION('b' IN c)", "locate('b', c)")]
    #[test_case("overlay(a placing b from 2)", "overlay(a, b, 2)")]
    #[test_case("a NOT RLIKE b", "NOT rlike(a, b)")]
    #[test_case("~a", "bitwise_not(a)")]
    #[test_case("int(x)", "CAST(x AS INT)")]
    #[test_case("string(x)", "CAST(x AS STRING)")]
    #[test_case("date(x)", "date(x)")]
    #[test_case("nvl2(a, b, c)", "{case: a IS NOT NULL, of: b, of: c}")]
    #[test_case("IF(a, b, c)", "{case: a, of: b, of: c}")]
    #[test_case("decode(a, b, c)", "{decode: a, of: b, of: c}")]
    #[test_case("decode(a, 'UTF-8')", "decode(a, 'UTF-8')")]
    #[test_case("nullifzero(a)", "nullif(a, 0)")]
    #[test_case("coalesce(a, b)", "{coalesce: a, of: b}")]
    #[test_case("sum(a)", "sum(a)")]
    fn calls_are_what_they_stand_for(sql: &str, expected: &str) {
        let mut parsed = dialect::expression(sql).expect("an expression");
        replace(&mut parsed);
        assert_eq!(parsed.to_string(), expected);
    }
}
