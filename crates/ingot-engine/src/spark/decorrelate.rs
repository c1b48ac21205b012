//! Correlated subqueries as joins, where DataFusion's rules do not make them joins.
//!
//! ```text
//! I: rows of the outer query        D: the distinct values of I's columns that the subquery names
//! S: the subquery                   S': S for each row of D ([`push`])
//!        value (SELECT …)  ─► I ⟕ S' ON I.c <=> S'.c          EXISTS, IN ─► I ⟕ what S' has of each c
//!        LATERAL (SELECT …) ─► I ⋈ S' ON I.c <=> S'.c
//! ```
//! What DataFusion's rules do well is left to them: they read I once. Inner subqueries come first, so that a plan that
//! is pushed into has none. Source: Neumann and Kemper, "Unnesting Arbitrary Queries".

mod domain;
mod push;
mod simple;
mod single_value;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, NullEquality, TableReference};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{bool_or, count};
use datafusion::logical_expr::Operator;
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Subquery, binary_expr, lit, when,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

use self::domain::Domain;
pub(crate) use self::domain::is_repeatable;
use self::push::Push;

/// What the rule is called.
pub(crate) const NAME: &str = "decorrelate";

/// Makes joins of correlated subqueries.
#[derive(Debug)]
pub(crate) struct Decorrelate;

impl AnalyzerRule for Decorrelate {
    fn name(&self) -> &str {
        NAME
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let mut numbers = Numbers(0);
        let joined = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Join(join) => lateral(join, &mut numbers),
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Sort(_) => expressions(node, &mut numbers),
            other => Ok(Transformed::no(other)),
        });
        Ok(joined?.data)
    }
}

/// Numbers that tell relations of one plan apart.
struct Numbers(usize);

impl Numbers {
    fn relation(&mut self, what: &str) -> TableReference {
        self.0 += 1;
        TableReference::bare(format!("__ingot_{what}_{}", self.0))
    }
}

/// Says if an expression has a subquery.
pub(super) fn has_subquery(value: &Expr) -> bool {
    value
        .exists(|part| Ok(subquery_of(part).is_some()))
        .unwrap_or(true)
}

fn subquery_of(part: &Expr) -> Option<&Subquery> {
    match part {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(within) => Some(&within.subquery),
        Expr::SetComparison(comparison) => Some(&comparison.subquery),
        _ => None,
    }
}

/// The columns of the outer query that a plan names, each once.
fn outer_columns(plan: &LogicalPlan) -> Vec<Column> {
    let mut columns = Vec::new();
    for expression in plan.all_out_ref_exprs() {
        if let Expr::OuterReferenceColumn(_, column) = expression
            && !columns.contains(&column)
        {
            columns.push(column);
        }
    }
    columns
}

/// Joins the subqueries of a node's expressions to its input.
fn expressions(node: LogicalPlan, numbers: &mut Numbers) -> Result<Transformed<LogicalPlan>> {
    let place = match node {
        LogicalPlan::Filter(_) => Place::Filter,
        LogicalPlan::Projection(_) => Place::Projection,
        _ => Place::Other,
    };
    let wanted = node.expressions().iter().any(|expression| {
        expression
            .exists(|part| Ok(is_ours(part, place)))
            .unwrap_or(false)
    });
    let inputs = node.inputs();
    let outer = match inputs.as_slice() {
        [input] if wanted => LogicalPlan::clone(input),
        _ => return Ok(Transformed::no(node)),
    };
    let mut joined = outer.clone();
    let names = NamePreserver::new(&node);
    let before = Arc::clone(node.schema());
    let mut changed = Vec::new();
    for expression in node.expressions() {
        let name = names.save(&expression);
        let replaced = expression.transform_up(|part| {
            if !is_ours(&part, place) {
                return Ok(Transformed::no(part));
            }
            match joined_value(&part, &outer, joined.clone(), numbers)? {
                Some((plan, value)) => {
                    joined = plan;
                    Ok(Transformed::yes(value))
                }
                None => Ok(Transformed::no(part)),
            }
        })?;
        changed.push(name.restore(replaced.data));
    }
    let again = node.with_new_exprs(changed, vec![joined])?;
    let again = restored(
        again,
        before
            .iter()
            .map(|(relation, field)| Column::new(relation.cloned(), field.name())),
    )?;
    Ok(Transformed::yes(again))
}

/// Gives the first columns of a plan their names, and leaves out the others.
fn restored(plan: LogicalPlan, names: impl Iterator<Item = Column>) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    let names: Vec<Column> = names.collect();
    if columns == names {
        return Ok(plan);
    }
    let by_name = names.iter().all(|name| columns.contains(name));
    let items = names
        .into_iter()
        .zip(columns)
        .map(|(name, at_place)| match by_name {
            true => Expr::Column(name),
            false => Expr::Column(at_place).alias_qualified(name.relation, name.name),
        });
    LogicalPlanBuilder::from(plan)
        .project(items.collect::<Vec<_>>())?
        .build()
}

/// Where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Filter,
    Projection,
    Other,
}

/// Says if an expression is a subquery that is joined here.
fn is_ours(part: &Expr, place: Place) -> bool {
    match part {
        Expr::ScalarSubquery(subquery) => {
            let theirs = match subquery.outer_ref_columns.is_empty() {
                true => simple::has_aggregate(&subquery.subquery) || is_checked(&subquery.subquery),
                false => place != Place::Other && simple::is_value(&subquery.subquery),
            };
            !theirs
        }
        Expr::Exists(Exists { subquery, .. }) | Expr::InSubquery(InSubquery { subquery, .. }) => {
            place != Place::Filter
                || (!subquery.outer_ref_columns.is_empty() && !simple::is_filtered(&subquery.subquery))
        }
        _ => false,
    }
}

/// Says if a plan is what [`checked`] makes.
fn is_checked(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_checked(&projection.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        _ => false,
    }
}

/// Makes a plan of one row and one column of one that may have none, or too many.
fn checked(plan: LogicalPlan) -> Result<LogicalPlan> {
    let Some(column) = plan.schema().columns().into_iter().next() else {
        return Ok(plan);
    };
    let value = single_value::single_value(Expr::Column(column.clone()));
    let plan = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), vec![value])?;
    let computed = plan
        .schema()
        .columns()
        .into_iter()
        .next()
        .unwrap_or_else(|| column.clone());
    let named = Expr::Column(computed).alias_qualified(column.relation, column.name);
    plan.project([named])?.build()
}

/// Joins one subquery to `input`: the rows of `outer`, the outer query, to which other subqueries may have been joined.
/// Returns `None` for one that cannot be, which DataFusion refuses.
fn joined_value(
    part: &Expr,
    outer: &LogicalPlan,
    input: LogicalPlan,
    numbers: &mut Numbers,
) -> Result<Option<(LogicalPlan, Expr)>> {
    let Some(subquery) = subquery_of(part) else {
        return Ok(None);
    };
    let plan = LogicalPlan::clone(&subquery.subquery);
    if let Expr::ScalarSubquery(subquery) = part {
        if let Some(value) = super::subqueries::value_of(&plan, outer.schema())? {
            return Ok(Some((input, value)));
        }
        if subquery.outer_ref_columns.is_empty() {
            let again = Subquery {
                subquery: Arc::new(checked(plan)?),
                outer_ref_columns: Vec::new(),
                spans: subquery.spans.clone(),
            };
            return Ok(Some((input, Expr::ScalarSubquery(again))));
        }
    }
    let Some(rows) = Rows::of(outer, plan, numbers)? else {
        return Ok(None);
    };
    match part {
        Expr::ScalarSubquery(_) => rows.value(input, numbers).map(Some),
        Expr::Exists(exists) => rows.exists(input, exists.negated, numbers).map(Some),
        Expr::InSubquery(within) => rows
            .contains(input, &within.expr, within.negated, numbers)
            .map(Some),
        _ => Ok(None),
    }
}

/// The rows of a subquery for each of the values that the outer query's columns take.
struct Rows {
    plan: LogicalPlan,
    /// The outer query's columns, and those of `plan` that equal them.
    keys: Vec<(Column, Column)>,
    /// The columns of the subquery.
    columns: Vec<Column>,
    /// There is one row at most for each of the values.
    single: bool,
}

impl Rows {
    fn of(query: &LogicalPlan, plan: LogicalPlan, numbers: &mut Numbers) -> Result<Option<Self>> {
        let outer = outer_columns(&plan);
        if !outer.iter().all(|column| query.schema().has_column(column)) {
            return Ok(None);
        }
        let columns = plan.schema().columns();
        let single = simple::is_single(&plan);
        if outer.is_empty() {
            return Ok(Some(Self {
                plan,
                keys: Vec::new(),
                columns,
                single,
            }));
        }
        let Some(domain) = Domain::of(query, &outer, numbers.relation("domain"))? else {
            return Ok(None);
        };
        let keys = outer.into_iter().zip(domain.columns.clone()).collect();
        let pushed = Push { numbers }.down(&domain, plan)?;
        Ok(pushed.map(|plan| Self {
            plan,
            keys,
            columns,
            single,
        }))
    }

    /// Projects the keys, under names of `relation`, and `items`; groups by the keys when there are aggregates.
    fn keyed(&self, relation: &TableReference) -> (Vec<Expr>, Vec<Column>) {
        let named =
            (0..self.keys.len()).map(|place| Column::new(Some(relation.clone()), format!("k{place}")));
        let named: Vec<Column> = named.collect();
        let keys = self.keys.iter().zip(&named).map(|((_, key), name)| {
            Expr::Column(key.clone()).alias_qualified(name.relation.clone(), &name.name)
        });
        (keys.collect(), named)
    }

    fn outer_keys(&self) -> Vec<Column> {
        self.keys.iter().map(|(outer, _)| outer.clone()).collect()
    }

    /// The value of the only row, null where there is none.
    fn value(self, input: LogicalPlan, numbers: &mut Numbers) -> Result<(LogicalPlan, Expr)> {
        let relation = numbers.relation("value");
        let (mut items, keys) = self.keyed(&relation);
        let Some(value) = self.columns.first().cloned() else {
            return Err(datafusion::error::DataFusionError::Internal(
                "a subquery without a column".to_owned(),
            ));
        };
        let name = Column::new(Some(relation), "v");
        let outer = self.outer_keys();
        items.push(Expr::Column(value).alias_qualified(name.relation.clone(), &name.name));
        let mut plan = LogicalPlanBuilder::from(self.plan).project(items)?;
        if !self.single {
            let groups: Vec<Expr> = keys.iter().cloned().map(Expr::Column).collect();
            let single = single_value::single_value(Expr::Column(name.clone()));
            plan = plan.aggregate(groups, vec![single.clone()])?;
            let computed = plan.schema().columns().pop().unwrap_or_else(|| name.clone());
            let mut items: Vec<Expr> = keys.iter().cloned().map(Expr::Column).collect();
            items.push(Expr::Column(computed).alias_qualified(name.relation.clone(), &name.name));
            plan = plan.project(items)?;
        }
        let joined = matched(input, plan.build()?, outer, keys, JoinType::Left)?;
        Ok((joined, Expr::Column(name)))
    }

    /// Says if there is a row.
    fn exists(self, input: LogicalPlan, negated: bool, numbers: &mut Numbers) -> Result<(LogicalPlan, Expr)> {
        let relation = numbers.relation("exists");
        let (items, keys) = self.keyed(&relation);
        let mark = Column::new(Some(relation), "m");
        let outer = self.outer_keys();
        let marked = lit(true).alias_qualified(mark.relation.clone(), &mark.name);
        let plan = LogicalPlanBuilder::from(self.plan);
        let plan = match items.is_empty() {
            true => plan.limit(0, Some(1))?.project([marked])?,
            false => {
                let plan = plan.project(items)?.distinct()?;
                let kept = keys.iter().cloned().map(Expr::Column);
                plan.project(kept.chain([marked]).collect::<Vec<_>>())?
            }
        };
        let joined = matched(input, plan.build()?, outer, keys, JoinType::Left)?;
        let value = match negated {
            true => Expr::Column(mark).is_null(),
            false => Expr::Column(mark).is_not_null(),
        };
        Ok((joined, value))
    }

    /// Says if a row equals a value: false where there is no row, null where a null leaves it open.
    fn contains(
        self,
        input: LogicalPlan,
        value: &Expr,
        negated: bool,
        numbers: &mut Numbers,
    ) -> Result<(LogicalPlan, Expr)> {
        let relation = numbers.relation("in");
        let (mut items, keys) = self.keyed(&relation);
        let element = Column::new(Some(relation), "v");
        let Some(column) = self.columns.first().cloned() else {
            return Err(datafusion::error::DataFusionError::Internal(
                "a subquery without a column".to_owned(),
            ));
        };
        items.push(Expr::Column(column).alias_qualified(element.relation.clone(), &element.name));
        let outer = self.outer_keys();
        let rows = LogicalPlanBuilder::from(self.plan).project(items)?.build()?;

        // Of each key: that there are rows, and if one is null.
        let summary = numbers.relation("in_all");
        let groups: Vec<Expr> = keys.iter().cloned().map(Expr::Column).collect();
        let any = count(lit(1_i64));
        let null = bool_or(Expr::Column(element.clone()).is_null());
        let plan = LogicalPlanBuilder::from(rows.clone()).aggregate(groups, vec![any, null])?;
        let named = (0..keys.len()).map(|place| format!("k{place}"));
        let names: Vec<String> = named.chain(["n".to_owned(), "u".to_owned()]).collect();
        let columns = plan.schema().columns();
        let items = columns.into_iter().zip(&names);
        let items =
            items.map(|(column, name)| Expr::Column(column).alias_qualified(Some(summary.clone()), name));
        let plan = plan.project(items.collect::<Vec<_>>())?.build()?;
        let of_summary = |name: &str| Column::new(Some(summary.clone()), name);
        let summary_keys = (0..keys.len())
            .map(|place| of_summary(&format!("k{place}")))
            .collect();
        let joined = matched(input, plan, outer.clone(), summary_keys, JoinType::Left)?;

        // The elements that are not null, each once.
        let mark = numbers.relation("in_each");
        let known = LogicalPlanBuilder::from(rows)
            .filter(Expr::Column(element.clone()).is_not_null())?
            .distinct()?;
        let kept = keys.iter().chain([&element]);
        let kept =
            kept.map(|column| Expr::Column(column.clone()).alias_qualified(Some(mark.clone()), &column.name));
        let marked = lit(true).alias_qualified(Some(mark.clone()), "m");
        let known = known.project(kept.chain([marked]).collect::<Vec<_>>())?.build()?;
        let of_mark = |name: &str| Expr::Column(Column::new(Some(mark.clone()), name));
        let mut condition = value.clone().eq(of_mark("v"));
        for (place, key) in outer.iter().enumerate() {
            let same = binary_expr(
                Expr::Column(key.clone()),
                Operator::IsNotDistinctFrom,
                of_mark(&format!("k{place}")),
            );
            condition = condition.and(same);
        }
        let joined = LogicalPlanBuilder::from(joined)
            .join_on(known, JoinType::Left, [condition])?
            .build()?;
        let unknown = Expr::Literal(ScalarValue::Boolean(None), None);
        let found = when(of_mark("m").is_not_null(), lit(true))
            .when(
                Expr::Column(of_summary("n"))
                    .is_null()
                    .or(Expr::Column(of_summary("n")).eq(lit(0_i64))),
                lit(false),
            )
            .when(value.clone().is_null().or(Expr::Column(of_summary("u"))), unknown)
            .otherwise(lit(false))?;
        let found = match negated {
            true => Expr::Not(Box::new(found)),
            false => found,
        };
        Ok((joined, found))
    }
}

/// Joins rows whose keys are the same, nulls too.
fn matched(
    left: LogicalPlan,
    right: LogicalPlan,
    left_keys: Vec<Column>,
    right_keys: Vec<Column>,
    join_type: JoinType,
) -> Result<LogicalPlan> {
    let builder = LogicalPlanBuilder::from(left);
    match left_keys.is_empty() {
        true => builder.join_on(right, join_type, [lit(true)])?.build(),
        false => builder
            .join_detailed(
                right,
                join_type,
                (left_keys, right_keys),
                None,
                NullEquality::NullEqualsNull,
            )?
            .build(),
    }
}

/// Makes a join of a lateral one.
fn lateral(join: Join, numbers: &mut Numbers) -> Result<Transformed<LogicalPlan>> {
    let (subquery, alias) = match join.right.as_ref() {
        LogicalPlan::Subquery(subquery) => (subquery, None),
        LogicalPlan::SubqueryAlias(named) => match named.input.as_ref() {
            LogicalPlan::Subquery(subquery) => (subquery, Some(named.alias.clone())),
            _ => return Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        _ => return Ok(Transformed::no(LogicalPlan::Join(join))),
    };
    let kinds = matches!(join.join_type, JoinType::Inner | JoinType::Left);
    if !kinds || simple::is_filtered(&subquery.subquery) {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let plan = LogicalPlan::clone(&subquery.subquery);
    let Some(rows) = Rows::of(&join.left, plan, numbers)? else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let relation = numbers.relation("lateral");
    let (mut items, keys) = rows.keyed(&relation);
    for column in &rows.columns {
        let relation = alias.clone().or_else(|| column.relation.clone());
        items.push(Expr::Column(column.clone()).alias_qualified(relation, &column.name));
    }
    let outer = rows.outer_keys();
    let right = LogicalPlanBuilder::from(rows.plan).project(items)?.build()?;
    let equal = join.on.into_iter().map(|(left, right)| left.eq(right));
    let filter = equal.chain(join.filter).reduce(Expr::and);
    let names = join.schema.columns();
    let joined = LogicalPlanBuilder::from(LogicalPlan::clone(&join.left))
        .join_detailed(
            right,
            join.join_type,
            (outer, keys),
            filter,
            NullEquality::NullEqualsNull,
        )?
        .project(names.into_iter().map(Expr::Column).collect::<Vec<_>>())?
        .build()?;
    Ok(Transformed::yes(joined))
}

/// Says if a part of a plan names columns of the outer query.
fn is_correlated(plan: &LogicalPlan, outer: &[Column]) -> bool {
    let mut found = false;
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::OuterReferenceColumn(_, column) = part {
                    found |= outer.contains(column);
                }
                Ok(match found {
                    true => TreeNodeRecursion::Stop,
                    false => TreeNodeRecursion::Continue,
                })
            })
        })
    });
    found
}
