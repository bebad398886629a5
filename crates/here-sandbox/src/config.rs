//! The settings of a sandbox: its first access key and its clock.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use secrecy::SecretString;

use crate::random;

/// The settings of a [`Sandbox`](crate::Sandbox).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SandboxConfig {
    /// The id of the first access key: `oauth_consumer_key` of a request.
    pub access_key_id: String,
    /// The secret of the first access key. The key that signs tokens is derived from it, so a sandbox
    /// started again with the same secret accepts the tokens it made before.
    pub access_key_secret: SecretString,
    /// What time it is, in seconds since the epoch, for tests that decide that. Default: the machine's clock.
    ///
    /// The timestamp window, token lifetimes, `GET /timestamp` and the `Date` header all follow it.
    pub clock: Option<Arc<AtomicI64>>,
}

impl SandboxConfig {
    /// An account with this access key and the machine's clock.
    pub fn new(access_key_id: impl Into<String>, access_key_secret: impl Into<SecretString>) -> Self {
        Self { access_key_id: access_key_id.into(), access_key_secret: access_key_secret.into(), clock: None }
    }

    /// An account with the access key in a credential file, as
    /// [`Sandbox::credentials_properties`](crate::Sandbox::credentials_properties) writes it; `None` if it is not there.
    pub fn from_credentials_properties(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let lines = text.trim_start_matches('\u{feff}').lines();
            let mut pairs = lines.filter_map(|line| line.split_once(['=', ':']));
            // As Java does, of a key given twice the last counts.
            let (_, value) = pairs.rfind(|(key, _)| key.trim() == name)?;
            let value = value.trim().trim_matches(['"', '\'']);
            // Java writes `\=` for `=`.
            Some(value.replace('\\', "")).filter(|value| !value.is_empty())
        };
        Some(Self::new(value("here.access.key.id")?, value("here.access.key.secret")?))
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::sandbox::Sandbox;
    use crate::token::APP_ID;

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
    fn credential_file_is_laid_out_like_the_portals() {
        let url = "http://127.0.0.1:8080/oauth2/token";
        let text = Sandbox::new(SandboxConfig::new("key-id", "planted-secret")).credentials_properties(url);
        let keys: Vec<_> = text.lines().map(|line| line.split_once(" = ").unwrap()).collect();
        let names: Vec<_> = keys.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "here.user.id",
                "here.client.id",
                "here.access.key.id",
                "here.access.key.secret",
                "here.token.endpoint.url"
            ]
        );
        assert_eq!(keys[1].1, APP_ID);
        assert_eq!((keys[2].1, keys[3].1, keys[4].1), ("key-id", "planted-secret", url));
    }

    #[test]
    fn key_is_read_back_from_its_file() {
        let written = SandboxConfig::generate();
        for text in [
            Sandbox::new(written.clone()).credentials_properties("http://localhost/"),
            format!(
                "# by Java\nhere.access.key.secret={}\r\nhere.access.key.id={}\r\n",
                written.access_key_secret.expose_secret(),
                written.access_key_id
            ),
        ] {
            let read = SandboxConfig::from_credentials_properties(&text).unwrap();
            assert_eq!(read.access_key_id, written.access_key_id);
            assert_eq!(read.access_key_secret.expose_secret(), written.access_key_secret.expose_secret());
        }
        let by_hand =
            "\u{feff}here.access.key.id: a\nhere.access.key.secret = old\nhere.access.key.secret = \"b\" \n";
        let read = SandboxConfig::from_credentials_properties(by_hand).unwrap();
        assert_eq!((read.access_key_id.as_str(), read.access_key_secret.expose_secret()), ("a", "b"));
        let java = "here.access.key.id=a\\=\nhere.access.key.secret=b\\=\\=\n";
        let read = SandboxConfig::from_credentials_properties(java).unwrap();
        assert_eq!((read.access_key_id.as_str(), read.access_key_secret.expose_secret()), ("a=", "b=="));
        for text in ["", "here.access.key.id = a", "here.access.key.id = a\nhere.access.key.secret ="] {
            assert!(SandboxConfig::from_credentials_properties(text).is_none(), "{text}");
        }
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let text = format!("{:?}", SandboxConfig::new("the-id", "planted-secret"));
        assert!(text.contains("the-id") && !text.contains("planted"), "{text}");
    }
}
