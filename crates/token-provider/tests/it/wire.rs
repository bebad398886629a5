//! A token endpoint on a raw socket, which answers as a test says: well, badly, in part, or not at all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use token_provider::{Credential, HereIssuer, HereIssuerConfig, TokenKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Planted where a leak would show: the access key, the token, and the body of an answer that brings none.
pub(crate) const SECRET: &str = "QzPlantedSecretQz";
pub(crate) const TOKEN: &str = "QzPlantedTokenQz";
pub(crate) const BODY: &str = "QzPlantedBodyQz";

/// What the endpoint does with one request.
pub(crate) enum Reply {
    /// Writes these bytes and closes the connection.
    Close(String),
    /// Writes these bytes and keeps the connection for the next request.
    Keep(String),
    /// Writes these bytes and then nothing, with the connection open.
    Stall(String),
    /// Writes these bytes one at a time, with pauses, over and over.
    Trickle(String, Duration),
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Request line and header fields.
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct Endpoint {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Endpoint {
    /// Listens on loopback; `reply` is told the request and its number, from 1.
    pub(crate) async fn start(reply: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("is bound");
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let log = Arc::clone(&requests);
        let reply = Arc::new(reply);
        let connections = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(connection, Arc::clone(&log), Arc::clone(&reply)));
            }
        });
        Self {
            url: format!("http://{address}/oauth2/token"),
            requests,
            connections,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no test panics with it").clone()
    }

    /// Returns the requests, and makes sure that each was signed for itself alone.
    pub(crate) fn signed_requests(&self) -> Vec<Request> {
        let requests = self.requests();
        let mut nonces: Vec<String> =
            requests.iter().filter_map(|request| request.oauth("oauth_nonce")).collect();
        let count = nonces.len();
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), count, "a nonce was used twice");
        requests
    }

    pub(crate) fn credential(&self) -> Credential {
        Credential::new("key-id", SecretString::from(SECRET))
            .and_then(|credential| credential.with_token_endpoint_url(&self.url))
            .expect("is well-formed")
    }

    /// An issuer that asks this endpoint, with the usual limits: a busy machine may well take a second for an answer.
    pub(crate) fn issuer(&self) -> HereIssuer {
        self.issuer_with(|_| {})
    }

    pub(crate) fn issuer_with(&self, change: impl FnOnce(&mut HereIssuerConfig)) -> HereIssuer {
        let mut config = HereIssuerConfig::new(self.credential());
        change(&mut config);
        HereIssuer::new(config).expect("TLS can be set up")
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Request {
    /// Returns the value of a header field, or "" where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// Returns a parameter of the `Authorization` header.
    pub(crate) fn oauth(&self, name: &str) -> Option<String> {
        let (_, rest) = self.header("authorization").split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    }

    pub(crate) fn timestamp(&self) -> u64 {
        self.oauth("oauth_timestamp").and_then(|text| text.parse().ok()).expect("is signed")
    }
}

async fn serve(
    mut connection: TcpStream,
    log: Arc<Mutex<Vec<Request>>>,
    reply: Arc<impl Fn(usize, &Request) -> Reply>,
) {
    while let Some(request) = receive(&mut connection).await {
        let number = {
            let mut log = log.lock().expect("no test panics with it");
            log.push(request.clone());
            log.len()
        };
        // Writing fails where the issuer has hung up, as it does at its limits.
        match reply(number, &request) {
            Reply::Keep(text) => {
                let _ = connection.write_all(text.as_bytes()).await;
            }
            Reply::Close(text) => {
                let _ = connection.write_all(text.as_bytes()).await;
                let _ = connection.shutdown().await;
                return;
            }
            Reply::Stall(text) => {
                let _ = connection.write_all(text.as_bytes()).await;
                let _ = connection.read_u8().await;
                return;
            }
            Reply::Trickle(text, pause) => {
                for byte in text.bytes().cycle() {
                    if connection.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

/// Reads one request to the end of its body; `None` when the connection ends.
async fn receive(connection: &mut TcpStream) -> Option<Request> {
    let mut text = Vec::new();
    loop {
        let read = String::from_utf8_lossy(&text);
        if let Some((head, body)) = read.split_once("\r\n\r\n") {
            let request = Request { head: head.to_owned(), body: body.to_owned() };
            if body.len() >= request.header("content-length").parse().unwrap_or(0) {
                return Some(request);
            }
        }
        if connection.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    }
}

/// An answer with a body and its length.
pub(crate) fn answer(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// HERE's answer to a good request.
pub(crate) fn token(expires_in: u64) -> String {
    let body = format!(r#"{{"accessToken":"{TOKEN}","tokenType":"bearer","expiresIn":{expires_in}}}"#);
    answer("200 OK", "Content-Type: application/json\r\n", &body)
}

/// HERE's answer to a request with a timestamp that it does not accept.
pub(crate) fn timestamp_refused(fields: &str) -> String {
    let body =
        format!(r#"{{"errorCode":401204,"message":"Time stamp is outside the valid period. {BODY}"}}"#);
    answer("401 Unauthorized", fields, &body)
}

pub(crate) fn hour() -> TokenKey {
    TokenKey::default()
}
