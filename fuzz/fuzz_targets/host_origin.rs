//! See `src/host_origin.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| token_provider_fuzz::host_origin::run(data));
