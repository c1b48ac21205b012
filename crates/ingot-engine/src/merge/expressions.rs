//! The texts of a merge as expressions over the relations [`TARGET`] and [`SOURCE`].
//!
//! Column names are matched without regard to case, as Spark does. A name belongs to the relation that the clause
//! may see, whose alias it ends in the longest, and that has such a column; if both are as near, it is ambiguous.

use std::ops::ControlFlow;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ExprWithAlias, Ident, visit_expressions_mut};

use super::source::SOURCE_ROW;
use super::{Merge, MergeAction, MergeClause, MergeMatching, clause_error};
use crate::write::{assignable, type_text};
use crate::{Error, Result, Session, dialect};

/// The relation of the table's rows.
pub(crate) const TARGET: &str = "__ingot_target";
/// The relation of the source's rows.
pub(crate) const SOURCE: &str = "__ingot_source";

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
        let branches: Vec<_> = self
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
        let none = lit(ScalarValue::Int32(None));
        if branches.is_empty() {
            return none;
        }
        Expr::Case(Case::new(None, branches, Some(Box::new(none))))
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

/// One of the two relations, as names may mean it.
struct Relation<'a> {
    name: &'static str,
    /// The alias, part by part, as the merge writes it.
    alias: Vec<String>,
    schema: &'a Schema,
}

impl Relation<'_> {
    /// Finds what `parts` mean in this relation: the count of leading parts that name it, and the column. A table
    /// is also known by the end of its name.
    fn find(&self, parts: &[Ident]) -> Option<(usize, &str)> {
        let length_max = self.alias.len().min(parts.len() - 1);
        (0..=length_max).rev().find_map(|length| {
            let end = &self.alias[self.alias.len() - length..];
            let named = parts
                .iter()
                .zip(end)
                .all(|(part, name)| part.value.to_lowercase() == name.to_lowercase());
            let column = find(self.schema, &parts[length].value).filter(|_| named)?;
            Some((length, column))
        })
    }
}

/// What names mean in a merge.
struct Scope<'a> {
    state: SessionState,
    target: Relation<'a>,
    source: Relation<'a>,
    /// The columns of both relations, of the target's, of the source's.
    joined: DFSchema,
    target_columns: DFSchema,
    source_columns: DFSchema,
}

impl<'a> Scope<'a> {
    fn new(session: &Session, merge: &'a Merge, target: &'a Schema, source: &'a Schema) -> Result<Self> {
        let target_columns = DFSchema::try_from_qualified_schema(TARGET, target)?;
        let source_columns = DFSchema::try_from_qualified_schema(SOURCE, source)?;
        Ok(Self {
            state: session.datafusion().state(),
            target: Relation {
                name: TARGET,
                alias: alias_parts(&merge.target_alias)?,
                schema: target,
            },
            source: Relation {
                name: SOURCE,
                alias: alias_parts(&merge.source_alias)?,
                schema: source,
            },
            joined: target_columns.join(&source_columns)?,
            target_columns,
            source_columns,
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
            .schema
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
            .schema
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
        let mut row = Vec::with_capacity(self.target.schema.fields().len());
        for (place, field) in self.target.schema.fields().iter().enumerate() {
            let name = find(self.source.schema, field.name()).ok_or_else(|| {
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
        let field = self.target.schema.field(place);
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

    /// Returns the place of the target's column that `text` names, with or without the target's alias.
    fn target_column(&self, text: &str) -> Result<usize> {
        let parts = match dialect::expression(text)? {
            SqlExpr::Identifier(name) => vec![name],
            SqlExpr::CompoundIdentifier(parts) => parts,
            _ => return Err(unresolved(text)),
        };
        match self.target.find(&parts) {
            Some((alias, column)) if alias + 1 == parts.len() => Ok(self
                .target
                .schema
                .index_of(column)
                .map_err(DataFusionError::from)?),
            Some(_) => Err(Error::unsupported(format!(
                "`{text}` is a field of a column; MERGE sets whole columns"
            ))),
            None => Err(unresolved(text)),
        }
    }

    fn expression(&self, text: &str, visible: Visible) -> Result<Expr> {
        let mut parsed = dialect::expression(text)?;
        let outcome = visit_expressions_mut(&mut parsed, |expression| {
            let parts = match expression {
                SqlExpr::Identifier(name) => vec![name.clone()],
                SqlExpr::CompoundIdentifier(parts) => parts.clone(),
                SqlExpr::Subquery(_) | SqlExpr::InSubquery { .. } | SqlExpr::Exists { .. } => {
                    return ControlFlow::Break(Error::unsupported(format!(
                        "subqueries are not supported in MERGE: `{text}`"
                    )));
                }
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
        let parsed = ExprWithAlias {
            expr: parsed,
            alias: None,
        };
        let columns = match visible {
            Visible::Both => &self.joined,
            Visible::TargetOnly => &self.target_columns,
            Visible::SourceOnly => &self.source_columns,
        };
        Ok(self.state.create_logical_expr_from_sql_expr(parsed, columns)?)
    }

    /// Returns the full name of a column; `None` when the name is no column that the clause may see.
    fn resolve(&self, parts: &[Ident], visible: Visible) -> Result<Option<Vec<Ident>>> {
        let target = Some(&self.target).filter(|_| visible != Visible::SourceOnly);
        let source = Some(&self.source).filter(|_| visible != Visible::TargetOnly);
        let found = |relation: Option<&Relation<'_>>| {
            let relation = relation?;
            let (alias, column) = relation.find(parts)?;
            Some((alias, qualified(relation.name, column, &parts[alias + 1..])))
        };
        match (found(target), found(source)) {
            (Some((near, _)), Some((as_near, _))) if near == as_near => Err(clause_error(
                "AMBIGUOUS_REFERENCE",
                "42704",
                format!(
                    "reference `{}` is ambiguous: target and source have it",
                    text_of(parts)
                ),
            )),
            (Some((near, column)), Some((further, _))) if near > further => Ok(Some(column)),
            (_, Some((_, column))) | (Some((_, column)), None) => Ok(Some(column)),
            // A name that both lack may still be no column at all, but a name with a qualifier is one.
            (None, None) if parts.len() > 1 => Err(unresolved(&text_of(parts))),
            (None, None) => Ok(None),
        }
    }
}

/// Reads an alias, a name in SQL; an empty one has no parts.
fn alias_parts(alias: &str) -> Result<Vec<String>> {
    if alias.is_empty() {
        return Ok(Vec::new());
    }
    let name = dialect::parser(alias)?.parse_object_name(false)?;
    crate::resolve::parts(&name)
}

fn text_of(parts: &[Ident]) -> String {
    let parts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
    parts.join(".")
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
