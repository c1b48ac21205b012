//! The case of names: columns and the fields of structs compare without it, and keep it.
//!
//! DataFusion folds a name without quotes to lower case and compares exactly. So each name in a query that means a
//! column of one of its tables, or a name that the query itself makes (`AS totalDelay`), is written with quotes as
//! that column or name is. Where spellings differ, the table's column wins, and what the outermost SELECT calls a
//! column is restored at the end. Fields are found by the types on the way to them; where a query hides the type, in a
//! subquery or behind a function, by their names alone.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::Expr as LogicalExpr;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Cte, ExceptSelectItem, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart,
    PivotValueSource, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Statement,
    TableAlias, TableFactor, Value, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::pivots;
use crate::Result;
use crate::write::rules::expression::find;

/// Columns of a relation, by their names in lower case.
type RelationColumns = HashMap<String, FieldRef>;

/// The names of a query's relations and their columns.
#[derive(Default)]
pub(super) struct Columns {
    /// All spellings of a column's name, by lower case.
    spellings: HashMap<String, Vec<String>>,
    /// All spellings of the name of a field of a struct, by lower case.
    field_spellings: HashMap<String, Vec<String>>,
    /// The columns of tables by their names as the query writes them, in lower case.
    tables: HashMap<String, RelationColumns>,
}

impl Columns {
    /// Adds a table that the query calls `name`, parts joined by dots.
    pub fn add(&mut self, name: &str, schema: &Schema) {
        let mut columns = HashMap::new();
        for field in schema.fields() {
            let lower = field.name().to_lowercase();
            let spellings = self.spellings.entry(lower.clone()).or_default();
            if !spellings.contains(field.name()) {
                spellings.push(field.name().clone());
            }
            self.add_fields(field.data_type());
            columns.insert(lower, Arc::clone(field));
        }
        self.tables.insert(name.to_lowercase(), columns);
    }

    /// Adds the fields of structs in a type.
    fn add_fields(&mut self, data_type: &DataType) {
        match data_type {
            DataType::Struct(fields) => {
                for field in fields {
                    let spellings = self
                        .field_spellings
                        .entry(field.name().to_lowercase())
                        .or_default();
                    if !spellings.contains(field.name()) {
                        spellings.push(field.name().clone());
                    }
                    self.add_fields(field.data_type());
                }
            }
            DataType::List(element) => self.add_fields(element.data_type()),
            DataType::Map(entries, _) => self.add_fields(entries.data_type()),
            _ => {}
        }
    }

    /// Gives the names in `query` their case, and returns how the outermost SELECT spells its columns.
    pub fn restore(mut self, query: &mut Statement) -> OutputNames {
        let output = OutputNames::of(query);
        let mut declared = Declared {
            columns: &mut self,
            relations: HashMap::new(),
            names: HashSet::new(),
        };
        let _ = VisitMut::visit(query, &mut declared);
        let (relations, names) = (declared.relations, declared.names);
        let mut restorer = Restorer {
            columns: &self,
            relations: &relations,
            names: &names,
        };
        let _ = VisitMut::visit(query, &mut restorer);
        output
    }
}

/// Collects what the query itself names.
struct Declared<'a> {
    columns: &'a mut Columns,
    /// Columns of a relation by its alias; `None` where one alias stands for several.
    relations: HashMap<String, Option<RelationColumns>>,
    /// Every name of a relation.
    names: HashSet<String>,
}

impl Declared<'_> {
    fn column(&mut self, name: &Ident) {
        let spellings = self
            .columns
            .spellings
            .entry(name.value.to_lowercase())
            .or_default();
        if spellings.is_empty() {
            spellings.push(name.value.clone());
        }
    }

    fn alias(&mut self, alias: &TableAlias) {
        self.names.insert(alias.name.value.to_lowercase());
        for column in &alias.columns {
            self.column(&column.name);
        }
    }
}

impl VisitorMut for Declared<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for Cte { alias, .. } in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.alias(alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => self.column(alias),
                SelectItem::ExprWithAliases { aliases, .. } => {
                    aliases.iter().for_each(|alias| self.column(alias));
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let columns = self.columns.tables.get(&joined(name)).cloned();
                let last = name.0.last().and_then(ObjectNamePart::as_ident);
                let called = match alias {
                    Some(alias) if alias.columns.is_empty() => Some(&alias.name),
                    Some(_) => None,
                    None => last,
                };
                if let (Some(called), Some(columns)) = (called, columns) {
                    let lower = called.value.to_lowercase();
                    let known = self.relations.insert(lower.clone(), Some(columns.clone()));
                    if known.is_some_and(|known| known.as_ref() != Some(&columns)) {
                        self.relations.insert(lower, None);
                    }
                }
                self.names.extend(last.map(|last| last.value.to_lowercase()));
                if let Some(alias) = alias {
                    self.alias(alias);
                }
            }
            TableFactor::Derived {
                alias: Some(alias), ..
            }
            | TableFactor::TableFunction {
                alias: Some(alias), ..
            }
            | TableFactor::Function {
                alias: Some(alias), ..
            }
            | TableFactor::UNNEST {
                alias: Some(alias), ..
            }
            | TableFactor::NestedJoin {
                alias: Some(alias), ..
            } => self.alias(alias),
            TableFactor::Pivot {
                aggregate_functions,
                value_source: PivotValueSource::List(values),
                alias,
                ..
            } => {
                for name in pivots::output_names(aggregate_functions, values) {
                    self.column(&Ident::new(name));
                }
                alias.iter().for_each(|alias| self.alias(alias));
            }
            TableFactor::Unpivot {
                value, name, alias, ..
            } => {
                self.column(name);
                match value {
                    Expr::Identifier(value) => self.column(value),
                    Expr::Tuple(values) => values.iter().for_each(|value| {
                        if let Expr::Identifier(value) = value {
                            self.column(value);
                        }
                    }),
                    _ => {}
                }
                alias.iter().for_each(|alias| self.alias(alias));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn joined(name: &ObjectName) -> String {
    let parts = name.0.iter().filter_map(ObjectNamePart::as_ident);
    let parts: Vec<String> = parts.map(|part| part.value.to_lowercase()).collect();
    parts.join(".")
}

struct Restorer<'a> {
    columns: &'a Columns,
    relations: &'a HashMap<String, Option<RelationColumns>>,
    names: &'a HashSet<String>,
}

impl Restorer<'_> {
    fn restore(&self, ident: &mut Ident) {
        let lower = ident.value.to_lowercase();
        let spelling = match self.columns.spellings.get(&lower).map(Vec::as_slice) {
            Some([only]) => only,
            Some(several) if several.contains(&ident.value) => &ident.value,
            _ => return,
        };
        // A name without quotes is folded where it names something, and kept where it is given.
        if ident.value != *spelling || *spelling != lower {
            *ident = Ident::with_quote('`', spelling.clone());
        }
    }

    /// `relation.column`, `schema.relation.column.field`, `column.field`. Returns the type, as far as it is known.
    fn restore_compound(&self, idents: &mut [Ident]) -> Option<DataType> {
        let named = (0..idents.len().saturating_sub(1))
            .rev()
            .find(|place| self.names.contains(&idents[*place].value.to_lowercase()));
        let (relation, rest) = match named {
            Some(place) => {
                let (names, rest) = idents.split_at_mut(place + 1);
                (names.last().map(|name| name.value.to_lowercase()), rest)
            }
            None => (None, idents),
        };
        let (column, fields) = rest.split_first_mut()?;
        let lower = column.value.to_lowercase();
        let known = match &relation {
            Some(relation) => {
                let columns = self.relations.get(relation).and_then(Option::as_ref);
                columns.and_then(|columns| columns.get(&lower))
            }
            None => None,
        };
        match known {
            Some(known) => *column = Ident::with_quote('`', known.name()),
            None => self.restore(column),
        }
        let mut data_type = known
            .or_else(|| self.only_column(&lower))
            .map(|known| known.data_type().clone());
        for field in fields {
            data_type = self.restore_field(data_type.as_ref(), field);
        }
        data_type
    }

    /// Finds the column that is called so, if all of this name are of one type.
    fn only_column(&self, lower: &str) -> Option<&FieldRef> {
        let mut columns = self
            .columns
            .tables
            .values()
            .filter_map(|columns| columns.get(lower));
        let first = columns.next()?;
        columns
            .all(|other| other.data_type() == first.data_type())
            .then_some(first)
    }

    /// Spells a field of a value of type `parent`, as far as that is known, and returns its type.
    fn restore_field(&self, parent: Option<&DataType>, name: &mut Ident) -> Option<DataType> {
        if let Some(DataType::Struct(fields)) = parent {
            let field = find(fields, &name.value)?;
            *name = Ident::with_quote('`', field.name());
            return Some(field.data_type().clone());
        }
        if let Some([only]) = self
            .columns
            .field_spellings
            .get(&name.value.to_lowercase())
            .map(Vec::as_slice)
        {
            *name = Ident::with_quote('`', only);
        }
        None
    }

    /// Returns the fields that `struct.*` stands for, and any other item as it is.
    fn fields_of(&self, item: SelectItem) -> Vec<SelectItem> {
        let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) = &item
        else {
            return vec![item];
        };
        let mut idents: Vec<Ident> = name
            .0
            .iter()
            .filter_map(ObjectNamePart::as_ident)
            .cloned()
            .collect();
        let last = idents.last().map(|last| last.value.to_lowercase());
        if last.is_none_or(|last| self.names.contains(&last)) {
            return vec![item];
        }
        let Some(DataType::Struct(fields)) = self.restore_compound(&mut idents) else {
            return vec![item];
        };
        let left_out = |field: &FieldRef| {
            let except = options.opt_except.iter();
            let mut names = except
                .flat_map(|except| std::iter::once(&except.first_element).chain(&except.additional_elements));
            names.any(|name| name.value.eq_ignore_ascii_case(field.name()))
        };
        let kept = fields.iter().filter(|field| !left_out(field));
        let items = kept.map(|field| {
            let named = Ident::with_quote('`', field.name());
            let mut path = idents.clone();
            path.push(named.clone());
            SelectItem::ExprWithAlias {
                expr: Expr::CompoundIdentifier(path),
                alias: named,
            }
        });
        items.collect()
    }

    /// Spells the fields that follow a value, as in `list[0].field`, as texts: DataFusion takes no others there. Returns
    /// the type, as far as it is known.
    fn restore_access(&self, root: &Expr, chain: &mut [AccessExpr]) -> Option<DataType> {
        let mut data_type = self.type_of(root);
        for access in chain {
            let name = match access {
                AccessExpr::Dot(Expr::Identifier(name)) => Some(name.clone()),
                AccessExpr::Dot(Expr::Value(value)) => match &value.value {
                    Value::SingleQuotedString(name) => Some(Ident::new(name)),
                    _ => None,
                },
                _ => None,
            };
            data_type = match (name, data_type) {
                (Some(mut name), parent) => {
                    let field = self.restore_field(parent.as_ref(), &mut name);
                    let text = Value::SingleQuotedString(name.value);
                    *access = AccessExpr::Dot(Expr::Value(text.with_empty_span()));
                    field
                }
                (None, Some(DataType::List(element))) => Some(element.data_type().clone()),
                (None, Some(DataType::Map(entries, _))) => match entries.data_type() {
                    DataType::Struct(pair) => pair.last().map(|value| value.data_type().clone()),
                    _ => None,
                },
                (None, _) => None,
            };
        }
        data_type
    }

    fn type_of(&self, expr: &Expr) -> Option<DataType> {
        match expr {
            Expr::Identifier(name) => self.restore_compound(&mut [name.clone()]),
            Expr::CompoundIdentifier(names) => self.restore_compound(&mut names.clone()),
            Expr::Nested(inner) => self.type_of(inner),
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.restore_access(root, &mut access_chain.clone())
            }
            _ => None,
        }
    }

    fn restore_constraint(&self, operator: &mut JoinOperator) {
        use JoinOperator::*;
        let (Join(constraint)
        | Inner(constraint)
        | Left(constraint)
        | LeftOuter(constraint)
        | Right(constraint)
        | RightOuter(constraint)
        | FullOuter(constraint)
        | CrossJoin(constraint)
        | Semi(constraint)
        | LeftSemi(constraint)
        | RightSemi(constraint)
        | Anti(constraint)
        | LeftAnti(constraint)
        | RightAnti(constraint)) = operator
        else {
            return;
        };
        if let JoinConstraint::Using(names) = constraint {
            for part in names.iter_mut().flat_map(|name| &mut name.0) {
                if let ObjectNamePart::Identifier(ident) = part {
                    self.restore(ident);
                }
            }
        }
    }

    fn restore_wildcard(&self, options: &mut WildcardAdditionalOptions) {
        if let Some(ExceptSelectItem {
            first_element,
            additional_elements,
        }) = &mut options.opt_except
        {
            self.restore(first_element);
            additional_elements
                .iter_mut()
                .for_each(|ident| self.restore(ident));
        }
    }
}

impl VisitorMut for Restorer<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            cte.alias
                .columns
                .iter_mut()
                .for_each(|column| self.restore(&mut column.name));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        select.projection = std::mem::take(&mut select.projection)
            .into_iter()
            .flat_map(|item| self.fields_of(item))
            .collect();
        for item in &mut select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => self.restore(alias),
                SelectItem::ExprWithAliases { aliases, .. } => {
                    aliases.iter_mut().for_each(|alias| self.restore(alias));
                }
                SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                    self.restore_wildcard(options);
                }
                SelectItem::UnnamedExpr(_) => {}
            }
        }
        for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
            self.restore_constraint(&mut join.join_operator);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Unpivot { name, .. } = factor {
            self.restore(name);
        }
        let (TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::Pivot { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::Unpivot { alias, .. }) = factor
        else {
            return ControlFlow::Continue(());
        };
        for column in alias.iter_mut().flat_map(|alias| &mut alias.columns) {
            self.restore(&mut column.name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.restore(ident),
            Expr::CompoundIdentifier(idents) => {
                let _ = self.restore_compound(idents);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// After the names in it: a field may be called like a column.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundFieldAccess { root, access_chain } = expr {
            let _ = self.restore_access(root, access_chain);
        }
        ControlFlow::Continue(())
    }
}

/// How the outermost SELECT of a query spells the columns that it names.
pub(super) struct OutputNames(Vec<String>);

impl OutputNames {
    fn of(query: &Statement) -> Self {
        let Statement::Query(query) = query else {
            return Self(Vec::new());
        };
        let mut body = query.body.as_ref();
        let select = loop {
            match body {
                SetExpr::Select(select) => break select,
                SetExpr::Query(query) => body = query.body.as_ref(),
                // The first of several gives the names.
                SetExpr::SetOperation { left, .. } => body = left.as_ref(),
                _ => return Self(Vec::new()),
            }
        };
        let aliases = select.projection.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        });
        Self(aliases.collect())
    }

    /// Calls the columns of `rows` as the query does, where their case was lost.
    pub fn apply(&self, rows: DataFrame) -> Result<DataFrame> {
        let spelling = |name: &str| {
            let mut spellings = self
                .0
                .iter()
                .filter(|spelled| spelled.to_lowercase() == name.to_lowercase());
            match (spellings.next(), spellings.next()) {
                (Some(only), None) if only != name => Some(only.clone()),
                _ => None,
            }
        };
        if !rows
            .schema()
            .fields()
            .iter()
            .any(|field| spelling(field.name()).is_some())
        {
            return Ok(rows);
        }
        let columns = rows
            .schema()
            .columns()
            .into_iter()
            .map(|column| match spelling(&column.name) {
                Some(name) => LogicalExpr::Column(column).alias(name),
                None => LogicalExpr::Column(column),
            });
        let columns: Vec<LogicalExpr> = columns.collect();
        Ok(rows.select(columns)?)
    }
}
