//! The commands, their options, and every word of help.

#![expect(clippy::doc_markdown, reason = "these comments are the help text, which is not Markdown")]

use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::config::Overrides;
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
        /// Use an embedded offline HERE account: no credential, no network. The demo is at /.
        #[arg(long, hide = !sandbox::IS_BUILT_IN)]
        sandbox: bool,
        /// What `serve` and `check` take.
        #[command(flatten)]
        options: Options,
        /// What goes to the log.
        #[command(flatten)]
        log: LogOptions,
    },
    /// Print one access token, for scripts.
    Token {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = TokenFormat::Text)]
        format: TokenFormat,
        /// The lifetime to ask for, in seconds (1 to 86400).
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
    /// Find what is wrong before the server does.
    ///
    /// Looks at the configuration, the listeners, the audit trail, the identity provider, the credential and its
    /// permissions, and makes a real signed request. A server that runs already is no failure.
    /// Exits with 0 only when the server would serve.
    Check {
        /// Look at files and configuration only: open no port, send no request.
        #[arg(long)]
        offline: bool,
        /// What `serve` and `check` take.
        #[command(flatten)]
        options: Options,
    },
    /// Ask the running server whether it is ready, such as for a container's health check.
    ///
    /// Asks at the first listener of the same configuration, and prints "ready". Exits with 0 when the server has a
    /// token to hand out, and with 1 when it has none or does not answer.
    Health {
        /// Ask whether it answers at all, with a token or without.
        #[arg(long)]
        live: bool,
        /// Where the settings are.
        #[command(flatten)]
        file: FileOption,
        /// Where a server listens.
        #[command(flatten)]
        listen: ListenOption,
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
    #[command(hide = !sandbox::IS_BUILT_IN)]
    Sandbox {
        /// What the account does.
        #[command(flatten)]
        options: sandbox::Options,
        /// What goes to the log.
        #[command(flatten)]
        log: LogOptions,
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

/// What `serve` and `check` take.
#[derive(Args, Debug, Default)]
pub struct Options {
    #[command(flatten)]
    file: FileOption,
    #[command(flatten)]
    source: SourceOptions,
    #[command(flatten)]
    listen: ListenOption,
    /// Origins whose web pages may ask.
    #[arg(
        long,
        value_name = "ORIGIN",
        help = "An origin whose web pages may ask, such as https://maps.example.com. May be repeated"
    )]
    allow_origin: Vec<String>,
    /// Let anyone ask who can reach the server: something else protects it.
    #[arg(long)]
    anonymous: bool,
}

/// Where the settings are.
#[derive(Args, Debug, Default)]
pub struct FileOption {
    /// The configuration file. Else ./token-provider.toml or /etc/token-provider/config.toml, where there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where tokens come from.
#[derive(Args, Debug, Default)]
pub struct SourceOptions {
    /// The credential file, as downloaded from the HERE portal.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// The profile to use by default.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// The scope to ask for, such as a project's HRN.
    #[arg(long, value_name = "HRN")]
    scope: Option<String>,
}

/// Where a server listens.
#[derive(Args, Debug, Default)]
pub struct ListenOption {
    /// Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated.
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,
}

/// What goes to the log, and how.
#[derive(Args, Clone, Debug, Default)]
pub struct LogOptions {
    /// How to log: text or json. Default: text on a terminal, else json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Log one level more than log.level says (info: -v debug, -vv trace).
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Log one level less than log.level says (info: -q warnings only, -qq errors only).
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "verbose")]
    quiet: u8,
}

impl Command {
    /// Returns whether it takes the offline HERE account.
    pub(crate) fn needs_sandbox(&self) -> bool {
        matches!(self, Self::Sandbox { .. } | Self::Serve { sandbox: true, .. })
    }

    /// Returns what the options say about the configuration.
    pub fn overrides(&self) -> Overrides {
        let mut overrides = Overrides::default();
        match self {
            Self::Serve { options, log, .. } => {
                options.apply(&mut overrides);
                log.apply(&mut overrides);
            }
            Self::Check { options, .. } => options.apply(&mut overrides),
            Self::Token { file, source, log, .. } => {
                file.apply(&mut overrides);
                source.apply(&mut overrides);
                log.apply(&mut overrides);
                if log.verbose == 0 {
                    // A script wants its token, and to hear nothing but why there is none, which is reported at the end.
                    overrides.verbosity -= 3;
                }
            }
            Self::Health { file, listen, .. } => {
                file.apply(&mut overrides);
                listen.apply(&mut overrides);
            }
            Self::Sandbox { log, .. } => log.apply(&mut overrides),
            Self::Key(_) | Self::Completions { .. } | Self::Man => {}
        }
        overrides
    }
}

impl Options {
    fn apply(&self, overrides: &mut Overrides) {
        self.file.apply(overrides);
        self.source.apply(overrides);
        self.listen.apply(overrides);
        overrides.allow_origin.clone_from(&self.allow_origin);
        overrides.anonymous = self.anonymous;
    }
}

impl FileOption {
    fn apply(&self, overrides: &mut Overrides) {
        overrides.config.clone_from(&self.config);
    }
}

impl SourceOptions {
    fn apply(&self, overrides: &mut Overrides) {
        overrides.credentials.clone_from(&self.credentials);
        overrides.profile.clone_from(&self.profile);
        overrides.scope.clone_from(&self.scope);
    }
}

impl ListenOption {
    fn apply(&self, overrides: &mut Overrides) {
        overrides.listen.clone_from(&self.listen);
    }
}

impl LogOptions {
    fn apply(&self, overrides: &mut Overrides) {
        overrides.log_format.clone_from(&self.log_format);
        let steps = |count: u8| i8::try_from(count).unwrap_or(i8::MAX);
        overrides.verbosity = steps(self.verbose) - steps(self.quiet);
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
    for (title, entries) in MAN_SECTIONS {
        writeln!(to, ".SH {title}")?;
        let is_there = |(term, _): &&(&str, &str)| sandbox::IS_BUILT_IN || !term.contains("--sandbox");
        for (term, text) in entries.iter().filter(is_there) {
            // A hyphen that is to be copied has a backslash in troff.
            writeln!(to, ".TP\n\\fB{}\\fR\n{text}", term.replace('-', "\\-"))?;
        }
    }
    page.render_version_section(to)
}

/// What the manual says beside commands and options.
const MAN_SECTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        "ENVIRONMENT",
        &[
            ("TOKEN_PROVIDER_SECTION__KEY", "Sets a key of the configuration file; two underscores nest."),
            ("TOKEN_PROVIDER_CONFIG", "The configuration file, where --config names none."),
            ("HERE_ACCESS_KEY_ID, HERE_ACCESS_KEY_SECRET", "The access key, in place of a credential file."),
            ("HERE_TOKEN_ENDPOINT_URL, HERE_TOKEN_SCOPE", "Used with the access key above."),
            ("HERE_CREDENTIALS_FILE, HERE_CREDENTIALS_STRING", "A credential file, or its whole text."),
            (
                "HTTPS_PROXY, ALL_PROXY, NO_PROXY",
                "The proxy for requests to the network, and what goes without.",
            ),
            ("SSL_CERT_FILE, SSL_CERT_DIR", "Certificate authorities in place of the system's."),
            ("NO_COLOR", "No colors in the log."),
        ],
    ),
    (
        "FILES",
        &[
            (
                "./token-provider.toml, /etc/token-provider/config.toml",
                "The configuration: the first that is there.",
            ),
            (
                "./credentials.properties, ~/.here/credentials.ini, ~/.here/credentials.properties",
                "The credential: the first that is there, after the environment.",
            ),
        ],
    ),
    (
        "SIGNALS",
        &[
            ("SIGHUP", "Reload the configuration and the credentials; reopen the audit file."),
            ("SIGTERM, SIGINT", "Finish requests in flight, then stop; a second one stops at once."),
        ],
    ),
    (
        "EXAMPLES",
        &[
            ("token-provider serve --sandbox", "Try it without a HERE account, at http://localhost:3000."),
            ("token-provider check", "Find what is wrong before the server does."),
            (
                "curl -H @<(token-provider token --format header) https://...",
                "Call a HERE service from a shell.",
            ),
            ("token-provider key new --id dashboard", "Make an API key for a caller."),
        ],
    ),
];

/// Each command with its own options.
fn man_commands(parent: &clap::Command, names: &str, to: &mut impl std::io::Write) -> std::io::Result<()> {
    for command in parent.get_subcommands().filter(|command| !command.is_hide_set()) {
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
            is_on_network: false,
        };
        assert_eq!(cli.command.overrides(), expected);
    }

    #[test]
    fn quiet_is_the_opposite_of_verbose() {
        for (flags, expected) in [("", 0), ("-v", 1), ("-vvv", 3), ("-q", -1), ("-qq", -2)] {
            let cli =
                Cli::try_parse_from(["token-provider", "serve"].into_iter().chain(flags.split_whitespace()));
            assert_eq!(cli.expect("is well-formed").command.overrides().verbosity, expected, "{flags}");
        }
        for (flags, expected) in [("", -3), ("-q", -4), ("-v", 1), ("-vv", 2)] {
            let cli =
                Cli::try_parse_from(["token-provider", "token"].into_iter().chain(flags.split_whitespace()));
            assert_eq!(cli.expect("is well-formed").command.overrides().verbosity, expected, "token {flags}");
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
