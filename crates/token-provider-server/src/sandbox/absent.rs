//! In the place of the account, in a program that was built without it: commands that need it are refused before.

use std::ffi::OsString;

use clap::Args;
use token_provider::CredentialSource;

use crate::failure::Failure;
use crate::http::Page;

/// Any options: they are not what is wrong.
#[derive(Args, Debug)]
pub struct Options {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    ignored: Vec<OsString>,
}

pub(crate) async fn run(_options: Options) -> Result<(), Failure> {
    unreachable!("the command is refused")
}

pub(crate) async fn open() -> Result<(CredentialSource, Page), Failure> {
    unreachable!("the command is refused")
}
