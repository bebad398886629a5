//! Who may use whom, and who may do what. `ci/source.rs` holds the sources against these lists.

/// The rooms of the server: each uses only those before it.
pub(crate) const ROOMS: &[&str] = &[
    "printable",
    "outbound",
    "file_work",
    "reason",
    "topic",
    "problem",
    "settings",
    "values",
    "config",
    "failure",
    "telemetry",
    "oidc",
    "access",
    "http",
    "admin",
    "listen",
    "outputs",
    "store",
    "setup",
    "notify",
    "reload",
    "sandbox",
    "cli",
    "commands",
];

/// What few may do: the words that do it, and the modules that have them.
pub(crate) const ONLY_IN: &[(&str, &[&str], &[&str])] = &[
    ("reads the wall clock", &["SystemTime::now"], &[]),
    ("reads the environment", &["std::env"], &["settings"]),
    ("calls over the network", &["reqwest::Client"], &["outbound"]),
    (
        "starts tasks or timers",
        &["tokio::spawn", "spawn_blocking", "JoinSet", "thread::Builder", "time::sleep", "time::interval"],
        &[
            "file_work",
            "oidc::refresher",
            "telemetry",
            "admin",
            "listen",
            "outputs",
            "store",
            "reload",
            "notify",
            "sandbox",
            "commands::serve",
        ],
    ),
    (
        "shows a token or a secret",
        &["expose_secret"],
        &["access::here_key", "http::token", "commands::key", "outputs::format", "store::seal"],
    ),
];

#[test]
fn library_lists_its_rooms_in_their_order() {
    let text = include_str!("../../src/lib.rs");
    let module = |line: &'static str| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';');
    assert_eq!(text.lines().filter_map(module).collect::<Vec<_>>(), ROOMS);
}
