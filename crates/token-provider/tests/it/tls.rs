//! What is wrong with the other side's TLS is said in words, with what to do.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::SecretString;
use token_provider::{
    Credential, HereIssuer, HereIssuerConfig, Issue as _, Proxies, RemoteIssuer, RemoteIssuerConfig,
    TokenError, TokenErrorKind,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::leaks;
use crate::wire::{Endpoint, Reply, SECRET, hour};

/// An authority of the test's, and the certificates that it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("names nobody");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("can be made");
        Self(CertifiedIssuer::self_signed(params, key).expect("can be signed"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, valid from the beginning of one year to that of another.
    fn sign(&self, name: &str, from: i32, until: i32) -> rustls::ServerConfig {
        let key = KeyPair::generate().expect("can be made");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("is a name");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.0).expect("can be signed");
        server(certificate.der().to_vec(), &key)
    }

    /// Its own certificate, shown by a server.
    fn own(&self) -> rustls::ServerConfig {
        server(self.0.der().to_vec(), self.0.key())
    }
}

fn server(certificate: Vec<u8>, key: &KeyPair) -> rustls::ServerConfig {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .expect("they fit")
}

/// Accepts one TLS handshake, and returns the URL.
async fn serve(config: rustls::ServerConfig) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let url = format!("https://localhost:{}/oauth2/token", listener.local_addr().expect("is bound").port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = TlsAcceptor::from(Arc::new(config.clone())).accept(stream).await;
        }
    });
    url
}

/// Asks once, trusting an authority.
async fn failure(url: &str, ca_pem: Option<String>) -> TokenError {
    let credential = Credential::new("key-id", SecretString::from(SECRET))
        .and_then(|credential| credential.with_token_endpoint_url(url));
    let mut config = HereIssuerConfig::new(credential.expect("is well-formed"));
    config.network.extra_ca_pem = ca_pem.map(String::into_bytes);
    let error = HereIssuer::new(config).expect("can be set up").issue(&hour()).await.expect_err("no token");
    leaks::assert_hidden(&leaks::rendered(&error));
    error
}

#[tokio::test]
async fn each_certificate_that_is_refused_has_its_own_remedy() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let table = [
        (theirs.sign("localhost", 2020, 2100), "an authority that this machine does not trust"),
        (ours.sign("localhost", 2020, 2021), "has expired, or this machine's clock is ahead"),
        (
            ours.sign("localhost", 2090, 2100),
            "not valid yet, most likely because this machine's clock is behind",
        ),
        (ours.sign("other.example", 2020, 2100), "is for another host name"),
        (ours.own(), "is an authority's own (CA:TRUE)"),
    ];
    for (config, expected) in table {
        let error = failure(&serve(config).await, Some(ours.pem())).await;
        assert_eq!(error.kind(), TokenErrorKind::Unreachable);
        let text = error.to_string();
        assert!(
            text.starts_with("no connection to the token endpoint: ") && text.contains(expected),
            "{text}"
        );
    }
}

#[tokio::test]
async fn authority_in_a_file_with_a_byte_order_mark_is_trusted() {
    let ours = Authority::new();
    let url = serve(ours.sign("localhost", 2020, 2100)).await;
    let error = failure(&url, Some(format!("\u{feff}{}", ours.pem()))).await;
    // The handshake succeeds; nothing is answered after it.
    assert_eq!(error.to_string(), "the connection to the token endpoint was interrupted");
}

#[tokio::test]
async fn port_that_speaks_no_tls_is_named() {
    let error = failure(&speaks_http().await, None).await;
    assert!(error.to_string().contains("it does not speak TLS on this port"), "{error}");
}

/// Answers anything with HTTP.
async fn speaks_http() -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let url = format!("https://{}/oauth2/token", listener.local_addr().expect("is bound"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.read_u8().await?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    });
    url
}

#[tokio::test]
async fn proxy_that_requires_authentication_is_named() {
    let proxy = Endpoint::start(|_, _| {
        Reply::Close("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n".to_owned())
    })
    .await;
    let address = proxy.url.replace("/oauth2/token", "").replace("http://", "http://user:planted@");
    let proxies = Proxies::from_variables(|name| (name == "HTTPS_PROXY").then(|| address.clone()));
    let remote = |proxies: &Proxies| {
        let mut config = RemoteIssuerConfig::new("https://tokens.invalid/getToken").expect("is a URL");
        config.network.proxies = proxies.clone();
        RemoteIssuer::new(config)
    };
    let error = remote(&proxies).expect("can be set up").issue(&hour()).await.expect_err("no token");
    let text = error.to_string();
    assert!(text.contains("the proxy requires authentication (407)"), "{text} {error:#?}");
    assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    let head = &proxy.requests()[0].head;
    assert!(head.starts_with("CONNECT tokens.invalid:443 HTTP/1.1\r\n"), "{head}");
    // user:planted
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic"), "{head}");

    // And one that cannot be read is an error before anything is sent.
    let proxies = Proxies::from_variables(|name| (name == "HTTPS_PROXY").then(|| "http//planted".to_owned()));
    let error = remote(&proxies).expect_err("cannot be read");
    assert!(error.to_string().starts_with("HTTPS_PROXY cannot be used"), "{error}");
}
