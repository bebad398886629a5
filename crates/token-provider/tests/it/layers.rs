//! Who uses whom, and who may do what.

use super::source::Source;

/// The modules of the library: each uses only those before it.
const ROOMS: &[&str] =
    &["error", "clock", "token", "credential", "sign", "issuer", "schedule", "cache", "provider"];

/// Rooms whose files still use each other in a circle.
const HAVE_CYCLES: &[&str] = &[];

/// What only few may do: the words that do it, and the rooms or files that have them.
const ONLY_IN: &[(&str, &[&str], &[&str])] = &[
    ("reads the wall clock", &["SystemTime::now"], &["clock"]),
    ("reads the environment", &["env::var"], &["issuer::proxy"]),
    ("calls over the network", &["reqwest::Client"], &["issuer"]),
    ("starts tasks", &["tokio::spawn", "spawn_blocking", "JoinSet"], &["cache"]),
    ("sees secrets", &["expose_secret"], &["credential", "sign", "issuer", "token"]),
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
