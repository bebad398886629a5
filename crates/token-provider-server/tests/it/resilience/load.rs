//! Callers that ask and ask, and judge each answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use token_provider::{Clock as _, SystemClock};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::wire::{Connection, Reply};
use crate::support::within;

/// As many as a page or two; enough that some request is always under way.
const CALLERS: usize = 4;
/// Between an answer and the caller's next request: the tests beside this one need the processor, too.
const PAUSE: Duration = Duration::from_millis(20);
/// What expires sooner is not handed out.
const MARGIN: Duration = Duration::from_secs(10);
/// The least that a token must have left when the caller asks, by the account's clock: the margin, less the second that
/// may have gone by before the account, which counts whole ones, answered.
const LEAST_LEFT: i64 = 9;

/// A number of callers, each with its own connection, until [`Load::end`].
#[derive(Debug)]
pub(super) struct Load {
    tally: watch::Sender<Tally>,
    callers: JoinSet<()>,
    stop: CancellationToken,
}

/// What the callers have seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Good answers.
    pub(super) handed_out: usize,
    /// What must not happen, and how often it did.
    pub(super) wrong: BTreeMap<String, usize>,
    /// Refusals when no token handed out before could have been handed out again.
    pub(super) without_token: usize,
    /// The longest that an answer took while a token was held.
    pub(super) slowest: Duration,
    /// Until when the token last seen can be handed out.
    usable_until: Option<Instant>,
}

impl Load {
    /// Starts the callers, and waits until each has been answered.
    pub(super) async fn start(address: SocketAddr) -> Self {
        let (tally, stop) = (watch::Sender::new(Tally::default()), CancellationToken::new());
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            callers.spawn(call(address, tally.clone(), stop.clone()));
        }
        let load = Self { tally, callers, stop };
        load.more(2 * CALLERS).await;
        load
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.borrow().clone()
    }

    /// Waits until something has been seen.
    pub(super) async fn until(&self, what: &str, seen: impl Fn(&Tally) -> bool) {
        let mut tally = self.tally.subscribe();
        let waited = within(what, tally.wait_for(|tally| seen(tally))).await.map(drop);
        waited.expect("the callers go on");
    }

    /// Waits for so many more good answers.
    pub(super) async fn more(&self, count: usize) {
        let before = self.tally().handed_out;
        self.until("tokens", |tally| tally.handed_out >= before + count).await;
    }

    /// Ends the callers, and makes sure that all went well while a token was held.
    pub(super) async fn end(mut self) -> Tally {
        self.stop.cancel();
        while let Some(caller) = within("the callers' end", self.callers.join_next()).await {
            caller.expect("every request is answered");
        }
        let tally = self.tally();
        assert!(tally.wrong.is_empty(), "{tally:#?}");
        tally
    }
}

async fn call(address: SocketAddr, tally: watch::Sender<Tally>, stop: CancellationToken) {
    let request = format!("GET /getToken HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut connection = Connection::open(address).await;
    while !stop.is_cancelled() {
        let (sent, asked_at) = (Instant::now(), SystemClock.now().wall);
        connection.send(&request).await;
        let reply = connection.reply().await;
        tally.send_modify(|tally| tally.note(sent, asked_at, &reply));
        tokio::time::sleep(PAUSE).await;
    }
}

impl Tally {
    fn note(&mut self, sent: Instant, asked_at: Duration, reply: &Reply) {
        let received = Instant::now();
        // At some point between the two the server has checked its token.
        let was_usable = self.usable_until.is_some_and(|until| received < until);
        if was_usable {
            self.slowest = self.slowest.max(received - sent);
        }
        if reply.status == 200 {
            self.handed_out += 1;
            let left = seconds_left(reply.text(), asked_at);
            if left < LEAST_LEFT {
                self.note_wrong(format!("a token with {left} s left"));
            }
            let told = reply.header("token-expires-in").and_then(|left| left.parse().ok());
            let told = Duration::from_secs(told.expect("says how long"));
            self.usable_until = Some(sent + told.saturating_sub(MARGIN));
        } else if was_usable {
            let what = format!("{} while a token was held: {}", reply.status, reply.description());
            self.note_wrong(what);
        } else {
            self.without_token += 1;
        }
    }

    fn note_wrong(&mut self, what: String) {
        *self.wrong.entry(what).or_default() += 1;
    }
}

/// How long the account that made the token will take it, from an instant by this process' clock, which nobody sets.
fn seconds_left(token: &str, now: Duration) -> i64 {
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let header: Value = serde_json::from_slice(&header.expect("is base64url")).expect("is JSON");
    let expires_at = header["exp"].as_i64().expect("is a number");
    expires_at - i64::try_from(now.as_secs()).expect("is soon enough")
}
