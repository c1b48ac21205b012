//! What a query asks, and of what.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::builder::LogicalTableSource;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, Volatility};
use ingot_common::SchemaName;
use url::Url;

use crate::provider::with_delta;
use crate::session::{FILE_CACHE, STATEMENT_TIMEOUT, USE_CACHED_RESULT};
use crate::spark::temporal;
use crate::statement::is_harmless;
use crate::{Session, metric_view};

/// Settings that change how statements run, and no result.
const OF_NO_RESULT: [&str; 3] = [FILE_CACHE, STATEMENT_TIMEOUT, USE_CACHED_RESULT];

/// What is asked: the same question, in the same states of its tables, has the same answer.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// As it was analysed, before it is optimised: that takes time, and depends on the tables' states. Its scans read
    /// nothing.
    plan: LogicalPlan,
    /// Of the scans, in their order: names are of namespaces, which can change.
    tables: Vec<Url>,
    principal: String,
    namespace: SchemaName,
    settings: BTreeMap<String, String>,
}

/// What a table is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TableState {
    /// A table that is dropped and made again has another.
    id: String,
    version: i64,
    timestamp_ms: i64,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Question {
    pub(super) key: Key,
    pub(super) states: Vec<TableState>,
    /// How often the time was asked for before the query ran.
    pub(super) times_asked: u64,
    /// What the plan takes, about.
    pub(super) bytes: usize,
}

impl Question {
    /// Returns what `plan` asks; `None` when the answer may be another next time though no table changed:
    /// - it calls a function that is not a pure one of its arguments (`rand`, `uuid`, `now`, `current_user`);
    /// - it computes a measure of a metric view from columns of its source;
    /// - it reads something else than the newest versions of Delta tables: files, metadata, relations of the session.
    ///
    /// Also `None` for what reads no table, which is quick without.
    pub fn of(session: &Session, plan: &LogicalPlan) -> Option<Self> {
        let mut bytes = 0;
        let (tables, states) = states(plan, &mut bytes)?;
        if tables.is_empty() {
            return None;
        }
        let mut settings = session.settings().clone();
        settings.retain(|key, _| {
            !is_harmless(key) && !OF_NO_RESULT.iter().any(|other| other.eq_ignore_ascii_case(key))
        });
        let key = Key {
            plan: without_sources(plan.clone()).ok()?,
            tables,
            principal: session.context().principal.as_str().to_owned(),
            namespace: session.namespace(),
            settings,
        };
        let times_asked = temporal::times_asked();
        Some(Self {
            key,
            states,
            times_asked,
            bytes,
        })
    }
}

/// Returns the versions of the tables that a plan reads, by the tables' ids; `None` when its rows may be others another
/// time though no table changed, as [`Question::of`] says.
pub(crate) fn inputs(plan: &LogicalPlan) -> Option<BTreeMap<String, i64>> {
    let (_, states) = states(plan, &mut 0)?;
    Some(
        states
            .into_iter()
            .map(|state| (state.id, state.version))
            .collect(),
    )
}

/// Returns the tables that a plan reads, in the order of its scans, and what they are. Adds what the plan takes to
/// `bytes`.
fn states(plan: &LogicalPlan, bytes: &mut usize) -> Option<(Vec<Url>, Vec<TableState>)> {
    let (mut tables, mut states) = (Vec::new(), Vec::new());
    let mut repeatable = true;
    let seen = plan.apply_with_subqueries(|node| {
        *bytes += size_of::<LogicalPlan>();
        repeatable &= is_repeatable(node, bytes)?;
        if let LogicalPlan::TableScan(scan) = node {
            match state(scan) {
                Some((location, state)) => {
                    tables.push(location);
                    states.push(state);
                }
                None => repeatable = false,
            }
        }
        Ok(match repeatable {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    });
    seen.ok()?;
    repeatable.then_some((tables, states))
}

/// Returns where a scan reads, and what is there.
fn state(scan: &TableScan) -> Option<(Url, TableState)> {
    let read = with_delta(scan, |table| {
        let snapshot = table.newest()?;
        let state = TableState {
            id: snapshot.metadata().id.clone(),
            version: snapshot.version(),
            timestamp_ms: snapshot.timestamp_ms(),
        };
        Some((table.table().location().clone(), state))
    });
    read.flatten()
}

/// Says if a node gives the same rows for the same rows. Adds what its expressions take to `bytes`.
fn is_repeatable(node: &LogicalPlan, bytes: &mut usize) -> Result<bool> {
    if matches!(
        node,
        LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_)
    ) {
        return Ok(false);
    }
    let mut repeatable = true;
    node.apply_expressions(|expr| {
        expr.apply(|expr| {
            repeatable &= is_pure(expr);
            *bytes += size_of::<Expr>();
            if let Expr::Literal(value, _) = expr {
                *bytes += value.size();
            }
            Ok(match repeatable {
                true => TreeNodeRecursion::Continue,
                false => TreeNodeRecursion::Stop,
            })
        })
    })?;
    Ok(repeatable)
}

fn is_pure(expr: &Expr) -> bool {
    let volatility = match expr {
        Expr::ScalarFunction(call) => call.func.signature().volatility,
        Expr::AggregateFunction(call) => call.func.signature().volatility,
        Expr::WindowFunction(call) => call.fun.signature().volatility,
        Expr::HigherOrderFunction(call) => call.func.signature().volatility,
        // Each query calls it otherwise: nobody would ask the same again.
        Expr::Column(column) if metric_view::is_input(&column.name) => Volatility::Volatile,
        _ => Volatility::Immutable,
    };
    volatility == Volatility::Immutable
}

/// Takes from the scans what they read: a key would keep it alive.
fn without_sources(plan: LogicalPlan) -> Result<LogicalPlan> {
    let changed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(mut scan) => {
            scan.source = Arc::new(LogicalTableSource::new(scan.source.schema()));
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::no(other)),
    });
    Ok(changed?.data)
}
