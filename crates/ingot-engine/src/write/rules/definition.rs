//! What the definition of a column and a constraint may be, checked before it is written down.
//!
//! Source: Delta Spark, `GeneratedColumn.validateGeneratedColumns`, `Constraints`; Spark, `ResolveDefaultColumns`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable};
use ingot_common::Kind;
use ingot_delta::column::{CURRENT_DEFAULT, GENERATION_EXPRESSION, Identity};

use super::expression::{Forbidden, forbidden, table_expression};
use crate::write::{assignable, type_text};
use crate::{Error, Result};

/// Checks the columns of a table that is made, or whose schema changes.
///
/// # Errors
/// `InvalidArgument` in Delta's conditions, naming the column.
pub(crate) fn check_columns(
    state: &SessionState,
    schema: &SchemaRef,
    partition_columns: &[String],
) -> Result<()> {
    let plain: Vec<FieldRef> = schema
        .fields()
        .iter()
        .filter(|field| !field.metadata().contains_key(GENERATION_EXPRESSION))
        .cloned()
        .collect();
    let plain = Arc::new(Schema::new(plain));
    for field in schema.fields() {
        check_nested_not_null(field, field.data_type())?;
        if let Some(text) = field.metadata().get(GENERATION_EXPRESSION) {
            check_generated(state, text, field, schema, &plain)?;
        }
        if let Some(text) = field.metadata().get(CURRENT_DEFAULT) {
            check_default(state, text, field)?;
        }
        if Identity::of(field)?.is_some() {
            check_identity(field, partition_columns)?;
        }
    }
    Ok(())
}

fn check_generated(
    state: &SessionState,
    text: &str,
    field: &Field,
    schema: &SchemaRef,
    plain: &SchemaRef,
) -> Result<()> {
    let expression = table_expression(state, text, schema)?;
    let foreign = |column: &&datafusion::common::Column| plain.field_with_name(&column.name).is_err();
    if expression.column_refs().iter().any(foreign) {
        return Err(refused(
            "DELTA_INVALID_GENERATED_COLUMN_REFERENCES",
            "42621",
            format!(
                "generated column `{}`: a generated column cannot use a non-existent column or another generated \
                 column",
                field.name()
            ),
        ));
    }
    match forbidden(&expression)? {
        Some(Forbidden::Aggregate) => {
            return Err(refused(
                "DELTA_AGGREGATE_IN_GENERATED_COLUMN",
                "42621",
                format!("found {text}. A generated column cannot use an aggregate expression"),
            ));
        }
        Some(Forbidden::NonDeterministic | Forbidden::Subquery) => {
            return Err(refused(
                "DELTA_NON_DETERMINISTIC_EXPRESSION_IN_GENERATED_COLUMN",
                "42621",
                format!("found {text}. A generated column cannot use a non deterministic expression"),
            ));
        }
        None => {}
    }
    let given = expression.get_type(&DFSchema::try_from(Arc::clone(schema))?)?;
    if !assignable(&given, field.data_type()) {
        return Err(refused(
            "DELTA_GENERATED_COLUMNS_EXPR_TYPE_MISMATCH",
            "42K09",
            format!(
                "the expression type of the generated column `{}` is {}, but the column type is {}",
                field.name(),
                type_text(&given).to_uppercase(),
                type_text(field.data_type()).to_uppercase()
            ),
        ));
    }
    state.create_physical_expr(expression, &DFSchema::try_from(Arc::clone(schema))?)?;
    Ok(())
}

/// Checks the default of a column.
///
/// # Errors
/// `InvalidArgument`, naming the column.
pub(crate) fn check_default(state: &SessionState, text: &str, field: &Field) -> Result<()> {
    let invalid = |condition: &'static str, why: &str| {
        refused(
            condition,
            "42623",
            format!(
                "column `{}` cannot have the default value {text}: {why}",
                field.name()
            ),
        )
    };
    let empty = Schema::empty();
    let expression = table_expression(state, text, &empty).map_err(|error| match error {
        Error::Condition { condition, .. } if condition.starts_with("UNRESOLVED") => invalid(
            "INVALID_DEFAULT_VALUE.UNRESOLVED_EXPRESSION",
            "it cannot be resolved",
        ),
        Error::Condition {
            kind: Kind::Unsupported,
            ..
        } => invalid(
            "INVALID_DEFAULT_VALUE.SUBQUERY_EXPRESSION",
            "a subquery cannot be a default",
        ),
        other => other,
    })?;
    if matches!(
        forbidden(&expression)?,
        Some(Forbidden::Aggregate | Forbidden::Subquery)
    ) {
        return Err(invalid(
            "INVALID_DEFAULT_VALUE.NOT_CONSTANT",
            "it is not a constant expression",
        ));
    }
    let given = expression.get_type(&DFSchema::empty())?;
    let literal = matches!(expression, Expr::Literal(..));
    // A text is taken for a date or an instant, as in Spark.
    let as_text = literal
        && given == DataType::Utf8
        && matches!(field.data_type(), DataType::Date32 | DataType::Timestamp(..));
    if !as_text && !assignable(&given, field.data_type()) {
        return Err(invalid(
            "INVALID_DEFAULT_VALUE.DATA_TYPE",
            &format!(
                "it is of type {}, and the column of type {}",
                type_text(&given).to_uppercase(),
                type_text(field.data_type()).to_uppercase()
            ),
        ));
    }
    Ok(())
}

fn check_identity(field: &Field, partition_columns: &[String]) -> Result<()> {
    if *field.data_type() != DataType::Int64 {
        return Err(refused(
            "DELTA_IDENTITY_COLUMNS_UNSUPPORTED_DATA_TYPE",
            "428H2",
            format!(
                "data type {} is not supported for IDENTITY column `{}`; it must be BIGINT",
                type_text(field.data_type()).to_uppercase(),
                field.name()
            ),
        ));
    }
    if partition_columns
        .iter()
        .any(|column| column.eq_ignore_ascii_case(field.name()))
    {
        return Err(refused(
            "DELTA_IDENTITY_COLUMNS_PARTITION_NOT_SUPPORTED",
            "42601",
            format!(
                "PARTITIONED BY IDENTITY column `{}` is not supported",
                field.name()
            ),
        ));
    }
    Ok(())
}

/// Compiles a CHECK constraint.
///
/// # Errors
/// `InvalidArgument` in Delta's conditions.
pub(crate) fn check_constraint(
    state: &SessionState,
    name: &str,
    text: &str,
    schema: &SchemaRef,
) -> Result<Expr> {
    let condition = table_expression(state, text, schema).map_err(|error| match error {
        Error::Condition {
            condition, message, ..
        } if condition.starts_with("UNRESOLVED_COLUMN") => refused(
            "DELTA_INVALID_CHECK_CONSTRAINT_REFERENCES",
            "42621",
            format!("CHECK constraint `{name}` cannot use a non-existent column: {message}"),
        ),
        other => other,
    })?;
    match forbidden(&condition)? {
        Some(Forbidden::Aggregate) => {
            return Err(refused(
                "DELTA_AGGREGATE_IN_CHECK_CONSTRAINT",
                "42621",
                format!("found {text} in a CHECK constraint. Aggregate expressions are not allowed there"),
            ));
        }
        Some(Forbidden::NonDeterministic | Forbidden::Subquery) => {
            return Err(refused(
                "DELTA_NON_DETERMINISTIC_EXPRESSION_IN_CHECK_CONSTRAINT",
                "42621",
                format!("found {text} in a CHECK constraint, which cannot use a nondeterministic expression"),
            ));
        }
        None => {}
    }
    let given = condition.get_type(&DFSchema::try_from(Arc::clone(schema))?)?;
    if given != DataType::Boolean {
        return Err(refused(
            "DELTA_NON_BOOLEAN_CHECK_CONSTRAINT",
            "42621",
            format!("CHECK constraint '{name}' ({text}) should be a boolean expression"),
        ));
    }
    Ok(condition)
}

/// Refuses NOT NULL inside of lists and maps, which nobody enforces.
fn check_nested_not_null(column: &Field, data_type: &DataType) -> Result<()> {
    let inside = |kind: &str, item: &DataType| -> Result<()> {
        match holds_not_null(item) {
            true => Err(refused(
                "DELTA_NESTED_NOT_NULL_CONSTRAINT",
                "0AKDC",
                format!(
                    "the {kind} type of the field `{}` contains a NOT NULL constraint. Delta does not support NOT NULL \
                     constraints nested within arrays or maps",
                    column.name()
                ),
            )),
            false => Ok(()),
        }
    };
    match data_type {
        DataType::Struct(fields) => fields
            .iter()
            .try_for_each(|field| check_nested_not_null(column, field.data_type())),
        DataType::List(item) => inside("array", item.data_type()),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => pair.iter().try_for_each(|part| inside("map", part.data_type())),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn holds_not_null(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => fields
            .iter()
            .any(|field| !field.is_nullable() || holds_not_null(field.data_type())),
        DataType::List(item) => holds_not_null(item.data_type()),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => pair.iter().any(|part| holds_not_null(part.data_type())),
            _ => false,
        },
        _ => false,
    }
}

pub(crate) fn refused(condition: &'static str, sqlstate: &'static str, message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition,
        sqlstate,
        message,
    }
}
