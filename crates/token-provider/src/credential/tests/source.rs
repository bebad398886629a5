//! The order of the places, and files that cannot be read.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// The usual places, and one that was named.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookup {
    pub(super) file: Option<PathBuf>,
    pub(super) access_key_id: Option<String>,
    pub(super) access_key_secret: Option<SecretString>,
    pub(super) token_endpoint_url: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) credentials_file: Option<PathBuf>,
    pub(super) credentials_string: Option<SecretString>,
    pub(super) credentials_directory: Option<PathBuf>,
    pub(super) working_directory: Option<PathBuf>,
    pub(super) home: Option<PathBuf>,
    pub(super) profile: Option<String>,
}

impl Lookup {
    pub(super) fn find(&self) -> Result<CredentialSource, LoadError> {
        let section = self.profile.as_deref().unwrap_or("default");
        if let Some(file) = &self.file {
            return Ok(CredentialSource::file(file, section));
        }
        let secret = |secret: &Option<SecretString>| secret.as_ref().map(|text| text.expose_secret().into());
        let directory = self.working_directory.clone().unwrap_or_else(|| "/nonexistent".into());
        CredentialSource::find(section, directory, |name| match name {
            "HERE_ACCESS_KEY_ID" => self.access_key_id.clone().map(Into::into),
            "HERE_ACCESS_KEY_SECRET" => secret(&self.access_key_secret),
            "HERE_TOKEN_ENDPOINT_URL" => self.token_endpoint_url.clone().map(Into::into),
            "HERE_TOKEN_SCOPE" => self.scope.clone().map(Into::into),
            "HERE_CREDENTIALS_FILE" => self.credentials_file.clone().map(Into::into),
            "HERE_CREDENTIALS_STRING" => secret(&self.credentials_string),
            "CREDENTIALS_DIRECTORY" => self.credentials_directory.clone().map(Into::into),
            "HOME" => self.home.clone().map(Into::into),
            _ => None,
        })
    }
}

/// A look-up in which every place holds another credential, named after the place.
fn everywhere(directory: &TempDir) -> Lookup {
    let write = |path: &str, text: String| -> PathBuf {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().expect("is in the directory")).expect("can be made");
        fs::write(&path, text).expect("can be written");
        path
    };
    let properties = |id: &str| format!("here.access.key.id={id}\nhere.access.key.secret={MARKER}\n");
    write("home/.here/credentials.properties", properties("home-properties"));
    let sections =
        ["default", "maps"].map(|section| format!("[{section}]\n{}", properties(&format!("ini-{section}"))));
    write("home/.here/credentials.ini", sections.concat());
    write("work/credentials.properties", properties("working-directory"));
    write("systemd/here-credentials", properties("credentials-directory"));
    Lookup {
        file: Some(write("named.properties", properties("named"))),
        access_key_id: Some("variables".to_owned()),
        access_key_secret: Some(SecretString::from(MARKER)),
        token_endpoint_url: Some("https://example.com/oauth2/token".to_owned()),
        scope: Some("openid".to_owned()),
        credentials_file: Some(write("variable.properties", properties("credentials-file"))),
        credentials_string: Some(SecretString::from(properties("credentials-string"))),
        credentials_directory: Some(directory.path().join("systemd")),
        working_directory: Some(directory.path().join("work")),
        home: Some(directory.path().join("home")),
        profile: None,
    }
}

fn found(lookup: &Lookup) -> String {
    let source = lookup.find().expect("there is one");
    id_of(&source.load().expect("is well-formed")).to_owned()
}

#[test]
fn first_place_wins_and_the_next_steps_in() {
    let directory = TempDir::new().expect("can be made");
    let mut lookup = everywhere(&directory);
    let remove = |path: &str| fs::remove_file(directory.path().join(path)).expect("is there");

    assert_eq!(found(&lookup), "named");
    lookup.file = None;
    assert_eq!(found(&lookup), "variables");
    (lookup.access_key_id, lookup.access_key_secret) = (None, None);
    assert_eq!(found(&lookup), "credentials-file");
    lookup.credentials_file = None;
    assert_eq!(found(&lookup), "credentials-string");
    lookup.credentials_string = None;
    assert_eq!(found(&lookup), "credentials-directory");
    lookup.credentials_directory = None;
    assert_eq!(found(&lookup), "working-directory");
    remove("work/credentials.properties");
    assert_eq!(found(&lookup), "ini-default");
    lookup.profile = Some("maps".to_owned());
    assert_eq!(found(&lookup), "ini-maps");
    remove("home/.here/credentials.ini");
    assert_eq!(found(&lookup), "home-properties");
    remove("home/.here/credentials.properties");
    let error = lookup.find().expect_err("there is none left");
    assert_eq!(error.kind(), LoadErrorKind::NotFound);
    assert!(
        error.to_string().starts_with("no HERE credential found: save the credentials.properties"),
        "{error}"
    );
}

#[test]
fn variables_bring_endpoint_and_scope_along() {
    let directory = TempDir::new().expect("can be made");
    let lookup = Lookup { file: None, ..everywhere(&directory) };
    let credential = lookup.find().and_then(|source| source.load()).expect("is well-formed");
    assert_eq!(credential.token_endpoint_url().as_str(), "https://example.com/oauth2/token");
    assert_eq!(credential.scope().map(Scope::as_str), Some("openid"));
    // Without the access key they are of no account.
    let lookup = Lookup { access_key_id: None, access_key_secret: None, ..lookup };
    let credential = lookup.find().and_then(|source| source.load()).expect("is well-formed");
    assert_eq!(credential.token_endpoint_url().as_str(), DEFAULT_TOKEN_ENDPOINT_URL);
}

#[test]
fn half_set_variables_are_an_error_and_not_skipped() {
    let directory = TempDir::new().expect("can be made");
    let all = Lookup { file: None, ..everywhere(&directory) };
    let table = [
        (
            Lookup { access_key_secret: None, ..all.clone() },
            "environment: HERE_ACCESS_KEY_ID is set and HERE_ACCESS_KEY_SECRET is not; set both or neither",
        ),
        (
            Lookup { access_key_id: None, ..all.clone() },
            "environment: HERE_ACCESS_KEY_SECRET is set and HERE_ACCESS_KEY_ID is not; set both or neither",
        ),
        (
            Lookup { access_key_id: Some(String::new()), ..all.clone() },
            "environment: HERE_ACCESS_KEY_ID is empty; copy its value from the HERE portal",
        ),
        (
            Lookup { token_endpoint_url: Some(format!("http://{MARKER}.example.com/")), ..all.clone() },
            "environment: HERE_TOKEN_ENDPOINT_URL: the token endpoint uses plain http://, so anyone on the \
             network can read the token; use https://",
        ),
        (
            Lookup { scope: Some(format!("\"{MARKER}")), ..all },
            "environment: HERE_TOKEN_SCOPE: the scope is not well-formed: expected printable ASCII without \
             quotes and backslashes (RFC 6749 §3.3), such as \
             hrn:here:authorization::myrealm:project/my-project",
        ),
    ];
    for (lookup, expected) in table {
        let error = lookup.find().and_then(|source| source.load()).expect_err(expected);
        assert_eq!(error.kind(), LoadErrorKind::Invalid);
        assert_eq!(error.to_string(), expected);
        assert!(!shown(&error).contains(MARKER), "{error:?}");
    }
}

#[test]
fn place_with_an_unusable_credential_is_not_skipped() {
    let directory = TempDir::new().expect("can be made");
    let lookup = everywhere(&directory);

    let absent = Lookup { file: Some(directory.path().join("absent")), ..lookup.clone() };
    let error = absent.find().and_then(|source| source.load()).expect_err("there is no such file");
    assert_eq!(error.kind(), LoadErrorKind::NotFound);
    assert!(error.to_string().ends_with("absent: there is no such file"), "{error}");

    let text = format!("here.access.key.secret={MARKER}");
    let string = Lookup {
        file: None,
        access_key_id: None,
        access_key_secret: None,
        credentials_file: None,
        credentials_string: Some(SecretString::from(text)),
        ..lookup.clone()
    };
    let error = string.find().and_then(|source| source.load()).expect_err("is incomplete");
    assert!(
        error.to_string().starts_with("HERE_CREDENTIALS_STRING: here.access.key.id is missing"),
        "{error}"
    );
    assert!(!shown(&error).contains(MARKER), "{error:?}");

    #[cfg(unix)]
    {
        // A dangling link in a place that is searched: the mount behind it is missing.
        let link = directory.path().join("work/credentials.properties");
        fs::remove_file(&link).expect("is there");
        std::os::unix::fs::symlink("/nonexistent/target", &link).expect("can be made");
        let linked =
            Lookup { working_directory: lookup.working_directory, home: lookup.home, ..Lookup::default() };
        let error = linked.find().and_then(|source| source.load()).expect_err("leads nowhere");
        assert_eq!(error.kind(), LoadErrorKind::NotFound);
    }
}

#[test]
fn directories_and_huge_files_are_refused() {
    let directory = TempDir::new().expect("can be made");
    let error = Credential::from_file(directory.path()).expect_err("is a directory");
    assert_eq!(error.kind(), LoadErrorKind::Invalid);
    assert!(error.to_string().ends_with("it is a directory; name the file"), "{error}");

    let path = directory.path().join("c.properties");
    let mut text = format!("here.access.key.id=i\nhere.access.key.secret={MARKER}\n#");
    text.push_str(&"x".repeat(65_536 - text.len()));
    fs::write(&path, &text).expect("can be written");
    assert!(Credential::from_file(&path).is_ok());
    text.push('x');
    fs::write(&path, &text).expect("can be written");
    let error = Credential::from_file(&path).expect_err("is too large");
    assert!(
        error.to_string().ends_with("it is larger than 64 KiB, too large for a credential file"),
        "{error}"
    );
    assert!(!shown(&error).contains(MARKER), "{error:?}");
    #[cfg(target_os = "linux")]
    assert_eq!(Credential::from_file("/dev/zero").expect_err("never ends").kind(), LoadErrorKind::Invalid);
}

#[test]
fn file_name_decides_the_form() {
    let directory = TempDir::new().expect("can be made");
    let text = "[default]\nhere..access..key..id=i\nhere..access..key..secret=ss\n";
    for (name, reads) in [("c.ini", true), ("c.INI", true), ("c.properties", false), ("credentials", false)] {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("can be written");
        assert_eq!(Credential::from_file(&path).is_ok(), reads, "{name}");
    }
}

#[test]
fn secret_of_a_single_character_is_refused() {
    let text =
        |secret: &str| SecretString::from(format!("here.access.key.id=i\nhere.access.key.secret={secret}"));
    for (secret, expected) in [("s", false), ("ss", true)] {
        let of_text = Lookup { credentials_string: Some(text(secret)), ..Lookup::default() };
        let of_variables = Lookup {
            access_key_id: Some("i".to_owned()),
            access_key_secret: Some(SecretString::from(secret)),
            ..Lookup::default()
        };
        for lookup in [of_text, of_variables] {
            let loaded = lookup.find().expect("is there").load();
            assert_eq!(loaded.is_ok(), expected, "{lookup:?}: {loaded:?}");
            if let Err(error) = loaded {
                assert_eq!(error.kind(), LoadErrorKind::Invalid);
                assert!(error.to_string().contains("is a single character"), "{error}");
            }
        }
    }
}

#[test]
fn white_space_round_variables_does_no_harm() {
    let lookup = Lookup {
        access_key_id: Some("\u{feff}an-id\n".to_owned()),
        access_key_secret: Some(SecretString::from(format!(" {MARKER}\u{a0}\r\n"))),
        token_endpoint_url: Some(" https://example.com/oauth2/token\n".to_owned()),
        scope: Some("openid \u{200b}".to_owned()),
        ..Lookup::default()
    };
    let credential = lookup.find().and_then(|source| source.load()).expect("is well-formed");
    assert_eq!(id_of(&credential), "an-id");
    assert_eq!(secret_of(&credential), MARKER);
    assert_eq!(credential.token_endpoint_url().as_str(), "https://example.com/oauth2/token");
    assert_eq!(credential.scope().map(Scope::as_str), Some("openid"));
}

#[test]
fn sources_are_named_and_never_shown() {
    let directory = TempDir::new().expect("can be made");
    let mut lookup = everywhere(&directory);
    let mut names = Vec::new();
    let mut look = |lookup: &Lookup| {
        let source = lookup.find().expect("there is one");
        let shown = format!("{source:?} {source} {lookup:?}");
        assert!(!shown.contains(MARKER), "{shown}");
        let place = source.load().expect("is well-formed").place.into_owned();
        names.push((source.to_string(), source.path().is_some(), place));
    };
    look(&lookup);
    lookup.file = None;
    look(&lookup);
    (lookup.access_key_id, lookup.access_key_secret, lookup.credentials_file) = (None, None, None);
    look(&lookup);
    lookup.credentials_string = None;
    lookup.file = Some(directory.path().join("home/.here/credentials.ini"));
    look(&lookup);
    let path = |path: &str| format!("file {}", directory.path().join(path).display());
    let expected = [
        (path("named.properties"), true, "named.properties"),
        ("environment HERE_ACCESS_KEY_ID, HERE_ACCESS_KEY_SECRET".to_owned(), false, "the environment"),
        ("environment HERE_CREDENTIALS_STRING".to_owned(), false, "HERE_CREDENTIALS_STRING"),
        (format!("{} [default]", path("home/.here/credentials.ini")), true, "credentials.ini"),
    ];
    assert_eq!(names, expected.map(|(name, is_file, place)| (name, is_file, place.to_owned())));
}
