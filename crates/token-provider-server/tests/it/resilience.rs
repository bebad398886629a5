//! Bad days: the program, under load, while the account fails, credentials and rules change, and clocks are set. All
//! of it with real processes on sockets of their own.

mod clock;
mod descriptors;
mod guarded;
mod load;
mod outage;
mod process;
mod providers;
mod reload;
mod rotation;
