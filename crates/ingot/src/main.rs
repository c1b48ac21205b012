//! `ingot`: see the library for what it does. This file sets the process up and turns the outcome into an exit
//! code: 0 (also when the reader of the output has seen enough), 1 for an error, 2 for a wrong command line.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ingot::cli::Cli;
use ingot::terminal;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads beside one for each core. A statement can keep all cores busy for long without a pause (a cross join
/// does); signals and other requests are answered meanwhile.
const SPARE_THREADS: usize = 2;
/// How long the runtime's threads may take to end after the command has.
const SHUTDOWN_MAX: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores + SPARE_THREADS)
        .thread_stack_size(ingot_engine::STACK_BYTES)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::note(format_args!("failed to start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(ingot::command::run(cli));
    // A statement that computes without a pause cannot be stopped; it must not keep the process.
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.reader_left() => ExitCode::SUCCESS,
        Err(error) => {
            terminal::note(ingot::error::render(&error));
            ExitCode::FAILURE
        }
    }
}
