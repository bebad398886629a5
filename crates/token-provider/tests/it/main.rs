//! The library as a program sees it: over real sockets, in simulated time, and from the outside in general.

mod assertion;
mod chain;
mod faults;
mod layers;
mod leaks;
mod network;
mod provider;
mod runtimes;
mod simulation;
mod skew;
mod tls;
mod wire;
mod world;

#[path = "../../../../ci/source.rs"]
mod source;
