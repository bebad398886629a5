//! How the configuration file of a running server stands.

/// What became of the file when it was last read; at the start all of it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigStatus {
    /// The file, if there was one at the start.
    pub file: Option<String>,
    /// Why its last change is not used.
    pub problems: Vec<String>,
    /// Why the secrets of access keys, and the keys of the store, are not those in their files.
    pub secret_problems: Vec<String>,
    /// Nobody is let in, as it names nobody any more who may ask.
    pub is_locked: bool,
    /// The keys whose change takes effect after a restart.
    pub waiting: Vec<&'static str>,
}

impl ConfigStatus {
    /// Returns whether the server does what its files say, as far as it can without a restart.
    pub fn is_reloaded(&self) -> bool {
        self.problems.is_empty() && self.secret_problems.is_empty() && !self.is_locked
    }
}
