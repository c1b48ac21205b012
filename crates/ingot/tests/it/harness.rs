//! Processes that are killed with their test, statements, and waiting for a condition with a deadline.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ingot::Error;
use ingot::client::{ServerClient, Target};
use ingot::flights::{Record, Reference, Sequence, read_flights};
use ingot::kafka::Sender;
use ingot::output::{Format, print};
use ingot_common::ServiceError;
use ingot_common::port::StatementRequest;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// How long a condition may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(180);
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Returns a command of the binary under test, without the caller's settings.
pub fn ingot() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingot"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("INGOT_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Returns the example's folder.
pub fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/flights")
}

/// A process that announces itself with one JSON line; killed when dropped.
pub struct Process {
    child: Child,
    /// The first line of standard output.
    pub announced: Value,
}

impl Process {
    /// Starts `command` and waits for its first line. Its log goes to the test's standard error.
    pub fn start(command: &mut Command) -> Self {
        let mut child = Self::spawn(command);
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        let mut reader = BufReader::new(stdout);
        reader.read_line(&mut line).expect("first line");
        // Later lines must not block the process on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        let announced = serde_json::from_str(&line).unwrap_or_else(|error| {
            let _ = child.kill();
            panic!("no announcement but `{line}`: {error}")
        });
        Self { child, announced }
    }

    /// Starts `command` with its output piped, without waiting for anything.
    pub fn spawn(command: &mut Command) -> Child {
        command.stdout(Stdio::piped()).spawn().expect("start ingot")
    }

    /// Starts a broker with `topics` (`name:partitions`).
    pub fn broker(topics: &[&str]) -> Self {
        let topics = topics.iter().flat_map(|topic| ["--topic", *topic]);
        Self::start(ingot().arg("broker").args(topics))
    }

    /// Starts a server on `data_dir` that needs no token.
    pub fn server(data_dir: &Path) -> Self {
        Self::start(&mut server_command(data_dir))
    }

    /// Returns the address under `name` (`http`, `kafka`).
    pub fn address(&self, name: &str) -> &str {
        self.announced[name].as_str().expect("an address")
    }

    /// Returns a client of this server.
    pub fn client(&self) -> Sql {
        Sql(Target::Server(ServerClient::new(self.address("http"), None)))
    }

    /// Asks the process to end and returns whether it ended well.
    pub fn terminate(self) -> bool {
        self.ask_to_end();
        self.ended()
    }

    /// Waits until the process has ended and returns whether it ended well.
    pub fn ended(mut self) -> bool {
        self.child.wait().expect("wait").success()
    }

    /// Ends the process where it stands (SIGKILL).
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Asks the process to end (SIGTERM).
    pub fn ask_to_end(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the command of a server on `data_dir` that needs no token.
pub fn server_command(data_dir: &Path) -> Command {
    let mut command = ingot();
    command
        .arg("serve")
        .args(["--listen", "127.0.0.1:0", "--development"]);
    command.arg("--data-dir").arg(data_dir);
    command
}

/// Returns the command of a server that runs the example's pipeline from the broker at `kafka`.
pub fn pipeline_server_command(data_dir: &Path, kafka: &str) -> Command {
    let mut command = server_command(data_dir);
    command.arg("--pipeline").arg(example());
    command.args(["--set", &format!("bootstrap_servers={kafka}")]);
    command.args(["--set", "topic=flights"]);
    command
}

/// Statements on a server.
#[derive(Clone)]
pub struct Sql(Target);

impl Sql {
    /// Runs a statement and returns its rows as JSON objects.
    pub async fn rows(&self, statement: &str) -> Result<Vec<Value>, ServiceError> {
        let request = StatementRequest {
            statement: statement.to_owned(),
            ..StatementRequest::default()
        };
        let result = match self.0.execute(request, &CancellationToken::new()).await {
            Ok(result) => result,
            Err(error) => return Err(ServiceError::from_error(&error)),
        };
        let mut text = Vec::new();
        match print(result, Format::Json, &mut text).await {
            Ok(_) => {}
            Err(Error::Statement(error)) => return Err(error),
            Err(error) => panic!("{statement}: {error}"),
        }
        let text = String::from_utf8(text).expect("UTF-8");
        Ok(text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect())
    }

    /// Runs a statement that must succeed and returns its only value as a number; `None` for null.
    pub async fn number(&self, statement: &str) -> Option<f64> {
        let rows = self
            .rows(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        only_value(&rows)
    }
}

/// Returns the only value of the only row as a number.
pub fn only_value(rows: &[Value]) -> Option<f64> {
    let value = rows.first()?.as_object()?.values().next()?;
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// Runs `ingot sql` embedded on `data_dir`; returns the rows of a statement that must succeed, as JSON objects.
pub fn embedded_rows(data_dir: &Path, statement: &str) -> Vec<Value> {
    let output = embedded(data_dir, "json", statement);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{statement}: {log}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Runs `ingot sql` embedded on `data_dir`.
pub fn embedded(data_dir: &Path, output: &str, statement: &str) -> Output {
    let mut command = ingot();
    command.arg("sql").arg("--data-dir").arg(data_dir);
    command
        .args(["--output", output, "-e", statement])
        .output()
        .expect("ingot sql")
}

/// Asks `condition` again and again until it says `true`.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "{what}: not so after {PATIENCE:?}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Returns the records of `flights` of the example's flights, spread over the year, for four partitions.
pub fn records(flights: usize) -> Vec<Record> {
    let path = example().join("data/flights.parquet");
    let flights = read_flights(&path, Some(flights)).expect("flights");
    Sequence::new(flights, 4)
        .map(|record| record.expect("record"))
        .collect()
}

/// Returns what the tables must say after `records`.
pub fn reference(records: &[Record]) -> Reference {
    let mut reference = Reference::default();
    for record in records {
        reference.observe(record);
    }
    reference
}

/// Sends `records` to the topic `flights` and waits until all are confirmed.
pub fn send(kafka: &str, records: &[Record]) {
    let sender = Sender::connect(kafka, "flights").expect("sender");
    for record in records {
        sender
            .send(record.partition, &record.key, &record.value)
            .expect("send");
    }
    sender.finish().expect("confirmed");
}

/// Returns the seed of a random test: `INGOT_TEST_SEED`, or a fresh one. It is printed, so that a failure can be
/// repeated.
pub fn seed() -> u64 {
    let seed = std::env::var("INGOT_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| ingot_common::clock::random_below(u64::MAX));
    eprintln!("INGOT_TEST_SEED={seed}");
    seed
}
