//! HTTP/2 as frames (RFC 9113), for what no client library would send.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use rustls::version::TLS13;
use token_provider::TokenProvider;
use token_provider_server::parts::listen::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::authority::Files;
use super::{REQUEST, TlsServer};
use crate::support::issuer::GatedIssuer;
use crate::support::server::Setup;
use crate::support::wire::Connection;
use crate::support::within;

pub(super) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

const MAX_CONCURRENT_STREAMS: u16 = 3;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// The client's side of a connection, and what it reads.
pub(super) struct Frames {
    read: ReadHalf<TlsStream<TcpStream>>,
    pub(super) write: WriteHalf<TlsStream<TcpStream>>,
}

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frames {
    async fn open(server: &TlsServer) -> Self {
        let mut config = server.client_config(&[&TLS13]);
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self::begin(server.try_connect(Arc::new(config)).await.expect("shakes hands")).await
    }

    pub(super) async fn begin(stream: TlsStream<TcpStream>) -> Self {
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (read, write) = split(stream);
        let mut frames = Self { read, write };
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &[]));
        frames.write.write_all(&hello).await.expect("is sent");
        frames
    }

    /// Reads the next frame; none when the server has closed.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within("a frame", self.read.read_exact(&mut head)).await.ok()?;
        let [a, b, c, kind, _flags, stream @ ..] = head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let mut payload = vec![0; length];
        within("a frame", self.read.read_exact(&mut payload)).await.ok()?;
        Some(Frame { kind, stream: u32::from_be_bytes(stream), payload })
    }

    pub(super) async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Sends while reading, until the server ends it. Returns the code of its `GOAWAY`.
    async fn flood(mut self, chunks: impl Iterator<Item = Vec<u8>>) -> (u32, usize) {
        let mut sent = 0;
        let mut write = self.write;
        let sending = async {
            for chunk in chunks {
                if write.write_all(&chunk).await.is_err() {
                    break;
                }
                sent += 1;
            }
        };
        let reading = async {
            let mut code = None;
            let mut head = [0; 9];
            while self.read.read_exact(&mut head).await.is_ok() {
                let [a, b, c, kind, ..] = head;
                let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
                if self.read.read_exact(&mut payload).await.is_err() {
                    break;
                }
                if kind == GOAWAY {
                    code = number(&payload, 4);
                }
            }
            code
        };
        let (code, ()) = within("the end of the connection", async { tokio::join!(reading, sending) }).await;
        (code.expect("the server says why"), sent)
    }
}

fn number(payload: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(payload.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("is short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET`, as a header block (RFC 7541): indexed fields, and literals that are not remembered.
pub(super) fn get(path: &str) -> Vec<u8> {
    block(0x82, &[(&[4], path), (&[1], "localhost")])
}

/// A token request.
pub(super) fn post() -> Vec<u8> {
    let form = (&[0x0f, 0x10][..], "application/x-www-form-urlencoded");
    block(0x83, &[(&[4], "/oauth2/token"), (&[1], "localhost"), form])
}

fn block(method: u8, fields: &[(&[u8], &str)]) -> Vec<u8> {
    let mut block = vec![method, 0x87];
    for (name, value) in fields {
        block.extend(*name);
        block.push(u8::try_from(value.len()).expect("is short"));
        block.extend(value.as_bytes());
    }
    block
}

fn request(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &get(path))
}

async fn is_well(server: &TlsServer) {
    let client = server.client().build().expect("is a client");
    let answer = within("an answer", client.get(server.url("/getToken")).send()).await.expect("is answered");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn limits_are_told_at_the_beginning() {
    let server = TlsServer::start().await;
    let mut frames = Frames::open(&server).await;
    let settings = frames.next_of(SETTINGS).await.expect("comes first").payload;
    let setting = |wanted: u16| {
        settings
            .chunks(6)
            .find(|setting| setting.starts_with(&wanted.to_be_bytes()))
            .and_then(|setting| number(setting, 2))
    };
    assert_eq!(setting(MAX_CONCURRENT_STREAMS), Some(20));
    assert_eq!(setting(MAX_HEADER_LIST_SIZE), Some(16 * 1024));
}

#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection() {
    const HUNDREDS: u32 = 10_000;
    let server = TlsServer::start().await;
    let frames = Frames::open(&server).await;
    // CVE-2023-44487: each request is cancelled before it can count.
    let chunks = (0..HUNDREDS).map(|hundred| {
        let streams = (0..100).map(|number| (hundred * 100 + number) * 2 + 1);
        streams
            .flat_map(|stream| {
                let reset = frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
                [request(stream, "/getToken?ttl=60"), reset].concat()
            })
            .collect()
    });
    let (code, sent) = frames.flood(chunks).await;
    assert_eq!(code, ENHANCE_YOUR_CALM);
    assert!(sent < HUNDREDS as usize, "a million requests were taken");
    is_well(&server).await;
}

#[tokio::test]
async fn head_without_an_end_ends_the_connection() {
    let server = TlsServer::start().await;
    let frames = Frames::open(&server).await;
    // The CONTINUATION flood: `x: xxx…`, never indexed, on and on.
    let mut field = vec![0x10, 1, b'x', 0x7f, 0x81, 0x7c];
    field.extend([b'x'; 16_000]);
    let beginning = frame(HEADERS, END_STREAM, 1, &get("/getToken"));
    let more = (0..4000).map(|_| frame(CONTINUATION, 0, 1, &field));
    let (code, sent) = frames.flood(std::iter::once(beginning).chain(more)).await;
    assert_ne!(code, 0, "it is an error");
    assert!(sent < 4000, "64 MB were taken");
    is_well(&server).await;
}

#[tokio::test]
async fn head_that_is_too_large_is_431() {
    let server = TlsServer::start().await;
    let client = server.client().build().expect("is a client");
    let request = client.get(server.url("/getToken")).header("x-large", "x".repeat(20 * 1024));
    let answer = within("an answer", request.send()).await.expect("is answered");
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn idle_connection_ends_with_a_proper_farewell() {
    let short = Duration::from_millis(50);
    // This client does not answer the ping that goes with the farewell.
    let limits = Limits { idle: short, linger: short, ..Limits::default() };
    let server = TlsServer::start_with(Setup::default().limits(limits), Files::new()).await;
    let mut frames = Frames::open(&server).await;
    let livez = request(1, "/livez");
    frames.write.write_all(&livez).await.expect("is sent");
    assert_eq!(frames.next_of(HEADERS).await.expect("is answered").stream, 1);
    let farewell = frames.next_of(GOAWAY).await.expect("is said");
    assert_eq!(number(&farewell.payload, 4), Some(0), "nobody did anything wrong");
    assert!(frames.next_of(HEADERS).await.is_none(), "and then it is closed");
}

#[tokio::test]
async fn draining_server_keeps_the_connection_and_says_farewell_at_the_end() {
    let server = TlsServer::start().await;
    let mut frames = Frames::open(&server).await;
    server.server.app.access.drain();
    for stream in [1, 3, 5] {
        frames.write.write_all(&request(stream, "/getToken")).await.expect("is sent");
        // In the order of the connection: a farewell would come before the next answer.
        let next = loop {
            let next = frames.next().await.expect("the connection is open");
            if [HEADERS, GOAWAY].contains(&next.kind) {
                break next;
            }
        };
        assert_eq!((next.kind, next.stream), (HEADERS, stream));
    }
    server.server.begin_shutdown();
    let farewell = frames.next_of(GOAWAY).await.expect("is said");
    assert_eq!(number(&farewell.payload, 4), Some(0));
}

#[tokio::test]
async fn requests_above_the_limit_are_refused_one_by_one() {
    let issuer = Arc::new(GatedIssuer::new("planted.token.text"));
    let limits = Limits { streams: 2, ..Limits::default() };
    let setup = Setup::default().limits(limits).provider(TokenProvider::new(Arc::clone(&issuer)));
    let server = TlsServer::start_with(setup, Files::new()).await;
    let mut frames = Frames::open(&server).await;
    // Before it can know the limit.
    let requests = [1, 3, 5].map(|stream| request(stream, "/getToken"));
    frames.write.write_all(&requests.concat()).await.expect("is sent");
    let reset = frames.next_of(RST_STREAM).await.expect("is refused");
    assert_eq!((reset.stream, number(&reset.payload, 0)), (5, Some(REFUSED_STREAM)));
    issuer.answer();
    let mut answered = [0; 2];
    for stream in &mut answered {
        *stream = frames.next_of(HEADERS).await.expect("is answered").stream;
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3]);
}

#[tokio::test]
async fn head_of_more_than_a_hundred_fields_is_431() {
    let server = TlsServer::start().await;
    let client = server.client().build().expect("is a client");
    for (fields, expected) in [(100, StatusCode::OK), (101, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)] {
        let mut request = client.get(server.url("/getToken")).header("accept", "*/*");
        for number in 1..fields {
            // The same name again is one more field, too.
            request = request.header(format!("x-{}", number / 2), "");
        }
        let answer = within("an answer", request.send()).await.expect("is answered");
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        assert_eq!(answer.status(), expected, "{fields}");
    }
}

#[tokio::test]
async fn open_streams_count_as_connections() {
    let issuer = Arc::new(GatedIssuer::new("planted.token.text"));
    // Two are this connection's own, and the listener has two for the next connection.
    let limits = Limits { connections: 6, ..Limits::default() };
    let setup = Setup::default().limits(limits).provider(TokenProvider::new(Arc::clone(&issuer)));
    let server = TlsServer::start_with(setup, Files::new()).await;
    let mut frames = Frames::open(&server).await;
    let requests = [1, 3, 5, 7].map(|stream| request(stream, "/getToken"));
    frames.write.write_all(&requests.concat()).await.expect("is sent");
    let reset = frames.next_of(RST_STREAM).await.expect("is refused");
    assert_eq!((reset.stream, number(&reset.payload, 0)), (7, Some(REFUSED_STREAM)));
    issuer.answer();
    for _ in 0..3 {
        assert!(frames.next_of(HEADERS).await.is_some(), "is answered");
    }
    // Their places are there again.
    let requests = [9, 11, 13].map(|stream| request(stream, "/livez"));
    frames.write.write_all(&requests.concat()).await.expect("is sent");
    for _ in 0..3 {
        assert!(frames.next_of(HEADERS).await.is_some(), "is answered");
    }
}

#[tokio::test]
async fn connection_counts_twice_before_its_first_request() {
    let limits = Limits { connections: 4, ..Limits::default() };
    let server = TlsServer::start_with(Setup::default().limits(limits), Files::new()).await;
    let mut first = Frames::open(&server).await;
    let mut second = Frames::open(&server).await;
    assert!(second.next_of(SETTINGS).await.is_some(), "there is room");
    {
        let third = Frames::open(&server);
        tokio::pin!(third);
        let others = async {
            // Time enough for a handshake.
            for number in 0..100 {
                first.write.write_all(&request(number * 2 + 1, "/livez")).await.expect("is sent");
                assert!(first.next_of(HEADERS).await.is_some(), "is answered");
            }
        };
        tokio::select! {
            _ = &mut third => panic!("a third one is let in"),
            () = others => {}
        }
        drop(second);
        assert!(third.await.next_of(SETTINGS).await.is_some(), "there is room again");
    }
}

#[tokio::test]
async fn connection_counts_twice_for_its_address_until_it_is_known_to_be_of_http1() {
    let limits = Limits { connections_per_peer: 4, counts_loopback: true, ..Limits::default() };
    let server = TlsServer::start_with(Setup::default().limits(limits), Files::new()).await;
    let mut first = Frames::open(&server).await;
    assert!(first.next_of(SETTINGS).await.is_some(), "there is room");
    // Neither has begun to shake hands.
    let silent = Connection::open(server.server.address).await;
    let mut refused = Connection::open(server.server.address).await;
    assert!(refused.is_closed_by_server().await, "the address has its share");
    drop(silent);
    let connect = || server.try_connect(Arc::new(server.client_config(&[&TLS13])));
    // The server has to notice first that the silent one is gone.
    let room = async {
        loop {
            if let Ok(stream) = connect().await {
                return Connection::new(stream);
            }
        }
    };
    let mut connection = within("room for another", room).await;
    connection.send(REQUEST).await;
    assert_eq!(connection.reply().await.status, 200);
    assert!(
        connect().await.is_err(),
        "one of HTTP/1.1 leaves room for one more of it, but not for its handshake"
    );
}

#[tokio::test]
async fn stream_has_its_place_until_its_answer_is_taken() {
    let limits = Limits { connections: 5, ..Limits::default() };
    let server = TlsServer::start_with(Setup::default().limits(limits), Files::new()).await;
    let mut frames = Frames::open(&server).await;
    // No answer's body may be sent (SETTINGS_INITIAL_WINDOW_SIZE).
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let requests = [1, 3, 5].map(|stream| request(stream, "/livez"));
    frames.write.write_all(&[no_window, requests.concat()].concat()).await.expect("is sent");
    let reset = frames.next_of(RST_STREAM).await.expect("is refused");
    assert_eq!((reset.stream, number(&reset.payload, 0)), (5, Some(REFUSED_STREAM)));
}
