//! Where a credential comes from, and the order in which the usual places are searched.
//!
//! Sources compose as values of the standard library do: `first.or_else(|| second)`.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::Credential;
use super::file::read;
use super::properties::{Entries, KEY_ID, KEY_SECRET, ini_sections};
use crate::error::{LoadError, LoadErrorKind};

/// What the ids of access keys begin with that a token provider has made for HERE's SDKs.
const OF_TOKEN_PROVIDER: &str = "tp.";

/// The variables that may name the user's folder, the better first. Other shells set `HOME` on Windows to what they like.
const HOME: [&str; 2] = if cfg!(windows) { ["USERPROFILE", "HOME"] } else { ["HOME", "USERPROFILE"] };

/// Where the credential comes from; it can be read there again after a rotation.
#[derive(Clone)]
pub struct CredentialSource(Source);

#[derive(Clone)]
enum Source {
    /// In the `.ini` form if there is a section.
    File(PathBuf, Option<String>),
    Variables(Entries),
    Text(SecretString),
}

impl CredentialSource {
    /// Creates a source from a file, whether or not it exists: in the `.ini` form, with this section, if its name ends
    /// so, otherwise in the `.properties` form, which has no sections.
    pub fn file(path: impl Into<PathBuf>, section: &str) -> Self {
        let path = path.into();
        let is_ini = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ini"));
        Self(Source::File(path, is_ini.then(|| section.to_owned())))
    }

    /// Returns a source for the file if it exists, even if it is unreadable: it is the one that was meant, and loading
    /// it reports the error.
    pub fn file_if_present(path: impl Into<PathBuf>, section: &str) -> Option<Self> {
        let path = path.into();
        path.symlink_metadata().is_ok().then(|| Self::file(path, section))
    }

    /// Creates a source from the text of a whole `credentials.properties` file. A private key's path in it is relative to the working
    /// directory.
    pub fn text(text: SecretString) -> Self {
        Self(Source::Text(text))
    }

    /// Creates a source from `HERE_ACCESS_KEY_ID` and `HERE_ACCESS_KEY_SECRET`, with `HERE_TOKEN_ENDPOINT_URL` and
    /// `HERE_TOKEN_SCOPE`, looked up with `variable`. `None` where neither key is set; where one of them is missing,
    /// loading says so.
    pub fn variables(variable: impl Fn(&str) -> Option<SecretString>) -> Option<Self> {
        let variables = Entries::of_variables(variable);
        let has_key = [KEY_ID, KEY_SECRET].iter().any(|key| variables.get(key).is_some());
        has_key.then_some(Self(Source::Variables(variables)))
    }

    /// Finds the first of the usual places that has a credential: [variables](Self::variables), the file that
    /// `HERE_CREDENTIALS_FILE` names, the text in `HERE_CREDENTIALS_STRING`, `here-credentials` in systemd's
    /// `CREDENTIALS_DIRECTORY`, `credentials.properties` in this directory, and `credentials.ini` (this section) and
    /// `credentials.properties` in `~/.here`.
    ///
    /// When it is not well-formed, loading it is an error: falling through to the next would use an access key that nobody
    /// meant.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::NotFound`], naming the places that would do.
    pub fn find(
        section: &str,
        directory: impl AsRef<Path>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, LoadError> {
        let path = |name| variable(name).map(PathBuf::from);
        let secret = |name: &str| {
            // Moved where it is text, so that no copy is left unwiped.
            let text = variable(name)?.into_string();
            Some(text.unwrap_or_else(|value| value.to_string_lossy().into_owned()).into())
        };
        let home = HOME.into_iter().find_map(path).map(|home| home.join(".here"));
        let in_home = |name| home.as_ref().map(|home| home.join(name));
        let files = [
            path("CREDENTIALS_DIRECTORY").map(|directory| directory.join("here-credentials")),
            Some(directory.as_ref().join("credentials.properties")),
            in_home("credentials.ini"),
            in_home("credentials.properties"),
        ];
        Self::variables(secret)
            .or_else(|| path("HERE_CREDENTIALS_FILE").map(|file| Self::file(file, section)))
            .or_else(|| secret("HERE_CREDENTIALS_STRING").map(Self::text))
            .or_else(|| files.into_iter().flatten().find_map(|file| Self::file_if_present(file, section)))
            .ok_or_else(|| {
                let message = "no HERE credential found: save the credentials.properties from the HERE \
                               portal in this directory or in ~/.here/, or name it with \
                               HERE_CREDENTIALS_FILE";
                LoadError::new(LoadErrorKind::NotFound, message)
            })
    }

    /// Finds it with the variables of this process, in its working directory.
    ///
    /// # Errors
    ///
    /// As for [`CredentialSource::find`].
    pub fn from_env() -> Result<Self, LoadError> {
        #[expect(clippy::disallowed_methods, reason = "what the function is for")]
        Self::find("default", "", |name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    /// Returns the file to watch for a rotation, if it is one. A private key may be in another: [`PrivateKey::file`](crate::PrivateKey::file).
    pub fn path(&self) -> Option<&Path> {
        if let Source::File(path, _) = &self.0 { Some(path) } else { None }
    }

    /// Reads the credential as it is now. Blocks while it reads a file, which may have 64 KiB.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::NotFound`] when the file is gone, else [`LoadErrorKind::Invalid`]; also for an access key that a token
    /// provider has made (`token-provider key new --here`).
    pub fn load(&self) -> Result<Credential, LoadError> {
        let credential = match &self.0 {
            Source::File(path, section) => {
                let text = read(path)?;
                let entries = match section {
                    Some(section) => Entries::parse_ini(&text, section),
                    None => Entries::parse_properties(&text),
                };
                // A path in it is relative to its folder.
                let folder = path.parent().unwrap_or(path);
                Credential::from_entries(entries, &path.display().to_string(), folder)
            }
            Source::Variables(variables) => {
                let credential =
                    Credential::from_entries(Ok(variables.clone()), "environment", Path::new(""));
                credential.map(|credential| credential.with_place("the environment"))
            }
            Source::Text(text) => {
                Credential::from_properties(text.expose_secret().as_bytes(), "HERE_CREDENTIALS_STRING")
            }
        }?;
        let is_one_character = |secret: &SecretString| secret.expose_secret().chars().nth(1).is_none();
        let problem = if credential.access_key_secret().is_some_and(is_one_character) {
            "the access key secret is a single character; copy it again from the HERE portal"
        } else if credential.access_key_id().is_some_and(|id| id.starts_with(OF_TOKEN_PROVIDER)) {
            "this access key is of a token provider (its id begins with `tp.`) and worth nothing at HERE; to get \
             tokens from that server, set `remote` in the profile"
        } else {
            return Ok(credential);
        };
        Err(LoadError::invalid(problem).within(&self.to_string()))
    }
}

impl Credential {
    /// Reads a credential from a file of 64 KiB at most: in the `.ini` form (section `[default]`) when its name ends so, else in the
    /// `.properties` form.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::NotFound`] when there is no such file; [`LoadErrorKind::Invalid`] when it cannot
    /// be read or is not well-formed.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        CredentialSource::file(path.as_ref(), "default").load()
    }

    /// Returns the names of the sections of a `credentials.ini` file.
    ///
    /// # Errors
    ///
    /// As for [`Credential::from_file`], where the file cannot be read at all.
    pub fn ini_sections(path: impl AsRef<Path>) -> Result<Vec<String>, LoadError> {
        let sections = ini_sections(&read(path.as_ref())?);
        sections.map_err(|error| error.within(&path.as_ref().display().to_string()))
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::File(path, None) => write!(f, "file {}", path.display()),
            Source::File(path, Some(section)) => write!(f, "file {} [{section}]", path.display()),
            Source::Variables(_) => f.write_str("environment HERE_ACCESS_KEY_ID, HERE_ACCESS_KEY_SECRET"),
            Source::Text(_) => f.write_str("environment HERE_CREDENTIALS_STRING"),
        }
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialSource({self})")
    }
}
