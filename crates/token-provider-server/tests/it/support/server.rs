//! A server in this process, on its own port, with an offline HERE account behind it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use here_sandbox::{Sandbox, SandboxConfig};
use serde_json::Value;
use token_provider::{CredentialSource, HereIssuer, HereIssuerConfig, TokenProvider};
use token_provider_server::parts::Admin;
use token_provider_server::parts::access::{Access, Handout, Profile};
use token_provider_server::parts::config::{AuditConfig, Config, Environment, Listen, Overrides};
use token_provider_server::parts::http::{App, Page};
use token_provider_server::parts::listen::{self, Limits, Listener};
use token_provider_server::parts::setup;
use token_provider_server::parts::telemetry::Audit;
use token_provider_server::parts::telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{TIMEOUT, within};

pub(crate) const ACCESS_KEY_ID: &str = "key-id-of-the-tests";
pub(crate) const ACCESS_KEY_SECRET: &str =
    "planted-access-key-secret-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCdEfGhIjKlMnOpQrStUv";

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) sandbox: Sandbox,
    pub(crate) app: Arc<App>,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
    _stop: [DropGuard; 2],
}

/// What a server is to be made from.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    config: String,
    secret: Option<String>,
    provider: Option<TokenProvider>,
    limits: Limits,
    trail: Option<PathBuf>,
}

impl Server {
    /// A server with nothing configured.
    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    /// Starts the listener for metrics and status, which the configuration must have (on a port that is not used), and
    /// returns where it is. It stops with the server.
    pub(crate) async fn admin(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("is bound");
        let until = self.shutdown.clone().cancelled_owned();
        tokio::spawn(listen::serve(
            Limits::default(),
            Arc::new(Admin(Arc::clone(&self.app))),
            Weak::new(),
            vec![Listener::Tcp(listener, None)],
            until,
        ));
        address
    }

    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Ends the audit trail, and returns all of its lines.
    pub(crate) fn audit_lines(&self, trail: &Path) -> Vec<Value> {
        let audit = self.app.telemetry.audit.as_ref().expect("leaves a trail");
        assert!(audit.flush(*TIMEOUT), "all lines are written");
        let text = std::fs::read_to_string(trail).expect("can be read");
        text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
    }

    /// Waits until the server has come to its end.
    pub(crate) async fn ended(&mut self) {
        within("the server's end", &mut self.served).await.expect("does not panic");
    }
}

impl Setup {
    /// The text of a configuration file. Its listeners are left out of account.
    pub(crate) fn config(self, text: &str) -> Self {
        Self { config: text.to_owned(), ..self }
    }

    /// Signs with this secret, which is not the account's.
    pub(crate) fn wrong_secret(self, secret: &str) -> Self {
        Self { secret: Some(secret.to_owned()), ..self }
    }

    /// Takes the default profile's tokens from here, not from the sandbox.
    pub(crate) fn provider(self, provider: TokenProvider) -> Self {
        Self { provider: Some(provider), ..self }
    }

    pub(crate) fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Leaves an audit trail in this file.
    pub(crate) fn trail(self, file: &Path) -> Self {
        Self { trail: Some(file.to_owned()), ..self }
    }

    pub(crate) async fn start(self) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("is bound");
        self.start_at(Listener::Tcp(listener, None), address).await
    }

    /// Listens at a Unix socket; the server's `address` is then of no use.
    pub(crate) async fn start_at_unix(self, path: &Path) -> Server {
        let listener = listen::bind(&Listen::Unix(path.to_owned().into()), "--listen").expect("can be bound");
        let listener = listener.into_iter().next().expect("is one");
        self.start_at(listener, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn start_at(self, listener: Listener, address: SocketAddr) -> Server {
        let account = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let endpoint = format!("http://{}/oauth2/token", account.local_addr().expect("is bound"));
        let sandbox = Sandbox::new(SandboxConfig::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
        let account_stop = CancellationToken::new();
        let (running, stop) = (sandbox.clone(), account_stop.clone());
        tokio::spawn(async move { stop.run_until_cancelled(running.serve(vec![account])).await });

        let config = parse(&self.config);
        let secret = self.secret.unwrap_or_else(|| ACCESS_KEY_SECRET.to_owned());
        let account = CredentialSource::variables(|name| match name {
            "HERE_ACCESS_KEY_ID" => Some(ACCESS_KEY_ID.into()),
            "HERE_ACCESS_KEY_SECRET" => Some(secret.clone().into()),
            "HERE_TOKEN_ENDPOINT_URL" => Some(endpoint.clone().into()),
            _ => None,
        });
        let account = account.expect("the access key is there");
        let access = if let Some(provider) = &self.provider {
            let of_account = || {
                let credential = account.load().expect("is well-formed");
                TokenProvider::new(HereIssuer::new(HereIssuerConfig::new(credential)).expect("can be set up"))
            };
            let profile = |name: &String| {
                let is_given = *name == config.profile;
                Profile::new(name, Vec::new(), if is_given { provider.clone() } else { of_account() })
            };
            let profiles = config.profiles.keys().map(profile);
            let access = Access::start(&config, Handout::new(profiles, &config.profile));
            setup::read_here_secrets(&config, &access).expect("can be read");
            access
        } else {
            setup::service(&config, &Environment::default(), Some(&account)).expect("can be set up").access
        };
        let trail = self.trail.map_or(AuditConfig::Off, AuditConfig::File);
        let audit = Audit::start(&trail, config.admin.is_some()).expect("can be opened");
        let app = App::new(access, Page::Plain, Telemetry::new(audit));
        let app = Arc::new(app);
        let shutdown = CancellationToken::new();
        let until = shutdown.clone().cancelled_owned();
        let served = tokio::spawn(listen::serve(
            self.limits,
            Arc::clone(&app),
            app.telemetry.open(),
            vec![listener],
            until,
        ));
        Server {
            address,
            sandbox,
            app,
            served,
            _stop: [shutdown.clone().drop_guard(), account_stop.drop_guard()],
            shutdown,
        }
    }
}

/// Reads the text of a configuration file, and nothing of this machine.
pub(crate) fn parse(text: &str) -> Config {
    let file = (Path::new("test.toml"), text);
    Config::parse(Some(file), &Environment::default(), &Overrides::default())
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}
