//! The wall clock is set by hours while the program runs: for real, by libfaketime (Debian: `faketime`), which stands
//! between a process and the system's clocks.
//!
//! The program's own clock reads through libc here, where the library can get in between: `rustix` otherwise asks the
//! kernel's vDSO itself. That is a feature of the tests' build and the only difference.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use here_sandbox::Fault;

use super::load::Load;
use super::process::Process;
use crate::here_keys::{ID, SECRET};
use crate::support::program::{Account, Folder};
use crate::support::sdk::{Sdk, SdkRequest, now};
use crate::support::wire::{Connection, get};

const DIFFERS: &str = "clock differs from HERE's";
const HOUR: i64 = 3600;
const DAY: Duration = Duration::from_secs(86_400);
const API_KEY: &str = "tp_an-api-key-of-the-tests-0123456789-0123456789";
/// SHA-256 of [`API_KEY`].
const API_KEY_SHA256: &str = "45031396deae5803240c63b24994287aa2715350dc5622d246f33ad3de2d5d50";

/// A server whose wall clock can be set; the account behind it and this process keep to the true time.
struct Bench {
    account: Account,
    server: Process,
    folder: Folder,
}

impl Bench {
    /// `None`, with a word about it, where libfaketime is not installed.
    #[expect(clippy::print_stdout, reason = "the person running the tests should know what was skipped")]
    async fn start(off_by: i64) -> Option<Self> {
        let Some(library) = library() else {
            println!("SKIPPED: libfaketime is not installed (Debian: apt-get install faketime)");
            return None;
        };
        let (account, folder) = (Account::open().await, Folder::new());
        folder.write("credentials.properties", &account.credentials());
        folder.write("maps.secret", SECRET);
        let key = format!("[[access.here_keys]]\nid = '{ID}'\nsecret_file = 'maps.secret'\n");
        let end = UNIX_EPOCH + Duration::from_secs(now()) + 15 * DAY;
        let end = humantime::format_rfc3339_seconds(end);
        let expires =
            format!("[[access.api_keys]]\nid = 'a'\nsha256 = '{API_KEY_SHA256}'\nexpires = {end}\n");
        folder.write("token-provider.toml", &format!("access.anonymous = true\n{key}{expires}"));
        set(&folder, off_by);
        let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0"]);
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", folder.path("clock"))
            // Read the file each time, and leave the clocks alone that nobody can set.
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Some(Self { account, server: Process::start(command), folder })
    }

    /// Sets the server's wall clock, by so many seconds from the true time.
    fn set_clock(&self, off_by: i64) {
        set(&self.folder, off_by);
    }

    /// Waits until the server has noticed that its clock is off, as it does when HERE refuses its timestamp.
    async fn notices(&self, from: usize, off_by: i64) {
        let line = self.server.logged(from, DIFFERS).await;
        let entry: serde_json::Value = serde_json::from_str(&line).expect("is JSON");
        let offset = entry["clock.offset_seconds"].as_i64().expect("is a number");
        assert!((offset + off_by).abs() <= 5, "the clock is off by {off_by} s: {line}");
    }
}

fn set(folder: &Folder, off_by: i64) {
    // Never to be seen half written.
    let new = folder.write("clock.new", &format!("{off_by:+}\n"));
    fs::rename(new, folder.path("clock")).expect("can be renamed");
}

/// The variant for programs with threads, wherever the distribution puts it.
fn library() -> Option<PathBuf> {
    let name = "faketime/libfaketimeMT.so.1";
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let mut places =
        folders.chain([Path::new("/usr/lib").to_owned(), Path::new("/usr/local/lib").to_owned()]);
    places.find_map(|folder| Some(folder.join(name)).filter(|library| library.is_file()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_that_is_hours_off_is_no_hindrance() {
    for off_by in [3 * HOUR, -5 * HOUR] {
        let Some(bench) = Bench::start(off_by).await else { return };
        let address = bench.server.address().await;
        let reply = get(address, "/getToken").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(bench.account.sandbox.verify_token(reply.text()).is_ok(), "is good by the true time");
        bench.notices(0, off_by).await;
        // Found out once, and kept.
        assert_eq!(get(address, "/getToken?ttl=300").await.status, 200);
        assert_eq!(bench.server.count(0, DIFFERS), 1);
        assert_eq!(bench.account.sandbox.stats().refused.get(&401_204), Some(&1));
        // Somebody sets the clock right: it is found out again.
        let from = bench.server.so_far();
        bench.set_clock(0);
        assert_eq!(get(address, "/getToken?ttl=600").await.status, 200);
        bench.notices(from, 0).await;
    }
}

/// Without libfaketime: here it is the account whose clock is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_the_clock_is_off_is_shown_in_status_and_metrics() {
    for off_by in [HOUR, -HOUR] {
        let (account, folder) = (Account::open().await, Folder::new());
        account.sandbox.faults().inject(Fault { clock_skew_s: Some(off_by), ..Fault::default() });
        folder.write("credentials.properties", &account.credentials());
        folder.write("token-provider.toml", "admin.listen = '127.0.0.1:0'\n");
        let server = Process::start(folder.command(&["serve", "--listen", "127.0.0.1:0"]));
        let admin = server.address_after("metrics and status at http://").await;
        server.logged(0, "token received").await;

        let status = get(admin, "/status").await.json();
        let shown = status["profiles"][0]["clock_offset_seconds"].as_i64().expect("is shown");
        assert!((shown - off_by).abs() <= 5, "the account is {off_by} s ahead: {status}");
        let metrics = get(admin, "/metrics").await;
        let sample = format!("token_provider_clock_offset_seconds{{profile=\"default\"}} {shown}\n");
        assert!(metrics.text().contains(&sample), "no {sample:?}: {metrics:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setting_the_clock_by_hours_gives_nobody_an_expired_token() {
    let Some(bench) = Bench::start(0).await else { return };
    let address = bench.server.address().await;
    let load = Load::start(address).await;

    // Forward: by the wall clock, the hour is over. There is a new token at once, and callers wait for it.
    let from = bench.server.so_far();
    bench.account.sandbox.faults().inject(Fault { lifetime_s: Some(20), ..Fault::default() });
    bench.set_clock(2 * HOUR);
    bench.notices(from, 2 * HOUR).await;
    bench.server.logged(from, "token received").await;
    load.more(20).await;

    // Back: by the wall clock the token lives for hours yet. By the one that nobody can set it is due after 8.5 s and
    // not to be handed out after 10.
    let from = bench.server.so_far();
    bench.set_clock(-9 * HOUR);
    bench.notices(from, -9 * HOUR).await;
    bench.server.logged(from, "token received").await;
    load.more(20).await;

    // And right again, with a token of the usual length.
    bench.account.sandbox.faults().clear();
    let from = bench.server.so_far();
    bench.set_clock(0);
    bench.notices(from, 0).await;
    bench.server.logged(from, "token received").await;
    load.more(20).await;

    // Every token that the callers got was good for a while yet, by the true time; and nobody went without.
    let tally = load.end().await;
    assert_eq!(tally.without_token, 0, "{tally:#?}");
    assert_eq!(bench.server.count(0, "no token received"), 0);
}

/// hyper makes its own `Date` once a second, by the clock: after that is set back, the last one stays for as long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_whose_timestamp_is_refused_is_told_the_time_by_a_clock_that_was_set_back() {
    let Some(bench) = Bench::start(0).await else { return };
    let address = bench.server.address().await;
    for _ in 0..10 {
        assert_eq!(get(address, "/livez").await.status, 200);
    }
    bench.set_clock(-HOUR);
    for _ in 0..10 {
        let mut request = SdkRequest::new(Sdk::Cpp, address, ID, SECRET);
        let refused = request.send(address).await;
        assert_eq!(
            (refused.status, refused.json()["errorCode"].as_u64()),
            (401, Some(401_204)),
            "{refused:?}"
        );
        let date = httpdate::parse_http_date(refused.header("date").expect("is there")).expect("is a date");
        request.timestamp = date.duration_since(UNIX_EPOCH).expect("is later").as_secs();
        assert!(now().abs_diff(request.timestamp).abs_diff(HOUR.unsigned_abs()) <= 5, "{refused:?}");
        let reply = request.send(address).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_is_reported_once_a_day_from_two_weeks_before_its_end_and_then_opens_nothing() {
    const WARNING: &str = "an API key has expired, or soon will";
    let Some(bench) = Bench::start(0).await else { return };
    let mut kept = Connection::open(bench.server.address().await).await;
    let mut ask = async || {
        kept.send(format!("GET /getToken HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {API_KEY}\r\n\r\n")).await;
        kept.reply().await
    };
    assert_eq!(ask().await.status, 200);
    let days = |days: i64| 24 * HOUR * days;
    for (off_by, expected) in [
        (days(1) + HOUR, "(full days left: 13)"),
        (days(2) + HOUR, "(full days left: 12)"),
        (days(15) - HOUR, "(full days left: 0)"),
        (days(15) + HOUR, "a expired at "),
    ] {
        let from = bench.server.so_far();
        bench.set_clock(off_by);
        let line = bench.server.logged(from, WARNING).await;
        assert!(line.contains(expected), "{line}");
        assert_eq!(bench.server.count(from, WARNING), 1, "said once");
    }
    let reply = ask().await;
    assert_eq!(
        (reply.status, reply.description().as_str()),
        (401, "the API key has expired"),
        "also on a kept connection"
    );
}
