//! What each command does, and what the process exits with.

mod check;
mod health;
mod key;
mod sandbox;
mod serve;
mod token;

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use crate::cli::{self, Cli, Command, KeyCommand};
use crate::config::{Config, ConfigError, Environment, Overrides};
use crate::printable::{escaped, excerpt};
use crate::reload::Settings;
use crate::setup::SetupError;
use crate::telemetry;
use crate::topic::Topic;

/// What clap exits with.
const EXIT_USAGE: u8 = 2;
/// sysexits' `EX_CONFIG`.
const EXIT_CONFIG: u8 = 78;

/// Why a command failed, sorted by exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The configuration cannot be used.
    #[error("the configuration cannot be used:")]
    Config(ConfigError),
    /// An argument that clap cannot judge.
    #[error("{0}")]
    Usage(String),
    /// It reads well, and yet cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No token could be had.
    #[error(transparent)]
    Token(#[from] token_provider::Error),
    /// The system said no.
    #[error("{what}")]
    System { what: String, source: io::Error },
    /// A listener cannot be bound; says which, and what to do.
    #[error("{0}")]
    Bind(io::Error),
    /// Somebody could not wait for the last answers.
    #[error("{signal} after the stop had begun: answers under way were cut off")]
    CutOff { signal: &'static str },
    /// No server could be asked.
    #[error("no server answers at {listen}")]
    Unanswered { listen: String, source: reqwest::Error },
    /// The server says so itself.
    #[error("the server at {listen} is not ready: HTTP {status}{reason}")]
    NotReady { listen: String, status: u16, reason: String },
    /// `check` has said what is wrong.
    #[error("")]
    Reported(u8),
}

impl Failure {
    fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::System { what, source }
    }

    /// `None` where each finding was reported by itself.
    fn topic(&self) -> Option<Topic> {
        Some(match self {
            Self::Config(_) => Topic::Configuration,
            Self::Usage(_) => Topic::Usage,
            Self::Setup(error) => error.topic(),
            Self::Token(error) => error.kind().into(),
            Self::System { .. } => Topic::System,
            Self::Bind(_) => Topic::Bind,
            Self::CutOff { .. } => Topic::CutOff,
            Self::Unanswered { .. } => Topic::Unanswered,
            Self::NotReady { .. } => Topic::NotReady,
            Self::Reported(_) => return None,
        })
    }

    fn exit_code(&self) -> u8 {
        match (self, self.topic()) {
            (Self::Reported(code), _) => *code,
            (_, Some(Topic::Usage)) => EXIT_USAGE,
            (Self::Setup(_), _)
            | (_, Some(Topic::Configuration | Topic::CredentialInvalid | Topic::CredentialNotFound)) => {
                EXIT_CONFIG
            }
            _ => 1,
        }
    }

    /// `error: …`, then `caused by: …` for each cause.
    fn report(&self) {
        if matches!(self, Self::Reported(_)) {
            return;
        }
        let mut text = format!("error: {}\n", escaped(self));
        if let Self::Config(error) = self {
            text.extend(error.problems().iter().map(|problem| escaped(problem) + "\n"));
        }
        let mut cause = self.source();
        while let Some(error) = cause {
            let line = excerpt(error);
            // Some say themselves what caused them.
            if !text.contains(&line) {
                // Writing to a `String` cannot fail.
                let _ = writeln!(text, "caused by: {line}");
            }
            cause = error.source();
        }
        telemetry::log::write(text.as_bytes());
    }
}

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    telemetry::report_panics();
    let _last_lines = telemetry::LastLines;
    match keep_memory_private().and_then(|()| run_command(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Keeps the memory of the process, where the access key is, out of core files, and from debuggers of the same user.
/// Before anything is read: whatever the command, the environment may hold the key.
fn keep_memory_private() -> Result<(), Failure> {
    use rustix::process::{self, Resource, Rlimit};

    let result = process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // The limit does not hold for a core file that the kernel pipes to a program, such as systemd-coredump.
    #[cfg(target_os = "linux")]
    let result = result.and_then(|()| process::set_dumpable_behavior(process::DumpableBehavior::NotDumpable));
    result.map_err(|error| Failure::system("cannot turn core files off")(error.into()))
}

fn run_command(cli: Cli) -> Result<(), Failure> {
    let overrides = cli.command.overrides();
    match cli.command {
        Command::Completions { shell } => {
            cli::completions(shell, &mut io::stdout()).map_err(Failure::system("cannot write to stdout"))
        }
        Command::Key(KeyCommand::New { id }) => key::new(&id),
        Command::Man => cli::man(&mut io::stdout()).map_err(Failure::system("cannot write to stdout")),
        Command::Serve { sandbox, .. } => with_runtime(overrides, |settings| serve::run(settings, sandbox)),
        Command::Token { format, ttl, .. } => {
            with_runtime(overrides, move |settings| token::run(settings, format, ttl))
        }
        Command::Check { offline, .. } => check::run_command(&overrides, offline),
        Command::Health { live, .. } => with_runtime(overrides, move |settings| health::run(settings, live)),
        Command::Sandbox { write_credentials, fault, credentials, listen, .. } => {
            let is_default = listen.listen.is_empty();
            with_runtime(overrides, move |settings| {
                let listen = if is_default { Vec::new() } else { settings.config.listen };
                sandbox::run(listen, credentials, write_credentials, fault)
            })
        }
    }
}

fn with_runtime<F>(overrides: Overrides, command: impl FnOnce(Settings) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let environment = Environment::from_process();
    let config = Config::load(&overrides, &environment).map_err(Failure::Config)?;
    telemetry::init(config.log, environment.variable("NO_COLOR").is_some());
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    block_on(command(Settings { config, overrides, environment }))?
}

/// Runs a command's asynchronous part. When it is done, so is the process: a file that hangs and a name that nobody
/// resolves hold threads that cannot be stopped, and are not waited for.
fn block_on<F: Future>(command: F) -> Result<F::Output, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().build().map_err(Failure::system("cannot start the runtime"))?;
    let output = runtime.block_on(command);
    runtime.shutdown_background();
    Ok(output)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use token_provider::ErrorKind;

    use super::*;

    #[test]
    fn command_that_is_done_waits_for_no_thread_that_hangs() {
        let (release, released) = mpsc::channel();
        let done = block_on(async {
            tokio::task::spawn_blocking(move || released.recv_timeout(Duration::from_secs(10)));
            1
        });
        assert!(matches!(done, Ok(1)));
        assert!(release.send(()).is_ok(), "the thread hangs still, or has not even begun to");
    }

    #[test]
    fn exit_code_tells_configuration_from_bad_luck() {
        let token = |kind| Failure::Token(token_provider::Error::from_issuer(kind, "x"));
        let open = SetupError::Open { listen: "0.0.0.0:1".to_owned() };
        for (failure, expected) in [
            (Failure::Setup(open), 78),
            (token(ErrorKind::CredentialInvalid), 78),
            (token(ErrorKind::CredentialNotFound), 78),
            (token(ErrorKind::Rejected { status: 401, code: Some(401_300) }), 1),
            (token(ErrorKind::Unreachable), 1),
            (Failure::system("cannot")(io::Error::other("x")), 1),
            (Failure::NotReady { listen: "x".to_owned(), status: 503, reason: String::new() }, 1),
            (Failure::Usage("x".to_owned()), 2),
            (Failure::Reported(78), 78),
        ] {
            assert_eq!(failure.exit_code(), expected, "{failure:?}");
        }
    }
}
