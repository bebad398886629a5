//! HTTP/1.1 as bytes: for requests that no client library would send, and answers as they are.

use std::fmt;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::within;

/// One answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// As sent: order, case and repetition.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a header that is there once at most.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is given twice: {self:?}");
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("is text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The `error` of a refusal.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn description(&self) -> String {
        self.json()["error_description"].as_str().unwrap_or_default().to_owned()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}", String::from_utf8_lossy(&self.body))
    }
}

/// A connection on which requests are written as bytes.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    stream: S,
    read: Vec<u8>,
}

impl Connection<TcpStream> {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await.expect("connects");
        Self::new(stream)
    }

    /// Opens a connection from the loopback address `127.0.0.…`.
    pub(crate) async fn open_from(last: u8, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("can be made");
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).expect("is ours");
        Self::new(within("a connection", socket.connect(address)).await.expect("connects"))
    }

    /// Returns whether the server has neither sent anything nor closed, without waiting.
    pub(crate) fn is_silent(&self) -> bool {
        let mut byte = [0];
        let read = self.stream.try_read(&mut byte);
        self.read.is_empty() && read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("sending", self.stream.write_all(bytes.as_ref())).await.expect("is sent");
    }

    /// Sends what the server may not want to read to the end.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        within("sending", self.stream.write_all(bytes.as_ref())).await
    }

    /// Sends these bytes and closes this side right behind them.
    pub(crate) async fn send_last(&mut self, bytes: impl AsRef<[u8]>) {
        self.send(bytes).await;
        within("closing this side", self.stream.shutdown()).await.expect("is closed");
    }

    /// Reads the next answer, to a request that was not `HEAD`.
    pub(crate) async fn reply(&mut self) -> Reply {
        self.reply_to("GET").await
    }

    /// Reads the next head: start line and fields.
    pub(crate) async fn head(&mut self) -> String {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            let more = self.more().await;
            assert!(more, "closed before an answer: {:?}", String::from_utf8_lossy(&self.read));
        };
        let head: Vec<u8> = self.read.drain(..end + 4).take(end).collect();
        String::from_utf8(head).expect("a head is ASCII")
    }

    pub(crate) async fn reply_to(&mut self, method: &str) -> Reply {
        let head = self.head().await;
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let headers = lines
            .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut reply = Reply {
            status: status.unwrap_or_else(|| panic!("no status: {status_line}")),
            headers,
            body: Vec::new(),
        };
        assert_eq!(reply.header("transfer-encoding"), None, "every answer says how long it is");
        let has_body = method != "HEAD" && !matches!(reply.status, 204 | 304);
        if has_body {
            let length = reply.header("content-length").unwrap_or("0").parse().expect("is a length");
            while self.read.len() < length {
                assert!(self.more().await, "closed within a body: {reply:?}");
            }
            reply.body = self.read.drain(..length).collect();
        }
        reply
    }

    /// Waits until the server closes; `false` when it says something instead.
    pub(crate) async fn is_closed_by_server(&mut self) -> bool {
        self.read.is_empty() && !self.more().await
    }

    /// Returns whether the server closes the connection, with one of these statuses or without a response. (An answer
    /// can be lost where the server closes over bytes that it has not read.)
    pub(crate) async fn is_refused_with(&mut self, statuses: &[u16]) -> bool {
        if self.is_closed_by_server().await {
            return true;
        }
        let reply = self.reply().await;
        statuses.contains(&reply.status)
    }

    /// Reads more; `false` at the end. A connection that is reset has ended.
    async fn more(&mut self) -> bool {
        let read = within("an answer", self.stream.read_buf(&mut self.read)).await;
        read.is_ok_and(|count| count > 0)
    }
}

/// Makes one request on its own connection.
pub(crate) async fn get(address: SocketAddr, target: &str) -> Reply {
    request(address, "GET", target, &[]).await
}

pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Reply {
    send(address, method, target, headers, "").await
}

/// Asks for a token at `POST /oauth2/token`; `fields` beside the grant type each begin with `&`.
pub(crate) async fn post_form(address: SocketAddr, fields: &str, headers: &[(&str, &str)]) -> Reply {
    let body = format!("grant_type=client_credentials{fields}");
    let length = body.len().to_string();
    let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", &length)];
    send(address, "POST", "/oauth2/token", &[&form, headers].concat(), &body).await
}

/// Reports a token at `POST /oauth2/revoke`; `fields` beside it each begin with `&`.
pub(crate) async fn report(
    address: SocketAddr,
    token: &str,
    fields: &str,
    headers: &[(&str, &str)],
) -> Reply {
    let body = format!("token={token}{fields}");
    let length = body.len().to_string();
    let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", &length)];
    send(address, "POST", "/oauth2/revoke", &[&form, headers].concat(), &body).await
}

pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut connection = Connection::open(address).await;
    let mut lines = vec![format!("{method} {target} HTTP/1.1\r\nConnection: close")];
    if !headers.iter().any(|(name, _)| *name == "Host") {
        lines.push(format!("Host: {address}"));
    }
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    connection.send(lines.join("\r\n") + "\r\n\r\n" + body).await;
    let reply = connection.reply_to(method).await;
    assert!(connection.is_closed_by_server().await, "asked to close: {reply:?}");
    reply
}
