//! Servers that share a store, in paused time: who makes a request, and what the others get.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use futures_util::future::join_all;

use super::*;
use crate::provider::TokenProvider;
use crate::testing::TestClock;

const HOUR: Duration = Duration::from_secs(3600);
const LEASE: Duration = Duration::from_secs(4);

/// A store in memory that does what a real one does, and what a test plants.
struct Memory {
    clock: TestClock,
    inner: Mutex<Inner>,
    is_away: AtomicBool,
    renewals: AtomicUsize,
    /// Which credential is in use. There is one token all the same.
    credential: AtomicUsize,
    replayed: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    token: Option<(u64, String, Duration, Moment)>,
    failure: Option<(NotedFailure, Moment)>,
    lease: Option<(u64, Moment)>,
    fence: u64,
    reported: Vec<Fingerprint>,
}

impl Memory {
    fn new() -> Arc<Self> {
        let clock = TestClock::new();
        Arc::new(Self {
            clock,
            inner: Mutex::default(),
            is_away: AtomicBool::default(),
            renewals: AtomicUsize::default(),
            credential: AtomicUsize::default(),
            replayed: AtomicUsize::default(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics with it")
    }

    fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// Puts a token there that another server requested so long ago.
    fn plant(&self, fence: u64, text: &str, age: Duration) {
        let mut inner = self.inner();
        let mut expires_at = self.clock.now().after(HOUR);
        expires_at.boot -= age;
        expires_at.wall -= age;
        inner.token = Some((fence, text.to_owned(), HOUR, expires_at));
        inner.fence = inner.fence.max(fence);
    }

    /// A server that took the lease, and crashed.
    fn take_lease(&self) {
        let until = self.clock.now().after(LEASE);
        self.inner().lease = Some((u64::MAX, until));
    }
}

impl Store for Arc<Memory> {
    fn id(&self, _key: &TokenKey) -> String {
        self.credential.load(Ordering::Relaxed).to_string()
    }

    async fn load(&self, _key: &TokenKey) -> Stored {
        if self.is_away() {
            return Stored::default();
        }
        let (now, inner) = (self.clock.now(), self.inner());
        let token = inner.token.as_ref().filter(|(.., expires_at)| !expires_at.remaining(now).is_zero());
        let token = token.map(|(fence, text, lifetime, expires_at)| StoredToken {
            fence: *fence,
            lifetime: *lifetime,
            issued: Issued::new(text.clone(), expires_at.remaining(now)),
        });
        let failure = inner.failure.map(|(failure, until)| {
            let wait = until.remaining(now);
            NotedFailure { wait, ..failure }
        });
        Stored { token, failure }
    }

    async fn lease(&self, _key: &TokenKey) -> Leased {
        if self.is_away() {
            return Leased::Away;
        }
        let (now, mut inner) = (self.clock.now(), self.inner());
        if inner.lease.is_some_and(|(_, until)| !until.remaining(now).is_zero()) {
            return Leased::Lost;
        }
        inner.fence += 1;
        let fence = inner.fence;
        inner.lease = Some((fence, now.after(LEASE)));
        Leased::Won(Lease { id: self.credential.load(Ordering::Relaxed).to_string(), fence })
    }

    async fn renew(&self, lease: &Lease) -> bool {
        self.renewals.fetch_add(1, Ordering::Relaxed);
        let (now, mut inner) = (self.clock.now(), self.inner());
        let is_ours = !self.is_away() && inner.lease.is_some_and(|(fence, _)| fence == lease.fence);
        if is_ours {
            inner.lease = Some((lease.fence, now.after(LEASE)));
        }
        is_ours
    }

    async fn publish(&self, _key: &TokenKey, lease: &Lease, issued: &Issued, sent_at: Moment) {
        let mut inner = self.inner();
        let is_ours = inner.lease.is_some_and(|(fence, _)| fence == lease.fence);
        let is_newer = inner.token.as_ref().is_none_or(|(fence, ..)| *fence < lease.fence);
        if !self.is_away() && is_ours && is_newer {
            let expires_at = sent_at.after(issued.expires_in);
            inner.token =
                Some((lease.fence, issued.expose_secret().to_owned(), issued.expires_in, expires_at));
            inner.failure = None;
        }
        inner.lease = inner.lease.filter(|(fence, _)| *fence != lease.fence);
    }

    async fn release(&self, lease: &Lease, failure: Option<NotedFailure>) {
        let mut inner = self.inner();
        inner.lease = inner.lease.filter(|(fence, _)| *fence != lease.fence);
        inner.failure = failure.map(|failure| (failure, self.clock.now().after(failure.wait)));
    }

    async fn report(&self, token: Fingerprint) {
        self.inner().reported.push(token);
    }

    async fn is_reported(&self, token: Fingerprint) -> bool {
        !self.is_away() && self.inner().reported.contains(&token)
    }

    fn replayed(&self, _key: &TokenKey) {
        self.replayed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The issuer of all servers: numbers its tokens, and takes its time.
#[derive(Default)]
struct Counting {
    requests: AtomicU64,
    millis: AtomicU64,
    failure: Mutex<Option<TokenError>>,
}

impl Counting {
    fn taking(millis: u64) -> Arc<Self> {
        Arc::new(Self { millis: millis.into(), ..Self::default() })
    }

    fn count(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn fail(&self, kind: TokenErrorKind) {
        *self.failure.lock().expect("no test panics with it") = Some(TokenError::new(kind, "planted"));
    }
}

impl Issue for Counting {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        sleep(Duration::from_millis(self.millis.load(Ordering::Relaxed))).await;
        let failure = self.failure.lock().expect("no test panics with it").clone();
        failure.map_or_else(|| Ok(Issued::new(format!("t{number}"), key.lifetime())), Err)
    }
}

fn server(issuer: &Arc<Counting>, store: &Arc<Memory>) -> TokenProvider {
    let shared = SharedIssuer::new(Arc::clone(issuer), Arc::clone(store)).clock(store.clock.clone());
    TokenProvider::builder(shared).clock(store.clock.clone()).build()
}

async fn token(server: &TokenProvider) -> String {
    server.token().await.expect("there is one").expose_secret().to_owned()
}

#[tokio::test(start_paused = true)]
async fn cold_servers_make_one_request_together() {
    let (issuer, store) = (Counting::taking(400), Memory::new());
    let servers: Vec<_> = (0..20).map(|_| server(&issuer, &store)).collect();
    let tokens = join_all(servers.iter().map(token)).await;
    assert!(tokens.iter().all(|token| token == "t1"), "{tokens:?}");
    assert_eq!(issuer.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_lifetime_takes_one_request() {
    let (issuer, store) = (Counting::taking(200), Memory::new());
    let servers: Vec<_> = (0..10).map(|_| server(&issuer, &store)).collect();
    for _ in 0..5 * 60 {
        join_all(servers.iter().map(token)).await;
        sleep(Duration::from_secs(60)).await;
    }
    // At 0, 42, 84 … minutes, give or take the jitter.
    assert!((7..=8).contains(&issuer.count()), "{}", issuer.count());
}

#[tokio::test(start_paused = true)]
async fn restart_finds_its_token() {
    let (issuer, store) = (Counting::taking(200), Memory::new());
    assert_eq!(token(&server(&issuer, &store)).await, "t1");
    issuer.fail(TokenErrorKind::Unreachable);
    sleep(Duration::from_secs(600)).await;
    let restarted = server(&issuer, &store);
    assert_eq!(token(&restarted).await, "t1");
    let left = restarted.held(&TokenKey::default()).expect("is held").remaining(store.clock.now());
    assert_eq!((left.as_secs(), issuer.count()), (2999, 1));
}

#[tokio::test(start_paused = true)]
async fn due_token_is_handed_out_after_a_restart_and_its_successor_requested_soon() {
    for (millis, failure) in [(9000, None), (50, Some(TokenErrorKind::Unreachable))] {
        let (issuer, store) = (Counting::taking(millis), Memory::new());
        store.plant(7, "old", Duration::from_secs(3000));
        if let Some(kind) = failure {
            issuer.fail(kind);
        }
        let (server, began) = (server(&issuer, &store), Instant::now());
        assert_eq!(token(&server).await, "old");
        assert_eq!((began.elapsed(), issuer.count()), (Duration::ZERO, 0));
        for _ in 0..35 {
            sleep(Duration::from_secs(1)).await;
            token(&server).await;
        }
        let status = server.status();
        assert_eq!(status[0].failures > 0, failure.is_some(), "{status:?}");
        assert_eq!(token(&server).await == "old", failure.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn crashed_servers_lease_holds_up_a_caller_for_two_seconds() {
    let (issuer, store) = (Counting::taking(100), Memory::new());
    store.take_lease();
    let began = Instant::now();
    assert_eq!(token(&server(&issuer, &store)).await, "t1");
    let took = began.elapsed();
    assert!((WAIT..WAIT + LAST_LOOK + Duration::from_millis(101)).contains(&took), "{took:?}");
    assert!(store.inner().token.is_none(), "who has no lease publishes nothing");
}

#[tokio::test(start_paused = true)]
async fn due_token_is_handed_out_where_its_successor_takes_long_elsewhere() {
    let (issuer, store) = (Counting::taking(100), Memory::new());
    store.plant(7, "old", Duration::from_secs(3000));
    store.take_lease();
    assert_eq!(token(&server(&issuer, &store)).await, "old");
    assert_eq!(issuer.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn lease_that_another_keeps_for_ever_leaves_a_quarter_of_the_lifetime() {
    let (issuer, store) = (Counting::taking(100), Memory::new());
    store.plant(7, "old", Duration::from_secs(2600));
    let server = server(&issuer, &store);
    for second in 0..200 {
        store.take_lease();
        let token = token(&server).await;
        assert!(second > 90 || token == "old", "{second}: {token}");
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!((token(&server).await.as_str(), issuer.count()), ("t1", 1));
}

#[tokio::test(start_paused = true)]
async fn store_that_is_away_changes_nothing() {
    let (issuer, store) = (Counting::taking(100), Memory::new());
    store.is_away.store(true, Ordering::Relaxed);
    let servers = [server(&issuer, &store), server(&issuer, &store)];
    let began = Instant::now();
    join_all(servers.iter().map(token)).await;
    assert_eq!((issuer.count(), began.elapsed()), (2, Duration::from_millis(100)));
    // It goes away while a request is in flight, and a refused token is remembered nevertheless.
    store.is_away.store(false, Ordering::Relaxed);
    let (issuer, server) = (Counting::taking(100), server(&issuer, &store));
    drop(issuer);
    assert_eq!(token(&server).await, "t3");
}

#[tokio::test(start_paused = true)]
async fn reported_token_is_taken_by_no_server() {
    let (issuer, store) = (Counting::taking(100), Memory::new());
    let (one, two) = (server(&issuer, &store), server(&issuer, &store));
    let refused = one.token().await.expect("there is one");
    one.report(&refused);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(token(&one).await, "t2");
    assert_eq!(token(&two).await, "t2");
    // A store that brings it back, and has forgotten the report.
    store.inner().reported.clear();
    store.plant(100, "t1", Duration::ZERO);
    one.replace_all();
    sleep(Duration::from_secs(1)).await;
    assert_eq!((token(&one).await.as_str(), issuer.count()), ("t3", 3));
}

#[tokio::test(start_paused = true)]
async fn report_that_reaches_other_servers_is_stored_once() {
    let (issuer, store) = (Counting::taking(100), Memory::new());
    let servers: Vec<_> = (0..5).map(|_| server(&issuer, &store)).collect();
    join_all(servers.iter().map(token)).await;
    let refused = servers[0].token().await.expect("there is one");
    for server in &servers {
        // As a server's task does, on a notice.
        let held = server.status()[0].token.clone().expect("is held");
        assert_eq!(server.report(&held), crate::ReportOutcome::Accepted);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(token(server).await, "t2");
        assert_eq!(store.inner().reported, [refused.fingerprint()]);
    }
    assert_eq!(issuer.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn replaced_and_dropped_tokens_do_not_come_back() {
    let (issuer, store) = (Counting::taking(100), Memory::new());
    let (one, two) = (server(&issuer, &store), server(&issuer, &store));
    assert_eq!(token(&one).await, "t1");
    sleep(Duration::from_secs(1)).await;
    // Somebody has asked for it since: it is replaced.
    assert_eq!(token(&one).await, "t1");
    one.drop_unused();
    one.replace_all();
    sleep(Duration::from_secs(1)).await;
    assert_eq!((token(&two).await.as_str(), token(&one).await.as_str()), ("t2", "t2"));
    // Of this one nobody has asked for a token yet.
    let three = server(&issuer, &store);
    three.warm();
    sleep(Duration::from_secs(1)).await;
    three.drop_unused();
    assert!(three.status().is_empty());
    sleep(Duration::from_secs(1)).await;
    assert_eq!((token(&three).await.as_str(), token(&server(&issuer, &store)).await.as_str()), ("t3", "t3"));
}

#[tokio::test(start_paused = true)]
async fn token_that_expires_while_it_is_fetched_is_not_taken() {
    let (issuer, store) = (Counting::taking(100), Memory::new());
    store.take_lease();
    store.plant(7, "almost-expired", HOUR.saturating_sub(EXPIRY_MARGIN + Duration::from_millis(300)));
    let took = Instant::now();
    assert_eq!(token(&server(&issuer, &store)).await, "t1");
    assert!(took.elapsed() < WAIT + LAST_LOOK + Duration::from_millis(101), "{:?}", took.elapsed());
}

#[tokio::test(start_paused = true)]
async fn older_record_is_not_taken() {
    let (issuer, store) = (Counting::taking(100), Memory::new());
    store.plant(7, "new", Duration::ZERO);
    let server = server(&issuer, &store);
    assert_eq!(token(&server).await, "new");
    store.plant(6, "replayed", Duration::ZERO);
    server.replace_all();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(token(&server).await, "t1");
    assert!(store.replayed.load(Ordering::Relaxed) > 0);
}

#[tokio::test(start_paused = true)]
async fn fences_of_another_credential_do_not_count() {
    let (issuer, store) = (Counting::taking(100), Memory::new());
    store.plant(7, "old-credential", Duration::ZERO);
    let server = server(&issuer, &store);
    assert_eq!(token(&server).await, "old-credential");
    store.credential.store(1, Ordering::Relaxed);
    store.plant(6, "new-credential", Duration::ZERO);
    server.replace_all();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(token(&server).await, "new-credential");
    assert_eq!(store.replayed.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_issuer_said_is_told_to_all_and_its_silence_is_not() {
    let refused = TokenErrorKind::Rejected { status: 401, code: Some(401_300) };
    for (kind, requests) in [
        (refused, 1),
        (TokenErrorKind::Throttled, 1),
        (TokenErrorKind::Unreachable, 3),
        (TokenErrorKind::Rejected { status: 403, code: None }, 3),
    ] {
        let (issuer, store) = (Counting::taking(10), Memory::new());
        issuer.fail(kind);
        for _ in 0..3 {
            let error = server(&issuer, &store).token().await.expect_err("it fails");
            assert_eq!(error.kind(), kind);
        }
        assert_eq!(issuer.count(), requests, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_of_all_servers_lengthen_one_backoff() {
    let (issuer, store) = (Counting::taking(10), Memory::new());
    issuer.fail(TokenErrorKind::Throttled);
    let servers: Vec<_> = (0..10).map(|_| server(&issuer, &store)).collect();
    let ask = |server: TokenProvider| async move {
        for _ in 0..3000 {
            let _ = server.token().await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    join_all(servers.into_iter().map(ask)).await;
    // In five minutes: after 0.2, 0.4 … 12.8 s, and each 20 s.
    assert!((18..=22).contains(&issuer.count()), "{}", issuer.count());
}

#[tokio::test(start_paused = true)]
async fn lease_is_renewed_while_a_request_is_in_flight() {
    let (issuer, store) = (Counting::taking(9000), Memory::new());
    let (one, two) = (server(&issuer, &store), server(&issuer, &store));
    assert_eq!(token(&one).await, "t1");
    assert_eq!(store.renewals.load(Ordering::Relaxed), 6);
    // The token was requested as one of nine seconds ago.
    assert_eq!(token(&two).await, "t1");
    assert_eq!(two.token().await.expect("is held").remaining(store.clock.now()).as_secs(), 3591);
    assert_eq!(issuer.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn token_that_was_published_just_now_is_seen_by_who_wins_the_lease() {
    /// Where a server publishes and releases between another's look and its lease.
    struct Late(Arc<Memory>, AtomicBool);

    impl Store for Late {
        fn id(&self, key: &TokenKey) -> String {
            self.0.id(key)
        }
        async fn load(&self, key: &TokenKey) -> Stored {
            self.0.load(key).await
        }
        async fn lease(&self, key: &TokenKey) -> Leased {
            if !self.1.swap(true, Ordering::Relaxed) {
                self.0.plant(1, "just-now", Duration::ZERO);
            }
            self.0.lease(key).await
        }
        async fn renew(&self, lease: &Lease) -> bool {
            self.0.renew(lease).await
        }
        async fn publish(&self, key: &TokenKey, lease: &Lease, issued: &Issued, sent_at: Moment) {
            self.0.publish(key, lease, issued, sent_at).await;
        }
        async fn release(&self, lease: &Lease, failure: Option<NotedFailure>) {
            self.0.release(lease, failure).await;
        }
        async fn report(&self, token: Fingerprint) {
            self.0.report(token).await;
        }
        async fn is_reported(&self, token: Fingerprint) -> bool {
            self.0.is_reported(token).await
        }
        fn replayed(&self, key: &TokenKey) {
            self.0.replayed(key);
        }
    }

    let (issuer, store) = (Counting::taking(10), Memory::new());
    let late = Late(Arc::clone(&store), AtomicBool::default());
    let shared = SharedIssuer::new(Arc::clone(&issuer), late).clock(store.clock.clone());
    let issued = shared.issue(&TokenKey::default()).await.expect("there is one");
    assert_eq!((issued.expose_secret(), issuer.count()), ("just-now", 0));
    assert!(store.inner().lease.is_none(), "the lease is free again");
}
