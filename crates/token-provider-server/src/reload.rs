//! Takes changed files into use while the server runs: credentials (rotation), the configuration, certificates, secrets of access
//! keys.
//!
//! Files are checked every two seconds, and on SIGHUP at once. Polling, rather than asking the system for events,
//! finds every kind of change the same way: a file rewritten, replaced by renaming another over it (editors), reached
//! through a symbolic link that was swapped (Kubernetes), or gone for a moment. What cannot be used changes nothing and
//! is reported once.

mod config_file;
mod rotation;
mod watched;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use token_provider::{Clock as _, SystemClock};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

use self::config_file::ConfigFile;
use self::rotation::Rotation;
use crate::config::{Config, ConfigErrors, LoadedConfig};
use crate::file_work::FileWork;
use crate::http::App;
use crate::listen::{Listener, Tls};
use crate::notify::Notifier;
use crate::outputs::Outputs;
use crate::setup::{ProfileIssuer, TokenSource, read_here_secret};
use crate::store::TokenStore;
use crate::telemetry::{self, ConfigStatus};

/// How often files are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps a running server in step with its files.
#[derive(Debug)]
pub struct Reloader {
    app: Arc<App>,
    outputs: Arc<Outputs>,
    loaded: LoadedConfig,
    /// The configuration at startup, still in force for keys that need a restart.
    started_with: Config,
    config_file: Option<ConfigFile>,
    certificate: Option<(Arc<Tls>, FileWork)>,
    store: Option<Arc<TokenStore>>,
    rotations: Vec<Rotation>,
    /// For the secrets of access keys and the keys of the store, all of them together.
    secrets: FileWork,
    /// What was last said of API keys that expire.
    key_warnings: Vec<String>,
}

impl Reloader {
    /// Keeps the files of a server that is bound to these listeners. While it is, rules must be safe for them, whatever a changed
    /// file says of others. (What systemd has passed cannot be told from the configuration.)
    pub fn new(
        app: Arc<App>,
        outputs: Arc<Outputs>,
        mut loaded: LoadedConfig,
        listeners: &[Listener],
        tls: Option<Arc<Tls>>,
        store: Option<Arc<TokenStore>>,
        issuers: Vec<(TokenSource, ProfileIssuer)>,
    ) -> Self {
        loaded.overrides.is_on_network = !listeners.iter().all(Listener::is_local);
        let certificate = loaded.config.tls.as_ref().map(|files| FileWork::new(&files.cert));
        let reloader = Self {
            app,
            outputs,
            started_with: loaded.config.clone(),
            config_file: loaded.config.file.clone().map(ConfigFile::new),
            certificate: tls.zip(certificate),
            store,
            rotations: issuers.into_iter().filter_map(Rotation::new).collect(),
            secrets: FileWork::new(Path::new("access.here_keys, store.key_file")),
            key_warnings: Vec::new(),
            loaded,
        };
        reloader.report(Vec::new());
        reloader
    }

    /// Runs until the task is dropped. On each notification of `now` (SIGHUP) it looks at everything at once, and tells systemd
    /// of the start and the end of that; of a configuration that cannot be used also when it finds that by itself.
    pub async fn run(mut self, now: Arc<Notify>, notifier: Notifier, listening: String) {
        let mut looks = tokio::time::interval(CHECK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = listening.clone();
        loop {
            let is_asked_to = tokio::select! {
                () = now.notified() => true,
                _ = looks.tick() => false,
            };
            if is_asked_to {
                notifier.reloading().await;
            }
            self.look(is_asked_to).await;
            let status = self.status(&listening);
            if is_asked_to || status != told {
                notifier.ready(&status).await;
            }
            told = status;
        }
    }

    /// What `systemctl status` shows.
    fn status(&self, listening: &str) -> String {
        let config = self.app.telemetry.config.load();
        let rejected = self.certificate.as_ref().and_then(|(tls, _)| tls.rejected());
        if let Some(problem) = config.problems.first() {
            format!("the changed configuration is not used: {problem}; {listening}")
        } else if config.is_locked {
            format!("refusing everyone: no caller is configured; {listening}")
        } else if let Some(problem) = rejected {
            format!("the new certificate was rejected: {problem}; {listening}")
        } else {
            listening.to_owned()
        }
    }

    async fn look(&mut self, is_asked_to: bool) {
        if let Some(file) = &mut self.config_file {
            if let Some(changed) = file.look(is_asked_to, &self.loaded).await {
                self.reload_config(changed);
            }
        } else if is_asked_to {
            tracing::info!("no configuration file to reload: the server was started without one");
        }
        if let Some((tls, work)) = &mut self.certificate {
            let found = Arc::clone(tls);
            // Where it hangs, that is reported; the certificate stays.
            let _ = work.run(move || found.look()).await;
            *self.app.telemetry.certificate_expiry.lock() = tls.not_after();
        }
        self.outputs.look();
        self.look_at_api_keys();
        self.look_at_secrets().await;
        // Side by side: issuers that hang are waited for at the same time. The next look comes after the slowest.
        let (now, handout) = (Instant::now(), self.app.access.handout());
        join_all(self.rotations.iter_mut().map(|rotation| rotation.look(now, is_asked_to, handout))).await;
    }

    /// Warns of API keys that have expired or soon will: at the start, when that begins, and once a day. There may be thousands, of
    /// which `check` and the metrics show all.
    fn look_at_api_keys(&mut self) {
        let warnings = self.loaded.config.access.expiry_warnings(SystemClock.now().wall);
        let warnings: Vec<_> = warnings.take(20).collect();
        for key in warnings.iter().filter(|warning| !self.key_warnings.contains(warning)) {
            tracing::warn!(key, "an API key has expired, or soon will");
        }
        self.key_warnings = warnings;
    }

    /// Takes the secrets of access keys, and the keys and the password of the store, into use. They are small, and read at every look:
    /// that finds every change, and what could not be read is tried again.
    async fn look_at_secrets(&mut self) {
        let mut keys = self.loaded.config.access.here_keys.clone();
        // Where an output has just been taken out, its token would become the secret.
        keys.retain(|key| !self.outputs.has(&key.secret_file));
        let before = self.app.telemetry.config.load_full();
        let store = self.store.clone();
        if keys.is_empty() && store.is_none() && before.secret_problems.is_empty() {
            return;
        }
        let read = move || {
            let secrets = keys.into_iter().map(|key| (key.id, read_here_secret(&key.secret_file)));
            (secrets.collect::<Vec<_>>(), store.map(|store| (store.read_keys(), store.has_new_password())))
        };
        // Where one hangs, that is reported; all stay as they are.
        let Some((secrets, of_store)) = self.secrets.run(read).await else { return };
        let rules = self.app.access.rules();
        let secrets = secrets.into_iter().map(|(key, secret)| {
            let done = secret.map(|secret| rules.set_secret(&key, secret));
            (key, "the access key's secret", done)
        });
        let mut secrets: Vec<_> = secrets.collect();
        if let Some((store, (keys, password))) = self.store.as_ref().zip(of_store) {
            let password = if password == Ok(true) { store.reconnect().await } else { password };
            secrets.push(("store".to_owned(), "the store's key set", keys));
            secrets.push(("store".to_owned(), "the store's password", password));
        }
        let secret_problems = secrets.iter().filter_map(|(.., done)| done.clone().err()).collect();
        let status = ConfigStatus { secret_problems, ..ConfigStatus::clone(&before) };
        self.app.telemetry.config.store(Arc::new(status));
        for (key, what, done) in secrets {
            match done {
                Ok(true) => tracing::info!(key, "{what} was read from its file"),
                Err(problem) if !before.secret_problems.contains(&problem) => {
                    tracing::error!(problem, "{what} cannot be used; the previous one, if any, stays in use");
                }
                _ => {}
            }
        }
    }

    /// Takes a changed configuration into use, all of it or nothing.
    fn reload_config(&mut self, changed: Result<Config, ConfigErrors>) {
        let mut changed = match changed {
            Ok(changed) => changed,
            Err(errors) => {
                self.report(errors.as_slice().iter().map(ToString::to_string).collect());
                for problem in errors.as_slice() {
                    tracing::error!(%problem, "the changed configuration is not used");
                }
                return;
            }
        };
        // Its token would be sent to the provider, or taken for its keys.
        let files = changed.access.oidc.iter().flat_map(|oidc| oidc.keys.files());
        if let Some(file) = { files }.find(|file| self.outputs.has(file)) {
            let problem =
                format!("access.oidc: {} is a file of [[outputs]]; take it out first", file.display());
            self.report(vec![problem.clone()]);
            tracing::error!(problem, "the changed configuration is not used");
            return;
        }
        changed.access.is_locked = self.must_lock(&changed);
        // Without callers every profile is for everybody, which is what such a server is started for. A reload that takes away
        // the last caller does not mean that.
        if changed.access.has_implied_profiles && !self.loaded.config.access.has_implied_profiles {
            changed.access.has_implied_profiles = false;
            changed.access.anonymous_policy.profiles = vec![changed.profile.clone()];
        }
        let is_new = changed != self.loaded.config;
        let was_unusable = !self.app.telemetry.config.load().problems.is_empty();
        if is_new {
            for section in changed.access.opened(&self.loaded.config.access) {
                tracing::warn!(
                    "no rules are left for {section}: everyone it lets in now gets what the section itself allows; \
                     delete the section to let nobody in"
                );
            }
            self.loaded.config = changed;
            self.app.access.reload(&self.loaded.config);
            telemetry::set_level(self.loaded.config.log.level);
        }
        self.report(Vec::new());
        self.tell(is_new, was_unusable);
    }

    /// Says in the log what has become of a configuration that can be used.
    fn tell(&self, is_new: bool, was_unusable: bool) {
        let status = self.app.telemetry.config.load();
        let file = status.file.as_deref();
        if is_new {
            tracing::info!(
                config.file = file,
                "configuration reloaded: access rules, origins, hosts, lifetimes, limits, outputs and log level"
            );
        } else if was_unusable {
            tracing::info!(
                config.file = file,
                "the configuration file matches the running configuration again"
            );
        }
        if is_new && !status.waiting.is_empty() {
            tracing::warn!(
                keys = status.waiting.join(", "),
                "some changed keys take effect only after a restart"
            );
        }
        if status.is_locked {
            let restart = if self.loaded.overrides.is_on_network { "" } else { " (or a restart)" };
            tracing::error!(
                "refusing everyone: the changed configuration has no access rule; add one, or set \
                 access.anonymous = true{restart} to allow anyone who can reach the server"
            );
        }
    }

    /// Returns whether all callers must be refused because the last access rule is gone. A local server may start
    /// without one, but losing one in a reload must not open it; a server on the network is never open without one.
    fn must_lock(&self, changed: &Config) -> bool {
        let before = &self.loaded.config.access;
        let was_guarded = before.has_callers() || before.is_locked || self.loaded.overrides.is_on_network;
        was_guarded && !changed.access.has_access_rule()
    }

    /// Publishes the status of the configuration file.
    fn report(&self, problems: Vec<String>) {
        let (old, new) = (&self.started_with, &self.loaded.config);
        // What a running server does not take into use.
        let keys = [
            ("listen", old.listen != new.listen),
            ("tls", old.tls != new.tls),
            ("profile", old.profile != new.profile),
            ("profiles", old.profiles != new.profiles),
            ("store", old.store != new.store),
            ("admin", old.admin != new.admin),
            ("log.format", old.log.format != new.log.format),
            ("audit", old.audit != new.audit),
        ];
        self.app.telemetry.config.store(Arc::new(ConfigStatus {
            file: new.file.as_ref().map(|file| file.display().to_string()),
            problems,
            is_locked: new.access.is_locked,
            waiting: keys.into_iter().filter_map(|(key, is_changed)| is_changed.then_some(key)).collect(),
            ..ConfigStatus::clone(&self.app.telemetry.config.load())
        }));
    }
}
