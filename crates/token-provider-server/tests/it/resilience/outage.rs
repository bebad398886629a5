//! The account fails in every way there is: the token that is held carries the callers, and when it has expired and the
//! account is back, so are the tokens.
//!
//! As it is, each trouble lasts until the token held has expired, and tokens live 20 s. With `OUTAGE_SECONDS=30` in the
//! environment each lasts that long, within the life of one token; then no caller may notice anything at all. That
//! takes about five minutes.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinSet;

use super::load::Load;
use super::process::Process;
use crate::support::port::Port;
use crate::support::program::Folder;
use crate::support::wire::Connection;

/// Usable for half of it, and due after 8.5 s.
const SHORT_LIFETIME: u64 = 20;
/// Due after 210 s, and usable for 80 s more: an outage, and after it the longest pause between two requests.
const LONG_LIFETIME: u64 = 300;
/// The trouble begins before the token is due, and well before it ends (70 % of the lifetime, ± 5 % of that).
const BEFORE_DUE: f64 = 0.64;

/// More would mean that callers make the server ask: 0.2 s, 0.4 s, 0.8 s … make five in 6 s.
const MOST_ATTEMPTS: usize = 12;
/// What answers at once comes sooner even on a busy machine; what waits for the account takes ten.
const AT_ONCE: Duration = Duration::from_secs(5);

/// What is wrong with the account: its name here, and the fault as the control endpoint takes it.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Killed,
    Fault(&'static str),
}

const TROUBLES: [Trouble; 7] = [
    Trouble::Killed,
    Trouble::Fault(r#"{ "status": 429, "retry_after": 1 }"#),
    Trouble::Fault(r#"{ "status": 500 }"#),
    Trouble::Fault(r#"{ "body": "garbage" }"#),
    Trouble::Fault(r#"{ "body": "huge" }"#),
    Trouble::Fault(r#"{ "hang_up": "mid_body" }"#),
    Trouble::Fault(r#"{ "hang": true }"#),
];

/// What the account says before its address.
const ANNOUNCEMENT: &str = "an offline HERE account at http://";

/// An offline account in its own process.
struct Account {
    folder: Folder,
    process: Process,
    port: Port,
}

impl Account {
    async fn start() -> Self {
        let (folder, port) = (Folder::new(), Port::new());
        let (address, file) = (port.address.to_string(), folder.path("credentials.properties"));
        let arguments = ["sandbox", "--listen", &address, "--write-credentials", text(&file)];
        let process = Process::start(folder.command(&arguments));
        assert_eq!(process.address_after(ANNOUNCEMENT).await, port.address);
        Self { folder, process, port }
    }

    fn credentials(&self) -> PathBuf {
        self.folder.path("credentials.properties")
    }

    async fn begin(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Killed => self.process.kill().await,
            Trouble::Fault(fault) => self.set_faults(fault).await,
        }
    }

    async fn end(&mut self, trouble: Trouble) {
        match trouble {
            // At the same address, and with the same access key.
            Trouble::Killed => {
                let (address, file) = (self.port.address.to_string(), self.credentials());
                let arguments = ["sandbox", "--listen", &address, "--credentials", text(&file)];
                self.process = Process::start(self.folder.command(&arguments));
                assert_eq!(self.process.address_after(ANNOUNCEMENT).await, self.port.address);
            }
            Trouble::Fault(_) => self.set_faults("[]").await,
        }
    }

    async fn set_faults(&self, json: &str) {
        let (address, length) = (self.port.address, json.len());
        let mut connection = Connection::open(address).await;
        let head =
            format!("PUT /sandbox/faults HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
        connection.send(head + json).await;
        let reply = connection.reply().await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("is text")
}

/// How long each trouble is to last, for the long variant.
fn outage() -> Option<Duration> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for those who run the tests; the program does not read it"
    )]
    let seconds = std::env::var("OUTAGE_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("OUTAGE_SECONDS is a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_token_carries_callers_through_every_trouble_of_the_account() {
    // Side by side: they wait most of the time.
    let mut scenarios = JoinSet::new();
    for trouble in TROUBLES {
        scenarios.spawn(pass(trouble, outage()));
    }
    while let Some(ended) = scenarios.join_next().await {
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    }
}

async fn pass(trouble: Trouble, outage: Option<Duration>) {
    let lifetime = if outage.is_some() { LONG_LIFETIME } else { SHORT_LIFETIME };
    let mut account = Account::start().await;
    account.set_faults(&format!(r#"{{ "lifetime_s": {lifetime} }}"#)).await;
    let (folder, credentials) = (Folder::new(), account.credentials());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--credentials", text(&credentials)];
    let mut server = Process::start(folder.command(&arguments));
    server.logged(0, "token received").await;
    let load = Load::start(server.address().await).await;
    if outage.is_some() {
        tokio::time::sleep(Duration::from_secs(lifetime).mul_f64(BEFORE_DUE)).await;
    }

    let begun = server.so_far();
    account.begin(trouble).await;
    // The token is due, and the account asked in vain.
    server.logged(begun, "no token received").await;
    match outage {
        Some(span) => tokio::time::sleep(span).await,
        None => load.until("the end of the token held", |tally| tally.without_token > 0).await,
    }
    let attempts = server.count(begun, "no token received");
    assert!(attempts <= MOST_ATTEMPTS, "{trouble:?}: callers made the server ask {attempts} times");

    account.end(trouble).await;
    let ended = server.so_far();
    server.logged(begun, "token received").await;
    // One attempt may have been under way.
    let late = server.count(ended, "no token received");
    assert!(late <= 1, "{trouble:?}: {late} attempts failed after the trouble had ended");
    load.more(20).await;
    assert!(server.is_running(), "nobody had to start it again");
    let tally = load.end().await;
    assert!(tally.slowest < AT_ONCE, "{trouble:?}: somebody waited while a token was held: {tally:#?}");
    assert!(outage.is_none() || tally.without_token == 0, "{trouble:?}: callers noticed: {tally:#?}");
}
