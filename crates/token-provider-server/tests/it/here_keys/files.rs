//! Through the program: a key's files, from `key new --here` to its end.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};

use rustix::process::Signal;
use serde_json::Value;

use super::{OTHER_SECRET, SECRET, assert_refused, token};
use crate::support::program::{Account, Folder, OTHER_USER, Outcome, Running, is_root, set_mode};
use crate::support::sdk::{ALL, Sdk, SdkRequest};
use crate::support::wire::get;

const CONFIG: &str = "token-provider.toml";
const STANZA: &str = "[[access.here_keys]]\nid = 'tp.maps'\nsecret_file = 'maps.secret'\n";

/// The value of a key in a properties file.
fn value(properties: &str, key: &str) -> String {
    let line = properties.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
    line.unwrap_or_else(|| panic!("no {key}")).to_owned()
}

async fn new(folder: &Folder, more: &[&str]) -> Outcome {
    folder.run(&[&["key", "new", "--here"], more].concat()).await
}

async fn furnished() -> (Account, Folder) {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    (account, folder)
}

#[tokio::test]
async fn key_that_the_program_made_works_and_the_server_that_finds_it_refuses_it() {
    let (_account, folder) = furnished().await;
    let made = new(&folder, &["--id", "maps", "--out", "keys"]).await;
    assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""), "{made:?}");
    folder.write(CONFIG, &made.stdout);
    let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    let address = server.address().await;

    let properties = fs::read_to_string(folder.path("keys/maps.properties")).expect("is there");
    let (id, secret) =
        (value(&properties, "here.access.key.id"), value(&properties, "here.access.key.secret"));
    assert_eq!(id, "tp.maps");
    assert_eq!(value(&properties, "here.token.endpoint.url"), "http://localhost:3000/oauth2/token");
    assert!(
        !value(&properties, "here.user.id").is_empty() && !value(&properties, "here.client.id").is_empty()
    );
    assert!(secret.len() == 43 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{secret}");
    for sdk in ALL {
        token(&SdkRequest::new(sdk, address, &id, &secret).send(address).await, sdk);
    }
    for file in ["keys/maps.properties", "keys/maps.secret"] {
        let mode = folder.path(file).metadata().expect("is there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{file}");
    }
    assert!(!made.stdout.contains(&secret), "the secret is only in its files");
    server.signal(Signal::TERM);
    server.end().await;

    fs::rename(folder.path("keys/maps.properties"), folder.path("credentials.properties")).expect("is ours");
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["token"], &["check", "--offline"]] {
        let refused = folder.run(command).await;
        assert_eq!(refused.code, Some(78), "{refused:?}");
        let text = refused.stdout + &refused.stderr;
        assert!(text.contains("`remote`") && !text.contains(&secret), "{text}");
    }
}

#[tokio::test]
async fn nothing_is_replaced_and_half_a_key_is_not_left_behind() {
    let folder = Folder::new();
    assert_eq!(new(&folder, &["--id", "maps", "--out", "."]).await.code, Some(0));
    let before =
        ["maps.secret", "maps.properties"].map(|file| fs::read(folder.path(file)).expect("is there"));
    let again = new(&folder, &["--id", "maps", "--out", "."]).await;
    assert_eq!((again.code, again.stdout.as_str()), (Some(2), ""), "{again:?}");
    assert!(again.stderr.contains("maps.secret already exists"), "{again:?}");
    fs::remove_file(folder.path("maps.secret")).expect("is ours");
    let half = new(&folder, &["--id", "maps", "--out", "."]).await;
    assert_eq!(half.code, Some(2), "{half:?}");
    assert!(half.stderr.contains("maps.properties already exists"), "{half:?}");
    assert!(!folder.path("maps.secret").exists(), "half a key");
    assert_eq!(fs::read(folder.path("maps.properties")).expect("is there"), before[1]);
    // Nor is a link followed.
    fs::remove_file(folder.path("maps.properties")).expect("is ours");
    std::os::unix::fs::symlink("elsewhere", folder.path("maps.properties")).expect("can be made");
    assert_eq!(new(&folder, &["--id", "maps", "--out", "."]).await.code, Some(2));
    assert!(!folder.path("elsewhere").exists() && !folder.path("maps.secret").exists());
}

#[tokio::test]
async fn key_is_not_made_where_another_user_could_replace_it_nor_where_its_path_could_be_read_as_configuration()
 {
    let folder = Folder::new();
    for (mode, code) in [(0o777, Some(1)), (0o1777, Some(0))] {
        fs::create_dir_all(folder.path("open")).expect("can be made");
        set_mode(&folder.path("open"), mode);
        let made = new(&folder, &["--id", "maps", "--out", "open"]).await;
        assert_eq!(made.code, code, "{mode:o}: {made:?}");
        assert_eq!(folder.path("open/maps.secret").exists(), code == Some(0), "{mode:o}");
        assert!(code == Some(0) || made.stderr.contains("is writable by every user"), "{made:?}");
    }
    // Nor need the folder be readable, on Linux; elsewhere it is opened as other files are.
    let mode = if cfg!(all(target_os = "linux", not(portable))) { 0o300 } else { 0o700 };
    fs::create_dir(folder.path("unread")).expect("can be made");
    set_mode(&folder.path("unread"), mode);
    if is_root() {
        chown(folder.path("unread"), Some(OTHER_USER), Some(OTHER_USER)).expect("is ours to give");
    }
    let command = folder.command_of_other(&["key", "new", "--here", "--id", "maps", "--out", "unread"]);
    let made = Outcome::of(command).await;
    set_mode(&folder.path("unread"), 0o700);
    assert!(made.code == Some(0) && folder.path("unread/maps.secret").exists(), "{made:?}");
    for name in ["a\n[access]\nanonymous = true", "a\u{1b}[2J", "a\u{7f}"] {
        let made = new(&folder, &["--id", "maps", "--out", name]).await;
        assert_eq!((made.code, made.stdout.as_str()), (Some(2), ""), "{name:?}: {made:?}");
    }
    // A key whose stanza could not be shown is of no use, and in the way of the next attempt. Only Linux has a disk that is always
    // full.
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut command = folder.command(&["key", "new", "--here", "--id", "lost", "--out", "."]);
    command.stdout(fs::File::options().write(true).open("/dev/full").expect("is there"));
    let lost = Outcome::of(command).await;
    assert_eq!(lost.code, Some(1), "{lost:?}");
    assert!(!folder.path("lost.secret").exists() && !folder.path("lost.properties").exists());
}

#[tokio::test]
async fn endpoint_is_where_the_configuration_says_or_the_option() {
    for (config, options, expected) in [
        ("", &[][..], "http://localhost:3000"),
        ("listen = ['127.0.0.2:81']", &[], "http://127.0.0.2:81"),
        ("public_hosts = ['Tokens.example.com', 'b.example']", &[], "https://tokens.example.com"),
        ("public_hosts = ['localhost:8080']", &[], "http://localhost:8080"),
        (
            "public_hosts = ['tokens.example.com:8443']\ntls = { cert = 'c', key = 'k' }",
            &[],
            "https://tokens.example.com:8443",
        ),
        ("public_hosts = ['a.example']\naccess.trusted_proxy.from = '10.0.0.1'", &[], "https://a.example"),
        ("tls = { cert = 'c', key = 'k' }", &[], "https://localhost:3000"),
        // Without a port: the listener's, unless something is in front.
        (
            "listen = '0.0.0.0:8443'\npublic_hosts = ['a.example']\ntls = { cert = 'c', key = 'k' }\naccess.anonymous = true",
            &[],
            "https://a.example:8443",
        ),
        (
            "listen = '0.0.0.0:443'\npublic_hosts = ['a.example']\ntls = { cert = 'c', key = 'k' }\naccess.anonymous = true",
            &[],
            "https://a.example",
        ),
        #[cfg(all(target_os = "linux", not(portable)))]
        (
            "listen = 'systemd'\npublic_hosts = ['a.example']\ntls = { cert = 'c', key = 'k' }",
            &[],
            "https://a.example",
        ),
        (
            "public_hosts = ['a.example']\ntls = { cert = 'c', key = 'k' }\naccess.trusted_proxy.from = '10.0.0.1'",
            &[],
            "https://a.example",
        ),
        ("listen = 'localhost:8080'\npublic_hosts = ['localhost']", &[], "http://localhost:8080"),
        ("not toml", &["--url", "https://a.example/"], "https://a.example"),
        ("", &["--url", "http://a.example:8080/oauth2/token"], "http://a.example:8080"),
    ] {
        let folder = Folder::new();
        folder.write("c.toml", config);
        let named: &[&str] = if options.is_empty() { &["--config", "c.toml"] } else { options };
        let made = new(&folder, &[&["--id", "tp.a", "--out", "."], named].concat()).await;
        assert_eq!(made.code, Some(0), "{config}: {made:?}");
        let properties = fs::read_to_string(folder.path("tp.a.properties")).expect("is there");
        assert_eq!(
            value(&properties, "here.token.endpoint.url"),
            format!("{expected}/oauth2/token"),
            "{config}"
        );
        assert_eq!(value(&properties, "here.access.key.id"), "tp.a");
    }
    for (config, options, code) in [
        ("listen = ['0.0.0.0:80']\naccess.anonymous = true", &[][..], 2),
        ("listen = ['unix:/x']", &[], 2),
        ("listen = ['localhost:0']", &[], 2),
        ("listen = 'x'", &[], 78),
        ("", &["--url", "tokens.example.com"], 2),
        ("", &["--url", "https://a.example/prefix"], 2),
        ("", &["--url", "https://u:p@a.example"], 2),
        ("", &["--url", "https://a.example/?q"], 2),
        ("", &["--url", "ftp://a.example"], 2),
        ("", &["--url", "https://a.example", "--config", "token-provider.toml"], 2),
        ("", &["--id", "tp."], 2),
        ("", &["--id", "a/b"], 2),
    ] {
        let folder = Folder::new();
        folder.write(CONFIG, config);
        let id: &[&str] = if options.contains(&"--id") { &[] } else { &["--id", "a"] };
        let refused = new(&folder, &[id, &["--out", "keys"], options].concat()).await;
        assert_eq!(refused.code, Some(code), "{config} {options:?}: {refused:?}");
        assert!(!folder.path("keys").exists());
    }
    for options in [
        &["key", "new", "--here", "--id", "a"][..],
        &["key", "new", "--here", "--out", "."],
        &["key", "new", "--id", "a", "--out", "."],
        &["key", "new", "--id", "a", "--url", "https://a.example"],
        &["key", "new", "--id", "a", "--config", "c.toml"],
    ] {
        assert_eq!(Folder::new().run(options).await.code, Some(2), "{options:?}");
    }
}

#[tokio::test]
async fn secret_file_that_cannot_be_used_is_an_error_at_the_start_and_for_check() {
    let (_account, folder) = furnished().await;
    folder.write(CONFIG, STANZA);
    for (text, problem) in [
        (None, "maps.secret: cannot be read"),
        (Some(&"s".repeat(31) as &str), "one word of 32 or more"),
        (Some("\n\n"), "one word of 32 or more"),
        (Some("plantedSecret0123456789ABCD EFGHIJKLMNOPQRST"), "one word of 32 or more"),
        (Some("plantedSecret0123456789ABCDEFGHIJKLMNOPQRST\nx"), "one word of 32 or more"),
        (Some(&"planted".repeat(600)), "larger than 4 KiB"),
    ] {
        if let Some(text) = text {
            folder.write("maps.secret", text);
        }
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["check", "--offline"]] {
            let refused = folder.run(command).await;
            assert_eq!(refused.code, Some(78), "{text:?}: {refused:?}");
            let said = refused.stdout + &refused.stderr;
            assert!(said.contains(problem) && !said.contains("planted"), "{said}");
        }
    }
    // Nobody writes into a pipe, and nobody waits for that.
    fs::remove_file(folder.path("maps.secret")).expect("is ours");
    let pipe = std::process::Command::new("mkfifo").arg(folder.path("maps.secret")).status();
    assert!(pipe.expect("can be run").success());
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["check", "--offline"]] {
        let refused = folder.run(command).await;
        assert_eq!(refused.code, Some(78), "{refused:?}");
        assert!((refused.stdout + &refused.stderr).contains("maps.secret: cannot be read: it is not a file"));
    }
    fs::remove_file(folder.path("maps.secret")).expect("is ours");
    let secret = folder.write("maps.secret", &format!("  \u{feff}{SECRET}\r\n"));
    let good = folder.run(&["check", "--offline"]).await;
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.stdout.contains("ok       access key: tp.maps"), "{good:?}");
    set_mode(&secret, 0o644);
    let open = folder.run(&["check", "--offline"]).await;
    assert!(open.stdout.contains("warning  access key: tp.maps: other users can read"), "{open:?}");
}

#[tokio::test]
async fn secret_file_that_this_user_may_not_read_is_an_error() {
    if !is_root() {
        return;
    }
    let (_account, folder) = furnished().await;
    let (config, credential) = (folder.write(CONFIG, STANZA), folder.path("credentials.properties"));
    let secret = folder.write("maps.secret", SECRET);
    let mut command = folder.command_of_other(&["serve", "--listen", "127.0.0.1:0"]);
    for (file, owner) in [(&secret, 0), (&config, OTHER_USER), (&credential, OTHER_USER)] {
        chown(file, Some(owner), Some(owner)).expect("is root");
    }
    let id = OTHER_USER.to_string();
    let mut reads = std::process::Command::new("setpriv");
    reads.args(["--reuid", &id, "--regid", &id, "--clear-groups", "cat"]).arg(&secret);
    assert!(!reads.output().expect("can be run").status.success(), "that user cannot read it");
    let refused = command.output().await.expect("can be run");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(78), "{said}");
    assert!(said.contains("maps.secret: cannot be read: Permission denied"), "{said}");
}

const READ: &str = "the access key's secret was read from its file";
const UNUSABLE: &str = "the access key's secret cannot be used";
const RELOADED: &str = "configuration reloaded";

struct Bench {
    folder: Folder,
    server: Running,
    address: SocketAddr,
    admin: SocketAddr,
    _account: Account,
}

impl Bench {
    async fn start() -> Self {
        let (account, folder) = furnished().await;
        folder.write(CONFIG, &format!("admin.listen = 0\n{STANZA}"));
        folder.write("maps.secret", SECRET);
        let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
        let [address, admin] = server.addresses().await;
        Self { folder, server, address, admin, _account: account }
    }

    /// Puts another file in the place of this one, and waits for the line that tells of it.
    async fn replace(&mut self, name: &str, text: Option<&str>, line: &str) -> String {
        match text {
            Some(text) => {
                let other = self.folder.write("other", text);
                fs::rename(other, self.folder.path(name)).expect("can be renamed");
            }
            None => fs::remove_file(self.folder.path(name)).expect("can be removed"),
        }
        self.server.signal(Signal::HUP);
        self.server.logged(line).await;
        self.server.last_line().to_owned()
    }

    fn request(&self, secret: &str) -> SdkRequest {
        SdkRequest::new(Sdk::Java, self.address, "tp.maps", secret)
    }

    async fn has_secret(&self, secret: &str) -> bool {
        let reply = self.request(secret).send(self.address).await;
        if reply.status != 200 {
            assert_refused(&reply, 401, Some(401_300));
        }
        reply.status == 200
    }

    async fn problems(&self) -> Vec<Value> {
        let status = get(self.admin, "/status").await.json();
        let problems = status["configuration"]["secret_problems"].as_array().expect("is a list").clone();
        assert_eq!(status["configuration"]["last_reload_successful"], problems.is_empty());
        problems
    }
}

#[tokio::test]
async fn secret_follows_its_file_and_what_cannot_be_used_changes_nothing() {
    let mut bench = Bench::start().await;
    let old = bench.request(SECRET);
    token(&old.send(bench.address).await, Sdk::Java);
    bench.replace("maps.secret", Some(OTHER_SECRET), READ).await;
    assert_eq!((bench.has_secret(SECRET).await, bench.has_secret(OTHER_SECRET).await), (false, true));
    assert_eq!(bench.problems().await, Vec::<Value>::new());
    for (text, problem) in [(None, "No such file"), (Some("planted-and-too-short"), "32 or more")] {
        let line = bench.replace("maps.secret", text, UNUSABLE).await;
        assert!(line.contains(problem) && !line.contains("planted"), "{line}");
        assert!(bench.has_secret(OTHER_SECRET).await);
        let problems = bench.problems().await;
        assert!(problems.len() == 1 && problems[0].as_str().is_some_and(|text| text.contains(problem)));
        if text.is_none() {
            bench.folder.write("maps.secret", "");
        }
    }
    bench.replace("maps.secret", Some(SECRET), READ).await;
    assert_eq!((bench.has_secret(SECRET).await, bench.has_secret(OTHER_SECRET).await), (true, false));
    assert_eq!(bench.problems().await, Vec::<Value>::new());
    // Nobody has to tell the server.
    fs::rename(bench.folder.write("other", OTHER_SECRET), bench.folder.path("maps.secret")).expect("is ours");
    bench.server.logged(READ).await;
    assert_eq!((bench.has_secret(SECRET).await, bench.has_secret(OTHER_SECRET).await), (false, true));
    bench.replace("maps.secret", Some(SECRET), READ).await;
    // What was used before is used up all the same.
    assert_refused(&old.send(bench.address).await, 401, Some(401_207));
}

#[tokio::test]
async fn reload_adds_and_removes_keys_and_forgets_no_nonce() {
    let mut bench = Bench::start().await;
    let used = bench.request(SECRET);
    token(&used.send(bench.address).await, Sdk::Java);
    bench.folder.write("b.secret", OTHER_SECRET);
    let other = "[[access.here_keys]]\nid = 'tp.b'\nsecret_file = 'b.secret'\nprofiles = ['b', 'default']\n";
    let profile = "[profiles.b]\ncredentials = 'credentials.properties'\n[profiles.default]\n";
    bench.replace(CONFIG, Some(&format!("admin.listen = 0\n{profile}{STANZA}{other}")), RELOADED).await;
    bench.server.logged(READ).await;
    assert_refused(&used.send(bench.address).await, 401, Some(401_207));
    // Profiles take effect after a restart; until then nobody has another profile's token in the place of this one.
    let request = SdkRequest::new(Sdk::Cpp, bench.address, "tp.b", OTHER_SECRET);
    assert_refused(&request.send(bench.address).await, 400, Some(400_200));
    let without = format!("admin.listen = 0\n{}", other.replace("profiles = ['b', 'default']\n", ""));
    bench.replace(CONFIG, Some(&without), RELOADED).await;
    assert_refused(&bench.request(SECRET).send(bench.address).await, 401, Some(401_600));
    token(
        &SdkRequest::new(Sdk::Cpp, bench.address, "tp.b", OTHER_SECRET).send(bench.address).await,
        Sdk::Cpp,
    );
    // The last way to authenticate.
    bench.replace(CONFIG, Some("admin.listen = 0\n"), "refusing everyone").await;
    for id in ["tp.b", "someone-elses"] {
        let request = SdkRequest::new(Sdk::Cpp, bench.address, id, OTHER_SECRET);
        assert_refused(&request.send(bench.address).await, 401, Some(401_600));
    }
}

#[tokio::test]
async fn key_gets_the_first_of_its_profiles() {
    let (account, folder) = furnished().await;
    folder.write("b.properties", &account.credentials());
    folder.write("maps.secret", SECRET);
    let scopes = "[profiles.b]\ncredentials = 'b.properties'\n";
    folder.write(
        CONFIG,
        &format!("audit.to = 'stdout'\n{scopes}{STANZA}profiles = ['b', 'default']\n[profiles.default]\n"),
    );
    let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    let address = server.address().await;
    for sdk in ALL {
        token(&SdkRequest::new(sdk, address, "tp.maps", SECRET).send(address).await, sdk);
    }
    server.signal(Signal::TERM);
    let (_, stdout, _) = server.end().await;
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    assert_eq!(lines.len(), ALL.len(), "{stdout}");
    for line in lines {
        assert_eq!((&line["profile"], &line["method"]), (&"b".into(), &"here_key".into()), "{line}");
    }
}
