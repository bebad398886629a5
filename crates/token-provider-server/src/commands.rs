//! What each command does.

mod check;
mod health;
mod key;
mod serve;
mod system;
mod token;

use std::io;
use std::process::ExitCode;

use tracing::Level;

use crate::cli::{self, Cli, Command, KeyCommand};
use crate::config::{LoadedConfig, Overrides};
use crate::failure::Failure;
use crate::sandbox;
use crate::telemetry;
use crate::topic::Topic;

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    telemetry::report_panics();
    let _last_lines = telemetry::LastLines;
    // Before anything is read: whatever the command, the environment may hold the access key.
    let is_private = system::keep_memory_private().map_err(Failure::system("cannot disable core dumps"));
    match is_private.and_then(|()| run_command(cli)) {
        Ok(code) => code,
        Err(failure) => {
            telemetry::log::write(Level::ERROR, failure.report().as_bytes());
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run_command(cli: Cli) -> Result<ExitCode, Failure> {
    // Whatever else may be wrong.
    let needs_sandbox = matches!(cli.command, Command::Sandbox { .. } | Command::Serve { sandbox: true, .. });
    if needs_sandbox && !sandbox::IS_BUILT_IN {
        return Err(Failure::new(Topic::Usage, sandbox::ABSENT));
    }
    let overrides = cli.command.overrides();
    match cli.command {
        Command::Check { offline, .. } => return block_on(check::run(overrides, offline))?,
        Command::Completions { shell } => cli::completions(shell, &mut io::stdout()).map_err(Failure::stdout),
        Command::Key(KeyCommand::New { issuer_key: Some(file), algorithm, .. }) => {
            key::new_issuer_key(&file, algorithm.as_deref())
        }
        Command::Key(KeyCommand::New { id, expires, out, url, config, .. }) => {
            let id = id.expect("it is required without --issuer-key");
            match out {
                Some(out) => key::new_here(&id, &out, url.as_deref(), config),
                None => key::new(&id, expires),
            }
        }
        Command::Man => cli::man(&mut io::stdout()).map_err(Failure::stdout),
        Command::Serve { sandbox, .. } => with_runtime(overrides, |loaded| serve::run(loaded, sandbox)),
        Command::Token { format, output, ttl, .. } => {
            with_runtime(overrides, move |loaded| token::run(loaded, format, output, ttl))
        }
        Command::Health { live, .. } => with_runtime(overrides, move |loaded| health::run(loaded, live)),
        Command::Sandbox { options, .. } => with_runtime(overrides, |_| sandbox::run(options)),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn with_runtime<F>(overrides: Overrides, command: impl FnOnce(LoadedConfig) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let loaded = LoadedConfig::from_process(overrides)?;
    telemetry::init(loaded.config.log, loaded.environment.variable("NO_COLOR").is_some());
    for warning in &loaded.config.warnings {
        tracing::warn!("{warning}");
    }
    block_on(command(loaded))?
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
}
