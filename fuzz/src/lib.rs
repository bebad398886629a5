//! What is fuzzed, and what must hold whatever the input.
//!
//! Each module is one target: `run` takes the fuzzer's bytes and panics when something does not hold. The server's
//! tests replay `corpus/` through the same functions, on stable and without a fuzzer (`tests/it/corpus.rs` there), and
//! the library's those of `answer`, which calls what only its own tests and a fuzzer can see.
//!
//! Inputs are readable text wherever possible, so that a corpus can be read and written by hand.

#[cfg(fuzzing)]
pub mod answer;
pub mod config;
pub mod credential;
pub mod host_origin;
pub mod planted;
pub mod request;

/// Does something with an input, and panics where that breaks a promise.
pub type Target = fn(&[u8]);

/// The targets by the names of their corpus folders.
pub const TARGETS: &[(&str, Target)] = &[
    #[cfg(fuzzing)]
    ("answer", answer::run),
    ("config", config::run),
    ("credential", credential::run),
    ("host_origin", host_origin::run),
    ("request", request::run),
];
