//! Requests over HTTP, within limits: what the issuers have in common.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use tokio::runtime;
use url::Url;
use zeroize::Zeroizing;

use super::proxy::Proxies;
use super::tls::connection_problem;
use crate::error::{LoadError, LoadErrorKind, TokenError, TokenErrorKind};

/// Token answers have about 1 KiB; more than this is something else.
const MAX_BODY: usize = 64 * 1024;

/// Connections kept open between requests.
const MAX_IDLE: usize = 4;

/// The network between an issuer and its server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Network {
    /// The server's Unix socket, in place of its host and port.
    pub unix_socket: Option<PathBuf>,
    /// PEM certificates to trust beside the system's, for a private authority or a proxy that breaks TLS open.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// The proxy. Default: what `HTTPS_PROXY` and `NO_PROXY` say.
    pub proxies: Proxies,
    /// How long a connection may take. Default: 3 s; within a region it takes milliseconds.
    pub connect_timeout: Duration,
    /// How long one request may take in all. Default: 10 s for HERE, whose own SDKs take 5 s (Java) and 60 s (C++); 12 s for
    /// another token provider, a little more than it lets its callers wait.
    pub attempt_timeout: Duration,
}

/// Sends requests over connections that are kept open between them. A client is made when it is first needed: setting up
/// TLS reads the system's certificates, which takes some milliseconds, and which a machine that speaks no TLS need not have.
pub(super) struct Http {
    network: Network,
    /// The setting that an error about the address points to.
    address_setting: &'static str,
    client: Mutex<Option<Kept>>,
}

/// A client, until another one is needed.
struct Kept {
    client: reqwest::Client,
    /// Whether it can speak TLS. One that cannot is for this machine alone.
    is_tls: bool,
    /// The runtime that its connections belong to. On another they could not be used: it may be gone, or nobody drives it.
    owner: Option<runtime::Id>,
}

/// What one exchange brought, before it is known whether it is good.
pub(super) struct Exchange {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Http {
    /// Makes the client for this URL at once, so that what is wrong with the settings shows now.
    pub(super) fn new(network: Network, address_setting: &'static str, url: &Url) -> Result<Self, LoadError> {
        let http = Self { network, address_setting, client: Mutex::default() };
        http.client(url)?;
        Ok(http)
    }

    pub(super) fn client(&self, url: &Url) -> Result<reqwest::Client, LoadError> {
        let is_tls = url.scheme() != "http";
        if is_tls {
            // A proxy that cannot be read must not be taken for none.
            self.network.proxies.for_url(url)?;
        }
        let here = runtime::Handle::try_current().ok().map(|runtime| runtime.id());
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match kept.take() {
            // One that was made outside a runtime has no connections yet.
            Some(old) if old.is_tls == is_tls && (old.owner.is_none() || old.owner == here) => old.client,
            _ => self.make_client(is_tls)?,
        };
        *kept = Some(Kept { client: client.clone(), is_tls, owner: here });
        Ok(client)
    }

    fn make_client(&self, is_tls: bool) -> Result<reqwest::Client, LoadError> {
        let Network { unix_socket, extra_ca_pem, proxies, connect_timeout, attempt_timeout } =
            self.network.clone();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(connect_timeout)
            .timeout(attempt_timeout)
            .redirect(reqwest::redirect::Policy::none())
            // Each is a file descriptor, also after a moment in which many tokens were requested at once.
            .pool_max_idle_per_host(MAX_IDLE)
            .user_agent(concat!("token-provider/", env!("CARGO_PKG_VERSION")));
        builder = if is_tls {
            builder.proxy(reqwest::Proxy::custom(move |url| proxies.for_url(url).ok()?.cloned()))
        } else {
            builder.no_proxy().tls_certs_only([])
        };
        #[cfg(unix)]
        if let Some(path) = unix_socket {
            builder = builder.unix_socket(path);
        }
        #[cfg(not(unix))]
        if unix_socket.is_some() {
            return Err(LoadError::invalid("this system has no Unix sockets; use the server's URL"));
        }
        if let Some(pem) = extra_ca_pem {
            // An editor's byte-order mark would hide the first certificate.
            let pem = pem.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&pem);
            let certificates = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(LoadError::invalid("the extra CA file holds no PEM certificate"));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        builder.build().map_err(|error| {
            let message = "TLS could not be set up; are the system's CA certificates installed, and is \
                           SSL_CERT_FILE right if it is set?";
            LoadError::new(LoadErrorKind::Tls, message).with_source(error)
        })
    }

    /// Sends a request and reads the answer to its end.
    pub(super) async fn receive(&self, request: reqwest::RequestBuilder) -> Result<Exchange, TokenError> {
        let mut response = request.send().await.map_err(|error| self.network_error(error))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        // Room for all that is read, so that growing leaves no copy of a token behind.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        while let Some(chunk) = response.chunk().await.map_err(|error| self.network_error(error))? {
            if body.len() + chunk.len() > MAX_BODY {
                let setting = self.address_setting;
                return Err(TokenError::new(
                    TokenErrorKind::InvalidAnswer { status: Some(status) },
                    format!("the response is larger than 64 KiB, too large for a token; check {setting}"),
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Exchange { status, headers, body })
    }

    fn network_error(&self, error: reqwest::Error) -> TokenError {
        // The URL is left out: an endpoint of one's own may carry a key in its query.
        let error = error.without_url();
        let Network { connect_timeout, attempt_timeout, .. } = &self.network;
        let kind = if error.is_timeout() { TokenErrorKind::TimedOut } else { TokenErrorKind::Unreachable };
        let message = if let Some(problem) = connection_problem(&error) {
            format!("no connection to the token endpoint: {problem}")
        } else if error.is_timeout() && error.is_connect() {
            let limit = connect_timeout.as_secs_f64();
            format!("no connection to the token endpoint within {limit} s; check the network and HTTPS_PROXY")
        } else if error.is_timeout() {
            format!("no answer from the token endpoint within {} s", attempt_timeout.as_secs_f64())
        } else if error.is_connect() {
            let setting = self.address_setting;
            format!("no connection to the token endpoint; check {setting}, the network and HTTPS_PROXY")
        } else {
            "the connection to the token endpoint was interrupted".to_owned()
        };
        TokenError::new(kind, message).with_source(error)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("unix_socket", &self.network.unix_socket).finish_non_exhaustive()
    }
}

impl Network {
    pub(super) fn new(attempt_timeout: Duration) -> Self {
        Self {
            unix_socket: None,
            extra_ca_pem: None,
            proxies: Proxies::from_env(),
            connect_timeout: Duration::from_secs(3),
            attempt_timeout,
        }
    }
}

impl Exchange {
    pub(super) fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.header(&DATE)?).ok()
    }

    /// RFC 9110 §10.2.3: seconds, or a date, which is taken against the answer's own `Date` where it has one.
    pub(super) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let value = self.header(&RETRY_AFTER)?.trim();
        if value.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that does not fit is a long time all the same.
            return (!value.is_empty()).then(|| Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
        }
        let until = httpdate::parse_http_date(value).ok()?;
        Some(until.duration_since(self.date().unwrap_or(now)).unwrap_or_default())
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
