//! A configuration together with what it was loaded from.

use super::{Config, Overrides};
use crate::settings::{ConfigErrors, Environment};

/// A configuration, and what it can be loaded from again.
#[derive(Debug)]
pub struct LoadedConfig {
    /// The configuration in use.
    pub config: Config,
    /// The flags, which go on to beat the file.
    pub overrides: Overrides,
    /// The environment, which a running process keeps.
    pub environment: Environment,
}

impl LoadedConfig {
    /// Loads the configuration by the environment of this process.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each problem with its place.
    pub fn from_process(overrides: Overrides) -> Result<Self, ConfigErrors> {
        let environment = Environment::from_process();
        let config = Config::load(&overrides, &environment)?;
        Ok(Self { config, overrides, environment })
    }
}
