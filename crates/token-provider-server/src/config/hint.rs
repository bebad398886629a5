//! Keys that look as if a secret was to follow, and what to do instead.

/// Returns what to do instead of using a key of this name.
pub(super) fn hint(key: &str) -> Option<&'static str> {
    let key = key.to_lowercase().replace(['.', '-'], "_");
    if key == "here" || key.starts_with("here_") || key.contains("access_key") {
        return Some(
            "HERE's access key does not belong here: leave it in credentials.properties, and name that file in \
             profiles.NAME.credentials",
        );
    }
    if key == "key" || key == "api_key" || key.starts_with("tp_") {
        return Some(
            "an API key does not belong here: `token-provider key new` prints a key and its SHA-256, and the hash \
             goes into access.api_keys",
        );
    }
    let is_secret = ["secret", "password", "passwd"].iter().any(|word| key.contains(word));
    is_secret.then_some("secrets do not belong here: settings hold names of files and hashes only")
}
