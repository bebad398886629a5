//! The offline HERE account of `serve --sandbox` and `sandbox`, and the demonstration over its data. This room alone knows
//! whether the cargo feature `sandbox` is on.

#[cfg(feature = "sandbox")]
mod account;
#[cfg(not(feature = "sandbox"))]
#[path = "sandbox/absent.rs"]
mod account;
#[cfg(feature = "sandbox")]
mod demo;
mod error;
#[cfg(feature = "sandbox")]
mod inspector;

pub use self::account::Options;
pub(crate) use self::account::{Account, run};
pub(crate) use self::error::SandboxError;

/// Whether this program has the account.
pub(crate) const IS_BUILT_IN: bool = cfg!(feature = "sandbox");
