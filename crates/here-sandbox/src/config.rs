//! What a sandbox is made from: its first access key and its clock.

use aws_lc_rs::digest;
use secrecy::SecretString;

use crate::access_key::{self, AccessKeyError};
use crate::clock::Clock;
use crate::random;

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
    /// What time it is. Default: the machine's clock.
    pub clock: Clock,
}

impl SandboxConfig {
    /// An account with this access key and the machine's clock.
    pub fn new(access_key_id: impl Into<String>, access_key_secret: impl Into<SecretString>) -> Self {
        let access_key_id = access_key_id.into();
        Self {
            app_id: derive_app_id(&access_key_id),
            access_key_id,
            access_key_secret: access_key_secret.into(),
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
