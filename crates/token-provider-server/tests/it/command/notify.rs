//! `serve` as a unit of systemd with `Type=notify-reload` and a watchdog: this test listens in systemd's place.

use std::path::Path;

use here_sandbox::Fault;
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tokio::net::UnixDatagram;

use super::check::write_certificate;
use crate::support::program::{Account, Folder};
use crate::support::wire::get;
use crate::support::within;

struct Systemd(UnixDatagram);

impl Systemd {
    fn bind(path: &Path) -> Self {
        Self(UnixDatagram::bind(path).expect("can be bound"))
    }

    /// The next message that is no sign of life.
    async fn hears(&self) -> String {
        loop {
            let message = self.hears_any().await;
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }

    async fn hears_any(&self) -> String {
        let mut buffer = [0; 512];
        let length = within("a message", self.0.recv(&mut buffer)).await.expect("can be received");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

fn monotonic_micros() -> i128 {
    let now = clock_gettime(ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
}

#[tokio::test]
async fn systemd_hears_of_start_life_reload_and_stop() {
    let (account, mut folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    let socket = folder.path("notify");
    let systemd = Systemd::bind(&socket);
    folder.set("NOTIFY_SOCKET", socket.to_str().expect("is text"));
    folder.set("WATCHDOG_USEC", "200000");
    let server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);

    let ready = systemd.hears().await;
    let status = ready.strip_prefix("READY=1\nSTATUS=listening on http://").expect("it is ready");
    assert_eq!(get(status.parse().expect("is an address"), "/getToken").await.status, 200);
    for _ in 0..3 {
        assert_eq!(systemd.hears_any().await, "WATCHDOG=1");
    }

    // Systemd takes only an answer that is younger than its signal.
    let before = monotonic_micros();
    server.signal(Signal::HUP);
    let reloading = systemd.hears().await;
    let micros =
        reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.split('\n').next());
    let micros: i128 = micros.and_then(|micros| micros.parse().ok()).expect("it says when");
    assert!((before..=monotonic_micros()).contains(&micros), "{before} {reloading}");
    assert_eq!(systemd.hears().await, ready);

    server.signal(Signal::TERM);
    assert!(systemd.hears().await.starts_with("STOPPING=1\n"));
    assert_eq!(server.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn systemd_hears_of_a_configuration_that_cannot_be_used_until_it_can() {
    let (account, mut folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    folder.write("token-provider.toml", "");
    let socket = folder.path("notify");
    let systemd = Systemd::bind(&socket);
    folder.set("NOTIFY_SOCKET", socket.to_str().expect("is text"));
    let server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    let ready = systemd.hears().await;
    let listening = ready.strip_prefix("READY=1\nSTATUS=").expect("it is ready");

    folder.write("token-provider.toml", "lifetime = ['5m']\n");
    server.signal(Signal::HUP);
    // The server may find a change by itself first, and tell of it.
    while !systemd.hears().await.starts_with("RELOADING=1\n") {}
    let broken = systemd.hears().await;
    assert!(broken.starts_with("READY=1\nSTATUS=the changed configuration is not used: "), "{broken}");
    assert!(broken.contains("did you mean") && broken.ends_with(listening), "{broken}");

    // It is corrected, and nobody sends a signal.
    folder.write("token-provider.toml", "lifetimes = ['5m']\n");
    assert_eq!(systemd.hears().await, ready);

    // Nobody would have to authenticate any more.
    folder.write("token-provider.toml", &format!("[[access.api_keys]]\nid = 'a'\nsha256 = '{:064x}'\n", 1));
    server.signal(Signal::HUP);
    while !systemd.hears().await.starts_with("RELOADING=1\n") {}
    assert_eq!(systemd.hears().await, ready);
    folder.write("token-provider.toml", "");
    server.signal(Signal::HUP);
    while !systemd.hears().await.starts_with("RELOADING=1\n") {}
    let locked = systemd.hears().await;
    assert!(locked.starts_with("READY=1\nSTATUS=refusing everyone: "), "{locked}");
}

#[tokio::test]
async fn systemd_hears_of_a_certificate_that_is_rejected() {
    let (account, mut folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    write_certificate(&folder, "localhost", 2019, 2099);
    folder.write("token-provider.toml", "[tls]\ncert = \"tls.crt\"\nkey = \"tls.key\"\n");
    let socket = folder.path("notify");
    let systemd = Systemd::bind(&socket);
    folder.set("NOTIFY_SOCKET", socket.to_str().expect("is text"));
    let server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(systemd.hears().await.starts_with("READY=1\nSTATUS=listening on https://"));
    folder.write("tls.crt", "no certificate");
    server.signal(Signal::HUP);
    // The first look by itself may come just after the file was written, and be told before.
    while !systemd.hears().await.starts_with("RELOADING=1\n") {}
    let rejected = systemd.hears().await;
    assert!(
        rejected.starts_with("READY=1\nSTATUS=the new certificate was rejected: tls.cert: "),
        "{rejected}"
    );
}

#[tokio::test]
async fn systemd_gives_a_drain_the_time_that_it_takes() {
    let mut folder = Folder::new();
    let socket = folder.path("notify");
    let systemd = Systemd::bind(&socket);
    folder.set("NOTIFY_SOCKET", socket.to_str().expect("is text"));
    folder.set("TOKEN_PROVIDER_DRAIN", "5m");
    let server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    assert!(systemd.hears().await.starts_with("READY=1\n"));
    server.signal(Signal::TERM);
    let stopping = systemd.hears().await;
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
    // What comes after the drain takes 29 s at most.
    assert!(stopping.ends_with("\nEXTEND_TIMEOUT_USEC=330000000"), "{stopping}");
}

#[tokio::test]
async fn systemd_hears_that_a_reload_is_done_when_the_credential_was_tried() {
    let (account, mut folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    let socket = folder.path("notify");
    let systemd = Systemd::bind(&socket);
    folder.set("NOTIFY_SOCKET", socket.to_str().expect("is text"));
    let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    let ready = systemd.hears().await;
    let address = server.address().await;
    assert_eq!(get(address, "/getToken").await.status, 200);

    // A credential that HERE refuses: everything goes on as it was.
    let refused = account.credentials().replace(&account.secret(), "not-the-secret-of-this-account");
    folder.write("credentials.properties", &refused);
    account.sandbox.faults().inject(Fault { delay_ms: Some(300), ..Fault::default() });
    let before = account.sandbox.stats().token_requests;
    server.signal(Signal::HUP);
    assert!(systemd.hears().await.starts_with("RELOADING=1\n"));
    assert_eq!(systemd.hears().await, ready);
    assert!(account.sandbox.stats().token_requests > before, "it was tried before the reload was done");
    assert_eq!(get(address, "/getToken").await.status, 200);
    server.signal(Signal::TERM);
    assert!(systemd.hears().await.starts_with("STOPPING=1\n"));
}
