//! The ways to the server that are more than a plain port: TLS and its certificates, HTTP/2, Unix sockets with an owner,
//! sockets from systemd.

mod authority;
mod client_certificates;
mod half_closed;
mod http2;
mod limits;
#[cfg(target_os = "linux")]
mod memory;
mod sockets;
#[cfg(all(target_os = "linux", not(portable)))]
mod systemd;
mod tls;

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, SupportedProtocolVersion};
use token_provider::{Clock, SystemClock};
use token_provider_server::parts::listen::{Listener, Tls};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::authority::{Authority, Files};
use super::support::server::{Server, Setup};
use super::support::wire::Connection;
use super::support::within;

const REQUEST: &str = "GET /getToken HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A server that speaks TLS, with a certificate of an authority made for the test.
#[derive(Debug)]
struct TlsServer {
    server: Server,
    tls: Arc<Tls>,
    authority: Authority,
    files: Files,
}

impl TlsServer {
    async fn start() -> Self {
        Self::start_with(Setup::default(), Files::new()).await
    }

    async fn start_with(setup: Setup, files: Files) -> Self {
        Self::start_with_clock(setup, files, Arc::new(SystemClock)).await
    }

    async fn start_with_clock(setup: Setup, files: Files, clock: Arc<dyn Clock>) -> Self {
        let authority = Authority::new();
        files.write_server(&authority);
        let tls = Arc::new(Tls::load(&files.config(), clock).expect("can be used"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("is bound");
        let listener = Listener::Tcp(listener, None).with_tls(Arc::clone(&tls));
        let server = setup.start_at(listener, address).await;
        Self { server, tls, authority, files }
    }

    fn url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.server.address.port())
    }

    /// A client library of today.
    fn client(&self) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .tls_certs_only([self.authority.certificate()])
            .resolve("localhost", self.server.address)
            .no_proxy()
    }

    /// The client's side of TLS, as far as the tests do not say more.
    fn client_config(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("are supported")
            .with_root_certificates(self.authority.roots())
            .with_no_client_auth()
    }

    async fn connect(&self, config: Arc<ClientConfig>) -> Connection<TlsStream<TcpStream>> {
        Connection::new(self.try_connect(config).await.expect("shakes hands"))
    }

    async fn try_connect(&self, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = within("a connection", TcpStream::connect(self.server.address)).await.expect("connects");
        let name = ServerName::try_from("localhost").expect("is a name");
        within("a handshake", TlsConnector::from(config).connect(name, stream)).await
    }
}
