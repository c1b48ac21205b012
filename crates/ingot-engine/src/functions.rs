//! Functions: DataFusion's, then Spark's over them, then ours.

#[allow(dead_code, reason = "each family of functions uses a part of it")]
pub(crate) mod arguments;
mod from_json;
#[allow(dead_code, reason = "each family of functions uses a part of it")]
mod function;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion::optimizer::Analyzer;
use datafusion_spark::SessionStateBuilderSpark;

use crate::spark::{SparkForms, UnionTypes};

/// Makes every function known to the sessions that `state` builds, and what operators mean in Spark. Later ones take
/// the place of earlier ones of the same name, so Spark's meaning wins.
pub(crate) fn register(state: SessionStateBuilder) -> SessionStateBuilder {
    let mut state = state.with_default_features().with_spark_features();
    let planners = state.expr_planners().get_or_insert_default();
    // The first that plans an expression wins.
    planners.insert(0, Arc::new(SparkForms));
    let mut rules = Analyzer::new().rules;
    rules.insert(0, Arc::new(UnionTypes));
    *state.analyzer() = Some(Analyzer::with_rules(rules));
    let functions = state.scalar_functions().get_or_insert_default();
    functions.push(Arc::new(ScalarUDF::from(from_json::FromJson::new())));
    state
}
