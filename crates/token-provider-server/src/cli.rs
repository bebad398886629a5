//! The commands, their options, and every word of help.

#![expect(clippy::doc_markdown, reason = "these comments are the help text, which is not Markdown")]

use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use here_sandbox::Fault;

use crate::config::Overrides;

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
    /// What most commands take.
    #[command(flatten)]
    pub common: Common,
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
        /// Use an embedded offline HERE account: no credential, no network. The demo is at /.
        #[arg(long)]
        sandbox: bool,
    },
    /// Print one access token, for scripts.
    Token {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = TokenFormat::Text)]
        format: TokenFormat,
        /// The lifetime to ask for, in seconds (1 to 86400).
        #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        ttl: u64,
    },
    /// Find what is wrong before the server does.
    ///
    /// Looks at the configuration, the listeners, the audit trail, the credential and its permissions, and makes a real
    /// signed request.
    /// Exits with 0 only when the server would serve.
    Check,
    /// Ask the running server whether it is ready, such as for a container's health check.
    ///
    /// Asks at the first listener of the same configuration, and prints "ready". Exits with 0 when the server has a
    /// token to hand out, and with 1 when it has none or does not answer.
    Health {
        /// Ask whether it answers at all, with a token or without.
        #[arg(long)]
        live: bool,
    },
    /// Run the offline HERE account alone.
    ///
    /// It has a token endpoint that checks signatures strictly, misbehaves on request (--fault, PUT /sandbox/faults), and
    /// a small resource to use a token at (GET /hello).
    ///
    /// Listens at one TCP port, localhost:8080 where --listen names no other.
    ///
    /// With --credentials it has the access key in that file, and knows the tokens that it gave for it before; else a
    /// new one each time.
    Sandbox {
        /// Write a ready credentials.properties for it (mode 0600). Refuses to replace a file.
        #[arg(long, value_name = "FILE")]
        write_credentials: Option<PathBuf>,
        /// Misbehave from the start.
        #[arg(
            long,
            value_name = "JSON",
            value_parser = fault,
            help = "Misbehave from the start, as PUT /sandbox/faults takes it: {\"status\": 503, \"count\": 2}. May be repeated"
        )]
        fault: Vec<Fault>,
    },
    /// Manage API keys.
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

fn fault(text: &str) -> Result<Fault, String> {
    let expected = "expected JSON such as {\"status\": 503, \"count\": 2}";
    let json: serde_json::Value = serde_json::from_str(text).map_err(|_| expected.to_owned())?;
    if !json.is_object() {
        return Err(expected.to_owned());
    }
    serde_json::from_value(json).map_err(|error| error.to_string())
}

/// The commands about API keys.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum KeyCommand {
    /// Make an API key for a caller, and print it this once.
    ///
    /// With it comes the stanza for the configuration file, which holds only the key's SHA-256.
    New {
        /// The caller's name in logs, and its OAuth 2.0 client id.
        #[arg(long, value_name = "NAME")]
        id: String,
    },
}

/// How `token` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum TokenFormat {
    /// The token alone.
    Text,
    /// As in RFC 6749 §5.1.
    Json,
    /// A header line: Authorization: Bearer …
    Header,
    /// A shell assignment: HERE_ACCESS_TOKEN=…
    Env,
}

/// Options that most commands take.
#[derive(Args, Debug)]
pub struct Common {
    /// The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The credential file, as downloaded from the HERE portal.
    #[arg(long, global = true, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// The profile to use by default.
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// The scope to ask for, such as a project's HRN.
    #[arg(long, global = true, value_name = "HRN")]
    pub scope: Option<String>,
    /// Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated.
    #[arg(long, global = true, value_name = "ADDR")]
    pub listen: Vec<String>,
    /// Origins whose web pages may ask.
    #[arg(
        long,
        global = true,
        value_name = "ORIGIN",
        help = "An origin whose web pages may ask, such as https://maps.example.com. May be repeated"
    )]
    pub allow_origin: Vec<String>,
    /// Let anyone ask who can reach the server: something else protects it.
    #[arg(long, global = true)]
    pub anonymous: bool,
    /// How to log: text or json. Default: text on a terminal, else json.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Log more (-v debug, -vv trace).
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Log less (-q warnings only, -qq errors only).
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,
}

impl Common {
    /// Returns what the flags say about the configuration.
    pub fn overrides(&self) -> Overrides {
        let mut overrides = Overrides::default();
        overrides.config.clone_from(&self.config);
        overrides.listen.clone_from(&self.listen);
        overrides.allow_origin.clone_from(&self.allow_origin);
        overrides.anonymous = self.anonymous;
        overrides.credentials.clone_from(&self.credentials);
        overrides.profile.clone_from(&self.profile);
        overrides.scope.clone_from(&self.scope);
        overrides.log_format.clone_from(&self.log_format);
        let steps = |count: u8| i8::try_from(count).unwrap_or(i8::MAX);
        overrides.verbosity = steps(self.verbose) - steps(self.quiet);
        overrides
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
    page.render_options_section(to)?;
    writeln!(to, ".SH EXIT STATUS")?;
    let codes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    writeln!(to, "{}", codes.trim_start_matches("Exit codes: "))?;
    page.render_version_section(to)
}

/// Each command with the options of its own: those that all have are said once.
fn man_commands(parent: &clap::Command, names: &str, to: &mut impl std::io::Write) -> std::io::Result<()> {
    for command in parent.get_subcommands() {
        let name = format!("{names}{}", command.get_name());
        if command.has_subcommands() {
            man_commands(command, &format!("{name} "), to)?;
            continue;
        }
        writeln!(to, ".SS {name}")?;
        let command = command.clone().disable_help_flag(true).disable_version_flag(true);
        let mut text = Vec::new();
        let page = Man::new(command.clone());
        page.render_description_section(&mut text)?;
        if command.get_arguments().next().is_some() {
            page.render_options_section(&mut text)?;
        }
        // Sections of a command are not sections of the page.
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| !matches!(*line, ".SH DESCRIPTION" | ".SH OPTIONS"));
        for line in lines {
            writeln!(to, "{line}")?;
        }
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
            config: Some("a".into()),
            credentials: Some("b".into()),
            profile: Some("c".to_owned()),
            scope: Some("d".to_owned()),
            listen: vec!["e".to_owned(), "f".to_owned()],
            allow_origin: vec!["g".to_owned()],
            anonymous: true,
            log_format: Some("json".to_owned()),
            verbosity: 2,
        };
        assert_eq!(cli.common.overrides(), expected);
    }

    #[test]
    fn quiet_is_the_opposite_of_verbose() {
        for (flags, expected) in [("", 0), ("-v", 1), ("-vvv", 3), ("-q", -1), ("-qq", -2)] {
            let cli =
                Cli::try_parse_from(["token-provider", "check"].into_iter().chain(flags.split_whitespace()));
            assert_eq!(cli.expect("is well-formed").common.overrides().verbosity, expected, "{flags}");
        }
    }
}
