//! The command as a person or a script runs it: what goes to stdout, what to stderr, and how it ends.

mod check;
mod config_file;
mod foreign_text;
mod health;
mod help;
#[cfg(all(target_os = "linux", not(portable)))]
mod memory;
#[cfg(all(target_os = "linux", not(portable)))]
mod notify;
mod old_configuration;
mod sandbox;
mod serve;
mod token;
#[cfg(not(feature = "sandbox"))]
mod without_sandbox;
