//! API keys: made once and shown once; only their SHA-256 is kept, in the configuration.
//!
//! A plain hash is enough for a secret of 256 random bits: there is nothing to guess that a slow hash would protect.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::caller::Caller;
use super::policy::Way;
use crate::config::ApiKeyConfig;
use crate::reason::Method;

/// What every key begins with, so that secret scanners know one, and a key is told from other bearer tokens.
pub const PREFIX: &str = "tp_";

const RANDOM_BYTES: usize = 32;
/// So many characters follow the prefix: 32 bytes in base64url. Longer ones are as hard to guess.
const MIN_RANDOM_TEXT: usize = 43;

/// Returns the caller whose key this is. Each hash is compared in constant time; that the search ends at the one that fits
/// tells a caller at most the place of its own key in the configuration.
pub(super) fn authenticate<'k>(keys: &'k [Way<ApiKeyConfig>], presented: &[u8]) -> Option<Caller<'k>> {
    if !is_issued_form(presented) {
        return None;
    }
    let hash = digest(&SHA256, presented);
    let key = keys.iter().find(|key| verify_slices_are_equal(&key.config.sha256, hash.as_ref()).is_ok())?;
    Some(Caller::new(Method::ApiKey, Some(key.config.id.as_str().into()), &key.policy))
}

/// Returns whether a key looks as [`generate`] makes them: the hash of a shorter one could be guessed, and that of nothing
/// is widely known.
fn is_issued_form(key: &[u8]) -> bool {
    let random = key.strip_prefix(PREFIX.as_bytes()).unwrap_or_default();
    random.len() >= MIN_RANDOM_TEXT
        && random.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Makes a key from the operating system's randomness. Returns it with its hash in hex, which is all to be kept.
///
/// # Errors
///
/// When the operating system has no randomness to give.
pub fn generate() -> Result<(Zeroizing<String>, String), getrandom::Error> {
    let mut random = Zeroizing::new([0; RANDOM_BYTES]);
    getrandom::fill(&mut *random)?;
    let mut key = Zeroizing::new(String::with_capacity(PREFIX.len() + RANDOM_BYTES * 2));
    key.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(*random, &mut key);
    let hash = HEXLOWER.encode(digest(&SHA256, key.as_bytes()).as_ref());
    Ok((key, hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PolicyConfig;

    #[test]
    fn key_is_new_each_time_and_known_by_its_hash() {
        let (first, hash) = generate().expect("randomness is there");
        let (second, _) = generate().expect("randomness is there");
        assert_ne!(*first, *second);
        assert!(first.starts_with(PREFIX) && first.len() == PREFIX.len() + 43, "{} characters", first.len());
        assert_eq!(hash.len(), 64);
    }

    #[test]
    fn key_of_another_form_than_the_issued_one_opens_nothing() {
        let issued = generate().expect("randomness is there").0.to_string();
        let cut: String = issued.chars().take(issued.len() - 1).collect();
        let (other, bare) = (issued.replacen("tp_", "tq_", 1), issued.replacen("tp_", "", 1));
        let with_blank = format!("{cut} ");
        for (key, expected) in [
            (issued.as_str(), true),
            (&cut, false),
            (&other, false),
            (&with_blank, false),
            (&bare, false),
            ("", false),
            ("x", false),
            ("tp_", false),
        ] {
            let mut sha256 = [0; 32];
            sha256.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
            let policy = PolicyConfig { profiles: vec![], scopes: None, max_ttl: None, rate: None };
            let config = ApiKeyConfig { id: "a".to_owned(), sha256, policy: policy.clone() };
            let keys = [Way::new(config, &policy)];
            assert_eq!(authenticate(&keys, key.as_bytes()).is_some(), expected, "{key:?}");
        }
    }
}
