//! `serve`: the server, from its start to its last answer.
//!
//! Start: listen for signals; read certificates and credentials, bind the listeners, set up rules, providers and the audit trail
//! ([`mod@prepare`]); request the first token; log what the server does; start the admin listener, the reloader and the watchdog;
//! answer callers, and tell systemd.
//!
//! Stop, on SIGTERM or SIGINT: tell systemd; drain (answer callers, and be not ready); finish the requests in flight; end the admin
//! listener; remove the outputs; write the last audit lines. A second signal ends the server at once, and so does one after which there
//! would be no time for that: it removes the outputs and writes the last audit lines.

mod prepare;
mod signals;

use std::sync::{Arc, Weak};
use std::time::Duration;

use token_provider::SystemClock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::prepare::{Prepared, prepare};
use self::signals::{LAST, Signal, Signals};
use crate::admin::Admin;
use crate::config::LoadedConfig;
use crate::failure::Failure;
use crate::http::App;
use crate::listen::{self, Limits, Listener};
use crate::notify::Notifier;
use crate::outputs::Outputs;
use crate::reload::Reloader;
use crate::setup;
use crate::telemetry::Telemetry;
use crate::topic::Topic;

/// The longest wait for an audit trail that cannot be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn run(loaded: LoadedConfig, sandbox: bool) -> Result<(), Failure> {
    // First, so that no signal is missed once anyone can know that the server is there.
    let mut signals = Signals::listen().map_err(Failure::system("cannot listen for signals"))?;
    let prepared = tokio::select! {
        prepared = prepare(&loaded, sandbox) => prepared?,
        // Stay stoppable even if reading a file hangs.
        signal = signals.stop() => {
            tracing::info!("{signal}: stopped during startup");
            return Ok(());
        }
    };
    let (server, callers, admin) = Server::start(prepared, loaded);
    let cut_off_by = tokio::select! {
        () = server.answer(callers, admin) => None,
        signal = server.handle_signals(signals) => Some(signal),
    };
    tokio::join!(server.outputs.stop(), server.flush_audit());
    if let Some(signal) = cut_off_by {
        let message = format!("{signal}: stopped at once; requests in flight were cut off");
        return Err(Failure::new(Topic::CutOff, message));
    }
    tracing::info!("stopped");
    Ok(())
}

/// A running server.
struct Server {
    app: Arc<App>,
    outputs: Arc<Outputs>,
    limits: Limits,
    notifier: Notifier,
    /// What systemd is told while callers can be answered.
    status: String,
    reload: Arc<Notify>,
    stop: CancellationToken,
}

impl Server {
    /// Starts all that runs beside the answering of requests. Returns the listeners for callers, and those of the admin service.
    fn start(prepared: Prepared, loaded: LoadedConfig) -> (Self, Vec<Listener>, Vec<Listener>) {
        prepared.announce(&loaded.config);
        let Prepared { limits, tls, listeners, admin, service, page, audit, needed_files, .. } = prepared;
        service.access.handout().warm();

        let mut telemetry = Telemetry::new(audit);
        *telemetry.certificate_expiry.lock() = tls.as_ref().and_then(|tls| tls.not_after());
        telemetry.store = service.store.as_ref().map(|store| Arc::clone(&store.status));
        let app = Arc::new(App::new(service.access, page, telemetry));
        #[cfg(feature = "store")]
        if let Some(store) = &service.store {
            tokio::spawn(Arc::clone(store).follow_reports(Arc::clone(&app)));
        }
        let notifier = Notifier::new(&loaded.environment);
        let status = setup::listening_on(&listeners);
        let reload = Arc::new(Notify::new());
        let outputs = Arc::new(Outputs::start(Arc::clone(&app), SystemClock, needed_files));
        let reloader = Reloader::new(
            Arc::clone(&app),
            Arc::clone(&outputs),
            loaded,
            &listeners,
            tls,
            service.store,
            service.issuers,
        );
        // Both run until the process ends. A rotation that is cut off then has changed nothing: the new credential replaces
        // the old one in one step, after the issuer has accepted it, and the next start reads it from its file.
        tokio::spawn(reloader.run(Arc::clone(&reload), notifier.clone(), status.clone()));
        tokio::spawn(notifier.clone().watchdog());

        (
            Self { app, outputs, limits, notifier, status, reload, stop: CancellationToken::new() },
            listeners,
            admin,
        )
    }

    /// Answers requests until the server has stopped. The admin listener is the last to go.
    async fn answer(&self, callers: Vec<Listener>, admin: Vec<Listener>) {
        let answered = CancellationToken::new();
        let callers = async {
            let open = self.app.telemetry.open();
            listen::serve(self.limits, Arc::clone(&self.app), open, callers, self.drained()).await;
            answered.cancel();
        };
        let admin = async {
            if !admin.is_empty() {
                let service = Arc::new(Admin(Arc::clone(&self.app)));
                listen::serve(Limits::of_admin(), service, Weak::new(), admin, answered.cancelled()).await;
            }
        };
        tokio::join!(callers, admin);
    }

    /// Waits for the signal to stop, and for the end of the drain. Polled first when all listeners accept.
    async fn drained(&self) {
        self.notifier.ready(&self.status).await;
        self.stop.cancelled().await;
        let drain = self.app.access.drain();
        self.notifier.stopping(drain).await;
        tokio::time::sleep(drain).await;
    }

    /// Reloads on SIGHUP, replaces all tokens on SIGUSR1, and stops on the first signal to do so. Returns the one that ends the server at
    /// once.
    async fn handle_signals(&self, mut signals: Signals) -> &'static str {
        loop {
            match signals.next().await {
                Signal::Reload => self.reload(),
                Signal::Replace => self.app.access.handout().replace_everything("SIGUSR1"),
                Signal::Stop(name) if self.stop.is_cancelled() || LAST.contains(&name) => return name,
                Signal::Stop(name) => self.begin_stop(name),
            }
        }
    }

    fn reload(&self) {
        tracing::info!("SIGHUP: reloading configuration and credentials");
        if let Some(audit) = &self.app.telemetry.audit {
            audit.reopen();
        }
        // While a reload waits to begin, another one changes nothing.
        self.reload.notify_one();
    }

    fn begin_stop(&self, signal: &str) {
        let drain = self.app.access.drain();
        if drain.is_zero() {
            tracing::info!("{signal}: finishing requests in flight, then stopping");
        } else {
            tracing::info!(
                drain = drain.as_secs(),
                "{signal}: no longer ready; serving callers until the drain ends, then stopping"
            );
        }
        self.stop.cancel();
    }

    /// Writes the last lines of the audit trail.
    async fn flush_audit(&self) {
        let telemetry = Arc::clone(&self.app.telemetry);
        let flush = move || telemetry.audit.as_ref().is_none_or(|audit| audit.flush(FLUSH_TIMEOUT));
        if !tokio::task::spawn_blocking(flush).await.unwrap_or(false) {
            tracing::error!("the last audit lines could not be written before shutdown");
        }
    }
}
