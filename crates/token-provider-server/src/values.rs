//! Grammars of single values: each is parsed once, where it comes in, into a type that has no room for a wrong one.

pub(crate) mod claim;
pub(crate) mod duration;
pub(crate) mod header;
pub(crate) mod host;
pub(crate) mod listen;
pub(crate) mod name;
pub(crate) mod network;
pub(crate) mod origin;
pub(crate) mod pattern;
pub(crate) mod ttl;
pub(crate) mod unix;

pub use self::claim::NameTemplate;
pub use self::host::PublicHost;
pub use self::listen::{Host, Listen};
pub use self::origin::{Origin, OriginPattern};
pub use self::pattern::Pattern;
pub use self::ttl::Lifetimes;
pub use self::unix::{Owner, UnixPlace};
