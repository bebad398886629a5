//! A changed configuration file is taken into use under load, if it can be.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::Instant;

use super::load::Load;
use super::process::Process;
use crate::support::identity::IdentityProvider;
use crate::support::program::{Folder, feed};
use crate::support::wire::{Connection, request};
use crate::support::within;

pub(super) const FILE: &str = "token-provider.toml";
pub(super) const RELOADED: &str = "configuration reloaded";
pub(super) const NOT_USED: &str = "the changed configuration is not used";

pub(super) const LOCKED: &str = "refusing everyone";

const KEY: &str = "tp_an-api-key-of-the-tests-0123456789-0123456789";
/// SHA-256 of [`KEY`].
const KEY_SHA256: &str = "45031396deae5803240c63b24994287aa2715350dc5622d246f33ad3de2d5d50";

async fn status(address: SocketAddr, headers: &[(&str, &str)]) -> u16 {
    request(address, "GET", "/getToken", headers).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn added_origin_takes_effect_and_a_broken_file_changes_nothing() {
    const A: [(&str, &str); 1] = [("Origin", "https://a.example")];
    const B: [(&str, &str); 1] = [("Origin", "https://b.example")];
    let folder = Folder::new();
    folder.write(FILE, "cors.origins = ['https://a.example']\n");
    let server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let address = listening(&server).await;
    let load = Load::start(address).await;
    assert_eq!((status(address, &A).await, status(address, &B).await), (200, 403));

    // Found by looking, with no signal.
    let start = server.so_far();
    let other = folder.write("other", "cors.origins = ['https://a.example', 'https://b.example']\n");
    fs::rename(other, folder.path(FILE)).expect("can be renamed");
    server.logged(start, RELOADED).await;
    assert_eq!((status(address, &A).await, status(address, &B).await), (200, 200));

    for (broken, problem) in [
        ("cors.origins = [", "token-provider.toml:1"),
        ("cors.origins = ['planted/secret']", "cors.origins"),
        ("cors.orgins = []", "did you mean"),
    ] {
        let before = server.so_far();
        folder.write(FILE, broken);
        server.signal(Signal::HUP);
        let line = server.logged(before, NOT_USED).await;
        assert!(line.contains(problem) && !line.contains("planted"), "{line}");
        assert_eq!((status(address, &A).await, status(address, &B).await), (200, 200));
    }

    let before = server.so_far();
    folder
        .write(FILE, "listen = ['127.0.0.1:1']\ncors.origins = ['https://b.example']\nlog.format = 'text'\n");
    server.signal(Signal::HUP);
    let line = server.logged(before, "take effect only after a restart").await;
    // The flag goes on to beat the file: only what differs is told.
    assert!(line.contains("log") && !line.contains("listen,"), "{line}");
    server.logged(before, RELOADED).await;
    assert_eq!((status(address, &A).await, status(address, &B).await), (403, 200));
    assert_eq!(server.count(start, RELOADED), 2);
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_that_is_taken_out_is_gone_on_kept_connections_within_seconds() {
    let proxy = "access.trusted_proxy = { from = ['127.0.0.1'], header = 'X-User' }\n";
    let with = |rules: &str| proxy.replace(" }", &format!(", rules = [{rules}] }}"));
    let folder = Folder::new();
    folder.write(FILE, &with("{ users = ['alice'] }, { users = ['b*'] }"));
    let server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let address = listening(&server).await;
    let mut kept = Connection::open(address).await;
    let mut ask = async |user| {
        kept.send(format!("GET /getToken HTTP/1.1\r\nHost: localhost\r\nX-User: {user}\r\n\r\n")).await;
        kept.reply().await.status
    };
    assert_eq!((ask("alice").await, ask("bob").await, ask("carol").await), (200, 200, 403));
    // Found by looking, with no signal.
    let (start, before) = (server.so_far(), Instant::now());
    let other = folder.write("other", &with("{ users = ['alice'] }"));
    fs::rename(other, folder.path(FILE)).expect("can be renamed");
    server.logged(start, RELOADED).await;
    assert!(before.elapsed().as_secs() < 5, "{:?}", before.elapsed());
    assert_eq!((ask("alice").await, ask("bob").await), (200, 403));
    // Without any the section's own policy would be for everybody: an empty list changes nothing.
    let start = server.so_far();
    folder.write(FILE, &with(""));
    server.signal(Signal::HUP);
    assert!(server.logged(start, NOT_USED).await.contains("expected one table at least"));
    assert_eq!((ask("alice").await, ask("bob").await), (200, 403));
    // A file without the key says so, and the log says what that means.
    let start = server.so_far();
    folder.write(FILE, proxy);
    server.signal(Signal::HUP);
    let line = server.logged(start, "no rules are left for").await;
    assert!(line.contains("access.trusted_proxy"), "{line}");
    server.logged(start, RELOADED).await;
    assert_eq!((ask("alice").await, ask("bob").await), (200, 200));
}

#[cfg(all(target_os = "linux", not(portable)))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_socket_that_systemd_has_passed_is_locked_with_the_last_access_rule() {
    let folder = Folder::new();
    folder.write(FILE, &format!("[[access.api_keys]]\nid = 'a'\nsha256 = '{KEY_SHA256}'\n"));
    let socket = TcpListener::bind("0.0.0.0:0").expect("a port is free");
    // As systemd does it: descriptor 3, and the process id that the shell gives way with.
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\" 3<&0 </dev/null"])
        .args([env!("CARGO_BIN_EXE_token-provider"), "serve", "--sandbox", "--listen", "systemd"])
        .env_clear()
        .current_dir(folder.path(""))
        .stdin(OwnedFd::from(socket))
        .stderr(Stdio::piped());
    let server = Process::start(command);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, listening(&server).await.port()));
    assert_eq!((status(address, &[("X-API-Key", KEY)]).await, status(address, &[]).await), (200, 401));

    let before = server.so_far();
    folder.write(FILE, "public_hosts = ['tokens.example.com']\n");
    server.signal(Signal::HUP);
    let line = server.logged(before, LOCKED).await;
    assert!(!line.contains("restart"), "{line}");
    assert_eq!((status(address, &[("X-API-Key", KEY)]).await, status(address, &[]).await), (401, 401));
}

/// The server's address; with `--sandbox`, the account's is logged, too.
async fn listening(server: &Process) -> SocketAddr {
    let line = server.logged(0, "listening on http://").await;
    let address = line.split("listening on http://").nth(1).and_then(|rest| rest.split(['"', ';']).next());
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address: {line}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_that_is_taken_back_is_taken_back() {
    const A: [(&str, &str); 1] = [("Origin", "https://a.example")];
    const B: [(&str, &str); 1] = [("Origin", "https://b.example")];
    let folder = Folder::new();
    let a = "cors.origins = ['https://a.example']\n";
    folder.write(FILE, a);
    let server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let address = listening(&server).await;
    for (text, expected) in
        [("cors.origins = ['https://b.example']\n", (403, 200)), (a, (200, 403))].repeat(2)
    {
        let before = server.so_far();
        folder.write(FILE, text);
        server.signal(Signal::HUP);
        server.logged(before, RELOADED).await;
        assert_eq!((status(address, &A).await, status(address, &B).await), expected, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_restart_is_told_until_it_runs() {
    const WAITS: &str = "take effect only after a restart";
    let folder = Folder::new();
    let a = "admin.listen = 0\n";
    folder.write(FILE, a);
    let server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let admin = server.address_after("metrics and status at http://").await;
    assert_eq!(waiting_at(admin).await, "[]");
    let b = "admin.listen = 0\naudit.to = 'off'\n";
    for (text, expected) in [
        (b.to_owned(), "[\"audit\"]"),
        // It waits still, whatever else changes.
        (format!("{b}lifetimes = ['5m', '1h']\n"), "[\"audit\"]"),
        (format!("{b}log.format = 'text'\n"), "[\"log.format\",\"audit\"]"),
        (format!("{a}lifetimes = ['5m', '1h']\n"), "[]"),
        (b.to_owned(), "[\"audit\"]"),
        (a.to_owned(), "[]"),
    ] {
        let before = server.so_far();
        folder.write(FILE, &text);
        server.signal(Signal::HUP);
        server.logged(before, RELOADED).await;
        assert_eq!(waiting_at(admin).await, expected, "{text}");
        if expected == "[]" {
            assert_eq!(server.count(before, WAITS), 0, "{text}");
        } else {
            server.logged(before, WAITS).await;
        }
    }
    // A file that cannot be used changes nothing of that.
    let before = server.so_far();
    folder.write(FILE, b);
    server.signal(Signal::HUP);
    server.logged(before, RELOADED).await;
    folder.write(FILE, "=");
    server.signal(Signal::HUP);
    server.logged(before, NOT_USED).await;
    assert_eq!(waiting_at(admin).await, "[\"audit\"]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_level_is_taken_into_use_and_taken_back() {
    const HEARD: &str = "SIGHUP: ";
    let folder = Folder::new();
    folder.write(FILE, "admin.listen = 0\n");
    let server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let admin = server.address_after("metrics and status at http://").await;
    let reload = async |text: &str, waits: &str| {
        folder.write(FILE, &format!("admin.listen = 0\n{text}"));
        server.signal(Signal::HUP);
        // At level error the log does not tell.
        within("the reload", async { while waiting_at(admin).await != waits {} }).await;
    };
    for _ in 0..2 {
        let before = server.so_far();
        reload("log.level = 'error'\naudit.to = 'off'\n", "[\"audit\"]").await;
        // The status may tell of the reload before the log's thread has written this line.
        server.logged(before, HEARD).await;
        let quiet = server.so_far();
        reload("log.level = 'error'\n", "[]").await;
        folder.write(FILE, "=");
        server.signal(Signal::HUP);
        server.logged(quiet, NOT_USED).await;
        assert_eq!(server.count(quiet, HEARD), 0, "at level error");
        reload("log.level = 'info'\naudit.to = 'off'\n", "[\"audit\"]").await;
        let loud = server.so_far();
        reload("log.level = 'info'\n", "[]").await;
        server.logged(loud, HEARD).await;
    }
}

/// What the status says of changes that take effect after a restart.
async fn waiting_at(admin: SocketAddr) -> String {
    let reply = request(admin, "GET", "/status", &[("Accept", "application/json")]).await;
    reply.json()["configuration"]["waiting_for_restart"].to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_the_identity_provider_outlive_a_reload() {
    let (folder, provider) = (Folder::new(), IdentityProvider::start().await);
    folder.write(FILE, &provider.config());
    let server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let address = listening(&server).await;
    let bearer = format!("Bearer {}", provider.token());
    let token = [("Authorization", bearer.as_str())];
    assert_eq!((status(address, &token).await, provider.asked()), (200, 1));
    for number in 1..3 {
        let before = server.so_far();
        folder.write(FILE, &format!("{}max_ttl = '{number}h'\n", provider.config()));
        server.signal(Signal::HUP);
        server.logged(before, RELOADED).await;
        assert_eq!((status(address, &token).await, provider.asked()), (200, 1), "it need not be asked again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configuration_that_did_not_answer_is_read_when_it_does() {
    let folder = Folder::new();
    folder.write(FILE, "cors.origins = ['https://a.example']\n");
    let server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let address = listening(&server).await;
    let before = server.so_far();
    // Hangs until somebody writes into it, as on a network file system whose server is gone for a while.
    fs::rename(folder.pipe("pipe"), folder.path(FILE)).expect("can be renamed");
    server.signal(Signal::HUP);
    server.logged(before, "the file system does not respond").await;
    let page = [("Origin", "https://a.example")];
    assert_eq!(status(address, &page).await, 200, "callers are answered");
    feed(folder.path(FILE), "cors.origins = ['https://b.example']\n");
    server.logged(before, RELOADED).await;
    assert_eq!(status(address, &page).await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_certificate_is_found_by_looking() {
    const READ: &str = "certificate read";
    let folder = Folder::new();
    let write_pair = || {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("can be made");
        folder.write("tls.key", &pair.signing_key.serialize_pem());
        folder.write("tls.crt", &pair.cert.pem());
        reqwest::Certificate::from_pem(pair.cert.pem().as_bytes()).expect("is one")
    };
    folder.write(FILE, "tls = { cert = 'tls.crt', key = 'tls.key' }\n");
    let first = write_pair();
    let server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let address = server.address_after("listening on https://").await;
    let is_shown = async |certificate: &reqwest::Certificate| {
        let client =
            reqwest::Client::builder().tls_certs_only([certificate.clone()]).resolve("localhost", address);
        let request =
            client.build().expect("is a client").get(format!("https://localhost:{}/livez", address.port()));
        within("an answer", request.send()).await.is_ok()
    };
    assert!(is_shown(&first).await);
    let before = server.so_far();
    let second = write_pair();
    // With no signal.
    server.logged(before, READ).await;
    assert!(is_shown(&second).await && !is_shown(&first).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_is_exchanged_for_another_without_a_gap_and_expires_on_a_kept_connection() {
    const NEW: &str = "tp_another-api-key-of-the-tests-0123456789-0123456789";
    const NEW_SHA256: &str = "03c0fff417a9802135c3139049c60ce36d7ca2602087a8c7adc5804301bdf5d6";
    let folder = Folder::new();
    let write = |rest: &str| {
        folder
            .write(FILE, &format!("[admin]\nlisten = '127.0.0.1:0'\n[[access.api_keys]]\nid = 'a'\n{rest}\n"))
    };
    write(&format!("sha256 = '{KEY_SHA256}'"));
    let server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let address = listening(&server).await;
    let admin = server.address_after("metrics and status at http://").await;
    let mut kept = Connection::open(address).await;
    let mut ask = async |key: &str| {
        kept.send(format!("GET /getToken HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n\r\n")).await;
        kept.reply().await
    };
    let reload = async |rest: &str| {
        let before = server.so_far();
        write(rest);
        server.signal(Signal::HUP);
        server.logged(before, RELOADED).await;
    };
    let [old, new] = [KEY_SHA256, NEW_SHA256].map(|hash| hash.split_at(8).0);

    assert_eq!((ask(KEY).await.status, ask(NEW).await.status), (200, 401));
    let both = format!("sha256 = ['{NEW_SHA256}', '{KEY_SHA256}']");
    reload(&both).await;
    for (key, digits) in [(KEY, old), (NEW, new), (KEY, old)] {
        let before = server.so_far();
        assert_eq!(ask(key).await.status, 200);
        let line = server.logged(before, "token handed out").await;
        assert!(line.contains(&format!(r#""caller":"a","key":"{digits}""#)), "{line}");
    }

    reload(&format!("sha256 = '{NEW_SHA256}'")).await;
    assert_eq!((ask(KEY).await.status, ask(NEW).await.status), (401, 200));

    let before = server.so_far();
    reload(&format!("sha256 = '{NEW_SHA256}'\nexpires = 2020-01-31T00:00:00Z")).await;
    let reply = ask(NEW).await;
    assert_eq!((reply.status, reply.description().as_str()), (401, "the API key has expired"));
    let warning = server.logged(before, "an API key has expired, or soon will").await;
    assert!(warning.contains("a expired at 2020-01-31T00:00:00Z"), "{warning}");
    let metrics = request(admin, "GET", "/metrics", &[]).await;
    let sample = "token_provider_api_key_expiry_timestamp_seconds{caller=\"a\"} 1580428800\n";
    assert!(metrics.text().contains(sample), "no {sample}: {}", metrics.text());
}
