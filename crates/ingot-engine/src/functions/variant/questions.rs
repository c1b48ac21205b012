//! `is_variant_null(v)` and `schema_of_variant(v)`.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use parquet_variant::Variant;

use super::{is_variant, variant_at, variant_type};
use crate::functions::arguments::{count, over_arrays, unexpected};
use crate::functions::collection::{immutable, sized};
use crate::functions::function::Returns;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            "is_variant_null",
            |types| one("is_variant_null", types),
            Returns::Always(DataType::Boolean),
            is_null,
        ),
        immutable(
            "schema_of_variant",
            |types| one("schema_of_variant", types),
            Returns::Always(DataType::Utf8),
            schema_of,
        ),
    ]
}

/// Takes one VARIANT, or NULL.
///
/// # Errors
/// `WRONG_NUM_ARGS`, `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE`.
pub(super) fn one(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 1, 1)?;
    match &types[0] {
        variant if is_variant(variant) => Ok(vec![variant.clone()]),
        DataType::Null => Ok(vec![variant_type()]),
        other => Err(unexpected(function, 1, "a VARIANT", other)),
    }
}

/// A null of SQL is not a null in a variant.
fn is_null(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [variants] = sized(arrays)?;
        let variants = variants.as_struct();
        let nulls: BooleanArray = (0..variants.len())
            .map(|row| Ok(Some(matches!(variant_at(variants, row)?, Some(Variant::Null)))))
            .collect::<Result<_>>()?;
        Ok(Arc::new(nulls))
    })
}

fn schema_of(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [variants] = sized(arrays)?;
        let variants = variants.as_struct();
        let schemas: StringArray = (0..variants.len())
            .map(|row| Ok(variant_at(variants, row)?.map(|variant| Kind::of(&variant).sql())))
            .collect::<Result<_>>()?;
        Ok(Arc::new(schemas))
    })
}

/// The type of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Void,
    Scalar(&'static str),
    Decimal(u8, u8),
    Array(Box<Kind>),
    Object(Vec<(String, Kind)>),
    /// Of several types.
    Variant,
}

impl Kind {
    /// All names of [`Kind::Scalar`].
    pub const SCALARS: [&'static str; 11] = [
        "BIGINT",
        "BINARY",
        "BOOLEAN",
        "DATE",
        "DOUBLE",
        "FLOAT",
        "STRING",
        "TIME(6)",
        "TIMESTAMP",
        "TIMESTAMP_NTZ",
        "UUID",
    ];

    pub fn of(variant: &Variant<'_, '_>) -> Self {
        let digits = |value: u128| u8::try_from(value.checked_ilog10().unwrap_or(0) + 1).unwrap_or(38);
        let decimal = |value: u128, scale: u8| Self::Decimal(digits(value).max(scale), scale);
        match variant {
            Variant::Null => Self::Void,
            Variant::BooleanTrue | Variant::BooleanFalse => Self::Scalar("BOOLEAN"),
            Variant::Int8(_) | Variant::Int16(_) | Variant::Int32(_) | Variant::Int64(_) => {
                Self::Scalar("BIGINT")
            }
            Variant::Float(_) => Self::Scalar("FLOAT"),
            Variant::Double(_) => Self::Scalar("DOUBLE"),
            Variant::Decimal4(value) => decimal(value.integer().unsigned_abs().into(), value.scale()),
            Variant::Decimal8(value) => decimal(value.integer().unsigned_abs().into(), value.scale()),
            Variant::Decimal16(value) => decimal(value.integer().unsigned_abs(), value.scale()),
            Variant::String(_) | Variant::ShortString(_) => Self::Scalar("STRING"),
            Variant::Binary(_) => Self::Scalar("BINARY"),
            Variant::Date(_) => Self::Scalar("DATE"),
            Variant::TimestampMicros(_) | Variant::TimestampNanos(_) => Self::Scalar("TIMESTAMP"),
            Variant::TimestampNtzMicros(_) | Variant::TimestampNtzNanos(_) => Self::Scalar("TIMESTAMP_NTZ"),
            Variant::Time(_) => Self::Scalar("TIME(6)"),
            Variant::Uuid(_) => Self::Scalar("UUID"),
            Variant::List(list) => {
                let items = list.iter().map(|item| Self::of(&item));
                Self::Array(Box::new(items.fold(Self::Void, Self::merged)))
            }
            Variant::Object(object) => {
                let fields = object
                    .iter()
                    .map(|(name, value)| (name.to_owned(), Self::of(&value)));
                Self::Object(fields.collect())
            }
        }
    }

    /// Returns the narrowest kind that has the values of both.
    pub fn merged(self, other: Self) -> Self {
        match (self, other) {
            (left, right) if left == right => left,
            (Self::Void, other) | (other, Self::Void) => other,
            (Self::Decimal(p1, s1), Self::Decimal(p2, s2)) => {
                let scale = s1.max(s2);
                let precision = (p1 - s1).max(p2 - s2) + scale;
                if precision > 38 {
                    Self::Scalar("DOUBLE")
                } else {
                    Self::Decimal(precision, scale)
                }
            }
            (Self::Decimal(p, s), Self::Scalar("BIGINT")) | (Self::Scalar("BIGINT"), Self::Decimal(p, s)) => {
                Self::Decimal(p, s).merged(Self::Decimal(19, 0))
            }
            (Self::Decimal(..) | Self::Scalar("BIGINT" | "FLOAT"), Self::Scalar("DOUBLE" | "FLOAT"))
            | (Self::Scalar("DOUBLE" | "FLOAT"), Self::Decimal(..) | Self::Scalar("BIGINT" | "FLOAT")) => {
                Self::Scalar("DOUBLE")
            }
            (Self::Array(left), Self::Array(right)) => Self::Array(Box::new(left.merged(*right))),
            (Self::Object(mut left), Self::Object(right)) => {
                for (name, kind) in right {
                    match left.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => *known = known.clone().merged(kind),
                        None => left.push((name, kind)),
                    }
                }
                left.sort_by(|a, b| a.0.cmp(&b.0));
                Self::Object(left)
            }
            _ => Self::Variant,
        }
    }

    /// Returns its text in SQL.
    pub fn sql(&self) -> String {
        match self {
            Self::Void => "VOID".to_owned(),
            Self::Scalar(name) => (*name).to_owned(),
            Self::Decimal(precision, scale) => format!("DECIMAL({precision},{scale})"),
            Self::Array(item) => format!("ARRAY<{}>", item.sql()),
            Self::Object(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, kind)| {
                        format!(
                            "{}: {}",
                            crate::functions::record::inference::quoted(name),
                            kind.sql()
                        )
                    })
                    .collect();
                format!("OBJECT<{}>", fields.join(", "))
            }
            Self::Variant => "VARIANT".to_owned(),
        }
    }
}
