//! See `src/answer.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| token_provider_fuzz::answer::run(data));
