//! The program `here-sandbox`: an offline HERE account, with the options of `token-provider sandbox`.

use std::error::Error;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgAction, Parser, ValueEnum};
use here_sandbox::SandboxConfig;
use here_sandbox::cli::{Options, RunError};
use tracing_subscriber::filter::LevelFilter;

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
    /// How to log. Default: text on a terminal, else json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Log more (debug; -vv trace).
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Log less (warnings only; -qq errors only).
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "verbose")]
    quiet: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(&arguments);
    let config = match &arguments.options.credentials {
        Some(file) => match read_credentials(file) {
            Ok(config) => config,
            Err(error) => return failed(&*error, EXIT_CONFIG),
        },
        None => SandboxConfig::generate(),
    };
    match arguments.options.run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ RunError::Usage(_)) => failed(&error, EXIT_USAGE),
        Err(error) => failed(&error, 1),
    }
}

fn start_log(arguments: &Arguments) {
    let levels =
        [LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];
    let index = usize::from((2 + arguments.verbose.min(2)).saturating_sub(arguments.quiet));
    let level = levels.get(index).copied().expect("from 0 to 4");
    let is_terminal = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_ansi(is_terminal);
    // It would panic over a reader of the log that has gone away.
    let log = log.log_internal_errors(false);
    match arguments.log_format {
        None if is_terminal => log.init(),
        Some(LogFormat::Text) => log.init(),
        _ => log.json().flatten_event(true).init(),
    }
}

fn read_credentials(file: &Path) -> Result<SandboxConfig, Box<dyn Error>> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let config = SandboxConfig::from_credentials_properties(&text);
    config.map_err(|error| format!("{}: {error}", file.display()).into())
}

/// `error: …`, then `caused by: …`.
fn failed(error: &dyn Error, code: u8) -> ExitCode {
    let cause = error.source().map(|cause| format!("caused by: {cause}\n")).unwrap_or_default();
    // Nobody is left to be told when it cannot be written.
    let _ = write!(io::stderr(), "error: {error}\n{cause}");
    ExitCode::from(code)
}
