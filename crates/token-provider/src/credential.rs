//! The credential that tokens are requested with, and reading it.
//!
//! A [`Credential`] is complete and checked once it exists. Errors name the file, the line and the key, and never show
//! a value: the value may be the secret, pasted one line too high.

mod loopback;
mod properties;
mod source;
mod text;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use url::{Position, Url};
use zeroize::Zeroizing;

use self::properties::{ENDPOINT, Entries, KEY_ID, KEY_SECRET, SCOPE};
use crate::error::{LoadError, LoadErrorKind};
use crate::token::Scope;

pub use self::loopback::{is_loopback_address, is_loopback_host, is_loopback_url};
pub use self::source::CredentialSource;
pub use self::text::{is_invisible, trim_value};

/// HERE's token endpoint for every region but China, as HERE's SDKs have it.
pub const DEFAULT_TOKEN_ENDPOINT_URL: &str = "https://account.api.here.com/oauth2/token";

/// What errors call the place of a credential that is in no file or variable.
pub(crate) const UNNAMED: &str = "the credential that the program was given";

/// An access key of a HERE app, with the token endpoint it is for.
#[derive(Clone)]
pub struct Credential {
    access_key_id: String,
    access_key_secret: SecretString,
    token_endpoint_url: Url,
    scope: Option<Scope>,
    /// See [`Credential::place`].
    place: Cow<'static, str>,
}

impl Credential {
    /// Creates a credential from an access key, for HERE's default token endpoint.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`] when either part is empty or has a blank or another character that no HERE key
    /// has.
    pub fn new(access_key_id: &str, access_key_secret: SecretString) -> Result<Self, LoadError> {
        check_text("the access key id", access_key_id)?;
        check_text("the access key secret", access_key_secret.expose_secret())?;
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            access_key_secret,
            token_endpoint_url: parse_endpoint(DEFAULT_TOKEN_ENDPOINT_URL)?,
            scope: None,
            place: Cow::Borrowed(UNNAMED),
        })
    }

    /// Uses another token endpoint.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`] unless it is an `https://` URL, or `http://` on a loopback address. Over plain
    /// HTTP elsewhere, anyone on the way could read the token.
    pub fn with_token_endpoint_url(mut self, url: &str) -> Result<Self, LoadError> {
        self.token_endpoint_url = parse_endpoint(url)?;
        Ok(self)
    }

    /// Uses a default scope, for requests that name none.
    #[must_use]
    pub fn with_scope(self, scope: Option<Scope>) -> Self {
        Self { scope, ..self }
    }

    /// Reads a credential from the text of a `credentials.properties` file, as the HERE portal offers it: `here.access.key.id`,
    /// `here.access.key.secret`, and where they are there `here.token.endpoint.url` and `here.token.scope`. The form is that of
    /// `java.util.Properties`, by which HERE's Java SDK goes. `name` is what errors call the file.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`], with line and key.
    pub fn from_properties(text: &[u8], name: &str) -> Result<Self, LoadError> {
        Self::from_entries(&Entries::parse_properties(text).map_err(|problem| invalid(name, &problem))?, name)
    }

    /// Reads a credential from a section of a `credentials.ini` file, with the same keys and as HERE's Java SDK does; `name` is what
    /// errors call the file.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`], with line and key.
    pub fn from_ini(text: &[u8], section: &str, name: &str) -> Result<Self, LoadError> {
        Self::from_entries(
            &Entries::parse_ini(text, section).map_err(|problem| invalid(name, &problem))?,
            name,
        )
    }

    /// Returns the access key id. It names the key in HERE's portal and is no secret, but need not be spread either.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Returns the access key secret, still hidden: for what signs with it, or checks signatures.
    pub fn access_key_secret(&self) -> &SecretString {
        &self.access_key_secret
    }

    /// Returns the token endpoint.
    pub fn token_endpoint_url(&self) -> &Url {
        &self.token_endpoint_url
    }

    /// Returns the scope for requests that name none.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Returns what errors call the place that the credential is from, such as the file's name without its folder:
    /// callers hear of it, and need not know the server's folders.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn with_place(self, place: impl Into<Cow<'static, str>>) -> Self {
        Self { place: place.into(), ..self }
    }

    /// Returns whether both are equal in every part; takes the same time wherever the secrets differ.
    pub fn is_same(&self, other: &Self) -> bool {
        let secrets = (self.access_key_secret.expose_secret(), other.access_key_secret.expose_secret());
        self.access_key_id == other.access_key_id
            && self.token_endpoint_url == other.token_endpoint_url
            && self.scope == other.scope
            && aws_lc_rs::constant_time::verify_slices_are_equal(secrets.0.as_bytes(), secrets.1.as_bytes())
                .is_ok()
    }

    fn from_entries(entries: &Entries, name: &str) -> Result<Self, LoadError> {
        let required = |key: &str| -> Result<(usize, Zeroizing<String>), LoadError> {
            let Some((line, value)) = entries.get(key) else {
                return Err(invalid(name, &entries.missing(key)));
            };
            if value.is_empty() {
                return Err(invalid(
                    name,
                    &format!("line {line}: {key} is empty; copy its value from the HERE portal"),
                ));
            }
            Ok((line, value))
        };
        let at = |line: usize, key: &str, error: &dyn fmt::Display| {
            invalid(name, &format!("line {line}: {key}: {error}"))
        };

        let (id_line, id) = required(KEY_ID)?;
        let (secret_line, secret) = required(KEY_SECRET)?;
        check_text("it", &id).map_err(|error| at(id_line, KEY_ID, &error))?;
        check_text("it", &secret).map_err(|error| at(secret_line, KEY_SECRET, &error))?;
        let mut credential = Self::new(&id, SecretString::from(secret.as_str()))?;
        if let Some((line, url)) = entries.get(ENDPOINT).filter(|(_, url)| !url.is_empty()) {
            credential =
                credential.with_token_endpoint_url(&url).map_err(|error| at(line, ENDPOINT, &error))?;
        }
        if let Some((line, scope)) = entries.get(SCOPE).filter(|(_, scope)| !scope.is_empty()) {
            let scope = Scope::new(&scope).map_err(|error| at(line, SCOPE, &error))?;
            credential = credential.with_scope(Some(scope));
        }
        let place = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(credential.with_place(place))
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
    let refuse = |expected: &'static str| Err(LoadError::new(LoadErrorKind::Invalid, expected));
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

fn check_text(what: &str, text: &str) -> Result<(), LoadError> {
    text::problem_of_key(text)
        .map_or(Ok(()), |problem| Err(LoadError::new(LoadErrorKind::Invalid, format!("{what} {problem}"))))
}

fn invalid(name: &str, problem: &str) -> LoadError {
    LoadError::new(LoadErrorKind::Invalid, format!("{name}: {problem}"))
}

#[cfg(test)]
mod tests;
