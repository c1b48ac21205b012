//! `ingot serve`: HTTP, continuous pipelines and upkeep, until a signal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ingot_common::task::Supervisor;
use ingot_server::{ApiLimits, Authentication, Limits, Server, ServerOptions};
use tokio_util::sync::CancellationToken;
use toml::Value;

use crate::certificates::Certificates;
use crate::cli::GlobalArgs;
use crate::config::{Config, Flags};
use crate::error::{Error, Result};
use crate::instance::{ADMIN, Instance};
use crate::pipeline_task::PipelineTask;
use crate::{admin_token, cursor_key, logging, shutdown, terminal};

/// How long tasks may take to end after a signal, beside what the HTTP server may take to drain.
const TASKS_END_MAX: Duration = Duration::from_secs(10);

/// Returns how long the tasks of a process may take to end after a signal.
pub fn shutdown_max(config: &Config) -> Duration {
    Duration::from_secs(config.server.drain_seconds_max) + TASKS_END_MAX
}

#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Address to listen on; port 0 picks a free one. Overrides `server.listen`.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Project to keep up to date; may be repeated. Overrides `pipelines.projects`.
    #[arg(long = "pipeline", value_name = "PROJECT_DIR")]
    pub pipelines: Vec<PathBuf>,
    /// Overrides a key of the projects' `[configuration]`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = crate::command::pipeline::key_value)]
    pub set: Vec<(String, String)>,
    /// Let everybody in without a token; loopback addresses only. Overrides `server.development`.
    #[arg(long)]
    pub development: bool,
    /// Serve HTTPS: with the certificate of `server.tls_certificate`, or with one of a development authority, which is
    /// made at the first start. Overrides `server.tls`.
    #[arg(long)]
    pub tls: bool,
}

impl ServeArgs {
    fn flags(&self) -> Flags {
        let mut flags = Flags::new();
        if let Some(listen) = &self.listen {
            flags.push(("server.listen", Value::String(listen.clone())));
        }
        if !self.pipelines.is_empty() {
            let projects = self.pipelines.iter().map(|path| crate::cli::path_value(path));
            flags.push(("pipelines.projects", Value::Array(projects.collect())));
        }
        if self.development {
            flags.push(("server.development", Value::Boolean(true)));
        }
        if self.tls {
            flags.push(("server.tls", Value::Boolean(true)));
        }
        flags
    }
}

/// Serves until SIGINT or SIGTERM. The first line of standard output is one JSON object with the addresses, once
/// they accept connections.
pub async fn run(global: &GlobalArgs, args: ServeArgs) -> Result<()> {
    let config = global.load(args.flags())?;
    logging::install(&config.log);
    let instance = Instance::open(&config).await?;
    let supervisor = Supervisor::new();
    let stop = CancellationToken::new();
    let http = HttpServer::start(&config, &instance, &supervisor).await?;
    terminal::print(serde_json::json!({ "http": http.url() }))?;

    instance.spawn_upkeep(&supervisor);
    for project in &config.pipelines.projects {
        let task = PipelineTask {
            project: project.clone(),
            configuration: args.set.iter().cloned().collect(),
            restart_pause_max: Duration::from_secs(config.pipelines.restart_pause_seconds_max),
        };
        task.spawn(&instance, &supervisor)?;
    }
    let work = async {
        stop.cancelled().await;
        supervisor.shutdown();
        if !supervisor.join(shutdown_max(&config)).await {
            tracing::warn!("tasks had not ended in time and were abandoned");
        }
        instance.settle().await;
        Ok(())
    };
    shutdown::until_signal(work, &stop).await
}

/// The HTTP server as a supervised task.
#[derive(Debug, Clone)]
pub struct HttpServer {
    address: SocketAddr,
    /// The admin token; `None` in development mode.
    pub token: Option<String>,
    tls: bool,
}

impl HttpServer {
    /// Binds, and serves as a task of `supervisor`.
    pub async fn start(config: &Config, instance: &Instance, supervisor: &Supervisor) -> Result<Self> {
        let (authentication, token) = if config.server.development {
            let principal = ADMIN.to_owned();
            (Authentication::Development { principal }, None)
        } else {
            let token = admin_token::ensure(&instance.data)?;
            (admin_token::authentication(&token), Some(token))
        };
        let certificates = Certificates::open(&config.server, &instance.data)?;
        let options = ServerOptions {
            identity: certificates
                .as_ref()
                .map(|certificates| certificates.identity.clone()),
            statements: instance.statements(),
            metastore: instance.metastore.clone(),
            authentication,
            results: instance.spill().to_owned(),
            cursor_key: cursor_key::ensure(&instance.data)?,
            limits: Limits {
                connections_max: config.server.connections_max,
                body_bytes_max: config.server.body_bytes_max,
                stall_max: Duration::from_secs(config.server.stall_seconds_max),
                result_bytes_max: config.server.result_bytes_max,
                drain_max: Duration::from_secs(config.server.drain_seconds_max),
                api: ApiLimits {
                    answer_rows_max: config.api.answer_rows_max,
                    answer_bytes_max: config.api.answer_bytes_max,
                    page_rows_max: config.api.page_rows_max,
                    requests_max: config.api.requests_max,
                    requests_per_minute_max: config.api.requests_per_minute_max,
                },
            },
        };
        let listen = config.server.listen;
        let server = Server::bind(listen, options)
            .await
            .map_err(|source| Error::Listen {
                address: listen,
                source,
            })?;
        let address = server.local_address();
        supervisor.spawn("http", |token| async move {
            server.serve(token).await;
            Ok::<(), Error>(())
        });
        let tls = certificates.is_some();
        if let Some(certificates) = certificates {
            certificates.explain();
            certificates.spawn_renewal(supervisor);
        }
        Ok(Self { address, token, tls })
    }

    /// Returns `http://HOST:PORT`, or `https://HOST:PORT`.
    pub fn url(&self) -> String {
        let scheme = match self.tls {
            true => "https",
            false => "http",
        };
        format!("{scheme}://{}", self.address)
    }
}
