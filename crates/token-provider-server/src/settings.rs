//! The engine below the configuration: where settings come from, and how they are read. It knows no key.
//!
//! The schema reads its keys from a [`Section`] one by one, with a parser for each. An environment variable
//! (`TOKEN_PROVIDER_SECTION__KEY`) beats the file. All errors are reported at once, each with its place, the key and what was
//! expected, and never with the value: a secret pasted into the wrong line must not reach a log.

mod environment;
mod error;
mod file;
mod section;
mod syntax;
mod unknown;

pub use self::environment::Environment;
pub use self::error::ConfigErrors;

pub(crate) use self::error::{ReadError, did_you_mean, word};
pub(crate) use self::file::Locations;
#[cfg(unix)]
pub(crate) use self::file::{is_own, others_control};
pub(crate) use self::section::{List, Parse, Section, path, read};
pub(crate) use self::unknown::MisplacedSecrets;
