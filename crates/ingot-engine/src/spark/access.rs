//! `a[0]`, `m['k']`, `s.f` and `structs.f`: items of arrays, values of maps, fields of structs.
//!
//! The names of fields are found in any case. Source: Spark, `ExtractValue`.

use arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::planner::RawFieldAccessExpr;
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, lit};

use crate::error::condition;
use crate::functions::array::item_of_collection;
use crate::functions::r#struct::field_of_items;
use crate::write::type_text;

/// Plans an access; `None` for a slice, which Spark has not.
///
/// # Errors
/// `FIELD_NOT_FOUND`, `INVALID_EXTRACT_BASE_FIELD_TYPE`.
pub(super) fn plan(access: &RawFieldAccessExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    let base = access.expr.clone();
    let data_type = base.get_type(schema)?;
    match &access.field_access {
        GetFieldAccess::NamedStructField { name } => match (&data_type, name.try_as_str().flatten()) {
            (DataType::Map(..), _) => Ok(Some(item(base, Expr::Literal(name.clone(), None)))),
            (_, Some(name)) => field(base, &data_type, name).map(Some),
            (_, None) => Ok(None),
        },
        GetFieldAccess::ListIndex { key } => match (&data_type, key.as_ref()) {
            (DataType::Struct(_), Expr::Literal(ScalarValue::Utf8(Some(name)), _)) => {
                field(base, &data_type, name).map(Some)
            }
            (DataType::Map(..) | DataType::Null, key) => Ok(Some(item(base, key.clone()))),
            (list, key) if crate::functions::collection::item_type(list).is_some() => {
                Ok(Some(item(base, key.clone())))
            }
            (other, _) => Err(no_base(other)),
        },
        GetFieldAccess::ListRange { .. } => Ok(None),
    }
}

/// Plans the field of what has fields: a struct, an array of structs, a map.
///
/// # Errors
/// As [`plan`].
pub(super) fn field(base: Expr, data_type: &DataType, name: &str) -> Result<Expr> {
    match data_type {
        DataType::Struct(fields) => Ok(get_field(base, found(fields, name)?)),
        DataType::Map(..) => Ok(item(base, lit(name))),
        DataType::List(element) => match element.data_type() {
            DataType::Struct(fields) => {
                let name = found(fields, name)?;
                Ok(field_of_items().call(vec![base, lit(name)]))
            }
            _ => Err(no_base(data_type)),
        },
        other => Err(no_base(other)),
    }
}

/// Plans `column.field.field`.
///
/// # Errors
/// As [`plan`].
pub(super) fn column(column: &Field, relation: Option<&TableReference>, fields: &[String]) -> Result<Expr> {
    let schema = match relation {
        Some(relation) => {
            DFSchema::try_from_qualified_schema(relation.clone(), &Schema::new(vec![column.clone()]))?
        }
        None => DFSchema::try_from(Schema::new(vec![column.clone()]))?,
    };
    let base = Expr::Column(Column::from((relation, column)));
    fields.iter().try_fold(base, |base, name| {
        let data_type = base.get_type(&schema)?;
        field(base, &data_type, name)
    })
}

fn item(base: Expr, key: Expr) -> Expr {
    item_of_collection().call(vec![base, key])
}

/// Returns a field's name as it is written in the struct.
fn found<'a>(fields: &'a Fields, name: &str) -> Result<&'a str> {
    let mut found = fields
        .iter()
        .filter(|field| field.name().eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some(field), None) => Ok(field.name()),
        (Some(_), Some(_)) => match fields.find(name) {
            Some((_, exact)) => Ok(exact.name()),
            None => Err(condition(
                "AMBIGUOUS_REFERENCE_TO_FIELDS",
                "42000",
                format!("the struct has the field `{name}` more than once"),
            )),
        },
        (None, _) => {
            let names: Vec<String> = fields.iter().map(|field| format!("`{}`", field.name())).collect();
            Err(condition(
                "FIELD_NOT_FOUND",
                "42704",
                format!("there is no field `{name}` in {}", names.join(", ")),
            ))
        }
    }
}

fn no_base(data_type: &DataType) -> DataFusionError {
    condition(
        "INVALID_EXTRACT_BASE_FIELD_TYPE",
        "42000",
        format!(
            "only of a STRUCT, an ARRAY or a MAP can a part be taken, and this is {}",
            type_text(data_type).to_uppercase()
        ),
    )
}
