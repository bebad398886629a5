//! Keys that look as if a secret was to follow, and what to do instead.

use crate::settings::MisplacedSecrets;

pub(super) const MISPLACED_SECRETS: MisplacedSecrets = MisplacedSecrets { prefix: API_KEY, hint };

/// What API keys begin with.
pub(super) const API_KEY: &str = "tp_";

fn hint(key: &str) -> Option<&'static str> {
    let key = key.replace(['.', '-'], "_");
    if key == "here" || key.starts_with("here_") || key.contains("access_key") {
        return Some(
            "HERE's access key does not belong here: leave it in credentials.properties, and name that file in \
             profiles.NAME.credentials",
        );
    }
    if key == "key" || key == "api_key" || key.starts_with(API_KEY) {
        return Some(
            "an API key does not belong here: `token-provider key new` prints a key and its SHA-256, and the hash \
             goes into access.api_keys",
        );
    }
    let is_secret = ["secret", "password", "passwd"].iter().any(|word| key.contains(word));
    is_secret.then_some("secrets do not belong here: settings contain only file names and hashes")
}
