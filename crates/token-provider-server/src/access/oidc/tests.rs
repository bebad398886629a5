//! Tokens of an identity provider made up here, with keys made on the spot: what lets a caller in, and every trick that
//! must not.

mod claims;
mod forged;
mod keeper;
mod malformed;
mod provider;
mod rules;
mod signatures;
mod support;
