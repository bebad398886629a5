//! The store over a folder, with clocks that are set and records that are changed.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;
use token_provider::{
    Credential, HereIssuer, HereIssuerConfig, Issued, Lease, Leased, NotedFailure, Scope, Store as _,
    TestClock, TokenErrorKind, TokenKey,
};

use super::profile::REPORT_LIFE;
use super::*;
use crate::telemetry::MeteredIssuer;

const KEY_FILE: &str = "a = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n\
                        index = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n";
const LIFE: Duration = Duration::from_secs(3600);

/// A server with a store.
struct Bench {
    folder: Arc<TempDir>,
    clock: TestClock,
    store: ProfileStore,
}

impl Bench {
    fn new() -> Self {
        Self::in_folder(Arc::new(tempfile::tempdir().expect("can be made")), clock(), "boot 1")
    }

    fn in_folder(folder: Arc<TempDir>, clock: TestClock, boot: &str) -> Self {
        let key_file = folder.path().join("keys");
        fs::write(&key_file, KEY_FILE).expect("can be written");
        let place = StorePlace::Folder(folder.path().join("kept"));
        let config = StoreConfig {
            url: String::new(),
            place,
            key_file,
            ca: None,
            cert: None,
            key: None,
            user: None,
            password_file: None,
            timeout: Duration::from_millis(150),
        };
        let store = TokenStore::new(&config).expect("is in order");
        let store = Arc::new(TokenStore { clock: Arc::new(clock.clone()), boot: boot.to_owned(), ..store });
        let issuer = issuer("secret-of-the-first-access-key-0123456789");
        Self { folder, clock, store: ProfileStore { store, issuer } }
    }

    /// The next process, on the same machine.
    async fn restarted(self) -> Self {
        let boot = self.store.store.boot.clone();
        self.rebooted(&boot).await
    }

    /// The next process, after the machine was started again.
    async fn rebooted(self, boot: &str) -> Self {
        let Self { folder, clock, store } = self;
        drop(store);
        let next = Self::in_folder(folder, clock, boot);
        next.store.store.start().await;
        next
    }

    /// Stores a token as the next request brings it.
    async fn publish(&self, token: &str) -> Lease {
        let lease = self.lease().await;
        let issued = Issued::new(token, LIFE).with_scope(Scope::new("granted").ok());
        self.store.publish(&TokenKey::default(), &lease, &issued, self.clock.now()).await;
        lease
    }

    async fn lease(&self) -> Lease {
        match self.store.lease(&TokenKey::default()).await {
            Leased::Won(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    async fn token(&self) -> Option<(String, Duration)> {
        let token = self.store.load(&TokenKey::default()).await.token?;
        assert_eq!((token.lifetime, token.issued.scope().map(Scope::as_str)), (LIFE, Some("granted")));
        Some((token.issued.expose_secret().to_owned(), token.issued.expires_in()))
    }

    /// The file with all records.
    fn file(&self) -> PathBuf {
        self.folder.path().join("kept/tokens")
    }

    fn rejected(&self) -> Vec<(&'static str, u64)> {
        let rejected = self.store.store.status.rejected.lock();
        rejected.iter().map(|(flaw, count)| (flaw.as_str(), *count)).collect()
    }
}

fn issuer(secret: &str) -> Arc<MeteredIssuer> {
    let credential = Credential::new("key-id", secret.into()).expect("is well-formed");
    let issuer = HereIssuer::new(HereIssuerConfig::new(credential)).expect("can be made");
    Arc::new(MeteredIssuer::here(Arc::new(issuer)))
}

/// A clock that begins as that of the file system, so that no record is as old as to be removed.
fn clock() -> TestClock {
    let clock = TestClock::new();
    let ahead = SystemClock.now().wall.saturating_sub(TestClock::START).as_secs();
    clock.set_wall(ahead.cast_signed());
    clock
}

/// A token, and how many seconds it has left.
fn left(token: &str, seconds: u64) -> (String, Duration) {
    (token.to_owned(), Duration::from_secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn in_the_same_boot_both_clocks_count() {
    for (wall, suspended, expected) in [
        (0, 0, Some(left("x", 3600))),
        (600, 0, Some(left("x", 3000))),
        (0, 600, Some(left("x", 3000))),
        (-600, 1200, Some(left("x", 2400))),
        (3600, 0, None),
        (0, 3600, None),
        (-3000, 3600, None),
    ] {
        let bench = Bench::new();
        bench.publish("x").await;
        bench.clock.set_wall(wall);
        bench.clock.suspend(Duration::from_secs(suspended));
        let bench = bench.restarted().await;
        assert_eq!(bench.token().await, expected, "{wall} {suspended}");
        assert_eq!(bench.rejected(), [], "{wall} {suspended}");
    }
}

#[tokio::test(start_paused = true)]
async fn record_of_the_future_is_rejected() {
    for (seconds, expected, rejected) in
        [(-10, Some(left("x", 3600)), vec![]), (-11, None, vec![("future", 1)])]
    {
        let bench = Bench::new();
        bench.publish("x").await;
        bench.clock.set_wall(seconds);
        let bench = bench.restarted().await;
        assert_eq!((bench.token().await, bench.rejected()), (expected, rejected), "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_another_boot_the_wall_clock_counts_unless_it_was_set_back() {
    for (seconds, expected, rejected) in [
        (60, Some(left("x", 3540)), vec![]),
        (600, Some(left("x", 3000)), vec![]),
        (3600, None, vec![]),
        (59, None, vec![("clock_set_back", 1)]),
        (-11, None, vec![("future", 1)]),
    ] {
        let bench = Bench::new();
        bench.publish("x").await;
        // Another record is written a minute later.
        bench.clock.set_wall(60);
        bench.store.report(Issued::new("y", LIFE).fingerprint()).await;
        bench.clock.set_wall(seconds - 60);
        let bench = bench.rebooted("boot 2").await;
        assert_eq!(bench.token().await, expected, "{seconds}");
        assert_eq!(bench.rejected(), rejected, "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn fence_rises_whatever_the_clock_does() {
    let bench = Bench::new();
    let now = bench.clock.now().wall;
    let mut before = bench.publish("a").await.fence;
    assert_eq!(u128::from(before), now.as_millis());
    for wall in [0, 0, -3600, 7200, -1] {
        bench.clock.set_wall(wall);
        let fence = bench.publish("b").await.fence;
        assert!(fence > before, "{wall}: {fence} after {before}");
        before = fence;
    }
}

#[tokio::test(start_paused = true)]
async fn token_of_an_old_credential_is_not_stored() {
    let mut bench = Bench::new();
    let lease = bench.lease().await;
    bench.store.issuer = issuer("secret-of-the-second-access-key-0123456789");
    bench.store.publish(&TokenKey::default(), &lease, &Issued::new("x", LIFE), bench.clock.now()).await;
    assert!(bench.token().await.is_none() && !bench.file().exists());
}

#[tokio::test(start_paused = true)]
async fn failure_is_waited_for_and_forgotten_with_the_next_token() {
    let bench = Bench::new();
    let failure = |kind, wait| NotedFailure { kind, failures: 2, wait: Duration::from_secs(wait) };
    let stored = async |bench: &Bench| bench.store.load(&TokenKey::default()).await.failure;
    for kind in [
        TokenErrorKind::Throttled,
        TokenErrorKind::Unavailable { status: 408 },
        TokenErrorKind::Unavailable { status: 503 },
        TokenErrorKind::Rejected { status: 401, code: Some(401_300) },
    ] {
        bench.store.release(&bench.lease().await, Some(failure(kind, 60))).await;
        assert_eq!(stored(&bench).await, Some(failure(kind, 60)));
    }
    let kind = TokenErrorKind::Throttled;
    bench.store.release(&bench.lease().await, Some(failure(kind, 3600))).await;
    let bench = bench.restarted().await;
    assert_eq!(stored(&bench).await, Some(failure(kind, 300)), "nobody waits for longer");
    bench.clock.suspend(Duration::from_secs(299));
    assert_eq!(stored(&bench).await, Some(failure(kind, 1)));
    bench.clock.suspend(Duration::from_secs(1));
    assert_eq!(stored(&bench).await, None);
    bench.store.release(&bench.lease().await, Some(failure(kind, 60))).await;
    bench.publish("x").await;
    assert_eq!(stored(&bench).await, None);
}

#[tokio::test(start_paused = true)]
async fn report_is_remembered_for_an_hour() {
    let bench = Bench::new();
    let [refused, other] = ["a", "b"].map(|token| Issued::new(token, LIFE).fingerprint());
    bench.store.report(refused).await;
    let bench = bench.restarted().await;
    assert!(bench.store.is_reported(refused).await && !bench.store.is_reported(other).await);
    bench.clock.suspend(REPORT_LIFE);
    assert!(!bench.store.is_reported(refused).await);
}

#[tokio::test(start_paused = true)]
async fn after_three_operations_that_hang_nobody_waits_until_the_store_is_back() {
    let bench = Bench::new();
    bench.publish("x").await;
    let store = &bench.store.store;
    let waited = async |expected: u128| {
        let since = tokio::time::Instant::now();
        assert_eq!(store.attempt(std::future::pending::<io::Result<()>>()).await, None);
        assert_eq!(since.elapsed().as_millis(), expected);
    };
    for _ in 0..2 {
        waited(150).await;
    }
    // One that succeeds begins the count again.
    bench.publish("y").await;
    for expected in [150, 150, 150, 0, 0] {
        waited(expected).await;
    }
    // What is in memory does not hang.
    bench.publish("z").await;
    assert_eq!(bench.token().await, Some(left("z", 3600)));
    let problem = store.status.problem.lock().clone();
    assert_eq!(problem.as_deref(), Some("it does not respond"));
    let since = tokio::time::Instant::now();
    while store.status.problem.lock().is_some() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!((150..=260).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
    let bench = bench.restarted().await;
    assert_eq!(
        bench.token().await.map(|(token, _)| token).as_deref(),
        Some("z"),
        "it was written when the folder was back"
    );
}

#[tokio::test(start_paused = true)]
async fn folder_has_room_for_so_many_records() {
    let bench = Bench::new();
    bench.publish("x").await;
    let Engine::Folder(folder) = &bench.store.store.engine else { panic!("it is a folder") };
    let now = bench.clock.now().wall;
    for number in 0..2000 {
        folder.put(format!("tp1:{number}"), b"record", now, LIFE + Duration::from_secs(number));
    }
    let is_there = |number: u64| folder.get(&format!("tp1:{number}")).is_some();
    assert!(is_there(1999) && is_there(976) && !is_there(975) && bench.token().await.is_none());
}

#[test]
fn clock_that_was_wrong_once_costs_the_records_and_no_more() {
    let folder = Folder::new(std::path::Path::new("/nowhere"));
    let [year, now] = [Duration::from_secs(4_000_000_000), Duration::from_secs(1_800_000_000)];
    folder.put("wrong".to_owned(), b"record", year, LIFE);
    folder.put("near".to_owned(), b"record", year.saturating_sub(CLOCK_TOLERANCE), LIFE);
    assert!(folder.get("wrong").is_some() && folder.newest() == year);
    folder.put("right".to_owned(), b"record", now, LIFE);
    assert!(folder.get("wrong").is_none() && folder.get("right").is_some());
    assert_eq!(folder.newest(), now);
}

/// A second process has run without the folder, which the first one has left.
#[tokio::test(start_paused = true)]
async fn what_is_in_memory_goes_before_the_file() {
    let token = async |bench: &Bench| bench.token().await.map(|(token, _)| token);
    let bench = Bench::new();
    bench.publish("old").await;
    let Bench { folder, clock, store } = bench;
    let other = Bench::in_folder(folder, clock, "boot 1");
    let lease = other.lease().await;
    let issued = Issued::new("new", LIFE).with_scope(Scope::new("granted").ok());
    other.store.publish(&TokenKey::default(), &lease, &issued, other.clock.now()).await;
    assert_eq!(token(&other).await.as_deref(), Some("new"));
    drop(store);
    while other.store.store.status.problem.lock().is_some() {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(token(&other).await.as_deref(), Some("new"));
    let next = other.restarted().await;
    assert_eq!(token(&next).await.as_deref(), Some("new"));
}

fn keys(text: &str) -> Keys {
    let folder = tempfile::tempdir().expect("can be made");
    let file = folder.path().join("keys");
    fs::write(&file, text).expect("can be written");
    Keys::read(&file).unwrap_or_else(|problem| panic!("{problem}"))
}

fn sealed(keys: &Keys, name: &str, token: &str) -> Vec<u8> {
    let content = Content::Token(token, None);
    let record = Record { boot: "b", wall: LIFE, since_boot: LIFE, life: LIFE, content };
    keys.seal(name, 7, &record)
}

proptest! {
    #[test]
    fn record_opens_only_whole_and_in_its_place(
        token in "[a-zA-Z0-9._-]{1,3000}", at in any::<proptest::sample::Index>(), bit in 0..8_u8, cut in any::<proptest::sample::Index>(),
    ) {
        let keys = keys(KEY_FILE);
        let sealed = sealed(&keys, "a.t", &token);
        prop_assert_eq!((sealed.len() - 28 - 12 - 16) % 512, 0);
        let (fence, text) = keys.open("a.t", &sealed).expect("is whole");
        let record: Record<'_> = serde_json::from_slice(&text).expect("is a record");
        let Content::Token(found, None) = record.content else { panic!("is a token") };
        prop_assert_eq!((fence, found), (7, &*token));
        prop_assert_eq!(keys.open("b.t", &sealed).err(), Some(Flaw::BadTag));
        prop_assert_eq!(keys.open("a.f", &sealed).err(), Some(Flaw::BadTag));
        let mut changed = sealed.clone();
        *at.get_mut(&mut changed) ^= 1 << bit;
        prop_assert!(keys.open("a.t", &changed).is_err());
        prop_assert!(keys.open("a.t", &sealed[..cut.index(sealed.len())]).is_err());
    }
}

#[test]
fn two_records_of_the_same_have_nothing_in_common_but_their_heads() {
    let keys = keys(KEY_FILE);
    let [one, other] = [sealed(&keys, "a.t", "x"), sealed(&keys, "a.t", "x")];
    assert_eq!(&one[..28], b"TPT1a\x00\x00\x00\x00\x00\x00\x000000000000000007");
    assert_eq!(one[..28], other[..28]);
    assert!(one[28..].windows(8).zip(other[28..].windows(8)).all(|(one, other)| one != other));
}

#[test]
fn first_key_encrypts_and_all_decrypt() {
    let line = |id: &str, byte: u8| format!("{id}={}\n", data_encoding::BASE64.encode(&[byte; 32]));
    let old = keys(&(line("old", 1) + &line("index", 9)));
    let both = keys(&(line("new", 2) + "\n# the one before\n" + &line("old", 1) + &line("index", 9)));
    let new = keys(&(line("index", 9) + &line("new", 2)));
    let by_old = sealed(&old, "a.t", "x");
    let by_both = sealed(&both, "a.t", "x");
    assert!(both.open("a.t", &by_old).is_ok() && new.open("a.t", &by_both).is_ok());
    assert_eq!(new.open("a.t", &by_old).err(), Some(Flaw::UnknownKey));
    assert_eq!(old.open("a.t", &by_both).err(), Some(Flaw::UnknownKey));
    let credential = issuer("secret").credential().expect("is HERE's");
    let names = [&old, &both, &new].map(|keys| keys.kind(&credential, &TokenKey::default()));
    assert!(names.iter().all(|name| *name == names[0] && name.len() == 32), "{names:?}");
    assert!(!old.are(&both) && old.are(&keys(&(line("old", 1) + &line("index", 9)))));
}
