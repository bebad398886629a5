//! What to say of a key that nobody asked for, and which keys may stand in a message at all.

use super::error::{did_you_mean, variable_name};

/// Longest key that is shown; a longer one is more likely a secret that went astray (HERE's have 86 characters).
const LONGEST_SHOWN_KEY: usize = 64;

/// A key's path, from that of its section. Keys are not values, but a value in the wrong place can become a key.
pub(super) fn key_path(section: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-:/".contains(c);
    let showable = key.len() <= LONGEST_SHOWN_KEY && !key.starts_with("tp_") && key.chars().all(plain);
    let key = if showable { key } else { "(a key that is not shown)" };
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// The message for a key in the file, or inside a value.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    match (did_you_mean(key, known.iter().copied()), secret_hint(key)) {
        (Some(name), _) => format!("unknown key; did you mean \"{name}\"?"),
        (None, Some(hint)) => format!("unknown key; {hint}"),
        (None, None) => format!("unknown key; expected one of: {}", known.join(", ")),
    }
}

/// What to say of a variable that would set a key of this section. `Err` is a mistake that must not go unnoticed: a
/// misspelt limit would start a server without it. `Ok` is a variable that merely has our prefix, such as those of
/// Kubernetes and Docker for a service of our name, or the one with a client's own API key.
pub(super) fn unknown_variable(section: &str, key: &str, known: &[&str]) -> Result<String, String> {
    let guess = did_you_mean(key, known.iter().copied()).map(|name| key_path(section, name)).or_else(|| {
        // `TLS_CERT`: one underscore is a part of a key's name, two go into a table.
        let nested = |name: &&&str| key.strip_prefix(**name).is_some_and(|rest| rest.starts_with('_'));
        let name = known.iter().filter(nested).max_by_key(|name| name.len())?;
        let rest = key.strip_prefix(name)?.strip_prefix('_')?;
        // `ADMIN_PORT_9464_TCP`: of a service whose name goes on.
        let is_link = rest.split('_').any(|word| matches!(word, "port" | "service"));
        (!is_link).then(|| format!("{}.{rest}", key_path(section, name)))
    });
    if let Some(path) = guess {
        return Err(format!("unknown variable; did you mean {}?", variable_name(&path)));
    }
    let hint = secret_hint(key);
    if section.is_empty() {
        let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
        return Ok(format!("no setting has this name; ignored{hint}"));
    }
    if let Some(hint) = hint {
        return Err(format!("unknown variable; {hint}"));
    }
    let names: Vec<String> = known.iter().map(|name| variable_name(&key_path(section, name))).collect();
    Err(format!("unknown variable; expected one of: {}", names.join(", ")))
}

/// What to do instead, for keys that look as if a secret was to follow.
fn secret_hint(key: &str) -> Option<&'static str> {
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
    if ["secret", "password", "passwd"].iter().any(|word| key.contains(word)) {
        return Some("secrets do not belong here: settings hold names of files and hashes only");
    }
    None
}
