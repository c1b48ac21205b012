//! Joins by names: what a column of USING is, and relations that have no name.
//!
//! Of a RIGHT JOIN the column is that of the right side, of a FULL JOIN the one that is not null; DataFusion takes the
//! left one. Source: Spark, `ResolveNaturalAndUsingJoin`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, Expr, FunctionArg, FunctionArgExpr, Ident, JoinConstraint, JoinOperator, ObjectName,
    ObjectNamePart, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    Statement, TableAlias, TableFactor, TableWithJoins, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use crate::ast;

/// How relations without a name are called where a join is by names, with a number.
const NAMELESS: &str = "__auto_generated_subquery_name";

/// Rewrites the joins of a query and of those in it.
pub(super) fn rewrite(query: &mut Statement) {
    let _ = VisitMut::visit(query, &mut Joins { named: 0 });
}

struct Joins {
    named: usize,
}

impl VisitorMut for Joins {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = query.body.as_mut() else {
            return ControlFlow::Continue(());
        };
        self.name_relations(&mut select.from);
        let Some(joined) = Joined::of(&select.from) else {
            return ControlFlow::Continue(());
        };
        let mut reader = Reader {
            joined: &joined,
            depth: 0,
        };
        reader.select(select);
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(keys) = &mut order_by.kind
        {
            for key in keys {
                // ORDER BY means an item of SELECT before a column.
                let named = match &key.expr {
                    Expr::Identifier(name) => selects(select, name),
                    _ => false,
                };
                if !named {
                    let _ = VisitMut::visit(key, &mut reader);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl Joins {
    /// Gives subqueries names where a join is by names: what they have in common would be found twice otherwise.
    fn name_relations(&mut self, from: &mut [TableWithJoins]) {
        for TableWithJoins { relation, joins } in from {
            let by_names = |operator: &JoinOperator| {
                matches!(
                    constraint(operator),
                    Some(JoinConstraint::Using(_) | JoinConstraint::Natural)
                )
            };
            if !joins.iter().any(|join| by_names(&join.join_operator)) {
                continue;
            }
            let relations = std::iter::once(relation).chain(joins.iter_mut().map(|join| &mut join.relation));
            for relation in relations {
                if let TableFactor::Derived { alias, .. } = relation
                    && alias.is_none()
                {
                    let name = match self.named {
                        0 => NAMELESS.to_owned(),
                        number => format!("{NAMELESS}_{number}"),
                    };
                    self.named += 1;
                    *alias = Some(TableAlias {
                        explicit: true,
                        name: Ident::new(name),
                        columns: Vec::new(),
                        at: None,
                    });
                }
            }
        }
    }
}

fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    use JoinOperator::*;
    match operator {
        Join(constraint)
        | Inner(constraint)
        | Left(constraint)
        | LeftOuter(constraint)
        | Right(constraint)
        | RightOuter(constraint)
        | FullOuter(constraint) => Some(constraint),
        _ => None,
    }
}

/// The columns of USING of a SELECT whose joins do not keep all rows of the left side.
struct Joined {
    /// What each is.
    columns: Vec<(Ident, Expr)>,
    /// The relations with those of the columns that they have.
    relations: Vec<(Ident, Vec<Ident>)>,
}

impl Joined {
    /// Returns `None` where the left side's columns are what they are, or where relations have no names.
    fn of(from: &[TableWithJoins]) -> Option<Self> {
        let [TableWithJoins { relation, joins }] = from else {
            return None;
        };
        let first = name_of(relation)?;
        let mut joined = Self {
            columns: Vec::new(),
            relations: vec![(first.clone(), Vec::new())],
        };
        let mut changed = false;
        for join in joins {
            let second = name_of(&join.relation)?;
            let mut own = Vec::new();
            if let Some(JoinConstraint::Using(names)) = constraint(&join.join_operator) {
                for name in names {
                    let Some(ObjectNamePart::Identifier(column)) = name.0.last() else {
                        return None;
                    };
                    changed |= joined.join(&first, &second, column, &join.join_operator);
                    own.push(column.clone());
                }
            }
            joined.relations.push((second, own));
        }
        let all = joined.columns.iter().map(|(column, _)| column.clone()).collect();
        if let Some((_, columns)) = joined.relations.first_mut() {
            *columns = all;
        }
        changed.then_some(joined)
    }

    /// Adds a join. Returns `false` when the column goes on to be what it was.
    fn join(&mut self, first: &Ident, second: &Ident, column: &Ident, operator: &JoinOperator) -> bool {
        let of = |relation: &Ident| Expr::CompoundIdentifier(vec![relation.clone(), column.clone()]);
        let place = self.columns.iter().position(|(known, _)| same(known, column));
        let place = place.unwrap_or_else(|| {
            self.columns.push((column.clone(), of(first)));
            self.columns.len() - 1
        });
        let meaning = &mut self.columns[place].1;
        match operator {
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => *meaning = of(second),
            JoinOperator::FullOuter(_) => *meaning = coalesce(meaning.clone(), of(second)),
            _ => return false,
        }
        true
    }

    fn meaning(&self, name: &Ident) -> Option<&Expr> {
        let found = self.columns.iter().find(|(column, _)| same(column, name));
        found.map(|(_, meaning)| meaning)
    }

    /// Returns the items that `*` stands for.
    fn all(&self) -> Vec<SelectItem> {
        let columns = self.columns.iter().map(|(column, meaning)| item(column, meaning));
        let rest = self.relations.iter().map(|(relation, columns)| {
            let name = ObjectName::from(vec![relation.clone()]);
            SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                without(columns),
            )
        });
        columns.chain(rest).collect()
    }
}

fn same(left: &Ident, right: &Ident) -> bool {
    left.value.eq_ignore_ascii_case(&right.value)
}

fn item(column: &Ident, meaning: &Expr) -> SelectItem {
    SelectItem::ExprWithAlias {
        expr: meaning.clone(),
        alias: column.clone(),
    }
}

fn name_of(relation: &TableFactor) -> Option<Ident> {
    match relation {
        TableFactor::Table {
            alias: Some(alias), ..
        }
        | TableFactor::Derived {
            alias: Some(alias), ..
        } => Some(alias.name.clone()),
        TableFactor::Table {
            name, alias: None, ..
        } => match name.0.last() {
            Some(ObjectNamePart::Identifier(ident)) => Some(ident.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn coalesce(left: Expr, right: Expr) -> Expr {
    let arguments = [left, right].map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value)));
    let name = ObjectName::from(vec![Ident::new("coalesce")]);
    Expr::Function(ast::function(name, arguments.into()))
}

/// Says if a SELECT has an item of this name, which ORDER BY means then.
fn selects(select: &Select, column: &Ident) -> bool {
    select.projection.iter().any(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => alias.value.eq_ignore_ascii_case(&column.value),
        _ => false,
    })
}

/// Puts what columns are in the place of their names.
struct Reader<'a> {
    joined: &'a Joined,
    /// Subqueries around what is visited: their names are their own.
    depth: usize,
}

impl Reader<'_> {
    fn select(&mut self, select: &mut Select) {
        let mut items = Vec::with_capacity(select.projection.len() + self.joined.columns.len());
        for mut selected in std::mem::take(&mut select.projection) {
            match &mut selected {
                SelectItem::UnnamedExpr(Expr::Identifier(name)) => {
                    if let Some(meaning) = self.joined.meaning(name) {
                        items.push(item(name, meaning));
                        continue;
                    }
                }
                SelectItem::Wildcard(options) if options.opt_except.is_none() => {
                    items.extend(self.joined.all());
                    continue;
                }
                other => {
                    let _ = VisitMut::visit(other, self);
                }
            }
            items.push(selected);
        }
        select.projection = items;
        let _ = VisitMut::visit(&mut select.selection, self);
        let _ = VisitMut::visit(&mut select.group_by, self);
        let _ = VisitMut::visit(&mut select.having, self);
        let _ = VisitMut::visit(&mut select.qualify, self);
    }
}

fn without(columns: &[Ident]) -> WildcardAdditionalOptions {
    let except = columns.split_first().map(|(first, rest)| ExceptSelectItem {
        first_element: first.clone(),
        additional_elements: rest.to_vec(),
    });
    WildcardAdditionalOptions {
        opt_except: except,
        ..WildcardAdditionalOptions::default()
    }
}

impl VisitorMut for Reader<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Identifier(name) = expr
            && let Some(meaning) = self.joined.meaning(name)
        {
            *expr = meaning.clone();
        }
        ControlFlow::Continue(())
    }
}
