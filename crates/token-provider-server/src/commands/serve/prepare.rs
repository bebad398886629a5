//! Everything that a server reads, binds and sets up before it starts.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::try_join_all;
use token_provider::CredentialSource;

use crate::config::{Config, Environment, Listen, LoadedConfig};
use crate::failure::Failure;
use crate::http::Page;
use crate::listen::{self, Limits, Listener, Tls};
use crate::outputs;
use crate::sandbox;
use crate::setup::{self, Service};
use crate::telemetry::audit::Audit;
use crate::topic::Topic;

/// What a server is started with.
pub(super) struct Prepared {
    pub(super) limits: Limits,
    /// How many connections there may be, and why, in words.
    pub(super) capacity: String,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) listeners: Vec<Listener>,
    pub(super) admin: Vec<Listener>,
    pub(super) service: Service,
    pub(super) page: Page,
    pub(super) audit: Option<Audit>,
    /// No output takes the place of one of these.
    pub(super) needed_files: Arc<[PathBuf]>,
}

/// Prepares a server. Files are read where that may block, so that a caller can stop waiting.
pub(super) async fn prepare(loaded: &LoadedConfig, sandbox: bool) -> Result<Prepared, Failure> {
    setup::check_exposure(&loaded.config)?;
    let account = if sandbox { Some(sandbox::open().await?) } else { None };
    let (config, environment) = (loaded.config.clone(), loaded.environment.clone());
    let work = tokio::task::spawn_blocking(move || prepare_blocking(&config, &environment, account));
    let prepared =
        work.await.map_err(io::Error::from).map_err(Failure::system("startup was interrupted"))??;
    if let Some(store) = &prepared.service.store {
        store.start().await;
    }
    let check = |output| outputs::check(output, Arc::clone(&prepared.needed_files), true);
    try_join_all(loaded.config.outputs.iter().map(check)).await?;
    Ok(prepared)
}

fn prepare_blocking(
    config: &Config,
    environment: &Environment,
    account: Option<(CredentialSource, Page)>,
) -> Result<Prepared, Failure> {
    let tls = setup::tls(config)?;
    let mut listeners = Vec::new();
    for listen in &config.listen {
        listeners.extend(bind(listen, "--listen")?);
    }
    if let Some(tls) = &tls {
        listeners = listeners.into_iter().map(|listener| listener.with_tls(Arc::clone(tls))).collect();
    }
    setup::check_listeners(config, &listeners)?;
    let (source, page) = account.map_or((None, Page::Plain), |(source, page)| (Some(source), page));
    let service = setup::service(config, environment, source.as_ref())?;
    let audit = setup::audit(config)?;
    let admin = match &config.admin {
        Some(listen) => bind(listen, "admin.listen")?,
        None => Vec::new(),
    };
    let (limits, capacity) = Limits::of_process(config.outputs.len());
    let needed_files = setup::needed_files(config, service.issuers.iter().map(|(source, _issuer)| source));
    Ok(Prepared { limits, capacity, tls, listeners, admin, service, page, audit, needed_files })
}

fn bind(listen: &Listen, setting: &str) -> Result<Vec<Listener>, Failure> {
    listen::bind(listen, setting).map_err(|error| Failure::new(Topic::Bind, error.to_string()))
}

impl Prepared {
    /// Logs where tokens come from, where the server listens, who may ask, and how many.
    pub(super) fn announce(&self, config: &Config) {
        if !self.admin.iter().all(Listener::is_local) {
            tracing::warn!(
                "the admin listener can be reached from other machines and has no authentication; restrict \
                 access to it on the network"
            );
        }
        // It may be meant so, as in a network of containers that encrypts by itself: nothing is refused.
        if config.is_plain() {
            for listener in self.listeners.iter().filter(|listener| !listener.is_local()) {
                tracing::warn!(%listener, "{}", setup::IN_THE_CLEAR);
            }
        }
        let sources: Vec<_> = self.service.issuers.iter().map(|(source, _issuer)| source).collect();
        let sandbox = self.page.sandbox_origin();
        for line in setup::summary(config, &sources, sandbox, &self.listeners, &self.admin) {
            tracing::info!("{line}");
        }
        tracing::info!("{}", self.capacity);
    }
}
