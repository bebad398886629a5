//! The life of the server: when it answers, and how it ends.
//!
//! Where time is to pass, it passes while nothing is on its way over a socket: the system may take its time with that,
//! and time that is made to pass does not wait for it.

use std::time::Duration;

use here_sandbox::{Fault, Sandbox, SandboxConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Running, until};

const BOUND: Duration = Duration::from_secs(30);
const TIMESTAMP: &[u8] = b"GET /timestamp HTTP/1.1\r\nHost: localhost\r\n\r\n";
const TOKEN: &[u8] = b"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";

async fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 4096];
    let read = tokio::time::timeout(BOUND, stream.read(&mut buffer)).await.unwrap().unwrap_or(0);
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

#[tokio::test]
async fn dropping_the_server_closes_idle_hanging_and_half_asked_connections() {
    let sandbox = Sandbox::new(SandboxConfig::generate());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = sandbox.clone();
    let server = tokio::spawn(async move { served.serve(vec![listener]).await });
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    for stream in [&mut idle, &mut half] {
        for _ in 0..2 {
            stream.write_all(TIMESTAMP).await.unwrap();
            assert!(read_some(stream).await.starts_with("HTTP/1.1 200"));
        }
    }
    half.write_all(b"GET /timestamp HTTP/1.1\r\nHost: loc").await.unwrap();
    sandbox.faults().inject(Fault { hang: true, count: Some(1), ..Fault::default() });
    let mut hanging = TcpStream::connect(address).await.unwrap();
    hanging.write_all(TOKEN).await.unwrap();
    until(|| sandbox.faults().list().is_empty()).await;

    server.abort();
    for stream in [&mut idle, &mut half, &mut hanging] {
        assert_eq!(read_some(stream).await, "");
    }
}

/// A request that has met its fault, with the clock stopped.
async fn send_into_a_fault(running: &Running, fault: Fault) -> TcpStream {
    running.sandbox.faults().inject(Fault { count: Some(1), ..fault });
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(TOKEN).await.unwrap();
    until(|| running.sandbox.faults().list().is_empty()).await;
    tokio::time::pause();
    stream
}

/// Lets this time pass; returns whether an answer came of it, and takes its first byte.
async fn is_answered_after(stream: &TcpStream, time: Duration) -> bool {
    tokio::time::advance(time).await;
    for _ in 0..10_000 {
        if stream.try_read(&mut [0]).is_ok() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn delay_is_waited_for() {
    let running = Running::start().await;
    let mut stream = send_into_a_fault(&running, Fault { delay_ms: Some(60_000), ..Fault::default() }).await;
    assert!(!is_answered_after(&stream, Duration::from_secs(30)).await);
    assert!(is_answered_after(&stream, Duration::from_secs(31)).await);
    tokio::time::resume();
    let answer = read_some(&mut stream).await;
    assert!(answer.starts_with("TTP/1.1 401"), "a delay alone changes nothing else: {answer}");
    stream.write_all(TOKEN).await.unwrap();
    assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 401"), "and is over");
}

#[tokio::test]
async fn hang_outlasts_a_day() {
    let running = Running::start().await;
    let stream = send_into_a_fault(&running, Fault { hang: true, ..Fault::default() }).await;
    assert!(!is_answered_after(&stream, Duration::from_secs(86_400)).await);
}
