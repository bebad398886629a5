//! The sandbox as a client meets it: real connections on a port that the system picks, raw requests, every
//! code and every fault.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what a test relies on and does not find ends the test"
)]

mod assertion;
mod catalogs;
mod control;
mod data;
mod faults;
mod layers;
mod program;
mod refused;
mod serving;
mod support;
mod token;

#[path = "../../../../ci/source.rs"]
mod source;
