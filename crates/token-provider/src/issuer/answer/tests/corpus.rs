//! What the fuzzer has found worth keeping of answers (`fuzz/corpus/answer`), through its own target.

#[path = "../../../../../../fuzz/src/answer.rs"]
#[expect(unreachable_pub, reason = "public for the fuzzer, in its own crate")]
mod answer;
#[path = "../../../../../../fuzz/src/planted.rs"]
#[expect(unreachable_pub, reason = "public for the fuzzer, in its own crate")]
mod planted;

use std::fs;
use std::panic::catch_unwind;

#[test]
fn answers_replay() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/answer");
    let entries = fs::read_dir(folder).expect("is a folder").flatten();
    let inputs: Vec<_> =
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).expect("can be read"))).collect();
    assert!(inputs.len() > 10, "only {} inputs", inputs.len());
    let fails = |(_, input): &&(_, Vec<u8>)| catch_unwind(|| answer::run(input)).is_err();
    let failed: Vec<_> = inputs.iter().filter(fails).map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "{failed:?}; each has said above what was wrong");
}
