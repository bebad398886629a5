//! API keys: made once and shown once; only their SHA-256 is kept, in the configuration.
//!
//! A plain hash is enough for a secret of 256 random bits: there is nothing to guess that a slow hash would protect.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::caller::Caller;
use super::policy::Way;
use crate::config::ApiKeyConfig;
use crate::problem::Problem;
use crate::reason::{Method, Rejection};

/// What every key begins with, so that secret scanners know one, and a key is told from other bearer tokens.
pub const PREFIX: &str = "tp_";

/// So much of a hash is shown, to tell two apart.
const SHOWN_BYTES: usize = 4;
/// So many characters follow the prefix: 256 bits. Longer ones are as hard to guess.
const MIN_RANDOM_TEXT: usize = 43;

/// Returns the caller whose key this is, and whose `client_id`, if it has to name one. Each hash is compared in constant time; that
/// the search ends at the one that fits tells a caller at most the place of its own key in the configuration.
///
/// # Errors
///
/// 401 when there is none; also for a right key that has expired, which its holder alone is told.
pub(super) fn authenticate<'k>(
    keys: &'k [Way<ApiKeyConfig>],
    presented: &[u8],
    client_id: Option<&str>,
    now: Duration,
) -> Result<Caller<'k>, Problem> {
    let hash = digest(&SHA256, presented);
    let fits = |known: &&[u8; 32]| verify_slices_are_equal(*known, hash.as_ref()).is_ok();
    let found = keys.iter().find_map(|key| Some((key, key.config.sha256.iter().find(fits)?)));
    let is_its_own = |key: &ApiKeyConfig| client_id.is_none_or(|id| id == key.id);
    let found = found.filter(|(key, _)| is_issued_form(presented) && is_its_own(&key.config));
    let Some((Way { config, policy }, hash)) = found else {
        return Err(client_id.map_or_else(Problem::invalid_token, |_| Problem::invalid_client()));
    };
    // Without a second one, there is nothing to tell.
    let key = (config.sha256.len() > 1).then(|| HEXLOWER.encode(&hash[..SHOWN_BYTES]).into());
    let caller = Caller { key, ..Caller::new(Method::ApiKey, Some(config.id.as_str().into()), policy) };
    if config.expires.is_some_and(|end| end <= now) {
        let expired = Problem::rejected(Rejection::KeyExpired, client_id.is_some());
        return Err(expired.with_subject(caller.subject()));
    }
    Ok(caller)
}

/// Returns whether a key looks as [`generate`] makes them: the hash of a shorter one could be guessed, and that of nothing
/// is widely known.
fn is_issued_form(key: &[u8]) -> bool {
    let random = key.strip_prefix(PREFIX.as_bytes()).unwrap_or_default();
    random.len() >= MIN_RANDOM_TEXT
        && random.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Makes a secret of 256 random bits from the operating system: this prefix and 43 letters and digits, which sign alike encoded or
/// not. Returns it with its SHA-256 in hex, all that is to be kept of an API key.
///
/// # Errors
///
/// When the operating system has no randomness to give.
pub fn generate(prefix: &str) -> Result<(Zeroizing<String>, String), getrandom::Error> {
    // Some eighty characters more than are needed, less the two that are neither letter nor digit.
    let mut random = Zeroizing::new([0; 96]);
    getrandom::fill(&mut *random)?;
    let characters = Zeroizing::new(STANDARD.encode(*random));
    // Room for all of it at once, so that growing leaves no copy behind.
    let mut key = Zeroizing::new(String::with_capacity(prefix.len() + MIN_RANDOM_TEXT));
    key.push_str(prefix);
    key.extend(characters.chars().filter(char::is_ascii_alphanumeric).take(MIN_RANDOM_TEXT));
    let hash = HEXLOWER.encode(digest(&SHA256, key.as_bytes()).as_ref());
    Ok((key, hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PolicyConfig;

    #[test]
    fn key_is_new_each_time_and_known_by_its_hash() {
        let (first, hash) = generate(PREFIX).expect("randomness is there");
        let (second, _) = generate(PREFIX).expect("randomness is there");
        assert_ne!(*first, *second);
        assert!(first.starts_with(PREFIX) && first.len() == PREFIX.len() + 43, "{} characters", first.len());
        assert_eq!(hash.len(), 64);
    }

    #[test]
    fn key_of_another_form_than_the_issued_one_opens_nothing() {
        let issued = generate(PREFIX).expect("randomness is there").0.to_string();
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
            let keys = [way(&[key], None)];
            let caller = authenticate(&keys, key.as_bytes(), None, Duration::ZERO);
            assert_eq!(caller.is_ok(), expected, "{key:?}");
        }
    }

    const OLD: &str = "tp_the-old-key-of-the-tests-0123456789-0123456789";
    const NEW: &str = "tp_the-new-key-of-the-tests-0123456789-0123456789";

    fn way(keys: &[&str], expires: Option<u64>) -> Way<ApiKeyConfig> {
        let hash = |key: &&str| digest(&SHA256, key.as_bytes()).as_ref().try_into().expect("has 32 bytes");
        let policy = PolicyConfig::default();
        let (id, sha256) = ("a".to_owned(), keys.iter().map(hash).collect());
        let expires = expires.map(Duration::from_secs);
        Way::new(ApiKeyConfig { id, sha256, expires, policy: policy.clone() }, &policy)
    }

    #[test]
    fn either_of_two_keys_is_the_caller_and_it_is_said_which() {
        let both = [way(&[NEW, OLD], None)];
        let one = [way(&[OLD], None)];
        let subject = |keys: &[Way<ApiKeyConfig>], key: &str| {
            let caller = authenticate(keys, key.as_bytes(), None, Duration::ZERO);
            caller.map(|caller| caller.subject()).map_err(|problem| problem.status.as_u16())
        };
        let [new, old] = [NEW, OLD].map(|key| subject(&both, key).expect("is known"));
        assert_eq!((new.caller.as_deref(), old.caller.as_deref()), (Some("a"), Some("a")));
        assert!(
            new.key.as_ref().is_some_and(|key| key.len() == 8) && old.key.is_some() && new.key != old.key
        );
        assert_eq!(subject(&one, OLD).expect("is known").key, None);
        assert_eq!(subject(&one, NEW).expect_err("is not listed"), 401);
    }

    #[test]
    fn key_expires_to_the_second_and_its_holder_alone_is_told() {
        let keys = [way(&[NEW, OLD], Some(100))];
        for client_id in [None, Some("a")] {
            let at =
                |key: &str, now| authenticate(&keys, key.as_bytes(), client_id, Duration::from_secs(now));
            for key in [NEW, OLD] {
                assert!(at(key, 99).is_ok(), "{client_id:?}");
                for now in [100, 101, u64::MAX] {
                    let problem = at(key, now).expect_err("has expired");
                    let subject = (problem.subject.method, problem.subject.caller.as_deref());
                    assert_eq!(subject, (Some(Method::ApiKey), Some("a")));
                    let told = (problem.status.as_u16(), &*problem.description, problem.reason);
                    assert_eq!(told, (401, "the API key has expired", Some("the API key has expired")));
                }
            }
            let guessed = at(&NEW.replace('9', "8"), 100).expect_err("is wrong");
            assert!(!guessed.description.contains("expired") && guessed.reason.is_none(), "{guessed:?}");
        }
        let other = authenticate(&keys, NEW.as_bytes(), Some("b"), Duration::from_secs(100));
        assert_eq!(other.expect_err("is another's").reason, None);
    }
}
