//! What to say of an unknown key, and which keys may stand in a message at all.

use std::collections::BTreeSet;

use super::environment::PREFIX;
use super::error::did_you_mean;

/// How to recognise a secret that was put into the settings by mistake.
pub(crate) struct MisplacedSecrets {
    /// What secrets begin with that must not be shown, even where a key was expected.
    pub(crate) prefix: &'static str,
    /// Returns what to do instead, for a lower-case key whose value is probably a secret.
    pub(crate) hint: fn(&str) -> Option<&'static str>,
}

/// The longest key that is shown; a longer one is more likely a secret than a key.
const LONGEST_SHOWN_KEY: usize = 64;

/// A key's path, from that of its section. Keys are not values, but a value in the wrong place can become a key.
pub(super) fn key_path(section: &str, key: &str, secrets: &MisplacedSecrets) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-:/".contains(c);
    let showable =
        key.len() <= LONGEST_SHOWN_KEY && !key.starts_with(secrets.prefix) && key.chars().all(plain);
    let key = if showable { key } else { "(key not shown)" };
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// The message for a key in the file, or inside a value.
pub(super) fn unknown_key(key: &str, known: &[&str], secrets: &MisplacedSecrets) -> String {
    match (did_you_mean(key, known.iter().copied()), (secrets.hint)(&key.to_lowercase())) {
        (Some(name), _) => format!("unknown key; did you mean \"{name}\"?"),
        (None, Some(hint)) => format!("unknown key; {hint}"),
        (None, None) => format!("unknown key; expected one of: {}", known.join(", ")),
    }
}

/// What to say of a variable that sets no key. `Err` is a mistake that must not go unnoticed: a misspelt limit would start a
/// server without it. `Ok` is a variable that merely has our prefix, such as those of Kubernetes and Docker for a service of
/// our name, or the one with a client's own API key. `known` are the variables of all keys.
pub(super) fn unknown_variable(
    name: &str,
    known: &BTreeSet<String>,
    secrets: &MisplacedSecrets,
) -> Result<String, String> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let known = || known.iter().filter_map(|known| known.strip_prefix(PREFIX));
    let is_nested = name.contains("__");
    let hint = (secrets.hint)(&name.rsplit("__").next().unwrap_or(name).to_lowercase());
    // Such as `ADMIN_PORT_9464_TCP`, of a service whose name goes on.
    let is_link = !is_nested && name.split('_').any(|word| matches!(word, "PORT" | "SERVICE"));
    // `TLS_CERT`: one underscore is a part of a key's name, two go into a table.
    let split = |table: &str| Some(format!("{table}__{}", name.strip_prefix(table)?.strip_prefix('_')?));
    let meant = did_you_mean(name, known()).map(str::to_owned);
    let meant = meant.or_else(|| known().filter(|_| !is_nested).filter_map(split).max_by_key(String::len));
    match (meant, hint) {
        (Some(meant), _) if !is_link => Err(format!("unknown variable; did you mean {PREFIX}{meant}?")),
        (_, Some(hint)) if is_nested => Err(format!("unknown variable; {hint}")),
        (_, None) if is_nested => {
            Err(format!("unknown variable; expected one of: {}", siblings(name, known)))
        }
        (_, Some(hint)) => Ok(format!("not a setting; ignored; {hint}")),
        (_, None) => Ok("not a setting; ignored".to_owned()),
    }
}

/// The variables of the nearest section around this one in which there are any.
fn siblings<'k, K: Iterator<Item = &'k str>>(name: &str, known: impl Fn() -> K) -> String {
    let above = |name: &str| name.rsplit_once("__").map_or(String::new(), |(section, _)| section.to_owned());
    let mut section = above(name);
    while !section.is_empty() && !known().any(|known| above(known) == section) {
        section = above(&section);
    }
    let names = known().filter(|known| above(known) == section).map(|known| format!("{PREFIX}{known}"));
    names.collect::<Vec<_>>().join(", ")
}
