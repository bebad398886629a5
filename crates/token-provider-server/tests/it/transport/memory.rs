//! What an attack costs the program itself: its memory, at its peak.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::authority::Authority;
use super::http2::{END_HEADERS, END_STREAM, Frames, HEADERS, frame, get, post};
use crate::support::program::{Folder, Running, address_after};
use crate::support::wire::{self, Connection};
use crate::support::within;

const PING: u8 = 6;
const MIB: u64 = 1024;

/// As many as there may be with a memory limit of 128 MiB: it keeps 64 MiB for itself, and a connection takes 96 KiB at most.
const CONNECTIONS: u32 = 682;
/// One of HTTP/2 counts twice, and so does the next one that the listener waits for.
const HTTP2_CONNECTIONS: u32 = CONNECTIONS / 2 - 1;
/// Handshakes under way at once: with more, the last would take too long for the server.
const AT_ONCE: usize = 32;

/// The program with TLS, and an issuer that never answers.
struct Target {
    running: Running,
    address: SocketAddr,
    authority: Authority,
    _folder: Folder,
    _issuer: TcpListener,
}

impl Target {
    async fn start(files: u32) -> Self {
        let (folder, authority) = (Folder::new(), Authority::new());
        let leaf = authority.server();
        folder.write("tls.crt", &leaf.certificate);
        folder.write("tls.key", &leaf.key);
        let issuer = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let endpoint = format!("http://{}/oauth2/token", issuer.local_addr().expect("is bound"));
        let credential = format!(
            "here.access.key.id = an-id\nhere.access.key.secret = a-secret\nhere.token.endpoint.url = {endpoint}\n"
        );
        folder.write("credentials.properties", &credential);
        folder.write("c.toml", "[tls]\ncert = \"tls.crt\"\nkey = \"tls.key\"\n");
        let arguments = ["serve", "--config", "c.toml", "--listen", "127.0.0.1:0"];
        let mut running = folder.start_with_files(files, &arguments);
        let words = "listening on https://";
        let address = address_after(&running.logged(words).await, words);
        Self { running, address, authority, _folder: folder, _issuer: issuer }
    }

    async fn connect(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
        let config = config.expect("is supported").with_root_certificates(self.authority.roots());
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = within("a connection", TcpStream::connect(self.address)).await.expect("connects");
        stream.set_nodelay(true).expect("is open");
        let name = ServerName::try_from("localhost").expect("is a name");
        within("a handshake", TlsConnector::from(Arc::new(config)).connect(name, stream))
            .await
            .expect("works")
    }

    async fn open(&self) -> Frames {
        Frames::begin(self.connect(b"h2").await).await
    }

    /// Sends a head as long as it may be.
    async fn ask_over_http1(&self, line_and_fields: &str) -> Connection<TlsStream<TcpStream>> {
        let mut connection = Connection::new(self.connect(b"http/1.1").await);
        let fields =
            (0..95).map(|number| format!("x-{number}: {}\r\n", "x".repeat(150))).collect::<Vec<_>>().concat();
        connection.send(format!("{line_and_fields}Host: localhost\r\n{fields}\r\n")).await;
        connection
    }
}

/// Does so many things side by side, and returns what they leave.
async fn side_by_side<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let (room, mut running) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for task in tasks {
        let room = Arc::clone(&room).acquire_owned().await.expect("is open");
        running.spawn(async move {
            let left = task.await;
            drop(room);
            left
        });
    }
    running.join_all().await
}

/// Sends requests, each with so many empty fields, and waits until the server has seen them.
async fn ask(frames: &mut Frames, requests: Range<u32>, head: &[u8], flags: u8, fields: usize) {
    let mut sent = Vec::new();
    let beginning = requests.start;
    for number in requests {
        // The other side remembers the first; each after it is one byte.
        let (first, rest) =
            if number == beginning { (&[0x40, 1, b'x', 0][..], fields - 1) } else { (&[][..], fields) };
        let block = [head, first, &vec![0xbe; rest]].concat();
        sent.extend(frame(HEADERS, END_HEADERS | flags, number * 2 + 1, &block));
    }
    sent.extend(frame(PING, 0, 0, &[0; 8]));
    within("sending", frames.write.write_all(&sent)).await.expect("the server reads");
    assert!(frames.next_of(PING).await.is_some(), "the connection is good");
}

#[tokio::test]
async fn hundred_connections_whose_bodies_never_come_cost_little() {
    let target = Target::start(1024).await;
    let before = target.running.peak_memory();
    let mut opened = Vec::new();
    for _ in 0..100 {
        // A connection that asks for nothing is closed after a while.
        let mut frames = target.open().await;
        ask(&mut frames, 0..100, &post(), 0, 470).await;
        opened.push(frames);
    }
    let cost = target.running.peak_memory() - before;
    assert!(cost <= 64 * MIB, "{cost} KiB");
}

#[cfg(all(target_os = "linux", not(portable)))]
#[tokio::test]
async fn memory_of_connections_that_have_ended_is_given_back() {
    let folder = Folder::new();
    let mut running = folder.start_with_files(4096, &["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    let address = running.address().await;
    let before = running.memory();
    let mut heads = JoinSet::new();
    for _ in 0..2000 {
        heads.spawn(async move {
            let mut connection = Connection::open(address).await;
            connection.send(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(14_000))).await;
            connection
        });
    }
    let heads = heads.join_all().await;
    let asked = async |is_enough: fn(u64) -> bool| {
        while !is_enough(running.memory() - before) {
            assert_eq!(wire::get(address, "/livez").await.status, 200);
        }
    };
    within("the heads in memory", asked(|taken| taken > 32 * MIB)).await;
    drop(heads);
    within("the memory", asked(|taken| taken < 8 * MIB)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacker_that_has_all_connections_stays_below_the_memory_limit() {
    for (head, flags, fields) in [(post(), 0, 470), (post(), 0, 90), (get("/getToken"), END_STREAM, 90)] {
        let target = Arc::new(Target::start(64 + CONNECTIONS).await);
        let ask = move |mut frames: Frames, requests| {
            let head = head.clone();
            async move {
                ask(&mut frames, requests, &head, flags, fields).await;
                frames
            }
        };
        // All have their places before one takes another for a stream.
        let open = (0..HTTP2_CONNECTIONS).map(|_| {
            let (target, ask) = (Arc::clone(&target), ask.clone());
            async move { ask(target.open().await, 0..1).await }
        });
        let opened = side_by_side(open).await;
        let _held = side_by_side(opened.into_iter().map(|frames| ask(frames, 1..20))).await;
        let peak = target.running.peak_memory();
        assert!(peak <= 128 * MIB, "{fields} fields: {peak} KiB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacker_that_has_all_connections_over_http1_stays_below_the_memory_limit() {
    let post = "POST /oauth2/token HTTP/1.1\r\nExpect: 100-continue\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n";
    for (head, is_answered) in [(post, true), ("GET /getToken HTTP/1.1\r\n", false)] {
        let target = Arc::new(Target::start(64 + CONNECTIONS).await);
        // The listener waits for two places, of which HTTP/1.1 gives one back.
        let attack = (1..CONNECTIONS).map(|_| {
            let target = Arc::clone(&target);
            async move {
                let mut connection = target.ask_over_http1(head).await;
                if is_answered {
                    // It is told to go on, or refused.
                    connection.head().await;
                }
                connection
            }
        });
        let _held = side_by_side(attack).await;
        let peak = target.running.peak_memory();
        assert!(peak <= 128 * MIB, "{head}: {peak} KiB");
    }
}
