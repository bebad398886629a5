//! Sockets that systemd has opened.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::REQUEST;
use crate::support::program::Folder;
use crate::support::wire::{Connection, get};
use crate::support::within;

/// Starts the program with a TCP and a Unix socket from outside, as systemd does: as descriptors 3 and 4.
fn start_activated(tcp: TcpListener, unix: UnixListener, arguments: &[&str]) -> Child {
    // The shell gives way to the program, which so has the process id that is told.
    let script = r#"export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:local
        exec "$0" "$@" 3<&0 4<&1 </dev/null >/dev/null"#;
    Command::new("/bin/sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_token-provider")])
        .args(["serve", "--sandbox", "--log-format", "text"])
        .args(arguments)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(tcp)))
        .stdout(Stdio::from(OwnedFd::from(unix)))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("starts")
}

/// Reads the log until a line has this text, or to the end.
async fn log_until(child: &mut Child, text: &str) -> String {
    let mut lines = BufReader::new(child.stderr.take().expect("is piped")).lines();
    let mut log = String::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.expect("can be read") {
            log.push_str(&line);
            log.push('\n');
            if line.contains(text) {
                break;
            }
        }
    };
    within("the log", reading).await;
    // Logging to a closed pipe fails.
    child.stderr = Some(lines.into_inner().into_inner());
    log
}

fn sockets(folder: &Path) -> (TcpListener, UnixListener) {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    (tcp, UnixListener::bind(folder.join("x.sock")).expect("can be bound"))
}

#[tokio::test]
async fn sockets_from_systemd_are_served_by_name() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("x.sock");
    let (tcp, unix) = sockets(folder.path());
    let address = tcp.local_addr().expect("is bound");
    let mut child = start_activated(tcp, unix, &["--listen", "systemd:local", "--listen", "systemd:web"]);
    let log = log_until(&mut child, "listening on ").await;
    assert!(log.contains(&format!("listening on unix:{} and http://{address}", path.display())), "{log}");

    assert_eq!(get(address, "/getToken").await.status, 200);
    let stream = within("a connection", UnixStream::connect(&path)).await.expect("connects");
    let mut connection = Connection::new(stream);
    connection.send(REQUEST).await;
    assert_eq!(connection.reply().await.status, 200);

    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("is running");
    kill_process(id, Signal::TERM).expect("can be signalled");
    let status = within("the end", child.wait()).await.expect("can be waited for");
    assert!(status.success(), "{status}");
    assert!(path.exists(), "whose socket it is, is systemd");
}

#[tokio::test]
async fn all_sockets_from_systemd_are_served_when_no_name_is_given() {
    let folder = tempfile::tempdir().expect("can be made");
    let (tcp, unix) = sockets(folder.path());
    let address = tcp.local_addr().expect("is bound");
    let mut child = start_activated(tcp, unix, &["--listen", "systemd"]);
    let log = log_until(&mut child, "listening on ").await;
    assert!(log.contains(&format!("http://{address}")) && log.contains("unix:"), "{log}");
    assert_eq!(get(address, "/livez").await.status, 200);
}

/// What the configuration cannot tell of it shows when it is there.
#[tokio::test]
async fn open_socket_from_systemd_is_refused_where_nothing_says_who_may_ask() {
    let folder = tempfile::tempdir().expect("can be made");
    let (_, unix) = sockets(folder.path());
    let open = || TcpListener::bind("0.0.0.0:0").expect("a port is free");
    let mut refused = start_activated(open(), unix.try_clone().expect("can be"), &["--listen", "systemd"]);
    let log = log_until(&mut refused, "listening on ").await;
    assert!(log.contains("can be reached from other machines"), "{log}");
    assert_eq!(within("the end", refused.wait()).await.expect("can be waited for").code(), Some(78));

    let mut allowed = start_activated(open(), unix, &["--listen", "systemd", "--anonymous"]);
    log_until(&mut allowed, "listening on ").await;
}

#[tokio::test]
async fn socket_that_systemd_has_not_passed_is_an_error() {
    let folder = tempfile::tempdir().expect("can be made");
    let (tcp, unix) = sockets(folder.path());
    let mut child = start_activated(tcp, unix, &["--listen", "systemd:admin"]);
    let log = log_until(&mut child, "no such line").await;
    assert!(log.contains("systemd passed no socket with this name, only web, local"), "{log}");
    assert_eq!(within("the end", child.wait()).await.expect("can be waited for").code(), Some(1));

    let folder = Folder::new();
    let outcome = folder.run(&["serve", "--sandbox", "--anonymous", "--listen", "systemd"]).await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("systemd passed no socket to this process"), "{outcome:?}");
}
