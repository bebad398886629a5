//! What the command line says of the configuration.

use std::path::PathBuf;

/// Settings from the command line. They beat every other source; what is `None`, empty or `false` says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--config`: the configuration file.
    pub config: Option<PathBuf>,
    /// `--listen`, each time it was given.
    pub listen: Vec<String>,
    /// `--allow-origin`, each time it was given.
    pub allow_origin: Vec<String>,
    /// `--anonymous`.
    pub anonymous: bool,
    /// `--credentials`: the credential file of the profile in use.
    pub credentials: Option<PathBuf>,
    /// `--profile`: the profile in use.
    pub profile: Option<String>,
    /// `--scope`: the scope where a caller names none.
    pub scope: Option<String>,
    /// `--log-format`.
    pub log_format: Option<String>,
    /// How many times `-v`, less how many times `-q`.
    pub verbosity: i8,
    /// Set by a running server of which a listener is bound that the network reaches, whatever a changed file says.
    pub is_on_network: bool,
}
