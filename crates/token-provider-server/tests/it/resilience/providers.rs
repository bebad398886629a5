//! Several identity providers: one that is away, hangs, loses its keys or is taken out of the configuration is a matter of its own
//! callers alone.

use std::fs;
use std::net::SocketAddr;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::process::Process;
use super::reload::{FILE, RELOADED};
use crate::support::identity::{IdentityProvider, KEY_ID, header};
use crate::support::program::Folder;
use crate::support::wire::{Connection, request};
use crate::support::within;

/// What an issuer is called whose keys are in a file.
const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";

fn serve(folder: &Folder) -> Process {
    Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]))
}

/// Where it answers callers, and the administrator.
async fn addresses(server: &Process) -> [SocketAddr; 2] {
    let line = server.logged(0, "listening on http://").await;
    let all: Vec<SocketAddr> = line
        .split("http://")
        .skip(1)
        .map(|rest| rest.split([' ', ';', '"']).next().unwrap_or_default().parse().expect("is an address"))
        .collect();
    [all[0], all[1]]
}

fn entry(provider: &IdentityProvider) -> String {
    provider.config().replace("[access.oidc]", "[[access.oidc]]")
}

/// A token of a cluster whose key this is.
fn of_cluster(provider: &IdentityProvider) -> String {
    provider.sign(&header("RS256", KEY_ID), &provider.claims(&json!({ "iss": CLUSTER })))
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(connection: &mut Connection<S>, token: &str) -> u16 {
    let head = format!("GET /getToken HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    connection.send(head).await;
    connection.reply().await.status
}

/// The identity providers in the status, each with whether it is up.
async fn up(admin: SocketAddr) -> Vec<(String, bool)> {
    let reply = request(admin, "GET", "/status", &[("Accept", "application/json")]).await.json();
    let providers = reply["identity_providers"].as_array().expect("is a list").iter();
    let one = |provider: &Value| {
        let is_up = provider["up"].as_bool().expect("is told");
        assert_eq!(provider["problem"].is_string(), !is_up, "{provider}");
        (provider["name"].as_str().expect("has a name").to_owned(), is_up)
    };
    providers.map(one).collect()
}

async fn until_up(admin: SocketAddr, expected: &[(&str, bool)]) {
    let asked = async {
        while !up(admin).await.iter().map(|(name, up)| (name.as_str(), *up)).eq(expected.iter().copied()) {
            tokio::task::yield_now().await;
        }
    };
    within(&format!("{expected:?}"), asked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_a_removed_provider_are_refused_at_once_on_kept_connections_too() {
    let (stays, goes) = (IdentityProvider::start().await, IdentityProvider::start().await);
    let folder = Folder::new();
    folder.write(FILE, &(entry(&goes) + &entry(&stays)));
    let server = serve(&folder);
    let mut connection = Connection::open(server.address().await).await;
    let (of_stays, of_goes) = (stays.token(), goes.token());
    assert_eq!((ask(&mut connection, &of_stays).await, ask(&mut connection, &of_goes).await), (200, 200));
    // One's issuer with the other's key.
    let crossed = goes.sign(&header("RS256", KEY_ID), &stays.claims(&json!({})));
    assert_eq!(ask(&mut connection, &crossed).await, 401);

    for (text, expected) in [
        (entry(&stays), (200, 401)),
        // Changed: for other tokens.
        (entry(&stays) + &entry(&goes).replace("audience = \"", "audience = \"other-"), (200, 401)),
        (entry(&stays) + &entry(&goes), (200, 200)),
    ] {
        let before = server.so_far();
        folder.write(FILE, &text);
        server.signal(Signal::HUP);
        server.logged(before, RELOADED).await;
        let found = (ask(&mut connection, &of_stays).await, ask(&mut connection, &of_goes).await);
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(stays.asked(), 1, "its keys outlive what happens to the other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_that_hangs_is_one_metric_and_holds_up_nobody_else() {
    // Takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let hanging = format!("http://{}", listener.local_addr().expect("is bound"));
    let good = IdentityProvider::start().await;
    let folder = Folder::new();
    let hung = entry(&good).replace(&good.issuer, &hanging);
    folder.write(FILE, &format!("admin.listen = 0\n{hung}{}", entry(&good)));
    let server = serve(&folder);
    let [address, admin] = addresses(&server).await;
    let mut waiting = Connection::open(address).await;
    let stranger = good.sign(&header("RS256", KEY_ID), &good.claims(&json!({ "iss": hanging })));
    waiting
        .send(format!(
            "GET /getToken HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {stranger}\r\n\r\n"
        ))
        .await;
    let mut connection = Connection::open(address).await;
    for _ in 0..20 {
        assert_eq!(ask(&mut connection, &good.token()).await, 200);
    }
    assert!(waiting.is_silent(), "who shows a token of the other waits for it alone");
    until_up(admin, &[(&hanging, false), (&good.issuer, true)]).await;
    let metrics = request(admin, "GET", "/metrics", &[]).await;
    for (issuer, up) in [(&hanging, 0), (&good.issuer, 1)] {
        let sample = format!("token_provider_oidc_up{{provider=\"{issuer}\"}} {up}");
        assert!(metrics.text().lines().any(|line| line == sample), "{sample}\n{}", metrics.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_a_file_are_followed_and_what_is_no_file_holds_up_nobody() {
    let (first, second) = (IdentityProvider::start().await, IdentityProvider::start().await);
    let folder = Folder::new();
    folder.write("keys.json", &first.key_set());
    let cluster = format!(
        "[[access.oidc]]\nissuer = \"{CLUSTER}\"\naudience = \"token-provider\"\njwks_file = \"keys.json\"\n"
    );
    folder.write(FILE, &format!("admin.listen = 0\n{cluster}{}", entry(&second)));
    let server = serve(&folder);
    let [address, admin] = addresses(&server).await;
    let mut connection = Connection::open(address).await;
    assert_eq!(ask(&mut connection, &of_cluster(&first)).await, 200);
    assert_eq!(ask(&mut connection, &of_cluster(&second)).await, 401);

    let exchange = |text: &str| {
        let other = folder.write("other", text);
        fs::rename(other, folder.path("keys.json")).expect("can be renamed");
    };
    exchange(&second.key_set());
    let followed = async { while ask(&mut connection, &of_cluster(&second)).await != 200 {} };
    within("the new keys are in use", followed).await;
    assert_eq!(ask(&mut connection, &of_cluster(&first)).await, 401, "the old ones are not");

    // What cannot be used changes nothing, is told once, and is over when the file is good.
    let before = server.so_far();
    exchange("{\"keys\":");
    until_up(admin, &[(CLUSTER, false), (&second.issuer, true)]).await;
    let line = server.logged(before, "cannot fetch the identity provider's keys").await;
    assert!(line.contains("malformed at line 1") && line.contains(CLUSTER), "{line}");
    assert_eq!(ask(&mut connection, &of_cluster(&second)).await, 200);
    exchange(&second.key_set());
    until_up(admin, &[(CLUSTER, true), (&second.issuer, true)]).await;
    assert_eq!(server.count(before, "cannot fetch"), 1);

    fs::rename(folder.pipe("pipe"), folder.path("keys.json")).expect("can be renamed");
    let line = server.logged(before, "keys.json: cannot be read: it is not a file").await;
    assert!(!line.contains("cause"), "it has none: {line}");
    for token in [of_cluster(&second), second.token()] {
        assert_eq!(ask(&mut connection, &token).await, 200);
    }
}
