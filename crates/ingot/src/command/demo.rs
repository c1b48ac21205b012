//! `ingot demo`: the whole path on real data, with checked answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use ingot_common::task::Supervisor;
use ingot_pipelines::{Mode, Project, UpdateHandle, run_update};
use tokio_util::sync::CancellationToken;
use toml::Value;

use crate::cli::GlobalArgs;
use crate::command::serve::{HttpServer, shutdown_max};
use crate::config::Config;
use crate::data_directory::PipelineState;
use crate::demo::plan::{BrokerKind, DemoIdentity, DemoPlan, Order, decide};
use crate::demo::producer::{Production, reference};
use crate::demo::progress::{Counters, Progress};
use crate::demo::report::{Reporter, checks};
use crate::error::{Error, Result};
use crate::flights::Reference;
use crate::instance::Instance;
use crate::kafka::{Topic, ensure_topic};
use crate::pipeline_task::{PipelineTask, load};
use crate::terminal::print;
use crate::{broker, logging, shutdown};

/// Partitions of the topic when the demo creates it.
const PARTITIONS: i32 = 4;
/// Where the example stands in the repository.
const EXAMPLE: &str = "examples/flights";
/// Where the flights stand in the example.
const FLIGHTS_FILE: &str = "data/flights.parquet";

#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Leave the server and the pipeline up after the report.
    #[arg(long)]
    pub keep_running: bool,
    /// Use this Kafka instead of the embedded broker.
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap_servers: Option<String>,
    /// Topic to send to; created with 4 partitions unless it exists.
    #[arg(long, value_name = "NAME", default_value = "flights")]
    pub topic: String,
    /// Project folder; `examples/flights` by default.
    #[arg(long, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Address of the HTTP server; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub listen: String,
    /// Flights to send at most, spread evenly over the year.
    #[arg(long, value_name = "FLIGHTS", hide = true)]
    pub limit: Option<usize>,
}

/// Runs the demo. Exits with an error when an answer differs from the known one.
pub async fn run(global: &GlobalArgs, args: DemoArgs) -> Result<()> {
    let mut config = global.load(vec![("server.listen", Value::String(args.listen.clone()))])?;
    if global.log_level.is_none() && config.log.level == "info" {
        // The progress tells the story.
        "warn".clone_into(&mut config.log.level);
    }
    logging::install(&config.log);
    let stop = CancellationToken::new();
    let supervisor = Supervisor::new();
    let work = async {
        let demo = Demo::prepare(&config, args, &supervisor).await?;
        let outcome = demo.run(&supervisor, &stop).await;
        supervisor.shutdown();
        supervisor.join(shutdown_max(&config)).await;
        outcome
    };
    shutdown::until_signal(work, &stop).await
}

/// Everything that a run needs, ready.
struct Demo {
    kind: BrokerKind,
    args: DemoArgs,
    restart_pause_max: Duration,
    instance: Instance,
    http: HttpServer,
    project_folder: PathBuf,
    project: Project,
    configuration: BTreeMap<String, String>,
    state: PipelineState,
    reference: Reference,
    plan: DemoPlan,
    production: Production,
}

impl Demo {
    async fn prepare(config: &Config, args: DemoArgs, supervisor: &Supervisor) -> Result<Self> {
        let project_folder = find_project(args.project.as_deref())?;
        let flights = project_folder.join(FLIGHTS_FILE);
        let instance = Instance::open(config).await?;
        let kind = match args.bootstrap_servers {
            Some(_) => BrokerKind::External,
            None => BrokerKind::Embedded,
        };
        let claimed = DemoIdentity::read(&instance.data.demo())?;
        if let Some(claimed) = &claimed {
            // Before anything is created on somebody's broker; the partitions are not known yet.
            DemoIdentity::new(args.limit, &args.topic, claimed.partitions, kind).check(claimed)?;
        }
        let bootstrap_servers = match &args.bootstrap_servers {
            Some(servers) => servers.clone(),
            None => broker::start("127.0.0.1:0", None)?.to_string(),
        };
        let wanted = Topic {
            name: args.topic.clone(),
            partitions: PARTITIONS,
        };
        let topic = ensure_topic(&bootstrap_servers, &wanted).await?;

        let configuration = BTreeMap::from([
            ("bootstrap_servers".to_owned(), bootstrap_servers.clone()),
            ("topic".to_owned(), topic.name.clone()),
        ]);
        let project = load(&project_folder, &configuration)?;
        let processed_before = instance.data.has_pipeline_state(project.name());
        let state = instance.data.lock_pipeline(project.name())?;

        let identity = DemoIdentity::new(args.limit, &topic.name, topic.partitions, kind);
        let mut production = Production {
            flights,
            limit: args.limit,
            bootstrap_servers,
            topic,
            skip: Vec::new(),
        };
        let examined = production.clone();
        let (reference, plan) = blocking(move || {
            let reference = reference(&examined.flights, examined.limit, examined.topic.partitions)?;
            let state = examined.topic_state(kind, &reference)?;
            let plan = decide(&state, processed_before)?;
            examined.check_held(&plan.held)?;
            Ok((reference, plan))
        })
        .await?;
        identity.claim(&instance.data.demo())?;
        production.skip.clone_from(&plan.held);
        let http = HttpServer::start(config, &instance, supervisor).await?;
        Ok(Self {
            kind,
            args,
            restart_pause_max: Duration::from_secs(config.pipelines.restart_pause_seconds_max),
            instance,
            http,
            project_folder,
            project,
            configuration,
            state,
            reference,
            plan,
            production,
        })
    }

    async fn run(self, supervisor: &Supervisor, stop: &CancellationToken) -> Result<()> {
        let bronze = self.bronze_rows().await?;
        let plan = self
            .plan
            .explain(self.kind, bronze, self.reference.record_count());
        let root = self.instance.data.root().display();
        print(format_args!("data directory   {root}"))?;
        print(format_args!(
            "kafka broker     {}",
            self.production.bootstrap_servers
        ))?;
        print(format_args!("http server      {}", self.http.url()))?;
        print(plan)?;

        let started = Instant::now();
        let counters = Counters::default();
        let sent = self.process(&counters, stop).await?;
        let seconds = started.elapsed().as_secs_f64();
        print(format_args!(
            "sent {sent} records and processed all in {seconds:.1} s"
        ))?;
        let failed = self.report(&counters).await?;
        if self.args.keep_running {
            self.keep_running(supervisor, stop).await?;
        } else {
            self.print_addresses_of_a_later_server()?;
        }
        if failed > 0 {
            return Err(Error::DemoDiffers { failed });
        }
        Ok(())
    }

    /// Rows that bronze holds; 0 before it exists.
    async fn bronze_rows(&self) -> Result<i64> {
        let reporter = Reporter::new(&self.instance);
        match reporter
            .number("SELECT count(*) FROM main.bronze.flights_raw")
            .await
        {
            #[expect(clippy::cast_possible_truncation, reason = "a count")]
            Ok(rows) => Ok(rows.unwrap_or_default() as i64),
            Err(Error::Statement(error)) if error.kind == ingot_common::Kind::NotFound => Ok(0),
            // Spark files an unknown table under the errors of analysis.
            Err(Error::Statement(error)) if error.condition.as_deref() == Some("TABLE_OR_VIEW_NOT_FOUND") => {
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends all records and runs the pipeline until it has taken them all, with progress.
    async fn process(&self, counters: &Counters, stop: &CancellationToken) -> Result<u64> {
        let held: i64 = self.plan.held.iter().sum();
        let to_send = u64::try_from(self.reference.record_count() - held).unwrap_or_default();
        let mut progress = Progress::new(counters.clone(), to_send);
        let work = async {
            let sent = match self.plan.order {
                Order::SendFirst => self.send(counters, stop).await?,
                Order::Together => self.send_and_process(counters, stop).await?,
            };
            self.check_sent().await?;
            // Everything is there now: one triggered update ends when all of it is processed.
            self.update(Mode::Triggered, counters, stop.child_token()).await?;
            if stop.is_cancelled() {
                return Err(Error::Stopped);
            }
            Ok(sent)
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = progress.show() => Err(Error::Stopped),
        };
        progress.finish();
        outcome
    }

    /// Checks that the topic holds the demo's records and no others.
    async fn check_sent(&self) -> Result<()> {
        let (production, kind, reference) = (self.production.clone(), self.kind, self.reference.clone());
        let state = blocking(move || production.topic_state(kind, &reference)).await?;
        if state.next == state.expected {
            return Ok(());
        }
        Err(Error::Demo {
            message: format!(
                "topic `{}` ends at offsets {:?} and not at {:?}: somebody else sends to it, too; choose another --topic \
                 and --data-dir",
                state.name, state.next, state.expected
            ),
        })
    }

    async fn send(&self, counters: &Counters, stop: &CancellationToken) -> Result<u64> {
        let (production, sent, token) = (self.production.clone(), counters.sent.clone(), stop.clone());
        blocking(move || production.run(&sent, &token)).await
    }

    /// Runs a continuous update while records are sent. Whichever fails stops the other.
    async fn send_and_process(&self, counters: &Counters, stop: &CancellationToken) -> Result<u64> {
        let both = stop.child_token();
        let sending = async {
            let sent = self.send(counters, &both).await;
            both.cancel();
            sent
        };
        let updating = async {
            let updated = self.update(Mode::Continuous, counters, both.child_token()).await;
            both.cancel();
            updated
        };
        let (sent, updated) = tokio::join!(sending, updating);
        // A failed update is why sending was stopped, so it is what the person wants to read.
        updated?;
        sent
    }

    async fn update(&self, mode: Mode, counters: &Counters, token: CancellationToken) -> Result<()> {
        let (handle, mut events) = UpdateHandle::new();
        let follow = async {
            while let Some(event) = events.recv().await {
                counters.observe(&event);
            }
        };
        let engine = &self.instance.engine;
        let update = async {
            let outcome = run_update(engine, &self.project, self.state.folder(), mode, &handle, token).await;
            drop(handle);
            outcome
        };
        let (outcome, ()) = tokio::join!(update, follow);
        Ok(outcome?)
    }

    /// Prints tables and answers; returns how many answers are wrong.
    async fn report(&self, counters: &Counters) -> Result<usize> {
        let reporter = Reporter::new(&self.instance);
        let (rows, answers) = checks(&self.reference, self.args.limit.is_none());
        let mut failed = reporter.check("rows per table", &rows).await?;
        reporter.expectations(&counters.expectations())?;
        failed += reporter.check("gold answers", &answers).await?;
        reporter
            .show(
                "an aircraft that changed its carrier (SCD type 2)",
                "SELECT tailnum, carrier, __START_AT, __END_AT FROM main.gold.dim_aircraft WHERE tailnum = (SELECT \
                 min(tailnum) FROM (SELECT tailnum FROM main.gold.dim_aircraft GROUP BY tailnum HAVING \
                 count(DISTINCT carrier) > 1)) ORDER BY __START_AT",
            )
            .await?;
        reporter
            .show(
                "time travel: bronze after its first batch and now",
                "SELECT (SELECT count(*) FROM main.bronze.flights_raw VERSION AS OF 1) AS rows_at_version_1, (SELECT \
                 count(*) FROM main.bronze.flights_raw) AS rows_now",
            )
            .await?;
        Ok(failed)
    }

    fn print_addresses(&self) -> Result<()> {
        let url = self.http.url();
        // In development mode there is no token, and none is wanted.
        let header = self.http.token.as_ref().map_or_else(String::new, |token| {
            format!("-H 'Authorization: Bearer {token}' ")
        });
        let flag = self
            .http
            .token
            .as_ref()
            .map_or_else(String::new, |token| format!(" --token {token}"));
        let ingot = executable();
        print("\ntry next")?;
        print(format_args!(
            "  curl {header}'{url}/api/v1/query?table=main.gold.carrier_delay&filters=%7B%22carrier%22%3A%22UA%22%7D'"
        ))?;
        print(format_args!(
            "  curl {header}-H 'Content-Type: application/json' -d '{{\"statement\":\"SHOW TABLES IN main.gold\"}}' {url}/api/v1/sql"
        ))?;
        print(format_args!("  {ingot} sql --url {url}{flag}"))?;
        print(format_args!("  {url}/docs"))
    }

    fn print_addresses_of_a_later_server(&self) -> Result<()> {
        let directory = quoted(self.instance.data.root());
        let token = quoted(&self.instance.data.admin_token());
        let ingot = executable();
        print("\ntry next")?;
        print(format_args!("  {ingot} sql --data-dir {directory}"))?;
        print(format_args!(
            "  {ingot} sql --data-dir {directory} -e 'SELECT * FROM main.gold.carrier_delay ORDER BY carrier'"
        ))?;
        print(format_args!(
            "  {ingot} serve --data-dir {directory}     (then curl, with TOKEN=$(cat {token}))"
        ))?;
        print(format_args!(
            "  {ingot} demo --data-dir {directory} --keep-running"
        ))
    }

    /// Keeps server and pipeline up until a signal.
    async fn keep_running(self, supervisor: &Supervisor, stop: &CancellationToken) -> Result<()> {
        self.print_addresses()?;
        print("\nserver and pipeline stay up; Ctrl-C ends them")?;
        drop(self.state);
        let task = PipelineTask {
            project: self.project_folder,
            configuration: self.configuration,
            restart_pause_max: self.restart_pause_max,
        };
        task.spawn(&self.instance, supervisor)?;
        self.instance.spawn_upkeep(supervisor);
        stop.cancelled().await;
        Ok(())
    }
}

/// Returns the command that runs this binary again, as a person would type it.
fn executable() -> String {
    std::env::current_exe().map_or_else(|_| "ingot".to_owned(), |path| quoted(&path))
}

/// Returns a path as a shell reads it: quoted where it holds more than plain characters.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Runs blocking work of a bounded length.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Stopped)?
}

/// Finds the example: as given, or in the working directory or above it, or above the executable.
fn find_project(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let starts = [std::env::current_dir().ok(), std::env::current_exe().ok()];
    let found = starts
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .map(|folder| folder.join(EXAMPLE))
        .find(|folder| folder.join("pipeline.toml").is_file());
    found.ok_or_else(|| Error::Usage {
        message: format!(
            "`{EXAMPLE}` is not in this folder or above it; name the project with --project DIR"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case("/data/ingot-1.2", "/data/ingot-1.2")]
    #[test_case("/my data", "'/my data'")]
    #[test_case("/it's", r"'/it'\''s'")]
    fn paths_are_quoted_for_a_shell(path: &str, expected: &str) {
        assert_eq!(quoted(Path::new(path)), expected);
    }
}
