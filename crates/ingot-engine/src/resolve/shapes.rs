//! Forms of queries that DataFusion's planner does not know, in ones that it does, before names are looked up.
//!
//! - `VALUES` has columns `col1`, `col2`, …; `MINUS` is EXCEPT.
//! - `SEMI` and `ANTI JOIN` are of the left side; a join without a condition takes all pairs.
//! - `SORT BY` and `CLUSTER BY` order the rows, `DISTRIBUTE BY` does not: where rows are is not said of a result.
//! - `WITH ROLLUP`, `WITH CUBE` and `GROUP BY a, b GROUPING SETS (…)` are ROLLUP, CUBE and GROUPING SETS.
//!
//! Source: Spark SQL, "SELECT", "JOIN", "GROUP BY".

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, GroupByWithModifier, Ident, JoinConstraint, JoinOperator, OrderBy, OrderByExpr,
    OrderByKind, OrderByOptions, Query, Select, SelectFlavor, SelectItem, SetExpr, SetOperator, Statement,
    TableAlias, TableAliasColumnDef, TableFactor, Value, VisitMut, VisitorMut,
};

use crate::ast;

/// What the columns of VALUES are called, with a number from 1.
const VALUES_COLUMN: &str = "col";

/// Rewrites a query and those in it.
pub(super) fn rewrite(query: &mut Statement) {
    let _ = VisitMut::visit(query, &mut Shapes);
}

struct Shapes;

impl VisitorMut for Shapes {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        set_expression(&mut query.body);
        if let SetExpr::Select(select) = query.body.as_mut() {
            order_by_all(&mut query.order_by, select);
            let sorted = sorting(select);
            if query.order_by.is_none() && !sorted.is_empty() {
                query.order_by = Some(OrderBy {
                    kind: OrderByKind::Expressions(sorted),
                    interpolate: None,
                });
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        name_values(&mut query.body);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let _ = sorting(select);
        if select.flavor == SelectFlavor::FromFirstNoSelect {
            select.flavor = SelectFlavor::Standard;
            select.projection = ast::select_all().projection;
        }
        grouping(&mut select.group_by);
        for from in &mut select.from {
            joins(&mut from.joins);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            joins(&mut table_with_joins.joins);
        }
        ControlFlow::Continue(())
    }
}

fn set_expression(body: &mut SetExpr) {
    if let SetExpr::SetOperation { op, left, right, .. } = body {
        if *op == SetOperator::Minus {
            *op = SetOperator::Except;
        }
        set_expression(left);
        set_expression(right);
    }
}

/// Makes ORDER BY ALL one of all items of a SELECT, by their places.
fn order_by_all(order_by: &mut Option<OrderBy>, select: &Select) {
    let Some(OrderBy {
        kind: kind @ OrderByKind::All(_),
        ..
    }) = order_by
    else {
        return;
    };
    let wildcard =
        |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    let OrderByKind::All(options) = kind else { return };
    if select.projection.iter().any(wildcard) {
        return;
    }
    let options = *options;
    let places = (1..=select.projection.len()).map(|place| OrderByExpr {
        expr: Expr::value(Value::Number(place.to_string(), false)),
        options,
        with_fill: None,
    });
    *kind = OrderByKind::Expressions(places.collect());
}

/// Takes what a SELECT says of the order of its rows.
fn sorting(select: &mut Select) -> Vec<OrderByExpr> {
    select.distribute_by.clear();
    let clustered = std::mem::take(&mut select.cluster_by)
        .into_iter()
        .map(|expr| OrderByExpr {
            expr,
            options: OrderByOptions {
                asc: None,
                nulls_first: None,
            },
            with_fill: None,
        });
    let mut sorted = std::mem::take(&mut select.sort_by);
    sorted.extend(clustered);
    sorted
}

fn grouping(group_by: &mut GroupByExpr) {
    let GroupByExpr::Expressions(keys, modifiers) = group_by else {
        return;
    };
    let Some(modifier) = modifiers.pop() else { return };
    let sets = |keys: &mut Vec<Expr>| std::mem::take(keys).into_iter().map(|key| vec![key]).collect();
    match modifier {
        GroupByWithModifier::Rollup => *keys = vec![Expr::Rollup(sets(keys))],
        GroupByWithModifier::Cube => *keys = vec![Expr::Cube(sets(keys))],
        GroupByWithModifier::GroupingSets(sets) => *keys = vec![sets],
        GroupByWithModifier::Totals => {}
    }
}

fn joins(joins: &mut [datafusion::sql::sqlparser::ast::Join]) {
    for join in joins {
        let operator = &mut join.join_operator;
        let taken = std::mem::replace(operator, JoinOperator::CrossJoin(JoinConstraint::None));
        *operator = match taken {
            JoinOperator::Semi(constraint) => JoinOperator::LeftSemi(conditioned(constraint)),
            JoinOperator::Anti(constraint) => JoinOperator::LeftAnti(conditioned(constraint)),
            JoinOperator::LeftSemi(constraint) => JoinOperator::LeftSemi(conditioned(constraint)),
            JoinOperator::LeftAnti(constraint) => JoinOperator::LeftAnti(conditioned(constraint)),
            JoinOperator::Join(constraint) => JoinOperator::Join(conditioned(constraint)),
            JoinOperator::Inner(constraint) => JoinOperator::Inner(conditioned(constraint)),
            JoinOperator::Left(constraint) => JoinOperator::Left(conditioned(constraint)),
            JoinOperator::LeftOuter(constraint) => JoinOperator::LeftOuter(conditioned(constraint)),
            JoinOperator::Right(constraint) => JoinOperator::Right(conditioned(constraint)),
            JoinOperator::RightOuter(constraint) => JoinOperator::RightOuter(conditioned(constraint)),
            JoinOperator::FullOuter(constraint) => JoinOperator::FullOuter(conditioned(constraint)),
            other => other,
        };
    }
}

fn conditioned(constraint: JoinConstraint) -> JoinConstraint {
    match constraint {
        JoinConstraint::None => JoinConstraint::On(Expr::value(Value::Boolean(true))),
        given => given,
    }
}

/// Lets VALUES be read under the names of its columns.
fn name_values(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            name_values(left);
            name_values(right);
        }
        SetExpr::Values(values) => {
            let width = values.rows.first().map_or(0, |row| row.content.len());
            let columns = (1..=width).map(|place| TableAliasColumnDef {
                name: Ident::new(format!("{VALUES_COLUMN}{place}")),
                data_type: None,
            });
            let alias = TableAlias {
                explicit: true,
                name: Ident::new("values"),
                columns: columns.collect(),
                at: None,
            };
            let values = std::mem::replace(body, SetExpr::Select(Box::new(ast::select_all())));
            let named = ast::select_from(TableFactor::Derived {
                lateral: false,
                subquery: Box::new(ast::query(values)),
                alias: Some(alias),
                sample: None,
            });
            *body = *named.body;
        }
        _ => {}
    }
}
