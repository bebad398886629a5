//! What comes from outside the file: environment variables and flags, laid over it in the order of their weight.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::environment::Environment;
use super::error::{PREFIX, Place, Problem};
use super::profile::DEFAULT_PROFILE;
use super::tree::{Entry, Node, Table, from_variable, set};

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

/// Lays the environment over the file.
pub(super) fn lay_environment(table: &mut Table, environment: &Environment, problems: &mut Vec<Problem>) {
    for (name, value) in environment.settings() {
        let place = Place::Variable(name.to_owned());
        let keys: Vec<String> =
            name.strip_prefix(PREFIX).unwrap_or(name).to_lowercase().split("__").map(str::to_owned).collect();
        if let Err(problem) = set(table, &keys, from_variable(place, value)) {
            problems.push(problem);
        }
    }
    for name in environment.unreadable() {
        problems.push(Problem::new(Place::Variable(name.to_owned()), "", "expected UTF-8 text"));
    }
}

/// Returns the names of the profiles that are written down so far.
pub(super) fn profiles_in(table: &Table) -> BTreeSet<String> {
    match table.get("profiles").map(|entry| &entry.node) {
        Some(Node::Table(profiles)) => profiles.keys().cloned().collect(),
        _ => BTreeSet::new(),
    }
}

/// Lays the flags over everything else.
pub(super) fn lay_overrides(table: &mut Table, overrides: &Overrides, problems: &mut Vec<Problem>) {
    let mut lay = |flag: &'static str, keys: &[&str], node: Node| {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let place = Place::Flag(flag);
        problems.extend(set(table, &keys, Entry { place, node }).err());
    };
    if !overrides.listen.is_empty() {
        lay("--listen", &["listen"], list("--listen", &overrides.listen));
    }
    if !overrides.allow_origin.is_empty() {
        let origins = list("--allow-origin", &overrides.allow_origin);
        lay("--allow-origin", &["cors", "origins"], origins);
    }
    if overrides.anonymous {
        lay("--anonymous", &["access", "anonymous"], Node::Bool(true));
    }
    if let Some(format) = &overrides.log_format {
        lay("--log-format", &["log", "format"], Node::Text(format.clone()));
    }
    if let Some(profile) = &overrides.profile {
        lay("--profile", &["profile"], Node::Text(profile.clone()));
    }

    // The last two speak of the profile in use, whichever source has chosen it.
    let profile = chosen_profile(table);
    let mut lay = |flag: &'static str, key: &str, node: Node| {
        let keys = ["profiles".to_owned(), profile.clone(), key.to_owned()];
        let place = Place::Flag(flag);
        problems.extend(set(table, &keys, Entry { place, node }).err());
    };
    if let Some(path) = &overrides.credentials {
        // `Other` is refused by whoever reads it: a path that is no text cannot be in the tree.
        let node = path.to_str().map_or(Node::Other, |path| Node::Text(path.to_owned()));
        lay("--credentials", "credentials", node);
    }
    if let Some(scope) = &overrides.scope {
        lay("--scope", "scope", Node::Text(scope.clone()));
    }
}

fn list(flag: &'static str, values: &[String]) -> Node {
    let item = |value: &String| Entry { place: Place::Flag(flag), node: Node::Text(value.clone()) };
    Node::List(values.iter().map(item).collect())
}

fn chosen_profile(table: &Table) -> String {
    match table.get("profile").map(|entry| &entry.node) {
        Some(Node::Text(name) | Node::Raw(name)) => name.clone(),
        _ => DEFAULT_PROFILE.to_owned(),
    }
}
