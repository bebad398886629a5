//! The credential that tokens are requested with, and reading it.
//!
//! A [`Credential`] is complete and checked once it exists. Errors name the file, the line and the key, and never show
//! a value: the value may be the secret, pasted one line too high.

mod file;
mod loopback;
mod private_key;
mod properties;
mod source;
mod text;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Position, Url};

use self::properties::{
    ALGORITHM, AUTH_METHOD, CLIENT_ID, ENDPOINT, Entries, KEY_ID, KEY_SECRET, PRIVATE_KEY, PRIVATE_KEY_ID,
    SCOPE,
};
use self::text::check_text;
use crate::error::LoadError;
use crate::token::{Scope, TokenKey};

pub use self::loopback::{is_loopback_address, is_loopback_url};
pub use self::private_key::{PrivateKey, SigningAlgorithm};
pub use self::source::CredentialSource;
pub use self::text::{is_invisible, trim_value};

/// HERE's token endpoint for every region but China, as HERE's SDKs have it.
pub const DEFAULT_TOKEN_ENDPOINT_URL: &str = "https://account.api.here.com/oauth2/token";

/// What errors call the place of a credential that is in no file or variable.
pub(crate) const UNNAMED: &str = "the credential that the program was given";

/// An access key or a private key of a HERE app, with the token endpoint it is for.
#[derive(Clone)]
pub struct Credential {
    pub(crate) key: Key,
    token_endpoint_url: Url,
    scope: Option<Scope>,
    /// What errors call the place that it is from, such as the file's name without its folder: callers hear of it, and
    /// need not know the server's folders.
    pub(crate) place: Cow<'static, str>,
}

/// What a request shows that it comes from the app.
#[derive(Clone)]
pub(crate) enum Key {
    /// For a signature (OAuth 1.0a).
    Access { id: String, secret: SecretString },
    /// For an assertion (`private_key_jwt`).
    Private { client_id: String, key: PrivateKey },
}

impl Credential {
    /// Creates a credential from an access key, for HERE's default token endpoint.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid) when either part is empty or has a blank or another
    /// character that no HERE key has.
    pub fn new(access_key_id: &str, access_key_secret: SecretString) -> Result<Self, LoadError> {
        check_text("the access key id", access_key_id)?;
        check_text("the access key secret", access_key_secret.expose_secret())?;
        Self::of(Key::Access { id: access_key_id.to_owned(), secret: access_key_secret })
    }

    /// Creates a credential from the client id of an app and a private key whose public half is registered with it, for
    /// HERE's default token endpoint.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid) when the client id is empty or has a character that no
    /// id of HERE's has.
    pub fn with_private_key(client_id: &str, key: PrivateKey) -> Result<Self, LoadError> {
        check_text("the client id", client_id)?;
        Self::of(Key::Private { client_id: client_id.to_owned(), key })
    }

    fn of(key: Key) -> Result<Self, LoadError> {
        Ok(Self {
            key,
            token_endpoint_url: parse_endpoint(DEFAULT_TOKEN_ENDPOINT_URL)?,
            scope: None,
            place: Cow::Borrowed(UNNAMED),
        })
    }

    /// Uses another token endpoint.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid) unless it is an `https://` URL, or `http://` on a
    /// loopback address. Over plain HTTP elsewhere, anyone on the way could read the token.
    pub fn with_token_endpoint_url(mut self, url: &str) -> Result<Self, LoadError> {
        self.token_endpoint_url = parse_endpoint(url)?;
        Ok(self)
    }

    /// Uses a default scope, for requests that name none.
    #[must_use]
    pub fn with_scope(self, scope: Option<Scope>) -> Self {
        Self { scope, ..self }
    }

    /// Returns a name for a kind of token of this credential: an HMAC-SHA-256 of the token endpoint, the key, the scope and the
    /// lifetime. Another access key, another private key or another secret makes another name, and who does not have `secret`
    /// learns nothing from it.
    pub fn kind_id(&self, kind: &TokenKey, secret: &[u8]) -> [u8; 32] {
        let scope = kind.scope().or_else(|| self.scope()).map_or("", Scope::as_str);
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
        let mut add = |part: &str| {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        };
        add(self.token_endpoint_url.as_str());
        let key = match &self.key {
            Key::Access { id, secret } => ["access", id, secret.expose_secret()],
            Key::Private { client_id, key } => ["private", client_id, key.thumbprint()],
        };
        key.into_iter().for_each(&mut add);
        add(scope);
        add(&kind.lifetime().as_secs().to_string());
        mac.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Reads a credential from the text of a `credentials.properties` file, as the HERE portal offers it:
    /// `here.access.key.id`, `here.access.key.secret`, and where they are there `here.token.endpoint.url` and
    /// `here.token.scope`. The form is that of `java.util.Properties`, by which HERE's Java SDK goes. `name` is what
    /// errors call the file.
    ///
    /// With `here.auth.method = private_key_jwt` it is `here.client.id`, `here.private.key` (PEM, or the path of a
    /// file, relative to the working directory), and where they are there `here.key.id` and `here.signing.algorithm`
    /// (`RS256` or `ES256`) instead of the access key.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid), with line and key.
    pub fn from_properties(text: &[u8], name: &str) -> Result<Self, LoadError> {
        Self::from_entries(Entries::parse_properties(text), name, Path::new(""))
    }

    /// Reads a credential from a section of a `credentials.ini` file, with the same keys and as HERE's Java SDK does;
    /// `name` is what errors call the file.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid), with line and key.
    pub fn from_ini(text: &[u8], section: &str, name: &str) -> Result<Self, LoadError> {
        Self::from_entries(Entries::parse_ini(text, section), name, Path::new(""))
    }

    /// Returns the access key id, if it is an access key. It names the key in HERE's portal and is no secret, but need
    /// not be spread either.
    pub fn access_key_id(&self) -> Option<&str> {
        if let Key::Access { id, .. } = &self.key { Some(id) } else { None }
    }

    /// Returns the access key secret, if it is an access key, still hidden: for what signs with it, or checks
    /// signatures.
    pub fn access_key_secret(&self) -> Option<&SecretString> {
        if let Key::Access { secret, .. } = &self.key { Some(secret) } else { None }
    }

    /// Returns the private key, if it is one.
    pub fn private_key(&self) -> Option<&PrivateKey> {
        if let Key::Private { key, .. } = &self.key { Some(key) } else { None }
    }

    /// Returns the token endpoint.
    pub fn token_endpoint_url(&self) -> &Url {
        &self.token_endpoint_url
    }

    /// Returns the scope for requests that name none.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    pub(crate) fn with_place(self, place: impl Into<Cow<'static, str>>) -> Self {
        Self { place: place.into(), ..self }
    }

    /// Returns whether both are equal in every part; takes the same time wherever the secrets differ. Private
    /// keys are compared by the thumbprint of their public half, which is no secret.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_same_key = match (&self.key, &other.key) {
            (Key::Access { id, secret }, Key::Access { id: other_id, secret: other }) => {
                let (secret, other) = (secret.expose_secret().as_bytes(), other.expose_secret().as_bytes());
                id == other_id && verify_slices_are_equal(secret, other).is_ok()
            }
            (Key::Private { client_id, key }, Key::Private { client_id: other_id, key: other }) => {
                (client_id, key.key_id(), key.thumbprint()) == (other_id, other.key_id(), other.thumbprint())
            }
            _ => false,
        };
        is_same_key && self.token_endpoint_url == other.token_endpoint_url && self.scope == other.scope
    }

    /// `folder` is what the path of a private key is relative to.
    fn from_entries(
        entries: Result<Entries, LoadError>,
        name: &str,
        folder: &Path,
    ) -> Result<Self, LoadError> {
        let credential = entries.and_then(|entries| Self::read_entries(&entries, folder));
        let place = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(credential.map_err(|error| error.within(name))?.with_place(place))
    }

    fn read_entries(entries: &Entries, folder: &Path) -> Result<Self, LoadError> {
        let without = "; to use the access key, leave this line out";
        let credential = if entries.is_set_to(AUTH_METHOD, "private_key_jwt", without)? {
            let client_id = entries.checked(CLIENT_ID)?;
            let key = entries.required(PRIVATE_KEY, |value| PrivateKey::from_value(value, folder))?;
            let why = format!(", which is what {PRIVATE_KEY} signs with");
            entries.is_set_to(ALGORITHM, key.algorithm().as_str(), &why)?;
            let named = entries.optional(PRIVATE_KEY_ID, |id| key.clone().with_key_id(id))?;
            Self::with_private_key(&client_id, named.unwrap_or(key))?
        } else {
            let (id, secret) = (entries.checked(KEY_ID)?, entries.checked(KEY_SECRET)?);
            Self::new(&id, secret.as_str().into())?
        };
        let url = entries.optional(ENDPOINT, parse_endpoint)?;
        let scope = |text: &str| Scope::new(text).map_err(|error| LoadError::invalid(error.to_string()));
        let scope = entries.optional(SCOPE, scope)?;
        let token_endpoint_url = url.unwrap_or_else(|| credential.token_endpoint_url.clone());
        Ok(Self { token_endpoint_url, scope, ..credential })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the query: an endpoint of one's own may want a key there.
        let endpoint = &self.token_endpoint_url[..Position::AfterPath];
        f.debug_struct("Credential")
            .field("token_endpoint_url", &endpoint)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Reads the URL of a token endpoint (or of another token provider), and refuses one that would give secrets away.
pub(crate) fn parse_endpoint(text: &str) -> Result<Url, LoadError> {
    let refuse = |expected: &'static str| Err(LoadError::invalid(expected));
    // What was not UTF-8 in a variable has become this. As `%EF%BF%BD` it would lead a signed request astray.
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return refuse("the token endpoint URL is not UTF-8 text; enter it again");
    }
    let Ok(url) = Url::parse(text) else {
        return refuse("not a URL; expected something like https://account.api.here.com/oauth2/token");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "the token endpoint URL contains a user name or password; remove them, HERE does not use them",
        );
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback_url(&url) => Ok(url),
        "http" => refuse(
            "the token endpoint uses plain http://, so anyone on the network can read the token; use \
             https://",
        ),
        _ => refuse("the token endpoint URL must begin with https://"),
    }
}

#[cfg(test)]
mod tests;
