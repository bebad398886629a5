//! In the place of the account, in a program that was built without it.

use std::convert::Infallible;
use std::ffi::OsString;

use clap::Args;

use super::SandboxError;
use crate::config::Config;
use crate::http::Page;
use crate::setup::{Service, SetupError};

/// Whatever the account's options may be: they are not what is wrong.
#[derive(Args, Debug)]
pub struct Options {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    ignored: Vec<OsString>,
}

/// There is none.
#[derive(Debug)]
pub(crate) struct Account(Infallible);

/// Says so.
pub(crate) async fn run(_options: Options) -> Result<(), SandboxError> {
    Err(SandboxError::Absent)
}

impl Account {
    /// Says so.
    #[expect(clippy::unused_async, reason = "like the one that is built in")]
    pub(crate) async fn open() -> Result<Self, SandboxError> {
        Err(SandboxError::Absent)
    }

    /// Is never called.
    pub(crate) fn service(&self, _config: &Config) -> Result<Service, SetupError> {
        match self.0 {}
    }

    /// Is never called.
    pub(crate) fn page(&self) -> Page {
        match self.0 {}
    }
}
