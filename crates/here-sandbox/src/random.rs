//! Everything random in the sandbox, from the operating system: key ids, secrets, error ids.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Returns `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has a source of randomness");
    bytes
}

/// Returns `N` random bytes in base64url, without padding.
pub(crate) fn base64url<const N: usize>() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<N>())
}

/// Returns a random (version 4) UUID.
pub(crate) fn uuid() -> String {
    format_uuid(bytes())
}

/// Returns a UUID that is always the same for the same text.
pub(crate) fn derived_uuid(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    format_uuid(*hash.as_ref().first_chunk().expect("32 bytes"))
}

/// Writes 16 bytes as a version 4 UUID (RFC 9562 §5.4).
fn format_uuid(bytes: [u8; 16]) -> String {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0x3 << 62;
    let bits = (u128::from_be_bytes(bytes) & !VERSION & !VARIANT) | 0x4 << 76 | 0x2 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 64 & 0xffff,
        bits >> 48 & 0xffff,
        bits & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_carries_version_and_variant() {
        assert_eq!(format_uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(format_uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_ne!(uuid(), uuid());
    }
}
