//! How the configuration file, the files that hold a fresh token, and the store of a running server stand.

use parking_lot::Mutex;
use token_provider::AccessToken;

use super::Tally;
use crate::reason::Flaw;

/// What became of the configuration file when it was last read; at the start all of it is used.
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

/// How one output stands.
#[derive(Clone, Debug, Default)]
pub struct OutputStatus {
    /// The token in the file; `None` if there is no file.
    pub token: Option<AccessToken>,
    /// How many attempts have failed since the start.
    pub errors: u64,
    /// Why the last attempt failed; `None` once one has succeeded.
    pub problem: Option<String>,
}

impl OutputStatus {
    /// Returns whether the file holds a token, and nothing stands against its successor.
    pub fn is_up(&self) -> bool {
        self.token.is_some() && self.problem.is_none()
    }
}

/// How the store stands.
#[derive(Debug, Default)]
pub struct StoreStatus {
    /// Why it is not used; `None` while it is.
    pub problem: Mutex<Option<String>>,
    /// How many records were not used, for each reason.
    pub rejected: Tally<Flaw>,
}
