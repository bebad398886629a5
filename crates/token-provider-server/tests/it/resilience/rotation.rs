//! A credential is replaced under load: nobody is refused, nothing bad is taken into use, and the old access key is not
//! used again once the new one is.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use here_sandbox::Fault;
use rustix::process::Signal;
use tokio::net::TcpListener;

use super::load::Load;
use super::process::Process;
use crate::support::program::{Account, Folder, feed, set_mode};
use crate::support::wire::{get, request};
use crate::support::within;

const SECOND_ID: &str = "second-access-key";
const SECOND_SECRET: &str = "planted-second-secret-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";

const ROTATED: &str = "credential rotated";
const READABLE: &str = "other users can read the credential file";

/// API keys of a token provider that another one asks.
const FIRST_KEY: &str = "tp_an-api-key-of-the-tests-0123456789-0123456789";
const FIRST_KEY_SHA256: &str = "45031396deae5803240c63b24994287aa2715350dc5622d246f33ad3de2d5d50";
const SECOND_KEY: &str = "tp_another-api-key-of-the-tests-0123456789-0123456789";
const SECOND_KEY_SHA256: &str = "03c0fff417a9802135c3139049c60ce36d7ca2602087a8c7adc5804301bdf5d6";

/// Files are checked every two seconds, and a change must be seen twice: with nobody asking for it, none is seen sooner
/// than this.
const SOONEST_LOOK: Duration = Duration::from_secs(2);

/// A server with a credential file, the account behind it, and callers before it.
struct Bench {
    account: Account,
    first_id: String,
    file: PathBuf,
    server: Process,
    address: SocketAddr,
    load: Load,
    // Last, so that the server ends before its folder does.
    folder: Folder,
}

impl Bench {
    async fn start() -> Self {
        let folder = Folder::new();
        let file = folder.path("credentials.properties");
        Self::start_with(folder, file, |file, text| fs::write(file, text).expect("can be written")).await
    }

    /// `place` puts the first credential where the server is told to find it.
    async fn start_with(folder: Folder, file: PathBuf, place: impl FnOnce(&Path, &str)) -> Self {
        let account = Account::open().await;
        account.sandbox.add_access_key(SECOND_ID, SECOND_SECRET);
        let text = account.credentials();
        let first_id = text.lines().find_map(|line| line.strip_prefix("here.access.key.id = "));
        let first_id = first_id.expect("is there").to_owned();
        place(&file, &text);
        let path = file.to_str().expect("is text");
        let server =
            Process::start(folder.command(&["serve", "--listen", "127.0.0.1:0", "--credentials", path]));
        let address = server.address().await;
        let load = Load::start(address).await;
        Self { account, first_id, file, server, address, load, folder }
    }

    /// The text of a credential file with the second access key.
    fn second(&self) -> String {
        self.file_with(SECOND_ID, SECOND_SECRET)
    }

    fn file_with(&self, id: &str, secret: &str) -> String {
        file_with(id, secret, &self.account.origin)
    }

    fn rewrite(&self, text: &str) {
        fs::write(&self.file, text).expect("can be written");
    }

    /// Puts a file in the place of another, as editors do.
    fn rename_over(&self, text: &str) {
        let other = self.folder.write("credentials.properties.new", text);
        fs::rename(other, &self.file).expect("can be renamed");
    }

    fn last_id(&self) -> String {
        self.account.sandbox.stats().last_access_key_id.expect("somebody has asked")
    }

    /// Has the account asked, by a wish for a lifetime that no token is held for.
    async fn ask_for(&self, ttl: u64) {
        let reply = get(self.address, &format!("/getToken?ttl={ttl}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(self.account.sandbox.verify_token(reply.text()).is_ok(), "is good at the account");
    }

    /// Deletes the old key at the account: requests signed with it are refused from now on.
    async fn assert_old_key_is_not_used(&self) {
        assert_eq!(self.last_id(), SECOND_ID, "the new key was tried last");
        let refused = self.account.sandbox.stats().refused;
        assert!(self.account.sandbox.remove_access_key(&self.first_id));
        for ttl in [300, 600, 900] {
            self.ask_for(ttl).await;
            assert_eq!(self.last_id(), SECOND_ID);
        }
        assert_eq!(self.account.sandbox.stats().refused, refused, "nobody was refused");
    }

    async fn end(mut self) {
        self.load.more(20).await;
        assert!(self.server.is_running());
        let tally = self.load.end().await;
        assert_eq!(tally.without_token, 0, "{tally:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renamed_over_file_rotates_the_credential_under_load() {
    let bench = Bench::start().await;
    bench.ask_for(60).await;
    assert_eq!(bench.last_id(), bench.first_id);
    let before = bench.server.so_far();
    bench.rename_over(&bench.second());
    bench.server.logged(before, ROTATED).await;
    bench.assert_old_key_is_not_used().await;
    assert_eq!(bench.server.count(before, READABLE), 0);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_tokens_are_replaced_after_a_rotation_where_that_is_wanted() {
    for (on_rotation, is_replaced) in [("keep", false), ("replace", true)] {
        let folder = Folder::new();
        folder
            .write("token-provider.toml", &format!("[profiles.default]\non_rotation = \"{on_rotation}\"\n"));
        let file = folder.path("credentials.properties");
        let bench =
            Bench::start_with(folder, file, |file, text| fs::write(file, text).expect("can be written"))
                .await;
        let mut held = Vec::new();
        for ttl in [3600, 900, 900] {
            held.push(get(bench.address, &format!("/getToken?ttl={ttl}")).await.text().to_owned());
        }
        bench.ask_for(7200).await;
        let before = bench.server.so_far();
        bench.rename_over(&bench.second());
        bench.server.logged(before, ROTATED).await;
        for (ttl, old) in [(3600, &held[0]), (900, &held[1])] {
            let path = format!("/getToken?ttl={ttl}");
            if is_replaced {
                let replaced = async {
                    while get(bench.address, &path).await.text() == old {
                        tokio::task::yield_now().await;
                    }
                };
                within("its successor", replaced).await;
            } else {
                assert_eq!(get(bench.address, &path).await.text(), old);
            }
        }
        // That nobody has asked for one since is no reason to have none.
        bench.account.sandbox.faults().replace(vec![Fault {
            status: Some(503),
            count: Some(1000),
            ..Fault::default()
        }]);
        assert_eq!(get(bench.address, "/getToken?ttl=7200").await.status, 200);
        bench.account.sandbox.faults().replace(Vec::new());
        // The load's callers, too, had a token at every moment.
        bench.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_link_rotates_the_credential_under_load() {
    // Kubernetes: credentials.properties -> ..data/credentials.properties, ..data -> v1; then ..data is swapped.
    let folder = Folder::new();
    let file = folder.path("credentials.properties");
    for version in ["v1", "v2"] {
        fs::create_dir(folder.path(version)).expect("can be made");
    }
    let first = folder.path("v1/credentials.properties");
    let bench = Bench::start_with(folder, file, |file, text| {
        fs::write(&first, text).expect("can be written");
        let folder = file.parent().expect("has one");
        symlink("v1", folder.join("..data")).expect("can be linked");
        symlink("..data/credentials.properties", file).expect("can be linked");
    })
    .await;
    let second = bench.folder.write("v2/credentials.properties", &bench.second());
    set_mode(&second, 0o644);
    symlink("v2", bench.folder.path("..data_tmp")).expect("can be linked");
    let before = bench.server.so_far();
    fs::rename(bench.folder.path("..data_tmp"), bench.folder.path("..data")).expect("can be swapped");
    fs::remove_dir_all(bench.folder.path("v1")).expect("can be removed");
    bench.server.logged(before, ROTATED).await;
    bench.server.logged(before, READABLE).await;
    bench.assert_old_key_is_not_used().await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_file_changes_nothing() {
    let bench = Bench::start().await;
    let good = fs::read_to_string(&bench.file).expect("is there");
    let before = bench.server.so_far();

    bench.rewrite("here.access.key.id = planted-id-of-a-broken-file\n");
    let line = bench.server.logged(before, "the changed credential cannot be used").await;
    assert!(line.contains("here.access.key.secret is missing") && !line.contains("planted-id"), "{line}");
    bench.ask_for(60).await;
    assert_eq!(bench.last_id(), bench.first_id);

    bench.rewrite(&bench.file_with(SECOND_ID, "planted-wrong-secret"));
    let line = bench.server.logged(before, "HERE did not accept the changed credential").await;
    assert!(line.contains("401300") && !line.contains("planted-wrong"), "{line}");
    assert_eq!(bench.last_id(), SECOND_ID, "was tried");
    bench.ask_for(300).await;
    assert_eq!(bench.last_id(), bench.first_id, "and the old one stays in use");

    // Nobody listens at that port; the address is as bad as a wrong key.
    bench.rename_over(&bench.second().replace(&bench.account.origin, "http://127.0.0.1:1"));
    let line = bench.server.logged(before, "the changed credential could not be tested with HERE").await;
    assert!(line.contains("no connection to the token endpoint"), "{line}");
    bench.ask_for(600).await;

    fs::remove_file(&bench.file).expect("can be removed");
    bench.server.signal(Signal::HUP);
    bench.server.logged(before, "there is no such file").await;
    bench.ask_for(900).await;
    assert_eq!(bench.last_id(), bench.first_id);

    // As it was, it is the credential in use: there is nothing to say. Another is taken.
    bench.rewrite(&good);
    bench.server.signal(Signal::HUP);
    bench.rewrite(&bench.second());
    bench.server.signal(Signal::HUP);
    bench.server.logged(before, ROTATED).await;
    assert_eq!(bench.server.count(before, ROTATED), 1);
    bench.ask_for(1800).await;
    assert_eq!(bench.last_id(), SECOND_ID);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_hangs_holds_up_neither_callers_nor_another_file_nor_the_end() {
    const HANGS: &str = "the file system does not respond";
    let mut folder = Folder::new();
    // With one thread for everything, whatever blocks it shows.
    folder.set("TOKIO_WORKER_THREADS", "1");
    let file = folder.path("credentials.properties");
    let mut bench =
        Bench::start_with(folder, file, |file, text| fs::write(file, text).expect("can be written")).await;
    let put_pipe = |bench: &Bench| {
        fs::rename(bench.folder.pipe("pipe"), &bench.file).expect("can be renamed");
        bench.server.signal(Signal::HUP);
    };
    let before = bench.server.so_far();
    put_pipe(&bench);
    bench.server.logged(before, HANGS).await;
    bench.ask_for(60).await;
    bench.rename_over(&bench.second());
    bench.server.logged(before, ROTATED).await;
    assert_eq!(bench.server.count(before, HANGS), 1, "said once");

    let before = bench.server.so_far();
    put_pipe(&bench);
    bench.server.logged(before, HANGS).await;
    let tally = bench.load.end().await;
    assert_eq!(tally.without_token, 0, "{tally:#?}");
    bench.server.signal(Signal::TERM);
    assert_eq!(bench.server.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credential_that_did_not_answer_is_read_when_it_does() {
    let bench = Bench::start().await;
    let before = bench.server.so_far();
    // Hangs until somebody writes into it.
    fs::rename(bench.folder.pipe("pipe"), &bench.file).expect("can be renamed");
    bench.server.signal(Signal::HUP);
    bench.server.logged(before, "the file system does not respond").await;
    feed(bench.file.clone(), &bench.second());
    bench.server.logged(before, ROTATED).await;
    bench.assert_old_key_is_not_used().await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuer_that_hangs_holds_up_its_own_profile() {
    let (account, folder) = (Account::open().await, Folder::new());
    account.sandbox.add_access_key(SECOND_ID, SECOND_SECRET);
    folder.write("token-provider.toml", "[profiles.a]\ncredentials = 'a'\n[profiles.b]\ncredentials = 'b'\n");
    folder.write("a", &account.credentials());
    folder.write("b", &account.credentials());
    let server = Process::start(folder.command(&["serve", "--profile", "b", "--listen", "127.0.0.1:0"]));
    server.address().await;

    // Takes connections, and says nothing.
    let hangs = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let origin = format!("http://{}", hangs.local_addr().expect("is bound"));
    folder.write("a", &file_with(SECOND_ID, SECOND_SECRET, &origin));
    folder.write("b", &file_with(SECOND_ID, SECOND_SECRET, &account.origin));
    server.signal(Signal::HUP);
    server.logged(0, ROTATED).await;
    assert_eq!(server.count(0, "the changed credential"), 0, "profile a is being tried still");
}

/// Each has its own account, file and scope; neither is affected by the other. And a credential that comes back counts
/// as new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_profiles_rotate_each_for_itself_and_back() {
    const PROJECT: &str = "hrn:here:authorization::rlm:project";
    let (accounts, folder) = ([Account::open().await, Account::open().await], Folder::new());
    let profile =
        |name: &str| format!("[profiles.{name}]\ncredentials = '{name}'\nscope = '{PROJECT}/{name}'\n");
    folder.write("token-provider.toml", &(profile("a") + &profile("b")));
    let files = accounts.each_ref().map(|account| {
        account.sandbox.add_access_key(SECOND_ID, SECOND_SECRET);
        [account.credentials(), file_with(SECOND_ID, SECOND_SECRET, &account.origin)]
    });
    for (name, [first, _]) in ["a", "b"].iter().zip(&files) {
        folder.write(name, first);
    }
    let server = Process::start(folder.command(&["serve", "--profile", "b", "--listen", "127.0.0.1:0"]));
    let address = server.address().await;
    let mut lifetimes = [300, 600, 900, 1800, 7200].iter();
    let mut in_use = [0, 0];
    for (changed, file) in [(1, 1), (0, 1), (1, 0), (1, 1)] {
        let (name, before) = (["a", "b"][changed], server.so_far());
        folder.write(name, &files[changed][file]);
        server.signal(Signal::HUP);
        let line = server.logged(before, ROTATED).await;
        assert!(line.contains(&format!("\"profile\":\"{name}\"")), "{line}");
        in_use[changed] = file;
        let lifetime = lifetimes.next().expect("is one for each round");
        for ((name, account), file) in ["a", "b"].iter().zip(&accounts).zip(in_use) {
            let target = format!("/getToken?profile={name}&ttl={lifetime}");
            let reply = request(address, "GET", &target, &[("Accept", "application/json")]).await;
            assert_eq!(reply.json()["scope"], format!("{PROJECT}/{name}"), "after {line}: {reply:?}");
            let used = account.sandbox.stats().last_access_key_id;
            assert_eq!(used.as_deref() == Some(SECOND_ID), file == 1, "{name} after {line}: {used:?}");
        }
    }
    assert_eq!(server.count(0, ROTATED), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hang_up_signal_rotates_at_once() {
    let bench = Bench::start().await;
    let first = fs::read_to_string(&bench.file).expect("is there");
    let files = [bench.second(), first];
    // On a machine that is busy elsewhere a look every two seconds may come as soon as the signal is heard; not so
    // every time.
    let mut soonest = Duration::MAX;
    for text in files.iter().cycle().take(6) {
        let before = bench.server.so_far();
        let written = now();
        bench.rewrite(text);
        bench.server.signal(Signal::HUP);
        bench.server.logged(before, ROTATED).await;
        soonest = soonest.min(written.elapsed());
        if soonest < SOONEST_LOOK {
            break;
        }
    }
    assert!(soonest < SOONEST_LOOK, "took {soonest:?}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_key_for_another_token_provider_is_tried_before_it_is_used() {
    const CONFIG: &str = "token-provider.toml";
    let rule = |id: &str, sha256: &str| format!("[[access.api_keys]]\nid = '{id}'\nsha256 = '{sha256}'\n");
    let far_folder = Folder::new();
    far_folder.write(CONFIG, &(rule("first", FIRST_KEY_SHA256) + &rule("second", SECOND_KEY_SHA256)));
    let far = Process::start(far_folder.command(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let origin = format!("http://{}", far.address().await);

    let folder = Folder::new();
    folder.write("key", &format!("{FIRST_KEY}\n"));
    let profile = format!("[profiles.default]\nremote = '{origin}/getToken'\napi_key_file = 'key'\n");
    folder.write(CONFIG, &profile);
    let server = Process::start(folder.command(&["serve", "--listen", "127.0.0.1:0"]));
    let address = server.address().await;
    server.logged(0, "token received").await;

    let before = server.so_far();
    folder.write("key", "tp_planted-key-that-nobody-knows");
    server.signal(Signal::HUP);
    let line = server.logged(before, "did not accept the changed credential").await;
    assert!(line.contains("the other token provider") && !line.contains("planted"), "{line}");
    assert_eq!(get(address, "/getToken?ttl=300").await.status, 200, "the first key stays in use");

    let before = server.so_far();
    folder.write("key", SECOND_KEY);
    server.logged(before, ROTATED).await;
    let before = far.so_far();
    far_folder.write(CONFIG, &rule("second", SECOND_KEY_SHA256));
    far.signal(Signal::HUP);
    far.logged(before, "configuration reloaded").await;
    assert_eq!(get(address, "/getToken?ttl=600").await.status, 200, "the first key is not used any more");
}

/// A credential file for the account at this place.
fn file_with(id: &str, secret: &str, origin: &str) -> String {
    format!(
        "here.access.key.id = {id}\nhere.access.key.secret = {secret}\n\
         here.token.endpoint.url = {origin}/oauth2/token\n"
    )
}

#[expect(clippy::disallowed_methods, reason = "measures how long another process takes")]
fn now() -> Instant {
    Instant::now()
}
