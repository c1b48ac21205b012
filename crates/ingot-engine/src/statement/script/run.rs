//! A script that runs.
//!
//! Blocks are a stack, each with its scope of variables and its handlers. A statement that fails is handled where it
//! stands, by the innermost block that has a handler for its condition; the most specific of the block's handlers is
//! taken. What fails within a handler is for the blocks around the handler's. That there is no data stops nothing where
//! no handler is for it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::Statement;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use ingot_common::port::StatementResult;
use ingot_common::{Classify, Kind, ServiceError};

use super::super::light::is_light;
use super::super::{Answer, done, parse_query, read_part, value_of, variable};
use super::cursors::{Cursors, is_completion};
use super::diagnostics::Item;
use super::set::{self, Target};
use super::{Block, Caught, Declaration, Handler, Raised, Signal, Step};
use crate::history::Recording;
use crate::resolve::{self, Reads};
use crate::resources::reading;
use crate::session::{Variable, VariableName};
use crate::stack::deep;
use crate::{Error, Result, Session, dialect};

/// Bytes of the result of a query, at most: it is kept until the script ends.
const RESULT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The condition of a state that a script raises.
const USER_RAISED: &str = "USER_RAISED_EXCEPTION";

/// Runs a script.
///
/// # Errors
/// Those of its statements that no handler is for.
pub(super) async fn run(session: &Session, script: Block) -> Result<StatementResult> {
    let depth = session.values().depth();
    let mut running = Running {
        session,
        blocks: Vec::new(),
        cursors: Cursors::default(),
        handled: Vec::new(),
        result: None,
    };
    let outcome = running.block(&script).await;
    session.values().leave(depth);
    outcome.map_err(|failure| *failure.error)?;
    match running.result {
        Some((schema, batches)) => Ok(StatementResult {
            schema,
            batches: Box::pin(futures::stream::iter(batches.into_iter().map(Ok))),
        }),
        None => done(),
    }
}

/// What a statement leads to.
#[derive(Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Leave(String),
    Iterate(String),
    /// The end of the block that is so many blocks deep.
    Exit(usize),
}

/// An error, and how many blocks from the outermost may still handle it.
struct Failure {
    error: Box<Error>,
    blocks: usize,
}

type Outcome = std::result::Result<Flow, Failure>;

/// A block that is entered.
struct Entered<'a> {
    handlers: &'a [Handler],
    /// The conditions that it declares, with their states.
    conditions: Vec<(&'a str, &'a str)>,
    /// How many scopes of variables there are in it.
    scopes: usize,
    /// How many scopes of cursors.
    cursors: usize,
}

struct Running<'s, 'a> {
    session: &'s Session,
    blocks: Vec<Entered<'a>>,
    cursors: Cursors,
    /// The conditions that are being handled, the innermost last.
    handled: Vec<Arc<Error>>,
    /// The rows of the last query.
    result: Option<(SchemaRef, Vec<RecordBatch>)>,
}

impl<'s, 'a> Running<'s, 'a> {
    fn block<'f>(&'f mut self, block: &'a Block) -> BoxFuture<'f, Outcome>
    where
        'a: 'f,
    {
        deep(async move {
            let depth = self.session.values().depth();
            self.session.values().enter(block.label.as_deref());
            let cursors = self.cursors.depth();
            self.cursors.enter(block.label.as_deref());
            // Errors of declarations are for the blocks around.
            let outer = self.blocks.len();
            let declared = self.declare(&block.declarations).await;
            let outcome = match declared {
                Err(error) => Err(Failure {
                    error: Box::new(error),
                    blocks: outer,
                }),
                Ok(conditions) => {
                    self.blocks.push(Entered {
                        handlers: &block.handlers,
                        conditions,
                        scopes: depth + 1,
                        cursors: cursors + 1,
                    });
                    let outcome = self.steps(&block.body).await;
                    self.blocks.truncate(outer);
                    outcome
                }
            };
            self.session.values().leave(depth);
            self.cursors.leave(cursors);
            match outcome? {
                Flow::Exit(exited) if exited == outer => Ok(Flow::Next),
                Flow::Leave(label) if block.label.as_ref() == Some(&label) => Ok(Flow::Next),
                flow => Ok(flow),
            }
        })
    }

    async fn declare(&mut self, declarations: &'a [Declaration]) -> Result<Vec<(&'a str, &'a str)>> {
        let mut conditions = Vec::new();
        for declaration in declarations {
            match declaration {
                Declaration::Condition { name, sqlstate } => {
                    conditions.push((name.as_str(), sqlstate.as_str()))
                }
                Declaration::Cursor { name, query } => self.cursors.declare(name, query)?,
                Declaration::Variable {
                    names,
                    sql_type,
                    default,
                } => {
                    let default = match default {
                        Some(text) => dialect::expression(text)?,
                        None => dialect::expression("NULL")?,
                    };
                    let value = value_of(self.session, default, sql_type.clone()).await?;
                    for name in names {
                        let variable = Variable {
                            data_type: value.data_type(),
                            default: value.clone(),
                            value: value.clone(),
                            sql_type: sql_type.clone(),
                        };
                        self.session.values().declare_local(name, variable)?;
                    }
                }
            }
        }
        Ok(conditions)
    }

    /// Runs statements until one leads elsewhere.
    fn steps<'f>(&'f mut self, steps: &'a [Step]) -> BoxFuture<'f, Outcome>
    where
        'a: 'f,
    {
        deep(async move {
            for step in steps {
                let flow = match self.step(step).await {
                    Ok(flow) => flow,
                    Err(failure) => self.handle(failure).await?,
                };
                if flow != Flow::Next {
                    return Ok(flow);
                }
            }
            Ok(Flow::Next)
        })
    }

    async fn step(&mut self, step: &'a Step) -> Outcome {
        if self.session.stop().is_cancelled() {
            return Err(self.failed(Error::Cancelled));
        }
        match step {
            Step::Block(block) => self.block(block).await,
            Step::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if self.is_true(condition).await? {
                        return self.steps(body).await;
                    }
                }
                self.steps(otherwise).await
            }
            Step::While {
                label,
                condition,
                body,
            } => {
                while self.is_true(condition).await? {
                    if let Some(flow) = self.pass(label.as_deref(), body).await? {
                        return Ok(flow);
                    }
                }
                Ok(Flow::Next)
            }
            Step::Repeat { label, body, until } => loop {
                if let Some(flow) = self.pass(label.as_deref(), body).await? {
                    return Ok(flow);
                }
                if self.is_true(until).await? {
                    return Ok(Flow::Next);
                }
            },
            Step::Loop { label, body } => loop {
                if let Some(flow) = self.pass(label.as_deref(), body).await? {
                    return Ok(flow);
                }
            },
            Step::For {
                label,
                variable,
                query,
                body,
            } => {
                self.for_rows(label.as_deref(), variable.as_deref(), query, body)
                    .await
            }
            Step::Leave(label) => Ok(Flow::Leave(label.clone())),
            Step::Iterate(label) => Ok(Flow::Iterate(label.clone())),
            Step::Statement(text) => {
                let ran = self.statement(text).await;
                self.next(ran)
            }
            Step::Set(text) => {
                let set = self.set(text).await;
                self.next(set)
            }
            Step::Open { cursor, using } => {
                let opened = self.cursors.open(self.session, cursor, using).await;
                self.next(opened)
            }
            Step::Fetch { cursor, into } => {
                let fetched = self.cursors.fetch(self.session, cursor, into).await;
                self.next(fetched)
            }
            Step::Close(cursor) => {
                let closed = self.cursors.close(cursor);
                self.next(closed)
            }
            Step::Signal(signal) => match self.signal(signal).await {
                Ok(error) | Err(error) => Err(self.failed(error)),
            },
            Step::Resignal => match self.handled.last() {
                Some(error) => Err(self.failed(copy(error))),
                None => Err(self.failed(outside("RESIGNAL"))),
            },
            Step::Diagnostics(assignments) => {
                let set = self.diagnostics(assignments).await;
                self.next(set)
            }
        }
    }

    fn next(&self, outcome: Result<()>) -> Outcome {
        match outcome {
            Ok(()) => Ok(Flow::Next),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: Error) -> Failure {
        Failure {
            error: Box::new(error),
            blocks: self.blocks.len(),
        }
    }

    /// Runs the body of a loop once. Returns where to go when the loop is over.
    async fn pass(
        &mut self,
        label: Option<&str>,
        body: &'a [Step],
    ) -> std::result::Result<Option<Flow>, Failure> {
        // A loop without a statement that waits would never let go of its thread.
        tokio::task::yield_now().await;
        if self.session.stop().is_cancelled() {
            return Err(self.failed(Error::Cancelled));
        }
        Ok(match self.steps(body).await? {
            Flow::Next => None,
            Flow::Iterate(named) if Some(named.as_str()) == label => None,
            Flow::Leave(named) if Some(named.as_str()) == label => Some(Flow::Next),
            flow => Some(flow),
        })
    }

    async fn for_rows(
        &mut self,
        label: Option<&str>,
        variable: Option<&str>,
        query: &str,
        body: &'a [Step],
    ) -> Outcome {
        let planned = async { rows(self.session, parse_query(query)?).await };
        let mut batches = match planned.await {
            Ok(batches) => batches,
            Err(error) => return Err(self.failed(error)),
        };
        loop {
            let next = reading(async { Ok(batches.try_next().await?) }).await;
            let batch = match next {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => return Err(self.failed(error)),
            };
            for row in 0..batch.num_rows() {
                let depth = self.session.values().depth();
                self.session.values().enter(variable);
                let bound = self.bind(&batch, row);
                let passed = match bound {
                    Ok(()) => self.pass(label, body).await,
                    Err(error) => Err(self.failed(error)),
                };
                self.session.values().leave(depth);
                if let Some(flow) = passed? {
                    return Ok(flow);
                }
            }
        }
        Ok(Flow::Next)
    }

    /// Makes variables of the columns of a row.
    fn bind(&self, batch: &RecordBatch, row: usize) -> Result<()> {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let value = ScalarValue::try_from_array(column, row)?;
            let variable = Variable {
                data_type: value.data_type(),
                default: value.clone(),
                value,
                sql_type: None,
            };
            let name = crate::spark::shown_name(field.name());
            self.session.values().declare_local(name, variable)?;
        }
        Ok(())
    }

    /// Evaluates a condition; null is not true.
    async fn is_true(&self, condition: &str) -> std::result::Result<bool, Failure> {
        self.truth(condition).await.map_err(|error| self.failed(error))
    }

    async fn truth(&self, condition: &str) -> Result<bool> {
        match value_of(self.session, dialect::expression(condition)?, None).await? {
            ScalarValue::Boolean(truth) => Ok(truth.unwrap_or(false)),
            ScalarValue::Null => Ok(false),
            _ => Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "INVALID_BOOLEAN_STATEMENT",
                sqlstate: "22546",
                message: format!("`{condition}` is no truth value"),
            }),
        }
    }

    /// Runs a statement as one that is alone, to its end.
    async fn statement(&mut self, text: &str) -> Result<()> {
        let answer = super::super::answer(self.session, text);
        let history = self.session.engine().query_history();
        let Answer { result, shown } = match Recording::within(history, text) {
            Some(recording) => {
                let (Answer { result, shown }, recording) = recording.run(answer).await?;
                let result = recording.watch(result);
                Answer { result, shown }
            }
            None => answer.await?,
        };
        let schema = Arc::clone(&result.schema);
        let mut batches = result.batches;
        let mut kept = Vec::new();
        let mut bytes = 0;
        while let Some(batch) = batches.try_next().await.map_err(of_service)? {
            bytes += batch.get_array_memory_size();
            if bytes > RESULT_BYTES_MAX {
                return Err(Error::Condition {
                    kind: Kind::ResourceExhausted,
                    condition: "OUT_OF_MEMORY",
                    sqlstate: "53200",
                    message: format!("a query of a script gives more than {RESULT_BYTES_MAX} bytes"),
                });
            }
            kept.push(batch);
        }
        if shown {
            self.result = Some((schema, kept));
        }
        Ok(())
    }

    /// Sets variables, or a setting.
    async fn set(&mut self, text: &str) -> Result<()> {
        let session = self.session;
        let known = |name: &VariableName| session.values().find(name).is_some();
        let variables = match set::target(text)? {
            Target::Variables => true,
            Target::Setting => false,
            Target::Qualified(name) => name.is_some_and(|name| known(&name)),
        };
        match variables {
            true => {
                let work = set::variables(session, text)?;
                super::super::run(session, work).await.map(drop)
            }
            false => self.statement(text).await,
        }
    }

    async fn text(&self, expression: &str) -> Result<Option<String>> {
        let value = value_of(self.session, dialect::expression(expression)?, None).await?;
        Ok(value.try_as_str().flatten().map(str::to_owned))
    }

    /// Makes the error that a SIGNAL raises.
    async fn signal(&self, signal: &Signal) -> Result<Error> {
        let mut message = match &signal.message {
            Some(text) => self.text(text).await?.unwrap_or_default(),
            None => String::new(),
        };
        if let Some(arguments) = &signal.arguments {
            let value = value_of(self.session, dialect::expression(arguments)?, None).await?;
            message = message_of(&value)?;
        }
        let (condition, sqlstate) = match &signal.raised {
            Raised::SqlState(state) => (USER_RAISED.to_owned(), state.clone()),
            Raised::Named(name) => {
                let declared = self.blocks.iter().rev().flat_map(|block| &block.conditions);
                let found = declared.into_iter().find(|(declared, _)| declared == name);
                let state = found.map_or("45000", |(_, state)| *state);
                (name.clone(), state.to_owned())
            }
        };
        if message.is_empty() {
            message = format!("{condition} is raised");
        }
        Ok(Error::Raised {
            kind: Kind::InvalidArgument,
            condition,
            sqlstate,
            message,
        })
    }

    async fn diagnostics(&self, assignments: &[(String, Item)]) -> Result<()> {
        let Some(error) = self.handled.last() else {
            return Err(outside("GET DIAGNOSTICS"));
        };
        for (name, item) in assignments {
            let parts = resolve::parts(&resolve::object_name(name)?)?;
            let variable = VariableName::of(&parts);
            let variable = variable.ok_or_else(|| Error::parse(format!("`{name}` is no variable")))?;
            variable::assign_value(self.session, &variable, item.of(error)?).await?;
        }
        Ok(())
    }

    /// Has a handler see to a failure.
    async fn handle(&mut self, failure: Failure) -> Outcome {
        let Some((level, handler)) = self.handler_of(&failure) else {
            return match is_completion(&failure.error) {
                true => Ok(Flow::Next),
                false => Err(failure),
            };
        };
        self.handled.push(Arc::new(*failure.error));
        // Blocks within the handler's are not around its action.
        let Entered { scopes, cursors, .. } = self.blocks[level];
        let hidden = self.blocks.split_off(level);
        let hidden_scopes = self.session.values().hide(scopes);
        let hidden_cursors = self.cursors.hide(cursors);
        let acted = self.steps(&handler.action).await;
        self.cursors.show(hidden_cursors);
        self.session.values().show(hidden_scopes);
        self.blocks.truncate(level);
        self.blocks.extend(hidden);
        self.handled.pop();
        match acted? {
            Flow::Next if handler.goes_on => Ok(Flow::Next),
            Flow::Next => Ok(Flow::Exit(level)),
            flow => Ok(flow),
        }
    }

    /// Finds the handler of the innermost block that has one, and how many blocks are around that block.
    fn handler_of(&self, failure: &Failure) -> Option<(usize, &'a Handler)> {
        if matches!(*failure.error, Error::Cancelled) {
            return None;
        }
        let eligible = self.blocks.iter().enumerate().take(failure.blocks).rev();
        for (level, block) in eligible {
            let handlers = block.handlers.iter();
            let ranked = handlers.filter_map(|handler| Some((self.rank(handler, &failure.error)?, handler)));
            if let Some((_, handler)) = ranked.min_by_key(|(rank, _)| *rank) {
                return Some((level, handler));
            }
        }
        None
    }

    /// Says how specific a handler is for an error: the less, the more so. `None` for one that is not for it.
    fn rank(&self, handler: &Handler, error: &Error) -> Option<u8> {
        let name = error.condition().unwrap_or("INTERNAL_ERROR").to_uppercase();
        let state = error.sqlstate().unwrap_or("XX000");
        let found = handler.conditions.iter().filter_map(|caught| match caught {
            Caught::Named(named) if *named == name => Some(0),
            // A class of conditions.
            Caught::Named(named) if name.split('.').next() == Some(named) => Some(1),
            Caught::Named(named) if self.state_of(named) == Some(state) => Some(2),
            Caught::SqlState(caught) if caught == state => Some(2),
            Caught::NotFound if state.starts_with("02") => Some(3),
            Caught::Exception if !["00", "01", "02"].iter().any(|class| state.starts_with(class)) => Some(3),
            _ => None,
        });
        found.min()
    }

    /// Returns the state that a condition is declared for, unless it is the general one.
    fn state_of(&self, name: &str) -> Option<&'a str> {
        let mut declared = self.blocks.iter().rev().flat_map(|block| &block.conditions);
        let (_, state) = declared.find(|(declared, _)| *declared == name)?;
        (*state != "45000").then_some(state)
    }
}

/// Plans a query of a script, with the values of its variables, and begins to run it.
///
/// # Errors
/// What is wrong with the query.
pub(super) async fn rows(session: &Session, query: Statement) -> Result<SendableRecordBatchStream> {
    let (namespace, reads) = (session.namespace(), Reads::default());
    read_part(session, is_light(session, &query), async {
        let rows = resolve::plan(session, query, &namespace, &reads).await?;
        Ok(rows.execute_stream().await?)
    })
    .await
}

fn outside(statement: &str) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "GET_DIAGNOSTICS_OUTSIDE_HANDLER",
        sqlstate: "0Z002",
        message: format!("{statement} stands in a handler"),
    }
}

/// Makes the error of a batch an error of the engine again.
fn of_service(error: ServiceError) -> Error {
    match error.kind {
        Kind::Cancelled => Error::Cancelled,
        kind => Error::Raised {
            kind,
            condition: error.condition.unwrap_or_else(|| "INTERNAL_ERROR".to_owned()),
            sqlstate: error.sqlstate.unwrap_or_else(|| "XX000".to_owned()),
            message: error.message,
        },
    }
}

/// Makes an error that says the same.
pub(super) fn copy(error: &Error) -> Error {
    Error::Raised {
        kind: error.kind(),
        condition: error.condition().unwrap_or("INTERNAL_ERROR").to_owned(),
        sqlstate: error.sqlstate().unwrap_or("XX000").to_owned(),
        message: ingot_common::error::chain(error),
    }
}

/// Writes the values of a map of a message's arguments.
fn message_of(arguments: &ScalarValue) -> Result<String> {
    let ScalarValue::Map(map) = arguments else {
        return Err(Error::parse("MESSAGE_ARGUMENTS is a map of texts".to_owned()));
    };
    let values = map.values();
    let mut parts = Vec::with_capacity(values.len());
    for row in 0..values.len() {
        if let Some(text) = ScalarValue::try_from_array(values, row)?.try_as_str().flatten() {
            parts.push(text.to_owned());
        }
    }
    Ok(parts.join(", "))
}
