//! The order of the rooms: a module uses only those before it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From what rests on nothing to what rests on everything.
const ROOMS: [&str; 14] = [
    "printable",
    "topic",
    "reason",
    "problem",
    "config",
    "telemetry",
    "access",
    "http",
    "listen",
    "notify",
    "reload",
    "setup",
    "cli",
    "commands",
];

/// The only files that a token or a secret is shown in.
const SHOWS_SECRETS: [&str; 2] = ["http/token.rs", "commands/token.rs"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file, with its path below `src`, and without its tests.
fn files() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("is a folder") {
            let path = entry.expect("can be listed").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&source(), &mut found);
    let below = |path: &PathBuf| path.strip_prefix(source()).expect("is below").display().to_string();
    let is_test = |name: &str| name.split(['/', '.']).any(|part| part == "tests");
    let mut files: Vec<_> = found
        .iter()
        .map(|path| (below(path), fs::read_to_string(path).expect("is text")))
        .filter(|(name, _)| !is_test(name))
        .map(|(name, text)| (name, text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()))
        .collect();
    files.sort();
    files
}

/// The modules that a text names as `crate::…`.
fn used_in(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut used = BTreeSet::new();
    for line in code {
        for rest in line.split("crate::").skip(1) {
            let names =
                rest.strip_prefix('{').map_or(rest, |names| names.split('}').next().unwrap_or_default());
            let is_group = rest.starts_with('{');
            let parts = names.split(',').take(if is_group { usize::MAX } else { 1 });
            for part in parts {
                let name = part.trim().split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
                used.insert(name.unwrap_or_default().to_owned());
            }
        }
    }
    used.remove("");
    used
}

#[test]
fn a_module_uses_only_those_before_it() {
    let rank = |room: &str| ROOMS.iter().position(|listed| *listed == room);
    let mut wrong = Vec::new();
    for (name, text) in files() {
        let room = name.split(['/', '.']).next().unwrap_or_default();
        if matches!(room, "lib" | "main") {
            continue;
        }
        let own = rank(room).unwrap_or_else(|| panic!("{name}: a room that ROOMS does not list"));
        for used in used_in(&text) {
            match rank(&used) {
                Some(other) if other <= own => {}
                Some(_) => wrong.push(format!("{name} uses {used}, which comes after {room}")),
                None => wrong.push(format!("{name} uses {used}, which is no room")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_library_lists_its_rooms_in_their_order() {
    let text = fs::read_to_string(source().join("lib.rs")).expect("is text");
    let listed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(listed, ROOMS);
}

#[test]
fn tokens_and_secrets_are_shown_in_few_places() {
    let shows = |text: &str| text.contains("expose_secret");
    let found: Vec<_> = files().into_iter().filter(|(_, text)| shows(text)).map(|(name, _)| name).collect();
    let expected: BTreeSet<_> = SHOWS_SECRETS.into_iter().collect();
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn names_are_found_in_text() {
    let text = "use crate::config::{Config, Host};\nlet x = crate::problem::new(crate::http::y);\n// crate::cli::z\n\
                use crate::{listen, setup};\n";
    let expected = ["config", "http", "listen", "problem", "setup"];
    assert_eq!(used_in(text).into_iter().collect::<Vec<_>>(), expected);
}
