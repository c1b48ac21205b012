//! The clauses of a merge, compiled: when each holds, and what it makes of a row.
//!
//! ```text
//! texts ─► assignments: path ─► value ─► schema after the merge (`WITH SCHEMA EVOLUTION`) ─► one expression a column
//! ```
//! `UPDATE SET *` and `INSERT *` are assignments of the source's columns, but for those after `EXCEPT`. With schema
//! evolution they take what the source has: the table's other columns keep their values, or get those of a row that does not name them, and so for
//! the fields of structs. Source: Delta, `ResolveDeltaMergeInto`, `UpdateExpressionsSupport`.

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::functions::core::expr_fn::{get_field, named_struct};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::Expr as SqlExpr;
use ingot_delta::column::{GENERATION_EXPRESSION, IDENTITY_START, Identity};
use ingot_delta::{DeltaTable, Evolution, RowIdColumns, Snapshot, TypeEvolution};

use super::expressions::{Path, SOURCE, Scope, TARGET, Visible, column};
use super::{Merge, MergeAction, MergeClause, MergeMatching, clause_error};
use crate::row_ids::{self, row_id};
use crate::write::rules::values::{Given, MissingValues};
use crate::write::{MissingFields, stored};
use crate::{Error, Result, dialect};

/// A merge's clauses, compiled.
pub(crate) struct Clauses {
    pub on: Expr,
    pub clauses: Vec<Clause>,
    /// What the merge makes of the table's schema, if it changes it.
    pub evolution: Option<Evolution>,
    /// The values of columns that no clause names.
    pub missing: MissingValues,
}

/// One clause. Its number in [`Clauses::clauses`] stands for it in plans.
pub(crate) struct Clause {
    pub matching: MergeMatching,
    /// `None` always holds.
    pub condition: Option<Expr>,
    /// The row after the clause, column by column of the table; `None` deletes it.
    pub row: Option<Vec<Expr>>,
}

impl Clauses {
    /// Compiles the texts of `merge`, whose names mean what `scope` says.
    ///
    /// # Errors
    /// `InvalidArgument` for a column that is unknown or ambiguous, for an action that does not fit the rows
    /// of its clause, and for a value whose type cannot be stored in its column.
    pub(crate) fn compile(
        merge: &Merge,
        table: &DeltaTable,
        snapshot: &Snapshot,
        scope: &Scope<'_>,
    ) -> Result<Self> {
        let on = scope.condition(&merge.on, Visible::Both, "search condition")?;
        let parsed = merge
            .clauses
            .iter()
            .map(|clause| Parsed::new(merge, scope, clause))
            .collect::<Result<Vec<_>>>()?;
        let evolution = match merge.schema_evolution {
            true => table.merged(snapshot, &new_columns(scope, &parsed), TypeEvolution::Keep)?,
            false => None,
        };
        let schema = evolution.as_ref().map_or(snapshot.schema(), Evolution::schema);
        let missing = MissingValues::new(scope.state().clone(), schema);
        let builder = Builder {
            merge,
            scope,
            schema,
            missing: &missing,
        };
        let clauses = parsed
            .iter()
            .map(|parsed| builder.clause(parsed))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            on,
            clauses,
            evolution,
            missing,
        })
    }

    /// Makes rows carry their ids: those of the target their own, new ones none.
    pub(crate) fn keep_row_ids(&mut self, ids: &RowIdColumns) {
        for clause in &mut self.clauses {
            let id = match clause.matching {
                MergeMatching::NotMatchedByTarget => row_ids::none(),
                _ => row_id(ids, |name| column(TARGET, name)),
            };
            if let Some(row) = &mut clause.row {
                row.extend([id, row_ids::none()]);
            }
        }
    }

    /// Says if there is a clause for such rows.
    pub(crate) fn any(&self, matching: MergeMatching) -> bool {
        self.of(matching).next().is_some()
    }

    /// Returns the clauses for such rows, with their numbers, in the order in which they are tried.
    pub(crate) fn of(&self, matching: MergeMatching) -> impl Iterator<Item = (usize, &Clause)> {
        let clauses = self.clauses.iter().enumerate();
        clauses.filter(move |(_, clause)| clause.matching == matching)
    }

    /// Says if the only clause for matched rows deletes them all: then it does not matter how often a row
    /// is matched.
    pub(crate) fn deletes_all_matched(&self) -> bool {
        let mut matched = self.of(MergeMatching::Matched);
        match (matched.next(), matched.next()) {
            (Some((_, only)), None) => only.row.is_none() && only.condition.is_none(),
            _ => false,
        }
    }

    /// Returns the number of the first clause for such rows whose condition holds; null if none does.
    pub(crate) fn choice(&self, matching: MergeMatching) -> Expr {
        let mut otherwise = lit(ScalarValue::Int32(None));
        let mut branches = Vec::new();
        for (number, clause) in self.of(matching) {
            let number = lit(ScalarValue::Int32(i32::try_from(number).ok()));
            match &clause.condition {
                Some(condition) => branches.push((Box::new(condition.clone()), Box::new(number))),
                None => {
                    otherwise = number;
                    break;
                }
            }
        }
        if branches.is_empty() {
            return otherwise;
        }
        Expr::Case(Case::new(None, branches, Some(Box::new(otherwise))))
    }
}

/// A clause whose values are read, before it is known what schema they go into.
struct Parsed<'a> {
    clause: &'a MergeClause,
    condition: Option<Expr>,
    action: Action,
}

enum Action {
    Delete,
    /// Every column of the source to the one of its name, but for these.
    All {
        except: Vec<String>,
    },
    Assign(Vec<Assignment>),
}

struct Assignment {
    path: Path,
    value: Value,
}

enum Value {
    Given(Expr),
    /// `DEFAULT`: what the column has in a row that does not name it.
    Default,
}

impl<'a> Parsed<'a> {
    fn new(merge: &Merge, scope: &Scope<'_>, clause: &'a MergeClause) -> Result<Self> {
        let (visible, what) = match clause.matching {
            MergeMatching::Matched => (Visible::Both, "MATCHED condition"),
            MergeMatching::NotMatchedByTarget => (Visible::SourceOnly, "NOT MATCHED condition"),
            MergeMatching::NotMatchedBySource => (Visible::TargetOnly, "NOT MATCHED BY SOURCE condition"),
        };
        let condition = match &clause.condition {
            Some(condition) => Some(scope.condition(condition, visible, what)?),
            None => None,
        };
        let new = merge.schema_evolution && clause.matching != MergeMatching::NotMatchedBySource;
        let assignments = |values: &[(String, String)]| {
            let assignments = values
                .iter()
                .map(|(name, value)| assignment(scope, name, value, visible, new));
            assignments.collect::<Result<Vec<_>>>()
        };
        let action = match (clause.matching, &clause.action) {
            (MergeMatching::Matched | MergeMatching::NotMatchedBySource, MergeAction::Delete) => {
                Action::Delete
            }
            (MergeMatching::Matched | MergeMatching::NotMatchedBySource, MergeAction::Update(values)) => {
                Action::Assign(assignments(values)?)
            }
            (MergeMatching::NotMatchedByTarget, MergeAction::Insert(values)) => {
                let assignments = assignments(values)?;
                if let Some(nested) = assignments.iter().find(|set| set.path.len() > 1) {
                    return Err(Error::unsupported(format!(
                        "nested field `{}` is not supported in the INSERT clause of MERGE; give the whole column",
                        nested.path.join(".")
                    )));
                }
                Action::Assign(assignments)
            }
            (MergeMatching::Matched, MergeAction::UpdateAll { except })
            | (MergeMatching::NotMatchedByTarget, MergeAction::InsertAll { except }) => Action::All {
                except: excepted(scope, except)?,
            },
            (matching, action) => {
                return Err(clause_error(
                    "PARSE_SYNTAX_ERROR",
                    "42601",
                    format!("{action:?} cannot be the action for {matching:?} rows"),
                ));
            }
        };
        if let Action::Assign(assignments) = &action {
            check_disjoint(assignments)?;
        }
        Ok(Self {
            clause,
            condition,
            action,
        })
    }
}

fn assignment(scope: &Scope<'_>, name: &str, value: &str, visible: Visible, new: bool) -> Result<Assignment> {
    let default = matches!(
        dialect::expression(value)?,
        SqlExpr::Identifier(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("default")
    );
    Ok(Assignment {
        path: scope.assigned(name, new)?,
        value: match default {
            true => Value::Default,
            false => Value::Given(scope.expression(value, visible)?),
        },
    })
}

/// Finds the columns that stand after EXCEPT, which the target or the source has.
fn excepted(scope: &Scope<'_>, names: &[String]) -> Result<Vec<String>> {
    let mut except = Vec::with_capacity(names.len());
    for name in names {
        match scope.assigned(name, true)?.as_slice() {
            [column] if !is_among(&except, column) => except.push(column.clone()),
            [column] => {
                return Err(clause_error(
                    "EXCEPT_OVERLAPPING_COLUMNS",
                    "42702",
                    format!("columns in an EXCEPT list must be distinct: `{column}` stands there twice"),
                ));
            }
            path => {
                return Err(Error::unsupported(format!(
                    "EXCEPT of MERGE takes whole columns, not the field `{}`",
                    path.join(".")
                )));
            }
        }
    }
    Ok(except)
}

fn is_among(names: &[String], name: &str) -> bool {
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// Refuses two values for one column, or for a column and a field of it.
fn check_disjoint(assignments: &[Assignment]) -> Result<()> {
    for (place, set) in assignments.iter().enumerate() {
        let others = assignments.iter().skip(place + 1);
        for other in others {
            if set.path.starts_with(&other.path) || other.path.starts_with(&set.path) {
                return Err(clause_error(
                    "DELTA_CONFLICT_SET_COLUMN",
                    "42701",
                    format!(
                        "there is a conflict from these SET columns: `{}`, `{}`",
                        set.path.join("."),
                        other.path.join(".")
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// Returns the part of the source's schema that a clause assigns something to by its own name.
fn new_columns(scope: &Scope<'_>, parsed: &[Parsed<'_>]) -> Schema {
    let starred = |column: &str| {
        parsed.iter().any(|parsed| match &parsed.action {
            Action::All { except } => !is_among(except, column),
            _ => false,
        })
    };
    let assigned: Vec<&Path> = parsed
        .iter()
        .filter(|parsed| parsed.clause.matching != MergeMatching::NotMatchedBySource)
        .filter_map(|parsed| match &parsed.action {
            Action::Assign(assignments) => Some(assignments.iter().map(|set| &set.path)),
            _ => None,
        })
        .flatten()
        .collect();
    let source = scope.source_schema();
    let fields = source.fields().iter();
    Schema::new(
        fields
            .filter_map(|field| used(field, &[], &assigned, starred(field.name())))
            .collect::<Fields>(),
    )
}

/// Returns what is assigned of a column, or of a field below the path `above`: all of it if it is `starred`.
fn used(field: &FieldRef, above: &[String], assigned: &[&Path], starred: bool) -> Option<FieldRef> {
    let same = |a: &[String], b: &[String]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    let mut path = above.to_vec();
    path.push(field.name().clone());
    if starred || assigned.iter().any(|assigned| same(assigned, &path)) {
        return Some(std::sync::Arc::clone(field));
    }
    let below = |assigned: &&Path| assigned.len() > path.len() && same(&assigned[..path.len()], &path);
    match field.data_type() {
        DataType::Struct(fields) if assigned.iter().any(below) => {
            let fields = fields.iter();
            let fields: Fields = fields
                .filter_map(|field| used(field, &path, assigned, false))
                .collect();
            let field = field.as_ref().clone();
            Some(std::sync::Arc::new(
                field.with_data_type(DataType::Struct(fields)),
            ))
        }
        _ => None,
    }
}

/// Makes rows of the schema that the table has after the merge.
struct Builder<'a> {
    merge: &'a Merge,
    scope: &'a Scope<'a>,
    schema: &'a SchemaRef,
    missing: &'a MissingValues,
}

impl Builder<'_> {
    fn clause(&self, parsed: &Parsed<'_>) -> Result<Clause> {
        let inserts = parsed.clause.matching == MergeMatching::NotMatchedByTarget;
        let row = match &parsed.action {
            Action::Delete => None,
            Action::Assign(assignments) => Some(self.row(assignments, inserts)?),
            Action::All { except } => Some(self.row(&self.all(inserts, except)?, inserts)?),
        };
        Ok(Clause {
            matching: parsed.clause.matching,
            condition: parsed.condition.clone(),
            row,
        })
    }

    fn row(&self, assignments: &[Assignment], inserts: bool) -> Result<Vec<Expr>> {
        let assignments: Vec<&Assignment> = assignments.iter().collect();
        let fields = self.schema.fields().iter();
        let given = fields.map(|field| self.given(field, &assignments, inserts));
        self.missing
            .complete(given.collect::<Result<Vec<_>>>()?, self.scope.columns())
    }

    /// What a clause says of a column.
    fn given(&self, field: &Field, assignments: &[&Assignment], inserts: bool) -> Result<Given> {
        let mut set = assignments.iter().filter(|set| {
            let first = set.path.first();
            first.is_some_and(|name| name.eq_ignore_ascii_case(field.name()))
        });
        let generated = field.metadata().contains_key(GENERATION_EXPRESSION);
        let Some(first) = set.next() else {
            return match inserts || generated {
                true => Ok(Given::Missing),
                false => Ok(Given::Kept(self.current(field)?)),
            };
        };
        if !inserts && Identity::of(field)?.is_some() {
            return Err(clause_error(
                "DELTA_IDENTITY_COLUMNS_UPDATE_NOT_SUPPORTED",
                "42808",
                format!("UPDATE on IDENTITY column `{}` is not supported", field.name()),
            ));
        }
        if first.path.len() == 1 && matches!(first.value, Value::Default) {
            return Ok(Given::Missing);
        }
        let current = match inserts {
            // Whole columns are inserted: nothing of this is left.
            true => lit(ScalarValue::try_from(field.data_type())?),
            false => self.current(field)?,
        };
        Ok(Given::Value(self.value(field, &[], current, assignments)?))
    }

    /// The value of a column, or of a field below the path `above`, after the assignments; `current` where there is
    /// none.
    fn value(
        &self,
        field: &Field,
        above: &[String],
        current: Expr,
        assignments: &[&Assignment],
    ) -> Result<Expr> {
        let depth = above.len();
        let here: Vec<&Assignment> = assignments
            .iter()
            .copied()
            .filter(|set| {
                set.path
                    .get(depth)
                    .is_some_and(|name| name.eq_ignore_ascii_case(field.name()))
            })
            .collect();
        let Some(first) = here.first() else {
            return Ok(current);
        };
        let mut path = above.to_vec();
        path.push(field.name().clone());
        if first.path.len() == path.len() {
            return match &first.value {
                Value::Given(value) => self.stored(value.clone(), field, &path),
                // Of a column it is looked after before.
                Value::Default => Ok(lit(ScalarValue::try_from(field.data_type())?)),
            };
        }
        let DataType::Struct(fields) = field.data_type() else {
            return Err(Error::internal(format!("`{}` has no fields", path.join("."))));
        };
        let mut arguments = Vec::with_capacity(2 * fields.len());
        for field in fields {
            let current = get_field(current.clone(), field.name().as_str());
            arguments.push(lit(field.name().as_str()));
            arguments.push(self.value(field, &path, current, &here)?);
        }
        self.stored(named_struct(arguments), field, &path)
    }

    fn stored(&self, value: Expr, field: &Field, path: &[String]) -> Result<Expr> {
        let missing = match self.merge.schema_evolution {
            true => MissingFields::Null,
            false => MissingFields::Refused,
        };
        let given = self.scope.type_of(&value)?;
        stored(value, &given, field, &path.join("."), missing)
    }

    /// What a column has before the merge; null in rows that are older than the column.
    fn current(&self, field: &Field) -> Result<Expr> {
        let Some((_, old)) = self.scope.target_schema().fields().find(field.name()) else {
            return Ok(lit(ScalarValue::try_from(field.data_type())?));
        };
        let current = column(TARGET, old.name());
        stored(current, old.data_type(), field, field.name(), MissingFields::Null)
    }

    /// The assignments that `*` stands for.
    fn all(&self, inserts: bool, except: &[String]) -> Result<Vec<Assignment>> {
        let mut assignments = Vec::new();
        if !self.merge.schema_evolution {
            for field in self.schema.fields() {
                if is_among(except, field.name()) {
                    continue;
                }
                let made = [GENERATION_EXPRESSION, IDENTITY_START];
                let made = made.iter().any(|key| field.metadata().contains_key(*key));
                if made && self.scope.source_column(field.name()).is_none() {
                    continue;
                }
                let name = self.scope.source_column(field.name()).ok_or_else(|| {
                    let clause = if inserts { "INSERT" } else { "UPDATE" };
                    clause_error(
                        "DELTA_MERGE_UNRESOLVED_EXPRESSION",
                        "42601",
                        format!(
                            "cannot resolve `{}` in {clause} clause: the source has no such column",
                            field.name()
                        ),
                    )
                })?;
                assignments.push(Assignment {
                    path: vec![field.name().clone()],
                    value: Value::Given(column(SOURCE, name)),
                });
            }
            return Ok(assignments);
        }
        for given in self.scope.source_schema().fields() {
            if is_among(except, given.name()) {
                continue;
            }
            let field = find(self.schema.fields(), given.name())?;
            let value = column(SOURCE, given.name());
            match inserts {
                true => assignments.push(Assignment {
                    path: vec![field.name().clone()],
                    value: Value::Given(value),
                }),
                false => unfold(given, value, field, &[], &mut assignments)?,
            }
        }
        Ok(assignments)
    }
}

/// Assigns a column of the source to `field`, or its fields one by one where the table has others that are to stay.
fn unfold(
    given: &Field,
    value: Expr,
    field: &Field,
    above: &[String],
    assignments: &mut Vec<Assignment>,
) -> Result<()> {
    let mut path = above.to_vec();
    path.push(field.name().clone());
    let (DataType::Struct(given_fields), DataType::Struct(fields)) = (given.data_type(), field.data_type())
    else {
        assignments.push(Assignment {
            path,
            value: Value::Given(value),
        });
        return Ok(());
    };
    if holds_all(given_fields, fields) {
        assignments.push(Assignment {
            path,
            value: Value::Given(value),
        });
        return Ok(());
    }
    for given in given_fields {
        let field = find(fields, given.name())?;
        let value = get_field(value.clone(), given.name().as_str());
        unfold(given, value, field, &path, assignments)?;
    }
    Ok(())
}

/// Says if a struct has all `fields`, at any depth.
fn holds_all(given: &Fields, fields: &Fields) -> bool {
    fields.iter().all(|field| match find(given, field.name()) {
        Ok(given) => match (given.data_type(), field.data_type()) {
            (DataType::Struct(given), DataType::Struct(fields)) => holds_all(given, fields),
            _ => true,
        },
        Err(_) => false,
    })
}

fn find<'a>(fields: &'a Fields, name: &str) -> Result<&'a FieldRef> {
    let found = fields
        .iter()
        .find(|field| field.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| Error::internal(format!("the merged schema lacks `{name}`")))
}
