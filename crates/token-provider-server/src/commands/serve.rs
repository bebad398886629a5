//! `serve`: the server, from binding its listeners to the last answer.

mod admin;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use here_sandbox::{Sandbox, SandboxConfig};
use token_provider::Credential;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::admin::AdminListener;
use super::Failure;
use crate::config::Config;
use crate::http::{App, Page};
use crate::listen::{self, Listener, Tls};
use crate::notify::Notifier;
use crate::reload::{Reloader, Settings};
use crate::setup::{self, Service, Summary, TokenSource};
use crate::telemetry::Telemetry;
use crate::telemetry::audit::Audit;

pub(super) async fn run(settings: Settings, sandbox: bool) -> Result<(), Failure> {
    let Settings { config, environment, .. } = &settings;
    setup::check_exposure(config)?;
    raise_file_limit();
    // Before anything is bound, so that no signal is missed once somebody knows that the server is there.
    let mut terminate =
        signal(SignalKind::terminate()).map_err(Failure::system("cannot listen for SIGTERM"))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(Failure::system("cannot listen for SIGINT"))?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(Failure::system("cannot listen for SIGHUP"))?;

    let tls = setup::tls(config)?;
    let listeners = bind_all(config, tls.as_ref())?;
    setup::check_listeners(config, &listeners)?;
    let (service, page) = if sandbox {
        with_sandbox(config).await?
    } else {
        (setup::service(config, environment)?, Page::Plain)
    };
    let Service { access, rotations, sources } = service;
    let sandbox_origin = page.sandbox_origin().map(str::to_owned);
    let telemetry = Telemetry::new(setup::audit(config, &access)?);
    if let Some(tls) = tls.clone() {
        telemetry.watch_certificate(move || tls.not_after());
    }
    access.handout().warm();
    let app = Arc::new(App::new(access, page).with_telemetry(telemetry));
    let admin = admin::bind(config)?;
    let summary = Summary::new(config, &sources, &listeners, &admin).with_sandbox(sandbox_origin.as_deref());
    for line in summary.lines() {
        tracing::info!("{line}");
    }
    let admin = AdminListener::start(admin, &app);
    let telemetry = Arc::clone(app.telemetry());
    let (notifier, status) = (Notifier::new(environment), setup::listening_on(&listeners));
    let (reload, reloads) = mpsc::channel(1);
    let reloader = Reloader::new(Arc::clone(&app), rotations, tls, settings).guarding(&listeners);
    let reloader = tokio::spawn(reloader.run(reloads, notifier.clone(), status.clone()));
    let heart = tokio::spawn(notifier.clone().keep_alive());
    listen::serve(app, listeners, async {
        // Not polled before all listeners accept.
        notifier.ready(&status).await;
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hang_up.recv() => {
                    tracing::info!("SIGHUP: configuration and credentials are looked at");
                    if let Some(audit) = telemetry.audit() {
                        audit.reopen();
                    }
                    // Full only while an earlier one waits, which will do for both.
                    let _ = reload.try_send(());
                    continue;
                }
            };
            tracing::info!("{name}: answers under way finish, then the server stops");
            return notifier.stopping().await;
        }
    })
    .await;
    reloader.abort();
    if let Some(admin) = admin {
        admin.stop().await;
    }
    end_audit(telemetry).await;
    heart.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Has the last lines of the audit trail written.
async fn end_audit(telemetry: Arc<Telemetry>) {
    let close = move || telemetry.audit().is_none_or(Audit::close);
    if !tokio::task::spawn_blocking(close).await.unwrap_or(false) {
        tracing::error!("the last lines of the audit trail could not be written in time");
    }
}

fn bind_all(config: &Config, tls: Option<&Arc<Tls>>) -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::new();
    for listen in &config.listen {
        let bound = listen::bind(listen).map_err(Failure::system(format!("cannot listen at {listen}")))?;
        listeners.extend(bound.into_iter().map(|listener| match tls {
            Some(tls) => listener.with_tls(Arc::clone(tls)),
            None => listener,
        }));
    }
    Ok(listeners)
}

/// Starts an offline HERE account beside the server, and gives every profile its access key.
async fn with_sandbox(config: &Config) -> Result<(Service, Page), Failure> {
    let account = SandboxConfig::generate();
    let (id, secret) = (account.access_key_id.clone(), account.access_key_secret.clone());
    let sandbox = Sandbox::new(account);
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .map_err(Failure::system("cannot listen for the sandbox"))?;
    let address = listener.local_addr().map_err(Failure::system("cannot listen for the sandbox"))?;
    let origin = format!("http://{address}");
    let credential =
        Credential::new(&id, secret)?.with_token_endpoint_url(&format!("{origin}/oauth2/token"))?;
    // Ends with the process: the server's last answers may still need it.
    tokio::spawn(async move { sandbox.serve(listener, std::future::pending()).await });
    let (mut profiles, mut sources) = (Vec::new(), Vec::new());
    for name in config.profiles.keys() {
        profiles.push(setup::profile(name, config, credential.clone())?.0);
        sources.push(TokenSource::sandbox(name, &origin));
    }
    let service = Service { access: setup::access_with(config, profiles), rotations: Vec::new(), sources };
    Ok((service, Page::Demo { sandbox_origin: origin }))
}

/// A connection is a file descriptor: takes as many as the system allows, rather than the 1,024 that many shells do.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
