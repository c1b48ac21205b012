//! A plan for each of the values of the outer query's columns.
//!
//! The domain of the values is joined to the leaves, and its columns go up through every node: what is of one group, one
//! window or one limit before is of one for each of the values.

use std::sync::Arc;

use datafusion::common::NullEquality;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprFunctionExt, ExprSchemable, FetchType, Join, JoinType, Limit, LogicalPlan,
    LogicalPlanBuilder, Operator, SkipType, Union, Unnest, Window, binary_expr, lit,
};

use super::domain::Domain;
use super::{Numbers, has_subquery, is_correlated, matched};

/// The way of a domain into a plan.
pub(super) struct Push<'a> {
    pub numbers: &'a mut Numbers,
}

impl Push<'_> {
    /// Returns the plan with the domain's columns beside its own; `None` for a node that has no such meaning here.
    pub fn down(&mut self, domain: &Domain, plan: LogicalPlan) -> Result<Option<LogicalPlan>> {
        if !is_correlated(&plan, &domain.outer) {
            let joined = LogicalPlanBuilder::from(domain.plan.clone()).cross_join(plan)?;
            return joined.build().map(Some);
        }
        let nested = plan.expressions().iter().any(|expression| {
            has_subquery(expression)
                && expression
                    .exists(|part| {
                        Ok(super::subquery_of(part)
                            .is_some_and(|subquery| is_correlated(&subquery.subquery, &domain.outer)))
                    })
                    .unwrap_or(true)
        });
        if nested {
            return Ok(None);
        }
        match plan {
            LogicalPlan::Projection(projection) => {
                let schema = projection.schema;
                let input = Arc::unwrap_or_clone(projection.input);
                let Some(input) = self.down(domain, input)? else {
                    return Ok(None);
                };
                let mut items = domain.expressions();
                for (expression, (relation, field)) in projection.expr.into_iter().zip(schema.iter()) {
                    let replaced = domain.replace(expression)?;
                    items.push(match replaced.transformed {
                        true => replaced
                            .data
                            .unalias()
                            .alias_qualified(relation.cloned(), field.name()),
                        false => replaced.data,
                    });
                }
                LogicalPlanBuilder::from(input).project(items)?.build().map(Some)
            }
            LogicalPlan::Filter(filter) => {
                let input = Arc::unwrap_or_clone(filter.input);
                let Some(input) = self.down(domain, input)? else {
                    return Ok(None);
                };
                let predicate = domain.replace(filter.predicate)?.data;
                LogicalPlanBuilder::from(input)
                    .filter(predicate)?
                    .build()
                    .map(Some)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let columns = alias.input.schema().columns();
                let input = Arc::unwrap_or_clone(alias.input);
                let Some(input) = self.down(domain, input)? else {
                    return Ok(None);
                };
                let mut items = domain.expressions();
                for (column, (relation, field)) in columns.into_iter().zip(alias.schema.iter()) {
                    items.push(Expr::Column(column).alias_qualified(relation.cloned(), field.name()));
                }
                LogicalPlanBuilder::from(input).project(items)?.build().map(Some)
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(domain, aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let Some(input) = self.down(domain, Arc::unwrap_or_clone(input))? else {
                    return Ok(None);
                };
                LogicalPlanBuilder::from(input).distinct()?.build().map(Some)
            }
            LogicalPlan::Sort(sort) => {
                // The order of a subquery's rows shows through LIMIT alone.
                self.down(domain, Arc::unwrap_or_clone(sort.input))
            }
            LogicalPlan::Limit(limit) => self.limit(domain, limit),
            LogicalPlan::Window(window) => self.window(domain, window),
            LogicalPlan::Union(union) => self.union(domain, union),
            LogicalPlan::Unnest(unnest) => self.unnest(domain, unnest),
            LogicalPlan::Join(join) => self.join(domain, join),
            _ => Ok(None),
        }
    }

    fn aggregate(&mut self, domain: &Domain, aggregate: Aggregate) -> Result<Option<LogicalPlan>> {
        if aggregate
            .group_expr
            .iter()
            .any(|group| matches!(group, Expr::GroupingSet(_)))
        {
            return Ok(None);
        }
        let names = aggregate.schema.columns();
        let input = Arc::unwrap_or_clone(aggregate.input);
        let Some(input) = self.down(domain, input)? else {
            return Ok(None);
        };
        let mut groups = domain.expressions();
        groups.extend(domain.replaced(&aggregate.group_expr)?);
        let aggregates = domain.replaced(&aggregate.aggr_expr)?;
        let mut defaults = Vec::with_capacity(aggregates.len());
        for expression in &aggregates {
            let data_type = expression.get_type(input.schema())?;
            defaults.push(match expression.clone().unalias() {
                Expr::AggregateFunction(call) => call.func.default_value(&data_type)?,
                _ => return Ok(None),
            });
        }
        let plan = LogicalPlanBuilder::from(input)
            .aggregate(groups, aggregates)?
            .build()?;
        let computed = plan.schema().columns();
        let own = computed.iter().skip(domain.columns.len());
        if !aggregate.group_expr.is_empty() {
            let mut items = domain.expressions();
            for (column, name) in own.zip(names) {
                items.push(Expr::Column(column.clone()).alias_qualified(name.relation, name.name));
            }
            return LogicalPlanBuilder::from(plan).project(items)?.build().map(Some);
        }
        // A group without rows has a row too.
        let all = domain.called(self.numbers.relation("domain"))?;
        let joined = matched(
            all.plan.clone(),
            plan,
            all.columns.clone(),
            domain.columns.clone(),
            JoinType::Left,
        )?;
        let mut items: Vec<Expr> = all
            .columns
            .iter()
            .zip(&domain.columns)
            .map(|(column, name)| {
                Expr::Column(column.clone()).alias_qualified(name.relation.clone(), &name.name)
            })
            .collect();
        for ((column, name), default) in own.zip(names).zip(defaults) {
            let value = Expr::Column(column.clone());
            let value = match default.is_null() {
                true => value,
                false => coalesce(vec![value, Expr::Literal(default, None)]),
            };
            items.push(value.alias_qualified(name.relation, name.name));
        }
        LogicalPlanBuilder::from(joined).project(items)?.build().map(Some)
    }

    /// Numbers the rows of each of the values.
    fn limit(&mut self, domain: &Domain, limit: Limit) -> Result<Option<LogicalPlan>> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
            (limit.get_skip_type()?, limit.get_fetch_type()?)
        else {
            return Ok(None);
        };
        let order = match limit.input.as_ref() {
            LogicalPlan::Sort(sort) => sort.expr.clone(),
            // What it orders by is not selected.
            LogicalPlan::Projection(projection)
                if matches!(projection.input.as_ref(), LogicalPlan::Sort(_)) =>
            {
                let input = Arc::clone(&projection.input);
                let mut projection = projection.clone();
                projection.input = Arc::new(LogicalPlan::Limit(Limit { input, ..limit }));
                return self.down(domain, LogicalPlan::Projection(projection));
            }
            _ => Vec::new(),
        };
        let input = Arc::unwrap_or_clone(limit.input);
        let names = input.schema().columns();
        let Some(input) = self.down(domain, input)? else {
            return Ok(None);
        };
        let mut ordered = Vec::with_capacity(order.len());
        for mut key in order {
            key.expr = domain.replace(key.expr)?.data;
            ordered.push(key);
        }
        if ordered.is_empty() {
            // Any order will do, and the function wants one.
            let keys = domain.expressions().into_iter();
            ordered.extend(keys.map(|key| key.sort(true, true)));
        }
        let number = row_number()
            .partition_by(domain.expressions())
            .order_by(ordered)
            .build()?;
        let plan = LogicalPlanBuilder::from(input).window(vec![number])?.build()?;
        let Some(number) = plan.schema().columns().pop().map(Expr::Column) else {
            return Ok(None);
        };
        let bound = |rows: usize| lit(u64::try_from(rows).unwrap_or(u64::MAX));
        let mut condition = number.clone().gt(bound(skip));
        if let Some(fetch) = fetch {
            condition = condition.and(number.lt_eq(bound(skip.saturating_add(fetch))));
        }
        let mut items = domain.expressions();
        items.extend(names.into_iter().map(Expr::Column));
        LogicalPlanBuilder::from(plan)
            .filter(condition)?
            .project(items)?
            .build()
            .map(Some)
    }

    fn window(&mut self, domain: &Domain, window: Window) -> Result<Option<LogicalPlan>> {
        let names = window.schema.columns();
        let width = window.input.schema().fields().len();
        let input = Arc::unwrap_or_clone(window.input);
        let Some(input) = self.down(domain, input)? else {
            return Ok(None);
        };
        let mut calls = Vec::with_capacity(window.window_expr.len());
        for expression in domain.replaced(&window.window_expr)? {
            let Expr::WindowFunction(call) = expression.unalias() else {
                return Ok(None);
            };
            let WindowFunction { fun, mut params } = *call;
            params.partition_by.extend(domain.expressions());
            calls.push(Expr::WindowFunction(Box::new(WindowFunction { fun, params })));
        }
        let before = input.schema().fields().len();
        let plan = LogicalPlanBuilder::from(input).window(calls)?.build()?;
        let computed = plan.schema().columns().into_iter().skip(before);
        let mut items = domain.expressions();
        items.extend(names.iter().take(width).cloned().map(Expr::Column));
        for (column, name) in computed.zip(names.into_iter().skip(width)) {
            items.push(Expr::Column(column).alias_qualified(name.relation, name.name));
        }
        LogicalPlanBuilder::from(plan).project(items)?.build().map(Some)
    }

    fn union(&mut self, domain: &Domain, union: Union) -> Result<Option<LogicalPlan>> {
        let names = union.schema.columns();
        let own = |place: usize| format!("__ingot_key_{place}");
        let mut whole: Option<LogicalPlanBuilder> = None;
        for input in union.inputs {
            let columns = input.schema().columns();
            let Some(branch) = self.down(domain, Arc::unwrap_or_clone(input))? else {
                return Ok(None);
            };
            let keys = domain.columns.iter().enumerate();
            let mut items: Vec<Expr> = keys
                .map(|(place, column)| Expr::Column(column.clone()).alias(own(place)))
                .collect();
            for (column, name) in columns.into_iter().zip(&names) {
                items.push(Expr::Column(column).alias(&name.name));
            }
            let branch = LogicalPlanBuilder::from(branch).project(items)?;
            whole = Some(match whole {
                None => branch,
                Some(whole) => whole.union(branch.build()?)?,
            });
        }
        let Some(whole) = whole else { return Ok(None) };
        let columns = whole.schema().columns();
        let named = domain.columns.iter().chain(&names);
        let items = columns
            .into_iter()
            .zip(named)
            .map(|(column, name)| Expr::Column(column).alias_qualified(name.relation.clone(), &name.name));
        whole.project(items.collect::<Vec<_>>())?.build().map(Some)
    }

    fn unnest(&mut self, domain: &Domain, unnest: Unnest) -> Result<Option<LogicalPlan>> {
        let names = unnest.schema.columns();
        let Some(input) = self.down(domain, Arc::unwrap_or_clone(unnest.input))? else {
            return Ok(None);
        };
        let mut items = domain.expressions();
        items.extend(names.into_iter().map(Expr::Column));
        LogicalPlanBuilder::from(input)
            .unnest_columns_with_options(unnest.exec_columns, unnest.options)?
            .project(items)?
            .build()
            .map(Some)
    }

    fn join(&mut self, domain: &Domain, join: Join) -> Result<Option<LogicalPlan>> {
        let kept = matches!(
            join.join_type,
            JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti
        );
        if !kept || join.null_aware {
            return Ok(None);
        }
        let names = join.schema.columns();
        let (left, right) = (Arc::unwrap_or_clone(join.left), Arc::unwrap_or_clone(join.right));
        let right_correlated = is_correlated(&right, &domain.outer);
        let Some(left) = self.down(domain, left)? else {
            return Ok(None);
        };
        let other = domain.called(self.numbers.relation("domain"))?;
        let (right, keys) = match right_correlated {
            true => match self.down(&other, right)? {
                Some(right) => (right, other.columns.clone()),
                None => return Ok(None),
            },
            false => (right, Vec::new()),
        };
        let mut conditions = Vec::new();
        let operator = match join.null_equality {
            NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
            NullEquality::NullEqualsNothing => Operator::Eq,
        };
        for (left, right) in join.on {
            let (left, right) = (domain.replace(left)?.data, domain.replace(right)?.data);
            conditions.push(binary_expr(left, operator, right));
        }
        if let Some(filter) = join.filter {
            conditions.push(domain.replace(filter)?.data);
        }
        for (left, right) in domain.columns.iter().zip(keys) {
            let (left, right) = (Expr::Column(left.clone()), Expr::Column(right));
            conditions.push(binary_expr(left, Operator::IsNotDistinctFrom, right));
        }
        let mut items = domain.expressions();
        items.extend(names.into_iter().map(Expr::Column));
        LogicalPlanBuilder::from(left)
            .join_on(right, join.join_type, conditions)?
            .project(items)?
            .build()
            .map(Some)
    }
}
