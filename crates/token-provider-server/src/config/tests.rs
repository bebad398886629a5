//! The configuration as a whole: what is read, what is refused and in which words.

mod echo;
mod files;
mod flags;
mod keys;
mod messages;
mod refused;
mod sources;

use std::path::Path;

use token_provider::Scope;

use super::{Config, ConfigErrors, Environment, Overrides};

/// The name that the file has in messages.
const FILE: &str = "c.toml";

fn scope(text: &str) -> Scope {
    Scope::new(text).expect("is a scope")
}

/// Reads a file and nothing else.
fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(Some((Path::new(FILE), text)), &Environment::default(), &Overrides::default())
}

/// Reads a file under variables and flags.
fn with(text: &str, variables: &[(&str, &str)], overrides: &Overrides) -> Result<Config, ConfigErrors> {
    let environment = Environment::from_pairs(variables.iter().copied());
    Config::parse(Some((Path::new(FILE), text)), &environment, overrides)
}

/// Reads a file that must be all right.
fn parsed(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Reads a file that must not be, and returns the problems, one on each line.
fn problems(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}
