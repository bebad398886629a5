//! What the command line says of the configuration: the options that several commands share, with their help.

#![expect(clippy::doc_markdown, reason = "these comments are the help text, which is not Markdown")]

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// Settings from the command line. They beat every other source; what is `None`, empty or `false` says nothing.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Where the settings are.
    #[command(flatten)]
    pub file: FileOption,
    /// Where tokens come from.
    #[command(flatten)]
    pub source: SourceOptions,
    /// Where a server listens.
    #[command(flatten)]
    pub listeners: ListenOption,
    /// Origins whose web pages may ask.
    #[arg(
        long,
        value_name = "ORIGIN",
        help = "Allow web pages from this origin, such as https://maps.example.com. May be repeated"
    )]
    pub allow_origin: Vec<String>,
    /// Allow anyone who can reach the server, without authentication. For servers that something else protects.
    #[arg(long)]
    pub anonymous: bool,
    /// What goes to the log. Not every command that takes the others takes these.
    #[arg(skip)]
    pub log: LogOptions,
    /// Set by a running server of which a listener is bound that the network reaches, whatever a changed file says.
    #[arg(skip)]
    pub is_on_network: bool,
}

/// Where the settings are.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct FileOption {
    /// The configuration file. Default: ./token-provider.toml or
    #[cfg_attr(not(windows), doc = "/etc/token-provider/config.toml,")]
    #[cfg_attr(windows, doc = r"%ProgramData%\token-provider\config.toml,")]
    /// if either exists.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Where tokens come from.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceOptions {
    /// The credential file, as downloaded from the HERE portal.
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// The profile to use by default.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The scope to request, such as a project's HRN.
    #[arg(long, value_name = "HRN")]
    pub scope: Option<String>,
}

/// Where a server listens.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenOption {
    /// Where to listen: localhost:3000, 0.0.0.0:8443, unix:/run/token-provider.sock. May be repeated.
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,
}

/// What goes to the log, and how.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The log format: text or json. Default: text on a terminal, otherwise json.
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Log one level more than log.level says (info: -v debug, -vv trace).
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// Log one level less than log.level says (info: -q warnings only, -qq errors only).
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,
}
