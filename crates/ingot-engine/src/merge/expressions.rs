//! The texts of a merge as expressions over the relations [`TARGET`] and [`SOURCE`].
//!
//! Column names are matched without regard to case, as Spark does. A name belongs to the relation that the clause
//! may see, whose alias it ends in the longest, and that has such a column; if both are as near, it is ambiguous. A name
//! of no column is a variable's.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Fields, Schema};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident, VisitMut, VisitorMut};
use ingot_common::Kind;

use super::source::SOURCE_MARK;
use super::subqueries::{ANSWERS, Answers};
use super::{Merge, clause_error};
use crate::dml::FilteredTarget;
use crate::resolve::routines::Routines;
use crate::resolve::{self, Reads, literal};
use crate::session::{Values, VariableName};
use crate::write::type_text;
use crate::{Error, Result, Session, dialect, spark};

/// The relation of the table's rows.
pub(crate) const TARGET: &str = "__ingot_target";
/// The relation of the source's rows.
pub(crate) const SOURCE: &str = "__ingot_source";

/// Refers to a column of one of the merge's relations.
pub(crate) fn column(relation: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare(relation)), name))
}

/// Which relations an expression may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visible {
    Both,
    TargetOnly,
    SourceOnly,
}

/// What an assignment writes to: the names of a column and of the fields below it, as the schema spells them.
pub(crate) type Path = Vec<String>;

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
        self.prefixes(parts).find_map(|length| {
            let column = find(self.schema.fields(), &parts[length].value)?;
            Some((length, column))
        })
    }

    /// Returns the counts of leading parts that name the relation, the largest first. At least one part is left.
    fn prefixes<'a>(&'a self, parts: &'a [Ident]) -> impl Iterator<Item = usize> + 'a {
        let length_max = self.alias.len().min(parts.len() - 1);
        (0..=length_max).rev().filter(|length| {
            let end = &self.alias[self.alias.len() - length..];
            parts
                .iter()
                .zip(end)
                .all(|(part, name)| part.value.to_lowercase() == name.to_lowercase())
        })
    }
}

fn of_relation(column: &Column, name: &str) -> bool {
    column
        .relation
        .as_ref()
        .is_some_and(|table| table.table() == name)
}

/// What names mean in a merge.
pub(crate) struct Scope<'a> {
    state: SessionState,
    routines: &'a Routines,
    answers: &'a Answers,
    /// The variables and parameters that a name or a marker may mean.
    values: Values,
    target: Relation<'a>,
    source: Relation<'a>,
    /// Through what the target is shown.
    filtered: Option<&'a FilteredTarget>,
    /// The columns of both relations, and of the answers.
    joined: DFSchema,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(
        session: &Session,
        merge: &'a Merge,
        target: &'a Schema,
        source: &'a Schema,
        filtered: Option<&'a FilteredTarget>,
        answers: &'a Answers,
        routines: &'a Arc<Routines>,
    ) -> Result<Self> {
        let target_columns = DFSchema::try_from_qualified_schema(TARGET, target)?;
        let source_columns = DFSchema::try_from_qualified_schema(SOURCE, source)?;
        let answer_columns = DFSchema::try_from_qualified_schema(ANSWERS, &Schema::new(answers.fields()))?;
        Ok(Self {
            state: routines.planner(session.datafusion().state()),
            routines,
            answers,
            values: session.values().clone(),
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
            filtered,
            joined: target_columns.join(&source_columns)?.join(&answer_columns)?,
        })
    }

    /// Returns the table's schema.
    pub(crate) fn target_schema(&self) -> &Schema {
        self.target.schema
    }

    /// Returns the source's columns, without the mark.
    pub(crate) fn source_schema(&self) -> Schema {
        let fields = self.source.schema.fields().iter();
        let fields = fields.filter(|field| field.name() != SOURCE_MARK).cloned();
        Schema::new(fields.collect::<Fields>())
    }

    /// Returns what expressions are planned with.
    pub(crate) fn state(&self) -> &SessionState {
        &self.state
    }

    /// Returns the columns of both relations, and of the answers.
    pub(crate) fn columns(&self) -> &DFSchema {
        &self.joined
    }

    /// Returns the type of an expression over the relations.
    pub(crate) fn type_of(&self, expression: &Expr) -> Result<DataType> {
        Ok(expression.get_type(&self.joined)?)
    }

    /// Finds the source's column that is called `name`.
    pub(crate) fn source_column(&self, name: &str) -> Option<&str> {
        find(self.source.schema.fields(), name)
    }

    /// Reads a condition. `what` names it in errors.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no condition on a row: Delta's rules.
    pub(crate) fn condition(&self, text: &str, visible: Visible, what: &str) -> Result<Expr> {
        let condition = self.expression(text, visible)?;
        if condition.is_volatile() {
            return Err(unsupported(
                "DELTA_NON_DETERMINISTIC_FUNCTION_NOT_SUPPORTED",
                format!("non-deterministic functions are not supported in the {what} of MERGE: `{text}`"),
            ));
        }
        match self.type_of(&condition)? {
            DataType::Boolean => Ok(condition),
            DataType::Null => Ok(cast(condition, DataType::Boolean)),
            other => Err(clause_error(
                "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN",
                "42K09",
                format!(
                    "the {what} `{text}` is of type \"{}\", not \"BOOLEAN\"",
                    type_text(&other).to_uppercase()
                ),
            )),
        }
    }

    /// Reads a value.
    pub(crate) fn expression(&self, text: &str, visible: Visible) -> Result<Expr> {
        let mut parsed = dialect::expression(text)?;
        self.answers.put_columns(text, &mut parsed)?;
        resolve::bind(&mut parsed, &self.values, &Reads::default())?;
        let mut names = Names {
            scope: self,
            visible,
            parameters: Vec::new(),
        };
        if let ControlFlow::Break(error) = VisitMut::visit(&mut parsed, &mut names) {
            return Err(error);
        }
        self.routines.prepare(&mut parsed)?;
        let expression = spark::plan(&self.state, parsed, &self.joined)?;
        self.check_columns(&expression, visible)?;
        if expression.exists(|part| {
            Ok(matches!(
                part,
                Expr::AggregateFunction(_) | Expr::WindowFunction(_)
            ))
        })? {
            return Err(unsupported(
                "DELTA_AGGREGATION_NOT_SUPPORTED",
                format!("aggregate and window functions are not supported in MERGE: `{text}`"),
            ));
        }
        self.answers.put_values(expression)
    }

    /// Refuses columns of the target that have a mask, and those that the clause does not see; DataFusion finds them by
    /// their bare names.
    fn check_columns(&self, expression: &Expr, visible: Visible) -> Result<()> {
        if let Some(filtered) = self.filtered {
            let columns = expression.column_refs().into_iter();
            let mut of_target = columns.filter(|column| of_relation(column, TARGET));
            of_target.try_for_each(|column| filtered.check_column(&column.name))?;
        }
        let hidden = match visible {
            Visible::Both => return Ok(()),
            Visible::TargetOnly => SOURCE,
            Visible::SourceOnly => TARGET,
        };
        let columns = expression.column_refs();
        let seen = columns.iter().find(|column| of_relation(column, hidden));
        match seen {
            Some(column) => Err(unresolved(&column.name)),
            None => Ok(()),
        }
    }

    /// Returns the path of the target's column or field that `text` names, with or without the target's alias; one
    /// that only the source has if `new` columns are wanted.
    pub(crate) fn assigned(&self, text: &str, new: bool) -> Result<Path> {
        let parts = match dialect::expression(text)? {
            SqlExpr::Identifier(name) => vec![name],
            SqlExpr::CompoundIdentifier(parts) => parts,
            _ => return Err(unresolved(text)),
        };
        let known = |fields: &Fields| {
            self.target
                .prefixes(&parts)
                .find_map(|length| spelled(fields, &parts[length..]))
        };
        if let Some(path) = known(self.target.schema.fields()) {
            return Ok(path);
        }
        match known(self.source.schema.fields()).filter(|_| new) {
            Some(path) => Ok(path),
            None => Err(unresolved(text)),
        }
    }

    /// Returns the full name of a column; `None` when the name is no column that the clause may see.
    fn resolve(&self, parts: &[Ident], visible: Visible) -> Result<Option<Vec<Ident>>> {
        let target = Some(&self.target).filter(|_| visible != Visible::SourceOnly);
        let source = Some(&self.source).filter(|_| visible != Visible::TargetOnly);
        let found = |relation: Option<&Relation<'_>>| {
            let relation = relation?;
            let (alias, column) = relation.find(parts)?;
            let path = spelled(relation.schema.fields(), &parts[alias..]);
            let path = path.unwrap_or_else(|| {
                let rest = parts[alias + 1..].iter().map(|part| part.value.clone());
                std::iter::once(column.to_owned()).chain(rest).collect()
            });
            Some((alias, qualified(relation.name, &path)))
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
            (None, None) => Ok(None),
        }
    }

    /// Returns the value of a variable; `None` for a name of one part that may be no column at all.
    fn variable(&self, parts: &[Ident]) -> Result<Option<SqlExpr>> {
        let words: Vec<String> = parts.iter().map(|part| part.value.clone()).collect();
        let variable = VariableName::of(&words).and_then(|name| self.values.find(&name));
        match variable {
            Some(variable) => literal(&variable.value).map(Some),
            // One with a qualifier is a column.
            None if parts.len() > 1 => Err(unresolved(&text_of(parts))),
            None => Ok(None),
        }
    }
}

/// Puts columns and variables in the place of names.
struct Names<'a> {
    scope: &'a Scope<'a>,
    visible: Visible,
    /// The parameters of the lambdas around, in lower case. They hide columns.
    parameters: Vec<String>,
}

impl VisitorMut for Names<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expression: &mut SqlExpr) -> ControlFlow<Error> {
        if let SqlExpr::Lambda(lambda) = expression {
            let names = lambda
                .params
                .iter()
                .map(|parameter| parameter.name.value.to_lowercase());
            self.parameters.extend(names);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut SqlExpr) -> ControlFlow<Error> {
        let parts = match expression {
            SqlExpr::Lambda(lambda) => {
                let around = self.parameters.len().saturating_sub(lambda.params.len());
                self.parameters.truncate(around);
                return ControlFlow::Continue(());
            }
            SqlExpr::Identifier(name) => vec![name.clone()],
            SqlExpr::CompoundIdentifier(parts) if parts[0].value != ANSWERS => parts.clone(),
            _ => return ControlFlow::Continue(()),
        };
        if self.parameters.contains(&parts[0].value.to_lowercase()) {
            return ControlFlow::Continue(());
        }
        let meant = match self.scope.resolve(&parts, self.visible) {
            Ok(Some(resolved)) => Ok(Some(SqlExpr::CompoundIdentifier(resolved))),
            Ok(None) => self.scope.variable(&parts),
            Err(error) => Err(error),
        };
        match meant {
            Ok(Some(meant)) => *expression = meant,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

/// Reads an alias, a name in SQL; an empty one has no parts.
fn alias_parts(alias: &str) -> Result<Vec<String>> {
    if alias.is_empty() {
        return Ok(Vec::new());
    }
    let name = dialect::parser(alias)?.parse_object_name(false)?;
    resolve::parts(&name)
}

fn text_of(parts: &[Ident]) -> String {
    let parts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
    parts.join(".")
}

/// Finds a column, in any case.
fn find<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields
        .iter()
        .map(|field| field.name().as_str())
        .find(|field| field.eq_ignore_ascii_case(name) && *field != SOURCE_MARK)
}

/// Spells the name of a column, or of a field at any depth below it, as the schema does.
fn spelled(fields: &Fields, parts: &[Ident]) -> Option<Path> {
    let (first, rest) = parts.split_first()?;
    let name = find(fields, &first.value)?;
    if rest.is_empty() {
        return Some(vec![name.to_owned()]);
    }
    let (_, field) = fields.find(name)?;
    let DataType::Struct(fields) = field.data_type() else {
        return None;
    };
    let mut path = vec![name.to_owned()];
    path.extend(spelled(fields, rest)?);
    Some(path)
}

fn qualified(relation: &str, path: &[String]) -> Vec<Ident> {
    let parts = std::iter::once(relation).chain(path.iter().map(String::as_str));
    parts.map(|part| Ident::with_quote('"', part)).collect()
}

fn unresolved(text: &str) -> Error {
    clause_error(
        "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION",
        "42703",
        format!("a column with the name `{text}` cannot be resolved in the merge"),
    )
}

fn unsupported(condition: &'static str, message: String) -> Error {
    Error::Condition {
        kind: Kind::Unsupported,
        condition,
        sqlstate: "0AKDC",
        message,
    }
}
