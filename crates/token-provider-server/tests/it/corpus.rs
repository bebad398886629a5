//! What the fuzzer has found worth keeping (`fuzz/corpus`), and every crash it ever had, as ordinary tests.

#[path = "../../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a separate crate for the fuzzer")]
mod fuzz;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The bounds of what is checked in, for all targets together: a corpus grows by itself, a repository should not.
const MOST_FILES: usize = 500;
const MOST_BYTES: usize = 1024 * 1024;

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus"))
}

/// The inputs of a target, by name.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = corpus().join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let input = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("is text");
        (name, fs::read(entry.path()).expect("can be read"))
    };
    entries.map(|entry| input(entry.expect("can be listed"))).collect()
}

/// Runs a target on each of its inputs.
fn replay(target: &str) {
    let (_, run) = fuzz::TARGETS.iter().find(|(name, _)| *name == target).expect("is a target");
    let inputs = inputs(target);
    assert!(inputs.len() > 10, "{target}: only {} inputs", inputs.len());
    let fails = |input: &&(String, Vec<u8>)| catch_unwind(AssertUnwindSafe(|| run(&input.1))).is_err();
    let failed: Vec<_> = inputs.iter().filter(fails).map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "{target}: {failed:?}; each has said above what was wrong");
}

#[test]
fn configurations_replay() {
    replay("config");
}

#[test]
fn credentials_replay() {
    replay("credential");
}

#[test]
fn hosts_and_origins_replay() {
    replay("host_origin");
}

#[test]
fn requests_replay() {
    replay("request");
}

#[test]
fn corpus_has_a_folder_for_each_target_and_stays_small() {
    let mut folders: Vec<_> =
        fs::read_dir(corpus()).expect("is a folder").flatten().map(|e| e.file_name()).collect();
    folders.sort();
    // The library replays the first.
    let targets: Vec<_> = ["answer"].into_iter().chain(fuzz::TARGETS.iter().map(|(name, _)| *name)).collect();
    assert_eq!(folders, targets);
    let all: Vec<_> = targets.iter().flat_map(|target| inputs(target)).collect();
    let bytes: usize = all.iter().map(|(_, input)| input.len()).sum();
    assert!(all.len() < MOST_FILES && bytes < MOST_BYTES, "{} files, {bytes} bytes", all.len());
}

/// An input that breaks a rule is noticed: the targets do judge.
#[test]
fn target_that_finds_something_panics() {
    let shown = catch_unwind(|| fuzz::planted::assert_hidden("an error", "x planted!secret!0123456789"));
    assert!(shown.is_err());
    let planted = fuzz::planted::plant(b"a\x01b");
    assert_eq!(planted, Some([b"a", fuzz::planted::MARKED.as_bytes(), b"b"].concat()));
}
