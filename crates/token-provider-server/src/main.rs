//! The command `token-provider`: parses, runs, exits.

use std::process::ExitCode;

use clap::Parser as _;
use token_provider_server::Cli;

fn main() -> ExitCode {
    token_provider_server::run(Cli::parse())
}
