//! Why a configuration that reads well cannot be used.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io;
use std::path::Path;

use token_provider::Error;

use crate::topic::Topic;

/// Why a configuration that reads well cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SetupError {
    topic: Topic,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl SetupError {
    pub(super) fn new(
        topic: Topic,
        message: String,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { topic, message, source }
    }

    /// What the configuration says of this cannot be used, as the library says.
    pub(super) fn of(what: &str) -> impl Fn(Error) -> Self {
        move |error| Self::new(error.kind().into(), format!("{what}: {error}"), Some(error.into()))
    }

    /// A profile's credential, or its issuer, cannot be used.
    pub(super) fn profile(name: &str) -> impl Fn(Error) -> Self {
        move |error| Self::of(&format!("profile {name}"))(error)
    }

    /// A file that a key of a profile names cannot be read.
    pub(super) fn file(profile: &str, key: &str, file: &Path) -> impl Fn(io::Error) -> Self {
        move |error| {
            let message = format!("profile {profile}: {key}: {}: cannot be read", file.display());
            Self::new(Topic::ProfileFile, message, Some(error.into()))
        }
    }

    /// A listener can be reached from outside, and nobody has said who may ask.
    pub(crate) fn open(listen: impl Display) -> Self {
        let message = format!(
            "{listen} can be reached from outside this machine, and nothing says who may ask. Either listen on \
             localhost:3000; or configure callers ([[access.api_keys]], [access.oidc], [access.mtls] or \
             [access.trusted_proxy] with its header); or say --anonymous if something else protects the server"
        );
        Self::new(Topic::Exposed, message, None)
    }

    pub(crate) fn topic(&self) -> Topic {
        self.topic
    }
}
