//! The offline HERE account of `serve --sandbox` and `sandbox`, and the demonstration over its data. This room alone knows
//! whether the cargo feature `sandbox` is on.

#[cfg(feature = "sandbox")]
mod account;
#[cfg(not(feature = "sandbox"))]
#[path = "sandbox/absent.rs"]
mod account;
#[cfg(feature = "sandbox")]
mod demo;
#[cfg(feature = "sandbox")]
mod inspector;

pub use self::account::Options;
pub(crate) use self::account::{open, run};

/// Whether this program has the account.
pub(crate) const IS_BUILT_IN: bool = cfg!(feature = "sandbox");

/// Why a command is refused that needs the account.
pub(crate) const ABSENT: &str = "this program was built without the sandbox, like the Debian package and \
                                 the container image; use the one from a release archive, or here-sandbox \
                                 for the account alone";
