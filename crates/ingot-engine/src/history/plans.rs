//! The plans of a statement, and what their operators count.
//!
//! An operator registers its metrics when it begins, so a plan is held until all of its operators have. Then what stands
//! for it is the metrics alone, which go on counting: a join holds its build side for as long as the plan is held, and
//! that memory belongs to others by then. Leaves stay as they are, because scans register metrics for each file.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use ingot_common::history::OperatorProfile;

use super::Trace;
use super::profile;

/// Plans of a statement that are told apart; of others the sums are kept.
const PLANS_MAX: usize = 16;

/// Operators above each other that are looked at.
const DEPTH_MAX: usize = 500;

/// Batches of rows after which nobody looks any more if operators have begun.
const LOOKS_MAX: usize = 4;

/// Tells the statement of each plan that is made. The last rule: it sees what runs.
#[derive(Debug)]
pub(crate) struct WatchPlans;

impl PhysicalOptimizerRule for WatchPlans {
    fn name(&self) -> &'static str {
        "watch_plans"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(trace) = Trace::current() {
            trace.planned(&plan);
        }
        Ok(plan)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Plans {
    kept: Vec<Kept>,
    /// Of plans that are not kept.
    others: Totals,
    looks: usize,
}

#[derive(Debug)]
enum Kept {
    /// Some operators may not have begun.
    Whole(Arc<dyn ExecutionPlan>),
    Settled(Operator),
}

/// An operator that has begun.
#[derive(Debug)]
struct Operator {
    name: String,
    details: String,
    counted: Counted,
    children: Vec<Operator>,
}

#[derive(Debug)]
enum Counted {
    Metrics(Option<MetricsSet>),
    Leaf(Arc<dyn ExecutionPlan>),
}

/// What all operators of a statement have read and taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub files: u64,
    pub files_pruned: u64,
    pub rows: u64,
    pub bytes: u64,
    pub cache_bytes: u64,
    pub spilled_bytes: u64,
    pub task_nanoseconds: u64,
}

impl Plans {
    /// Adds a plan that is about to run.
    pub fn add(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        self.settle_begun();
        self.looks = 0;
        if self.kept.len() >= PLANS_MAX {
            let oldest = self.kept.remove(0);
            oldest.count(&mut self.others);
        }
        self.kept.push(Kept::Whole(Arc::clone(plan)));
    }

    /// Lets go of the plans that have begun, now that there are rows of them.
    pub fn settle(&mut self) {
        if self.looks < LOOKS_MAX {
            self.looks += 1;
            self.settle_begun();
        }
    }

    fn settle_begun(&mut self) {
        for kept in &mut self.kept {
            if let Kept::Whole(plan) = kept
                && begun(plan, 0)
            {
                *kept = Kept::Settled(Operator::of(plan, 0));
            }
        }
    }

    /// Returns the sums over all plans.
    pub fn totals(&self) -> Totals {
        let mut totals = self.others;
        self.kept.iter().for_each(|kept| kept.count(&mut totals));
        totals
    }

    /// Returns the plans, with what their operators have counted so far.
    pub fn profiles(&self) -> Vec<OperatorProfile> {
        let profiles = self.kept.iter().map(|kept| match kept {
            Kept::Whole(plan) => Operator::of(plan, 0).profile(0),
            Kept::Settled(operator) => operator.profile(0),
        });
        profiles.collect()
    }
}

impl Kept {
    fn count(&self, totals: &mut Totals) {
        match self {
            Self::Whole(plan) => count_plan(plan, totals, 0),
            Self::Settled(operator) => operator.count(totals),
        }
    }
}

impl Operator {
    fn of(plan: &Arc<dyn ExecutionPlan>, depth: usize) -> Self {
        let children = plan.children();
        let counted = match children.is_empty() {
            true => Counted::Leaf(Arc::clone(plan)),
            false => Counted::Metrics(plan.metrics()),
        };
        let children = children.into_iter().filter(|_| depth < DEPTH_MAX);
        Self {
            name: plan.name().to_owned(),
            details: profile::details(plan.name(), &displayable(plan.as_ref()).one_line().to_string()),
            counted,
            children: children.map(|child| Self::of(child, depth + 1)).collect(),
        }
    }

    fn metrics(&self) -> BTreeMap<String, u64> {
        match &self.counted {
            Counted::Metrics(metrics) => numbers(metrics.as_ref()),
            Counted::Leaf(plan) => numbers(plan.metrics().as_ref()),
        }
    }

    fn count(&self, totals: &mut Totals) {
        totals.add(&self.metrics(), self.children.is_empty());
        self.children.iter().for_each(|child| child.count(totals));
    }

    fn profile(&self, depth: usize) -> OperatorProfile {
        let children = self.children.iter().filter(|_| depth < profile::DEPTH_MAX);
        OperatorProfile {
            name: self.name.clone(),
            details: self.details.clone(),
            metrics: self.metrics(),
            children: children.map(|child| child.profile(depth + 1)).collect(),
        }
    }
}

impl Totals {
    /// Adds what one operator has counted; scans are leaves that read bytes.
    fn add(&mut self, metrics: &BTreeMap<String, u64>, leaf: bool) {
        let of = |name: &str| metrics.get(name).copied().unwrap_or_default();
        if leaf && metrics.contains_key("bytes_scanned") {
            self.rows += of("output_rows");
            self.bytes += of("bytes_scanned");
            self.cache_bytes += of("bytes_from_cache");
        }
        self.files += of("files_read");
        self.files_pruned += of("files_pruned");
        self.spilled_bytes += of("spilled_bytes");
        self.task_nanoseconds += of("elapsed_compute") + of("time_elapsed_processing");
    }
}

fn count_plan(plan: &Arc<dyn ExecutionPlan>, totals: &mut Totals, depth: usize) {
    let children = plan.children();
    totals.add(&numbers(plan.metrics().as_ref()), children.is_empty());
    if depth < DEPTH_MAX {
        children
            .into_iter()
            .for_each(|child| count_plan(child, totals, depth + 1));
    }
}

/// Says if all operators that count have begun in some partition.
fn begun(plan: &Arc<dyn ExecutionPlan>, depth: usize) -> bool {
    let own = plan
        .metrics()
        .is_none_or(|metrics| metrics.iter().any(|metric| metric.partition().is_some()));
    own && (depth >= DEPTH_MAX || plan.children().into_iter().all(|child| begun(child, depth + 1)))
}

/// Sums metrics over partitions and files. Instants and ratios have no sums.
fn numbers(metrics: Option<&MetricsSet>) -> BTreeMap<String, u64> {
    let mut numbers = BTreeMap::new();
    let Some(metrics) = metrics else { return numbers };
    for metric in metrics.aggregate_by_name().iter() {
        let value = metric.value();
        let mut add = |name: String, number: usize| {
            *numbers.entry(name).or_default() += u64::try_from(number).unwrap_or(u64::MAX);
        };
        match value {
            MetricValue::Ratio { .. } => {}
            MetricValue::PruningMetrics {
                name,
                pruning_metrics,
            } => {
                add(format!("{name}_pruned"), pruning_metrics.pruned());
                add(format!("{name}_matched"), pruning_metrics.matched());
            }
            value if value.is_timestamp() => {}
            value => add(value.name().to_owned(), value.as_usize()),
        }
    }
    numbers
}
