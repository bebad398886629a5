//! The service as its callers and its users see it: over sockets, and as a process.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    reason = "what a test relies on and does not find ends the test"
)]
#![cfg_attr(
    not(all(target_os = "linux", not(portable))),
    allow(dead_code, unused_imports, reason = "tests of what only Linux has are left out")
)]

mod admin;
mod attacks;
mod chain;
mod command;
mod connections;
mod contract;
mod corpus;
mod drain;
mod golden;
mod here_keys;
mod layers;
mod numbers;
mod outputs;
mod private_key;
mod probes;
mod problems;
mod promises;
mod reports;
mod resilience;
mod secrets;
mod shutdown;
mod store;
mod stuck;
mod support;
mod trail;
mod transport;
mod unix_socket;

#[path = "../../../../ci/source.rs"]
mod source;
