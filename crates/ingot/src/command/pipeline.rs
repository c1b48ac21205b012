//! `ingot pipeline run` and `ingot pipeline validate`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use ingot_common::task::Supervisor;
use ingot_pipelines::{Mode, PipelineEvent, UpdateHandle, check_names, run_update};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::cli::GlobalArgs;
use crate::command::serve::shutdown_max;
use crate::error::Result;
use crate::instance::Instance;
use crate::pipeline_task::load;
use crate::{logging, shutdown, terminal};

#[derive(Debug, Clone, Subcommand)]
pub enum PipelineCommand {
    /// Bring every dataset of a project up to date.
    Run(RunArgs),
    /// Check a project without running it: syntax, cycles, and names by the project and the catalog.
    Validate(ProjectArgs),
}

#[derive(Debug, Clone, Args)]
pub struct ProjectArgs {
    /// Folder with `pipeline.toml` and SQL files.
    #[arg(value_name = "PROJECT_DIR")]
    pub project: PathBuf,
    /// Overrides a key of the project's `[configuration]`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
}

impl ProjectArgs {
    fn configuration(&self) -> BTreeMap<String, String> {
        self.set.iter().cloned().collect()
    }
}

#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Go on until stopped instead of ending when all data is processed.
    #[arg(long)]
    pub continuous: bool,
}

/// Reads `key=value`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

/// Runs the command. Progress is one line of JSON for each event on standard output.
pub async fn run(global: &GlobalArgs, command: PipelineCommand) -> Result<()> {
    let config = global.load(vec![])?;
    logging::install(&config.log);
    match command {
        PipelineCommand::Validate(args) => {
            let project = load(&args.project, &args.configuration())?;
            let instance = Instance::open(&config).await?;
            check_names(&instance.engine, &project).await?;
            for dataset in project.datasets() {
                terminal::print(dataset)?;
            }
            Ok(())
        }
        PipelineCommand::Run(args) => {
            let project = load(&args.project.project, &args.project.configuration())?;
            let instance = Instance::open(&config).await?;
            let mode = if args.continuous {
                Mode::Continuous
            } else {
                Mode::Triggered
            };
            let supervisor = Supervisor::new();
            let stop = CancellationToken::new();
            let (handle, events) = UpdateHandle::new();
            let read = stop.clone();
            supervisor.spawn("events", |_| async move {
                match print_events(events).await {
                    // Nobody follows the update any more.
                    Err(error) if error.reader_left() => {
                        read.cancel();
                        Ok(())
                    }
                    printed => printed,
                }
            });
            let state = instance.data.lock_pipeline(project.name())?;
            let work = async {
                run_update(
                    &instance.engine,
                    &project,
                    state.folder(),
                    mode,
                    &handle,
                    stop.clone(),
                )
                .await?;
                Ok(())
            };
            let outcome = shutdown::until_signal(work, &stop).await;
            // The printer ends when the last handle is gone.
            drop(handle);
            supervisor.join(shutdown_max(&config)).await;
            instance.settle().await;
            outcome
        }
    }
}

async fn print_events(mut events: UnboundedReceiver<PipelineEvent>) -> Result<()> {
    while let Some(event) = events.recv().await {
        terminal::print(event_json(&event))?;
    }
    Ok(())
}

fn event_json(event: &PipelineEvent) -> serde_json::Value {
    match event {
        PipelineEvent::FlowProgress {
            dataset,
            rows_in,
            rows_out,
            expectations,
        } => {
            let expectations: Vec<_> = expectations
                .iter()
                .map(|(name, passed, failed)| {
                    serde_json::json!({"name": name, "passed_records": passed, "failed_records": failed})
                })
                .collect();
            serde_json::json!({
                "event": "flow_progress", "dataset": dataset, "rows_in": rows_in, "rows_out": rows_out,
                "expectations": expectations,
            })
        }
        PipelineEvent::FlowCompleted { dataset } => {
            serde_json::json!({"event": "flow_completed", "dataset": dataset})
        }
        PipelineEvent::FlowFailed { dataset, message } => {
            serde_json::json!({"event": "flow_failed", "dataset": dataset, "message": message})
        }
    }
}
