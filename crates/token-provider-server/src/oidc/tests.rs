//! Tokens of an identity provider made up here, with keys made on the spot: what lets a caller in, and every trick that
//! must not.

mod claims;
mod forged;
mod malformed;
mod provider;
mod refresher;
mod several;
mod signatures;
pub(crate) mod support;
