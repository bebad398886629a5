//! The life of the server: how it ends, and what the router does without it.
//!
//! Where time is to pass, it passes while nothing is on its way over a socket: the system may take its time with that,
//! and time that is made to pass does not wait for it.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use here_sandbox::{Fault, HangUp, Sandbox, SandboxConfig};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::until;

const BOUND: Duration = Duration::from_secs(30);
const TIMESTAMP: &[u8] = b"GET /timestamp HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 4096];
    let read = tokio::time::timeout(BOUND, stream.read(&mut buffer)).await.unwrap().unwrap_or(0);
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

#[tokio::test]
async fn shutdown_ends_idle_and_hanging_connections() {
    let sandbox = Sandbox::new(SandboxConfig::generate());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, signal) = oneshot::channel::<()>();
    let served = sandbox.clone();
    let server = tokio::spawn(async move { served.serve(listener, async { drop(signal.await) }).await });

    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(TIMESTAMP).await.unwrap();
    assert!(read_some(&mut idle).await.starts_with("HTTP/1.1 200"));

    sandbox.faults().inject(Fault::new().with_hang().with_count(1));
    let mut hanging = TcpStream::connect(address).await.unwrap();
    hanging
        .write_all(b"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    until(|| sandbox.faults().list().is_empty()).await;

    let before = tokio::time::Instant::now();
    shutdown.send(()).unwrap();
    server.await.unwrap().unwrap();
    let grace = Duration::from_secs(5);
    assert!(before.elapsed() < grace, "at once, not when patience ends");
    assert_eq!(read_some(&mut idle).await, "");
    assert_eq!(read_some(&mut hanging).await, "");
}

#[tokio::test]
async fn shutdown_lets_a_running_request_finish_and_accepts_no_other() {
    let sandbox = Sandbox::new(SandboxConfig::generate());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, signal) = oneshot::channel::<()>();
    let served = sandbox.clone();
    let server = tokio::spawn(async move { served.serve(listener, async { drop(signal.await) }).await });

    let delay = Duration::from_secs(1);
    sandbox.faults().inject(Fault::new().with_delay(delay).with_count(1));
    let mut running = TcpStream::connect(address).await.unwrap();
    running
        .write_all(b"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    until(|| sandbox.faults().list().is_empty()).await;
    tokio::time::pause();
    shutdown.send(()).unwrap();
    let mut is_refused = false;
    for _ in 0..100 {
        tokio::task::yield_now().await;
        is_refused |= std::net::TcpStream::connect(address).is_err();
    }
    assert!(is_refused && !server.is_finished());
    tokio::time::advance(delay).await;
    tokio::time::resume();
    assert!(read_some(&mut running).await.starts_with("HTTP/1.1 401"));
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_half_a_request() {
    let sandbox = Sandbox::new(SandboxConfig::generate());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, signal) = oneshot::channel::<()>();
    let server = tokio::spawn(async move { sandbox.serve(listener, async { drop(signal.await) }).await });

    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(TIMESTAMP).await.unwrap();
    assert!(read_some(&mut slow).await.starts_with("HTTP/1.1 200"));
    slow.write_all(b"GET /timestamp HTTP/1.1\r\nHost: loc").await.unwrap();

    tokio::time::pause();
    let before = tokio::time::Instant::now();
    shutdown.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert!(before.elapsed() <= Duration::from_secs(6), "{:?}", before.elapsed());
    tokio::time::resume();
    assert_eq!(read_some(&mut slow).await, "");
}

#[tokio::test]
async fn dropping_the_server_closes_kept_alive_connections() {
    let sandbox = Sandbox::new(SandboxConfig::generate());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { sandbox.serve(listener, std::future::pending()).await });
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(TIMESTAMP).await.unwrap();
        assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
    server.abort();
    assert_eq!(read_some(&mut stream).await, "");
}

#[tokio::test]
async fn router_without_connections_keeps_its_control_endpoint_closed() {
    let sandbox = Sandbox::new(SandboxConfig::generate());
    let router = TowerToHyperService::new(sandbox.router());
    let request =
        |target: &str| Request::get(target).header("host", "localhost").body(Body::empty()).unwrap();
    assert_eq!(router.call(request("/timestamp")).await.unwrap().status(), 200);
    assert_eq!(router.call(request("/sandbox/stats")).await.unwrap().status(), 403);

    for hang_up in [HangUp::BeforeHeader, HangUp::MidHeader] {
        sandbox.faults().replace(vec![Fault::new().with_hang_up(hang_up)]);
        let request = Request::post("/oauth2/token").body(Body::empty()).unwrap();
        let answer = router.call(request).await.unwrap();
        assert!(to_bytes(answer.into_body(), 1000).await.is_err(), "{hang_up:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn delay_is_waited_for() {
    let sandbox = Sandbox::new(SandboxConfig::generate());
    let router = TowerToHyperService::new(sandbox.router());
    sandbox.faults().inject(Fault::new().with_delay(Duration::from_secs(60)).with_count(1));
    let before = tokio::time::Instant::now();
    let ask = async || {
        let request = Request::post("/oauth2/token").header("host", "localhost").body(Body::empty()).unwrap();
        router.call(request).await.unwrap().status()
    };
    assert_eq!(ask().await, 401, "a delay alone changes nothing else");
    assert_eq!(before.elapsed(), Duration::from_secs(60));
    assert_eq!(ask().await, 401);
    assert_eq!(before.elapsed(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn hang_outlasts_any_patience() {
    let sandbox = Sandbox::new(SandboxConfig::generate());
    let router = TowerToHyperService::new(sandbox.router());
    sandbox.faults().inject(Fault::new().with_hang());
    let request = Request::post("/oauth2/token").body(Body::empty()).unwrap();
    let day = Duration::from_secs(86_400);
    assert!(tokio::time::timeout(day, router.call(request)).await.is_err());
}
