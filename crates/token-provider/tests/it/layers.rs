//! Who may use whom, and who may do what. `ci/source.rs` holds the sources against these lists.

/// The modules of the library: each uses only those before it.
pub(crate) const ROOMS: &[&str] = &[
    "error",
    "clock",
    "token",
    "credential",
    "sign",
    "issuer",
    "schedule",
    "store",
    "cache",
    "provider",
    "testing",
];

/// What only few may do: the words that do it, and the rooms or files that have them.
pub(crate) const ONLY_IN: &[(&str, &[&str], &[&str])] = &[
    ("reads the wall clock", &["SystemTime::now"], &["clock"]),
    ("reads the environment", &["env::var"], &["credential::source", "issuer::proxy"]),
    ("calls over the network", &["reqwest::Client"], &["issuer"]),
    ("starts tasks", &["tokio::spawn", "spawn_blocking", "JoinSet"], &["cache"]),
    ("sees secrets", &["expose_secret"], &["credential", "sign", "issuer", "token"]),
];
