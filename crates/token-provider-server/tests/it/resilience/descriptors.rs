//! Connections hold all the file descriptors that they can get: everything else goes on.

use std::fs;

use here_sandbox::Fault;
use rustix::process::Signal;
use token_provider_server::parts::access::api_key;

use crate::support::program::{Account, Folder};
use crate::support::wire::Connection;
use crate::support::within;

const SCOPES: usize = 5;
const LIFETIMES: [u32; 8] = [300, 600, 900, 1800, 7200, 14_400, 28_800, 43_200];
const ADMIN: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn scope(number: usize) -> String {
    format!("hrn:here:authorization::r:project/p{number}")
}

fn ask(key: &str, ttl: u32) -> String {
    format!("GET /getToken?ttl={ttl} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n\r\n")
}

#[tokio::test]
async fn idle_connections_leave_descriptors_for_all_else() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    let (trail, rotated) = (folder.path("audit.jsonl"), folder.path("audit.jsonl.1"));
    let keys =
        ["old", "new"].map(|id| (id, api_key::generate(api_key::PREFIX).expect("there is randomness")));
    let [old, new] = keys.each_ref().map(|(_, (key, _))| key.as_str());
    let config = |ids: &[&str]| {
        let listed = keys.iter().filter(|(id, _)| ids.contains(id));
        let listed = listed
            .map(|(id, (_, hash))| format!("[[access.api_keys]]\nid = \"{id}\"\nsha256 = \"{hash}\"\n"));
        let audit = format!("[audit]\nto = \"{}\"\n", trail.display());
        let scopes: Vec<_> = (0..SCOPES).map(scope).collect();
        let profile = format!("[profiles.default]\nscopes = {scopes:?}\n");
        format!("[admin]\nlisten = \"127.0.0.1:0\"\n{audit}{profile}{}", listed.collect::<String>())
    };
    folder.write("c.toml", &config(&["old", "new"]));
    let arguments = ["serve", "--config", "c.toml", "--listen", "127.0.0.1:0"];
    let mut server = folder.start_with_files(64 + 64, &arguments);
    let [address, admin] = server.addresses().await;
    server.logged("up to 64 connections at once: the open file limit is 128").await;

    let mut kept = Vec::new();
    for key in [old, new] {
        let mut connection = Connection::open(address).await;
        connection.send(ask(key, 3600)).await;
        assert_eq!(connection.reply().await.status, 200);
        kept.push(connection);
    }
    let mut wishing = Vec::new();
    for _ in 0..SCOPES * LIFETIMES.len() {
        wishing.push(Connection::open(address).await);
    }
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(Connection::open(address).await);
    }
    for number in 0..31 {
        let mut connection = Connection::open_from(1 + number / 16, admin).await;
        connection.send(ADMIN).await;
        assert_eq!(connection.reply().await.status, 200);
        idle.push(connection);
    }

    fs::rename(&trail, &rotated).expect("can be renamed");
    folder.write("c.toml", &config(&["new"]));
    server.signal(Signal::HUP);
    server.logged("configuration reloaded").await;
    kept[0].send(ask(old, 3600)).await;
    assert_eq!(kept[0].reply().await.status, 401, "the key is withdrawn");
    kept[1].send(ask(new, 60)).await;
    assert_eq!(kept[1].reply().await.status, 200, "HERE is asked for another token");
    let reopened = async {
        while !trail.exists() {
            tokio::task::yield_now().await;
        }
    };
    within("the new audit file", reopened).await;

    // HERE is slow, and many kinds of tokens are asked for at once.
    account.sandbox.faults().inject(Fault { delay_ms: Some(300), count: Some(100), ..Fault::default() });
    let kinds = (0..SCOPES).flat_map(|number| LIFETIMES.map(|ttl| (ttl, scope(number))));
    for (connection, (ttl, scope)) in wishing.iter_mut().zip(kinds) {
        let head = ask(new, ttl).replace(&format!("ttl={ttl}"), &format!("ttl={ttl}&scope={scope}"));
        connection.send(head).await;
    }
    for connection in &mut wishing {
        assert_eq!(connection.reply().await.status, 200);
    }
    let mut monitoring = Connection::open_from(3, admin).await;
    monitoring.send(ADMIN).await;
    let metrics = monitoring.reply().await;
    assert_eq!(metrics.status, 200);
    let is_failure =
        |line: &&str| line.starts_with("token_provider_issuer_requests_total") && !line.ends_with(" 0");
    let failures: Vec<_> =
        metrics.text().lines().filter(is_failure).filter(|line| !line.contains("issued")).collect();
    assert!(failures.is_empty(), "{failures:?}");
}
