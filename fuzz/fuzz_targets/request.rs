//! See `src/request.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| token_provider_fuzz::request::run(data));
