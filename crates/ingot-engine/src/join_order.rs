//! The order of joins, by what the log knows of the tables: DataFusion joins in the order in which a query names them.
//!
//! ```text
//! joins ─► tree (relations, classes of equal columns, filters) ─► fewer groups ─► search ─► the same rows, joined anew
//!          `tree`, `estimate`                                     `reduce`       `search`
//! ```
//! A tree is of inner joins, and of semi and anti joins upon them, which are moved like filters. All else is a relation
//! of it, with trees of its own. An order is changed only where it is estimated to be clearly cheaper, so that a plan
//! stays as it was written where little is known; nothing is changed where the rows of a relation are not known.
//!
//! Source of the method: Selinger et al., "Access Path Selection" (1979); Moerkotte and Neumann, "Analysis of Two
//! Existing and One New Dynamic Programming Algorithm" (2006); Fegaras, "A New Heuristic for Optimizing Large Queries"
//! (1998).

mod estimate;
mod reduce;
mod search;
mod tree;

use datafusion::common::config::ConfigExtension;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, extensions_options};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use self::tree::Tree;

/// What share of the cost of the order that is there another may have to take its place.
const WORTH: f64 = 0.8;

extensions_options! {
    /// What sessions may say of the rule.
    pub(crate) struct JoinOrderOptions {
        /// Joins are ordered by their estimated cost, rather than as a query names them.
        pub enabled: bool, default = true
    }
}

impl ConfigExtension for JoinOrderOptions {
    const PREFIX: &'static str = "ingot_join_order";
}

/// The optimiser's rule.
#[derive(Debug, Default)]
pub(crate) struct JoinOrder;

impl OptimizerRule for JoinOrder {
    fn name(&self) -> &str {
        "join_order"
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let options = config.options();
        let own = options.extensions.get::<JoinOrderOptions>();
        // Whoever has the sides of joins stay where they are means their order too.
        match options.optimizer.join_reordering && own.is_none_or(|own| own.enabled) {
            true => below(plan),
            false => Ok(Transformed::no(plan)),
        }
    }
}

/// Orders the joins of a plan and of all that it holds.
fn below(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    crate::stack::with_room(|| {
        let Some(mut tree) = Tree::of(&plan) else {
            let rewritten = plan
                .map_uncorrelated_subqueries(below)?
                .transform_sibling(|plan| plan.map_children(below))?;
            return match rewritten.transformed {
                true => rewritten.map_data(LogicalPlan::recompute_schema),
                false => Ok(rewritten),
            };
        };
        let reduced = tree.reduce()?;
        let shape = match (ordered(&tree), reduced) {
            (Some(shape), _) => shape,
            (None, true) => tree.shape.clone(),
            (None, false) => return Tree::map_relations(plan, &below),
        };
        Ok(Transformed::yes(
            tree.joined(&shape, |relation| below(relation).data())?,
        ))
    })
}

/// Returns the order to take instead of the one that is there; `None` to leave it.
fn ordered(tree: &Tree) -> Option<search::Shape> {
    let graph = tree.graph()?;
    let (found, cost) = graph.best()?;
    (cost < WORTH * graph.cost(&tree.shape)?).then_some(found)
}
