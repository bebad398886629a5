//! Rotation of one profile's credential: the new one is tried at the issuer before it is used.

use std::time::Duration;

use token_provider::{Credential, PrivateKey, TokenError, TokenKey};
use tokio::time::Instant;

use super::watched::Watched;
use crate::access::Handout;
use crate::setup::{ProfileIssuer, TokenSource, key_name, read_api_key, warn_of_others};

/// The pause before a new credential is tried again that the issuer did not accept, or that it could not be asked about: a new access
/// key may need a moment to be known everywhere.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Files are exchanged within seconds. One that is gone for longer would be missed at the next start.
const GONE_FOR: Duration = Duration::from_secs(60);

/// Watches one profile's credential file, and the file of the private key that it names.
#[derive(Debug)]
pub(super) struct Rotation {
    source: TokenSource,
    issuer: ProfileIssuer,
    file: Watched,
    /// The private key's file, once a key was read from it: what stands there before may be a key that was pasted, and not be shown.
    key_file: Option<Watched>,
    /// When to try a credential again that has not been taken into use. By a timer: it may be late by the time that the
    /// machine sleeps.
    retry_at: Option<Instant>,
    /// Why what is there now cannot be used, as it was reported. It is read again at every look.
    unusable: Option<String>,
    gone_since: Option<Instant>,
    is_gone_reported: bool,
}

/// Why the credential in the file is not used.
enum RotationError {
    /// The file does not answer.
    Hung,
    /// It cannot be read, or the key file that it names.
    Unusable(String),
    /// The issuer did not accept it.
    Refused(TokenError),
}

impl Rotation {
    /// Begins with the credential that the issuer uses. Returns `None` if nothing of it is in a file: it cannot change.
    pub(super) fn new((source, issuer): (TokenSource, ProfileIssuer)) -> Option<Self> {
        let mut files = source.files().map(|path| Watched::new(path.to_owned()));
        let (file, key_file) = (files.next()?, files.next());
        drop(files);
        let (retry_at, unusable, gone_since) = (None, None, None);
        Some(Self { source, issuer, file, key_file, retry_at, unusable, gone_since, is_gone_reported: false })
    }

    /// Takes a new credential into use, if there is one and the issuer accepts it. Tokens already held go on being
    /// handed out.
    pub(super) async fn look(&mut self, now: Instant, is_asked_to: bool, handout: &Handout) {
        let mut has_changed = self.file.has_changed().await;
        if let Some(file) = &mut self.key_file {
            has_changed |= file.has_changed().await;
        }
        self.report_gone(now, handout);
        // What makes it usable may be a change of the key's file alone.
        let is_time = self.unusable.is_some() || self.retry_at.is_some_and(|at| at <= now);
        // One that is being written is read once it is done, even if the key's file is done before.
        let is_settled = !self.file.is_gone && !self.file.is_changing();
        if has_changed || is_asked_to {
            self.unusable = None;
        }
        if is_asked_to || is_settled && (has_changed || is_time) {
            self.rotate(now, handout).await;
        }
    }

    /// Reports a file that is gone for a while, once.
    fn report_gone(&mut self, now: Instant, handout: &Handout) {
        let mut files = std::iter::once(&mut self.file).chain(&mut self.key_file);
        let Some(file) = files.find(|file| file.is_gone) else {
            (self.gone_since, self.is_gone_reported) = (None, false);
            return;
        };
        let since = *self.gone_since.get_or_insert(now);
        if self.is_gone_reported || now < since + GONE_FOR {
            return;
        }
        self.is_gone_reported = true;
        let path = file.path.display();
        let problem = format!("{path}: missing for a minute, or the file system does not respond");
        handout.set_rotation_problem(&self.source.profile, Some(problem));
        tracing::error!(
            profile = self.source.profile,
            credential.source = self.source.credential,
            file = %path,
            "the credential file is missing; the credential read last stays in use until the server restarts"
        );
        file.forget();
    }

    /// Says what comes of it in the status first, then in the log (but for a file that hangs).
    async fn rotate(&mut self, now: Instant, handout: &Handout) {
        self.retry_at = None;
        let reported = self.unusable.take();
        let result = self.try_file().await;
        let profile = self.source.profile.as_str();
        let issuer = if self.source.is_remote { "the other token provider" } else { "HERE" };
        let publish = |problem| handout.set_rotation_problem(profile, problem);
        match result {
            Ok(false) => publish(None),
            Ok(true) => {
                publish(None);
                handout.credential_changed(profile);
                let key = self.issuer.private_key().as_ref().map(key_name);
                tracing::info!(
                    profile,
                    credential.source = self.source.credential,
                    credential.key = key,
                    "credential rotated: {issuer} accepts the new one"
                );
                for file in std::iter::once(&mut self.file).chain(&mut self.key_file) {
                    file.read(warn_of_others).await;
                }
            }
            Err(RotationError::Hung) => {
                self.retry_at = Some(now);
                publish(Some(format!("{}: the file system does not respond", self.source.credential)));
            }
            Err(RotationError::Unusable(error)) => {
                publish(Some(error.clone()));
                if reported.as_ref() != Some(&error) {
                    tracing::error!(
                        profile,
                        error,
                        "the changed credential cannot be used; keeping the previous one"
                    );
                }
                self.unusable = Some(error);
            }
            Err(RotationError::Refused(error)) => {
                let what = if error.is_transient() {
                    format!(
                        "the changed credential could not be tested with {issuer}; keeping the previous one"
                    )
                } else {
                    format!("{issuer} did not accept the changed credential; keeping the previous one")
                };
                publish(Some(format!("{what}: {error}")));
                let (cause, retry_in) = (error.causes(), RETRY_AFTER.as_secs());
                let (error_id, correlation_id) = (error.error_id(), error.correlation_id());
                tracing::error!(profile, %error, cause, error_id, correlation_id, retry_in, "{what}");
                self.retry_at = Some(now + RETRY_AFTER);
            }
        }
    }

    /// Reads the file, and tries the credential in it if it is a new one. Returns whether it is in use now, and was not before.
    async fn try_file(&mut self) -> Result<bool, RotationError> {
        let issued = match self.issuer.clone() {
            ProfileIssuer::Here { issuer, source, scope } => {
                let read = self.file.read(move |_| source.load()).await.ok_or(RotationError::Hung)?;
                self.watch_key(read.as_ref().ok().and_then(Credential::private_key));
                let mut credential = read.map_err(|error| RotationError::Unusable(error.to_string()))?;
                if let Some(scope) = scope {
                    credential = credential.with_scope(Some(scope));
                }
                if credential.is_same(&issuer.credential()) {
                    return Ok(false);
                }
                issuer.rotate(credential, &TokenKey::default()).await
            }
            ProfileIssuer::Remote(issuer) => {
                let read = self.file.read(read_api_key).await.ok_or(RotationError::Hung)?;
                let unusable =
                    |error| RotationError::Unusable(format!("{}: {error}", self.file.path.display()));
                let key = read.map_err(unusable)?;
                if issuer.uses(&key) {
                    return Ok(false);
                }
                issuer.rotate(&key, &TokenKey::default()).await
            }
        };
        issued.map(|_token| true).map_err(RotationError::Refused)
    }

    fn watch_key(&mut self, key: Option<&PrivateKey>) {
        let path = key.and_then(PrivateKey::file).filter(|path| *path != self.file.path);
        if self.key_file.as_ref().map(|file| file.path.as_path()) != path {
            self.key_file = path.map(|path| Watched::new(path.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use here_sandbox::{Sandbox, SandboxConfig};
    use token_provider::secrecy::ExposeSecret as _;
    use token_provider::{CredentialSource, HereIssuer, HereIssuerConfig, TokenProvider};
    use tokio::net::TcpListener;

    use super::*;
    use crate::access::Profile;

    /// Nobody listens there.
    const PROPERTIES: &str = "here.access.key.id = first\nhere.access.key.secret = planted\n\
                              here.token.endpoint.url = http://127.0.0.1:1/oauth2/token\n";
    const OTHER: &str = "here.access.key.id = second\nhere.access.key.secret = planted\n\
                         here.token.endpoint.url = http://127.0.0.1:1/oauth2/token\n";

    fn rotation(source: CredentialSource, issuer: Arc<HereIssuer>) -> Rotation {
        let found = TokenSource {
            profile: "default".to_owned(),
            credential: source.to_string(),
            file: source.path().map(Path::to_owned),
            private_key: issuer.credential().private_key().cloned(),
            endpoint: String::new(),
            proxy: None,
            is_remote: false,
        };
        let issuer = ProfileIssuer::Here { issuer, source, scope: None };
        Rotation::new((found, issuer)).expect("is in a file")
    }

    /// Looks as often as a change takes to settle.
    async fn look_at(now: Instant, rotation: &mut Rotation, handout: &Handout) {
        for _ in 0..2 {
            rotation.look(now, false, handout).await;
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
            tokio::spawn(async move { running.serve(vec![listener]).await });

            let folder = tempfile::tempdir().expect("can be made");
            let path = folder.path().join("credentials.properties");
            fs::write(&path, sandbox.credentials_properties(&format!("{origin}/oauth2/token")))
                .expect("can be written");
            let source = CredentialSource::file(&path, "default");
            let credential = source.load().expect("is well-formed");
            let issuer = Arc::new(HereIssuer::new(HereIssuerConfig::new(credential)).expect("can be made"));
            let provider = TokenProvider::new(Arc::clone(&issuer));
            let handout = Handout::new([Profile::new("default", Vec::new(), provider)], "default");
            let rotation = rotation(source, Arc::clone(&issuer));
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
        assert!(bench.sandbox.remove_access_key(bench.issuer.credential().access_key_id().expect("is one")));
        bench.handout.ready().await.expect_err("is refused");
        bench.sandbox.add_access_key("second", "planted-second-secret");
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
        assert_ne!(issuer.credential().access_key_id(), Some("second"));

        sandbox.add_access_key("second", "planted-second-secret");
        let soon = now + RETRY_AFTER.saturating_sub(Duration::from_secs(1));
        look_at(soon, rotation, handout).await;
        assert_ne!(issuer.credential().access_key_id(), Some("second"), "HERE is left alone for a while");
        look_at(now + RETRY_AFTER, rotation, handout).await;
        assert_eq!(issuer.credential().access_key_id(), Some("second"));
        assert_eq!(refused(), 1);
    }

    /// A profile whose credential is in this file; nobody needs to be asked for it.
    fn bench(path: &Path) -> (Rotation, Handout) {
        fs::write(path, PROPERTIES).expect("can be written");
        watch(path)
    }

    fn watch(path: &Path) -> (Rotation, Handout) {
        watch_source(CredentialSource::file(path, "default"))
    }

    fn watch_source(source: CredentialSource) -> (Rotation, Handout) {
        let credential = source.load().expect("is well-formed");
        let issuer = Arc::new(HereIssuer::new(HereIssuerConfig::new(credential)).expect("can be made"));
        let provider = TokenProvider::new(Arc::clone(&issuer));
        let handout = Handout::new([Profile::new("default", Vec::new(), provider)], "default");
        (rotation(source, issuer), handout)
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
        assert!(problem(&handout).is_some_and(|problem| problem.contains("missing for a minute")));
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
    async fn key_file_that_is_gone_for_a_minute_is_reported_until_it_is_back() {
        let folder = tempfile::tempdir().expect("can be made");
        let [path, key] = ["credentials.properties", "here.pem"].map(|name| folder.path().join(name));
        let pem = PrivateKey::generate_pem(token_provider::SigningAlgorithm::Es256).expect("can be made");
        fs::write(&key, pem.expose_secret()).expect("can be written");
        let text = "here.auth.method = private_key_jwt\nhere.client.id = app\nhere.private.key = here.pem\n";
        fs::write(&path, text).expect("can be written");
        let (mut rotation, handout) = watch(&path);
        let start = Instant::now();
        look_at(start, &mut rotation, &handout).await;
        let away = folder.path().join("away");
        fs::rename(&key, &away).expect("can be renamed");
        look_at(start + Duration::from_secs(2), &mut rotation, &handout).await;
        assert_eq!(problem(&handout), None);
        look_at(start + Duration::from_secs(62), &mut rotation, &handout).await;
        assert!(
            problem(&handout).is_some_and(|problem| problem.contains("here.pem: missing for a minute")),
            "{:?}",
            problem(&handout)
        );
        fs::rename(&away, &key).expect("can be renamed");
        look_at(start + Duration::from_secs(64), &mut rotation, &handout).await;
        assert_eq!(problem(&handout), None, "it is the key that is in use");
    }

    #[tokio::test(start_paused = true)]
    async fn key_that_is_pasted_as_a_path_is_not_reported_as_a_file_that_is_gone() {
        let folder = tempfile::tempdir().expect("can be made");
        let path = folder.path().join("credentials.properties");
        let (mut rotation, handout) = bench(&path);
        let text =
            "here.auth.method = private_key_jwt\nhere.client.id = app\nhere.private.key = MIGHAgEAPlanted\n";
        fs::write(&path, text).expect("can be written");
        let start = Instant::now();
        for seconds in [0, 30, 60, 90, 120] {
            look_at(start + Duration::from_secs(seconds), &mut rotation, &handout).await;
            let problem = problem(&handout).expect("it cannot be used");
            assert!(problem.contains("it is neither PEM") && !problem.contains("Planted"), "{problem}");
            assert!(!format!("{rotation:?}").contains("Planted"));
        }
        fs::write(&path, PROPERTIES).expect("can be written");
        rotation.look(start, false, &handout).await;
        assert!(problem(&handout).is_some(), "it may be being written still");
        rotation.look(start, false, &handout).await;
        assert_eq!(problem(&handout), None);
    }

    #[tokio::test(start_paused = true)]
    async fn key_of_a_credential_without_a_file_is_watched() {
        let folder = tempfile::tempdir().expect("can be made");
        let path = folder.path().join("here.pem");
        let make = || PrivateKey::generate_pem(token_provider::SigningAlgorithm::Es256).expect("can be made");
        fs::write(&path, make().expose_secret()).expect("can be written");
        let text = format!(
            "here.auth.method = private_key_jwt\nhere.client.id = app\nhere.private.key = {}\n\
             here.token.endpoint.url = http://127.0.0.1:1/oauth2/token\n",
            path.display()
        );
        let (mut rotation, handout) = watch_source(CredentialSource::text(text.into()));
        look_at(Instant::now(), &mut rotation, &handout).await;
        assert_eq!(problem(&handout), None);
        fs::write(&path, make().expose_secret()).expect("can be written");
        look_at(Instant::now(), &mut rotation, &handout).await;
        assert!(problem(&handout).is_some_and(|problem| problem.contains("could not be tested")));
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
        for (text, reason) in [("here.access.key.id = second", "secret"), (OTHER, "could not be tested")] {
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
        let source = CredentialSource::file(file.path(), "default");
        let credential = source.load().expect("is well-formed");
        let issuer = Arc::new(HereIssuer::new(HereIssuerConfig::new(credential)).expect("can be made"));
        fs::write(file.path(), properties("other")).expect("can be written");
        let provider = TokenProvider::new(Arc::clone(&issuer));
        let handout = Handout::new([Profile::new("default", Vec::new(), provider)], "default");
        let mut rotation = rotation(source, issuer);
        look_at(Instant::now(), &mut rotation, &handout).await;
        assert!(rotation.retry_at.is_some(), "was tried, and is to be tried again");
    }
}
