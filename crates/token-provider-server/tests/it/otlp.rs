//! Spans for an OpenTelemetry collector: what is in them, what is not, and that a collector holds nobody up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::support::program::{Account, Folder};
use crate::support::wire::{Reply, get, request};
use crate::support::within;

const ANYWHERE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Takes whatever is posted to `/v1/traces`.
#[derive(Clone, Debug, Default)]
struct Collector(Arc<Mutex<Vec<Vec<u8>>>>);

impl Collector {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let origin = format!("http://{}", listener.local_addr().expect("is bound"));
        let collector = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(collector.clone().receive(stream));
            }
        });
        origin
    }

    async fn receive(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length =
                head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            let body = bytes[end + 4..].to_vec();
            if length != Some(body.len()) {
                continue;
            }
            assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
            assert!(head.contains("content-type: application/x-protobuf"), "{head}");
            self.0.lock().expect("no test panics with it").push(body);
            bytes.clear();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("is still there");
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("no test panics with it").concat()
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.0.lock().expect("no test panics with it");
        let scopes = received.iter().flat_map(|body| all(body, 1)).flat_map(|resource| all(resource, 2));
        scopes.flat_map(|scope| all(scope, 2)).map(Span::read).collect()
    }
}

/// A span as it came over the wire (opentelemetry/proto/trace/v1/trace.proto).
#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    attributes: Vec<(String, String)>,
}

impl Span {
    fn read(bytes: &[u8]) -> Self {
        let hex = |field| -> String {
            let id = all(bytes, field).first().copied().unwrap_or_default();
            id.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("is text");
        let attribute = |bytes| {
            let value = all(bytes, 2).concat();
            (text(all(bytes, 1)[0]), all(&value, 1).first().map_or_else(String::new, |value| text(value)))
        };
        Self {
            trace: hex(1),
            id: hex(2),
            parent: hex(4),
            name: text(all(bytes, 5)[0]),
            attributes: all(bytes, 9).into_iter().map(attribute).collect(),
        }
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The fields of a protobuf message that have this number and a length.
fn all(mut message: &[u8], wanted: u64) -> Vec<&[u8]> {
    fn number(message: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (byte, rest) = message.split_first().expect("does not end here");
            *message = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = number(&mut message);
        let length = match tag & 7 {
            0 => {
                number(&mut message);
                continue;
            }
            1 => 8,
            2 => usize::try_from(number(&mut message)).expect("is short"),
            5 => 4,
            kind => panic!("no such kind of field: {kind}"),
        };
        let (field, rest) = message.split_at(length);
        if tag >> 3 == wanted && tag & 7 == 2 {
            found.push(field);
        }
        message = rest;
    }
    found
}

async fn get_in(trace: &str, address: SocketAddr, path: &str) -> Reply {
    request(address, "GET", path, &[("traceparent", trace)]).await
}

#[tokio::test]
async fn collector_gets_the_spans_of_a_request_and_of_the_request_to_here_and_no_secret() {
    let (account, mut folder, collector) = (Account::open().await, Folder::new(), Collector::default());
    folder.write("credentials.properties", &account.credentials());
    folder.set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.start().await);
    folder.set("OTEL_SERVICE_NAME", "tokens-of-the-test");
    let mut server = folder.start(&ANYWHERE);
    let address = server.address().await;
    // The request that is made at the start has ended.
    within("the first token", async { while get(address, "/readyz").await.status != 200 {} }).await;
    let sampled = format!("00-{TRACE}-{PARENT}-01");
    let first = get_in(&sampled, address, "/getToken?ttl=900").await;
    assert_eq!(first.status, 200, "{first:?}");
    let second = get_in(&sampled, address, "/getToken?ttl=900").await;
    assert_eq!(second.text(), first.text(), "it is held");
    let refused = get_in(&sampled, address, "/getToken?ttl=planted").await;
    assert_eq!(refused.status, 400);
    // Not to be recorded, says the caller; and what is not for a token makes no span.
    let unsampled = format!("00-{}-{PARENT}-00", TRACE.replace('4', "5"));
    assert_eq!(get_in(&unsampled, address, "/getToken?ttl=900").await.status, 200);
    assert_eq!(get_in(&sampled, address, "/livez").await.status, 200);
    let preflight = [("traceparent", &*sampled), ("Origin", "http://localhost:5173")];
    assert_eq!(request(address, "OPTIONS", "/getToken", &preflight).await.status, 204);
    server.signal(Signal::TERM);
    let (status, _, log) = server.end().await;
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(log.join("\n").contains("spans go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names"));

    let spans = collector.spans();
    let doors: Vec<_> = spans.iter().filter(|span| span.name == "GET /getToken").collect();
    assert_eq!(doors.len(), 3, "{spans:#?}");
    assert!(doors.iter().all(|span| span.trace == TRACE && span.parent == PARENT), "{spans:#?}");
    let outcomes: Vec<_> = doors.iter().map(|span| span.attribute("outcome")).collect();
    assert_eq!(outcomes, [Some("handed_out"), Some("handed_out"), Some("refused")]);
    assert_eq!(doors[0].attribute("profile"), Some("default"));
    assert_eq!(doors[0].attribute("caller.method"), Some("anonymous"));
    assert_eq!(
        (doors[2].attribute("error"), doors[2].attribute("rule")),
        (Some("invalid_request"), Some("request"))
    );
    let preflight = spans.iter().find(|span| span.name == "OPTIONS /getToken").expect("is one");
    assert_eq!(preflight.attribute("outcome"), None, "nothing was handed out, and nothing refused");

    // One at the start, which belongs to nobody, and the one that the first caller waited for.
    let issuer: Vec<_> = spans.iter().filter(|span| span.name == "issuer_request").collect();
    let (own, others): (Vec<_>, Vec<_>) = issuer.into_iter().partition(|span| span.trace == TRACE);
    assert_eq!((own.len(), others.len(), spans.len()), (1, 1, 6), "{spans:#?}");
    assert_eq!((own[0].parent.as_str(), others[0].parent.as_str()), (doors[0].id.as_str(), ""));
    assert_eq!(own[0].attribute("outcome"), Some("issued"));

    let bytes = collector.bytes();
    let is_in = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(is_in("tokens-of-the-test") && is_in("oauth2/token"));
    for secret in [first.text(), &account.secret(), "planted"] {
        assert!(!is_in(secret), "a secret or a stranger's word is in a span");
    }
}

#[tokio::test]
async fn collector_that_hangs_holds_up_neither_handouts_nor_the_end() {
    let (account, mut folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    // Takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    folder.set("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", silent.local_addr().expect("is bound")));
    folder.set("OTEL_BSP_SCHEDULE_DELAY", "10");
    folder.set("OTEL_BSP_MAX_QUEUE_SIZE", "10");
    let mut server = folder.start(&ANYWHERE);
    let address = server.address().await;
    for _ in 0..50 {
        let reply = within("a handout", get(address, "/getToken")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    // From here on the exporter waits for an answer.
    let _connection = within("the exporter's request", silent.accept()).await.expect("can be accepted");
    let start = Instant::now();
    server.signal(Signal::TERM);
    let (status, _, log) = server.end().await;
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    for words in ["the last spans could not be sent in time", "SpanDroppingStarted"] {
        assert!(log.join("\n").contains(words), "{words}: {log:#?}");
    }
}
