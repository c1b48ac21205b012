//! The texts of a merge as expressions over the relations [`TARGET`] and [`SOURCE`].
//!
//! Column names are matched without regard to case, as Spark does; a name without an alias belongs to the one
//! relation that has such a column and that the clause may see.

use std::ops::ControlFlow;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident, visit_expressions_mut};

use super::source::SOURCE_ROW;
use super::{Merge, MergeAction, MergeClause, MergeMatching, clause_error};
use crate::write::{assignable, type_text};
use crate::{Error, Result, Session};

/// The relation of the table's rows.
pub(crate) const TARGET: &str = "target";
/// The relation of the source's rows.
pub(crate) const SOURCE: &str = "source";

/// Refers to a column of one of the merge's relations.
pub(crate) fn column(relation: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare(relation)), name))
}

/// A merge's clauses, compiled.
pub(crate) struct Clauses {
    pub on: Expr,
    pub clauses: Vec<Clause>,
}

/// One clause. Its number in [`Clauses::clauses`] stands for it in plans.
pub(crate) struct Clause {
    pub matching: MergeMatching,
    pub condition: Expr,
    /// The row after the clause, column by column of the table; `None` deletes it.
    pub row: Option<Vec<Expr>>,
}

impl Clauses {
    /// Compiles the texts of `merge` for a table of schema `target` and a source of schema `source`.
    ///
    /// # Errors
    /// `InvalidArgument` for a column that is unknown or ambiguous, for an action that does not fit the rows
    /// of its clause, and for a value whose type cannot be stored in its column.
    pub(crate) fn compile(
        session: &Session,
        merge: &Merge,
        target: &Schema,
        source: &Schema,
    ) -> Result<Self> {
        let scope = Scope::new(session, merge, target, source)?;
        let on = scope.expression(&merge.on, Visible::Both)?;
        let clauses = merge
            .clauses
            .iter()
            .map(|clause| scope.clause(clause))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { on, clauses })
    }

    /// Says if there is a clause for such rows.
    pub(crate) fn any(&self, matching: MergeMatching) -> bool {
        self.clauses.iter().any(|clause| clause.matching == matching)
    }

    /// Says if the only clause for matched rows deletes them all: then it does not matter how often a row
    /// is matched.
    pub(crate) fn deletes_all_matched(&self) -> bool {
        let mut matched = self
            .clauses
            .iter()
            .filter(|clause| clause.matching == MergeMatching::Matched);
        match (matched.next(), matched.next()) {
            (Some(only), None) => only.row.is_none() && only.condition == lit(true),
            _ => false,
        }
    }

    /// Returns the number of the first clause for such rows whose condition holds; null if none does.
    pub(crate) fn choice(&self, matching: MergeMatching) -> Expr {
        let branches = self
            .clauses
            .iter()
            .enumerate()
            .filter(|(_, clause)| clause.matching == matching)
            .map(|(number, clause)| {
                (
                    Box::new(clause.condition.clone()),
                    Box::new(number_literal(number)),
                )
            })
            .collect();
        Expr::Case(Case::new(
            None,
            branches,
            Some(Box::new(lit(ScalarValue::Int32(None)))),
        ))
    }

    /// Returns the value of the table's column `place` after the clause that `chosen` numbers, of those for
    /// `matching` rows; `otherwise` for rows that no such clause takes.
    pub(crate) fn value(
        &self,
        matching: &[MergeMatching],
        chosen: &Expr,
        place: usize,
        otherwise: Expr,
    ) -> Expr {
        let branches: Vec<_> = self
            .clauses
            .iter()
            .enumerate()
            .filter(|(_, clause)| matching.contains(&clause.matching))
            .filter_map(|(number, clause)| {
                let value = clause.row.as_ref()?.get(place)?.clone();
                (value != otherwise).then(|| {
                    let this = chosen.clone().eq(number_literal(number));
                    (Box::new(this), Box::new(value))
                })
            })
            .collect();
        if branches.is_empty() {
            return otherwise;
        }
        Expr::Case(Case::new(None, branches, Some(Box::new(otherwise))))
    }

    /// Returns the numbers of the clauses that delete.
    pub(crate) fn deletions(&self) -> Vec<Expr> {
        self.clauses
            .iter()
            .enumerate()
            .filter(|(_, clause)| clause.row.is_none())
            .map(|(number, _)| number_literal(number))
            .collect()
    }
}

fn number_literal(number: usize) -> Expr {
    lit(ScalarValue::Int32(i32::try_from(number).ok()))
}

/// Which relations an expression may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visible {
    Both,
    TargetOnly,
    SourceOnly,
}

/// What names mean in a merge.
struct Scope<'a> {
    state: SessionState,
    merge: &'a Merge,
    target: &'a Schema,
    source: &'a Schema,
    joined: DFSchema,
}

impl<'a> Scope<'a> {
    fn new(session: &Session, merge: &'a Merge, target: &'a Schema, source: &'a Schema) -> Result<Self> {
        let joined = DFSchema::try_from_qualified_schema(TARGET, target)?
            .join(&DFSchema::try_from_qualified_schema(SOURCE, source)?)?;
        Ok(Self {
            state: session.datafusion().state(),
            merge,
            target,
            source,
            joined,
        })
    }

    fn clause(&self, clause: &MergeClause) -> Result<Clause> {
        let visible = match clause.matching {
            MergeMatching::Matched => Visible::Both,
            MergeMatching::NotMatchedByTarget => Visible::SourceOnly,
            MergeMatching::NotMatchedBySource => Visible::TargetOnly,
        };
        let condition = match &clause.condition {
            Some(condition) => self.expression(condition, visible)?,
            None => lit(true),
        };
        let inserts = clause.matching == MergeMatching::NotMatchedByTarget;
        let row = match &clause.action {
            MergeAction::Delete if !inserts => None,
            MergeAction::Update(values) if !inserts => Some(self.updated(values, visible)?),
            MergeAction::UpdateAll if clause.matching == MergeMatching::Matched => {
                Some(self.all_from_source("UPDATE")?)
            }
            MergeAction::Insert(values) if inserts => Some(self.inserted(values)?),
            MergeAction::InsertAll if inserts => Some(self.all_from_source("INSERT")?),
            action => {
                return Err(clause_error(
                    "PARSE_SYNTAX_ERROR",
                    "42601",
                    format!("{action:?} cannot be the action for {:?} rows", clause.matching),
                ));
            }
        };
        Ok(Clause {
            matching: clause.matching,
            condition,
            row,
        })
    }

    /// The target's row with some columns replaced.
    fn updated(&self, values: &[(String, String)], visible: Visible) -> Result<Vec<Expr>> {
        let mut row: Vec<Expr> = self
            .target
            .fields()
            .iter()
            .map(|field| column(TARGET, field.name()))
            .collect();
        for (place, value) in self.assignments(values, visible)? {
            row[place] = value;
        }
        Ok(row)
    }

    /// A new row with some columns given and the rest null.
    fn inserted(&self, values: &[(String, String)]) -> Result<Vec<Expr>> {
        let mut row = self
            .target
            .fields()
            .iter()
            .map(|field| Ok(lit(ScalarValue::try_from(field.data_type())?)))
            .collect::<Result<Vec<_>>>()?;
        for (place, value) in self.assignments(values, Visible::SourceOnly)? {
            row[place] = value;
        }
        Ok(row)
    }

    fn assignments(&self, values: &[(String, String)], visible: Visible) -> Result<Vec<(usize, Expr)>> {
        let mut assignments: Vec<(usize, Expr)> = Vec::with_capacity(values.len());
        for (name, value) in values {
            let place = self.target_column(name)?;
            if assignments.iter().any(|(other, _)| *other == place) {
                return Err(clause_error(
                    "DELTA_CONFLICT_SET_COLUMN",
                    "42701",
                    format!("column `{name}` is set more than once"),
                ));
            }
            let value = self.expression(value, visible)?;
            assignments.push((place, self.stored(place, value)?));
        }
        Ok(assignments)
    }

    /// The source's columns under the names of the target's.
    fn all_from_source(&self, clause: &str) -> Result<Vec<Expr>> {
        let mut row = Vec::with_capacity(self.target.fields().len());
        for (place, field) in self.target.fields().iter().enumerate() {
            let name = find(self.source, field.name()).ok_or_else(|| {
                clause_error(
                    "DELTA_MERGE_UNRESOLVED_EXPRESSION",
                    "42601",
                    format!(
                        "cannot resolve `{}` in {clause} clause: the source has no such column",
                        field.name()
                    ),
                )
            })?;
            row.push(self.stored(place, column(SOURCE, name))?);
        }
        Ok(row)
    }

    /// A value in the type of the column it is stored in.
    fn stored(&self, place: usize, value: Expr) -> Result<Expr> {
        let field = self.target.field(place);
        let given = value.get_type(&self.joined)?;
        if given == *field.data_type() {
            return Ok(value);
        }
        if !assignable(&given, field.data_type()) {
            return Err(clause_error(
                "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
                "42K09",
                format!(
                    "cannot safely cast `{}` \"{}\" to \"{}\"",
                    field.name(),
                    type_text(&given).to_uppercase(),
                    type_text(field.data_type()).to_uppercase()
                ),
            ));
        }
        Ok(match given {
            DataType::Null => lit(ScalarValue::try_from(field.data_type())?),
            _ => cast(value, field.data_type().clone()),
        })
    }

    fn target_column(&self, text: &str) -> Result<usize> {
        let parsed = self.parse(text)?;
        let parts = match parsed {
            SqlExpr::Identifier(name) => vec![name],
            SqlExpr::CompoundIdentifier(parts) => parts,
            _ => Vec::new(),
        };
        let parts = match alias_length(&parts, &self.merge.target_alias) {
            0 => parts.as_slice(),
            alias => &parts[alias..],
        };
        match parts {
            [name] => find(self.target, &name.value)
                .and_then(|name| self.target.index_of(name).ok())
                .ok_or_else(|| unresolved(text)),
            _ => Err(unresolved(text)),
        }
    }

    fn parse(&self, text: &str) -> Result<SqlExpr> {
        let dialect = self.state.config().options().sql_parser.dialect;
        Ok(self.state.sql_to_expr(text, &dialect)?)
    }

    fn expression(&self, text: &str, visible: Visible) -> Result<Expr> {
        let mut parsed = self.parse(text)?;
        let outcome = visit_expressions_mut(&mut parsed, |expression| {
            let parts = match expression {
                SqlExpr::Identifier(name) => vec![name.clone()],
                SqlExpr::CompoundIdentifier(parts) => parts.clone(),
                _ => return ControlFlow::Continue(()),
            };
            match self.resolve(&parts, visible) {
                Ok(Some(resolved)) => {
                    *expression = SqlExpr::CompoundIdentifier(resolved);
                    ControlFlow::Continue(())
                }
                Ok(None) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        });
        if let ControlFlow::Break(error) = outcome {
            return Err(error);
        }
        let parsed = datafusion::sql::sqlparser::ast::ExprWithAlias {
            expr: parsed,
            alias: None,
        };
        Ok(self
            .state
            .create_logical_expr_from_sql_expr(parsed, &self.joined)?)
    }

    /// Returns the full name of a column; `None` when the name is no column of the merge.
    fn resolve(&self, parts: &[Ident], visible: Visible) -> Result<Option<Vec<Ident>>> {
        let relations = [
            (TARGET, self.target, &self.merge.target_alias, Visible::SourceOnly),
            (SOURCE, self.source, &self.merge.source_alias, Visible::TargetOnly),
        ];
        for (relation, schema, alias, hidden) in relations {
            let length = alias_length(parts, alias);
            if length == 0 || length == parts.len() {
                continue;
            }
            let text = || {
                parts
                    .iter()
                    .map(|part| part.value.as_str())
                    .collect::<Vec<_>>()
                    .join(".")
            };
            let name = find(schema, &parts[length].value)
                .filter(|_| visible != hidden)
                .ok_or_else(|| unresolved(&text()))?;
            return Ok(Some(qualified(relation, name, &parts[length + 1..])));
        }
        let mut found = relations
            .iter()
            .filter(|(_, _, _, hidden)| visible != *hidden)
            .filter_map(|(relation, schema, _, _)| Some((*relation, find(schema, &parts[0].value)?)));
        match (found.next(), found.next()) {
            (Some((relation, name)), None) => Ok(Some(qualified(relation, name, &parts[1..]))),
            (Some(_), Some(_)) => Err(clause_error(
                "AMBIGUOUS_REFERENCE",
                "42704",
                format!(
                    "reference `{}` is ambiguous: target and source have it",
                    parts[0].value
                ),
            )),
            (None, _) => Ok(None),
        }
    }
}

/// Returns how many of the first parts name the relation `alias`, which may itself have several; a table is
/// also known by the end of its name.
fn alias_length(parts: &[Ident], alias: &str) -> usize {
    let alias: Vec<&str> = alias.split('.').map(|part| part.trim_matches('`')).collect();
    (1..=alias.len().min(parts.len()))
        .rev()
        .find(|length| {
            let end = &alias[alias.len() - length..];
            parts
                .iter()
                .zip(end)
                .all(|(part, name)| part.value.eq_ignore_ascii_case(name))
        })
        .unwrap_or(0)
}

fn find<'a>(schema: &'a Schema, name: &str) -> Option<&'a str> {
    schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .find(|field| field.eq_ignore_ascii_case(name) && *field != SOURCE_ROW)
}

fn qualified(relation: &str, name: &str, rest: &[Ident]) -> Vec<Ident> {
    let mut parts = vec![Ident::with_quote('"', relation), Ident::with_quote('"', name)];
    parts.extend(rest.iter().cloned());
    parts
}

fn unresolved(text: &str) -> Error {
    clause_error(
        "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION",
        "42703",
        format!("a column with the name `{text}` cannot be resolved in the merge"),
    )
}
