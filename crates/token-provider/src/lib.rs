//! Keeps a HERE platform access token fresh, and hands it out.
//!
//! HERE gives tokens that live for hours in exchange for a request signed with a long-lived access key (OAuth 1.0a,
//! RFC 5849) or private key (`private_key_jwt`, RFC 7523). This library holds the key, makes that request, and returns tokens that are good for a while yet:
//!
//! ```no_run
//! use token_provider::{Credential, HereIssuer, HereIssuerConfig, TokenProvider};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let credential = Credential::from_file("credentials.properties")?;
//! let provider = TokenProvider::new(HereIssuer::new(HereIssuerConfig::new(credential))?);
//! let token = provider.token().await?; // ask each time; do not keep it
//! println!("Authorization: Bearer {}", token.expose_secret());
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - Nobody waits while a usable token is held. A token is refreshed, that is, its successor is fetched early, at about
//!   70 % of its lifetime, behind the callers. (No OAuth *refresh tokens* are involved; HERE gives none here.)
//! - One request is in flight per kind of token, however many callers wait.
//! - A token handed out has more than ten seconds to live, by the wall clock and by one that runs on while the machine
//!   is suspended.
//! - After a failure it pauses, longer each time, and says so at once to callers that have no token: no caller can make
//!   it hammer the issuer.
//! - Secrets and tokens appear in no `Debug`, no error and no log, and are wiped from memory when dropped. (Buffers of the
//!   HTTP client and of TLS, in which a token came, are not the library's to wipe.)
//!
//! # Runtimes, cancellation, blocking use
//!
//! It needs Tokio, with timers and input and output enabled (`enable_all`). A token is refreshed by a task of the runtime on
//! which a caller first waited for it. A runtime that has ended, or that nobody drives, holds up no one: what is held goes on being
//! handed out, and the next caller that has to wait makes the request on its own runtime.
//!
//! A caller's future can be dropped at any time, as by `select!` or a time-out. The request goes on for the others.
//!
//! A program without async code keeps one runtime beside its provider, and calls `runtime.block_on(provider.token())`. A
//! token is then refreshed while something blocks on the runtime, and at the latest when it has expired. One with worker threads
//! (`Builder::new_multi_thread`) refreshes ahead of that.
//!
//! # Sharing tokens
//!
//! Where several processes use one credential, or tokens should outlive a restart, put a [`SharedIssuer`] with a [`Store`] of yours in
//! front of the issuer: one process makes each request, and the others take its token from the store. The server has stores in a
//! folder and in Valkey or Redis.
//!
//! # Testing
//!
//! With the cargo feature `test-util`, [`TokenProvider::fixed`] hands out a token of your choice, [`AccessToken::fixed`] is a
//! token without a provider, and [`TestClock`] is a clock that a test can set. For everything else write an [`Issue`].
//!
//! With Tokio's paused time, think of three things. Without a [`TestClock`] the provider goes by the system's clock, which goes on:
//! give it one, made in the same runtime. Paused time jumps to the next timer whenever every task waits, also one that waits
//! for a socket: a request over the network then runs into its time limit at once, so use an issuer without one. And a refresh
//! happens in its own task: after `advance`, let that run, by `sleep` rather than `advance`, before looking at its result.
//!
//! # Features
//!
//! - `test-util`: what the section above names. For `[dev-dependencies]`.
//!
//! # The flow
//!
//! [`Credential`] → signature → [`HereIssuer`] (an [`Issue`]) → cache with one slot per [`TokenKey`] →
//! [`TokenProvider`] → [`AccessToken`]. A module uses only those before it.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::too_many_lines, reason = "a table of cases is as long as its cases"))]

mod error;

mod clock;
mod token;

mod credential;
mod sign;

mod issuer;

mod schedule;

mod store;

mod cache;

mod provider;

#[cfg(any(test, feature = "test-util"))]
mod testing;

pub use crate::cache::{ReportOutcome, SlotStatus};
pub use crate::clock::{Clock, Moment, SystemClock};
pub use crate::credential::{
    Credential, CredentialSource, DEFAULT_TOKEN_ENDPOINT_URL, PrivateKey, SigningAlgorithm, is_invisible,
    is_loopback_address, is_loopback_url, trim_value,
};
pub use crate::error::{LoadError, LoadErrorKind, TokenError, TokenErrorKind, error_chain};
pub use crate::issuer::{
    AnyIssuer, HereIssuer, HereIssuerConfig, Issue, Issued, Network, Proxies, RemoteIssuer,
    RemoteIssuerConfig, connection_problem,
};
pub use crate::provider::{TokenProvider, TokenProviderBuilder};
pub use crate::sign::verify;
pub use crate::store::{Lease, Leased, NotedFailure, SharedIssuer, Store, Stored, StoredToken};
#[cfg(any(test, feature = "test-util"))]
pub use crate::testing::TestClock;
pub use crate::token::{
    AccessToken, DEFAULT_LIFETIME, EXPIRY_MARGIN, Fingerprint, MAX_LIFETIME, Scope, TokenKey,
};

/// Crates whose types are in signatures here, so that a program need not match their versions.
pub use {bytes, reqwest::header::HeaderName, reqwest::header::HeaderValue, secrecy, url};

/// The name by which a fuzz target that is compiled among the tests knows this crate.
#[cfg(test)]
extern crate self as token_provider;

/// Compiles the Rust code of the document.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/integrating.md")]
struct Integrating;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
