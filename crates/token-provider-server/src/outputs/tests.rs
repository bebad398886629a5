//! The outputs of a server in virtual time, on a real file system.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tempfile::TempDir;
use token_provider::{
    AccessToken, Issue, Issued, Moment, TestClock, TokenError, TokenErrorKind, TokenKey, TokenProvider,
};
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::access::{Access, Handout, Profile};
use crate::config::{Config, Environment, Overrides, TokenFormat};
use crate::http::Page;
use crate::reason::{Method, Outcome};
use crate::telemetry::{OutputStatus, Telemetry};

/// Issues another token each time, as long as it is well.
#[derive(Debug, Default)]
struct Account {
    issued: AtomicU64,
    fails: AtomicBool,
    /// In seconds; 0 for what was asked for.
    granted: AtomicU64,
}

impl Issue for Account {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(TokenError::new(TokenErrorKind::Unreachable, "the account is away"));
        }
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let lifetime = match self.granted.load(Ordering::Relaxed) {
            0 => key.lifetime(),
            granted => Duration::from_secs(granted),
        };
        Ok(Issued::new(format!("token-{number}-{}", "x".repeat(800)), lifetime))
    }
}

/// A server without listeners.
struct Bench {
    folder: TempDir,
    account: Arc<Account>,
    clock: TestClock,
    outputs: Arc<Outputs>,
}

impl Bench {
    /// With outputs of these names and settings.
    fn start(outputs: &[(&str, &str)]) -> Self {
        let clock = TestClock::new();
        Self::start_with(outputs, clock.clone(), clock)
    }

    fn start_with(outputs: &[(&str, &str)], clock: TestClock, clock_of_outputs: impl Clock) -> Self {
        let (folder, account) = (tempfile::tempdir().expect("can be made"), Arc::new(Account::default()));
        let provider = TokenProvider::builder(Arc::clone(&account)).clock(clock.clone()).build();
        let profile = Profile::new("default", Vec::new(), provider);
        let access = Access::start(&config(&folder, outputs), Handout::new([profile], "default"));
        let app = Arc::new(App::new(access, Page::Plain, Telemetry::new(None)));
        let kept = [folder.path().join("needed")].into();
        let outputs = Arc::new(Outputs::start(app, clock_of_outputs, kept));
        Self { folder, account, clock, outputs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    /// The token in a file of the form `text`.
    fn number(&self, name: &str) -> Option<u64> {
        self.read(name)?.split('-').nth(1)?.parse().ok()
    }

    fn status(&self, name: &str) -> Option<OutputStatus> {
        let path = self.path(name);
        self.outputs.common.app.telemetry.outputs.lock().get(path.to_str().expect("is text")).cloned()
    }

    fn handouts(&self, name: &str, outcome: Outcome) -> u64 {
        let caller = self.path(name).to_str().expect("is text").into();
        self.outputs
            .common
            .app
            .telemetry
            .callers
            .lock()
            .get(&(Method::Output, caller, outcome))
            .copied()
            .unwrap_or(0)
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Takes another configuration into use, as the reloader does.
    fn reload(&self, outputs: &[(&str, &str)]) {
        self.outputs.common.app.access.reload(&config(&self.folder, outputs));
        self.outputs.look();
    }
}

fn config(folder: &TempDir, outputs: &[(&str, &str)]) -> Config {
    let stanza = |(name, settings): &(&str, &str)| format!("[[outputs]]\npath = '{name}'\n{settings}\n");
    let text: String = outputs.iter().map(stanza).collect();
    let file = (&*folder.path().join("c.toml"), &*text);
    Config::parse(Some(file), &Environment::default(), &Overrides::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Waits until something is so, by the paused clock, and returns how long that took.
async fn until(what: &str, within: u64, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(within), "{what}: not within {within} s");
        sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

/// An hour's file by default.
const TEXT: &str = "format = 'text'";
const MINUTE: &str = "format = 'text'\nttl = 60";

#[tokio::test(start_paused = true)]
async fn file_is_whole_and_unexpired_each_of_100_000_times_that_it_is_read() {
    const READS: u64 = 100_000;
    let bench = Bench::start(&[("file", "ttl = 60")]);
    until("the first token", 1, || bench.read("file").is_some()).await;

    // What the time was lately: the reader's thread has none of the paused one.
    let (now, reads, ends) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let reader = thread::spawn({
        let (path, now, reads, ends) =
            (bench.path("file"), Arc::clone(&now), Arc::clone(&reads), Arc::clone(&ends));
        move || {
            while !ends.load(Ordering::Relaxed) {
                let before = now.load(Ordering::Acquire);
                let text = fs::read_to_string(&path).expect("is there, whenever it is looked for");
                let json: Value =
                    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
                let token = json["access_token"].as_str().expect("has one");
                assert!(token.starts_with("token-") && token.ends_with(&"x".repeat(800)), "{token}");
                let exp = json["exp"].as_u64().expect("says when");
                assert!(exp >= before + 10, "expires {exp}, read after {before}");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    while !reader.is_finished()
        && (reads.load(Ordering::Relaxed) < READS || bench.handouts("file", Outcome::HandedOut) < 1000)
    {
        now.store(bench.now().wall.as_secs(), Ordering::Release);
        sleep(Duration::from_millis(500)).await;
    }
    ends.store(true, Ordering::Relaxed);
    reader.join().expect("has found nothing wrong");
    assert!(reads.load(Ordering::Relaxed) >= READS);
    let replaced = bench.handouts("file", Outcome::HandedOut);
    assert!(replaced >= 1000, "replaced {replaced} times");
}

#[tokio::test(start_paused = true)]
async fn token_is_replaced_before_a_quarter_of_its_lifetime_is_left() {
    for (lifetime, step, replaced) in [(60, 20, 30), (3600, 1000, 5)] {
        let bench = Bench::start(&[("file", &format!("format = 'text'\nttl = {lifetime}"))]);
        until("the first token", 1, || bench.read("file").is_some()).await;
        let (mut least, mut first) = (Duration::MAX, None);
        while bench.handouts("file", Outcome::HandedOut) < replaced {
            let token = bench.status("file").and_then(|status| status.token).expect("is in the file");
            first.get_or_insert_with(|| token.lifetime());
            least = least.min(token.remaining(bench.now()));
            sleep(Duration::from_millis(step)).await;
        }
        let granted = first.expect("has one");
        assert_eq!(granted.as_secs(), lifetime);
        assert!(least >= granted / 4, "{least:?} of {granted:?} were left");
        // Nobody else has asked, and nothing was asked for that was not needed.
        assert_eq!(bench.account.issued.load(Ordering::Relaxed), bench.handouts("file", Outcome::HandedOut));
    }
}

#[tokio::test(start_paused = true)]
async fn file_is_gone_ten_seconds_before_its_token_expires_in_a_long_outage_and_comes_back() {
    let bench = Bench::start(&[("file", TEXT)]);
    until("the first token", 1, || bench.read("file").is_some()).await;
    let token = bench.status("file").and_then(|status| status.token).expect("is in the file");
    bench.account.fails.store(true, Ordering::Relaxed);
    while bench.read("file").is_some() {
        assert!(
            token.remaining(bench.now()) > Duration::from_secs(10),
            "a reader could have it for too long"
        );
        sleep(Duration::from_millis(20)).await;
    }
    assert!(token.remaining(bench.now()) > Duration::from_secs(10), "{:?}", token.remaining(bench.now()));
    assert!(token.remaining(bench.now()) < Duration::from_secs(12), "{:?}", token.remaining(bench.now()));
    until("a failure", 60, || bench.status("file").is_some_and(|status| status.problem.is_some())).await;

    // An hour of it is one failed handout, and each attempt is counted.
    sleep(Duration::from_secs(3600)).await;
    let status = bench.status("file").expect("is configured");
    assert!(!status.is_up() && status.errors > 500, "{status:?}");
    assert!(
        status.problem.as_ref().is_some_and(|problem| problem.contains("the account is away")),
        "{status:?}"
    );
    assert_eq!(bench.handouts("file", Outcome::Failed), 1);

    bench.account.fails.store(false, Ordering::Relaxed);
    until("the next token", 60, || bench.read("file").is_some()).await;
    until("all is well", 5, || bench.status("file").is_some_and(|status| status.is_up())).await;
    assert_eq!(bench.account.issued.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn clock_that_is_set_and_machine_that_slept_are_noticed_within_a_second() {
    type Change = fn(&TestClock);
    let changes: [(&str, Change); 2] =
        [("set", |clock| clock.set_wall(7200)), ("slept", |clock| clock.suspend(Duration::from_secs(7200)))];
    for (what, change) in changes {
        for is_away in [false, true] {
            let bench = Bench::start(&[("file", TEXT)]);
            until("the first token", 1, || bench.number("file") == Some(0)).await;
            bench.account.fails.store(is_away, Ordering::Relaxed);
            change(&bench.clock);
            let expected = if is_away { None } else { Some(1) };
            let took = until(what, 2, || bench.number("file") == expected).await;
            assert!(took <= Duration::from_millis(1100), "{what}: {took:?}");
        }
    }
    // Set back, the other clock counts.
    let bench = Bench::start(&[("file", TEXT)]);
    until("the first token", 1, || bench.number("file") == Some(0)).await;
    bench.clock.set_wall(-7200);
    bench.account.fails.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(3580)).await;
    assert!(bench.read("file").is_some(), "it is good for a while yet");
    until("the end of the hour", 20, || bench.read("file").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn stop_removes_the_files_that_were_written_and_no_other() {
    let names = ["ours", "replaced", "rewritten", "gone"];
    let bench = Bench::start(&names.map(|name| (name, TEXT)));
    until("the files", 1, || names.iter().all(|name| bench.read(name).is_some())).await;
    fs::write(bench.path("another"), "not ours").expect("can be written");
    fs::rename(bench.path("another"), bench.path("replaced")).expect("can be renamed");
    fs::remove_file(bench.path("gone")).expect("is there");
    fs::write(bench.path("gone"), "the next file gets its number where that is free")
        .expect("can be written");
    // The same file, whatever is in it.
    fs::write(bench.path("rewritten"), "changed").expect("can be written");
    bench.outputs.stop().await;
    let is_there = names.map(|name| bench.read(name).is_some());
    assert_eq!(is_there, [false, true, false, true]);
    assert_eq!(bench.read("replaced").as_deref(), Some("not ours"));
    // Nor does a look that comes late begin anew.
    bench.outputs.look();
    sleep(Duration::from_secs(2)).await;
    let left = fs::read_dir(bench.folder.path()).expect("can be listed").count();
    assert_eq!(left, 2, "and nothing else is left");
}

#[tokio::test(start_paused = true)]
async fn reload_removes_what_is_gone_starts_what_is_new_and_leaves_the_rest_alone() {
    let bench = Bench::start(&[("stays", TEXT), ("goes", TEXT), ("changes", TEXT)]);
    until("the files", 1, || ["stays", "goes", "changes"].iter().all(|name| bench.read(name).is_some()))
        .await;
    let before = bench.read("changes").expect("is there");
    bench.reload(&[("stays", TEXT), ("comes", MINUTE), ("changes", "format = 'env'\nmode = '0640'")]);
    until("the new file", 3, || bench.read("comes").is_some()).await;
    until("the end of the old one", 3, || bench.read("goes").is_none()).await;
    let changed = format!("HERE_ACCESS_TOKEN={before}\n");
    until("the changed one", 3, || bench.read("changes").as_ref() == Some(&changed)).await;
    assert_eq!(bench.handouts("stays", Outcome::HandedOut), 1);
    assert!(bench.status("goes").is_none(), "it is in no metric any more");

    // Away and back, faster than it can be removed or not.
    for millis in [0, 1, 500, 990, 1000, 1500] {
        bench.reload(&[("comes", MINUTE)]);
        sleep(Duration::from_millis(millis)).await;
        bench.reload(&[("comes", MINUTE), ("stays", TEXT)]);
        sleep(Duration::from_secs(2)).await;
        bench.outputs.look();
        until("it is back", 2, || bench.read("stays").is_some()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn file_that_somebody_removed_or_replaced_is_back_within_a_second() {
    let bench = Bench::start(&[("file", TEXT)]);
    until("the first token", 1, || bench.read("file").is_some()).await;
    let written = bench.read("file");
    fs::remove_file(bench.path("file")).expect("is there");
    let took = until("it is back", 2, || bench.read("file") == written).await;
    assert!(took <= Duration::from_millis(1100), "{took:?}");
    fs::write(bench.path("other"), "an old token").expect("can be written");
    fs::rename(bench.path("other"), bench.path("file")).expect("can be renamed");
    let took = until("it is back", 2, || bench.read("file") == written).await;
    assert!(took <= Duration::from_millis(1100), "{took:?}");
    assert_eq!(bench.account.issued.load(Ordering::Relaxed), 1, "the held token is used");
}

/// What stands in the way of an output is reported until it is gone, and tried once a second.
#[tokio::test(start_paused = true)]
async fn output_that_fails_is_down_until_it_works_and_tries_once_a_second() {
    let bench = Bench::start(&[("place/file", MINUTE)]);
    until("the first token", 1, || bench.read("place/file").is_some()).await;
    // A file in the place of the folder: root may write to any folder.
    fs::rename(bench.path("place"), bench.path("away")).expect("can be renamed");
    fs::write(bench.path("place"), "no folder").expect("can be written");
    let errors = |bench: &Bench| bench.status("place/file").expect("is configured").errors;
    until("a failure", 2, || errors(&bench) > 0).await;
    let before = errors(&bench);
    // For longer than its token lives.
    for _ in 0..100 {
        sleep(Duration::from_secs(1)).await;
        assert!(!bench.status("place/file").expect("is configured").is_up(), "nothing has got better");
    }
    let tries = errors(&bench) - before;
    assert!((60..=105).contains(&tries), "{tries} in 100 s");
    assert_eq!(bench.handouts("place/file", Outcome::Failed), 1);
    fs::remove_file(bench.path("place")).expect("is there");
    until("all is well", 3, || bench.status("place/file").is_some_and(|status| status.is_up())).await;
}

/// Changes the limit of open files of this process, in which no other test runs: with none no folder can be opened, by root either.
#[tokio::test(start_paused = true)]
async fn file_that_cannot_be_removed_is_tried_once_a_second() {
    if Environment::from_process().variable("NEXTEST").is_none() {
        eprintln!("skipped: other tests may run in this process");
        return;
    }
    let bench = Bench::start(&[("file", MINUTE)]);
    until("the first token", 1, || bench.read("file").is_some()).await;
    bench.account.fails.store(true, Ordering::Relaxed);
    let left =
        || bench.status("file").and_then(|status| status.token).map(|token| token.remaining(bench.now()));
    until("shortly before the end", 60, || left() < Some(Duration::from_secs(12))).await;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).expect("can be lowered");
    until("its end", 20, || left() == Some(Duration::ZERO)).await;
    let errors = || bench.status("file").expect("is configured").errors;
    let before = errors();
    sleep(Duration::from_secs(60)).await;
    assert!((30..=61).contains(&(errors() - before)), "{} in a minute", errors() - before);
    setrlimit(Resource::Nofile, limit).expect("can be raised");
    until("the end of the file", 2, || bench.read("file").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn token_that_is_about_to_expire_is_no_reason_to_ask_without_a_pause_or_a_word() {
    for granted in [10, 11] {
        let bench = Bench::start(&[]);
        bench.account.granted.store(granted, Ordering::Relaxed);
        bench.reload(&[("file", TEXT)]);
        sleep(Duration::from_secs(60)).await;
        let status = bench.status("file").expect("is configured");
        assert!((20..=61).contains(&status.errors), "{granted}: {status:?}");
        assert!(bench.account.issued.load(Ordering::Relaxed) <= 61, "{granted}");
    }
}

/// What a server that was killed has left is removed as soon as that can be done, whatever else fails.
#[tokio::test(start_paused = true)]
async fn what_is_left_is_removed_once_it_can_be() {
    let bench = Bench::start(&[]);
    bench.account.fails.store(true, Ordering::Relaxed);
    fs::write(bench.path("place"), "no folder").expect("can be written");
    bench.reload(&[("place/file", TEXT)]);
    sleep(Duration::from_secs(3)).await;
    fs::remove_file(bench.path("place")).expect("is there");
    fs::create_dir(bench.path("place")).expect("can be made");
    fs::write(bench.path("place/file"), "an old token").expect("can be written");
    until("it is gone", 3, || bench.read("place/file").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn file_that_the_server_needs_is_neither_replaced_nor_removed() {
    let bench = Bench::start(&[]);
    fs::write(bench.path("needed"), "a credential").expect("can be written");
    symlink("needed", bench.path("link")).expect("can be made");
    bench.reload(&[("needed", TEXT), ("link", TEXT)]);
    sleep(Duration::from_secs(5)).await;
    for name in ["needed", "link"] {
        let problem = bench.status(name).and_then(|status| status.problem).expect("is reported");
        assert!(problem.contains("the server itself needs"), "{problem}");
    }
    bench.outputs.stop().await;
    assert_eq!(bench.read("link").as_deref(), Some("a credential"));
}

/// What an output waits for at the end of each write, in the thread that writes.
#[derive(Clone, Debug)]
struct StickingClock {
    clock: TestClock,
    runtime: thread::ThreadId,
    sticks: Arc<AtomicBool>,
    released: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Clock for StickingClock {
    fn now(&self) -> Moment {
        if thread::current().id() != self.runtime && self.sticks.swap(false, Ordering::Relaxed) {
            // Until it is released, or the test is over.
            let _ = self.released.lock().recv();
        }
        self.clock.now()
    }
}

/// A file system that does not answer while it writes, in the place of a network file system whose server is gone. What it has
/// written by the time that it answers is not put into its place: the token has expired by then, or the server has stopped.
#[tokio::test(start_paused = true)]
async fn file_system_that_hangs_holds_up_nothing_and_what_comes_too_late_is_not_put_in_place() {
    for is_stopped in [false, true] {
        let clock = TestClock::new();
        let (release, released) = mpsc::channel();
        let sticking = StickingClock {
            clock: clock.clone(),
            runtime: thread::current().id(),
            sticks: Arc::new(AtomicBool::new(true)),
            released: Arc::new(Mutex::new(released)),
        };
        let bench = Bench::start_with(&[("stuck", TEXT)], clock, sticking.clone());
        // Threads need real time, and the paused one does not go on by itself while somebody is busy.
        while sticking.sticks.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        for _ in 0..40 {
            advance(Duration::from_millis(100)).await;
        }
        let status = bench.status("stuck").expect("is configured");
        assert_eq!((status.errors, status.problem.as_deref()), (1, Some(STUCK)));
        assert!(bench.read("stuck").is_none());

        bench.reload(&[("stuck", TEXT), ("other", TEXT)]);
        // Another output goes on.
        while bench.read("other").is_none() {
            tokio::task::yield_now().await;
        }
        bench.outputs.common.app.access.handout().ready().await.expect("and so do handouts");
        if is_stopped {
            stop_while_hung(&bench).await;
            drop(release);
            until("its end", 5, || bench.status("stuck").is_none()).await;
            assert!(bench.read("stuck").is_none());
        } else {
            bench.clock.suspend(Duration::from_secs(3600));
            drop(release);
            until("another token", 10, || bench.read("stuck").is_some()).await;
            assert!(bench.number("stuck") > Some(0), "{:?}", bench.read("stuck"));
        }
    }
}

/// Stops the outputs, one of which hangs.
async fn stop_while_hung(bench: &Bench) {
    let begun = Instant::now();
    let (outputs, mut is_stopped) = (Arc::clone(&bench.outputs), false);
    let stop = tokio::spawn(async move { outputs.stop().await });
    while !is_stopped {
        advance(Duration::from_millis(10)).await;
        is_stopped = stop.is_finished();
        assert!(begun.elapsed() <= Duration::from_millis(1500), "the end waits for a second");
    }
    assert!(begun.elapsed() >= Duration::from_secs(1), "or nothing hung");
}

#[test]
fn each_form_is_what_its_reader_expects() {
    let token = AccessToken::fixed("t-1", Duration::from_secs(60));
    let text = |format| String::from_utf8(render(&token, format).to_vec()).expect("is text");
    let exp = token.expires_at().wall.as_secs();
    let json = format!(r#"{{"access_token":"t-1","token_type":"bearer","exp":{exp}}}"#) + "\n";
    for (format, expected) in [
        (TokenFormat::Text, "t-1".to_owned()),
        (TokenFormat::Header, "Authorization: Bearer t-1\n".to_owned()),
        (TokenFormat::Env, "HERE_ACCESS_TOKEN=t-1\n".to_owned()),
        (TokenFormat::Json, json.clone()),
        (TokenFormat::Here, json),
    ] {
        assert_eq!(text(format), expected, "{format:?}");
    }
}
