//! How the files that hold a fresh token stand.

use token_provider::AccessToken;

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
