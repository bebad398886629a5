//! The task that keeps one file's token fresh: looks whether there is another token, and puts it into the file; and removes the file
//! before its token expires.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use token_provider::{AccessToken, Clock, EXPIRY_MARGIN, Moment, Scope};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::file::{Mark, Place};
use super::format::render;
use crate::access::{Caller, Rules, TokenRequest};
use crate::config::OutputConfig;
use crate::file_work::{STUCK, STUCK_AFTER};
use crate::http::App;
use crate::problem::{Problem, Subject};
use crate::reason::Method;
use crate::telemetry::OutputStatus;
use crate::telemetry::audit::Event;

/// A file is removed so long before its token expires: ten seconds, and what the removal itself may take.
const REMOVED_BEFORE: Duration = EXPIRY_MARGIN.saturating_add(Duration::from_millis(500));
/// A clock that was set, a machine that was suspended, a new token and a file that is gone are noticed within a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// With a token that lives for a minute that is too late: it is due less than a second before a quarter of its lifetime is left.
const LOOKS_IN_A_LIFETIME: u32 = 200;

/// What all outputs have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) app: Arc<App>,
    pub(super) clock: Arc<dyn Clock>,
    /// Files that the server itself needs.
    pub(super) kept: Arc<[PathBuf]>,
    /// A permit for each thread that may hang.
    pub(super) threads: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
}

/// One output.
pub(super) struct Output {
    common: Common,
    path: Arc<Path>,
    /// The path in metrics and status.
    name: Arc<str>,
    /// What is wanted, for the audit trail.
    subject: Subject,
    /// Whether what an earlier process left in the place is gone.
    is_cleared: bool,
    written: Option<Written>,
}

/// A file that was put at the path.
struct Written {
    file: Arc<Mark>,
    token: AccessToken,
    config: OutputConfig,
}

impl Written {
    /// How long until the file has to be removed.
    fn left(&self, now: Moment) -> Duration {
        self.token.remaining(now).saturating_sub(REMOVED_BEFORE)
    }
}

impl Output {
    pub(super) fn new(common: Common, path: Arc<Path>) -> Self {
        let name: Arc<str> = path.to_string_lossy().into();
        let (method, caller) = (Some(Method::Output), Some(Arc::clone(&name)));
        let subject = Subject { method, caller, is_configured: true, ..Subject::default() };
        Self { common, path, name, subject, is_cleared: false, written: None }
    }

    /// Runs until the output is no longer configured, or the server stops.
    pub(super) async fn run(mut self) {
        let stop = self.common.stop.clone();
        self.with_status(|_| {});
        while !stop.is_cancelled() {
            // Owned, as it may be held for long.
            let rules = Arc::clone(&self.common.app.access.rules());
            let Some((config, caller)) = rules.output(&self.path) else { break };
            let result = self.look(&rules, config, &caller).await;
            let pause = self.pause(result.is_err());
            // What the stop has cut short has not failed.
            if !stop.is_cancelled() {
                self.report(result);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
        while let Err(problem) = self.remove().await {
            self.report(Err(problem));
            if stop.is_cancelled() {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        self.common.app.telemetry.outputs.lock().remove(&self.name);
    }

    /// Returns how long until the next look, and no longer than until the file has to go. While a file is there that is a part of its
    /// token's lifetime, as the next token must be in it in time. After a failure it is a whole second: to try more often would
    /// only load the file system (how often the issuer is asked is up to the provider).
    fn pause(&self, has_failed: bool) -> Duration {
        let Some(written) = &self.written else { return LOOK_EVERY };
        let part = if has_failed { LOOK_EVERY } else { written.token.lifetime() / LOOKS_IN_A_LIFETIME };
        // If nothing is left, the removal has failed.
        let left = Some(written.left(self.now())).filter(|left| !left.is_zero()).unwrap_or(LOOK_EVERY);
        left.min(part).min(LOOK_EVERY)
    }

    /// Removes a file whose token is about to expire, and writes a token that is not in the file yet. Returns whether the file is up
    /// to date; it may be a matter of waiting.
    async fn look(
        &mut self,
        rules: &Rules,
        config: &OutputConfig,
        caller: &Caller<'_>,
    ) -> Result<bool, Problem> {
        // Before all that may fail.
        if self.written.as_ref().is_some_and(|written| written.left(self.now()).is_zero()) {
            self.remove().await?;
        }
        if !self.is_cleared {
            self.on_disk(Place::clear).await?;
            self.is_cleared = true;
        }
        let app = Arc::clone(&self.common.app);
        let request = TokenRequest {
            profile: Some(&config.profile),
            scope: config.scope.as_ref().map(Scope::as_str),
            lifetime: Some(config.ttl),
        };
        let permit = app.access.authorize(rules, caller, request)?;
        self.subject = permit.subject(caller);
        let handout = app.access.handout();
        if let Some(token) = handout.held(&permit)
            && self.is_written(&token, config).await?
        {
            return Ok(true);
        }
        let (token, now) = tokio::select! {
            answer = handout.token(&permit, caller) => answer.map_err(|error| Problem::from(&error))?,
            // The request goes on.
            () = sleep(self.pause(false)), if self.written.is_some() => return Ok(false),
            () = self.common.stop.cancelled() => return Ok(false),
        };
        self.write(token, now, config).await?;
        Ok(true)
    }

    /// Returns whether the file has this token, in this form, and is at its path.
    async fn is_written(&mut self, token: &AccessToken, config: &OutputConfig) -> Result<bool, Problem> {
        let Some(written) = &self.written else { return Ok(false) };
        if written.token.fingerprint() != token.fingerprint() || written.config != *config {
            return Ok(false);
        }
        let file = Arc::clone(&written.file);
        let is_there = self.on_disk(move |place| place.has(&file)).await?;
        if !is_there {
            self.forget();
        }
        Ok(is_there)
    }

    async fn write(&mut self, token: AccessToken, now: Moment, config: &OutputConfig) -> Result<(), Problem> {
        let content = render(&token, config.format);
        let (Common { clock, stop, .. }, how, expiry) =
            (self.common.clone(), config.clone(), token.expires_at());
        let file = self.on_disk(move |place| {
            let is_good = || expiry.remaining(clock.now()) > REMOVED_BEFORE;
            place.replace(how.mode, how.group.as_ref(), &content, || is_good() && !stop.is_cancelled())
        });
        let Some(file) = file.await? else {
            return Err(Problem::unavailable("the token is about to expire, and there is no other"));
        };
        self.with_status(|status| status.token = Some(token.clone()));
        self.common.app.telemetry.note(Event::handout(&token, now, self.subject.clone()));
        self.written = Some(Written { file: Arc::new(file), token, config: config.clone() });
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), Problem> {
        let Some(written) = &self.written else { return Ok(()) };
        let file = Arc::clone(&written.file);
        self.on_disk(move |place| place.remove(&file)).await?;
        self.forget();
        Ok(())
    }

    fn forget(&mut self) {
        self.written = None;
        self.with_status(|status| status.token = None);
    }

    /// Does what may block where it holds up nobody else. Reports a file system that does not respond, and goes on waiting: at
    /// any time one thread of this output hangs.
    async fn on_disk<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Place) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = Place::new(&self.path, Arc::clone(&self.common.kept));
        let threads = Arc::clone(&self.common.threads);
        let mut work = pin!(async {
            let permit = threads.acquire_owned().await.expect("is never closed");
            // Until the thread is done, even if nobody waits for it any more.
            spawn_blocking(move || (work(&place), permit).0).await?
        });
        let done = match timeout(STUCK_AFTER, &mut work).await {
            Ok(done) => done,
            Err(_elapsed) => {
                self.report(Err(Problem::unavailable(STUCK)));
                work.await
            }
        };
        done.map_err(|error: io::Error| Problem::unavailable(error.to_string()))
    }

    /// Counts a failure, and says the first of several in a row, and when all is well again.
    fn report(&self, result: Result<bool, Problem>) {
        let name = &*self.name;
        let problem = match result {
            Ok(true) if self.with_status(|status| status.problem.take()).is_some() => {
                return tracing::info!(output = name, "the output is up to date again");
            }
            Ok(_) => return,
            Err(problem) => problem,
        };
        let before = self.with_status(|status| {
            status.errors += 1;
            status.problem.replace(problem.description.to_string())
        });
        if before.is_none() {
            tracing::error!(output = name, error = %problem.description, "the output is not up to date; retrying");
            let (time, subject) = (self.now().wall, self.subject.clone());
            self.common.app.telemetry.note(Event { time, subject, ..Event::problem(&problem) });
        }
    }

    fn with_status<T>(&self, change: impl FnOnce(&mut OutputStatus) -> T) -> T {
        change(self.common.app.telemetry.outputs.lock().entry(Arc::clone(&self.name)).or_default())
    }

    fn now(&self) -> Moment {
        self.common.clock.now()
    }
}
