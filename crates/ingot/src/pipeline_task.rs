//! A pipeline that is kept up to date for as long as the process lives.
//!
//! The task loads the project anew at each start, takes the pipeline's state folder, and runs a continuous
//! update. A failure is logged and the update started again after a pause that doubles up to the configured
//! maximum; an update that ran for longer than that maximum begins with the short pause again. A panic counts as a
//! failure. Starting again is always safe: an update goes on from its checkpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ingot_common::error::chain;
use ingot_common::task::{Supervisor, caught};
use ingot_pipelines::{Mode, Project, UpdateHandle, run_update};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::instance::Instance;

const PAUSE_FIRST: Duration = Duration::from_secs(1);

/// A project to run and how.
#[derive(Debug, Clone)]
pub struct PipelineTask {
    pub project: PathBuf,
    /// Overrides of the project's `[configuration]`.
    pub configuration: BTreeMap<String, String>,
    pub restart_pause_max: Duration,
}

impl PipelineTask {
    /// Checks the project, then runs it as a task of `supervisor`.
    ///
    /// # Errors
    /// A project that cannot be loaded: a mistake in it should stop the start of the process, not be retried.
    pub fn spawn(self, instance: &Instance, supervisor: &Supervisor) -> Result<()> {
        load(&self.project, &self.configuration)?;
        let instance = instance.clone();
        supervisor.spawn("pipeline", |token| async move {
            let update = || self.update(&instance, &token);
            keep_up(&self.project, self.restart_pause_max, &token, update).await;
            Ok::<(), Error>(())
        });
        Ok(())
    }

    async fn update(&self, instance: &Instance, token: &CancellationToken) -> Result<()> {
        let project = load(&self.project, &self.configuration)?;
        let (handle, mut events) = UpdateHandle::new();
        // Nobody watches this update; its event log is a table.
        events.close();
        let state = instance.data.lock_pipeline(project.name())?;
        let engine = &instance.engine;
        run_update(
            engine,
            &project,
            state.folder(),
            Mode::Continuous,
            &handle,
            token.child_token(),
        )
        .await?;
        Ok(())
    }
}

/// Runs `update` again and again, with pauses, until it ends well or `token` is cancelled.
async fn keep_up<F: Future<Output = Result<()>>>(
    project: &Path,
    pause_max: Duration,
    token: &CancellationToken,
    mut update: impl FnMut() -> F,
) {
    let mut pause = PAUSE_FIRST.min(pause_max);
    while !token.is_cancelled() {
        let started = Instant::now();
        let error = match caught(update()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(panicked) => chain(&panicked),
        };
        if started.elapsed() > pause_max {
            pause = PAUSE_FIRST.min(pause_max);
        }
        tracing::error!(
            project = %project.display(),
            error,
            restart_in_seconds = pause.as_secs(),
            "pipeline failed"
        );
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = token.cancelled() => return,
        }
        pause = (pause * 2).min(pause_max);
    }
}

/// Loads and checks the project in `path`.
pub fn load(path: &Path, configuration: &BTreeMap<String, String>) -> Result<Project> {
    Ok(Project::load(path, configuration)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_update_that_fails_or_panics_is_started_again() {
        let mut runs = 0;
        let update = || {
            runs += 1;
            let run = runs;
            async move {
                match run {
                    1 => Err(Error::Stopped),
                    2 => panic!("a defect"),
                    _ => Ok(()),
                }
            }
        };
        let token = CancellationToken::new();
        keep_up(Path::new("project"), Duration::from_millis(1), &token, update).await;
        assert_eq!(runs, 3);
    }
}
