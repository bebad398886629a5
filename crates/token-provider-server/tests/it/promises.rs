//! What the threat model promises is held by tests, which it names: they are there.

use std::fs;
use std::path::{Path, PathBuf};

/// Names of tests are sentences: of four words at least, and no setting of the configuration has as many.
const WORDS: usize = 4;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of every Rust and Python file in this folder.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("is a folder") {
        let path = entry.expect("can be listed").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
            found.push(fs::read_to_string(&path).expect("is text"));
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let page = fs::read_to_string(repository().join("SECURITY.md")).expect("is there");
    let is_name = |code: &&str| {
        code.split('_').count() >= WORDS
            && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    // What stands between backticks is every second piece.
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_name).collect();
    assert!(named.len() > 40, "the page names its tests: {named:?}");
    let mut texts = Vec::new();
    sources(&repository().join("crates"), &mut texts);
    sources(&repository().join("ci"), &mut texts);
    sources(&repository().join("interop/fleet"), &mut texts);
    let is_missing = |name: &&&str| {
        let [rust, python] = [format!("fn {name}("), format!("def {name}(")];
        !texts.iter().any(|text| text.contains(&rust) || text.contains(&python))
    };
    let missing: Vec<_> = named.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that are not there: {missing:?}");
}
