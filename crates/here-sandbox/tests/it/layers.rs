//! Who uses whom, and who may do what.

use super::source::Source;

/// The rooms of the sandbox: each uses only those before it.
const ROOMS: &[&str] = &[
    "percent",
    "random",
    "clock",
    "scope",
    "base_url",
    "nonce",
    "oauth",
    "signature",
    "token",
    "config",
    "problem",
    "grant",
    "fault",
    "stats",
    "data",
    "account",
    "serve",
    "http",
    "sandbox",
    "cli",
];

/// Rooms whose files still use each other in a circle.
const HAVE_CYCLES: &[&str] = &[];

/// What few may do: the words that do it, and the modules that have them.
const ONLY_IN: &[(&str, &[&str], &[&str])] = &[
    ("reads the wall clock", &["SystemTime::now"], &["clock"]),
    (
        "starts tasks or timers",
        &["tokio::spawn", "spawn_blocking", "JoinSet", "time::sleep"],
        &["serve", "http::misbehave"],
    ),
    ("sees a secret", &["expose_secret"], &["config", "account", "token"]),
];

#[test]
fn module_uses_only_those_before_it() {
    Source::read(env!("CARGO_MANIFEST_DIR")).assert_order(ROOMS, HAVE_CYCLES);
}

#[test]
fn few_may_do_what_is_risky() {
    Source::read(env!("CARGO_MANIFEST_DIR")).assert_only_in(ONLY_IN);
}

#[test]
fn no_file_is_too_long() {
    Source::read(env!("CARGO_MANIFEST_DIR")).assert_short_files();
}
