//! Takes changed files into use while the server runs: credentials (rotation), the configuration, certificates.
//!
//! Files are looked at every two seconds, and on SIGHUP at once. Looking, rather than asking the system for events,
//! finds every kind of change the same way: a file rewritten, replaced by renaming another over it (editors), reached
//! through a symbolic link that was swapped (Kubernetes), or gone for a moment. What cannot be used changes nothing and
//! is reported once.

mod credential;
mod file_work;
mod stamp;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use self::file_work::FileWork;
use self::stamp::Watched;
use crate::config::{Config, ConfigError, Environment, Overrides};
use crate::http::App;
use crate::listen::{Listener, Tls};
use crate::notify::Notifier;
use crate::telemetry;

pub use self::credential::{Rotation, is_readable_by_others, read_api_key, warn_of_others};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Keeps a running server in step with its files.
#[derive(Debug)]
pub struct Reloader {
    app: Arc<App>,
    rotations: Vec<Rotation>,
    tls: Option<Arc<Tls>>,
    settings: Settings,
    /// A listener that can be reached from outside this machine, if there is one.
    open_listener: Option<String>,
}

/// The configuration file of a running server.
#[derive(Debug)]
struct ConfigFile {
    file: Watched,
    /// It was to be read, and did not answer.
    is_waiting: bool,
}

/// What the configuration was made from, and can be made from again.
#[derive(Debug)]
pub struct Settings {
    /// The configuration that the server runs with.
    pub config: Config,
    /// The flags, which go on to beat the file.
    pub overrides: Overrides,
    /// The environment, which a running process keeps.
    pub environment: Environment,
}

impl Reloader {
    /// Looks after the files of a server.
    pub fn new(app: Arc<App>, rotations: Vec<Rotation>, tls: Option<Arc<Tls>>, settings: Settings) -> Self {
        Self { app, rotations, tls, settings, open_listener: None }
    }

    /// Takes the listeners that are bound: while they are, rules must be safe for them, whatever a changed file says of
    /// others. (What systemd has passed cannot be told from the configuration.)
    #[must_use]
    pub fn guarding(mut self, listeners: &[Listener]) -> Self {
        let open = listeners.iter().find(|listener| !listener.is_local());
        self.open_listener = open.map(ToString::to_string);
        self
    }

    /// Runs until the task is dropped. Each message on `now` has everything looked at at once (SIGHUP), and the start
    /// and the end of that told to systemd.
    pub async fn run(mut self, mut now: mpsc::Receiver<()>, notifier: Notifier, status: String) {
        let mut config_file = self.settings.config.file.clone().map(ConfigFile::new);
        let tls_file = self.settings.config.tls.as_ref().map(|tls| tls.cert.display().to_string());
        let mut tls_work = FileWork::new(&tls_file.unwrap_or_default());
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let is_asked_to = tokio::select! {
                message = now.recv() => if message.is_some() { true } else { return },
                _ = looks.tick() => false,
            };
            if is_asked_to {
                notifier.reloading().await;
            }
            if let Some(file) = &mut config_file
                && let Some(changed) = file.look(is_asked_to, &self.settings).await
            {
                self.reload_config(changed);
            }
            if let Some(tls) = self.tls.clone() {
                // Where it hangs, that is reported; the certificate stays.
                let _ = tls_work.run(move || tls.look()).await;
            }
            // All at once: issuers that hang are waited for side by side. The next look comes after the slowest.
            let handout = self.app.access().handout();
            join_all(self.rotations.iter_mut().map(|rotation| rotation.look(is_asked_to, handout))).await;
            if is_asked_to {
                notifier.ready(&status).await;
            }
        }
    }

    fn reload_config(&mut self, changed: Result<Config, ConfigError>) {
        let config = &mut self.settings.config;
        let file = config.file.as_ref().map(|file| file.display().to_string());
        let mut changed = match changed {
            Ok(changed) => changed,
            Err(error) => {
                for problem in error.problems() {
                    tracing::error!(%problem, "the changed configuration is not used");
                }
                return;
            }
        };
        if changed == *config {
            return;
        }
        let waiting = restart_keys(config, &changed);
        // The listeners stay as they are.
        changed.listen.clone_from(&config.listen);
        if let Some(listen) = &self.open_listener
            && !changed.access.anonymous
            && !changed.access.has_callers()
        {
            let problem = format!(
                "{listen} can be reached from outside this machine, and nothing would say who may ask"
            );
            tracing::error!(problem, "the changed configuration is not used");
            return;
        }
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "changed keys that take effect after a restart");
        }
        self.app.access().reload(&changed);
        telemetry::set_level(changed.log.level);
        tracing::info!(
            config.file = file,
            "configuration reloaded: access rules, origins, hosts, lifetimes, limits and log level"
        );
        *config = changed;
    }
}

impl ConfigFile {
    fn new(path: PathBuf) -> Self {
        Self { file: Watched::new(path), is_waiting: false }
    }

    /// Reads the configuration anew, if the file has changed or somebody asks for it.
    async fn look(&mut self, is_asked_to: bool, settings: &Settings) -> Option<Result<Config, ConfigError>> {
        let has_changed = self.file.has_changed().await;
        if !has_changed && !is_asked_to && !self.is_waiting {
            return None;
        }
        let (overrides, environment) = (settings.overrides.clone(), settings.environment.clone());
        let changed = self.file.read(move || Config::load(&overrides, &environment)).await.ok();
        self.is_waiting = changed.is_none();
        changed
    }
}

/// Returns the changed keys that a running server cannot take into use.
fn restart_keys(old: &Config, new: &Config) -> Vec<&'static str> {
    let keys = [
        ("listen", old.listen != new.listen),
        ("tls", old.tls != new.tls),
        ("profile", old.profile != new.profile),
        ("profiles", old.profiles != new.profiles),
        ("admin", old.admin != new.admin),
        ("log.format", old.log.format != new.log.format),
        ("audit", old.audit != new.audit),
    ];
    keys.into_iter().filter_map(|(key, is_changed)| is_changed.then_some(key)).collect()
}
