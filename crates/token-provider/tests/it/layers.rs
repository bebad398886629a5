//! A module uses only those above it.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the library, each above those that may use it.
const LAYERS: [&str; 9] =
    ["error", "clock", "token", "credential", "sign", "issuer", "schedule", "cache", "provider"];

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("is a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn module_uses_only_those_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    assert!(found.len() > LAYERS.len());
    for path in found {
        let name = path.strip_prefix(&source).expect("is in it").with_extension("");
        let room = name.iter().next().and_then(|room| room.to_str()).expect("has a name");
        if room == "lib" {
            continue;
        }
        let own =
            LAYERS.iter().position(|layer| *layer == room).unwrap_or_else(|| panic!("no layer for {room}"));
        let text = fs::read_to_string(&path).expect("is text");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for used in code.flat_map(|line| line.split("crate::").skip(1)) {
            let used = used.split(|character: char| !character.is_alphanumeric() && character != '_').next();
            let layer = LAYERS.iter().position(|layer| Some(*layer) == used);
            assert!(layer.is_some_and(|layer| layer <= own), "{} uses crate::{used:?}", path.display());
        }
    }
}
