//! Windows of time that rows are in several of, and sessions.
//!
//! - `GROUP BY window(time, '10 minutes', '5 minutes')`: each row once for each window that it is in, which a generator
//!   makes (`LATERAL explode(…) AS w(window)`).
//! - `GROUP BY session_window(time, gap)`: a row goes on with the session before it, of rows of the same keys, when it
//!   begins no later than that ends. Rows are numbered by their sessions beneath the grouping.
//!
//! Source: Spark, `TimeWindowing`, `SessionWindowing`, `UpdatingSessionsIterator`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    ObjectName, OrderByKind, Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableAliasColumnDef,
    TableFactor, TableWithJoins, Value, ValueWithSpan, VisitMut, VisitorMut, WindowType, visit_expressions,
    visit_expressions_mut,
};

use crate::functions::datetime::SLIDING_WINDOWS;
use crate::{Error, Result, ast, dialect};

const WINDOW: &str = "window";
const SESSION: &str = "session_window";

/// What the relation of the windows of a row is called.
const WINDOWS: &str = "__ingot_windows";

/// Rows of a relation, each with the session that it is in. The names that begin with `__of` are put in.
const SESSIONS: &str = "SELECT *, sum(__ingot_begins) OVER (PARTITION BY __of_keys ORDER BY __ingot_time ROWS UNBOUNDED \
     PRECEDING) AS __ingot_session FROM (SELECT *, CASE WHEN __ingot_time <= max(__ingot_until) OVER (PARTITION BY \
     __of_keys ORDER BY __ingot_time ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) THEN 0 ELSE 1 END AS \
     __ingot_begins FROM (SELECT *, __of_time AS __ingot_time, __of_time + __of_gap AS __ingot_until FROM __of_relation \
     WHERE __of_selection) AS __of_name WHERE __ingot_until > __ingot_time) AS __of_name";

/// The window of a session, of the rows that are in it.
const OF_SESSION: &str = "named_struct('start', min(__ingot_time), 'end', max(__ingot_until))";

/// Rewrites the windows of a query and of those in it.
///
/// # Errors
/// `UNSUPPORTED_FEATURE` for sessions of the rows of a join.
pub(super) fn rewrite(query: &mut Statement) -> Result<()> {
    match VisitMut::visit(query, &mut Windows) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Windows;

impl VisitorMut for Windows {
    // Frames of a visit are as large as what it may break with, many times over.
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Box<Error>> {
        match of_query(query) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

fn of_query(query: &mut Query) -> Result<()> {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Ok(());
    };
    if let Some(call) = sliding(select) {
        let column = Expr::Identifier(Ident::new(WINDOW));
        slide(select, &call);
        return replace_all(query, &call, WINDOW, &column);
    }
    let Some(call) = session(select) else {
        return Ok(());
    };
    in_sessions(select, &call)?;
    let window = dialect::expression(OF_SESSION)?;
    replace_all(query, &call, SESSION, &window)
}

fn is_call(expr: &Expr, name: &str) -> Option<Function> {
    match expr {
        Expr::Function(function)
            if function.over.is_none() && function.name.to_string().eq_ignore_ascii_case(name) =>
        {
            Some(function.clone())
        }
        _ => None,
    }
}

fn values(call: &Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &call.args else {
        return Vec::new();
    };
    let value = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
        _ => None,
    };
    list.args.iter().filter_map(value).collect()
}

/// Returns the call of windows that slide, by which a SELECT groups, or which is an item of it.
fn sliding(select: &Select) -> Option<Function> {
    let slides = |expr: &Expr| {
        let mut found = None;
        let _ = visit_expressions(expr, |part| match is_call(part, WINDOW) {
            Some(call) if values(&call).len() > 2 => {
                found = Some(call);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        found
    };
    let keys = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys.as_slice(),
        GroupByExpr::All(_) => &[],
    };
    let items = select.projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    keys.iter().chain(items).find_map(slides)
}

/// Adds the windows of each row to FROM.
fn slide(select: &mut Select, call: &Function) {
    let windows = ast::call(SLIDING_WINDOWS, values(call));
    let relation = TableFactor::Function {
        lateral: true,
        name: ObjectName::from(vec![Ident::new("explode")]),
        args: vec![ast::unnamed(windows)],
        with_ordinality: false,
        alias: Some(TableAlias {
            explicit: true,
            name: Ident::new(WINDOWS),
            columns: vec![TableAliasColumnDef {
                name: Ident::new(WINDOW),
                data_type: None,
            }],
            at: None,
        }),
    };
    select.from.push(TableWithJoins {
        relation,
        joins: Vec::new(),
    });
}

/// Returns the call of sessions by which a SELECT groups.
fn session(select: &Select) -> Option<Function> {
    match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys.iter().find_map(|key| is_call(key, SESSION)),
        GroupByExpr::All(_) => None,
    }
}

/// Reads a SELECT from rows that are numbered by their sessions.
fn in_sessions(select: &mut Select, call: &Function) -> Result<()> {
    let [time, gap] = <[Expr; 2]>::try_from(values(call)).map_err(|values| wrong_count(values.len()))?;
    let (Some(from), true) = (select.from.pop(), select.from.is_empty()) else {
        return Err(of_join());
    };
    if !from.joins.is_empty() || !select.lateral_views.is_empty() {
        return Err(of_join());
    }
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else {
        return Ok(());
    };
    let others = keys.iter().filter(|key| is_call(key, SESSION).is_none());
    let mut template = Template {
        keys: others.cloned().collect(),
        time,
        gap: interval(gap)?,
        name: name_of(&from.relation),
        relation: from.relation,
        selection: select.selection.take(),
    };
    for key in keys.iter_mut() {
        if is_call(key, SESSION).is_some() {
            *key = Expr::Identifier(Ident::new("__ingot_session"));
        }
    }
    let mut sessions = dialect::parser(SESSIONS)?.parse_query()?;
    let _ = VisitMut::visit(&mut sessions, &mut template);
    select.from.push(TableWithJoins {
        relation: TableFactor::Derived {
            lateral: false,
            subquery: sessions,
            alias: Some(alias(template.name)),
            sample: None,
        },
        joins: Vec::new(),
    });
    Ok(())
}

fn of_join() -> Error {
    Error::unsupported(
        "`session_window` groups the rows of one relation; put a join into a subquery".to_owned(),
    )
}

fn wrong_count(given: usize) -> Error {
    Error::Condition {
        kind: ingot_common::Kind::InvalidArgument,
        condition: "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
        sqlstate: "42605",
        message: format!("`session_window` takes a time and a gap, not {given} arguments"),
    }
}

/// Makes an interval of a gap, which may be a text.
fn interval(gap: Expr) -> Result<Expr> {
    match &gap {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text) | Value::DoubleQuotedString(text),
            ..
        }) => dialect::expression(&format!("INTERVAL '{}'", text.replace('\'', "''"))),
        Expr::Interval(_) => Ok(gap),
        _ => {
            let mut of_text = dialect::expression("CAST(__of_gap AS INTERVAL)")?;
            if let Expr::Cast { expr, .. } = &mut of_text {
                **expr = gap;
            }
            Ok(of_text)
        }
    }
}

fn name_of(relation: &TableFactor) -> Ident {
    let named = match relation {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.clone()),
            None => name.0.last().and_then(|part| part.as_ident()).cloned(),
        },
        TableFactor::Derived { alias, .. } | TableFactor::Function { alias, .. } => {
            alias.as_ref().map(|alias| alias.name.clone())
        }
        _ => None,
    };
    named.unwrap_or_else(|| Ident::new("__ingot_sessions"))
}

fn alias(name: Ident) -> TableAlias {
    TableAlias {
        explicit: true,
        name,
        columns: Vec::new(),
        at: None,
    }
}

/// What is put into [`SESSIONS`].
struct Template {
    keys: Vec<Expr>,
    time: Expr,
    gap: Expr,
    relation: TableFactor,
    name: Ident,
    selection: Option<Expr>,
}

impl VisitorMut for Template {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, .. } if name.to_string() == "__of_relation" => {
                *factor = self.relation.clone();
            }
            TableFactor::Derived {
                alias: Some(named), ..
            } if named.name.value == "__of_name" => {
                named.name = self.name.clone();
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let Some(WindowType::WindowSpec(window)) = &mut function.over
        {
            let of_keys = |key: &Expr| key.to_string() == "__of_keys";
            if window.partition_by.iter().any(of_keys) {
                window.partition_by.clone_from(&self.keys);
            }
        }
        let Expr::Identifier(name) = expr else {
            return ControlFlow::Continue(());
        };
        match name.value.as_str() {
            "__of_time" => *expr = self.time.clone(),
            "__of_gap" => *expr = self.gap.clone(),
            "__of_selection" => {
                let all = || Expr::value(Value::Boolean(true));
                *expr = self.selection.clone().unwrap_or_else(all);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Puts `window` in the place of the call and of its name in what is grouped.
fn replace_all(query: &mut Query, call: &Function, name: &str, window: &Expr) -> Result<()> {
    let mut replaced = |expr: &mut Expr| {
        let _: ControlFlow<()> = visit_expressions_mut(expr, |found| {
            replace(found, call, name, window);
            ControlFlow::Continue(())
        });
    };
    if let SetExpr::Select(select) = query.body.as_mut() {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item {
                let shown = shown_name(expr, call, name);
                replaced(expr);
                if let Some(shown) = shown {
                    *item = SelectItem::ExprWithAlias {
                        expr: ast::take(expr),
                        alias: Ident::with_quote('`', shown),
                    };
                }
            } else if let SelectItem::ExprWithAlias { expr, .. } = item {
                replaced(expr);
            }
        }
        select.having.iter_mut().for_each(&mut replaced);
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by
            && name == WINDOW
        {
            keys.iter_mut().for_each(&mut replaced);
        }
    }
    if let Some(order_by) = &mut query.order_by
        && let OrderByKind::Expressions(keys) = &mut order_by.kind
    {
        keys.iter_mut().for_each(|key| replaced(&mut key.expr));
    }
    Ok(())
}

/// Returns what a column is called that is a window, or a part of one.
fn shown_name(expr: &Expr, call: &Function, name: &str) -> Option<String> {
    match expr {
        Expr::Function(function) if function == call => Some(name.to_owned()),
        Expr::Identifier(ident) if ident.value.eq_ignore_ascii_case(name) => Some(name.to_owned()),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [first, field] if first.value.eq_ignore_ascii_case(name) => Some(field.value.clone()),
            _ => None,
        },
        Expr::CompoundFieldAccess { root, access_chain } => match (root.as_ref(), access_chain.as_slice()) {
            (Expr::Function(function), [AccessExpr::Dot(Expr::Identifier(field))]) if function == call => {
                Some(field.value.clone())
            }
            _ => None,
        },
        _ => None,
    }
}

fn replace(found: &mut Expr, call: &Function, name: &str, window: &Expr) {
    let field = match &*found {
        Expr::Function(function) if function == call => None,
        Expr::Identifier(ident) if ident.value.eq_ignore_ascii_case(name) => None,
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [first, field] if first.value.eq_ignore_ascii_case(name) => Some(field.clone()),
            _ => return,
        },
        _ => return,
    };
    *found = match field {
        None => window.clone(),
        Some(field) => Expr::CompoundFieldAccess {
            root: Box::new(window.clone()),
            access_chain: vec![AccessExpr::Dot(Expr::Identifier(field))],
        },
    };
}
