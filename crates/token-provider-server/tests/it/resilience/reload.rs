//! A changed configuration file is taken into use under load, if it can be.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::process::Signal;
use tokio::process::Command;

use super::load::Load;
use super::process::Process;
use crate::support::program::Folder;
use crate::support::wire::request;

const FILE: &str = "token-provider.toml";
const RELOADED: &str = "configuration reloaded";
const NOT_USED: &str = "the changed configuration is not used";

const KEY: &str = "tp_an-api-key-of-the-tests";
/// SHA-256 of [`KEY`].
const KEY_SHA256: &str = "2afc7b4f98282acff9cc11cab04e893c8c99c4f6805afc2a94574069651bb957";

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
    let line = server.logged(before, "take effect after a restart").await;
    // The flag goes on to beat the file: only what differs is told.
    assert!(line.contains("log") && !line.contains("listen,"), "{line}");
    server.logged(before, RELOADED).await;
    assert_eq!((status(address, &A).await, status(address, &B).await), (403, 200));
    assert_eq!(server.count(start, RELOADED), 2);
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_access_rule_cannot_be_taken_from_an_open_listener() {
    let folder = Folder::new();
    let rule = format!("[[access.api_keys]]\nid = 'a'\nsha256 = '{KEY_SHA256}'\n");
    folder.write(FILE, &rule);
    let mut server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "0.0.0.0:0"]));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, listening(&server).await.port()));
    let key = [("X-API-Key", KEY)];
    assert_eq!((status(address, &key).await, status(address, &[]).await), (200, 401));

    let before = server.so_far();
    folder.write(FILE, "public_hosts = ['tokens.example.com']\n");
    server.signal(Signal::HUP);
    let line = server.logged(before, NOT_USED).await;
    assert!(line.contains("0.0.0.0") && line.contains("outside this machine"), "{line}");
    assert_eq!((status(address, &key).await, status(address, &[]).await), (200, 401), "is as it was");

    // A listener on loopback in the file is for the next start, and makes this one no safer.
    let before = server.so_far();
    folder.write(FILE, "listen = ['localhost:0']\n");
    server.signal(Signal::HUP);
    server.logged(before, NOT_USED).await;
    assert_eq!(status(address, &[]).await, 401);

    // Saying so is another matter.
    let before = server.so_far();
    folder.write(FILE, "access.anonymous = true\n");
    server.signal(Signal::HUP);
    server.logged(before, RELOADED).await;
    assert_eq!(status(address, &[]).await, 200);
    assert!(server.is_running());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_from_an_open_socket_that_systemd_has_passed() {
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
    assert_eq!(status(address, &[]).await, 401);

    let before = server.so_far();
    folder.write(FILE, "public_hosts = ['tokens.example.com']\n");
    server.signal(Signal::HUP);
    let line = server.logged(before, NOT_USED).await;
    assert!(line.contains("0.0.0.0") && line.contains("outside this machine"), "{line}");
    assert_eq!(status(address, &[]).await, 401);
}

/// The server's address; with `--sandbox`, the account's is logged, too.
async fn listening(server: &Process) -> SocketAddr {
    let line = server.logged(0, "listening on http://").await;
    let address = line.split("listening on http://").nth(1).and_then(|rest| rest.split('"').next());
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address: {line}"))
}
