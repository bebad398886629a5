//! Rotation of one profile's credential: the new one is tried at the issuer before it is used.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use token_provider::{CredentialSource, Error, HereIssuer, RemoteIssuer, Scope, TokenKey, trim_value};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::watched::Watched;
use crate::access::Handout;

/// When the issuer could not be asked about a new credential, or did not take it (a new access key may need a moment to
/// be known everywhere), it is asked again after this time.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Files are exchanged within seconds. One that is gone for longer would be missed at the next start.
const GONE_FOR: Duration = Duration::from_secs(60);

/// Looks after one profile's credential.
#[derive(Debug)]
pub struct Rotation {
    profile: String,
    credential: Kind,
    file: Option<Watched>,
    /// A new credential has not been taken into use yet: when to try it again. By a timer: it may be late by the time
    /// that the machine sleeps.
    pending: Option<Instant>,
    gone: Gone,
}

/// Whether the file is there.
#[derive(Debug, Default)]
enum Gone {
    #[default]
    No,
    Since(Instant),
    Reported,
}

/// What is rotated, where it is read from, and who uses it.
#[derive(Debug)]
enum Kind {
    /// `scope` is the configuration's, which beats the file's.
    AccessKey {
        source: CredentialSource,
        scope: Option<Scope>,
        issuer: Arc<HereIssuer>,
    },
    ApiKey {
        file: PathBuf,
        issuer: Arc<RemoteIssuer>,
    },
}

/// What a look at a file has come to.
enum Outcome {
    Same,
    Rotated,
    /// It cannot be read, and will not be before it changes.
    Unusable(String),
    /// It does not answer.
    Hung,
    Refused(Error),
}

impl Rotation {
    /// Takes the source that the issuer's credential was read from; `scope` is the configuration's, which beats the
    /// file's.
    pub fn new(
        profile: &str,
        source: CredentialSource,
        scope: Option<Scope>,
        issuer: Arc<HereIssuer>,
    ) -> Self {
        let file = source.path().map(|path| Watched::new(path.to_owned()));
        let credential = Kind::AccessKey { source, scope, issuer };
        Self { profile: profile.to_owned(), credential, file, pending: None, gone: Gone::No }
    }

    /// Takes the file with the API key that another token provider is asked with.
    pub fn of_api_key(profile: &str, file: &Path, issuer: Arc<RemoteIssuer>) -> Self {
        let credential = Kind::ApiKey { file: file.to_owned(), issuer };
        let file = Some(Watched::new(file.to_owned()));
        Self { profile: profile.to_owned(), credential, file, pending: None, gone: Gone::No }
    }

    /// Takes a new credential into use, if there is one and the issuer accepts it. Tokens already held go on being
    /// handed out.
    pub async fn look(&mut self, is_asked_to: bool, handout: &Handout) {
        self.look_at(Instant::now(), is_asked_to, handout).await;
    }

    async fn look_at(&mut self, now: Instant, is_asked_to: bool, handout: &Handout) {
        let has_changed = match &mut self.file {
            Some(file) => file.has_changed().await,
            None => false,
        };
        self.report_gone(now, handout);
        let is_time = self.pending.is_some_and(|at| at <= now);
        if has_changed || is_asked_to || is_time {
            self.pending = None;
            self.rotate(now, handout).await;
        }
    }

    /// Reports a file that is gone for a while, once.
    fn report_gone(&mut self, now: Instant, handout: &Handout) {
        let Some(file) = self.file.as_mut().filter(|file| file.is_gone) else {
            self.gone = Gone::No;
            return;
        };
        match self.gone {
            Gone::No => self.gone = Gone::Since(now),
            Gone::Since(since) if now.duration_since(since) >= GONE_FOR => {
                let problem = format!("{}: gone for a minute, or does not answer", file.path().display());
                tracing::error!(
                    profile = self.profile,
                    credential.source = %self.credential.place(),
                    "the credential file is gone; what was read last stays in use until the next start"
                );
                file.forget();
                self.gone = Gone::Reported;
                handout.set_rotation_problem(&self.profile, Some(problem));
            }
            Gone::Since(_) | Gone::Reported => {}
        }
    }

    async fn rotate(&mut self, now: Instant, handout: &Handout) {
        let profile = self.profile.as_str();
        let problem = match self.credential.rotate(self.file.as_mut()).await {
            Outcome::Same => None,
            Outcome::Hung => {
                self.pending = Some(now);
                Some(format!("{}: the file does not answer", self.credential.place()))
            }
            Outcome::Rotated => {
                tracing::info!(profile, credential.source = %self.credential.place(), "credential rotated: {} accepts the new one", self.credential.issuer());
                handout.credential_changed(profile);
                warn_if_readable_by_others(self.file.as_mut()).await;
                None
            }
            Outcome::Unusable(error) => {
                tracing::error!(
                    profile,
                    error,
                    "the changed credential is not used; the old one stays in use"
                );
                Some(error)
            }
            Outcome::Refused(error) => {
                let issuer = self.credential.issuer();
                let what = if error.is_transient() {
                    format!(
                        "{issuer} could not be asked about the changed credential; the old one stays in use"
                    )
                } else {
                    format!("{issuer} did not accept the changed credential; the old one stays in use")
                };
                tracing::error!(
                    profile,
                    %error,
                    cause = error.causes(),
                    retry_in = TRY_AGAIN.as_secs(),
                    "{what}"
                );
                self.pending = Some(now + TRY_AGAIN);
                Some(format!("{what}: {error}"))
            }
        };
        handout.set_rotation_problem(profile, problem);
    }
}

impl Kind {
    async fn rotate(&self, file: Option<&mut Watched>) -> Outcome {
        let result = match self {
            Self::AccessKey { source, scope, issuer } => {
                let from = source.clone();
                let mut credential = match read(file, move || from.load()).await {
                    Some(Ok(credential)) => credential,
                    Some(Err(error)) => return Outcome::Unusable(error.to_string()),
                    None => return Outcome::Hung,
                };
                if let Some(scope) = scope {
                    credential = credential.with_scope(Some(scope.clone()));
                }
                if credential.is_same(&issuer.credential()) {
                    return Outcome::Same;
                }
                issuer.rotate(credential, &TokenKey::default()).await
            }
            Self::ApiKey { file: path, issuer } => {
                let from = path.clone();
                match read(file, move || read_api_key(&from)).await {
                    Some(Ok(key)) if issuer.uses(&key) => return Outcome::Same,
                    Some(Ok(key)) => issuer.rotate(&key, &TokenKey::default()).await,
                    Some(Err(error)) => return Outcome::Unusable(format!("{}: {error}", path.display())),
                    None => return Outcome::Hung,
                }
            }
        };
        result.map_or_else(Outcome::Refused, |_issued| Outcome::Rotated)
    }

    fn place(&self) -> String {
        match self {
            Self::AccessKey { source, .. } => source.to_string(),
            Self::ApiKey { file, .. } => file.display().to_string(),
        }
    }

    fn issuer(&self) -> &'static str {
        match self {
            Self::AccessKey { .. } => "HERE",
            Self::ApiKey { .. } => "the other token provider",
        }
    }
}

async fn warn_if_readable_by_others(file: Option<&mut Watched>) {
    let Some(file) = file else { return };
    let path = file.path().to_owned();
    if file.read(move || is_readable_by_others(&path)).await == Some(true) {
        warn_of_others(file.path());
    }
}

/// Tells the log that a file with a credential is not for its owner's eyes alone.
pub fn warn_of_others(file: &Path) {
    tracing::warn!(
        credential.source = %file.display(),
        "other users of this machine can read the credential file; chmod 600 it"
    );
}

/// What is in no file is in memory, and does not block.
async fn read<T: Send + 'static>(
    file: Option<&mut Watched>,
    read: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    match file {
        Some(file) => file.read(read).await,
        None => Some(read()),
    }
}

/// Reads the file with the API key that another token provider is asked with.
///
/// # Errors
///
/// What the system said.
pub fn read_api_key(file: &Path) -> io::Result<SecretString> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new)?;
    Ok(SecretString::from(trim_value(&text)))
}

/// Returns whether users other than the file's owner can read it, which deserves a warning. Group access is left out of
/// account: services are often given their files that way.
pub fn is_readable_by_others(file: &Path) -> bool {
    const READ_BY_OTHERS: u32 = 0o004;
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & READ_BY_OTHERS != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use here_sandbox::{Sandbox, SandboxConfig};
    use token_provider::{HereIssuerConfig, Lookup, TokenProvider};
    use tokio::net::TcpListener;

    use super::*;
    use crate::access::Profile;

    /// Nobody listens there.
    const PROPERTIES: &str = "here.access.key.id = first\nhere.access.key.secret = planted\n\
                              here.token.endpoint.url = http://127.0.0.1:1/oauth2/token\n";
    const OTHER: &str = "here.access.key.id = second\nhere.access.key.secret = planted\n\
                         here.token.endpoint.url = http://127.0.0.1:1/oauth2/token\n";

    /// Looks as often as a change takes to settle.
    async fn look_at(now: Instant, rotation: &mut Rotation, handout: &Handout) {
        for _ in 0..2 {
            rotation.look_at(now, false, handout).await;
        }
    }

    /// A rotation with an account behind it, and its credential file.
    struct Bench {
        sandbox: Sandbox,
        origin: String,
        issuer: Arc<HereIssuer>,
        handout: Handout,
        rotation: Rotation,
        path: PathBuf,
        _folder: tempfile::TempDir,
    }

    impl Bench {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            let origin = format!("http://{}", listener.local_addr().expect("is bound"));
            let sandbox = Sandbox::new(SandboxConfig::generate());
            let running = sandbox.clone();
            tokio::spawn(async move { running.serve(listener, std::future::pending()).await });

            let folder = tempfile::tempdir().expect("can be made");
            let path = folder.path().join("credentials.properties");
            fs::write(&path, sandbox.credentials_properties(&format!("{origin}/oauth2/token")))
                .expect("can be written");
            let mut lookup = Lookup::default();
            lookup.file = Some(path.clone());
            let source = lookup.find().expect("is there");
            let credential = source.load().expect("is well-formed");
            let issuer = Arc::new(HereIssuer::new(HereIssuerConfig::new(credential)).expect("can be made"));
            let provider = TokenProvider::new(Arc::clone(&issuer));
            let handout = Handout::new([Profile::new("default", Vec::new(), provider)], "default");
            let rotation = Rotation::new("default", source, None, Arc::clone(&issuer));
            Self { sandbox, origin, issuer, handout, rotation, path, _folder: folder }
        }

        fn write_second(&self) {
            let second = format!(
                "here.access.key.id = second\nhere.access.key.secret = planted-second-secret\n\
                 here.token.endpoint.url = {}/oauth2/token\n",
                self.origin
            );
            fs::write(&self.path, second).expect("can be written");
        }
    }

    #[tokio::test]
    async fn rotated_credential_is_used_at_once_where_the_old_one_was_refused() {
        let mut bench = Bench::start().await;
        assert!(bench.sandbox.remove_access_key(bench.issuer.credential().access_key_id()));
        bench.handout.ready().await.expect_err("is refused");
        bench.sandbox.add_access_key("second", "planted-second-secret").expect("is the second");
        bench.write_second();
        look_at(Instant::now(), &mut bench.rotation, &bench.handout).await;
        bench.handout.ready().await.expect("nobody waits for the pause after the refusal");
    }

    #[tokio::test]
    async fn credential_that_was_not_accepted_is_tried_again_with_no_change_of_its_file() {
        let mut bench = Bench::start().await;
        look_at(Instant::now(), &mut bench.rotation, &bench.handout).await;
        assert_eq!(bench.sandbox.stats().token_requests, 0, "what is in use need not be tried");

        // Made at HERE a moment ago, and not yet known everywhere.
        bench.write_second();
        let now = Instant::now();
        look_at(now, &mut bench.rotation, &bench.handout).await;
        let Bench { sandbox, issuer, handout, rotation, .. } = &mut bench;
        let refused = || sandbox.stats().refused.values().sum::<u64>();
        assert_eq!(refused(), 1, "was tried");
        assert_ne!(issuer.credential().access_key_id(), "second");

        sandbox.add_access_key("second", "planted-second-secret").expect("is the second");
        let soon = now + TRY_AGAIN.saturating_sub(Duration::from_secs(1));
        look_at(soon, rotation, handout).await;
        assert_ne!(issuer.credential().access_key_id(), "second", "HERE is left alone for a while");
        look_at(now + TRY_AGAIN, rotation, handout).await;
        assert_eq!(issuer.credential().access_key_id(), "second");
        assert_eq!(refused(), 1);
    }

    /// A profile whose credential is in this file; nobody needs to be asked for it.
    fn bench(path: &Path) -> (Rotation, Handout) {
        fs::write(path, PROPERTIES).expect("can be written");
        let mut lookup = Lookup::default();
        lookup.file = Some(path.to_owned());
        let source = lookup.find().expect("is there");
        let credential = source.load().expect("is well-formed");
        let issuer = Arc::new(HereIssuer::new(HereIssuerConfig::new(credential)).expect("can be made"));
        let provider = TokenProvider::new(Arc::clone(&issuer));
        let handout = Handout::new([Profile::new("default", Vec::new(), provider)], "default");
        (Rotation::new("default", source, None, issuer), handout)
    }

    fn problem(handout: &Handout) -> Option<String> {
        let problem = handout.status().next().expect("there is one profile").rotation_problem;
        problem.map(|problem| problem.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn file_that_is_gone_for_a_minute_is_reported_once_until_it_is_back() {
        let folder = tempfile::tempdir().expect("can be made");
        let path = folder.path().join("credentials.properties");
        let (mut rotation, handout) = bench(&path);
        let start = Instant::now();
        look_at(start, &mut rotation, &handout).await;
        let away = folder.path().join("away");
        fs::rename(&path, &away).expect("can be renamed");
        let after = |seconds| start + Duration::from_secs(seconds);
        look_at(after(2), &mut rotation, &handout).await;
        // Back in time, so that the minute starts again.
        fs::rename(&away, &path).expect("can be renamed");
        look_at(after(30), &mut rotation, &handout).await;
        fs::rename(&path, &away).expect("can be renamed");
        look_at(after(32), &mut rotation, &handout).await;
        look_at(after(91), &mut rotation, &handout).await;
        assert_eq!(problem(&handout), None);
        look_at(after(92), &mut rotation, &handout).await;
        assert!(problem(&handout).is_some_and(|problem| problem.contains("gone for a minute")));
        handout.set_rotation_problem("default", None);
        look_at(after(600), &mut rotation, &handout).await;
        assert_eq!(problem(&handout), None, "said once");

        handout.set_rotation_problem("default", Some("planted".to_owned()));
        fs::rename(&away, &path).expect("can be renamed");
        look_at(after(602), &mut rotation, &handout).await;
        assert_eq!(problem(&handout), None, "it is the file that is in use");
        fs::remove_file(&path).expect("can be removed");
        fs::create_dir(&path).expect("can be made");
        look_at(after(604), &mut rotation, &handout).await;
        look_at(after(664), &mut rotation, &handout).await;
        assert!(problem(&handout).is_some(), "a folder is no file");
    }

    #[tokio::test(start_paused = true)]
    async fn pipe_that_was_read_is_not_gone() {
        let folder = tempfile::tempdir().expect("can be made");
        let path = folder.path().join("credentials.properties");
        let (mut rotation, handout) = bench(&path);
        fs::remove_file(&path).expect("can be removed");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("can be run").success());
        let start = Instant::now();
        for minutes in 0..3 {
            look_at(start + Duration::from_secs(60 * minutes), &mut rotation, &handout).await;
        }
        assert_eq!(problem(&handout), None);
    }

    #[tokio::test]
    async fn rotation_has_failed_until_the_file_and_what_is_in_use_are_the_same() {
        let folder = tempfile::tempdir().expect("can be made");
        let path = folder.path().join("credentials.properties");
        let (mut rotation, handout) = bench(&path);
        look_at(Instant::now(), &mut rotation, &handout).await;
        assert_eq!(problem(&handout), None);
        // Cut short; then whole, and of an account that nobody answers for.
        for (text, reason) in [("here.access.key.id = second", "secret"), (OTHER, "could not be asked")] {
            fs::write(&path, text).expect("can be written");
            look_at(Instant::now(), &mut rotation, &handout).await;
            assert!(
                problem(&handout).is_some_and(|problem| problem.contains(reason)),
                "{:?}",
                problem(&handout)
            );
        }
        fs::write(&path, PROPERTIES).expect("can be written");
        look_at(Instant::now(), &mut rotation, &handout).await;
        assert_eq!(problem(&handout), None);
    }

    #[test]
    fn file_that_everyone_can_read_is_noticed() {
        let file = tempfile::NamedTempFile::new().expect("can be made");
        for (mode, expected) in [(0o600, false), (0o400, false), (0o640, false), (0o644, true), (0o604, true)]
        {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("is ours");
            assert_eq!(is_readable_by_others(file.path()), expected, "{mode:o}");
        }
        assert!(!is_readable_by_others(Path::new("/nonexistent/file")));
    }

    #[tokio::test]
    async fn change_between_the_first_reading_and_the_first_look_is_found() {
        let file = tempfile::NamedTempFile::new().expect("can be made");
        let properties = |id: &str| {
            // Nobody listens there, and nobody needs to: what counts is that it is tried.
            format!(
                "here.access.key.id = {id}\nhere.access.key.secret = planted\n\
                 here.token.endpoint.url = http://127.0.0.1:1/oauth2/token\n"
            )
        };
        fs::write(file.path(), properties("first")).expect("can be written");
        let mut lookup = Lookup::default();
        lookup.file = Some(file.path().to_owned());
        let source = lookup.find().expect("is there");
        let credential = source.load().expect("is well-formed");
        let issuer = Arc::new(HereIssuer::new(HereIssuerConfig::new(credential)).expect("can be made"));
        fs::write(file.path(), properties("other")).expect("can be written");
        let provider = TokenProvider::new(Arc::clone(&issuer));
        let handout = Handout::new([Profile::new("default", Vec::new(), provider)], "default");
        let mut rotation = Rotation::new("default", source, None, issuer);
        look_at(Instant::now(), &mut rotation, &handout).await;
        assert!(rotation.pending.is_some(), "was tried, and is to be tried again");
    }
}
