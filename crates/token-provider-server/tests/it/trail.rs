//! The audit trail of a running server: every handout has its line, and a disk that is full stops none.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::support::port::Port;
use super::support::program::{Folder, Running};
use super::support::wire::{Connection, get};
use super::support::within;

const CONNECTIONS: usize = 4;
/// Requests that are sent before the first of them is answered.
const AT_ONCE: usize = 100;

/// Starts the program with its own audit trail, and returns it with the addresses for callers and for metrics.
async fn start(folder: &Folder, trail: &Path) -> (Running, [SocketAddr; 2]) {
    let config = format!("admin.listen = 0\naudit.to = \"{}\"\n", trail.display());
    folder.write("token-provider.toml", &config);
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    let addresses = server.addresses().await;
    (server, addresses)
}

/// Has this many tokens handed out, and sees that they are.
async fn hand_out(address: SocketAddr, count: usize) {
    let mut callers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        callers.spawn(async move {
            let mut connection = Connection::open(address).await;
            let request = format!("GET /getToken?ttl=3600 HTTP/1.1\r\nHost: {address}\r\n\r\n");
            let mut left = count / CONNECTIONS;
            while left > 0 {
                let batch = left.min(AT_ONCE);
                connection.send(request.repeat(batch)).await;
                for _ in 0..batch {
                    let reply = connection.reply().await;
                    assert_eq!(reply.status, 200, "{reply:?}");
                }
                left -= batch;
            }
        });
    }
    callers.join_all().await;
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("is there");
    assert!(text.ends_with('\n'), "the last line is whole");
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

/// The value of a sample, once it is what is waited for.
async fn sample_becomes(admin: SocketAddr, sample: &str, expected: u64) {
    let line = format!("{sample} {expected}");
    let waiting = async {
        while !get(admin, "/metrics").await.text().lines().any(|has| has == line) {
            tokio::task::yield_now().await;
        }
    };
    within(&line, waiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundred_thousand_handouts_are_as_many_lines() {
    const COUNT: usize = 100_000;
    let folder = Folder::new();
    let path = folder.path("audit.jsonl");
    let (server, [callers, admin]) = start(&folder, &path).await;
    hand_out(callers, COUNT).await;
    sample_becomes(admin, "token_provider_audit_lines_total", 100_000).await;
    server.signal(Signal::TERM);
    assert!(server.end().await.0.success());

    assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
    let lines = lines(&path);
    assert_eq!(lines.len(), COUNT);
    let mut requests = HashSet::new();
    for line in &lines {
        assert_eq!((&line["outcome"], &line["status"]), (&"handed_out".into(), &200.into()), "{line}");
        assert_eq!(line["fingerprint"].as_str().map(str::len), Some(12), "{line}");
        assert!(requests.insert(line["request_id"].as_str().expect("is text")), "twice: {line}");
    }
}

#[tokio::test]
async fn refusal_and_failure_are_in_the_log_wherever_the_trail_goes() {
    for audit in ["log", "stdout", "off"] {
        let folder = Folder::new();
        // Nobody listens there.
        let endpoint = "http://127.0.0.1:1/oauth2/token";
        let credential = "here.access.key.id = id\nhere.access.key.secret = secret\n";
        folder
            .write("credentials.properties", &format!("{credential}here.token.endpoint.url = {endpoint}\n"));
        let callers = Port::new();
        let config = format!("listen = ['{}']\naudit.to = '{audit}'\n", callers.address);
        folder.write("token-provider.toml", &config);
        let mut server = folder.start(&["serve"]);
        within("the start", async { while TcpStream::connect(callers.address).await.is_err() {} }).await;
        assert_eq!(get(callers.address, "/getToken").await.status, 503, "{audit}");
        server.logged("no token for a caller").await;
        let line = server.last_line();
        assert!(line.contains(r#""level":"WARN""#), "{audit}: {line}");
        for _ in 0..30 {
            assert_eq!(get(callers.address, "/getToken?ttl=5").await.status, 400, "{audit}");
        }
        // None is left out.
        for _ in 0..30 {
            server.logged("token refused").await;
            let line = server.last_line();
            assert!(line.contains(r#""level":"INFO""#) && line.contains(r#""rule":"request""#), "{line}");
        }
    }
}

#[tokio::test]
async fn journal_is_standard_output() {
    let folder = Folder::new();
    folder.write("token-provider.toml", "audit.to = 'journal'\n");
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    let reply = get(server.address().await, "/getToken").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    server.signal(Signal::TERM);
    let (status, stdout, _) = server.end().await;
    assert!(status.success());
    let line: Value = serde_json::from_str(&stdout).expect("is one line");
    assert_eq!((&line["outcome"], &line["status"]), (&"handed_out".into(), &200.into()), "{line}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_stops_no_handout_and_what_is_lost_is_counted_and_marked() {
    const LOST: usize = 2000;
    const LATER: usize = 40;
    let folder = Folder::new();
    let path = folder.path("audit.jsonl");
    // Writing there fails as on a full disk (full(4)).
    symlink("/dev/full", &path).expect("can be made");
    let (mut server, [callers, admin]) = start(&folder, &path).await;
    hand_out(callers, LOST).await;
    sample_becomes(admin, "token_provider_audit_lines_lost_total{reason=\"write_failed\"}", 2000).await;
    server.logged("audit lines lost").await;
    let status = get(admin, "/status").await.json();
    assert_eq!(status["audit"]["lines_lost"]["write_failed"], LOST);

    // Room again: another file, taken into use on SIGHUP.
    fs::remove_file(&path).expect("is there");
    server.signal(Signal::HUP);
    within("the new file", async {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    hand_out(callers, LATER).await;
    sample_becomes(admin, "token_provider_audit_lines_total", 40).await;
    server.signal(Signal::TERM);
    assert!(server.end().await.0.success());
    let lines = lines(&path);
    assert_eq!(lines.len(), LATER + 1);
    assert_eq!((&lines[0]["outcome"], &lines[0]["lines"]), (&"lines_lost".into(), &LOST.into()));
    assert!(lines[1..].iter().all(|line| line["outcome"] == "handed_out"), "{lines:?}");
}
