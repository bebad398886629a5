//! Everything that a server reads, binds and sets up before it starts.

use std::io;
use std::sync::Arc;

use super::admin;
use crate::commands::failure::Failure;
use crate::config::{Config, Environment, LoadedConfig};
use crate::http::Page;
use crate::listen::{self, Capacity, Listener, Tls};
use crate::sandbox::Account;
use crate::setup::{self, Service};
use crate::telemetry::audit::Audit;

/// What a server is started with.
pub(super) struct Prepared {
    pub(super) capacity: Capacity,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) listeners: Vec<Listener>,
    pub(super) admin: Vec<Listener>,
    pub(super) service: Service,
    pub(super) page: Page,
    pub(super) audit: Option<Audit>,
}

/// Prepares a server. Files are read where that may block, so that a caller can stop waiting.
pub(super) async fn prepare(loaded: &LoadedConfig, sandbox: bool) -> Result<Prepared, Failure> {
    setup::check_exposure(&loaded.config)?;
    let account = if sandbox { Some(Account::open().await?) } else { None };
    let (config, environment) = (loaded.config.clone(), loaded.environment.clone());
    tokio::task::spawn_blocking(move || prepare_blocking(&config, &environment, account))
        .await
        .map_err(|error| Failure::system("the start broke off")(io::Error::other(error)))?
}

fn prepare_blocking(
    config: &Config,
    environment: &Environment,
    account: Option<Account>,
) -> Result<Prepared, Failure> {
    let tls = setup::tls(config)?;
    let listeners = bind_all(config, tls.as_ref())?;
    setup::check_listeners(config, &listeners)?;
    let (service, page) = match account {
        Some(account) => (account.service(config)?, account.page()),
        None => (setup::service(config, environment)?, Page::Plain),
    };
    let audit = setup::audit(config)?;
    let admin = admin::bind(config)?;
    Ok(Prepared { capacity: Capacity::of_process(), tls, listeners, admin, service, page, audit })
}

impl Prepared {
    /// Logs where tokens come from, where the server listens, who may ask, and how many.
    pub(super) fn announce(&self, config: &Config) {
        let Self { capacity, listeners, service, .. } = self;
        setup::warn_of_plain_listeners(config, listeners);
        let sandbox = self.page.sandbox_origin();
        for line in setup::summary(config, &service.sources, sandbox, listeners, &self.admin) {
            tracing::info!("{line}");
        }
        if capacity.is_short_of_files() {
            tracing::warn!("{capacity}; raise it (LimitNOFILE=, ulimit -Hn) for more");
        } else {
            tracing::info!("{capacity}");
        }
    }
}

fn bind_all(config: &Config, tls: Option<&Arc<Tls>>) -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::new();
    for listen in &config.listen {
        let bound = listen::bind(listen, "--listen").map_err(Failure::Bind)?;
        listeners.extend(bound.into_iter().map(|listener| match tls {
            Some(tls) => listener.with_tls(Arc::clone(tls)),
            None => listener,
        }));
    }
    Ok(listeners)
}
