//! The task that keeps one file's token fresh: looks whether there is another token, and puts it into the file; and removes the file
//! before its token expires.

use std::fs::File;
use std::io;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use token_provider::{AccessToken, Clock, EXPIRY_MARGIN, Moment, Scope};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::file::Place;
use super::format::render;
use crate::access::{Caller, Rules, TokenRequest};
use crate::config::{OutputConfig, TokenFormat};
use crate::http::App;
use crate::problem::{Problem, Subject};
use crate::reason::{Method, Outcome, Rule};
use crate::telemetry::OutputStatus;
use crate::telemetry::audit::Event;

/// A file system answers in milliseconds while it is well.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(3);
pub(super) const STUCK: &str = "the file system does not respond";

/// A file is removed so long before its token expires: ten seconds, and what the removal itself may take.
const REMOVED_BEFORE: Duration = EXPIRY_MARGIN.saturating_add(Duration::from_millis(500));
/// A clock that was set, a machine that was suspended and a new token are noticed within a second. With a token that lives for a
/// minute that is too late: it is due less than a second before a quarter of its lifetime is left.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOKS_IN_A_LIFETIME: u32 = 200;
/// How often it is checked that the file is still there.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// After failures, attempts are one second apart, then two, up to five.
const LONGEST_PAUSE: u32 = 5;

/// What all outputs have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) app: Arc<App>,
    pub(super) clock: Arc<dyn Clock>,
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
    written: Option<Written>,
    failures: u32,
    /// When to try again after a failure, by the clock that goes on while the machine is suspended.
    retry_at: Duration,
}

/// A file that was put at the path. It is held open, so that no other file can have its number.
struct Written {
    file: Arc<File>,
    token: AccessToken,
    config: OutputConfig,
    checked_at: Duration,
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
        let subject = Subject { method, caller, ..Subject::default() };
        Self { common, path, name, subject, written: None, failures: 0, retry_at: Duration::ZERO }
    }

    /// Runs until the output is no longer configured, or the server stops.
    pub(super) async fn run(mut self) {
        let stop = self.common.stop.clone();
        self.set_status(|_| {});
        // What stands against it stands against the first token, too, and is reported then.
        let _ = self.on_disk(Place::clear).await;
        while !stop.is_cancelled() {
            // Owned, as it may be held for long.
            let rules = Arc::clone(&self.common.app.access.rules());
            let Some((config, caller)) = rules.output(&self.path) else { break };
            let result = self.look(&rules, config, &caller).await;
            // What the stop has cut short has not failed.
            if !stop.is_cancelled() {
                self.report(result);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(self.pause()) => {}
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

    /// Returns how long until the next look.
    fn pause(&self) -> Duration {
        let Some(written) = &self.written else { return LOOK_EVERY };
        let left = written.left(self.now());
        // The removal has failed.
        if left.is_zero() {
            return LOOK_EVERY;
        }
        left.min(LOOK_EVERY).min(written.token.lifetime() / LOOKS_IN_A_LIFETIME)
    }

    /// Removes a file whose token is about to expire, and writes a token that is not in the file yet. Returns whether the file is up
    /// to date; it may be a matter of waiting.
    async fn look(
        &mut self,
        rules: &Rules,
        config: &OutputConfig,
        caller: &Caller<'_>,
    ) -> Result<bool, Problem> {
        let (now, app) = (self.now(), Arc::clone(&self.common.app));
        if self.written.as_ref().is_some_and(|written| written.left(now).is_zero()) {
            self.remove().await?;
        }
        if now.boot < self.retry_at {
            return Ok(false);
        }
        self.subject = caller.subject();
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
        let until_look = self.written.as_ref().map(|written| written.left(now).min(LOOK_EVERY));
        let (token, now) = tokio::select! {
            answer = handout.token(&permit, caller) => answer.map_err(|error| Problem::from(&error))?,
            // The request goes on.
            () = sleep(until_look.unwrap_or_default()), if until_look.is_some() => return Ok(false),
            () = self.common.stop.cancelled() => return Ok(false),
        };
        if token.remaining(now) <= REMOVED_BEFORE {
            return Ok(false);
        }
        self.write(token, now, config).await?;
        Ok(true)
    }

    /// Returns whether the file has this token, in this form, and is at its path as far as that was checked lately.
    async fn is_written(&mut self, token: &AccessToken, config: &OutputConfig) -> Result<bool, Problem> {
        let now = self.now().boot;
        let Some(written) = &self.written else { return Ok(false) };
        if written.token.fingerprint() != token.fingerprint() || written.config != *config {
            return Ok(false);
        }
        if now.saturating_sub(written.checked_at) < CHECK_EVERY {
            return Ok(true);
        }
        let file = Arc::clone(&written.file);
        let is_there = self.on_disk(move |place| Ok(place.folder_of(&file)?.is_some())).await?;
        match &mut self.written {
            Some(written) if is_there => written.checked_at = now,
            _ => {
                self.written = None;
                self.set_status(|status| status.token = None);
            }
        }
        Ok(is_there)
    }

    async fn write(&mut self, token: AccessToken, now: Moment, config: &OutputConfig) -> Result<(), Problem> {
        let left = token.remaining(now).as_secs();
        let mut content = render(&token, left, config.format);
        if config.format == TokenFormat::Text {
            content.pop();
        }
        let (Common { clock, stop, .. }, how, expiry) =
            (self.common.clone(), config.clone(), token.expires_at());
        let file = self.on_disk(move |place| {
            let is_good = || expiry.remaining(clock.now()) > REMOVED_BEFORE;
            place.replace(how.mode, how.group.as_ref(), &content, || is_good() && !stop.is_cancelled())
        });
        let file = Arc::new(file.await?);
        self.set_status(|status| status.token = Some(token.clone()));
        self.common.app.telemetry.note(Event {
            time: now.wall,
            outcome: Outcome::HandedOut,
            subject: Subject { scope: token.scope().cloned(), ..self.subject.clone() },
            left: Some(left),
            fingerprint: Some(token.fingerprint()),
            ..Event::default()
        });
        self.written = Some(Written { file, token, config: config.clone(), checked_at: now.boot });
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), Problem> {
        let Some(written) = &self.written else { return Ok(()) };
        let file = Arc::clone(&written.file);
        self.on_disk(move |place| place.remove(&file)).await?;
        self.written = None;
        self.set_status(|status| status.token = None);
        Ok(())
    }

    /// Does what may block where it holds up nobody else. Reports a file system that does not respond, and goes on waiting: at
    /// any time one thread of this output hangs.
    async fn on_disk<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Place) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let path = Arc::clone(&self.path);
        let mut work = spawn_blocking(move || work(&Place::new(&path)?));
        let done = match timeout(STUCK_AFTER, &mut work).await {
            Ok(done) => done,
            Err(_elapsed) => {
                self.report(Err(Problem::unavailable(STUCK)));
                work.await
            }
        };
        let done = done.map_err(io::Error::from).flatten();
        done.map_err(|error| Problem::unavailable(error.to_string()))
    }

    /// Counts a failure, and says the first of several in a row, and when all is well again.
    fn report(&mut self, result: Result<bool, Problem>) {
        let name = &*self.name;
        let Err(problem) = result else {
            if result.is_ok_and(|is_up_to_date| is_up_to_date) && mem::take(&mut self.failures) > 0 {
                tracing::info!(output = name, "the output is up to date again");
                self.set_status(|status| status.problem = None);
            }
            return;
        };
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            tracing::error!(output = name, error = %problem.description, "the output is not up to date; retrying");
            let is_failure = problem.is_failure();
            self.common.app.telemetry.note(Event {
                time: self.now().wall,
                outcome: if is_failure { Outcome::Failed } else { Outcome::Refused },
                rule: (!is_failure).then_some(problem.rule.unwrap_or(Rule::Request)),
                error: Some(problem.code()),
                subject: self.subject.clone(),
                ..Event::default()
            });
        }
        let pause = Duration::from_secs(self.failures.min(LONGEST_PAUSE).into());
        self.retry_at = self.now().boot.saturating_add(pause);
        self.set_status(|status| {
            status.errors += 1;
            status.problem = Some(problem.description.to_string());
        });
    }

    fn set_status(&self, change: impl FnOnce(&mut OutputStatus)) {
        change(self.common.app.telemetry.outputs.lock().entry(Arc::clone(&self.name)).or_default());
    }

    fn now(&self) -> Moment {
        self.common.clock.now()
    }
}
