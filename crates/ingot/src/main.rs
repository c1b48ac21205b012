//! `ingot`: see the library for what it does. This file sets the process up and turns the outcome into an exit
//! code: 0 (also when the reader of the output has seen enough), 1 for an error, 2 for a wrong command line.

use std::process::ExitCode;

use clap::Parser;
use ingot::cli::Cli;
use ingot::terminal;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::note(format_args!("failed to start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(ingot::command::run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.reader_left() => ExitCode::SUCCESS,
        Err(error) => {
            terminal::note(ingot::error::render(&error));
            ExitCode::FAILURE
        }
    }
}
