//! `serve`: the server, from binding its listeners to the last answer.

mod admin;
mod signals;
mod spans;
mod start;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::admin::AdminListener;
use self::signals::{Asked, Signals};
use self::start::{Started, start};
use super::Failure;
use crate::http::App;
use crate::listen::{self, Capacity};
use crate::notify::Notifier;
use crate::reload::{Reloader, Settings};
use crate::setup::{self, Service, Summary};
use crate::telemetry::Telemetry;

/// At the end, an audit trail that cannot be written is waited for no longer than this.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) async fn run(settings: Settings, sandbox: bool) -> Result<(), Failure> {
    setup::check_exposure(&settings.config)?;
    let capacity = Capacity::of_process();
    // Before anything is bound, so that no signal is missed once somebody knows that the server is there.
    let mut signals = Signals::listen()?;
    let Started { tls, listeners, admin, service, page, audit } = tokio::select! {
        started = start(&settings, sandbox) => started?,
        // A file that hangs must not make a process of it that cannot be stopped.
        name = signals.end() => {
            tracing::info!("{name}: stopped before the start was done");
            return Ok(());
        }
    };
    let Service { access, rotations, sources } = service;
    let sandbox_origin = page.sandbox_origin().map(str::to_owned);
    let telemetry = Telemetry::new(audit);
    if let Some(tls) = tls.clone() {
        telemetry.watch_certificate(move || tls.not_after());
    }
    // Before the first request to an issuer.
    spans::start(&settings.environment);
    access.handout().warm();
    let app = Arc::new(App::new(access, page).with_telemetry(telemetry));
    let summary =
        Summary::new(&settings.config, &sources, &listeners, &admin).with_sandbox(sandbox_origin.as_deref());
    setup::warn_of_plain_listeners(&settings.config, &listeners);
    for line in summary.lines() {
        tracing::info!("{line}");
    }
    if capacity.is_short_of_files() {
        tracing::warn!("{capacity}; raise it (LimitNOFILE=, ulimit -Hn) for more");
    } else {
        tracing::info!("{capacity}");
    }
    let admin = AdminListener::start(admin, &app);
    let telemetry = Arc::clone(app.telemetry());
    let (notifier, status) = (Notifier::new(&settings.environment), setup::listening_on(&listeners));
    let (reload, reloads) = mpsc::channel(1);
    let reloader = Reloader::new(Arc::clone(&app), rotations, tls, settings).guarding(&listeners);
    let reloader = tokio::spawn(reloader.run(reloads, notifier.clone(), status.clone()));
    let heart = tokio::spawn(notifier.clone().keep_alive());
    let stop = CancellationToken::new();
    let serving = async {
        let until = async {
            // Not polled before all listeners accept.
            notifier.ready(&status).await;
            stop.cancelled().await;
            let drain = app.access().drain();
            notifier.stopping(drain).await;
            tokio::time::sleep(drain).await;
        };
        listen::serve_with(capacity.limits(), Arc::clone(&app), listeners, until).await;
        if let Some(admin) = admin {
            admin.stop().await;
        }
    };
    let hearing = async {
        loop {
            match signals.next().await {
                Asked::Reload => {
                    tracing::info!("SIGHUP: reloading configuration and credentials");
                    if let Some(audit) = telemetry.audit() {
                        audit.reopen();
                    }
                    // Full only while an earlier one waits, which will do for both.
                    let _ = reload.try_send(());
                }
                Asked::End(name) if stop.is_cancelled() => return name,
                Asked::End(name) => {
                    let drain = app.access().drain();
                    if drain.is_zero() {
                        tracing::info!("{name}: finishing requests in flight, then stopping");
                    } else {
                        tracing::info!(
                            drain = drain.as_secs(),
                            "{name}: not ready any more; callers are served until the drain is over, then the server stops"
                        );
                    }
                    stop.cancel();
                }
            }
        }
    };
    let cut_off = tokio::select! {
        () = serving => None,
        name = hearing => Some(name),
    };
    reloader.abort();
    // Side by side: each may have to wait for the other end.
    tokio::join!(end_audit(telemetry), async {
        if cut_off.is_none() {
            spans::stop().await;
        }
    });
    heart.abort();
    if let Some(signal) = cut_off {
        return Err(Failure::CutOff { signal });
    }
    tracing::info!("stopped");
    Ok(())
}

/// Has the last lines of the audit trail written.
async fn end_audit(telemetry: Arc<Telemetry>) {
    let close = move || telemetry.audit().is_none_or(|audit| audit.close(LAST_WORDS));
    if !tokio::task::spawn_blocking(close).await.unwrap_or(false) {
        tracing::error!("the last lines of the audit trail could not be written in time");
    }
}
