//! UNION, whose inputs give their columns by place: all columns of a place become of one type.
//!
//! DataFusion's own rule comes after it, and finds nothing left to do. INTERSECT and EXCEPT are joins by then, and
//! compare.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Union};
use datafusion::optimizer::AnalyzerRule;

use super::AnsiMode;
use super::coercion::{Coercion, converted_to};

/// Gives the inputs of unions the least common types of their columns.
#[derive(Debug)]
pub(crate) struct UnionTypes;

impl AnalyzerRule for UnionTypes {
    fn name(&self) -> &str {
        "spark_union_types"
    }

    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
        let rule = Coercion::of_results(AnsiMode::of(options));
        let unified = plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Union(union) => unified(union, rule),
            // Columns above a union take the types that it has now.
            other => Ok(Transformed::yes(other.recompute_schema()?)),
        });
        Ok(unified?.data)
    }
}

fn unified(union: Union, rule: Coercion) -> Result<Transformed<LogicalPlan>> {
    let columns = union.schema.fields().len();
    let wanted: Option<Vec<DataType>> = (0..columns)
        .map(|column| {
            let types = union
                .inputs
                .iter()
                .map(|input| input.schema().fields().get(column));
            let types: Option<Vec<&DataType>> = types.map(|field| Some(field?.data_type())).collect();
            rule.common_type_of(types?)
        })
        .collect();
    let Some(wanted) = wanted else {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    };
    let inputs = union.inputs.into_iter().map(|input| of_types(input, &wanted));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(
        Union::try_new_with_loose_types(inputs)?,
    )))
}

fn of_types(input: Arc<LogicalPlan>, wanted: &[DataType]) -> Result<Arc<LogicalPlan>> {
    let fields = input.schema().iter();
    let columns: Vec<Expr> = fields
        .zip(wanted)
        .map(|((relation, field), wanted)| {
            let column = Expr::from((relation, field));
            let converted = converted_to(column.clone(), field.data_type(), wanted);
            match converted == column {
                true => column,
                false => converted.alias_qualified(relation.cloned(), field.name()),
            }
        })
        .collect();
    if columns.iter().all(|column| matches!(column, Expr::Column(_))) {
        return Ok(input);
    }
    Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(
        columns, input,
    )?)))
}
