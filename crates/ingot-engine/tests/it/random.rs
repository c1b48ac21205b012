//! Statements made at random: each ends in rows or in one of the error conditions, and never in a panic.
//!
//! `INGOT_TEST_SEED` makes other statements than those of every run (a number, or `random`), `INGOT_TEST_SECONDS` makes
//! runs longer. What a process runs stands in `<test>.sql` of Cargo's directory for tests, for the case that it dies of
//! it.

mod calls;
mod texts;
mod trees;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::{FutureExt, TryStreamExt};
use ingot_common::Classify;
use ingot_common::error::chain;
use ingot_engine::Session;

use crate::support::{Random, seed};

const FUNCTIONS: &str = include_str!("../spark/functions.txt");

/// How long one run makes statements.
const SECONDS: u64 = 10;

/// How long a processor may work on one statement: what takes longer is taken for one that never ends. The slowest, a
/// SELECT of 20,000 columns, takes two thirds of it: DataFusion compares each column's name with all before.
const STATEMENT_CPU_MAX: Duration = Duration::from_secs(30);

/// How long one statement may take, with all that it waits for.
const STATEMENT_TIME_MAX: Duration = Duration::from_secs(300);

/// What is wrong with statements, at most, before a run ends.
const WRONG_MAX: usize = 20;

/// Runs a test on a thread with the stack that those of the server have.
fn on_a_thread(test: impl AsyncFnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(ingot_engine::STACK_BYTES);
    let ended = thread.spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(test());
    });
    if let Err(panic) = ended.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

/// Returns the CPU time of this thread, which runs the statements of a test; `None` where no Linux tells it.
fn cpu_time() -> Option<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = statistics.split(' ').next().map(str::parse);
    Some(Duration::from_nanos(
        nanoseconds.expect("a number").expect("nanoseconds"),
    ))
}

/// A run: its seed, its end, and what it found.
struct Run {
    name: &'static str,
    seed: u64,
    random: Random,
    end: Instant,
    wrong: Vec<String>,
    statements: usize,
    with_rows: usize,
}

impl Run {
    fn new(name: &'static str) -> Self {
        let seed = seed();
        let seconds = match std::env::var("INGOT_TEST_SECONDS") {
            Ok(seconds) => seconds.parse().expect("a number"),
            Err(_) => SECONDS,
        };
        Self {
            name,
            seed,
            random: Random(seed),
            end: Instant::now() + Duration::from_secs(seconds),
            wrong: Vec::new(),
            statements: 0,
            with_rows: 0,
        }
    }

    /// Says if there is time for another statement.
    fn goes_on(&self) -> bool {
        Instant::now() < self.end && self.wrong.len() < WRONG_MAX
    }

    /// Runs a statement, and keeps what is wrong with how it ends.
    async fn check(&mut self, session: &Session, sql: &str) {
        let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.sql", self.name));
        std::fs::write(trace, sql).expect("written");
        let (start, cpu_before) = (Instant::now(), cpu_time());
        let ended = AssertUnwindSafe(outcome(session, sql)).catch_unwind().await;
        self.statements += 1;
        let wrong = match ended {
            Ok(Ok(())) => {
                self.with_rows += 1;
                None
            }
            Ok(Err(wrong)) => wrong,
            Err(panic) => {
                let message = panic.downcast_ref::<String>().cloned();
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                Some(format!(
                    "panicked: {}",
                    message.or(text).unwrap_or_else(|| "without a word".to_owned())
                ))
            }
        };
        let slow = || {
            let taken = start.elapsed();
            let cpu = cpu_time()
                .zip(cpu_before)
                .map_or(taken, |(now, before)| now.saturating_sub(before));
            let too_long = taken > STATEMENT_TIME_MAX || cpu > STATEMENT_CPU_MAX;
            too_long.then(|| format!("took {} s, {} s of CPU", taken.as_secs(), cpu.as_secs()))
        };
        if let Some(wrong) = wrong.or_else(slow) {
            self.wrong.push(format!("{sql}\n    {wrong}"));
        }
    }

    fn end(self) {
        let (name, statements, with_rows) = (self.name, self.statements, self.with_rows);
        println!("{name}: {statements} statements, {with_rows} with rows");
        assert!(
            self.wrong.is_empty(),
            "INGOT_TEST_SEED={}; not so:\n{}",
            self.seed,
            self.wrong.join("\n")
        );
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    let lines = FUNCTIONS
        .lines()
        .filter(|line| !line.starts_with(['#', ' ', '[']) && !line.is_empty());
    let names = lines.map(|line| {
        line.trim_end_matches('@')
            .split([' ', ':', '@'])
            .next()
            .unwrap_or(line)
    });
    names.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// Runs a statement to its end.
///
/// # Errors
/// What is wrong with the error that it ends in, if something is.
async fn outcome(session: &Session, sql: &str) -> Result<(), Option<String>> {
    let (condition, message) = match session.execute(sql).await {
        Ok(result) => match result.batches.try_collect::<Vec<_>>().await {
            Ok(_) => return Ok(()),
            Err(error) => (error.condition, error.message),
        },
        Err(error) => (error.condition().map(str::to_owned), chain(&error)),
    };
    Err(match condition.as_deref() {
        None => Some(format!("no condition: {message}")),
        Some("INTERNAL_ERROR") => Some(format!("internal: {message}")),
        Some(_) if message.contains("panicked") => Some(message),
        Some(_) => None,
    })
}
