//! The type that values of two types are both made: of branches, list items, arguments and sides of a comparison.
//!
//! DataFusion would make a decimal of a double, which neither infinity nor NaN survives, and a text of a number.
//! Source: Spark, `AnsiTypeCoercion`; Databricks, "SQL data type rules", "Least common type resolution". Without ANSI
//! mode, what meets a text becomes one, and a text that is compared becomes what it is compared with: Spark,
//! `TypeCoercion`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};

use super::AnsiMode;
use super::arithmetic::adjusted;
use super::temporal_arithmetic::moment;

/// The rule by which two types have a common one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coercion {
    Ansi,
    /// Of values of which one is the result, or an item of a list, without ANSI mode.
    Merged,
    /// Of values that are compared, without ANSI mode.
    Compared,
}

impl Coercion {
    /// The rule for values of which one is the result, and for the items of a list.
    pub fn of_results(mode: AnsiMode) -> Self {
        match mode {
            AnsiMode::On => Self::Ansi,
            AnsiMode::Off => Self::Merged,
        }
    }

    /// The rule for the sides of a comparison.
    pub fn of_sides(mode: AnsiMode) -> Self {
        match mode {
            AnsiMode::On => Self::Ansi,
            AnsiMode::Off => Self::Compared,
        }
    }

    /// Returns the least common type of two; `None` where there is none.
    pub fn common_type(self, left: &DataType, right: &DataType) -> Option<DataType> {
        common(left, right, self)
    }

    /// Returns the least common type of some; `None` where there is none, or of nothing.
    pub fn common_type_of<'a>(self, types: impl IntoIterator<Item = &'a DataType>) -> Option<DataType> {
        let mut types: Vec<DataType> = types.into_iter().map(plain).collect();
        if self == Self::Merged {
            // Two types may have no common one but text.
            types.sort_by_key(|data_type| *data_type != DataType::Utf8);
        }
        types
            .into_iter()
            .map(Some)
            .reduce(|common, data_type| self.common_type(&common?, &data_type?))
            .flatten()
    }

    /// Returns the least common type of a text and of another type.
    fn with_text(self, other: &DataType) -> Option<DataType> {
        use DataType::{Binary, Boolean, Date32, Decimal128, Float64, Int64, Timestamp, Utf8};
        Some(match (self, other) {
            (Self::Merged, Date32 | Timestamp(..)) => Utf8,
            (Self::Merged, other) if is_number(other) => Utf8,
            (Self::Merged, _) => return None,
            (Self::Compared, Decimal128(..)) => Float64,
            (Self::Compared, other) if is_number(other) => other.clone(),
            (_, other) if is_integral(other) => Int64,
            (_, other) if is_number(other) => Float64,
            (_, Boolean | Date32 | Timestamp(..) | Binary) => other.clone(),
            _ => return None,
        })
    }
}

/// Returns the least common type of two in ANSI mode; `None` where there is none.
pub(crate) fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    Coercion::Ansi.common_type(left, right)
}

fn common(left: &DataType, right: &DataType, rule: Coercion) -> Option<DataType> {
    use DataType::{Date32, Decimal128, Float32, Float64, List, Map, Null, Struct, Timestamp, Utf8};
    if left == right {
        return Some(left.clone());
    }
    let (left, right) = (plain(left), plain(right));
    Some(match (&left, &right) {
        (left, right) if left == right => left.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (Utf8, other) | (other, Utf8) => rule.with_text(other)?,
        (Decimal128(p1, s1), Decimal128(p2, s2)) => wider_decimal((*p1, *s1), (*p2, *s2)),
        (Decimal128(p, s), other) | (other, Decimal128(p, s)) if is_integral(other) => {
            wider_decimal((*p, *s), (digits(other), 0))
        }
        (Decimal128(..), other) | (other, Decimal128(..)) if other.is_floating() => Float64,
        (Float32, Float32) => Float32,
        (Float32, other) | (other, Float32) if rule != Coercion::Ansi && is_integral(other) => Float32,
        (left, right) if is_number(left) && is_number(right) => {
            match left.is_floating() || right.is_floating() {
                true => Float64,
                false if left.primitive_width() >= right.primitive_width() => left.clone(),
                false => right.clone(),
            }
        }
        (Date32, instant @ Timestamp(..)) | (instant @ Timestamp(..), Date32) => instant.clone(),
        (Timestamp(..), Timestamp(..)) => Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        (List(left), List(right)) => {
            let element = common(left.data_type(), right.data_type(), rule)?;
            List(Arc::new(Field::new(
                "element",
                element,
                left.is_nullable() || right.is_nullable(),
            )))
        }
        (Map(left, sorted), Map(right, _)) => {
            let entries = common_fields(left.data_type(), right.data_type(), rule)?;
            Map(
                Arc::new(left.as_ref().clone().with_data_type(Struct(entries))),
                *sorted,
            )
        }
        (Struct(_), Struct(_)) => Struct(common_fields(&left, &right, rule)?),
        _ => return None,
    })
}

/// Returns the least common type of some in ANSI mode; `None` where there is none, or of nothing.
pub(crate) fn common_type_of<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Option<DataType> {
    Coercion::Ansi.common_type_of(types)
}

/// Converts expressions to their least common type; where there is none they stay for DataFusion to judge.
pub(super) fn unified(expressions: Vec<Expr>, rule: Coercion, schema: &DFSchema) -> Result<Vec<Expr>> {
    let types: Vec<DataType> = expressions
        .iter()
        .map(|expression| expression.get_type(schema))
        .collect::<Result<_>>()?;
    let Some(common) = rule.common_type_of(&types) else {
        return Ok(expressions);
    };
    let converted = expressions.into_iter().zip(&types);
    Ok(converted
        .map(|(expression, from)| converted_to(expression, from, &common))
        .collect())
}

/// Converts an expression where that changes something.
pub(super) fn converted_to(expression: Expr, from: &DataType, to: &DataType) -> Expr {
    match from == to || plain(from) == *to {
        true => expression,
        false => match moment(expression, from, to) {
            Ok(converted) => converted,
            Err(expression) => cast(expression, to.clone()),
        },
    }
}

/// Returns the type as Spark knows it: one of text, one of bytes.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, values) => plain(values),
        DataType::Date64 => DataType::Date32,
        other => other.clone(),
    }
}

fn common_fields(left: &DataType, right: &DataType, rule: Coercion) -> Option<Fields> {
    let (DataType::Struct(left), DataType::Struct(right)) = (left, right) else {
        return None;
    };
    if left.len() != right.len() {
        return None;
    }
    let fields = left.iter().zip(right).map(|(left, right)| {
        let data_type = common(left.data_type(), right.data_type(), rule)?;
        let nullable = left.is_nullable() || right.is_nullable();
        Some(
            left.as_ref()
                .clone()
                .with_data_type(data_type)
                .with_nullable(nullable),
        )
    });
    fields.collect::<Option<Vec<_>>>().map(Fields::from)
}

/// Keeps the digits before the point and those after it, as far as 38 digits go.
fn wider_decimal((p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> DataType {
    let [p1, s1, p2, s2] = [i16::from(p1), i16::from(s1), i16::from(p2), i16::from(s2)];
    let scale = s1.max(s2);
    let (precision, scale) = adjusted((p1 - s1).max(p2 - s2) + scale, scale);
    DataType::Decimal128(precision, scale)
}

/// Returns how many digits a whole number of a type has at most.
pub(super) fn digits(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Int8 => 3,
        DataType::Int16 => 5,
        DataType::Int32 => 10,
        _ => 20,
    }
}

pub(super) fn is_integral(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64
    )
}

fn is_number(data_type: &DataType) -> bool {
    is_integral(data_type)
        || matches!(
            data_type,
            DataType::Float32 | DataType::Float64 | DataType::Decimal128(..)
        )
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::types::parse_type;
    use crate::write::type_text;

    #[test_case("int", "bigint", Some("bigint"))]
    #[test_case("int", "float", Some("double"))]
    #[test_case("float", "float", Some("float"))]
    #[test_case("decimal(10,2)", "double", Some("double"))]
    #[test_case("decimal(10,2)", "int", Some("decimal(12,2)"))]
    #[test_case("decimal(10,2)", "decimal(4,4)", Some("decimal(12,4)"))]
    #[test_case("decimal(38,0)", "decimal(38,38)", Some("decimal(38,6)"))]
    #[test_case("string", "int", Some("bigint"))]
    #[test_case("string", "date", Some("date"))]
    #[test_case("date", "timestamp", Some("timestamp"))]
    #[test_case("array<int>", "array<double>", Some("array<double>"))]
    #[test_case("struct<a:int>", "struct<b:bigint>", Some("struct<a:bigint>"))]
    #[test_case("int", "date", None)]
    #[test_case("boolean", "int", None)]
    fn two_types_have_a_least_common_one(left: &str, right: &str, expected: Option<&str>) {
        let [left, right] = [left, right].map(|text| parse_type(text).expect("a type"));
        let common = |left, right| common_type(left, right).map(|common| type_text(&common));
        assert_eq!(common(&left, &right).as_deref(), expected);
        if !left.is_nested() {
            assert_eq!(common(&right, &left).as_deref(), expected);
        }
    }

    #[test_case(&["string", "int"], Some("string"), Some("int"))]
    #[test_case(&["tinyint", "string"], Some("string"), Some("tinyint"))]
    #[test_case(&["decimal(10,2)", "string"], Some("string"), Some("double"))]
    #[test_case(&["date", "string"], Some("string"), Some("date"))]
    #[test_case(&["int", "date", "string"], Some("string"), None; "by way of text")]
    #[test_case(&["boolean", "string"], None, Some("boolean"))]
    #[test_case(&["binary", "string"], None, Some("binary"))]
    #[test_case(&["bigint", "float"], Some("float"), Some("float"))]
    #[test_case(&["array<int>", "array<string>"], Some("array<string>"), Some("array<int>"))]
    fn without_ansi_mode_a_text_is_what_it_meets(
        types: &[&str],
        merged: Option<&str>,
        compared: Option<&str>,
    ) {
        let types: Vec<DataType> = types
            .iter()
            .map(|text| parse_type(text).expect("a type"))
            .collect();
        for (rule, expected) in [(Coercion::Merged, merged), (Coercion::Compared, compared)] {
            let common = rule.common_type_of(&types).map(|common| type_text(&common));
            assert_eq!(common.as_deref(), expected, "{rule:?}");
        }
    }
}
