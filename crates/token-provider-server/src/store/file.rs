//! A folder on one machine: a restart finds the tokens of the process before it.
//!
//! The records of one process are few: all are in memory, and one file has them, which is read once and replaced as a whole. So no read
//! waits for a disk, and nothing has to be swept.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use crate::outputs::{Place, first_to_make};
use crate::values::duration::digits;

/// A clock that is ahead of another by more is wrong.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(10);

/// The file with the records.
const FILE: &str = "tokens";
/// Whose holder uses the folder.
const LOCK: &str = "lock";
/// How the file begins, before the time of the newest write.
const FORMAT: &str = "token-provider-store 1 ";
const FILE_MODE: u32 = 0o600;
/// As many tokens as a profile holds, and as many failures and reports. Callers that go through all scopes would make more.
const MAX_RECORDS: usize = 1024;
/// A token lives for a day at most. What would stay for longer would take the place of others.
const LONGEST_LIFE: Duration = Duration::from_secs(25 * 3600);
/// What so many need if each is as long as an issuer's response may be.
const MAX_FILE: u64 = 128 * 1024 * 1024;

/// A folder, and the records that are to be in it.
#[derive(Debug)]
pub struct Folder {
    path: Arc<Path>,
    contents: Arc<Mutex<Contents>>,
    /// Held while this process uses the folder.
    lock: Arc<tokio::sync::Mutex<Option<File>>>,
}

#[derive(Debug, Default)]
struct Contents {
    /// When the last record was written, by the wall clock.
    newest: Duration,
    /// The last one that was drawn.
    fence: u64,
    /// By their names, each with the time until which it is of use.
    records: BTreeMap<String, (Duration, Vec<u8>)>,
}

impl Folder {
    pub fn new(path: &Path) -> Self {
        Self { path: path.into(), contents: Arc::default(), lock: Arc::default() }
    }

    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.contents.lock().records.get(name).map(|(_, record)| record.clone())
    }

    /// Returns when the last record was written, by whatever process, and by the wall clock.
    pub fn newest(&self) -> Duration {
        self.contents.lock().newest
    }

    /// Keeps a record in memory; [`save`](Self::save) writes it.
    pub fn put(&self, name: String, record: &[u8], now: Duration, life: Duration) {
        let mut contents = self.contents.lock();
        if now + CLOCK_TOLERANCE < contents.newest {
            // The clock was set back, from a time that may have been wrong: nobody knows how old these are.
            contents.records.clear();
            contents.newest = now;
        }
        contents.newest = contents.newest.max(now);
        contents.records.retain(|_, (until, _)| *until > now);
        contents.records.insert(name, (now.saturating_add(life), record.to_vec()));
        let first =
            contents.records.iter().min_by_key(|(_, (until, _))| *until).map(|(name, _)| name.clone());
        if let Some(first) = first.filter(|_| contents.records.len() > MAX_RECORDS) {
            contents.records.remove(&first);
        }
    }

    /// Draws a number that is higher than those before it, and where clocks are right than those of processes before this one.
    pub fn draw(&self, now: Duration) -> u64 {
        let mut contents = self.contents.lock();
        let now = u64::try_from(now.as_millis()).expect("is before the year 500 million");
        contents.fence = now.max(contents.fence + 1);
        contents.fence
    }

    /// Writes the records. The first time it makes the folder if it is not there, takes it for this process, and reads what is in it;
    /// returns how many lines are no records. Goes on if nobody waits for it any more, and the next one waits for it.
    pub async fn save(&self, now: Duration) -> io::Result<usize> {
        let mut lock = Arc::clone(&self.lock).lock_owned().await;
        let (path, contents) = (Arc::clone(&self.path), Arc::clone(&self.contents));
        let work = move || {
            let mut malformed = 0;
            // Where the folder was removed, the lock went with it.
            if lock.is_none() || !path.join(LOCK).try_exists()? {
                let opened = open(&path)?;
                malformed = contents.lock().add(&read(&path.join(FILE))?, now + LONGEST_LIFE);
                *lock = Some(opened);
            }
            let text = contents.lock().text();
            let place = Place::new(&path.join(FILE), Arc::default());
            place.replace(FILE_MODE, None, text.as_bytes(), || true).map(|_| malformed)
        };
        spawn_blocking(work).await?
    }
}

impl Contents {
    /// Adds what is in a file, but for what is here already, and nothing if its first line does not say when it was written. Returns
    /// how many of its lines are no records.
    fn add(&mut self, text: &str, latest: Duration) -> usize {
        let mut lines = text.lines();
        let Some(newest) = lines.next().and_then(|line| line.strip_prefix(FORMAT)).and_then(milliseconds)
        else {
            return text.lines().count();
        };
        self.newest = self.newest.max(newest);
        let mut malformed = 0;
        for line in lines {
            if let Some((name, until, record)) = parse(line).filter(|(_, until, _)| *until <= latest) {
                self.records.entry(name.to_owned()).or_insert((until, record));
            } else {
                malformed += 1;
            }
        }
        malformed
    }

    fn text(&self) -> String {
        let mut text = format!("{FORMAT}{}\n", self.newest.as_millis());
        for (name, (until, record)) in &self.records {
            writeln!(text, "{name} {} {}", until.as_millis(), BASE64.encode(record))
                .expect("a String takes everything");
        }
        text
    }
}

fn parse(line: &str) -> Option<(&str, Duration, Vec<u8>)> {
    let (name, rest) = line.split_once(' ')?;
    let (until, record) = rest.split_once(' ')?;
    Some((name, milliseconds(until)?, BASE64.decode(record.as_bytes()).ok()?))
}

fn milliseconds(text: &str) -> Option<Duration> {
    digits(text).map(Duration::from_millis)
}

/// Makes sure that the folder is there, that nobody else can change what is in it, and that no other process uses it.
fn open(path: &Path) -> io::Result<File> {
    try_out(&path.join(FILE))?;
    // Nobody else can open it, and so lock it.
    match Place::new(&path.join(LOCK), Arc::default()).create(&[]) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let lock = File::options().append(true).open(path.join(LOCK))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::new(ErrorKind::WouldBlock, "another process uses the folder"),
        TryLockError::Error(error) => error,
    })?;
    Ok(lock)
}

/// Reads the file, if it is there.
fn read(path: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        file => drop(file?.take(MAX_FILE).read_to_end(&mut text)?),
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// For `check`: tries whether the file could be written. A server may be using the folder.
pub fn check(path: &Path) -> io::Result<()> {
    try_out(&first_to_make(path.join(FILE))?)
}

/// Writes a file that is not put in its place.
fn try_out(path: &Path) -> io::Result<()> {
    Place::new(path, Arc::default()).replace(FILE_MODE, None, &[], || false).map(drop)
}

/// Names the time since the machine was started. Where the system does not, each process has its own.
pub fn boot_id() -> String {
    #[cfg(all(target_os = "linux", not(portable)))]
    if let Ok(id) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        return id.trim().to_owned();
    }
    format!("{:016x}", getrandom::u64().expect("the system has random numbers"))
}
