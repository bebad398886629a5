//! A changed configuration never lets in more callers than it says: not by a file that is gone, cut short or out of
//! reach, and not by one that names nobody any more.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::Value;
use token_provider_server::parts::access::api_key;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::process::Process;
use super::reload::{FILE, LOCKED, NOT_USED, RELOADED};
use crate::support::program::{Folder, OTHER_USER, Outcome, is_root, set_mode};
use crate::support::wire::{Connection, get, request};

const BACK: &str = "matches the running configuration again";
const METRIC: &str = "token_provider_config_last_reload_successful";

/// What the server says at its two endpoints: `GET /getToken`, `POST /oauth2/token`.
type Statuses = [u16; 2];

const LOOPBACK: &str = "127.0.0.1:0";
const UNIX: &str = "unix";
const NETWORK: &str = "0.0.0.0:0";

const OPEN: Statuses = [200, 200];
const CLOSED: Statuses = [401, 401];

/// An API key, and the stanza that lets it in.
struct Key {
    key: String,
    stanza: String,
}

/// Where a server answers callers.
#[derive(Clone, Debug)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A server with a configuration file, and an admin listener.
struct Bench {
    server: Process,
    place: Place,
    admin: SocketAddr,
    key: Key,
    // Last, so that the server ends before its folder does.
    folder: Folder,
}

impl Key {
    fn new(id: &str) -> Self {
        let (key, sha256) = api_key::generate(api_key::PREFIX).expect("there is randomness");
        let stanza = format!("[[access.api_keys]]\nid = '{id}'\nsha256 = '{sha256}'\n");
        Self { key: key.to_string(), stanza }
    }
}

/// What goes before the stanzas.
fn top(origin: &str) -> String {
    format!("admin.listen = 0\ncors.origins = ['https://{origin}.example']\n")
}

impl Place {
    async fn connect(&self) -> Connection<Box<dyn Stream>> {
        Connection::new(match self {
            Self::Tcp(address) => Box::new(TcpStream::connect(address).await.expect("connects")),
            Self::Unix(path) => Box::new(UnixStream::connect(path).await.expect("connects")),
        })
    }

    async fn statuses(&self, key: Option<&str>) -> Statuses {
        statuses(&mut self.connect().await, key).await
    }
}

async fn statuses<S: Stream>(connection: &mut Connection<S>, key: Option<&str>) -> Statuses {
    let header = key.map_or_else(String::new, |key| format!("X-API-Key: {key}\r\n"));
    connection.send(format!("GET /getToken HTTP/1.1\r\nHost: localhost\r\n{header}\r\n")).await;
    let get = connection.reply().await.status;
    let client = key.map_or_else(String::new, |key| format!("&client_id=a&client_secret={key}"));
    let body = format!("grant_type=client_credentials{client}");
    let length = body.len();
    connection
        .send(format!(
            "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}"
        ))
        .await;
    [get, connection.reply().await.status]
}

impl Bench {
    /// Starts with one caller, who has the key `a`.
    async fn start(listen: &str, flags: &[&str]) -> Self {
        let key = Key::new("a");
        let text = top("start") + &key.stanza;
        Self::start_with(Folder::new(), listen, flags, &text, key).await
    }

    async fn start_with(folder: Folder, listen: &str, flags: &[&str], text: &str, key: Key) -> Self {
        folder.write(FILE, text);
        let socket = folder.path("socket");
        let listen = if listen == UNIX { format!("unix:{}", socket.display()) } else { listen.to_owned() };
        let arguments = [&["serve", "--sandbox", "--listen", &listen], flags].concat();
        let server = Process::start(folder.command(&arguments));
        let admin = server.address_after("metrics and status at http://").await;
        let place = if listen.starts_with("unix:") {
            Place::Unix(socket)
        } else {
            let line = server.logged(0, "listening on http://").await;
            let rest = line.split("listening on http://").nth(1).unwrap_or_default();
            let address: SocketAddr = rest.split(';').next().unwrap_or_default().parse().expect("is one");
            Place::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())))
        };
        Self { server, place, admin, key, folder }
    }

    async fn with_key(&self) -> Statuses {
        self.place.statuses(Some(&self.key.key)).await
    }

    async fn without_key(&self) -> Statuses {
        self.place.statuses(None).await
    }

    /// What a page of this name is told.
    async fn page(&self, name: &str) -> u16 {
        let mut connection = self.place.connect().await;
        let head =
            format!("GET /getToken HTTP/1.1\r\nHost: localhost\r\nOrigin: https://{name}.example\r\n\r\n");
        connection.send(head).await;
        connection.reply().await.status
    }

    /// Writes the file, triggers a check, and waits until it is done.
    async fn reload(&self, text: &str, expected: &str) -> String {
        let before = self.server.so_far();
        self.folder.write(FILE, text);
        self.server.signal(Signal::HUP);
        self.server.logged(before, expected).await
    }

    /// What the status says of the configuration; it says the same as the metric.
    async fn status(&self) -> Value {
        let reply = request(self.admin, "GET", "/status", &[("Accept", "application/json")]).await;
        let status = reply.json()["configuration"].clone();
        let metrics = get(self.admin, "/metrics").await;
        let expected = format!("{METRIC} {}", u8::from(status["last_reload_successful"] == true));
        assert!(metrics.text().lines().any(|line| line == expected), "{expected}: {status}");
        status
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_that_names_no_caller_lets_nobody_in() {
    for listen in [LOOPBACK, UNIX, NETWORK] {
        let bench = Bench::start(listen, &[]).await;
        let guarded = top("start") + &bench.key.stanza;
        let two_lines: String = guarded.split_inclusive('\n').take(2).collect();
        for lost in ["", &two_lines, &top("other"), "# all of it\n"] {
            assert_eq!((bench.with_key().await, bench.without_key().await), (OPEN, CLOSED), "{listen}");
            let line = bench.reload(lost, LOCKED).await;
            assert!(line.contains("access.anonymous = true"), "{line}");
            assert_eq!(line.contains("(or a restart)"), listen != NETWORK, "{line}");
            assert_eq!(
                (bench.with_key().await, bench.without_key().await),
                (CLOSED, CLOSED),
                "{listen} {lost}"
            );
            let status = bench.status().await;
            assert_eq!((&status["locked"], &status["last_reload_successful"]), (&true.into(), &false.into()));

            bench.reload(&guarded, RELOADED).await;
            let status = bench.status().await;
            assert_eq!((&status["locked"], &status["last_reload_successful"]), (&false.into(), &true.into()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locked_server_stays_so_until_a_caller_is_named_or_it_is_opened() {
    for listen in [LOOPBACK, UNIX, NETWORK] {
        let bench = Bench::start(listen, &["--config", FILE]).await;
        bench.reload(&top("b"), LOCKED).await;
        assert_eq!((bench.page("b").await, bench.page("start").await), (401, 403));
        // Something else changes, and everything else is used.
        let before = bench.server.so_far();
        bench.reload(&top("c"), LOCKED).await;
        assert_eq!(bench.server.count(before, RELOADED), 1);
        assert_eq!((bench.with_key().await, bench.without_key().await), (CLOSED, CLOSED), "{listen}");
        assert_eq!((bench.page("c").await, bench.page("b").await), (401, 403));
        // Nothing changes, and the log says so.
        bench.reload(&top("c"), LOCKED).await;
        bench.reload("not TOML", NOT_USED).await;
        assert_eq!((bench.with_key().await, bench.without_key().await), (CLOSED, CLOSED), "{listen}");

        let other = Key::new("a");
        bench.reload(&(top("d") + &other.stanza), RELOADED).await;
        assert_eq!((bench.with_key().await, bench.without_key().await), (CLOSED, CLOSED), "{listen}");
        assert_eq!(bench.place.statuses(Some(&other.key)).await, OPEN, "{listen}");

        // With its own message, from either state.
        let anonymous = "access.anonymous = true\n";
        bench.reload(&(top("e") + anonymous), RELOADED).await;
        assert_eq!(bench.without_key().await, OPEN, "{listen}");
        bench.reload(&(top("f") + &bench.key.stanza), RELOADED).await;
        assert_eq!((bench.with_key().await, bench.without_key().await), (OPEN, CLOSED), "{listen}");
        bench.reload(&top("g"), LOCKED).await;
        bench.reload(&(top("h") + anonymous), RELOADED).await;
        assert_eq!(bench.without_key().await, OPEN, "{listen}");

        // With that word gone, it is as at a start: which the network must not find open.
        let is_local = listen != NETWORK;
        bench.reload(&top("i"), if is_local { RELOADED } else { LOCKED }).await;
        assert_eq!(bench.without_key().await, if is_local { OPEN } else { CLOSED }, "{listen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_authenticate_locks_the_server_when_it_is_lost() {
    let oidc = "[access.oidc]\nissuer = 'http://127.0.0.1:1'\naudience = 'x'\n";
    let proxy = |header: &str| format!("[access.trusted_proxy]\nfrom = ['192.0.2.1']\n{header}");
    let named = proxy("header = 'X-Remote-User'\n");
    let here_key = "[[access.here_keys]]\nid = 'tp.a'\nsecret_file = 'a.secret'\n";
    for (guarded, lost) in [(oidc, ""), (&named, ""), (&named, &proxy("")), (here_key, "")] {
        let text = top("start") + guarded;
        let folder = Folder::new();
        folder.write("a.secret", &"s".repeat(32));
        let bench = Bench::start_with(folder, "127.0.0.1:0", &[], &text, Key::new("a")).await;
        assert_eq!(bench.without_key().await, CLOSED, "{guarded}");
        bench.reload(&(top("start") + lost), LOCKED).await;
        assert_eq!(bench.without_key().await, CLOSED, "{guarded} → {lost}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flag_that_opens_the_server_goes_on_to_do_so() {
    let bench = Bench::start("127.0.0.1:0", &["--anonymous"]).await;
    assert_eq!((bench.with_key().await, bench.without_key().await), (OPEN, OPEN));
    bench.reload(&top("b"), RELOADED).await;
    // It shows a key that is not known any more.
    assert_eq!((bench.with_key().await, bench.without_key().await), (CLOSED, OPEN));
    assert_eq!(bench.status().await["locked"], false);
}

/// Starting a server without callers makes every profile available to everyone. Losing a stanza must not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profile_of_a_deleted_caller_is_not_for_everybody() {
    let folder = Folder::new();
    let top = "access.anonymous = true\n[profiles.default]\n[profiles.secret]\n";
    let key = "[[access.api_keys]]\nid = 'a'\nprofiles = ['secret']\n";
    let sha256 = "sha256 = '2afc7b4f98282acff9cc11cab04e893c8c99c4f6805afc2a94574069651bb957'\n";
    folder.write(FILE, &format!("{top}{key}{sha256}"));
    let server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let address = server.address_after("listening on http://").await;
    let status = async |profile: &str| {
        request(address, "GET", &format!("/getToken?profile={profile}"), &[]).await.status
    };
    assert_eq!((status("default").await, status("secret").await), (200, 403));
    for text in [top.to_owned(), format!("{top}[cors]\norigins = ['https://a.example']\n")] {
        let before = server.so_far();
        folder.write(FILE, &text);
        server.signal(Signal::HUP);
        server.logged(before, RELOADED).await;
        assert_eq!((status("default").await, status("secret").await), (200, 403), "{text}");
    }
    let before = server.so_far();
    folder.write(FILE, &top.replace("true", "true\naccess.anonymous_profiles = ['default', 'secret']"));
    server.signal(Signal::HUP);
    server.logged(before, RELOADED).await;
    assert_eq!(status("secret").await, 200, "written down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_is_gone_changes_nothing_and_is_reported() {
    let named = &["--config", FILE][..];
    let cases =
        [(LOOPBACK, &[][..], true), (UNIX, named, true), (LOOPBACK, named, false), (UNIX, &[], false)];
    join_all(cases.map(|(listen, flags, is_signalled)| async move {
        let case = format!("{listen} {flags:?} {is_signalled}");
        let bench = Bench::start(listen, flags).await;
        let (file, away) = (bench.folder.path(FILE), bench.folder.path("away"));
        let before = bench.server.so_far();
        fs::rename(&file, &away).expect("can be renamed");
        if is_signalled {
            bench.server.signal(Signal::HUP);
        }
        let line = bench.server.logged(before, NOT_USED).await;
        assert!(line.contains("there is no such file"), "{line}");
        assert_eq!((bench.with_key().await, bench.without_key().await), (OPEN, CLOSED), "{case}");
        let status = bench.status().await;
        assert_eq!((&status["last_reload_successful"], &status["locked"]), (&false.into(), &false.into()));
        assert_eq!(status["problems"].as_array().map(Vec::len), Some(1), "{status}");

        fs::rename(&away, &file).expect("can be renamed");
        bench.server.logged(before, BACK).await;
        assert_eq!(bench.status().await["last_reload_successful"], true);
        assert_eq!((bench.with_key().await, bench.without_key().await), (OPEN, CLOSED), "{case}");
        assert_eq!(bench.server.count(before, NOT_USED), 1, "said once");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_came_after_the_start_is_for_the_next_one() {
    let folder = Folder::new();
    let server = Process::start(folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let place = Place::Tcp(server.address().await);
    folder.write(FILE, &Key::new("a").stanza);
    server.signal(Signal::HUP);
    server.logged(0, "the server was started without one").await;
    assert_eq!(place.statuses(None).await, OPEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_this_user_may_not_read_any_more_changes_nothing() {
    let (folder, key) = (Folder::new(), Key::new("a"));
    let file = folder.write(FILE, &key.stanza);
    set_mode(&file, 0o644);
    let arguments = ["serve", "--sandbox", "--listen", "127.0.0.1:0", "--config", FILE];
    let server = Process::start(folder.command_of_other(&arguments));
    let place = Place::Tcp(server.address().await);
    assert_eq!((place.statuses(Some(&key.key)).await, place.statuses(None).await), (OPEN, CLOSED));

    let before = server.so_far();
    // Of root's, where that is the user of the tests; then the file itself keeps everybody else out.
    set_mode(&file, if is_root() { 0o600 } else { 0 });
    assert!(!can_be_read(&file), "or the test shows nothing");
    // With no signal.
    let line = server.logged(before, NOT_USED).await;
    assert!(line.contains("permission denied"), "{line}");
    assert_eq!((place.statuses(Some(&key.key)).await, place.statuses(None).await), (OPEN, CLOSED));
    let before = server.so_far();
    server.signal(Signal::HUP);
    server.logged(before, NOT_USED).await;
    assert_eq!((place.statuses(Some(&key.key)).await, place.statuses(None).await), (OPEN, CLOSED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systems_file_that_this_user_may_not_read_any_more_changes_nothing() {
    const SYSTEM: &str = "etc/token-provider/config.toml";
    if !is_root() {
        // Another root directory takes root.
        return;
    }
    let (folder, key) = (Folder::new(), Key::new("a"));
    let arguments = ["serve", "--sandbox", "--listen", "127.0.0.1:0"];
    let command = folder.command_in_its_own_root(&arguments);
    let file = folder.write(SYSTEM, &key.stanza);
    set_mode(&file, 0o644);
    let server = Process::start(command);
    let place = Place::Tcp(server.address().await);
    assert_eq!((place.statuses(Some(&key.key)).await, place.statuses(None).await), (OPEN, CLOSED));

    set_mode(&file, 0o600);
    assert!(!can_be_read(&file), "or the test shows nothing");
    // With no signal.
    let line = server.logged(0, NOT_USED).await;
    assert!(line.contains("permission denied"), "{line}");
    assert_eq!((place.statuses(Some(&key.key)).await, place.statuses(None).await), (OPEN, CLOSED));

    // Nor does it start without.
    let outcome = Outcome::of(folder.command_in_its_own_root(&arguments)).await;
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(
        outcome.stderr.contains("permission denied") && outcome.stderr.contains("--config"),
        "{outcome:?}"
    );
}

/// Whether the program's user can read the file.
fn can_be_read(file: &Path) -> bool {
    if !is_root() {
        return fs::read(file).is_ok();
    }
    let id = OTHER_USER.to_string();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "test", "-r"]).arg(file);
    command.status().expect("can be run").success()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_cannot_be_opened_for_want_of_descriptors_changes_nothing() {
    for flags in [&[][..], &["--config", FILE]] {
        let bench = Bench::start("127.0.0.1:0", flags).await;
        let Place::Tcp(address) = bench.place else { panic!("is TCP") };
        let mut with_key = Connection::open(address).await;
        let mut without_key = Connection::open(address).await;
        assert_eq!(statuses(&mut with_key, Some(&bench.key.key)).await, OPEN);
        assert_eq!(statuses(&mut without_key, None).await, CLOSED);

        // As when strangers hold all of them: what is open goes on, and nothing more can be opened.
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        set_descriptors(&bench.server, Some(3));
        let before = bench.server.so_far();
        bench.server.signal(Signal::HUP);
        let line = bench.server.logged(before, NOT_USED).await;
        assert!(line.contains("Too many open files"), "{line}");
        assert_eq!(statuses(&mut with_key, Some(&bench.key.key)).await, OPEN, "{flags:?}");
        assert_eq!(statuses(&mut without_key, None).await, CLOSED, "{flags:?}");

        // What could not be read is read again, with nobody asking for it.
        set_descriptors(&bench.server, limit.maximum);
        bench.server.logged(before, BACK).await;
        assert_eq!(bench.status().await["last_reload_successful"], true);
        assert_eq!((bench.with_key().await, bench.without_key().await), (OPEN, CLOSED), "{flags:?}");
    }
}

/// Sets how many descriptors a process may have, below the limit that it cannot raise.
#[cfg(target_os = "linux")]
fn set_descriptors(server: &Process, current: Option<u64>) {
    use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

    let limit = Rlimit { current, ..getrlimit(Resource::Nofile) };
    prlimit(Some(server.pid()), Resource::Nofile, limit).expect("is a process of this user");
}
