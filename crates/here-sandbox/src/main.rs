//! The program `here-sandbox`: an offline HERE account, with the options of `token-provider sandbox` but those of the log.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use here_sandbox::SandboxConfig;
use here_sandbox::cli::{Options, RunError};

/// What clap exits with.
const EXIT_USAGE: u8 = 2;
/// sysexits' `EX_CONFIG`.
const EXIT_CONFIG: u8 = 78;

/// Run an offline HERE account.
///
/// It has a token endpoint that checks signatures strictly, misbehaves on request (--fault, PUT /sandbox/faults), and a
/// small resource to use a token at (GET /hello).
///
/// Listens at one TCP port, localhost:8080 where --listen names no other.
///
/// With --credentials it has the access key in that file, and knows the tokens that it gave for it before; else a new one
/// each time.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done; 1 failed at run time; 2 bad usage; 78 bad credential.")]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { options } = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // It would panic over a reader of the log that has gone away.
        .log_internal_errors(false)
        .init();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, problem)) => {
            // Nobody is left to be told when it cannot be written.
            let _ = writeln!(io::stderr(), "error: {problem}");
            ExitCode::from(code)
        }
    }
}

async fn run(options: Options) -> Result<(), (u8, String)> {
    let config = match &options.credentials {
        Some(file) => read_credentials(file).map_err(|problem| (EXIT_CONFIG, problem))?,
        None => SandboxConfig::generate(),
    };
    options.run(config).await.map_err(|error| match error {
        RunError::System { what, source } => (1, format!("{what}\ncaused by: {source}")),
        usage => (EXIT_USAGE, usage.to_string()),
    })
}

fn read_credentials(file: &Path) -> Result<SandboxConfig, String> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    SandboxConfig::from_credentials_properties(&text)
        .ok_or_else(|| format!("{name}: here.access.key.id or here.access.key.secret is missing"))
}
