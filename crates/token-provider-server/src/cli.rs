//! The commands and their help. The options that several commands share are in `config/overrides.rs`.

#![expect(clippy::doc_markdown, reason = "these comments are the help text, which is not Markdown")]

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser as _};
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::config::{
    FileOption, ListenOption, LogOptions, Overrides, SourceOptions, TokenFormat, key_lifetime, output_path,
};
use crate::sandbox;

/// Hands short-lived HERE access tokens to client applications; the long-lived credential stays here.
#[derive(Debug, Parser)]
#[command(name = "token-provider", version, max_term_width = 100, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed at run time; 2 bad usage; 78 bad configuration or credential."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Run the server.
    // Not in the doc comment, where a command that is set apart would be taken for Rust to be tested.
    #[command(
        long_about = "Run the server\n\nFinds ./credentials.properties and listens on http://localhost:3000. \
                            Then:\n\n    curl \"http://localhost:3000/getToken?ttl=3600\""
    )]
    Serve {
        /// Use a built-in offline HERE account; no credential or network needed. The demo is at /.
        #[arg(long, hide = !sandbox::IS_BUILT_IN)]
        sandbox: bool,
        /// What `serve` and `check` take.
        #[command(flatten)]
        options: Overrides,
        /// What goes to the log.
        #[command(flatten)]
        log: LogOptions,
    },
    /// Print one access token, for scripts.
    Token {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = TokenFormat::Text)]
        format: TokenFormat,
        /// Write it to this file instead, readable by this user alone; what is there is replaced.
        #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(output_path))]
        output: Option<PathBuf>,
        /// The token lifetime to request, in seconds (1 to 86400).
        #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        ttl: u64,
        /// Where the settings are.
        #[command(flatten)]
        file: FileOption,
        /// Where the token comes from.
        #[command(flatten)]
        source: SourceOptions,
        /// What goes to the log.
        #[command(flatten)]
        log: LogOptions,
    },
    /// Check everything that the server needs.
    ///
    /// Checks the configuration, the listeners, the audit trail, the identity provider, the credential and its
    /// permissions, and makes a real signed request. A port used by the running server is ok.
    /// Exits with 0 only if no check has failed.
    Check {
        /// Check files and configuration only; open no ports and send no requests.
        #[arg(long)]
        offline: bool,
        /// What `serve` and `check` take.
        #[command(flatten)]
        options: Overrides,
    },
    /// Check whether the running server is ready, for example as a container's health check.
    ///
    /// Connects to the first listener in the configuration and prints "ready". Exits with 0 if the server has a
    /// token to hand out, and with 1 if it has none or does not respond.
    Health {
        /// Only check that the server responds, whether or not it has a token.
        #[arg(long)]
        live: bool,
        /// Where the settings are.
        #[command(flatten)]
        file: FileOption,
        /// Where a server listens.
        #[command(flatten)]
        listeners: ListenOption,
    },
    /// Run only the offline HERE account.
    ///
    /// Its token endpoint checks signatures strictly, and misbehaves on request (--fault, PUT /sandbox/faults).
    /// GET /hello is a small resource to try a token on.
    ///
    /// Listens on one TCP port, by default localhost:8080.
    ///
    /// With --credentials it uses the access key in that file, and still accepts the tokens that it issued for it
    /// earlier; otherwise it generates a new key each time.
    #[command(hide = !sandbox::IS_BUILT_IN)]
    Sandbox {
        /// What the account does.
        #[command(flatten)]
        options: sandbox::Options,
        /// What goes to the log.
        #[command(flatten)]
        log: LogOptions,
    },
    /// Manage keys of callers.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print a shell completion script.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, in troff.
    Man,
}

/// The commands about keys of callers.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum KeyCommand {
    /// Create an API key for a caller, and print it once.
    ///
    /// Also prints the stanza for the configuration file, which contains only the key's SHA-256.
    ///
    /// With --here, creates an access key for HERE's own SDKs instead: NAME.properties for the client, and NAME.secret
    /// for the server.
    ///
    /// With --issuer-key, creates a private key with which this server requests tokens from HERE (private_key_jwt), and prints
    /// its public key as a JWK, to be registered with the app.
    New {
        /// The caller's name in logs, and its OAuth 2.0 client id. An access key's id is tp.NAME.
        #[arg(long, value_name = "NAME", required_unless_present = "issuer_key")]
        id: Option<String>,
        /// When the API key expires, such as 90d from now.
        #[arg(long, value_name = "DURATION", value_parser = key_lifetime,
            conflicts_with_all = ["here", "issuer_key"])]
        expires: Option<Duration>,
        /// Create an access key for HERE's own SDKs.
        #[arg(long, requires = "out")]
        here: bool,
        /// The folder for the files of an access key, created if there is none. Files in it are not replaced.
        #[arg(long, value_name = "DIR", requires = "here")]
        out: Option<PathBuf>,
        /// Where the client calls the server. Default: the first of public_hosts, or the first listener.
        #[arg(long, value_name = "URL", requires = "here")]
        url: Option<String>,
        /// The configuration file of the server that the client calls.
        #[arg(long, value_name = "FILE", requires = "here", conflicts_with = "url")]
        config: Option<PathBuf>,
        /// Create a private key for HERE in this file. A file that exists is not replaced.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["id", "here"],
            value_parser = PathBufValueParser::new().try_map(output_path))]
        issuer_key: Option<PathBuf>,
        /// How the private key signs. Default: RS256, which HERE's metadata lists.
        #[arg(long, value_parser = ["RS256", "ES256"], requires = "issuer_key", conflicts_with = "id")]
        algorithm: Option<String>,
    },
}

impl Command {
    /// Returns what the options say about the configuration.
    pub fn overrides(&self) -> Overrides {
        match self {
            Self::Serve { options, log, .. } => Overrides { log: log.clone(), ..options.clone() },
            Self::Check { options, .. } => options.clone(),
            Self::Token { file, source, log, .. } => {
                let mut log = log.clone();
                if log.verbose == 0 {
                    // A script wants its token, and to hear nothing but why there is none, which is reported at the end.
                    log.quiet = log.quiet.saturating_add(3);
                }
                Overrides { file: file.clone(), source: source.clone(), log, ..Overrides::default() }
            }
            Self::Health { file, listeners, .. } => {
                Overrides { file: file.clone(), listeners: listeners.clone(), ..Overrides::default() }
            }
            Self::Sandbox { log, .. } => Overrides { log: log.clone(), ..Overrides::default() },
            Self::Key(_) | Self::Completions { .. } | Self::Man => Overrides::default(),
        }
    }
}

/// Writes a completion script.
///
/// # Errors
///
/// When `to` cannot be written to.
pub fn completions(shell: Shell, to: &mut impl std::io::Write) -> std::io::Result<()> {
    let mut script = Vec::new();
    // Not to `to` itself: it would panic where that is closed early, as by `| head`.
    clap_complete::generate(shell, &mut Cli::command(), "token-provider", &mut script);
    if shell == Shell::Bash {
        // clap_complete 4.6 calls a command one thing where it finds it and another where it completes it, if the
        // program's name has a hyphen: nothing was completed after the first word.
        let text = String::from_utf8_lossy(&script).replace("token__subcmd__provider", "token__provider");
        script = text.into_bytes();
    }
    to.write_all(&script)
}

/// Writes the manual page, all commands in one.
///
/// # Errors
///
/// When `to` cannot be written to.
pub fn man(to: &mut impl std::io::Write) -> std::io::Result<()> {
    let command = Cli::command();
    let page = Man::new(command.clone());
    page.render_title(to)?;
    page.render_name_section(to)?;
    page.render_synopsis_section(to)?;
    page.render_description_section(to)?;
    writeln!(to, ".SH COMMANDS")?;
    man_commands(&command, "", to)?;
    writeln!(to, ".SH EXIT STATUS")?;
    let codes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    writeln!(to, "{}", codes.trim_start_matches("Exit codes: "))?;
    to.write_all(include_bytes!("cli/manual.troff"))?;
    page.render_version_section(to)
}

/// Each command with its own options.
fn man_commands(parent: &clap::Command, names: &str, to: &mut impl std::io::Write) -> std::io::Result<()> {
    for command in parent.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("{names}{}", command.get_name());
        if command.has_subcommands() {
            man_commands(command, &format!("{name} "), to)?;
            continue;
        }
        writeln!(to, ".SS {name}")?;
        let page = Man::new(command.clone().disable_help_flag(true).disable_version_flag(true));
        let mut text = Vec::new();
        page.render_description_section(&mut text)?;
        page.render_options_section(&mut text)?;
        // Sections of a command are not sections of the page.
        let text = String::from_utf8_lossy(&text);
        let text = text.replace(".SH DESCRIPTION\n", "").replace(".SH OPTIONS\n", "");
        to.write_all(text.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_options_agree_with_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_reaches_the_configuration() {
        let arguments = "token-provider serve --config a --credentials b --profile c --scope d --listen e --listen f \
                         --allow-origin g --anonymous --log-format json -vv";
        let cli = Cli::try_parse_from(arguments.split_whitespace()).expect("is well-formed");
        let expected = Overrides {
            file: FileOption { config: Some("a".into()) },
            source: SourceOptions {
                credentials: Some("b".into()),
                profile: Some("c".to_owned()),
                scope: Some("d".to_owned()),
            },
            listeners: ListenOption { listen: vec!["e".to_owned(), "f".to_owned()] },
            allow_origin: vec!["g".to_owned()],
            anonymous: true,
            log: LogOptions { log_format: Some("json".to_owned()), verbose: 2, quiet: 0 },
            is_on_network: false,
        };
        assert_eq!(cli.command.overrides(), expected);
    }

    #[test]
    fn quiet_is_the_opposite_of_verbose() {
        for (arguments, verbose, quiet) in [
            ("serve", 0, 0),
            ("serve -v", 1, 0),
            ("serve -vvv", 3, 0),
            ("serve -q", 0, 1),
            ("serve -qq", 0, 2),
            ("token", 0, 3),
            ("token -q", 0, 4),
            ("token -v", 1, 0),
            ("token -vv", 2, 0),
        ] {
            let words = ["token-provider"].into_iter().chain(arguments.split_whitespace());
            let log = Cli::try_parse_from(words).expect("is well-formed").command.overrides().log;
            assert_eq!((log.verbose, log.quiet), (verbose, quiet), "{arguments}");
        }
    }

    #[test]
    fn commands_accept_only_the_options_that_they_use() {
        let with_values: &[(&str, &[&str])] = &[
            ("--config=a", &["serve", "token", "check", "health"]),
            ("--credentials=a", &["serve", "token", "check", "sandbox"]),
            ("--profile=a", &["serve", "token", "check"]),
            ("--scope=a", &["serve", "token", "check"]),
            ("--listen=8080", &["serve", "check", "health", "sandbox"]),
            ("--allow-origin=a", &["serve", "check"]),
            ("--anonymous", &["serve", "check"]),
            ("--log-format=json", &["serve", "token", "sandbox"]),
            ("-v", &["serve", "token", "sandbox"]),
            ("--sandbox", &["serve"]),
            ("--offline", &["check"]),
        ];
        for command in
            ["serve", "token", "check", "health", "sandbox", "key new --id=a", "completions bash", "man"]
        {
            for (option, users) in with_values {
                let words = ["token-provider"].into_iter().chain(command.split_whitespace()).chain([*option]);
                let parsed = Cli::try_parse_from(words);
                assert_eq!(parsed.is_ok(), users.contains(&command), "{command} {option}");
            }
        }
    }
}
