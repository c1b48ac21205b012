//! One statement while it runs: what its task tells, and what is known of it at any time.
//!
//! The task of a statement has its trace as its own ([`Trace::current`]); what the statement spawns has not, and plans
//! are made before that. A statement of a script has a trace of its own, and tells that of the script the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::physical_plan::ExecutionPlan;
use ingot_common::history::{
    StatementCounts, StatementProfile, StatementRecord, StatementStatus, StatementTimes,
};
use ingot_common::{Principal, RequestContext, clock};
use tokio::time::Instant;
use uuid::Uuid;

use super::client::Client;
use super::plans::Plans;
use super::statement_type::statement_type;
use super::tags;

/// Bytes of a statement's text that are kept.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Bytes of an error's message that are kept.
const MESSAGE_BYTES_MAX: usize = 8 << 10;

tokio::task_local! {
    /// Of the statement that the task runs.
    static CURRENT: Arc<Trace>;
}

/// What is known of a statement as it comes.
#[derive(Debug)]
pub(crate) struct Started {
    pub text: String,
    pub query_tags: BTreeMap<String, Option<String>>,
}

impl Started {
    /// Puts the statement's tags over those of its session, which are in the form of the setting.
    pub fn new(context: &RequestContext, text: String, session_tags: Option<&str>) -> Self {
        let of_session = session_tags.map(tags::read).unwrap_or_default();
        let own = context.query_tags.as_deref().map(tags::read);
        Self {
            text,
            query_tags: of_session.into_iter().chain(own.unwrap_or_default()).collect(),
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Trace {
    id: Uuid,
    session_id: Option<Uuid>,
    principal: Principal,
    started: Started,
    statement_type: &'static str,
    client: Client,
    start_time: i64,
    begun: Instant,
    around: Option<Arc<Trace>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many times the statement waits at the moment: it does once, those of a script within it.
    queued_since: Option<Instant>,
    waited: Duration,
    /// From the beginning until the first plan was made, waiting apart.
    compilation: Option<Duration>,
    fetching: Duration,
    changes: bool,
    from_result_cache: bool,
    counts: StatementCounts,
    plans: Plans,
    ended: Option<Ended>,
}

#[derive(Debug, Clone)]
struct Ended {
    status: StatementStatus,
    error_message: Option<String>,
    after: Duration,
    at: i64,
}

impl Trace {
    /// Makes the trace of a statement that has just come.
    pub fn new(context: &RequestContext, started: Started) -> Self {
        let text = cut(started.text, TEXT_BYTES_MAX);
        Self {
            id: context.statement_id,
            session_id: context.session_id,
            principal: context.principal.clone(),
            statement_type: statement_type(&text),
            started: Started { text, ..started },
            client: Client::of(context.user_agent.as_deref()),
            start_time: clock::now_ms(),
            begun: Instant::now(),
            around: None,
            state: Mutex::default(),
        }
    }

    /// Makes the trace of a statement that this one, a script, runs.
    pub fn within(self: &Arc<Self>, text: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            session_id: self.session_id,
            principal: self.principal.clone(),
            statement_type: statement_type(text),
            started: Started {
                text: cut(text.to_owned(), TEXT_BYTES_MAX),
                query_tags: self.started.query_tags.clone(),
            },
            client: self.client.clone(),
            start_time: clock::now_ms(),
            begun: Instant::now(),
            around: Some(Arc::clone(self)),
            state: Mutex::default(),
        }
    }

    /// Returns that of the statement which the task runs.
    pub fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Runs work of the statement.
    pub async fn scope<T>(self: &Arc<Self>, work: impl Future<Output = T>) -> T {
        CURRENT.scope(Arc::clone(self), work).await
    }

    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Notes that the statement waits for its turn, until what is returned is dropped.
    pub fn queue() -> Option<Queued> {
        let trace = Self::current()?;
        trace.each(|state| state.queued_since = Some(Instant::now()));
        Some(Queued { trace })
    }

    /// Notes a plan that was made and is about to run.
    pub fn planned(&self, plan: &Arc<dyn ExecutionPlan>) {
        let mut trace = Some(self);
        while let Some(current) = trace {
            let since = current.begun.elapsed();
            let mut state = current.state();
            let waited = state.waited;
            state
                .compilation
                .get_or_insert_with(|| since.saturating_sub(waited));
            state.plans.add(plan);
            drop(state);
            trace = current.around.as_deref();
        }
    }

    /// Notes that the statement changes something: once its work has returned, that is done.
    pub fn changes(&self) {
        self.state().changes = true;
    }

    /// Notes that the rows are those of a statement before.
    pub fn known(&self) {
        self.each(|state| state.from_result_cache = true);
    }

    /// Notes files that were written.
    pub fn wrote(&self, files: usize, rows: usize, bytes: i64) {
        self.each(|state| {
            state.counts.written_files += count(files);
            state.counts.written_rows += count(rows);
            state.counts.written_bytes += u64::try_from(bytes).unwrap_or_default();
        });
    }

    /// Notes rows on their way to the client.
    pub(super) fn produced(&self, rows: usize) {
        let mut state = self.state();
        state.counts.produced_rows += count(rows);
        state.plans.settle();
    }

    /// Notes how long rows waited for the client to ask for the next.
    pub(super) fn fetched(&self, waited: Duration) {
        self.state().fetching += waited;
    }

    /// Says if dropped rows leave the statement done.
    pub(super) fn done_without_rows(&self) -> bool {
        self.state().changes
    }

    /// Notes how the statement ended, and returns what is known of it then; `None` where that had been noted.
    pub(super) fn end(
        &self,
        status: StatementStatus,
        error_message: Option<String>,
    ) -> Option<StatementProfile> {
        {
            let mut state = self.state();
            if state.ended.is_some() {
                return None;
            }
            state.queued_since = None;
            state.ended = Some(Ended {
                status,
                error_message: error_message.map(|message| cut(message, MESSAGE_BYTES_MAX)),
                after: self.begun.elapsed(),
                at: clock::now_ms().max(self.start_time),
            });
        }
        let profile = self.profile();
        // Plans hold what they have built.
        self.state().plans = Plans::default();
        Some(profile)
    }

    /// Returns what is known of the statement now.
    pub(super) fn record(&self) -> StatementRecord {
        let state = self.state();
        let ended = state.ended.clone();
        let total = ended
            .as_ref()
            .map_or_else(|| self.begun.elapsed(), |ended| ended.after);
        let queued = state.queued_since.map_or(Duration::ZERO, |since| since.elapsed());
        let waited = state.waited + queued;
        let compilation = state.compilation.unwrap_or_default();
        let execution = total.saturating_sub(waited + compilation + state.fetching);
        let read = state.plans.totals();
        let status = match (&ended, state.queued_since) {
            (Some(ended), _) => ended.status,
            (None, Some(_)) => StatementStatus::Queued,
            (None, None) => StatementStatus::Running,
        };
        StatementRecord {
            statement_id: self.id,
            session_id: self.session_id,
            status,
            executed_by: self.principal.as_str().to_owned(),
            statement_text: self.started.text.clone(),
            statement_type: self.statement_type.to_owned(),
            error_message: ended.as_ref().and_then(|ended| ended.error_message.clone()),
            client_application: self.client.application.clone(),
            client_driver: self.client.driver.clone(),
            start_time: self.start_time,
            end_time: ended.as_ref().map(|ended| ended.at),
            update_time: ended.as_ref().map_or_else(clock::now_ms, |ended| ended.at),
            times: StatementTimes {
                total: milliseconds(total),
                waiting_at_capacity: milliseconds(waited),
                compilation: milliseconds(compilation),
                execution: milliseconds(execution),
                result_fetch: milliseconds(state.fetching),
                tasks: read.task_nanoseconds / 1_000_000,
            },
            counts: StatementCounts {
                read_files: read.files,
                pruned_files: read.files_pruned,
                read_rows: read.rows,
                read_bytes: read.bytes,
                read_cache_bytes: read.cache_bytes,
                spilled_bytes: read.spilled_bytes,
                ..state.counts
            },
            from_result_cache: state.from_result_cache,
            query_tags: self.started.query_tags.clone(),
        }
    }

    /// Returns what is known of the statement and its plans now.
    pub(super) fn profile(&self) -> StatementProfile {
        let statement = self.record();
        let plans = self.state().plans.profiles();
        StatementProfile { statement, plans }
    }

    /// Changes what is known of this statement and of those around it.
    fn each(&self, change: impl Fn(&mut State)) {
        let mut trace = Some(self);
        while let Some(current) = trace {
            change(&mut current.state());
            trace = current.around.as_deref();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A statement that waits for its turn.
pub(crate) struct Queued {
    trace: Arc<Trace>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.trace.each(|state| {
            if let Some(since) = state.queued_since.take() {
                state.waited += since.elapsed();
            }
        });
    }
}

/// Cuts a text, between two characters.
pub(super) fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aß".to_owned(), 3), "aß");
        assert_eq!(cut("aß".to_owned(), 2), "a…");
        assert_eq!(cut(String::new(), 0), "");
    }
}
