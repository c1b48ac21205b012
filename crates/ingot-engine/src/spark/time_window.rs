//! `GROUP BY window(time, '5 minutes')`: what is grouped by is called `window` in the rest of the query.
//!
//! Names `window`, `window.start` and `window.end` become the call again. Source: Spark, `TimeWindowing`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, GroupByExpr, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr,
    visit_expressions_mut,
};

const WINDOW: &str = "window";

/// Puts the call in place of its name in a query that is grouped by one.
pub(super) fn named(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return;
    };
    let Some(call) = grouping(select) else { return };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            replace(expr, &call);
        }
    }
    select.having.iter_mut().for_each(|having| replace(having, &call));
    if let Some(OrderBy {
        kind: OrderByKind::Expressions(keys),
        ..
    }) = &mut query.order_by
    {
        keys.iter_mut().for_each(|key| replace(&mut key.expr, &call));
    }
}

/// Returns the call of `window` that a query is grouped by.
fn grouping(select: &Select) -> Option<Function> {
    let GroupByExpr::Expressions(keys, _) = &select.group_by else {
        return None;
    };
    keys.iter().find_map(|key| match key {
        Expr::Function(function)
            if function.over.is_none() && function.name.to_string().eq_ignore_ascii_case(WINDOW) =>
        {
            Some(function.clone())
        }
        _ => None,
    })
}

fn replace(expr: &mut Expr, call: &Function) {
    let _: ControlFlow<()> = visit_expressions_mut(expr, |found| {
        let field = match found {
            Expr::Identifier(name) if name.value.eq_ignore_ascii_case(WINDOW) => None,
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [name, field] if name.value.eq_ignore_ascii_case(WINDOW) => Some(field.clone()),
                _ => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        let window = Expr::Function(call.clone());
        *found = match field {
            None => window,
            Some(field) => Expr::CompoundFieldAccess {
                root: Box::new(window),
                access_chain: vec![AccessExpr::Dot(Expr::Identifier(field))],
            },
        };
        ControlFlow::Continue(())
    });
}
