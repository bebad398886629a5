//! Why there is no account.

use std::io;

/// Why the account does not run.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(
    not(feature = "sandbox"),
    expect(dead_code, reason = "an account that is absent fails in one way alone")
)]
pub(crate) enum SandboxError {
    /// This program was built without it.
    #[error(
        "this program is built without the sandbox, as for the Debian package and the container image; use the one of a release \
         archive, or the program here-sandbox for the account alone"
    )]
    Absent,
    /// Its access key cannot be read.
    #[error(transparent)]
    Credential(#[from] token_provider::Error),
    /// Its options ask for what it refuses.
    #[error("{0}")]
    Usage(String),
    /// The system said no.
    #[error("{what}")]
    System { what: String, source: io::Error },
}
