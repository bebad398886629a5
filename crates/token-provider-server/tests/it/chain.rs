//! One token provider in front of another: the second knows no credential of HERE's, and its callers do not notice when
//! the first is away.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use token_provider::{RemoteIssuer, RemoteIssuerConfig, TestClock, TokenProvider};
use token_provider_server::parts::listen::Listener;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::port::Port;
use crate::support::program::{Account, Folder};
use crate::support::server::{Server, Setup};
use crate::support::wire::{Reply, get, send};
use crate::support::within;

const ANYWHERE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--config", "config.toml"];

/// Asks until the answer is as it should be; in between, only answers that `may_be` allows.
async fn until(
    address: SocketAddr,
    may_be: impl Fn(&Reply) -> bool,
    is_good: impl Fn(&Reply) -> bool,
) -> Reply {
    let asking = async {
        loop {
            let reply = get(address, "/getToken").await;
            if is_good(&reply) {
                return reply;
            }
            assert!(may_be(&reply), "{reply:?}");
            tokio::task::yield_now().await;
        }
    };
    within("the answer that is waited for", asking).await
}

/// The first server: it has the credential, and wants an API key. Returns the key with it.
async fn first(account: &Account, folder: &Folder) -> String {
    let made = folder.run(&["key", "new", "--id", "second"]).await;
    let (key, stanza) = made.stdout.split_once('\n').expect("a key, then its stanza");
    folder.write("credentials.properties", &account.credentials());
    folder.write("config.toml", stanza);
    key.to_owned()
}

#[tokio::test]
async fn tokens_go_through_two_servers_for_one_request_to_here() {
    let (account, near) = (Account::open().await, Folder::new());
    let key = first(&account, &near).await;
    let mut near_server = near.start(&ANYWHERE);
    let near_address = near_server.address().await;

    let far = Folder::new();
    far.write("key", &format!("{key}\n"));
    let remote = format!("remote = \"http://{near_address}/getToken\"\napi_key_file = \"key\"\n");
    far.write("config.toml", &format!("[profiles.default]\n{remote}"));
    let mut far_server = far.start(&ANYWHERE);
    let far_address = far_server.address().await;

    assert_eq!(get(near_address, "/getToken").await.status, 401, "the first one wants a key");
    let mut asking: JoinSet<Reply> =
        (0..40).map(|_| async move { get(far_address, "/getToken").await }).collect();
    while let Some(reply) = asking.join_next().await {
        let reply = reply.expect("does not panic");
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(account.sandbox.verify_token(reply.text()).is_ok());
        let left: u64 =
            reply.header("token-expires-in").and_then(|left| left.parse().ok()).expect("is a number");
        assert!((900..=3600).contains(&left), "{left}");
    }
    assert_eq!(account.sandbox.stats().token_requests, 1);

    far_server.signal(Signal::TERM);
    near_server.signal(Signal::TERM);
    for server in [far_server, near_server] {
        let (status, _, log) = server.end().await;
        assert_eq!(status.code(), Some(0), "{log:#?}");
        assert!(!log.join("\n").contains(&key), "the key is in no log");
    }
}

#[tokio::test]
async fn tokens_come_from_a_server_at_a_unix_socket() {
    let (account, near) = (Account::open().await, Folder::new());
    near.write("credentials.properties", &account.credentials());
    let socket = near.path("x.sock");
    let listen = format!("unix:{}", socket.display());
    let mut near_server = near.start(&["serve", "--listen", &listen]);
    near_server.logged("listening on ").await;

    let far = Folder::new();
    far.write("config.toml", &format!("[profiles.default]\nremote = \"{listen}\"\n"));
    let mut far_server = far.start(&ANYWHERE);
    let reply = get(far_server.address().await, "/getToken?ttl=600").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(account.sandbox.verify_token(reply.text()).is_ok());
}

#[tokio::test]
async fn header_that_the_first_server_requires_is_sent() {
    let (account, near) = (Account::open().await, Folder::new());
    near.write("credentials.properties", &account.credentials());
    near.write("config.toml", "access.require_header = \"X-Asked\"\n");
    let mut near_server = near.start(&ANYWHERE);
    let near_address = near_server.address().await;
    let start_far = |more: &str| {
        let far = Folder::new();
        let remote = format!("remote = \"http://{near_address}/getToken\"\n");
        far.write("config.toml", &format!("[profiles.default]\n{remote}{more}"));
        let server = far.start(&ANYWHERE);
        (far, server)
    };
    let (_folder, mut far_server) = start_far("");
    let refused = get(far_server.address().await, "/getToken").await;
    assert_eq!(refused.status, 502, "{refused:?}");
    assert!(
        refused.description().contains("check its rules for host, header, profile and scope"),
        "{refused:?}"
    );

    let (_folder, mut far_server) = start_far("remote_header = \"X-Asked\"\n");
    let far_address = far_server.address().await;
    let token = get(far_address, "/getToken").await;
    assert_eq!(token.status, 200, "{token:?}");
    assert_eq!(
        get(near_address, "/getToken").await.status,
        403,
        "the other server's header opened nothing else"
    );

    // A report goes up the chain with it.
    let fields = format!("token={}", token.text());
    let length = fields.len().to_string();
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", &length)];
    assert_eq!(send(far_address, "POST", "/oauth2/revoke", &headers, &fields).await.status, 200);
    let replaced = async {
        while account.sandbox.stats().token_requests < 2 {
            tokio::task::yield_now().await;
        }
    };
    within("the successor", replaced).await;
}

#[tokio::test]
async fn refusal_by_the_first_server_says_what_to_do() {
    let (account, near) = (Account::open().await, Folder::new());
    let key = first(&account, &near).await;
    let mut near_server = near.start(&ANYWHERE);
    let near_address = near_server.address().await;

    let far = Folder::new();
    far.write("key", &key.replace("tp_", "tp_x"));
    let remote = format!("remote = \"http://{near_address}/getToken\"\napi_key_file = \"key\"\n");
    far.write("config.toml", &format!("[profiles.default]\n{remote}"));
    let mut far_server = far.start(&ANYWHERE);
    let reply = get(far_server.address().await, "/getToken").await;
    assert_eq!((reply.status, reply.error().as_str()), (502, "issuer_rejected"), "{reply:?}");
    far_server.signal(Signal::TERM);
    let (_, _, log) = far_server.end().await;
    assert!(log.join("\n").contains("check the API key"), "{log:#?}");
}

/// Two servers in this process; the second has its own clock.
struct Chain {
    port: Port,
    first: Server,
    second: Server,
    provider: TokenProvider,
    clock: TestClock,
}

async fn first_at(address: SocketAddr) -> Server {
    let listener = TcpListener::bind(address).await.expect("is free");
    Setup::default().start_at(Listener::Tcp(listener, None), address).await
}

impl Chain {
    async fn start() -> Self {
        let port = Port::new();
        let first = first_at(port.address).await;
        let clock = TestClock::new();
        let issuer =
            RemoteIssuerConfig::new(&format!("http://{}/getToken", first.address)).expect("is a URL");
        let issuer = RemoteIssuer::new(issuer).expect("can be made");
        let provider = TokenProvider::builder(issuer).clock(clock.clone()).build();
        let second = Setup::default().provider(provider.clone()).start().await;
        Self { port, first, second, provider, clock }
    }

    /// Ends the first server, with all that it holds.
    async fn end_first(&mut self) {
        self.first.begin_shutdown();
        self.first.ended().await;
    }

    /// Starts another first server at the same address.
    async fn restart_first(&mut self) {
        self.first = first_at(self.port.address).await;
    }

    fn failures(&self) -> u32 {
        self.provider.status().iter().map(|slot| slot.failures).sum()
    }
}

#[tokio::test]
async fn outage_of_the_first_server_is_bridged() {
    let mut chain = Chain::start().await;
    let address = chain.second.address;
    let held = get(address, "/getToken").await;
    assert_eq!(held.status, 200, "{held:?}");
    assert!(chain.first.sandbox.verify_token(held.text()).is_ok());

    // 50 of its 60 minutes are over: it is due, and the first server is away.
    chain.end_first().await;
    chain.clock.suspend(Duration::from_secs(50 * 60));
    let is_held = |reply: &Reply| reply.status == 200 && reply.body == held.body;
    within("a failed refresh", async {
        while chain.failures() < 2 {
            let reply = get(address, "/getToken").await;
            assert!(is_held(&reply), "{reply:?}");
        }
    })
    .await;

    chain.restart_first().await;
    let next = until(address, is_held, |reply| reply.status == 200 && reply.body != held.body).await;
    assert!(chain.first.sandbox.verify_token(next.text()).is_ok(), "a token of the new first server");
    assert_eq!(chain.failures(), 0);
}

#[tokio::test]
async fn outage_that_outlives_the_token_is_told_and_mended() {
    let mut chain = Chain::start().await;
    let address = chain.second.address;
    assert_eq!(get(address, "/getToken").await.status, 200);

    chain.end_first().await;
    chain.clock.suspend(Duration::from_secs(61 * 60));
    let away = get(address, "/getToken").await;
    assert_eq!((away.status, away.error().as_str()), (503, "temporarily_unavailable"), "{away:?}");
    assert!(away.header("retry-after").is_some());

    chain.restart_first().await;
    until(address, |reply| reply.status == 503, |reply| reply.status == 200).await;
}
