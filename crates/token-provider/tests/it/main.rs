//! The library as a program sees it: over real sockets, in simulated time, and from the outside in general.

mod assertion;
mod chain;
mod faults;
mod fleet;
mod layers;
mod leaks;
mod lives;
mod network;
mod provider;
mod runtimes;
mod shared;
mod simulation;
mod skew;
mod tls;
mod wire;
mod world;

#[path = "../../../../ci/source.rs"]
mod source;
