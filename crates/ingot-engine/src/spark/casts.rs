//! Casts that Spark does otherwise than DataFusion: those that can fail, that write text, and that cross a zone.
//!
//! They are found after all types are settled, so that what DataFusion converts on its own, as arguments of functions,
//! is converted as Spark converts it too. Casts that lose nothing stay DataFusion's, whose optimiser moves them off
//! columns. What becomes of values that do not fit, an ANSI mode says. Source: Spark, `Cast`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, TryCast, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::AnsiMode;
use super::temporal::Zone;
use crate::cast::{CastFailure, CastMode};
use crate::error::condition;
use crate::functions::variant::{cast as variant, is_variant};
use crate::write::{element, type_text};

/// Puts Spark's casts in the place of DataFusion's.
#[derive(Debug)]
pub(crate) struct SparkCasts;

impl AnalyzerRule for SparkCasts {
    fn name(&self) -> &str {
        "spark_casts"
    }

    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
        let session = SessionCasts::of(options);
        let replaced = plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            // A constant is called otherwise than the cast that it comes of.
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expression| {
                let name = names.save(&expression);
                let replaced = session.replaced(expression, &schema)?;
                Ok(replaced.update_data(|expression| name.restore(expression)))
            })
        });
        Ok(replaced?.data)
    }
}

/// Puts Spark's casts in the place of DataFusion's in an expression over columns.
pub(super) fn in_expression(expression: Expr, columns: &DFSchema, options: &ConfigOptions) -> Result<Expr> {
    Ok(SessionCasts::of(options).replaced(expression, columns)?.data)
}

/// Returns the session's time zone.
pub(crate) fn zone_of(options: &ConfigOptions) -> Zone {
    let name = options.execution.time_zone.as_deref();
    name.and_then(Zone::parse).unwrap_or(Zone::UTC)
}

/// How a session casts.
struct SessionCasts {
    zone: Zone,
    mode: CastMode,
}

impl SessionCasts {
    fn of(options: &ConfigOptions) -> Self {
        Self {
            zone: zone_of(options),
            mode: CastMode::of(AnsiMode::of(options)),
        }
    }

    fn replaced(&self, expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        expression.transform_up(|part| match part {
            Expr::Cast(cast) => self.cast(*cast.expr, cast.field, self.mode, schema),
            Expr::TryCast(cast) => self.cast(*cast.expr, cast.field, CastMode::Try, schema),
            other => Ok(Transformed::no(other)),
        })
    }

    fn cast(
        &self,
        value: Expr,
        to: FieldRef,
        mode: CastMode,
        schema: &DFSchema,
    ) -> Result<Transformed<Expr>> {
        let from = value.get_type(schema)?;
        let to_type = to.data_type();
        if from == *to_type || lossless(&from, to_type) {
            return Ok(Transformed::no(match mode {
                CastMode::Try => Expr::TryCast(TryCast::new_from_field(Box::new(value), to)),
                CastMode::Ansi | CastMode::Java => Expr::Cast(Cast::new_from_field(Box::new(value), to)),
            }));
        }
        if !possible(&from, to_type, mode) {
            return Err(condition(
                "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
                "42K09",
                format!(
                    "cannot cast {} to {}",
                    type_text(&from).to_uppercase(),
                    type_text(to_type).to_uppercase()
                ),
            ));
        }
        if let Expr::Literal(literal, _) = &value {
            // One that fails does so when it is computed, if it is.
            let constant = literal.to_array()?;
            if let Ok(cast) = mode.cast(&constant, to_type, &self.zone) {
                return Ok(Transformed::yes(Expr::Literal(
                    ScalarValue::try_from_array(&cast, 0)?,
                    None,
                )));
            }
        }
        let function = ScalarUDF::from(SparkCast::new(to_type.clone(), mode));
        let call = ScalarFunction::new_udf(Arc::new(function), vec![value]);
        Ok(Transformed::yes(Expr::ScalarFunction(call)))
    }
}

/// Says if every value of a type is one of another, and DataFusion makes it that one.
fn lossless(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    let text = |side: &DataType| matches!(side, Utf8 | LargeUtf8 | Utf8View);
    let bytes = |side: &DataType| matches!(side, Binary | LargeBinary | BinaryView);
    let whole = |side: &DataType| matches!(side, Int8 | Int16 | Int32 | Int64);
    match (from, to) {
        (Null, _) => true,
        (from, to) if text(from) => text(to) || bytes(to),
        (from, to) if bytes(from) => bytes(to),
        (from, to) if whole(from) && whole(to) => from.primitive_width() <= to.primitive_width(),
        (from, Float32 | Float64) => from.is_numeric() && (*from != Float64 || *to == Float64),
        (from, Decimal128(precision, scale)) if whole(from) => {
            i16::from(*precision) - i16::from(*scale) >= i16::from(super::coercion::digits(from))
        }
        (Decimal128(p1, s1), Decimal128(p2, s2)) => {
            s2 >= s1 && i16::from(*p2) - i16::from(*s2) >= i16::from(*p1) - i16::from(*s1)
        }
        (Dictionary(_, values), to) => values.as_ref() == to,
        // Types of engines beneath, which users cannot name.
        (UInt8 | UInt16 | UInt32 | UInt64, _) | (_, UInt8 | UInt16 | UInt32 | UInt64) => true,
        (Timestamp(_, from_zone), Timestamp(_, to_zone)) => from_zone.is_some() == to_zone.is_some(),
        (Interval(_) | Duration(_) | Time32(_) | Time64(_), _)
        | (_, Interval(_) | Duration(_) | Time32(_) | Time64(_)) => {
            !matches!(to, Utf8) && !from.is_numeric() && !to.is_numeric()
        }
        _ => false,
    }
}

fn possible(from: &DataType, to: &DataType, mode: CastMode) -> bool {
    use DataType::*;
    match (from, to) {
        (Null, _) | (_, Utf8 | LargeUtf8 | Utf8View) => true,
        (from, to) if is_variant(from) => variant::castable_to(to),
        (from, to) if is_variant(to) => variant::castable_from(from),
        // Which unit the number would count in, the type does not say.
        (Interval(_) | Duration(_), number) | (number, Interval(_) | Duration(_)) if number.is_numeric() => {
            false
        }
        (Struct(from), Struct(to)) => {
            let mut fields = from.iter().zip(to);
            from.len() == to.len()
                && fields.all(|(from, to)| possible(from.data_type(), to.data_type(), mode))
        }
        // A key is never null.
        (Map(from, _), Map(to, _)) => {
            possible(from.data_type(), to.data_type(), mode)
                && (mode == CastMode::Ansi || keeps_keys(from.data_type(), to.data_type()))
        }
        (from, List(to)) => {
            element(from).is_some_and(|from| possible(from.data_type(), to.data_type(), mode))
        }
        (Dictionary(_, values), to) => possible(values, to, mode),
        (from, to) => mode.castable(from, to) || lossless(from, to) || !(is_sparks(from) && is_sparks(to)),
    }
}

/// Says if every key of a map, of entries of one type, is a key of another.
fn keeps_keys(from: &DataType, to: &DataType) -> bool {
    let key = |entries: &DataType| match entries {
        DataType::Struct(fields) => fields.first().map(|key| key.data_type().clone()),
        _ => None,
    };
    match (key(from), key(to)) {
        (Some(from), Some(to)) => from == to || to == DataType::Utf8 || lossless(&from, &to),
        _ => false,
    }
}

/// Says if a type is one that users can name.
fn is_sparks(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Boolean
            | Int8
            | Int16
            | Int32
            | Int64
            | Float32
            | Float64
            | Decimal128(..)
            | Utf8
            | Utf8View
            | LargeUtf8
            | Binary
            | Date32
            | Timestamp(..)
            | List(_)
            | Map(..)
            | Struct(_)
    )
}

/// Casts values as CAST does in a mode.
///
/// # Errors
/// `CAST_INVALID_INPUT`, `CAST_OVERFLOW`.
pub(crate) fn cast_to(values: &ArrayRef, to: &DataType, options: &ConfigOptions) -> Result<ArrayRef> {
    let session = SessionCasts::of(options);
    cast(session.mode, values, to, &session.zone)
}

fn cast(mode: CastMode, values: &ArrayRef, to: &DataType, zone: &Zone) -> Result<ArrayRef> {
    let cast = mode.cast(values, to, zone);
    cast.map_err(|failure| failed(failure, values.data_type(), to))
}

/// Tells Spark's condition of a value that does not fit.
fn failed(failure: CastFailure, from: &DataType, to: &DataType) -> DataFusionError {
    let (from_text, to_text) = (type_text(from).to_uppercase(), type_text(to).to_uppercase());
    match failure {
        CastFailure::Malformed { value } => condition(
            "CAST_INVALID_INPUT",
            "22018",
            format!(
                "the value '{value}' of the type \"{from_text}\" cannot be cast to \"{to_text}\" because it is \
                 malformed; correct the value, or use `try_cast` to get NULL instead"
            ),
        ),
        CastFailure::Overflow { value } if to.is_decimal() => condition(
            "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
            "22003",
            format!("{value} cannot be represented as {to_text}; use `try_cast` to get NULL instead"),
        ),
        CastFailure::Overflow { value } => condition(
            "CAST_OVERFLOW",
            "22003",
            format!(
                "the value {value} of the type \"{from_text}\" cannot be cast to \"{to_text}\" due to an overflow; use \
                 `try_cast` to get NULL instead"
            ),
        ),
        CastFailure::Arrow(error) => error.into(),
        CastFailure::Variant(error) => error,
    }
}

/// `CAST` and `TRY_CAST` to a type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SparkCast {
    to: DataType,
    mode: CastMode,
    signature: Signature,
}

impl SparkCast {
    fn new(to: DataType, mode: CastMode) -> Self {
        Self {
            to,
            mode,
            signature: Signature::any(1, Volatility::Immutable),
        }
    }

    fn cast(&self, values: &ArrayRef, zone: &Zone) -> Result<ArrayRef> {
        cast(self.mode, values, &self.to, zone)
    }
}

impl ScalarUDFImpl for SparkCast {
    fn name(&self) -> &str {
        match self.mode {
            CastMode::Ansi | CastMode::Java => "cast",
            CastMode::Try => "try_cast",
        }
    }

    /// Casts of one value to several types are told apart, and from the value.
    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        let shown = arguments
            .iter()
            .map(|argument| argument.schema_name().to_string());
        let (shown, to) = (shown.collect::<String>(), type_text(&self.to));
        Ok(format!("{}({shown} AS {to})", self.name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Some(field) = arguments.arg_fields.first() else {
            return Err(DataFusionError::Internal("a cast without a value".to_owned()));
        };
        let nullable = field.is_nullable() || self.mode != CastMode::Ansi;
        let cast = field.as_ref().clone().with_data_type(self.to.clone());
        Ok(Arc::new(cast.with_nullable(nullable)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = zone_of(&arguments.config_options);
        match arguments.args.first() {
            Some(ColumnarValue::Array(values)) => Ok(ColumnarValue::Array(self.cast(values, &zone)?)),
            Some(ColumnarValue::Scalar(value)) => {
                let cast = self.cast(&value.to_array()?, &zone)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast, 0)?))
            }
            None => Err(DataFusionError::Internal("a cast without a value".to_owned())),
        }
    }
}
