//! Subqueries in the texts of a merge: answered before it begins, each once, and put in as values.
//!
//! Delta refuses them all. Those that stand by themselves have one answer for the whole merge, so they are taken here;
//! those that refer to a row of the merge are refused, by Delta's name. So are calls of functions that have a query.
//! Answers count as read by the merge.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Expr, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Function, Ident, Query, SelectItem, SetExpr, Statement, Visit, VisitMut, Visitor,
    VisitorMut, With,
};
use ingot_common::{Classify, Kind};
use ingot_delta::{DeltaTable, Snapshot};

use super::clause_error;
use crate::resolve::routines::Routines;
use crate::resolve::{self, Reads};
use crate::resources::reading;
use crate::write::{older, snapshot_read};
use crate::{Error, Result, Session, ast, dialect};

/// The relation whose columns stand for answers.
pub(crate) const ANSWERS: &str = "__ingot_answers";

/// Values that `IN (subquery)` may give. They are compared one by one with each row, and kept in the plan.
const VALUES_MAX: usize = 1 << 16;

/// What the subqueries of a merge's texts say.
#[derive(Default)]
pub(crate) struct Answers {
    fields: Vec<Field>,
    /// One value for a scalar subquery and EXISTS, all of them for IN.
    values: Vec<Vec<ScalarValue>>,
    /// For each text, the number of its first answer.
    first: HashMap<String, usize>,
    /// The functions that the texts call.
    routines: Arc<Routines>,
    /// The snapshot of the target that an answer was computed from.
    pub read: Option<Arc<Snapshot>>,
}

/// Where names in subqueries are looked up.
pub(crate) struct Asker<'a> {
    pub session: &'a Session,
    pub table: &'a DeltaTable,
    pub reads: &'a Reads,
    /// The statement's common table expressions.
    pub with: Option<&'a With>,
    /// The functions that the merge's texts call.
    pub routines: &'a Arc<Routines>,
}

impl Answers {
    /// Answers the subqueries of `texts`.
    ///
    /// # Errors
    /// `Unsupported` for a subquery that refers to the merge's rows; `InvalidArgument` for one that gives several rows
    /// or columns where one value is wanted.
    pub(crate) async fn collect(asker: &Asker<'_>, texts: impl Iterator<Item = &str>) -> Result<Self> {
        let mut answers = Self {
            routines: Arc::clone(asker.routines),
            ..Self::default()
        };
        for text in texts {
            if answers.first.contains_key(text) {
                continue;
            }
            answers.first.insert(text.to_owned(), answers.values.len());
            let mut parsed = dialect::expression(text)?;
            for asked in take(&mut parsed, answers.values.len(), asker.routines)? {
                let (data_type, values) = answer(asker, asked, text, &mut answers.read).await?;
                let name = answer_name(answers.values.len());
                answers.fields.push(Field::new(name, data_type, true));
                answers.values.push(values);
            }
        }
        Ok(answers)
    }

    /// Returns the columns of [`ANSWERS`].
    pub(crate) fn fields(&self) -> Fields {
        self.fields.iter().cloned().collect()
    }

    /// Puts columns of [`ANSWERS`] in the place of the subqueries of a parsed text.
    pub(crate) fn put_columns(&self, text: &str, parsed: &mut SqlExpr) -> Result<()> {
        match self.first.get(text) {
            Some(first) => take(parsed, *first, &self.routines).map(drop),
            None => Ok(()),
        }
    }

    /// Puts values in the place of those columns.
    pub(crate) fn put_values(&self, expression: Expr) -> Result<Expr> {
        if self.values.is_empty() {
            return Ok(expression);
        }
        let put = expression.transform_down(|part| match part {
            Expr::InList(list) => match list.list.as_slice() {
                [only] if self.values_of(only).is_some() => {
                    let values = self.values_of(only).unwrap_or_default();
                    let values = values.iter().cloned().map(lit).collect();
                    Ok(Transformed::yes(Expr::InList(InList::new(
                        list.expr,
                        values,
                        list.negated,
                    ))))
                }
                _ => Ok(Transformed::no(Expr::InList(list))),
            },
            column => match self.values_of(&column).and_then(<[_]>::first) {
                Some(value) => Ok(Transformed::yes(lit(value.clone()))),
                None => Ok(Transformed::no(column)),
            },
        });
        Ok(put?.data)
    }

    fn values_of(&self, expression: &Expr) -> Option<&[ScalarValue]> {
        let Expr::Column(column) = expression else {
            return None;
        };
        let answers = column
            .relation
            .as_ref()
            .is_some_and(|table| table.table() == ANSWERS);
        let place = self
            .fields
            .iter()
            .position(|field| *field.name() == column.name)?;
        self.values.get(place).filter(|_| answers).map(Vec::as_slice)
    }
}

/// A subquery, and what is asked of it.
struct Asked {
    query: Box<Query>,
    question: Question,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Value,
    Values,
    Exists { negated: bool },
}

fn answer_name(number: usize) -> String {
    format!("answer_{number}")
}

/// Takes the subqueries out of an expression, and puts columns in their place, numbered from `first`.
fn take(expression: &mut SqlExpr, first: usize, routines: &Routines) -> Result<Vec<Asked>> {
    let mut taker = Taker {
        routines,
        first,
        asked: Vec::new(),
    };
    match VisitMut::visit(expression, &mut taker) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(taker.asked),
    }
}

struct Taker<'a> {
    routines: &'a Routines,
    first: usize,
    asked: Vec<Asked>,
}

impl Taker<'_> {
    fn column(&mut self, query: &Query, question: Question) -> SqlExpr {
        let name = answer_name(self.first + self.asked.len());
        self.asked.push(Asked {
            query: Box::new(query.clone()),
            question,
        });
        SqlExpr::CompoundIdentifier(vec![
            Ident::with_quote('"', ANSWERS),
            Ident::with_quote('"', name),
        ])
    }
}

impl VisitorMut for Taker<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expression: &mut SqlExpr) -> ControlFlow<Error> {
        *expression = match expression {
            SqlExpr::Subquery(query) => self.column(query, Question::Value),
            SqlExpr::Exists { subquery, negated } => {
                self.column(subquery, Question::Exists { negated: *negated })
            }
            SqlExpr::InSubquery {
                expr,
                subquery,
                negated,
            } => SqlExpr::InList {
                list: vec![self.column(subquery, Question::Values)],
                expr: expr.clone(),
                negated: *negated,
            },
            SqlExpr::Function(call) if self.routines.has_query(&call.name) && of_no_row(call) => {
                self.column(&query_of(call), Question::Value)
            }
            SqlExpr::AnyOp { right, .. } | SqlExpr::AllOp { right, .. }
                if matches!(right.as_ref(), SqlExpr::Subquery(_)) =>
            {
                return ControlFlow::Break(unsupported(
                    "ANY and ALL over a subquery are not supported in MERGE".to_owned(),
                ));
            }
            _ => return ControlFlow::Continue(()),
        };
        ControlFlow::Continue(())
    }
}

/// Makes a query of the value of a call.
fn query_of(call: &Function) -> Query {
    let mut select = ast::select_all();
    select.projection = vec![SelectItem::UnnamedExpr(SqlExpr::Function(call.clone()))];
    ast::query(SetExpr::Select(Box::new(select)))
}

/// Says if the arguments of a call name nothing but in queries of their own.
fn of_no_row(call: &Function) -> bool {
    struct Named {
        queries: usize,
    }
    impl Visitor for Named {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.queries += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.queries -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expression: &SqlExpr) -> ControlFlow<()> {
            match expression {
                SqlExpr::Identifier(_) | SqlExpr::CompoundIdentifier(_) if self.queries == 0 => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    call.args.visit(&mut Named { queries: 0 }).is_continue()
}

/// Runs a subquery and returns the type of its values, and these.
async fn answer(
    asker: &Asker<'_>,
    asked: Asked,
    text: &str,
    read: &mut Option<Arc<Snapshot>>,
) -> Result<(DataType, Vec<ScalarValue>)> {
    let mut query = asked.query;
    if let Some(with) = asker.with {
        add_with(&mut query, with);
    }
    let namespace = asker.session.namespace();
    let rows = resolve::plan(asker.session, Statement::Query(query), &namespace, asker.reads)
        .await
        .map_err(|error| correlated(error, text))?;
    let seen = snapshot_read(rows.logical_plan(), asker.table.location())?;
    *read = older(read.take(), seen);
    match asked.question {
        Question::Exists { negated } => {
            let first = rows.limit(0, Some(1))?;
            let exists = reading(async { Ok(first.count().await?) }).await? > 0;
            let value = ScalarValue::Boolean(Some(exists != negated));
            Ok((DataType::Boolean, vec![value]))
        }
        Question::Value => {
            let (data_type, mut values) = values(rows.limit(0, Some(2))?).await?;
            if values.len() > 1 {
                return Err(clause_error(
                    "SCALAR_SUBQUERY_TOO_MANY_ROWS",
                    "21000",
                    format!("a subquery that stands for one value gives several rows: `{text}`"),
                ));
            }
            if values.is_empty() {
                values.push(ScalarValue::try_from(&data_type)?);
            }
            Ok((data_type, values))
        }
        Question::Values => {
            let (data_type, values) = values(rows.distinct()?.limit(0, Some(VALUES_MAX + 1))?).await?;
            if values.len() > VALUES_MAX {
                return Err(unsupported(format!(
                    "IN with a subquery of more than {VALUES_MAX} values is not supported in MERGE: `{text}`\nhint: \
                     join it to the source"
                )));
            }
            Ok((data_type, values))
        }
    }
}

/// Returns the values of the only column.
async fn values(rows: DataFrame) -> Result<(DataType, Vec<ScalarValue>)> {
    let data_type = match rows.schema().fields().as_ref() {
        [only] => only.data_type().clone(),
        several => {
            return Err(clause_error(
                "INVALID_SUBQUERY_EXPRESSION.SCALAR_SUBQUERY_RETURN_MORE_THAN_ONE_OUTPUT_COLUMN",
                "42823",
                format!(
                    "a subquery that stands for values gives {} columns",
                    several.len()
                ),
            ));
        }
    };
    let mut values = Vec::new();
    for batch in reading(async { Ok(rows.collect().await?) }).await? {
        for row in 0..batch.num_rows() {
            values.push(ScalarValue::try_from_array(batch.column(0), row)?);
        }
    }
    Ok((data_type, values))
}

/// Puts the common table expressions of a statement before those of a query.
pub(crate) fn add_with(query: &mut Query, with: &With) {
    match &mut query.with {
        Some(own) => {
            let cte_tables = with.cte_tables.iter().cloned();
            own.recursive |= with.recursive;
            own.cte_tables = cte_tables.chain(own.cte_tables.drain(..)).collect();
        }
        None => query.with = Some(with.clone()),
    }
}

/// Names the reason why a subquery with unknown columns cannot be answered: they may be those of the merge's rows.
fn correlated(error: Error, text: &str) -> Error {
    let unresolved = error.condition().is_some_and(|condition| {
        condition.starts_with("UNRESOLVED_COLUMN") || condition == "TABLE_OR_VIEW_NOT_FOUND"
    });
    if !unresolved {
        return error;
    }
    unsupported(format!(
        "subqueries that refer to rows of the MERGE are not supported: `{text}`: {error}\nhint: join them to the source"
    ))
}

fn unsupported(message: String) -> Error {
    Error::Condition {
        kind: Kind::Unsupported,
        condition: "DELTA_UNSUPPORTED_SUBQUERY",
        sqlstate: "0AKDC",
        message,
    }
}
