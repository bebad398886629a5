//! A running sandbox with a clock that stands still, a raw HTTP client, and a signer that shares no code
//! with the sandbox.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use here_sandbox::{Sandbox, SandboxConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) const KEY_ID: &str = "access-key-id-1234";
pub(crate) const SECRET: &str =
    "A1b2C3d4E5f6G7h8I9j0K-l_M1n2O3p4Q5r6S7t8U9v0W-x_Y1z2a3B4c5D6e7F8g9H0i-J_k1L2m3N4o5P6q7";
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const PLAIN_JSON: &str = r#"{"grantType":"client_credentials","expiresIn":3600}"#;

/// Far beyond what any exchange here takes; only a test that would hang meets it.
const BOUND: Duration = Duration::from_secs(30);

/// How often [`until`] looks; each look lets the server run.
const LOOKS: usize = 1_000_000;

static NONCE: AtomicU64 = AtomicU64::new(0);

/// A sandbox that is served until this is dropped.
pub(crate) struct Running {
    pub(crate) sandbox: Sandbox,
    pub(crate) address: SocketAddr,
    clock: Arc<AtomicI64>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut SandboxConfig)) -> Self {
        let clock = Arc::new(AtomicI64::new(NOW));
        let mut config = SandboxConfig::new(KEY_ID, SECRET);
        config.clock = Some(Arc::clone(&clock));
        change(&mut config);
        let sandbox = Sandbox::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = sandbox.clone();
        let task = tokio::spawn(async move { served.serve(vec![listener]).await });
        Self { sandbox, address, clock, task }
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// A signer for this sandbox's token endpoint and clock.
    pub(crate) fn signer(&self) -> Signer {
        Signer::new(&format!("http://{}/oauth2/token", self.address), self.now())
    }

    /// Sends a properly signed JSON request.
    pub(crate) async fn ask(&self) -> Answer {
        self.post_token(&self.signer().header(&[]), JSON, PLAIN_JSON).await
    }

    /// Gets a token, in any case.
    pub(crate) async fn token(&self) -> String {
        self.ask().await.json()["accessToken"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn post_token(&self, authorization: &str, content_type: &str, body: &str) -> Answer {
        let headers = [("Authorization", authorization), ("Content-Type", content_type)];
        self.send("POST", "/oauth2/token", &headers, body).await
    }

    pub(crate) async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", target, headers, "").await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let raw = self.raw(&self.request(method, target, headers, body)).await;
        Answer::parse(&raw).unwrap_or_else(|| panic!("not an answer: {:?}", String::from_utf8_lossy(&raw)))
    }

    /// The text of a request that asks for the connection to be closed; `Host` is added unless it is among
    /// the headers.
    pub(crate) fn request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
        let mut lines = vec![format!("{method} {target} HTTP/1.1"), "Connection: close".into()];
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            lines.push(format!("Host: {}", self.address));
        }
        lines.push(format!("Content-Length: {}", body.len()));
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        format!("{}\r\n\r\n{body}", lines.join("\r\n"))
    }

    /// The text of a properly signed token request.
    pub(crate) fn token_request(&self) -> String {
        let authorization = self.signer().header(&[]);
        self.request(
            "POST",
            "/oauth2/token",
            &[("Authorization", &authorization), ("Content-Type", JSON)],
            PLAIN_JSON,
        )
    }

    /// Sends bytes and returns all that comes until the other side closes the connection.
    pub(crate) async fn raw(&self, request: &str) -> Vec<u8> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("an orderly end of the connection");
            answer
        };
        tokio::time::timeout(BOUND, exchange).await.expect("an answer in time")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lets the server run until something has come true.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it did not come true");
}

/// An HTTP answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn parse(raw: &[u8]) -> Option<Self> {
        let end = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
        let (head, body) = raw.split_at(end);
        let head = std::str::from_utf8(head).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Some(Self { status, headers: headers.collect(), body: body[4..].to_vec() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(candidate, _)| candidate == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Status and HERE's error code, after a check that the body is complete and consistent.
    pub(crate) fn refusal(&self) -> (u16, u64) {
        let body = self.json();
        let code = body["errorCode"].as_u64().unwrap_or_default();
        let message = body["message"].as_str().unwrap();
        assert_eq!(body["httpStatus"], self.status, "{body}");
        let id = body["errorId"].as_str().unwrap().strip_prefix("ERROR-").unwrap();
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{body}");
        assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{body}");
        let description = body["error_description"].as_str().unwrap();
        match code {
            0 => assert_eq!(description, message),
            code => assert_eq!(description, format!("errorCode: '{code}'. {message}")),
        }
        assert!(!String::from_utf8_lossy(&self.body).contains(SECRET));
        (self.status, code)
    }
}

/// Signs as RFC 5849 §3.4 says, with whatever parts a test wants to be different.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) url: String,
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) nonce: String,
    pub(crate) timestamp: String,
    pub(crate) method: String,
    pub(crate) version: String,
}

impl Signer {
    pub(crate) fn new(url: &str, now: i64) -> Self {
        Self {
            url: url.into(),
            key_id: KEY_ID.into(),
            secret: SECRET.into(),
            nonce: format!("n{}", NONCE.fetch_add(1, Ordering::Relaxed)),
            timestamp: now.to_string(),
            method: "HMAC-SHA256".into(),
            version: "1.0".into(),
        }
    }

    /// The header in the layout of HERE's C++ and JavaScript SDKs; `signed` are the form fields and query
    /// parameters.
    pub(crate) fn header(&self, signed: &[(&str, &str)]) -> String {
        self.header_parts(signed).join(",").replacen("oauth", "OAuth oauth", 1)
    }

    /// The parameters of the header, one by one, the signature last.
    pub(crate) fn header_parts(&self, signed: &[(&str, &str)]) -> Vec<String> {
        let own = [
            ("oauth_consumer_key", self.key_id.as_str()),
            ("oauth_nonce", &self.nonce),
            ("oauth_signature_method", &self.method),
            ("oauth_timestamp", &self.timestamp),
            ("oauth_version", &self.version),
        ];
        let encoded = |(name, value): &(&str, &str)| (encode(name), encode(value));
        let mut pairs: Vec<_> = own.iter().chain(signed).map(encoded).collect();
        pairs.sort();
        let parameters: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let base_string = format!("POST&{}&{}", encode(&self.url), encode(&parameters.join("&")));
        let signature = self.sign_base_string(&base_string);
        let mut parts: Vec<_> =
            own.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value))).collect();
        parts.push(format!("oauth_signature=\"{}\"", encode(&signature)));
        parts
    }

    pub(crate) fn sign_base_string(&self, base_string: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, format!("{}&", encode(&self.secret)).as_bytes());
        STANDARD.encode(hmac::sign(&key, base_string.as_bytes()))
    }
}

pub(crate) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
