//! Connections to a server, a cluster, or the server that Sentinels name.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionInfo, FromRedisValue,
    IntoConnectionInfo as _, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisResult,
    TlsCertificates,
};
use token_provider::trim_value;
use tokio::sync::Notify;
use url::Url;
use zeroize::Zeroizing;

use crate::config::{StoreConfig, Topology};
use crate::file_work::read_small_file;

/// Failures are told in words.
pub(super) type Result<T> = std::result::Result<T, String>;

/// The most that a file has.
const MAX_FILE: usize = 1024 * 1024;

/// A server of a cluster that does not answer holds up the connection to the others twice for so long.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(600);
/// Longer than anybody waits.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

/// How to prove who we are, and to know who they are.
pub(super) struct Access {
    settings: RedisConnectionInfo,
    pub(super) password: Option<Zeroizing<String>>,
    /// With TLS.
    certificates: Option<TlsCertificates>,
}

impl Access {
    /// Reads the files. Blocks.
    pub(super) fn read(config: &StoreConfig) -> Result<Self> {
        let mut settings = anonymous();
        if let Some(user) = &config.user {
            settings = settings.set_username(user);
        }
        let password = config.password_file.as_deref().map(read_password).transpose()?;
        if let Some(password) = &password {
            settings = settings.set_password(password.as_str());
        }
        let certificate = |file| read_pem(file, "CERTIFICATE");
        let root_cert = config.ca.as_deref().map(certificate).transpose()?;
        let client_tls = match config.cert.as_deref().zip(config.key.as_deref()) {
            Some((cert, key)) => Some(ClientTlsConfig {
                client_cert: certificate(cert)?,
                client_key: read_pem(key, "PRIVATE KEY")?,
            }),
            None => None,
        };
        let certificates = config.place.is_tls().then_some(TlsCertificates { client_tls, root_cert });
        Ok(Self { settings, password, certificates })
    }

    /// Connects. Each notice wakes one who waits for it, and so does the end of the connection.
    pub(super) async fn open(
        &self,
        topology: &Topology,
        nodes: &[Url],
        notices: Arc<Notify>,
    ) -> RedisResult<Connection> {
        let wake = move |push: PushInfo| {
            if matches!(push.kind, PushKind::Message | PushKind::Disconnection) {
                notices.notify_one();
            }
            Ok::<_, Infallible>(())
        };
        let named;
        let server = match topology {
            Topology::Standalone => nodes.first().expect("a URL has a host"),
            Topology::Sentinel(name) => {
                named = self.ask_sentinels(nodes, name).await?;
                &named
            }
            Topology::Cluster => {
                let nodes = nodes.iter().map(|node| info(node, &self.settings));
                let mut builder = ClusterClientBuilder::new(nodes.collect::<RedisResult<Vec<_>>>()?)
                    .push_sender(wake)
                    .connection_timeout(CONNECT_TIMEOUT)
                    .response_timeout(RESPONSE_TIMEOUT)
                    // At the server that the records have moved to.
                    .retries(1);
                if let Some(certificates) = &self.certificates {
                    builder = builder.certs(certificates.clone());
                }
                return builder.build()?.get_async_connection().await.map(Connection::Cluster);
            }
        };
        let limits = AsyncConnectionConfig::new().set_push_sender(wake);
        self.connect(info(server, &self.settings)?, limits).await.map(Connection::Server)
    }

    async fn connect(
        &self,
        info: ConnectionInfo,
        limits: AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let client = match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone())?,
            None => Client::open(info)?,
        };
        let limits = limits.set_connection_timeout(None).set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&limits).await
    }

    /// Returns where the server of this name is now, as the Sentinel says that answers first. Whether it is right shows when we write.
    async fn ask_sentinels(&self, nodes: &[Url], name: &str) -> RedisResult<Url> {
        let ask = async |node| {
            let found = match self.ask(node, &anonymous(), name).await {
                // Most have no password. One that has takes that of the servers.
                Err(error) if error.code() == Some("NOAUTH") => self.ask(node, &self.settings, name).await?,
                found => found?,
            };
            let unknown = || io::Error::other("Sentinel knows no server of the name in store.url");
            let (host, port) = found.ok_or_else(unknown)?;
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            Url::parse(&format!("{}://{host}:{port}", node.scheme()))
                .map_err(|error| io::Error::other(error).into())
        };
        select_ok(nodes.iter().map(|node| Box::pin(ask(node)))).await.map(|(found, _)| found)
    }

    async fn ask(
        &self,
        node: &Url,
        settings: &RedisConnectionInfo,
        name: &str,
    ) -> RedisResult<Option<(String, u16)>> {
        let mut connection = self.connect(info(node, settings)?, AsyncConnectionConfig::new()).await?;
        redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name).query_async(&mut connection).await
    }
}

/// A connection that many use at the same time.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Server(connection) => connection.subscribe(channel).await,
            Self::Cluster(connection) => connection.subscribe(channel).await,
        }
    }

    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self.clone() {
            Self::Server(mut connection) => command.query_async(&mut connection).await,
            Self::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
    }
}

fn info(node: &Url, settings: &RedisConnectionInfo) -> RedisResult<ConnectionInfo> {
    Ok(node.clone().into_connection_info()?.set_redis_settings(settings.clone()))
}

fn anonymous() -> RedisConnectionInfo {
    RedisConnectionInfo::default()
        // Notices come over the same connection.
        .set_protocol(ProtocolVersion::RESP3)
        // The user needs no permission for it then.
        .set_skip_set_lib_name()
}

pub(super) fn read_password(file: &Path) -> Result<Zeroizing<String>> {
    let text = read(file, "a password", |text| !trim_value(text).is_empty())?;
    Ok(Zeroizing::new(trim_value(&text).to_owned()))
}

fn read_pem(file: &Path, label: &str) -> Result<Vec<u8>> {
    let is_pem = |text: &str| text.contains(&format!("{label}-----"));
    Ok(read(file, &format!("PEM text with a {label}"), is_pem)?.as_bytes().to_vec())
}

fn read(file: &Path, expected: &str, is_good: impl Fn(&str) -> bool) -> Result<Zeroizing<String>> {
    let name = file.display();
    let text = read_small_file(file, MAX_FILE).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    if is_good(&text) { Ok(text) } else { Err(format!("{name}: expected {expected}")) }
}
