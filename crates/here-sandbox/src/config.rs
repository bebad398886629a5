//! What a sandbox is made from: its first access key, its limits and its clock.

use std::time::Duration;

use aws_lc_rs::digest;
use secrecy::SecretString;

use crate::access_key::{self, AccessKeyError};
use crate::base_url::BaseUrl;
use crate::clock::Clock;
use crate::random;

/// How far a timestamp may lie from the sandbox's clock. An assumption: HERE refuses 30 minutes and does
/// not publish its window; 300 s is what comparable services use.
const TIMESTAMP_WINDOW: Duration = Duration::from_secs(300);

/// The lifetime of a token when none is asked for, and the longest one, as HERE documents them.
const DAY: Duration = Duration::from_secs(86_400);

/// The length of the app ids that HERE hands out.
const APP_ID_LENGTH: usize = 20;

/// The make-up of a [`Sandbox`](crate::Sandbox).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SandboxConfig {
    /// The id of the first access key: `oauth_consumer_key` of a request.
    pub access_key_id: String,
    /// The secret of the first access key. The key that signs tokens is derived from it, so a sandbox
    /// started again with the same secret accepts the tokens it made before.
    pub access_key_secret: SecretString,
    /// The app's id: `here.client.id` in the credential file, `aid` in a token. [`new`](Self::new) derives
    /// it from the key id.
    pub app_id: String,
    /// The scopes that may be asked for; `None` allows any that is well-formed.
    pub allowed_scopes: Option<Vec<String>>,
    /// How far `oauth_timestamp` may lie from the sandbox's clock, either way. Default 300 s, an assumption.
    pub timestamp_window: Duration,
    /// The lifetime of a token when the request names none, or 0. Default one day.
    pub default_lifetime: Duration,
    /// The longest lifetime; a request for more gets this much. Default one day.
    pub max_lifetime: Duration,
    /// The URL that signatures are made for, where it is not `http://` and the `Host` header: behind a
    /// proxy that ends TLS.
    pub public_base_url: Option<BaseUrl>,
    /// What time it is. Default: the machine's clock.
    pub clock: Clock,
}

impl SandboxConfig {
    /// An account with this access key and every other setting at its default.
    pub fn new(access_key_id: impl Into<String>, access_key_secret: impl Into<SecretString>) -> Self {
        let access_key_id = access_key_id.into();
        Self {
            app_id: derive_app_id(&access_key_id),
            access_key_id,
            access_key_secret: access_key_secret.into(),
            allowed_scopes: None,
            timestamp_window: TIMESTAMP_WINDOW,
            default_lifetime: DAY,
            max_lifetime: DAY,
            public_base_url: None,
            clock: Clock::default(),
        }
    }

    /// An account with the access key in a credential file, as
    /// [`Sandbox::credentials_properties`](crate::Sandbox::credentials_properties) writes it.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not have the access key.
    pub fn from_credentials_properties(text: &str) -> Result<Self, AccessKeyError> {
        let (id, secret) = access_key::read_properties(text)?;
        Ok(Self::new(id, secret))
    }

    /// An account with a random access key that looks like HERE's: an id of 22 and a secret of 86 base64url
    /// characters.
    ///
    /// # Panics
    ///
    /// Panics when the operating system has no source of randomness.
    pub fn generate() -> Self {
        Self::new(random::base64url::<16>(), random::base64url::<64>())
    }
}

/// Makes the id follow from the access key id, so that it is the same after a restart.
fn derive_app_id(access_key_id: &str) -> String {
    const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let hash = digest::digest(&digest::SHA256, format!("here-sandbox app id\n{access_key_id}").as_bytes());
    let bytes = hash.as_ref().iter().take(APP_ID_LENGTH);
    bytes.filter_map(|byte| ALPHANUMERIC.get(usize::from(byte % 62))).map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn generated_key_looks_like_one_from_the_portal() {
        let config = SandboxConfig::generate();
        let is_base64url = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        assert_eq!(config.access_key_id.len(), 22);
        assert_eq!(config.access_key_secret.expose_secret().len(), 86);
        assert!(
            is_base64url(&config.access_key_id) && is_base64url(config.access_key_secret.expose_secret())
        );
        assert_ne!(config.access_key_id, SandboxConfig::generate().access_key_id);
    }

    #[test]
    fn app_id_is_the_same_for_the_same_key() {
        let app_id = |key_id| SandboxConfig::new(key_id, "s").app_id;
        assert_eq!(app_id("key"), app_id("key"));
        assert_ne!(app_id("key"), app_id("kez"));
        assert_eq!(app_id("key").len(), APP_ID_LENGTH);
        assert!(app_id("key").bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let text = format!("{:?}", SandboxConfig::new("the-id", "planted-secret"));
        assert!(text.contains("the-id") && !text.contains("planted"), "{text}");
    }
}
