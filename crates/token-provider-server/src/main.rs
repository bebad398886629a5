//! The command `token-provider`: parses, runs, exits.

use std::process::ExitCode;

use clap::Parser as _;
use token_provider_server::cli::Cli;
use token_provider_server::commands;

fn main() -> ExitCode {
    commands::run(Cli::parse())
}
