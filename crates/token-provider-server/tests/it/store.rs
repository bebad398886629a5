//! `[store]`: tokens that outlive the process, as the program keeps them and whatever becomes of its folder.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::PathBuf;

use data_encoding::BASE64;
use here_sandbox::Fault;
use rustix::process::Signal;
use tokio::time::Instant;

use super::support::program::{Account, Folder, OTHER_USER, Outcome, Running, is_root, set_mode};
use super::support::wire::{Reply, get};
use super::support::within;

const CONFIG: &str = "token-provider.toml";
const KEYS: &str = "store.keys";
const HOUR: &str = "/getToken?ttl=3600";
const MINUTES: &str = "/getToken?ttl=600";

/// A line of a key file: a key of 32 such bytes.
fn key(id: &str, byte: u8) -> String {
    format!("{id} = {}\n", BASE64.encode(&[byte; 32]))
}

fn keys() -> String {
    key("a", 1) + &key("index", 2)
}

async fn at_home() -> (Account, Folder) {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    folder.write(KEYS, &keys());
    let url = folder.path("kept").display().to_string();
    let config = "listen = '127.0.0.1:0'\nadmin.listen = '127.0.0.1:0'\n[store]\n";
    folder.write(CONFIG, &format!("{config}url = 'file:{url}'\nkey_file = '{KEYS}'\n"));
    (account, folder)
}

/// Replaces the key file in one step: the server may read it just now.
fn replace_keys(folder: &Folder, text: &str) {
    let new = folder.write("new.keys", text);
    fs::rename(new, folder.path(KEYS)).expect("can be renamed");
}

/// A server that runs, with its addresses for callers and for metrics.
struct Server {
    running: Running,
    callers: SocketAddr,
    admin: SocketAddr,
}

impl Server {
    async fn start(folder: &Folder) -> Self {
        let mut running = folder.start(&["serve"]);
        let [callers, admin] = running.addresses().await;
        Self { running, callers, admin }
    }

    async fn token(&self, target: &str) -> String {
        let reply = get(self.callers, target).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.text().to_owned()
    }

    /// A figure of the metrics.
    async fn sample(&self, name: &str) -> Option<u64> {
        let page = get(self.admin, "/metrics").await;
        page.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    async fn rejected(&self, reason: &str) -> Option<u64> {
        self.sample(&format!("token_provider_store_rejected_total{{reason=\"{reason}\"}}")).await
    }

    async fn end(self, signal: Signal) -> Vec<String> {
        self.running.signal(signal);
        self.running.end().await.2
    }
}

fn put_away(account: &Account) {
    account.sandbox.faults().replace(vec![Fault { status: Some(503), ..Fault::default() }]);
}

fn left(reply: &Reply) -> u64 {
    reply.header("token-expires-in").and_then(|left| left.parse().ok()).expect("is a number")
}

/// A line of the file: a record's name, until when it is of use, and the record.
type Line = (String, u64, Vec<u8>);

/// The records of tokens, the one that lives longest first.
fn records(folder: &Folder) -> Vec<Line> {
    let text = fs::read_to_string(folder.path("kept/tokens")).expect("can be read");
    let mut records: Vec<Line> = text.lines().skip(1).map(line).collect();
    records.retain(|(name, ..)| name.ends_with(":t"));
    records.sort_by_key(|(_, until, _)| std::cmp::Reverse(*until));
    records
}

fn line(line: &str) -> Line {
    let [name, until, record] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let record = BASE64.decode(record.as_bytes()).expect("is base64");
    (name.to_owned(), until.parse().expect("is a number"), record)
}

fn write(folder: &Folder, records: &[Line]) {
    let lines =
        records.iter().map(|(name, until, record)| format!("{name} {until} {}\n", BASE64.encode(record)));
    let text: String = std::iter::once("token-provider-store 1 0\n".to_owned()).chain(lines).collect();
    fs::write(folder.path("kept/tokens"), text).expect("can be written");
}

#[tokio::test]
async fn tokens_survive_a_restart_while_here_is_away() {
    for signal in [Signal::TERM, Signal::KILL] {
        let (account, folder) = at_home().await;
        let server = Server::start(&folder).await;
        let before = [server.token(HOUR).await, server.token(MINUTES).await];
        assert_eq!(server.sample("token_provider_store_up").await, Some(1));
        let mut log = server.end(signal).await;
        put_away(&account);

        let server = Server::start(&folder).await;
        let reply = get(server.callers, HOUR).await;
        assert!((3000..=3600).contains(&left(&reply)), "{reply:?}");
        assert_eq!([server.token(HOUR).await, server.token(MINUTES).await], before);
        let status = get(server.admin, "/status").await.json();
        assert_eq!(status["store"]["up"], true, "{status}");
        assert_eq!(
            status["profiles"][0]["issuer_requests"],
            serde_json::json!({}),
            "HERE was not asked: {status}"
        );
        assert_eq!(get(server.callers, "/getToken?ttl=7200").await.status, 503, "it is away");
        log.extend(server.end(Signal::TERM).await);

        // What is on the disk and in the log tells nobody anything.
        let mut written = log.concat().into_bytes();
        for entry in fs::read_dir(folder.path("kept")).expect("can be listed") {
            let path = entry.expect("can be read").path();
            written.extend(path.to_str().expect("is text").bytes());
            written.extend(fs::read(&path).expect("can be read"));
            let mode = fs::metadata(&path).expect("is there").mode() & 0o077;
            assert!(mode == 0 || path.ends_with("lock"), "{mode:o} {}", path.display());
        }
        let secret = account.secret();
        for planted in [&before[0], &before[1], &secret, "hrn:", "access_token", "AQEBAQEB"] {
            let is_there = written.windows(planted.len()).any(|bytes| bytes == planted.as_bytes());
            assert!(!is_there, "{planted}");
        }
        assert_eq!(fs::metadata(folder.path("kept")).expect("is there").mode() & 0o7777, 0o755);
    }
}

/// The token that a service refused is not handed out by the next process either.
#[tokio::test]
async fn token_that_was_reported_does_not_come_back() {
    let (account, folder) = at_home().await;
    let server = Server::start(&folder).await;
    server.token(HOUR).await;
    // Somebody has asked since it came: it is replaced, and not only dropped.
    let before = server.token(HOUR).await;
    server.running.signal(Signal::USR1);
    let replaced = async { while server.token(HOUR).await == before {} };
    within("the successor", replaced).await;
    let after = server.token(HOUR).await;
    server.end(Signal::KILL).await;
    put_away(&account);
    let server = Server::start(&folder).await;
    assert_eq!(server.token(HOUR).await, after);
    server.end(Signal::TERM).await;
}

/// Another access key of the same app has other tokens.
#[tokio::test]
async fn credential_gets_no_token_of_another() {
    let (account, folder) = at_home().await;
    let server = Server::start(&folder).await;
    let before = server.token(HOUR).await;
    server.end(Signal::TERM).await;
    let secret = "another-secret-of-the-same-access-key-0123456789";
    let changed = account.credentials().replace(&account.secret(), secret);
    folder.write("credentials.properties", &changed);
    let id = changed.lines().find_map(|line| line.strip_prefix("here.access.key.id = ")).expect("has one");
    account.sandbox.add_access_key(id, secret);
    let server = Server::start(&folder).await;
    assert_ne!(server.token(HOUR).await, before);
    server.end(Signal::TERM).await;
    assert_eq!(records(&folder).len(), 2);
}

#[tokio::test]
async fn keys_are_rotated_without_a_new_token() {
    let (account, folder) = at_home().await;
    let mut server = Server::start(&folder).await;
    let before = server.token(HOUR).await;
    put_away(&account);
    // Added below, moved to the top: each taken into use while the server runs.
    for text in [keys() + &key("b", 3), key("b", 3) + &keys()] {
        replace_keys(&folder, &text);
        server.running.signal(Signal::HUP);
        server.running.logged("the store's key set was read from its file").await;
    }
    assert_eq!(records(&folder)[0].2[4..6], *b"a\0", "it is still the old one");
    account.sandbox.faults().replace(Vec::new());
    server.token(MINUTES).await;
    server.end(Signal::TERM).await;
    assert_eq!(records(&folder)[1].2[4..6], *b"b\0");
    put_away(&account);
    let mut server = Server::start(&folder).await;
    assert_eq!(server.token(HOUR).await, before);

    // A bad file changes nothing, and is seen.
    replace_keys(&folder, "b = planted-that-is-no-key\n");
    server.running.logged("the store's key set cannot be used; the previous one, if any, stays in use").await;
    let line = server.running.last_line().to_owned();
    assert!(
        line.contains("store.keys:1: expected 32 bytes in base64") && !line.contains("planted"),
        "{line}"
    );
    assert_eq!(server.sample("token_provider_config_last_reload_successful").await, Some(0));
    let status = get(server.admin, "/status").await.json();
    let problems = status["configuration"]["secret_problems"].to_string();
    assert!(problems.contains("store.keys:1"), "{status}");
    replace_keys(&folder, &(key("b", 3) + &keys()));
    let fixed =
        async { while server.sample("token_provider_config_last_reload_successful").await != Some(1) {} };
    within("the end of the problem", fixed).await;
    server.end(Signal::TERM).await;
}

/// What becomes of two records: that of an hour, and that of ten minutes.
type Change = fn(&Folder, &mut [Line]);

#[tokio::test]
async fn record_that_cannot_be_believed_is_counted_and_a_new_token_requested() {
    let changes: [(&str, Change); 9] = [
        ("bad_tag", |_, records| *records[0].2.last_mut().expect("is long") ^= 1),
        // Its fence, and a byte of the text.
        ("bad_tag", |_, records| records[0].2[26] = b'0' + (records[0].2[26] + 1) % 10),
        ("bad_tag", |_, records| records[0].2[60] ^= 0x80),
        ("bad_tag", |_, records| records[0].2 = records[1].2.clone()),
        // Another key file with the same names.
        ("bad_tag", |folder, _| drop(folder.write(KEYS, &(key("a", 9) + &key("index", 2))))),
        ("unknown_key", |folder, _| drop(folder.write(KEYS, &(key("b", 1) + &key("index", 2))))),
        ("other_format", |_, records| records[0].2[3] = b'2'),
        ("malformed", |_, records| records[0].2.truncate(20)),
        ("malformed", |_, records| records[0].2[12] = b'+'),
    ];
    for (number, (reason, apply)) in changes.into_iter().enumerate() {
        let (_account, folder) = at_home().await;
        let server = Server::start(&folder).await;
        let before = server.token(HOUR).await;
        server.token(MINUTES).await;
        server.end(Signal::TERM).await;
        let mut records = records(&folder);
        assert_eq!(records.len(), 2);
        apply(&folder, &mut records);
        write(&folder, &records);

        let server = Server::start(&folder).await;
        assert_ne!(server.token(HOUR).await, before, "{number}: {reason}");
        let page = get(server.admin, "/metrics").await;
        assert!(server.rejected(reason).await > Some(0), "{number}: {reason} {page:?}");
        assert_eq!(server.sample("token_provider_store_up").await, Some(1), "{reason}");
        let log = server.end(Signal::TERM).await.concat();
        assert!(log.contains("a record in the store was rejected") && log.contains(reason), "{log}");
    }
}

/// What was cut off, or is something else, costs what was in it and no more.
#[tokio::test]
async fn file_that_is_damaged_costs_the_records_that_are() {
    let (_account, folder) = at_home().await;
    let server = Server::start(&folder).await;
    let before = server.token(HOUR).await;
    server.token(MINUTES).await;
    server.end(Signal::TERM).await;
    let whole = records(&folder);
    for (cut, is_there, malformed) in [(5, true, 1), (usize::MAX, false, 1)] {
        let [hour, minutes] = &whole[..] else { panic!("{whole:?}") };
        write(&folder, &[hour.clone(), minutes.clone()]);
        let mut text = fs::read(folder.path("kept/tokens")).expect("can be read");
        text.truncate(text.len().saturating_sub(cut));
        text.extend(b"\xff\0");
        fs::write(folder.path("kept/tokens"), &text).expect("can be written");
        let server = Server::start(&folder).await;
        assert_eq!(server.rejected("malformed").await, Some(malformed), "{cut}");
        assert_eq!(server.token(HOUR).await == before, is_there, "{cut}");
        server.end(Signal::TERM).await;
    }
}

/// With another `index`, nothing is found, and nothing removed.
#[tokio::test]
async fn another_index_begins_anew() {
    let (_account, folder) = at_home().await;
    let server = Server::start(&folder).await;
    let before = server.token(HOUR).await;
    server.end(Signal::TERM).await;
    folder.write(KEYS, &(key("a", 1) + &key("index", 4)));
    let server = Server::start(&folder).await;
    assert_ne!(server.token(HOUR).await, before);
    server.end(Signal::TERM).await;
    assert_eq!(records(&folder).len(), 2);
}

#[tokio::test]
async fn second_process_goes_without_the_folder_until_the_first_has_ended() {
    let (_account, folder) = at_home().await;
    let first = Server::start(&folder).await;
    let of_first = first.token(HOUR).await;
    let outcome = folder.run(&["check", "--offline"]).await;
    assert!(outcome.stdout.contains("kept can be used"), "a server that runs is no fault: {outcome:?}");

    let mut running = folder.start(&["serve"]);
    running.logged("the store cannot be used; going on without it").await;
    assert!(running.last_line().contains("another process uses the folder"), "{}", running.last_line());
    let [callers, admin] = running.addresses().await;
    let mut second = Server { running, callers, admin };
    let of_second = second.token(HOUR).await;
    assert_ne!(of_second, of_first);
    assert_eq!(second.sample("token_provider_store_up").await, Some(0));
    let status = get(second.admin, "/status").await.json();
    assert_eq!(status["store"]["problem"], "another process uses the folder", "{status}");
    assert_eq!(records(&folder).len(), 1);
    first.end(Signal::TERM).await;

    second.running.logged("the store can be used again").await;
    assert_eq!(second.sample("token_provider_store_up").await, Some(1));
    second.token(MINUTES).await;
    assert_eq!(records(&folder).len(), 2);
    second.end(Signal::TERM).await;
}

/// Starts a server whose folder hangs: opening the lock does, as on a network file system whose server is gone.
async fn hanging(folder: &Folder) -> (Server, PathBuf) {
    fs::create_dir(folder.path("kept")).expect("can be made");
    let pipe = folder.pipe("kept/lock");
    let config = fs::read_to_string(folder.path(CONFIG)).expect("is there");
    folder.write(CONFIG, &(config + "timeout = '2s'\n"));
    let mut running = folder.start(&["serve"]);
    let [callers, admin] = running.addresses().await;
    running.logged("the store cannot be used; going on without it").await;
    assert!(running.last_line().contains("it does not respond"), "{}", running.last_line());
    (Server { running, callers, admin }, pipe)
}

#[tokio::test]
async fn folder_that_hangs_holds_up_nobody_and_is_used_when_it_is_back() {
    let (_account, folder) = at_home().await;
    let (mut server, pipe) = hanging(&folder).await;
    let (asked, threads) = (Instant::now(), server.sample("process_threads").await);
    for lifetime in [60, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200] {
        server.token(&format!("/getToken?ttl={lifetime}")).await;
    }
    assert!(
        asked.elapsed().as_secs() < 10,
        "with three time-outs each it would be a minute: {:?}",
        asked.elapsed()
    );
    let now = server.sample("process_threads").await;
    assert!(now <= threads.map(|threads| threads + 8), "{threads:?}, then {now:?}");
    assert_eq!(server.sample("token_provider_store_up").await, Some(0));

    // Who reads from the pipe lets it be opened; after that it is a file again.
    let reader = fs::File::open(&pipe).expect("can be opened");
    fs::remove_file(&pipe).expect("is there");
    server.running.logged("the store can be used again").await;
    drop(reader);
    server.token("/getToken?ttl=86400").await;
    assert_eq!(records(&folder).len(), 11, "those that were requested meanwhile, too");
    server.end(Signal::TERM).await;
}

#[tokio::test]
async fn folder_that_hangs_does_not_hold_up_the_end() {
    let (_account, folder) = at_home().await;
    let (server, _pipe) = hanging(&folder).await;
    server.token(HOUR).await;
    let asked = Instant::now();
    server.end(Signal::TERM).await;
    assert!(asked.elapsed().as_secs() < 10, "{:?}", asked.elapsed());
}

/// What is taken away while the server runs costs nobody a token, and is made again.
#[tokio::test]
async fn folder_that_is_removed_is_made_again() {
    let (_account, folder) = at_home().await;
    let server = Server::start(&folder).await;
    server.token(HOUR).await;
    fs::remove_dir_all(folder.path("kept")).expect("can be removed");
    server.token(MINUTES).await;
    server.token("/getToken?ttl=900").await;
    assert_eq!(fs::metadata(folder.path("kept")).expect("is there").mode() & 0o7777, 0o755);
    assert!(!records(&folder).is_empty());
    assert_eq!(server.sample("token_provider_store_up").await, Some(1));
    server.end(Signal::TERM).await;
}

#[tokio::test]
async fn records_that_are_of_no_use_any_more_are_removed() {
    let (_account, folder) = at_home().await;
    let server = Server::start(&folder).await;
    server.token(HOUR).await;
    server.end(Signal::TERM).await;
    let mut kept = records(&folder);
    kept.extend([
        ("tp1:{old}:t".to_owned(), 1, b"old".to_vec()),
        ("tp1:{other}:t".to_owned(), kept[0].1 + 1, b"other".to_vec()),
        ("tp1:{foreign}:t".to_owned(), u64::MAX, b"foreign".to_vec()),
    ]);
    write(&folder, &kept);
    let server = Server::start(&folder).await;
    server.token(MINUTES).await;
    server.end(Signal::TERM).await;
    let names: BTreeSet<_> = records(&folder).into_iter().map(|(name, ..)| name).collect();
    assert!(
        !names.contains("tp1:{old}:t") && names.contains("tp1:{other}:t") && names.len() == 3,
        "{names:?}"
    );
}

#[tokio::test]
async fn key_file_that_cannot_be_used_is_refused_at_the_start() {
    let (_account, folder) = at_home().await;
    let long = "x".repeat(5000);
    for (text, expected) in [
        ("", "store.keys: expected a line \"id = base64\" with a key that encrypts"),
        (&*key("index", 2), "store.keys: expected a line \"id = base64\" with a key that encrypts"),
        (&*key("a", 1), "store.keys: expected a line \"index = base64\""),
        ("# a\n\nplanted\n", "store.keys:3: expected \"id = base64\""),
        ("a = cGxhbnRlZA==\n", "store.keys:1: expected 32 bytes in base64"),
        (&*(keys() + "a = planted"), "store.keys:3: expected 32 bytes in base64"),
        (&*(keys() + &key("A", 3)), "store.keys:3: expected 1 to 8 of a-z and 0-9"),
        (&*(keys() + &key("ninechars", 3)), "store.keys:3: expected 1 to 8 of a-z and 0-9"),
        (&*(keys() + &key("", 3)), "store.keys:3: expected 1 to 8 of a-z and 0-9"),
        (&*(keys() + &key("a", 3)), "store.keys:3: another line has the same id"),
        (&*(keys() + &key("index", 3)), "store.keys:3: there is another line for the index"),
        (&*long, "it is larger than 4 KiB"),
    ] {
        folder.write(KEYS, text);
        let outcome = folder.run(&["serve"]).await;
        assert_eq!(outcome.code, Some(78), "{text}: {outcome:?}");
        assert!(outcome.stderr.contains(expected), "{expected}: {outcome:?}");
        let checked = folder.run(&["check", "--offline"]).await;
        assert_eq!(checked.code, Some(78), "{text}: {checked:?}");
        assert!(checked.stdout.contains("FAILURE  store: store.key_file: store.keys"), "{checked:?}");
        assert!(!format!("{outcome:?}{checked:?}").contains("planted"), "{outcome:?}");
        assert!(!folder.path("kept").exists(), "nothing was made");
    }
    fs::remove_file(folder.path(KEYS)).expect("is there");
    let outcome = folder.run(&["serve"]).await;
    assert!(outcome.code == Some(78) && outcome.stderr.contains("store.keys: cannot be read"), "{outcome:?}");
    // Others can read it.
    folder.write(KEYS, &keys());
    set_mode(&folder.path(KEYS), 0o644);
    let outcome = folder.run(&["check", "--offline"]).await;
    assert!(outcome.stdout.contains("warning  store: other users can read"), "{outcome:?}");
    let mut running = folder.start(&["serve"]);
    running.logged("other users can read").await;
    running.signal(Signal::TERM);
    running.end().await;
    // And this user cannot.
    if is_root() {
        for file in [CONFIG, "credentials.properties"] {
            chown(folder.path(file), Some(OTHER_USER), Some(OTHER_USER)).expect("is ours to give");
        }
        set_mode(&folder.path(KEYS), 0o600);
        // As far as the server had come.
        let _ = fs::remove_dir_all(folder.path("kept"));
        let (user, file) = (OTHER_USER.to_string(), folder.path(KEYS));
        let outcome = Outcome::of(folder.command_of_other(&["serve"])).await;
        let mut reads = std::process::Command::new("setpriv");
        reads.args(["--reuid", &user, "--regid", &user, "--clear-groups", "test", "-r"]).arg(file);
        assert!(!reads.status().expect("can be run").success(), "it must be unreadable");
        assert!(outcome.code == Some(78) && outcome.stderr.contains("Permission denied"), "{outcome:?}");
    }
}

/// What is wrong with the folder.
type Obstacle = fn(&Folder);

#[tokio::test]
async fn folder_that_cannot_be_used_is_reported_and_done_without() {
    let obstacles: [(&str, Obstacle); 4] = [
        ("its folder is a symbolic link or a file", |folder| drop(folder.write("kept", "a file"))),
        ("its folder is a symbolic link or a file", |folder| {
            fs::create_dir(folder.path("elsewhere")).expect("can be made");
            symlink("elsewhere", folder.path("kept")).expect("can be made");
        }),
        ("kept is writable by every user", |folder| {
            fs::create_dir(folder.path("kept")).expect("can be made");
            set_mode(&folder.path("kept"), 0o777);
        }),
        ("No such file or directory", |folder| {
            let config = fs::read_to_string(folder.path(CONFIG)).expect("is there");
            folder.write(CONFIG, &config.replace("/kept'", "/no/kept'"));
        }),
    ];
    for (reason, put) in obstacles {
        let (_account, folder) = at_home().await;
        put(&folder);
        let outcome = folder.run(&["check", "--offline"]).await;
        assert_eq!(outcome.code, Some(78), "{reason}: {outcome:?}");
        assert!(
            outcome.stdout.contains("store.url: ") && outcome.stdout.contains(reason),
            "{reason}: {outcome:?}"
        );
        let mut running = folder.start(&["serve"]);
        running.logged("the store cannot be used; going on without it, and retrying").await;
        assert!(running.last_line().contains(reason), "{reason}: {}", running.last_line());
        let [callers, admin] = running.addresses().await;
        let server = Server { running, callers, admin };
        server.token(HOUR).await;
        assert_eq!(server.sample("token_provider_store_up").await, Some(0));
        server.end(Signal::TERM).await;
    }
}

#[tokio::test]
async fn check_makes_no_folder_and_leaves_nothing_in_it() {
    let (_account, folder) = at_home().await;
    let outcome = folder.run(&["check"]).await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("kept can be used"), "{outcome:?}");
    assert!(!folder.path("kept").exists());
    fs::create_dir(folder.path("kept")).expect("can be made");
    let outcome = folder.run(&["check"]).await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(fs::read_dir(folder.path("kept")).expect("can be listed").count(), 0);
}
