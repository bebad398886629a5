//! Who may use whom, and who may do what. `ci/source.rs` holds the sources against these lists.

/// The rooms of the sandbox: each uses only those before it.
pub(crate) const ROOMS: &[&str] = &[
    "percent",
    "random",
    "clock",
    "scope",
    "base_url",
    "nonce",
    "problem",
    "oauth",
    "signature",
    "token",
    "config",
    "assertion",
    "grant",
    "app",
    "fault",
    "stats",
    "data",
    "sandbox",
    "serve",
    "http",
    "cli",
];

/// What few may do: the words that do it, and the modules that have them.
pub(crate) const ONLY_IN: &[(&str, &[&str], &[&str])] = &[
    ("reads the wall clock", &["SystemTime::now"], &["clock"]),
    (
        "starts tasks or timers",
        &["tokio::spawn", "spawn_blocking", "JoinSet", "time::sleep"],
        &["serve", "http::misbehave"],
    ),
    ("sees a secret", &["expose_secret"], &["sandbox", "token"]),
];
