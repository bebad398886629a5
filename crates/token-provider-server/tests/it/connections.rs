//! Connections that are many, slow, large or odd: what they get, and that they cost others nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use here_sandbox::Fault;
use socket2::SockRef;
use token_provider_server::parts::access::api_key;
use token_provider_server::parts::listen::{Limits, Listener};
use tokio::net::{TcpListener, TcpStream};

use super::support::server::{Server, Setup};
use super::support::wire::{Connection, Reply, get};
use super::support::within;

const REQUEST: &str = "GET /getToken HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn quick() -> Limits {
    Limits { head: Duration::from_millis(250), idle: Duration::from_millis(250), ..Limits::default() }
}

/// A thousand connections are two thousand descriptors in this process, where many shells allow 1,024.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    // macOS takes 10,240 at most, though it says that there is no limit.
    limit.current = if cfg!(target_os = "macos") { Some(10_240) } else { limit.maximum };
    setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised so far");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_of_a_cold_server_lead_to_one_request() {
    const CALLERS: usize = 1000;
    raise_file_limit();
    let server = Server::start().await;
    // All of them are there while the one request is under way.
    server.sandbox.faults().inject(Fault { delay_ms: Some(500), ..Fault::default() });
    let mut connections = Vec::new();
    for _ in 0..CALLERS {
        connections.push(Connection::open(server.address).await);
    }
    for connection in &mut connections {
        connection.send(REQUEST).await;
    }
    let mut tokens = Vec::new();
    for connection in &mut connections {
        let reply = connection.reply().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        tokens.push(reply.body);
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "all have the same token");
    let stats = server.sandbox.stats();
    assert_eq!((stats.token_requests, stats.tokens_issued), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_lifetime_is_one_request_however_many_ask() {
    let server = Server::start().await;
    server.sandbox.faults().inject(Fault { delay_ms: Some(100), ..Fault::default() });
    let asks: Vec<_> = (0..200)
        .map(|number| {
            // 60 to 359 s: the lifetimes 60 and 300.
            let target = format!("/getToken?ttl={}", 60 + number * 3 / 2);
            tokio::spawn(async move { get(server.address, &target).await.status })
        })
        .collect();
    for ask in asks {
        assert_eq!(within("an answer", ask).await.expect("does not panic"), 200);
    }
    assert_eq!(server.sandbox.stats().token_requests, 2);
}

#[tokio::test]
async fn connection_is_kept_for_more_requests() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    let mut bodies = Vec::new();
    for _ in 0..3 {
        connection.send(REQUEST).await;
        bodies.push(connection.reply().await.body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0] && !body.is_empty()));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start().await;
    // A probe does not wait long for the first token.
    assert_eq!(get(server.address, "/getToken").await.status, 200);
    let mut connection = Connection::open(server.address).await;
    let targets = ["/livez", "/getToken?ttl=0", "/readyz", "/nothing", "/livez"];
    let requests = targets.map(|target| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    connection.send(requests.concat()).await;
    for expected in [200, 400, 200, 404, 200] {
        assert_eq!(connection.reply().await.status, expected);
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    connection.send("GET /getToken HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
    let reply = connection.reply().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(server.sandbox.verify_token(reply.text()).is_ok());
    assert!(connection.is_closed_by_server().await);
    // HTTP/1.0 knows no Host; the rule against DNS rebinding wants one all the same.
    let mut connection = Connection::open(server.address).await;
    connection.send("GET /getToken HTTP/1.0\r\n\r\n").await;
    assert_eq!(connection.reply().await.status, 400);
}

#[tokio::test]
async fn what_is_not_http_is_400() {
    let server = Server::start().await;
    for bytes in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}",
        "hello\r\n\r\n",
        "GET /getToken\r\n\r\n",
        "GET  /getToken HTTP/1.1\r\n\r\n",
        "GET /getToken HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET /getToken HTTP/1.1\r\n folded: x\r\nHost: localhost\r\n\r\n",
        // Request smuggling: two lengths, or a length that is none.
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: +1\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let mut connection = Connection::open(server.address).await;
        connection.send(bytes).await;
        let reply = connection.reply().await;
        assert_eq!(reply.status, 400, "{bytes:?}: {reply:?}");
        assert!(connection.is_closed_by_server().await, "{bytes:?}");
    }
    assert_eq!(server.sandbox.stats().token_requests, 0);
}

#[tokio::test]
async fn head_that_is_too_large_is_431() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    let cookie = "x".repeat(20 * 1024);
    let head = format!("GET /getToken HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
    let _ = connection.try_send(head).await;
    let reply = connection.reply().await;
    assert_eq!(reply.status, 431, "{reply:?}");
    assert!(connection.is_closed_by_server().await);
}

#[tokio::test]
async fn too_many_headers_are_431() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    let headers: Vec<String> = (0..200).map(|number| format!("X-{number}: 1")).collect();
    let headers = headers.join("\r\n");
    connection.send(format!("GET /getToken HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n")).await;
    assert_eq!(connection.reply().await.status, 431);
}

#[tokio::test]
async fn url_of_a_mebibyte_is_refused_and_not_read_to_the_end() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    let target = "x".repeat(1024 * 1024);
    // The server may stop reading at any point, and a client that goes on writing sees the connection reset.
    let _ =
        connection.try_send(format!("GET /getToken?x={target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    assert!(connection.is_refused_with(&[414, 431]).await, "neither refused nor closed");
    assert_eq!(get(server.address, "/livez").await.status, 200);
}

#[tokio::test]
async fn body_is_not_read() {
    let server = Server::start().await;
    for (method, expected) in [("GET", 200), ("POST", 405)] {
        let mut connection = Connection::open(server.address).await;
        // The answer comes although the body never does.
        connection
            .send(format!(
                "{method} /getToken HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
            ))
            .await;
        let reply = connection.reply().await;
        assert_eq!(reply.status, expected, "{method}: {reply:?}");
        assert!(connection.is_closed_by_server().await, "what is left of the body is not read");
    }
}

#[tokio::test]
async fn body_that_is_there_does_not_pass_for_the_next_request() {
    let server = Server::start().await;
    let smuggled = "GET /getToken HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut connection = Connection::open(server.address).await;
    let head = "GET /livez HTTP/1.1\r\nHost: localhost\r\n";
    connection.send(format!("{head}Content-Length: {}\r\n\r\n{smuggled}", smuggled.len())).await;
    assert_eq!(connection.reply().await.text(), "live\n");
    // The connection is good for another one, or closed; the body was not taken for a request.
    let _ = connection.try_send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(connection.is_refused_with(&[404]).await);
    assert_eq!(server.sandbox.stats().token_requests, 0);
}

#[tokio::test]
async fn nobody_is_told_to_send_a_body() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    let head =
        "POST /getToken HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    connection.send(head).await;
    assert_eq!(connection.reply().await.status, 405);
}

#[tokio::test]
async fn head_that_does_not_come_ends_the_connection() {
    let server = Setup::default().limits(quick()).start().await;
    for beginning in ["", "GET", "GET /getToken HTTP/1.1\r\nHost: local"] {
        let mut connection = Connection::open(server.address).await;
        connection.send(beginning).await;
        assert!(connection.is_refused_with(&[408]).await, "{beginning:?}");
    }
}

#[tokio::test]
async fn head_that_comes_byte_by_byte_ends_the_connection() {
    let server = Setup::default().limits(quick()).start().await;
    let mut connection = Connection::open(server.address).await;
    // A byte now and then does not restart the timer: a sender that never ends is cut off by the server.
    let mut sent = 0_u32;
    connection.send("GET /getToken?").await;
    let cut_off = async {
        while connection.try_send("x").await.is_ok() {
            sent += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("being cut off", cut_off).await;
    assert!(sent < 8000, "{sent} bytes were taken");
}

#[tokio::test]
async fn idle_connection_is_closed_in_the_end() {
    let server = Setup::default().limits(quick()).start().await;
    let mut connection = Connection::open(server.address).await;
    connection.send(REQUEST).await;
    assert_eq!(connection.reply().await.status, 200);
    assert!(connection.is_refused_with(&[408]).await);
}

#[tokio::test]
async fn slow_callers_take_nothing_from_others() {
    let server = Server::start().await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut connection = Connection::open(server.address).await;
        connection.send("GET /getToken HTTP/1.1\r\nHost: loc").await;
        slow.push(connection);
    }
    assert_eq!(get(server.address, "/getToken").await.status, 200);
    let mut last = slow.pop().expect("there are 200");
    last.send("alhost\r\n\r\n").await;
    assert_eq!(last.reply().await.status, 200, "slow, and in time");
}

#[tokio::test]
async fn connections_above_the_limit_wait_for_a_place() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let server = Setup::default().limits(limits).start().await;
    let mut first = Connection::open(server.address).await;
    let mut second = Connection::open(server.address).await;
    for connection in [&mut first, &mut second] {
        connection.send(REQUEST).await;
        assert_eq!(connection.reply().await.status, 200);
    }
    let mut third = Connection::open(server.address).await;
    third.send(REQUEST).await;
    // Time enough for an answer: many others are given meanwhile.
    for _ in 0..100 {
        first.send(REQUEST).await;
        assert_eq!(first.reply().await.status, 200);
    }
    assert!(third.is_silent());
    drop(second);
    assert_eq!(third.reply().await.status, 200);
}

#[tokio::test]
async fn caller_that_goes_away_leaves_its_request_to_others() {
    let server = Server::start().await;
    server.sandbox.faults().inject(Fault { delay_ms: Some(200), count: Some(1), ..Fault::default() });
    let mut gone = Connection::open(server.address).await;
    gone.send(REQUEST).await;
    // It has been understood once it is on its way to the account.
    let asked = async {
        while server.sandbox.stats().token_requests == 0 {
            tokio::task::yield_now().await;
        }
    };
    within("a request to the account", asked).await;
    drop(gone);
    assert_eq!(get(server.address, "/getToken").await.status, 200);
    assert_eq!(server.sandbox.stats().token_requests, 1);
}

const FORM: &str = "grant_type=client_credentials";

/// The head of a token request that waits to be told to send its body.
fn form_head(fields: &str) -> String {
    format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n{fields}\r\n",
        FORM.len()
    )
}

async fn begin_form(server: &Server, from: u8, fields: &str) -> Connection<TcpStream> {
    let mut connection = Connection::open_from(from, server.address).await;
    connection.send(form_head(fields)).await;
    connection
}

#[track_caller]
fn assert_too_many(reply: &Reply) {
    let found = (reply.status, reply.error(), reply.header("retry-after"));
    assert_eq!(found, (503, "temporarily_unavailable".to_owned(), Some("1")), "{reply:?}");
    assert!(reply.description().contains("too many request bodies in flight"), "{reply:?}");
}

#[tokio::test]
async fn few_bodies_are_waited_for_at_once_in_all_and_from_one_address() {
    raise_file_limit();
    let server = Server::start().await;
    let mut waiting = Vec::new();
    for address in 1..=8 {
        for _ in 0..32 {
            let mut connection = begin_form(&server, address, "").await;
            assert_eq!(connection.head().await, "HTTP/1.1 100 Continue");
            waiting.push(connection);
        }
        assert_too_many(&begin_form(&server, address, "").await.reply().await);
    }
    assert_too_many(&begin_form(&server, 9, "").await.reply().await);
    let first = &mut waiting[0];
    first.send(FORM).await;
    assert_eq!(first.reply().await.status, 200);
    assert_eq!(begin_form(&server, 1, "").await.head().await, "HTTP/1.1 100 Continue");
}

#[tokio::test]
async fn caller_that_its_head_names_is_judged_before_its_body_comes() {
    let (key, hash) = api_key::generate(api_key::PREFIX).expect("there is randomness");
    let config = format!("[[access.api_keys]]\nid = \"a\"\nsha256 = \"{hash}\"\n");
    let server = Setup::default().config(&config).start().await;
    let mut waiting = Vec::new();
    for _ in 0..32 {
        let mut connection = begin_form(&server, 1, "").await;
        assert_eq!(connection.head().await, "HTTP/1.1 100 Continue");
        waiting.push(connection);
    }
    assert_too_many(&begin_form(&server, 1, "").await.reply().await);
    let basic = |secret: &str| format!("Authorization: Basic {}\r\n", BASE64.encode(format!("a:{secret}")));
    // Its place is not one of those.
    let mut right = begin_form(&server, 1, &basic(&key)).await;
    assert_eq!(right.head().await, "HTTP/1.1 100 Continue");
    right.send(FORM).await;
    assert_eq!(right.reply().await.status, 200);
    let wrong = begin_form(&server, 1, &basic("tp_wrong")).await.reply().await;
    assert_eq!((wrong.status, wrong.error()), (401, "invalid_client".to_owned()), "{wrong:?}");
}

#[tokio::test]
async fn body_in_pieces_of_a_byte_is_read_to_its_limit() {
    let server = Server::start().await;
    let head =
        form_head("").replace(&format!("Content-Length: {}", FORM.len()), "Transfer-Encoding: chunked");
    let head = head.replace("Expect: 100-continue\r\n", "");
    let chunks =
        |text: &str| text.chars().flat_map(|byte| ['1', '\r', '\n', byte, '\r', '\n']).collect::<String>();
    for (padding, expected) in [(16 * 1024 - FORM.len() - 3, 200), (16 * 1024, 413)] {
        let mut connection = Connection::open(server.address).await;
        let form = format!("{FORM}&x={}", "x".repeat(padding));
        let _ = connection.try_send(format!("{head}{}0\r\n\r\n", chunks(&form))).await;
        assert_eq!(connection.reply().await.status, expected);
    }
}

#[tokio::test]
async fn system_keeps_little_of_what_nobody_reads() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.set_nonblocking(true).expect("can be set");
    let (twin, address) =
        (listener.try_clone().expect("can be cloned"), listener.local_addr().expect("is bound"));
    let listener = Listener::Tcp(TcpListener::from_std(listener).expect("can be used"), None);
    let server = Setup::default().start_at(listener, address).await;
    assert_eq!(get(server.address, "/livez").await.status, 200);
    // Every connection has what its listener has; left alone, the system takes up to 4 MiB.
    let socket = SockRef::from(&twin);
    for size in [socket.send_buffer_size(), socket.recv_buffer_size()] {
        assert!(size.expect("can be read") <= 64 * 1024);
    }
}
