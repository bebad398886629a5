//! The store (`[store]`): tokens outside the process, encrypted, so that servers share them, and a restart finds them.
//!
//! Only refreshers come here, through the library's `SharedIssuer`. Whatever is wrong with the store, tokens are requested as without
//! one: what cannot be read is not there, each operation has a short limit, and after three time-outs in a row, or one error, nobody
//! waits for another until the store is back.

#![cfg_attr(
    not(feature = "store"),
    allow(unused, irrefutable_let_patterns, clippy::all, clippy::pedantic, reason = "a folder needs less")
)]

mod file;
mod profile;
mod seal;
#[cfg(feature = "store")]
mod valkey;

use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use token_provider::{Clock, Fingerprint, Lease, Moment, SystemClock};
use tokio::time::{sleep, timeout};

use self::file::{CLOCK_TOLERANCE, Folder, boot_id};
use self::seal::{Content, Keys, Record};
#[cfg(feature = "store")]
use self::valkey::Valkey;
use crate::config::{StoreConfig, StorePlace};
use crate::failure::Failure;
use crate::http::App;
use crate::reason::Flaw;
use crate::telemetry::StoreStatus;
use crate::topic::Topic;

pub use self::profile::ProfileStore;

/// After so many time-outs in a row, or one error, nobody waits for the store, …
const MAX_FAILURES: u32 = 3;
/// … which is tried again this often, give or take a quarter.
const RETRY_EVERY: Duration = Duration::from_secs(5);
/// The limit for each of these attempts, and for the first one, at the start, …
const LONGEST_CONNECT: Duration = Duration::from_secs(2);
/// … which the start waits for no longer than a healthy store takes.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// Reports of other servers are looked for this often, at least.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// So many reports wait for the store. Reports are rare.
const MAX_UNSENT: usize = 64;

/// A token leaves the store before it expires by this.
const MARGIN: Duration = Duration::from_secs(10);

/// The store of a server.
#[derive(Debug)]
pub struct TokenStore {
    engine: Engine,
    config: StoreConfig,
    keys: ArcSwap<Keys>,
    clock: Arc<dyn Clock>,
    boot: String,
    /// Time-outs in a row; an error counts as all of them.
    failures: AtomicU32,
    /// Tokens whose reports could not be stored.
    unsent: Mutex<Vec<Fingerprint>>,
    /// How it stands.
    pub status: Arc<StoreStatus>,
}

/// What keeps records, which it knows nothing of, under names.
#[derive(Debug)]
enum Engine {
    Folder(Folder),
    #[cfg(feature = "store")]
    Valkey(Box<Valkey>),
}

/// A record as it was found, with the longest time for which it is good.
type Found = Option<(Vec<u8>, Duration)>;

impl TokenStore {
    /// Reads the key file. The store is left alone until [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// Names the file and the line.
    pub fn new(config: &StoreConfig) -> Result<Self, Failure> {
        let keys = Keys::read(&config.key_file)
            .map_err(|problem| Failure::new(Topic::Store, format!("store.key_file: {problem}")))?;
        let engine = match &config.place {
            StorePlace::Folder(path) => Engine::Folder(Folder::new(path)),
            #[cfg(not(feature = "store"))]
            StorePlace::Valkey { .. } => unreachable!("the configuration takes no such URL"),
            #[cfg(feature = "store")]
            StorePlace::Valkey { topology, nodes } => {
                Engine::Valkey(Box::new(Valkey::new(config, topology, nodes)))
            }
        };
        Ok(Self {
            engine,
            config: config.clone(),
            keys: ArcSwap::from_pointee(keys),
            clock: Arc::new(SystemClock),
            boot: boot_id(),
            failures: AtomicU32::new(0),
            unsent: Mutex::default(),
            status: Arc::default(),
        })
    }

    /// Opens the folder, or connects to the server. Without either the server goes on.
    pub async fn start(self: &Arc<Self>) {
        let store = Arc::clone(self);
        self.failures.store(MAX_FAILURES, Ordering::Relaxed);
        *self.status.problem.lock() = Some("not connected yet".to_owned());
        let attempt = tokio::spawn(async move {
            match limited(LONGEST_CONNECT, store.connect()).await {
                Ok(()) => {
                    *store.status.problem.lock() = None;
                    tracing::info!(store = store.config.url, "tokens are kept in the store");
                    store.failures.store(0, Ordering::Relaxed);
                }
                Err(error) => store.go_without(&error),
            }
        });
        let _ = timeout(FIRST_WAIT, attempt).await;
    }

    async fn connect(&self) -> io::Result<()> {
        match &self.engine {
            Engine::Folder(folder) => {
                // Once, however much of it is something else.
                if folder.save(self.clock.now().wall).await? > 0 {
                    self.reject("tokens", Flaw::Malformed);
                }
            }
            #[cfg(feature = "store")]
            Engine::Valkey(valkey) => valkey.connect().await.map_err(io::Error::other)?,
        }
        Ok(())
    }

    /// Reads the key file again. Returns whether there are other keys. Blocks.
    ///
    /// # Errors
    ///
    /// Names the file and the line. The keys stay.
    pub fn read_keys(&self) -> Result<bool, String> {
        let keys = Keys::read(&self.config.key_file)?;
        let is_new = !self.keys.load().are(&keys);
        self.keys.store(Arc::new(keys));
        Ok(is_new)
    }

    /// Returns whether there is another password in its file than the one in use. Blocks.
    ///
    /// # Errors
    ///
    /// Why the file cannot be read.
    pub fn has_new_password(&self) -> Result<bool, String> {
        match &self.engine {
            #[cfg(feature = "store")]
            // While the store is away, each attempt to connect reads the file anyway.
            Engine::Valkey(valkey) if !self.is_away() => valkey.has_new_password(),
            _ => Ok(false),
        }
    }

    /// Connects again, with what is in the files now.
    ///
    /// # Errors
    ///
    /// Why not. The connection before stays.
    pub async fn reconnect(&self) -> Result<bool, String> {
        let done = limited(LONGEST_CONNECT, self.connect()).await;
        done.map(|()| true).map_err(|error| format!("store.password_file: {error}"))
    }

    /// Looks whether tokens that are held here were reported at other servers, each time one announces that, and when the store is
    /// back. An announcement without a report makes no difference.
    #[cfg(feature = "store")]
    pub async fn follow_reports(self: Arc<Self>, app: Arc<App>) {
        let (Engine::Valkey(valkey), handout) = (&self.engine, app.access.handout()) else { return };
        loop {
            // An announcement may be lost, and nobody may say that the connection is.
            let _ = timeout(LOOK_EVERY, valkey.noticed()).await;
            // Not all servers at the same time, and not more often.
            sleep(Duration::from_secs(1).mul_f64(1.0 + fastrand::f64() / 2.0)).await;
            self.read(["tp1:probe"]).await;
            let unsent = mem::take(&mut *self.unsent.lock());
            for token in unsent {
                self.report(token).await;
            }
            let slots = handout.status().flat_map(|profile| profile.tokens);
            for token in slots.filter_map(|slot| slot.token) {
                if self.is_reported(token.fingerprint()).await {
                    handout.report_held(&token);
                }
            }
        }
    }

    /// Runs an operation, unless the store is away. Returns `None` if it fails.
    async fn attempt<T>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<T, impl Into<Box<dyn std::error::Error + Send + Sync>>>>,
    ) -> Option<T> {
        if self.is_away() {
            return None;
        }
        let work = async { work.await.map_err(io::Error::other) };
        match limited(self.config.timeout, work).await {
            Ok(done) => {
                let reset = |failures| (failures < MAX_FAILURES).then_some(0);
                // Where it fails, others have found the store away meanwhile.
                let _ = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reset);
                Some(done)
            }
            Err(error) => {
                // What does not answer in time may be slow. What says no, or is gone, needs a new connection.
                let count = if error.kind() == ErrorKind::TimedOut { 1 } else { MAX_FAILURES };
                let before = self.failures.fetch_add(count, Ordering::Relaxed);
                if before < MAX_FAILURES && before + count >= MAX_FAILURES {
                    self.go_without(&error);
                }
                None
            }
        }
    }

    fn is_away(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= MAX_FAILURES
    }

    /// Says that the store is away, and looks for it until it is back.
    fn go_without(self: &Arc<Self>, error: &io::Error) {
        *self.status.problem.lock() = Some(error.to_string());
        tracing::error!(store = self.config.url, %error, "the store cannot be used; going on without it, and retrying");
        let store = Arc::clone(self);
        tokio::spawn(async move {
            // The first time soon: it may have been the connection alone.
            let mut pause = Duration::from_millis(200);
            loop {
                sleep(pause.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
                pause = RETRY_EVERY;
                match limited(LONGEST_CONNECT, store.connect()).await {
                    Ok(()) => break,
                    Err(error) => *store.status.problem.lock() = Some(error.to_string()),
                }
            }
            *store.status.problem.lock() = None;
            tracing::info!(store = store.config.url, "the store can be used again");
            // Last: from now on it may be away again.
            store.failures.store(0, Ordering::Relaxed);
        });
    }

    /// Returns what is under each of the names, with the time that is left of it.
    async fn read<const N: usize>(self: &Arc<Self>, names: [&str; N]) -> [Found; N] {
        let found = match &self.engine {
            Engine::Folder(folder) => Some(names.map(|name| Some((folder.get(name)?, Duration::MAX)))),
            #[cfg(feature = "store")]
            Engine::Valkey(valkey) => self.attempt(valkey.read(names)).await,
        };
        found.unwrap_or([const { None }; N])
    }

    /// Renews a lease, or ends it and writes what came of it under a name.
    async fn with_lease(
        self: &Arc<Self>,
        what: &str,
        lease: &Lease,
        record: Option<(String, &[u8], Duration)>,
    ) -> Option<bool> {
        match (&self.engine, record) {
            (Engine::Folder(_), None) => {}
            (Engine::Folder(folder), Some((name, record, life))) => {
                self.keep(folder, name, record, life).await;
            }
            #[cfg(feature = "store")]
            (Engine::Valkey(valkey), record) => {
                let record = record.map(|(_, record, life)| (record, life));
                return self.attempt(valkey.with_lease(what, lease, record)).await;
            }
        }
        Some(true)
    }

    /// Keeps a record in the folder.
    async fn keep(self: &Arc<Self>, folder: &Folder, name: String, record: &[u8], life: Duration) {
        folder.put(name, record, self.clock.now().wall, life);
        self.attempt(folder.save(self.clock.now().wall)).await;
    }

    /// Decrypts a record, and takes what is wanted of it, by its fence, its content and its age. One that cannot be believed counts as
    /// rejected.
    fn open<T>(
        &self,
        name: &str,
        sealed: &[u8],
        take: impl FnOnce(u64, &Record<'_>, Duration) -> Result<T, Flaw>,
    ) -> Option<T> {
        let opened = || {
            let (fence, text) = self.keys.load().open(name, sealed)?;
            let record: Record<'_> = serde_json::from_slice(&text).map_err(|_| Flaw::Malformed)?;
            let age = self.age(&record)?;
            if age < record.life { take(fence, &record, age).map(Some) } else { Ok(None) }
        };
        opened().unwrap_or_else(|flaw| {
            self.reject(name, flaw);
            None
        })
    }

    fn reject(&self, record: &str, flaw: Flaw) {
        *self.status.rejected.lock().entry(flaw).or_default() += 1;
        tracing::warn!(record, reason = %flaw, "a record in the store was rejected");
    }

    /// Returns how long ago a record was written. On another machine, or across a boot, only the wall clock can tell, and on one
    /// machine not if it is behind the one that another record was written by.
    fn age(&self, record: &Record<'_>) -> Result<Duration, Flaw> {
        let now = self.clock.now();
        if record.wall > now.wall.saturating_add(CLOCK_TOLERANCE) {
            return Err(Flaw::Future);
        }
        let by_wall = now.wall.saturating_sub(record.wall);
        if record.boot == self.boot {
            return Ok(by_wall.max(now.boot.saturating_sub(record.since_boot)));
        }
        match &self.engine {
            Engine::Folder(folder) if now.wall < folder.newest() => Err(Flaw::ClockSetBack),
            _ => Ok(by_wall),
        }
    }

    fn seal(&self, name: &str, fence: u64, at: Moment, (life, content): (Duration, Content<'_>)) -> Vec<u8> {
        let record = Record { boot: &self.boot, wall: at.wall, since_boot: at.boot, life, content };
        self.keys.load().seal(name, fence, &record)
    }
}

/// Waits for an operation, for so long. One that hangs goes on.
async fn limited<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let stuck = |_| io::Error::new(ErrorKind::TimedOut, "it does not respond");
    timeout(limit, work).await.map_err(stuck)?
}

/// Checks that the key file can be read, and that records can be written into the store, read and removed. Returns what is to be said
/// about it, and `None` where a server would have to be asked, which `offline` forbids.
///
/// # Errors
///
/// Why not.
pub async fn check(config: &StoreConfig, offline: bool) -> Result<Option<Vec<String>>, Failure> {
    let store = TokenStore::new(config)?;
    let work = async {
        match (&store.engine, &config.place) {
            (_, StorePlace::Folder(path)) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || file::check(&path)).await?.map(|()| Some(Vec::new()))
            }
            #[cfg(feature = "store")]
            (Engine::Valkey(valkey), _) if !offline => {
                store.connect().await?;
                Ok(Some(valkey.warnings().await))
            }
            _ => Ok(None),
        }
    };
    limited(LONGEST_CONNECT, work)
        .await
        .map_err(|error| Failure::new(Topic::Store, format!("store.url: {}: {error}", config.url)))
}

#[cfg(test)]
mod tests;
