//! Functions: DataFusion's, then Spark's over them, then ours.

mod aggregate;
pub(crate) mod arguments;
pub(crate) mod array;
pub(crate) mod collection;
pub(crate) mod common_type;
pub(crate) mod csv;
pub(crate) mod datetime;
pub(crate) mod function;
pub(crate) mod generators;
mod hash;
pub(crate) mod json;
mod lambda;
pub(crate) mod map;
mod math;
mod misc;
pub(crate) mod record;
mod refused;
mod regex;
pub(crate) mod room;
mod rows;
mod sketch;
mod string;
pub(crate) mod r#struct;
mod url;
pub(crate) mod variant;
mod vector;
pub(crate) mod xml;

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder};
use datafusion::optimizer::Analyzer;
use datafusion_spark::SessionStateBuilderSpark;

pub(crate) use self::aggregate::{ORDERED_MODE, ORDERED_PERCENTILE_DISC};
pub(crate) use self::misc::{CurrentUser, member, random};
use crate::resolve::relations::SparkRelations;
use crate::spark::decorrelate::Decorrelate;
use crate::spark::{AnsiMode, PeerFrames, SparkCasts, SparkForms, UnionTypes};

/// Makes every function known to the sessions that `state` builds, and what operators mean in Spark. Later ones take
/// the place of earlier ones of the same name, so Spark's meaning wins.
pub(crate) fn register(state: SessionStateBuilder) -> SessionStateBuilder {
    let mut state = state.with_default_features().with_spark_features();
    let planners = state.expr_planners().get_or_insert_default();
    // The first that plans an expression wins.
    planners.insert(0, Arc::new(SparkForms(AnsiMode::On)));
    let mut rules = Analyzer::new().rules;
    rules.insert(0, Arc::new(UnionTypes));
    rules.insert(1, Arc::new(PeerFrames));
    rules.push(Arc::new(SparkCasts));
    rules.push(Arc::new(Decorrelate));
    *state.analyzer() = Some(Analyzer::with_rules(rules));
    state
        .relation_planners()
        .get_or_insert_default()
        .insert(0, Arc::new(SparkRelations));
    let aggregates = state.aggregate_functions().get_or_insert_default();
    aggregates.extend(aggregate::functions());
    aggregates.extend(aggregate::functions_of(AnsiMode::On));
    aggregates.extend(sketch::aggregates());
    keep_last(aggregates, &mut HashSet::new(), |function| {
        names(function.name(), function.aliases())
    });
    let functions = state.scalar_functions().get_or_insert_default();
    functions.extend(string::functions());
    functions.extend(regex::functions());
    functions.extend(math::functions());
    functions.extend(hash::functions());
    functions.extend(url::functions());
    functions.extend(misc::functions());
    functions.extend(array::functions());
    functions.extend(datetime::functions());
    functions.extend(csv::functions());
    functions.extend(json::functions());
    functions.extend(map::functions());
    functions.extend(sketch::functions());
    functions.extend(r#struct::functions());
    functions.extend(variant::functions());
    functions.extend(vector::functions());
    functions.extend(xml::functions());
    let higher_order = state.higher_order_functions().get_or_insert_default();
    higher_order.extend(lambda::functions());
    let mut taken = HashSet::new();
    keep_last(higher_order, &mut taken, |function| {
        names(function.name(), function.aliases())
    });
    if let Some(functions) = state.scalar_functions() {
        keep_last(functions, &mut taken, |function| {
            names(function.name(), function.aliases())
        });
    }
    state
}

/// Puts a session's state, which [`register`] has made, into an ANSI mode.
///
/// # Errors
/// None: what takes the place of functions has their names.
pub(crate) fn in_mode(state: SessionState, mode: AnsiMode) -> Result<SessionState> {
    let id = state.session_id().to_owned();
    let mut builder = SessionStateBuilder::new_from_existing(state).with_session_id(id);
    if let Some(forms) = builder.expr_planners().get_or_insert_default().first_mut() {
        *forms = Arc::new(SparkForms(mode));
    }
    let mut state = builder.build();
    state.config_mut().options_mut().execution.enable_ansi_mode = mode == AnsiMode::On;
    for function in aggregate::functions_of(mode) {
        state.register_udaf(function)?;
    }
    Ok(state)
}

fn names(name: &str, aliases: &[String]) -> Vec<String> {
    let names = aliases.iter().cloned();
    names.chain([name.to_owned()]).collect()
}

/// Removes the functions of which a later one has a name, and adds the names of the others to `taken`: the planner looks
/// among functions of values before it looks among those that take functions.
fn keep_last<F>(functions: &mut Vec<F>, taken: &mut HashSet<String>, names: impl Fn(&F) -> Vec<String>) {
    let mut kept: Vec<F> = Vec::with_capacity(functions.len());
    for function in std::mem::take(functions).into_iter().rev() {
        let names = names(&function);
        if !names.iter().any(|name| taken.contains(name)) {
            taken.extend(names);
            kept.push(function);
        }
    }
    kept.reverse();
    *functions = kept;
}
