//! `[[outputs]]` and `token --output`, as the program writes them and as other users find them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use here_sandbox::Fault;
use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Command;

use super::support::program::{Account, Folder, OTHER_USER, Outcome, Running, is_root, set_mode};
use super::support::wire::get;
use super::support::within;

const CONFIG: &str = "token-provider.toml";
const HANDED_OUT: &str = "token handed out";
/// Neither the user of the tests, nor the program's, nor root.
const STRANGER: u32 = 12_345;

async fn at_home(config: &str) -> (Account, Folder) {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    folder.write(CONFIG, &format!("listen = '127.0.0.1:0'\n{config}"));
    (account, folder)
}

/// Waits for the audit line of an output, which comes when the file is there.
async fn written(server: &mut Running, path: &Path) -> Value {
    loop {
        server.logged(HANDED_OUT).await;
        let line: Value = serde_json::from_str(server.last_line()).expect("is JSON");
        if line["caller"] == path.to_str().expect("is text") {
            return line;
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("is there").mode() & 0o7777
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("can be listed")
        .map(|entry| entry.expect("can be read").file_name().into_string().expect("is text"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn each_output_is_written_in_its_form_and_removed_at_the_stop() {
    const SCOPE: &str = "hrn:here:authorization::rlm:project/p1";
    let forms = [
        ("here", "ttl = '25m'\nmode = '0644'"),
        ("json", "scope = 'hrn:here:authorization::rlm:project/p1'"),
        ("text", "mode = '0400'"),
        ("env", ""),
        ("header", ""),
    ];
    let stanza = |(form, more): &(&str, &str)| {
        format!("[[outputs]]\npath = 'identity/{form}'\nformat = '{form}'\n{more}\n")
    };
    let config: String = forms.iter().map(stanza).collect();
    let config = format!("admin.listen = '127.0.0.1:0'\n[profiles.default]\nscopes = ['{SCOPE}']\n{config}");
    let (account, folder) = at_home(&config).await;
    let mut server = folder.start(&["serve"]);
    let [_, admin] = server.addresses().await;
    let path = |form: &str| folder.path("identity").join(form);
    for _ in forms {
        server.logged(HANDED_OUT).await;
        let line: Value = serde_json::from_str(server.last_line()).expect("is JSON");
        assert_eq!((&line["method"], &line["profile"]), (&"output".into(), &"default".into()), "{line}");
        assert!(line.get("status").is_none() && line.get("request_id").is_none(), "no request: {line}");
    }
    let read = |form: &str| fs::read_to_string(path(form)).expect("is there");
    let claims = |token: &str| account.sandbox.verify_token(token).expect("the account made it");

    let here: Value = serde_json::from_str(&read("here")).expect("is JSON");
    let token = claims(here["access_token"].as_str().expect("has one"));
    assert_eq!(token.expires_at - token.issued_at, 900, "rounded down");
    assert!(here["exp"].as_i64().expect("is a number").abs_diff(token.expires_at) <= 2, "{here}");
    assert_eq!(
        (&here["token_type"], here.as_object().map(serde_json::Map::len)),
        (&"bearer".into(), Some(3))
    );
    let json: Value = serde_json::from_str(&read("json")).expect("is JSON");
    assert_eq!((&json["scope"], json.get("expires_in")), (&SCOPE.into(), None), "{json}");
    assert!(json["exp"].as_u64().is_some_and(|exp| exp > now()), "{json}");
    assert_eq!(claims(json["access_token"].as_str().expect("has one")).scope.as_deref(), Some(SCOPE));
    let text = read("text");
    claims(&text);
    assert_eq!(read("env"), format!("HERE_ACCESS_TOKEN={text}\n"));
    assert_eq!(read("header"), format!("Authorization: Bearer {text}\n"));
    assert_eq!([mode(&path("here")), mode(&path("text")), mode(&path("env"))], [0o644, 0o400, 0o600]);
    assert_eq!(mode(&folder.path("identity")), 0o755);

    let status = get(admin, "/status").await.json();
    let output = &status["outputs"][0];
    assert_eq!((&output["up"], &output["errors"]), (&true.into(), &0.into()), "{status}");
    assert!(output["seconds_left"].as_u64().is_some_and(|left| left > 3000), "{status}");
    let metrics = get(admin, "/metrics").await;
    for line in [
        format!("token_provider_output_up{{output=\"{}\"}} 1\n", path("here").display()),
        format!("token_provider_output_errors_total{{output=\"{}\"}} 0\n", path("here").display()),
    ] {
        assert!(metrics.text().contains(&line), "no {line:?}: {metrics:?}");
    }

    server.signal(Signal::TERM);
    let (ended, _, log) = server.end().await;
    assert!(ended.success(), "{log:#?}");
    assert!(names(&folder.path("identity")).is_empty(), "{:?}", names(&folder.path("identity")));
    assert!(!log.concat().contains(&text), "the token is in no log");
}

fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "what a reader of the file compares with")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[tokio::test]
async fn mode_is_exact_whatever_the_umask() {
    for umask in ["0000", "0077", "0777"] {
        let (_account, folder) =
            at_home("[[outputs]]\npath = 'identity/file'\nmode = '0664'\n[[outputs]]\npath = 'plain'\n")
                .await;
        let file = folder.path("identity/file");
        if umask == "0777" {
            // A folder made with no rights for its own user is no place for anything, unless that is root.
            fs::create_dir(folder.path("identity")).expect("can be made");
            set_mode(&folder.path("identity"), 0o755);
        }
        let mut command = Command::new("/bin/sh");
        command.args([
            "-c",
            &format!("umask {umask}; exec \"$0\" serve"),
            env!("CARGO_BIN_EXE_token-provider"),
        ]);
        command.env_clear().env("HOME", folder.path("")).current_dir(folder.path(""));
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped()).kill_on_drop(true);
        let mut server = Folder::spawn(command);
        server.logged(HANDED_OUT).await;
        server.logged(HANDED_OUT).await;
        let modes = [mode(&file), mode(&folder.path("plain")), mode(&folder.path("identity"))];
        assert_eq!(modes, [0o664, 0o600, 0o755], "umask {umask}");
        server.signal(Signal::TERM);
        server.end().await;
    }
}

#[tokio::test]
async fn group_is_one_that_the_process_is_in() {
    let group = if is_root() { STRANGER } else { rustix::process::getegid().as_raw() };
    let (_account, folder) =
        at_home(&format!("[[outputs]]\npath = 'file'\nmode = '0640'\ngroup = {group}\n")).await;
    let mut server = folder.start(&["serve"]);
    written(&mut server, &folder.path("file")).await;
    let found = fs::metadata(folder.path("file")).expect("is there");
    assert_eq!((found.gid(), found.mode() & 0o7777), (group, 0o640));
    server.signal(Signal::TERM);
    server.end().await;
    folder.write(CONFIG, "[[outputs]]\npath = 'file'\ngroup = 'no-such-group'\n");
    let outcome = folder.run(&["serve"]).await;
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(outcome.stderr.contains("there is no group"), "{outcome:?}");
    // As another user, who is in no group of root's.
    if is_root() {
        folder.write(CONFIG, "[[outputs]]\npath = 'file'\ngroup = 'root'\n");
        give_to_other(&folder);
        let outcome = Outcome::of(folder.command_of_other(&["serve"])).await;
        assert_eq!(outcome.code, Some(78), "{outcome:?}");
        assert!(outcome.stderr.contains("its group cannot be set"), "{outcome:?}");
    }
}

fn give_to_other(folder: &Folder) {
    for file in [CONFIG, "credentials.properties"] {
        chown(folder.path(file), Some(OTHER_USER), Some(OTHER_USER)).expect("is ours to give");
    }
}

/// Puts something into the way, for the path `place/file`.
type Obstacle = fn(&Folder);

/// Puts the folder into another one, and its new path into the configuration: a link in the way is the reason of another case.
fn put_above(folder: &Folder) {
    fs::create_dir(folder.path("above")).expect("can be made");
    fs::rename(folder.path("place"), folder.path("above/place")).expect("can be renamed");
    let config = fs::read_to_string(folder.path(CONFIG)).expect("is there");
    folder.write(CONFIG, &config.replace("'place/", "'above/place/"));
}

/// Refused at the start, by `check`, and by `token --output`; and reported when it comes later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn place_that_another_user_may_decide_about_is_refused() {
    let victim = |folder: &Folder| {
        let file = folder.write("victim", "of value");
        chown(&file, Some(OTHER_USER), None).expect("is ours to give");
        file
    };
    let obstacles: [(&str, Obstacle); 9] = [
        ("place belongs to another user", |folder| {
            chown(folder.path("place"), Some(STRANGER), None).expect("is ours to give");
        }),
        ("place is writable by every user", |folder| set_mode(&folder.path("place"), 0o757)),
        ("place is writable by a group other than this user's own", |folder| {
            chown(folder.path("place"), None, Some(STRANGER)).expect("is ours to give");
            set_mode(&folder.path("place"), 0o775);
        }),
        ("what is at this path belongs to another user", |folder| {
            // As in /tmp: everybody may put a file there, and nobody can take it away from them.
            set_mode(&folder.path("place"), 0o1777);
            let file = folder.write("place/file", "a stranger's");
            chown(file, Some(STRANGER), None).expect("is ours to give");
        }),
        ("what is at this path belongs to another user", |folder| {
            set_mode(&folder.path("place"), 0o1777);
            symlink(folder.path("victim"), folder.path("place/file")).expect("can be made");
            std::os::unix::fs::lchown(folder.path("place/file"), Some(STRANGER), None)
                .expect("is ours to give");
        }),
        ("its folder is a symbolic link or a file", |folder| {
            fs::rename(folder.path("place"), folder.path("elsewhere")).expect("can be renamed");
            symlink("elsewhere", folder.path("place")).expect("can be made");
        }),
        ("what is at this path is neither a file nor a link to one", |folder| {
            fs::create_dir(folder.path("place/file")).expect("can be made");
            chown(folder.path("place/file"), Some(OTHER_USER), None).expect("is ours to give");
        }),
        ("above belongs to another user", |folder| {
            put_above(folder);
            chown(folder.path("above"), Some(STRANGER), None).expect("is ours to give");
        }),
        ("above is writable by every user", |folder| {
            put_above(folder);
            chown(folder.path("above"), Some(OTHER_USER), None).expect("is ours to give");
            set_mode(&folder.path("above"), 0o777);
        }),
    ];
    if !is_root() {
        eprintln!("skipped: nobody but root can give a file to another user");
        return;
    }
    for (reason, put) in obstacles {
        let (_account, folder) = at_home("[[outputs]]\npath = 'place/file'\n").await;
        let victim = victim(&folder);
        fs::create_dir(folder.path("place")).expect("can be made");
        chown(folder.path("place"), Some(OTHER_USER), Some(OTHER_USER)).expect("is ours to give");
        give_to_other(&folder);

        // It comes while the server runs. (What moves the folder is another path.)
        if reason.starts_with("above") {
            put(&folder);
            give_to_other(&folder);
        } else {
            let mut server = Folder::spawn(folder.command_of_other(&["serve"]));
            written(&mut server, &folder.path("place/file")).await;
            fs::remove_file(folder.path("place/file")).expect("is there");
            put(&folder);
            // It is written again at once.
            let config = fs::read_to_string(folder.path(CONFIG)).expect("is there");
            fs::write(folder.path(CONFIG), config.clone() + "mode = '0640'\n").expect("can be written");
            server.signal(Signal::HUP);
            server.logged("the output is not up to date").await;
            assert!(server.last_line().contains(reason), "{reason}: {}", server.last_line());
            server.signal(Signal::KILL);
            server.end().await;
        }

        let outcome = Outcome::of(folder.command_of_other(&["serve"])).await;
        assert_eq!(outcome.code, Some(78), "{reason}: {outcome:?}");
        assert!(outcome.stderr.contains(reason), "{reason}: {outcome:?}");
        let outcome = Outcome::of(folder.command_of_other(&["check", "--offline"])).await;
        let is_failure =
            outcome.stdout.lines().any(|line| line.starts_with("FAILURE  output: ") && line.contains(reason));
        assert!(outcome.code == Some(78) && is_failure, "{reason}: {outcome:?}");
        let file = if reason.starts_with("above") { "above/place/file" } else { "place/file" };
        let outcome = Outcome::of(folder.command_of_other(&["token", "--output", file])).await;
        assert!(outcome.code == Some(1) && outcome.stderr.contains(reason), "{reason}: {outcome:?}");
        assert_eq!(fs::read_to_string(&victim).expect("is there"), "of value", "{reason}");
        let left = names(&folder.path(file).parent().expect("has one").canonicalize().expect("is there"));
        assert!(left.iter().all(|name| name == "file"), "nothing is left beside it: {left:?}");
    }
}

/// The file is for its user alone, and for the group where it has one.
#[tokio::test]
async fn nobody_else_can_read_the_file() {
    if !is_root() {
        eprintln!("skipped: nobody but root can become another user");
        return;
    }
    let (_account, folder) = at_home(&format!(
        "[[outputs]]\npath = 'own'\n[[outputs]]\npath = 'shared'\nmode = '0640'\ngroup = {STRANGER}\n"
    ))
    .await;
    set_mode(&folder.path(""), 0o755);
    let mut server = folder.start(&["serve"]);
    server.logged(HANDED_OUT).await;
    server.logged(HANDED_OUT).await;
    let can_read = |group: u32, file: &str| {
        let (user, group) = (OTHER_USER.to_string(), group.to_string());
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--reuid", &user, "--regid", &group, "--clear-groups", "test", "-r"])
            .arg(folder.path(file));
        command.status().expect("can be run").success()
    };
    let found = [(OTHER_USER, "own"), (STRANGER, "own"), (OTHER_USER, "shared"), (STRANGER, "shared")]
        .map(|(group, file)| can_read(group, file));
    assert_eq!(found, [false, false, false, true]);
    server.signal(Signal::TERM);
    server.end().await;
}

#[tokio::test]
async fn what_a_killed_server_left_behind_is_removed_at_the_next_start() {
    let (account, folder) = at_home("[[outputs]]\npath = 'file'\n[[outputs]]\npath = 'other'\n").await;
    let mut server = folder.start(&["serve"]);
    server.logged(HANDED_OUT).await;
    server.logged(HANDED_OUT).await;
    server.signal(Signal::KILL);
    server.end().await;
    assert!(folder.path("file").exists() && folder.path("other").exists(), "nobody could remove them");
    account.sandbox.faults().inject(Fault { status: Some(503), ..Fault::default() });
    let mut server = folder.start(&["serve"]);
    server.logged("the output is not up to date").await;
    server.logged("the output is not up to date").await;
    assert!(!folder.path("file").exists() && !folder.path("other").exists(), "the new server removed them");

    account.sandbox.faults().clear();
    server.logged("the output is up to date again").await;
    server.logged("the output is up to date again").await;
    assert!(folder.path("file").exists() && folder.path("other").exists());
    server.signal(Signal::TERM);
    let (_, _, log) = server.end().await;
    let said = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!((said("is not up to date"), said("is up to date again")), (2, 2), "once each: {log:#?}");
}

#[tokio::test]
async fn outputs_come_and_go_with_the_configuration() {
    let (_account, folder) = at_home("[[outputs]]\npath = 'first'\n").await;
    let mut server = folder.start(&["serve"]);
    written(&mut server, &folder.path("first")).await;
    folder.write(CONFIG, "listen = '127.0.0.1:0'\n[[outputs]]\npath = 'second'\n");
    server.signal(Signal::HUP);
    written(&mut server, &folder.path("second")).await;
    within("the end of the first", async {
        while folder.path("first").exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // One that cannot be written is reported, and the others go on.
    folder.write(
        CONFIG,
        "listen = '127.0.0.1:0'\n[[outputs]]\npath = 'second'\n[[outputs]]\npath = 'no/such/folder'\n",
    );
    server.signal(Signal::HUP);
    server.logged("the output is not up to date").await;
    assert!(server.last_line().contains("No such file or directory"), "{}", server.last_line());
    assert!(folder.path("second").exists());
    server.signal(Signal::TERM);
    server.end().await;
    assert!(!folder.path("second").exists());
}

#[tokio::test]
async fn check_judges_each_output() {
    let config = "[[outputs]]\npath = 'made/file'\n[[outputs]]\npath = 'open'\nmode = '0644'\n\
                  [[outputs]]\npath = 'no/such/file'\n";
    let (_account, folder) = at_home(config).await;
    let outcome = folder.run(&["check", "--offline"]).await;
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    let has = |start: &str, part: &str| {
        outcome.stdout.lines().any(|line| line.starts_with(start) && line.contains(part))
    };
    assert!(has("ok       output: ", "made/file can be written"), "{outcome:?}");
    assert!(
        has("warning  output: ", "open: every user of this machine may use the token (mode 0644)"),
        "{outcome:?}"
    );
    assert!(has("FAILURE  output: ", "no/such/file: "), "{outcome:?}");
    assert!(!folder.path("made").exists() && !folder.path("open").exists(), "it makes nothing");
}

/// Files that the server needs are neither replaced nor removed, under any of their names.
#[tokio::test]
async fn output_in_the_place_of_a_file_that_the_server_needs_is_refused() {
    const NEEDED: &str = "what is at this path is a file that the server itself needs";
    const NAMED: &str =
        "outputs[0].path: expected the path of a file of its own; another key names this one, or its folder";
    let (_account, folder) = at_home("").await;
    folder.write("key.secret", &"s".repeat(43));
    set_mode(&folder.path("key.secret"), 0o600);
    folder.write("audit", "a line");
    fs::hard_link(folder.path("credentials.properties"), folder.path("hard")).expect("can be made");
    for (file, expected) in [
        ("credentials.properties", NEEDED),
        ("hard", NEEDED),
        (CONFIG, NEEDED),
        ("key.secret", NAMED),
        ("none/../audit", NAMED),
    ] {
        let config = format!(
            "listen = '127.0.0.1:0'\naudit.to = '{}'\n[[access.here_keys]]\nid = 'tp.one'\nsecret_file = 'key.secret'\n\
             [[outputs]]\npath = '{file}'\n",
            folder.path("audit").display()
        );
        folder.write(CONFIG, &config);
        let before = fs::read(folder.path(file)).ok();
        for command in [&["serve"][..], &["check", "--offline"]] {
            let outcome = folder.run(command).await;
            assert_eq!(outcome.code, Some(78), "{file}: {outcome:?}");
            assert!(format!("{outcome:?}").contains(expected), "{file}: {outcome:?}");
        }
        let outcome = folder.run(&["token", "--output", file]).await;
        let code = if expected == NEEDED { 1 } else { 78 };
        assert!(outcome.code == Some(code) && outcome.stderr.contains(expected), "{file}: {outcome:?}");
        assert_eq!(fs::read(folder.path(file)).ok(), before, "{file}");
    }
}

/// A reload that names a secret in the place of an output, whether the file is there or not: the token would become the secret.
#[tokio::test]
async fn output_in_the_place_of_a_secret_that_a_reload_names_is_refused() {
    let output = "[[outputs]]\nformat = 'text'\npath = 'key.secret'\n";
    let key = "[[access.here_keys]]\nid = 'tp.one'\nsecret_file = 'sub/../key.secret'\n";
    for is_there in [true, false] {
        let (_account, folder) = at_home(if is_there { output } else { "" }).await;
        let file = folder.path("key.secret");
        let mut server = folder.start(&["serve"]);
        server.address().await;
        if is_there {
            written(&mut server, &file).await;
        }
        folder.write(CONFIG, &format!("listen = '127.0.0.1:0'\n{output}{key}"));
        server.signal(Signal::HUP);
        server.logged("the changed configuration is not used").await;
        assert!(
            server.last_line().contains("another key names this one, or its folder"),
            "{}",
            server.last_line()
        );
        assert_eq!(file.exists(), is_there, "neither made nor removed");
        server.signal(Signal::TERM);
        let (_, _, log) = server.end().await;
        assert!(!file.exists() && !log.concat().contains("the access key's secret"), "{log:#?}");
    }
}

/// A reload that takes an output out, and makes its path that of a secret.
#[tokio::test]
async fn token_of_an_output_that_was_taken_out_becomes_no_secret() {
    let (_account, folder) = at_home("[[outputs]]\nformat = 'text'\npath = 'key.secret'\n").await;
    let file = folder.path("key.secret");
    let mut server = folder.start(&["serve"]);
    written(&mut server, &file).await;
    let key = "listen = '127.0.0.1:0'\n[[access.here_keys]]\nid = 'tp.one'\nsecret_file = 'key.secret'\n";
    folder.write(CONFIG, key);
    server.signal(Signal::HUP);
    server.logged("configuration reloaded").await;
    let gone = async {
        while file.exists() {
            tokio::task::yield_now().await;
        }
    };
    within("the end of the output", gone).await;
    server.logged("the access key's secret cannot be used").await;
    fs::write(&file, "s".repeat(43)).expect("can be written");
    server.logged("the access key's secret was read").await;
    server.signal(Signal::TERM);
    let (_, _, log) = server.end().await;
    assert!(file.exists(), "it is the secret now");
    let read = log.concat().matches("the access key's secret was read").count();
    assert_eq!(read, 1, "{log:#?}");
}

/// The same with a file whose content is sent to an identity provider.
#[tokio::test]
async fn token_of_an_output_that_was_taken_out_is_sent_to_no_identity_provider() {
    let (_account, folder) = at_home("[[outputs]]\nformat = 'text'\npath = 'token'\n").await;
    let asked = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    asked.set_nonblocking(true).expect("can be set");
    let mut server = folder.start(&["serve"]);
    written(&mut server, &folder.path("token")).await;
    let provider = format!(
        "[[access.oidc]]\nissuer = 'x'\naudience = 'a'\njwks_url = 'http://{}/'\njwks_token_file = 'token'\n",
        asked.local_addr().expect("is bound")
    );
    folder.write(CONFIG, &format!("listen = '127.0.0.1:0'\n{provider}"));
    server.signal(Signal::HUP);
    server.logged("the changed configuration is not used").await;
    let line = server.last_line();
    assert!(line.contains("is a file of [[outputs]]; take it out first"), "{line}");
    server.signal(Signal::TERM);
    server.end().await;
    assert!(asked.accept().is_err(), "nobody was asked");
}

#[tokio::test]
async fn token_is_written_to_a_file_and_not_printed() {
    let (account, folder) = at_home("").await;
    let file = folder.write("file", "what was there");
    set_mode(&file, 0o666);
    let outcome = folder.run(&["token", "--output", "file"]).await;
    assert_eq!((outcome.code, &*outcome.stdout, &*outcome.stderr), (Some(0), "", ""), "{outcome:?}");
    let token = fs::read_to_string(&file).expect("is there");
    assert!(account.sandbox.verify_token(token.trim_end()).is_ok());
    assert_eq!(mode(&file), 0o600);

    // A link is replaced, and not what it leads to.
    symlink("file", folder.path("link")).expect("can be made");
    let outcome = folder.run(&["token", "--format", "here", "--output", "link"]).await;
    assert_eq!((outcome.code, &*outcome.stdout), (Some(0), ""), "{outcome:?}");
    assert_eq!(fs::read_to_string(&file).expect("is there"), token);
    let here: Value =
        serde_json::from_str(&fs::read_to_string(folder.path("link")).expect("is there")).expect("is JSON");
    assert!(here["exp"].as_u64().is_some_and(|exp| exp > now()), "{here}");

    // In a file, JSON says when the token expires, and text is the token alone; printed, how much time is left, and a line.
    let (mut found, forms) = (Vec::new(), ["json", "text"]);
    for form in forms {
        let outcome = folder.run(&["token", "--format", form, "--output", "sub/../form"]).await;
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        found.push(fs::read_to_string(folder.path("form")).expect("is there"));
        found.push(folder.run(&["token", "--format", form]).await.stdout);
    }
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("is JSON");
    assert!(json(&found[0])["exp"].is_u64() && json(&found[0]).get("expires_in").is_none(), "{found:?}");
    assert!(json(&found[1])["expires_in"].is_u64() && json(&found[1]).get("exp").is_none(), "{found:?}");
    assert_eq!([1, 2, 3].map(|at| found[at].ends_with('\n')), [true, false, true], "{found:?}");

    // The same on stdout.
    let printed = folder.run(&["token", "--format", "here"]).await.stdout;
    let printed: Value = serde_json::from_str(&printed).expect("is JSON");
    assert_eq!(printed["token_type"], "bearer");
    symlink(".", folder.path("linked")).expect("can be made");
    fs::create_dir(folder.path("open")).expect("can be made");
    set_mode(&folder.path("open"), 0o777);
    symlink("/proc/version", folder.path("far")).expect("can be made");
    let bad_ones =
        ["no/such/folder", "linked/file", "open/file", "/dev/null", "/dev/stdout", "far", "", "-", "open/"];
    for bad in bad_ones {
        let outcome = folder.run(&["token", "--output", bad]).await;
        assert!(outcome.code != Some(0) && outcome.stdout.is_empty(), "{bad}: {outcome:?}");
        assert!(!outcome.stderr.contains(token.trim_end()), "{bad}");
    }
    let left: Vec<_> = names(&folder.path("")).into_iter().filter(|name| name.contains(".tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}
