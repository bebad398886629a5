//! Where a credential is looked for, in which order, and reading it there.
//!
//! The environment comes in as values: this library does not read it.

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::text::trim_value;
use super::{Credential, invalid, properties};
use crate::error::{Error, ErrorKind};
use crate::token::Scope;

/// No real credential file is a hundredth of this; what is larger is something else, `/dev/zero` say.
const MAX_FILE_SIZE: u64 = 64 * 1024;

/// The places to look in; those left empty are passed over.
///
/// The first that is there wins, and when it is not well-formed that is an error: falling through to the next would
/// use an access key that nobody meant.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Lookup {
    /// A file that the user named.
    pub file: Option<PathBuf>,
    /// `HERE_ACCESS_KEY_ID`.
    pub access_key_id: Option<String>,
    /// `HERE_ACCESS_KEY_SECRET`.
    pub access_key_secret: Option<SecretString>,
    /// `HERE_TOKEN_ENDPOINT_URL`, used with the two above.
    pub token_endpoint_url: Option<String>,
    /// `HERE_TOKEN_SCOPE`, used with the two above.
    pub scope: Option<String>,
    /// `HERE_CREDENTIALS_FILE`.
    pub credentials_file: Option<PathBuf>,
    /// `HERE_CREDENTIALS_STRING`: the text of a whole file.
    pub credentials_string: Option<SecretString>,
    /// `CREDENTIALS_DIRECTORY`, set by systemd's `LoadCredential=`; the file in it is `here-credentials`.
    pub credentials_directory: Option<PathBuf>,
    /// The directory in which `credentials.properties` is looked for.
    pub working_directory: Option<PathBuf>,
    /// The user's home, for `.here/credentials.ini` and `.here/credentials.properties`.
    pub home: Option<PathBuf>,
    /// The section of `credentials.ini`; `default` when not set.
    pub profile: Option<String>,
    /// In the home, to look at `credentials.ini` alone: `credentials.properties` has no sections, so that its one access
    /// key would be everybody's.
    pub sections_only: bool,
}

impl Lookup {
    /// Finds the place that decides. Whether what it holds is well-formed shows only in [`CredentialSource::load`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CredentialNotFound`], naming the places that would do.
    pub fn find(&self) -> Result<CredentialSource, Error> {
        if let Some(file) = &self.file {
            return Ok(self.file_source(file));
        }
        if self.access_key_id.is_some() || self.access_key_secret.is_some() {
            return self.variables();
        }
        if let Some(file) = &self.credentials_file {
            return Ok(self.file_source(file));
        }
        if let Some(text) = &self.credentials_string {
            return Ok(CredentialSource(Source::Text(text.clone())));
        }
        let files = [
            self.credentials_directory.as_ref().map(|directory| directory.join("here-credentials")),
            self.working_directory.as_ref().map(|directory| directory.join("credentials.properties")),
            self.home.as_ref().map(|home| home.join(".here/credentials.ini")),
            self.home
                .as_ref()
                .filter(|_| !self.sections_only)
                .map(|home| home.join(".here/credentials.properties")),
        ];
        // A file that is there but may not be read is the one that is meant: say so, rather than take another.
        files.into_iter().flatten().find(|file| file.symlink_metadata().is_ok()).map_or_else(
            || Err(Error::new(ErrorKind::CredentialNotFound, self.remedy())),
            |file| Ok(self.file_source(&file)),
        )
    }

    fn remedy(&self) -> Cow<'static, str> {
        if !self.sections_only {
            return "no HERE credential found: put the credentials.properties that the HERE portal offers into this \
                    directory or into ~/.here/, or name it with --credentials or HERE_CREDENTIALS_FILE"
                .into();
        }
        let section = self.profile.as_deref().unwrap_or("default");
        format!(
            "no HERE credential of its own found: name its file with `credentials`, or give it a section [{section}] in \
             ~/.here/credentials.ini"
        )
        .into()
    }

    fn file_source(&self, file: &Path) -> CredentialSource {
        CredentialSource::from_path(file, self.profile.as_deref())
    }

    fn variables(&self) -> Result<CredentialSource, Error> {
        let (Some(id), Some(secret)) = (&self.access_key_id, &self.access_key_secret) else {
            let (there, absent) = match self.access_key_id {
                Some(_) => ("HERE_ACCESS_KEY_ID", "HERE_ACCESS_KEY_SECRET"),
                None => ("HERE_ACCESS_KEY_SECRET", "HERE_ACCESS_KEY_ID"),
            };
            return Err(invalid(
                "environment",
                &format!("{there} is set and {absent} is not; set both or neither"),
            ));
        };
        Ok(CredentialSource(Source::Variables {
            id: id.clone(),
            secret: secret.clone(),
            url: self.token_endpoint_url.clone(),
            scope: self.scope.clone(),
        }))
    }
}

impl Credential {
    /// Reads a credential from a file: in the `.ini` form (section `[default]`) when its name ends so, else in the
    /// `.properties` form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CredentialNotFound`] when there is no such file; [`ErrorKind::CredentialInvalid`] when it cannot
    /// be read or is not well-formed.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        CredentialSource::from_path(path.as_ref(), None).load()
    }

    /// Returns the names of the sections of a `credentials.ini` file.
    ///
    /// # Errors
    ///
    /// As for [`Credential::from_file`], where the file cannot be read at all.
    pub fn ini_sections(path: impl AsRef<Path>) -> Result<Vec<String>, Error> {
        let path = path.as_ref();
        properties::ini_sections(&read(path)?)
            .map_err(|problem| invalid(&path.display().to_string(), &problem))
    }
}

/// Where the credential comes from; it can be read there again after a rotation.
#[derive(Clone)]
pub struct CredentialSource(Source);

#[derive(Clone)]
enum Source {
    /// In the `.ini` form where there is a section.
    File {
        path: PathBuf,
        section: Option<String>,
    },
    Variables {
        id: String,
        secret: SecretString,
        url: Option<String>,
        scope: Option<String>,
    },
    Text(SecretString),
}

impl CredentialSource {
    fn from_path(path: &Path, section: Option<&str>) -> Self {
        let is_ini = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ini"));
        let section = is_ini.then(|| section.unwrap_or("default").to_owned());
        Self(Source::File { path: path.to_owned(), section })
    }

    /// Returns the file to watch for a rotation, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::File { path, .. } => Some(path),
            Source::Variables { .. } | Source::Text(_) => None,
        }
    }

    /// Reads the credential as it is now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CredentialNotFound`] when the file is gone, else [`ErrorKind::CredentialInvalid`].
    pub fn load(&self) -> Result<Credential, Error> {
        let credential = self.read()?;
        if credential.access_key_secret().expose_secret().chars().nth(1).is_none() {
            let problem = "the access key secret is a single character; copy it again from the HERE portal";
            return Err(invalid(&self.to_string(), problem));
        }
        Ok(credential.with_place(self.place()))
    }

    /// See [`Credential::place`].
    fn place(&self) -> Cow<'static, str> {
        match &self.0 {
            Source::File { path, .. } => {
                path.file_name().unwrap_or_default().to_string_lossy().into_owned().into()
            }
            Source::Variables { .. } => "the environment".into(),
            Source::Text(_) => "HERE_CREDENTIALS_STRING".into(),
        }
    }

    fn read(&self) -> Result<Credential, Error> {
        match &self.0 {
            Source::File { path, section } => {
                let (text, name) = (read(path)?, path.display().to_string());
                match section {
                    Some(section) => Credential::from_ini(&text, section, &name),
                    None => Credential::from_properties(&text, &name),
                }
            }
            Source::Text(text) => {
                Credential::from_properties(text.expose_secret().as_bytes(), "HERE_CREDENTIALS_STRING")
            }
            Source::Variables { id, secret, url, scope } => {
                let named = |variable: &'static str| {
                    move |error: Error| invalid("environment", &format!("{variable}: {error}"))
                };
                let secret = SecretString::from(trim_value(secret.expose_secret()));
                let mut credential = Credential::new(trim_value(id), secret)
                    .map_err(named("HERE_ACCESS_KEY_ID and HERE_ACCESS_KEY_SECRET"))?;
                if let Some(url) = url.as_deref().map(trim_value) {
                    credential =
                        credential.with_token_endpoint_url(url).map_err(named("HERE_TOKEN_ENDPOINT_URL"))?;
                }
                let scope = scope
                    .as_deref()
                    .map(trim_value)
                    .map(Scope::new)
                    .transpose()
                    .map_err(named("HERE_TOKEN_SCOPE"))?;
                Ok(credential.with_scope(scope))
            }
        }
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::File { path, section: None } => write!(f, "file {}", path.display()),
            Source::File { path, section: Some(section) } => write!(f, "file {} [{section}]", path.display()),
            Source::Variables { .. } => f.write_str("environment HERE_ACCESS_KEY_ID, HERE_ACCESS_KEY_SECRET"),
            Source::Text(_) => f.write_str("environment HERE_CREDENTIALS_STRING"),
        }
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialSource({self})")
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let name = path.display();
    let failed = |error: std::io::Error| {
        let (kind, hint) = match error.kind() {
            std::io::ErrorKind::NotFound => (ErrorKind::CredentialNotFound, "there is no such file"),
            std::io::ErrorKind::PermissionDenied => {
                (ErrorKind::CredentialInvalid, "this user may not read it; give it the file, mode 0600")
            }
            _ => (ErrorKind::CredentialInvalid, "it cannot be read"),
        };
        Error::new(kind, format!("{name}: {hint}")).with_source(error)
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(invalid(&name.to_string(), "it is a directory; name the file"));
    }
    // Room for the whole file at once, so that growing leaves no copy of the secret behind.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FILE_SIZE + 1).unwrap_or(0)));
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE_SIZE {
        return Err(invalid(&name.to_string(), "it is larger than 64 KiB, so it is no credential file"));
    }
    Ok(text)
}
