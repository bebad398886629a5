//! `serve`: from its start to SIGTERM.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

use here_sandbox::Fault;
use rustix::fs::OFlags;
use rustix::process::Signal;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::support::port::Port;
use crate::support::program::{Account, Folder, set_mode};
use crate::support::wire::{Connection, get, request};
use crate::support::within;

const ANYWHERE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

#[tokio::test]
async fn tokens_are_served_until_sigterm() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = folder.start(&ANYWHERE);
        let address = server.address().await;
        let reply = get(address, "/getToken?ttl=3600").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(account.sandbox.verify_token(reply.text()).is_ok());
        assert!(!server.visible_arguments().contains(&account.secret()));
        server.signal(signal);
        let (status, stdout, log) = server.end().await;
        assert_eq!((status.code(), stdout.as_str()), (Some(0), ""), "{log:#?}");
        let log = log.join("\n");
        assert!(!log.contains(reply.text()) && !log.contains(&account.secret()), "{log}");
        assert!(log.contains("credentials.properties"), "the place is named: {log}");
    }
}

#[cfg(all(target_os = "linux", not(portable)))]
#[tokio::test]
async fn journal_is_told_the_priority_of_each_line() {
    let (account, mut folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    folder.set("TOKEN_PROVIDER_URL", "is warned of");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
    let taken = taken.local_addr().map(|address| (address.to_string(), taken)).expect("is bound");
    let path = folder.write("journal", "");
    let stream = fs::metadata(&path).expect("is there");
    let (this, other) = (format!("{}:{}", stream.dev(), stream.ino()), format!("{}:1", stream.dev()));
    for (variable, is_journal) in [(this, true), (other, false)] {
        folder.set("JOURNAL_STREAM", variable);
        let mut command = folder.command(&["serve", "--listen", &taken.0]);
        command.stderr(File::create(&path).expect("can be opened"));
        // The port is taken.
        assert_eq!(within("the end", command.status()).await.expect("can be run").code(), Some(1));
        let log = fs::read_to_string(&path).expect("is there");
        for (text, priority) in [("TOKEN_PROVIDER_URL", "<4>"), ("another process", "<3>")] {
            let line = log.lines().find(|line| line.contains(text)).expect("is there");
            assert_eq!(line.starts_with(priority), is_journal, "{log}");
        }
        assert!(log.lines().all(|line| line.starts_with('<') == is_journal), "{log}");
    }
}

#[tokio::test]
async fn localhost_is_both_of_its_addresses() {
    let folder = Folder::new();
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "localhost:0"]);
    let first = server.address().await;
    assert_eq!(first.ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(get(first, "/getToken").await.status, 200);
    // Some machines have no IPv6.
    let second = SocketAddr::new("::1".parse().expect("is an address"), first.port());
    if TcpListener::bind("[::1]:0").await.is_ok() {
        assert_eq!(get(second, "/getToken").await.status, 200);
    }
}

#[tokio::test]
async fn start_that_hangs_can_be_ended() {
    let folder = Folder::new();
    let pipe = folder.pipe("credentials.properties");
    for signal in [Signal::TERM, Signal::INT] {
        let server = folder.start(&ANYWHERE);
        // Can be opened once somebody reads, who then waits for what is never written.
        let open =
            || OpenOptions::new().write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(&pipe);
        let _writer = within("the credential is read", async {
            loop {
                match open() {
                    Ok(writer) => return writer,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        })
        .await;
        server.signal(signal);
        let (status, stdout, log) = server.end().await;
        assert_eq!((status.code(), stdout.as_str()), (Some(0), ""), "{log:#?}");
        assert!(log.join("\n").contains("stopped during startup"), "{log:#?}");
    }
}

#[tokio::test]
async fn answer_under_way_finishes_after_sigterm() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    let mut server = folder.start(&ANYWHERE);
    let address = server.address().await;
    assert_eq!(get(address, "/getToken").await.status, 200);
    account.sandbox.faults().inject(Fault { delay_ms: Some(500), ..Fault::default() });
    let before = account.sandbox.stats().token_requests;
    let under_way = tokio::spawn(async move { get(address, "/getToken?ttl=60").await.status });
    while account.sandbox.stats().token_requests == before {
        tokio::task::yield_now().await;
    }
    server.signal(Signal::TERM);
    assert_eq!(under_way.await.expect("does not panic"), 200);
    assert_eq!(server.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn second_signal_cuts_answers_off() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    account.sandbox.faults().inject(Fault { hang: true, ..Fault::default() });
    let mut server = folder.start(&ANYWHERE);
    let address = server.address().await;
    let under_way = tokio::spawn(async move { get(address, "/getToken?ttl=60").await });
    while account.sandbox.stats().token_requests < 2 {
        tokio::task::yield_now().await;
    }
    server.signal(Signal::TERM);
    server.logged("finishing requests in flight").await;
    server.signal(Signal::INT);
    let (status, _, log) = server.end().await;
    assert_eq!(status.code(), Some(1), "{log:#?}");
    assert!(log.join("\n").contains("SIGINT: stopped at once"), "{log:#?}");
    assert!(under_way.await.is_err(), "got no answer");
}

#[tokio::test]
async fn sandbox_needs_nothing() {
    let folder = Folder::new();
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    let origin = server.logged("an offline HERE account at").await;
    let address = server.address().await;
    let first = get(address, "/getToken?ttl=3600").await;
    let second = get(address, "/getToken?ttl=3600").await;
    assert_eq!((first.status, first.text()), (200, second.text()));
    let page = get(address, "/").await;
    let origin = origin.split(' ').find_map(|word| word.strip_prefix("http://")).unwrap_or_default();
    let origin = format!("http://{}", origin.trim_end_matches([';', ',']));
    assert!(page.text().contains("<script type=\"module\""), "{page:?}");
    assert_eq!(page.header("vary"), Some("Origin, Accept, Accept-Encoding"), "also what is compressed");
    // Where the account is, the page is told by its configuration.
    let config = get(address, "/config.json").await.json();
    assert_eq!(config["sandboxOrigin"], origin.as_str());
    assert!(
        page.header("content-security-policy").is_some_and(|policy| policy.contains(&origin)),
        "{page:?}"
    );
    // The demo's script can use the token at the account.
    let account: SocketAddr =
        origin.strip_prefix("http://").unwrap_or_default().parse().expect("is an address");
    let bearer = format!("Bearer {}", first.text());
    let page_origin = format!("http://{address}");
    let hello =
        request(account, "GET", "/hello", &[("Authorization", &bearer), ("Origin", &page_origin)]).await;
    assert_eq!(hello.status, 200, "{hello:?}");
    assert!(hello.json()["greeting"].is_string(), "{hello:?}");
}

#[tokio::test]
async fn sandbox_uses_the_scope_of_the_command_line() {
    let folder = Folder::new();
    let scope = "hrn:here:authorization::rlm:project/p1";
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0", "--scope", scope]);
    let address = server.address().await;
    let reply = request(address, "GET", "/getToken", &[("Accept", "application/json")]).await;
    assert_eq!(reply.json()["scope"], scope, "{reply:?}");
}

#[tokio::test]
async fn server_starts_although_the_account_fails() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    account.sandbox.faults().inject(Fault { status: Some(500), ..Fault::default() });
    let mut server = folder.start(&ANYWHERE);
    let address = server.address().await;
    assert_eq!(get(address, "/livez").await.status, 200);
    assert_eq!(get(address, "/readyz").await.status, 503);
    account.sandbox.faults().clear();
    while get(address, "/readyz").await.status != 200 {}
    assert_eq!(get(address, "/getToken").await.status, 200);
}

#[tokio::test]
async fn open_server_is_refused_with_three_ways_to_fix_it() {
    let folder = Folder::new();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let outcome = folder.run(&["serve", "--sandbox", "--listen", address]).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(78), ""), "{outcome:?}");
        for way in ["localhost:3000", "access.api_keys", "--anonymous"] {
            assert!(outcome.stderr.contains(way), "{way}: {outcome:?}");
        }
    }
    // Each of the last two is a way out.
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "0.0.0.0:0", "--anonymous"]);
    let port = server.address().await.port();
    assert_eq!(get(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "/getToken").await.status, 200);
    let key = format!("[[access.api_keys]]\nid = \"a\"\nsha256 = \"{}\"\n", "ab".repeat(32));
    folder.write("token-provider.toml", &key);
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "0.0.0.0:0"]);
    server.logged("keys and tokens are sent over the network unencrypted").await;
    let port = server.address().await.port();
    assert_eq!(get(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "/getToken").await.status, 401);
}

#[tokio::test]
async fn allowed_origin_is_added_to_the_usual_ones_and_others_are_named_in_the_log() {
    let folder = Folder::new();
    let allow = ["--allow-origin", "https://maps.example.com", "--allow-origin", "https://b.example"];
    let mut server = folder.start(&[&["serve", "--sandbox", "--listen", "127.0.0.1:0"], &allow[..]].concat());
    let address = server.address().await;
    for (origin, status) in
        [("https://maps.example.com", 200), ("https://b.example", 200), ("http://localhost:5173", 200)]
    {
        let reply = request(address, "GET", "/getToken", &[("Origin", origin)]).await;
        assert_eq!(reply.status, status, "{origin}: {reply:?}");
    }
    server.logged("web pages from https://maps.example.com, https://b.example, http://localhost:*").await;
    for origin in ["https://C.example:443/", "https://C.example:443", "null"] {
        let reply = request(address, "GET", "/getToken", &[("Origin", origin)]).await;
        assert_eq!(reply.status, 403, "{origin}: {reply:?}");
        assert!(reply.description().contains("--allow-origin"), "{reply:?}");
        server.logged("token refused").await;
        let line = server.last_line();
        assert!(line.contains(&format!("\"origin\":\"{origin}\"")), "{line}");
    }
}

#[tokio::test]
async fn port_that_is_taken_is_exit_code_1_and_says_so() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = taken.local_addr().expect("is bound").to_string();
    let outcome = folder.run(&["serve", "--sandbox", "--listen", &address]).await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(&address) && outcome.stderr.contains("another process"), "{outcome:?}");
}

#[tokio::test]
async fn admin_port_that_is_taken_is_said_once_with_its_own_setting() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = taken.local_addr().expect("is bound");
    folder.write("token-provider.toml", &format!("admin.listen = '{address}'\n"));
    let outcome = folder.run(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    assert_eq!(outcome.stderr.matches("cannot listen on").count(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("another port with admin.listen"), "{outcome:?}");
}

#[tokio::test]
async fn configuration_is_judged_whole() {
    let folder = Folder::new();
    folder.write(
        "token-provider.toml",
        "lisetn = 1\npublic_hosts = [\"https://x\"]\n[cors]\norigins = [\"null\"]\n",
    );
    let outcome = folder.run(&["serve"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(78), ""), "{outcome:?}");
    for key in ["lisetn", "public_hosts", "cors.origins"] {
        assert!(outcome.stderr.contains(key), "{key}: {outcome:?}");
    }
}

#[tokio::test]
async fn credential_that_others_can_read_gets_a_warning() {
    let (account, folder) = (Account::open().await, Folder::new());
    let file = folder.write("credentials.properties", &account.credentials());
    set_mode(&file, 0o644);
    let mut server = folder.start(&ANYWHERE);
    let warning = server.logged("can read the credential file").await;
    assert!(warning.contains("chmod 600"), "{warning}");
    server.address().await;
}

#[tokio::test]
async fn log_is_json_lines_where_nobody_watches() {
    let folder = Folder::new();
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    server.address().await;
    server.signal(Signal::TERM);
    let (_, _, log) = server.end().await;
    for line in log {
        let entry: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry["level"].is_string() && entry["message"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn log_says_whose_tokens_came_and_whose_did_not() {
    let (good, bad, folder) = (Account::open().await, Account::open().await, Folder::new());
    folder.write("good", &good.credentials());
    folder.write("bad", &bad.credentials().replace(&bad.secret(), &good.secret()));
    let profiles =
        "profile = 'good'\n[profiles.good]\ncredentials = 'good'\n[profiles.bad]\ncredentials = 'bad'\n";
    for level in ["info", "error"] {
        folder.write("token-provider.toml", &format!("{profiles}[log]\nlevel = '{level}'\n"));
        let port = Port::new();
        let server = folder.start(&["serve", "--listen", &port.address.to_string()]);
        within("the start", async { while TcpStream::connect(port.address).await.is_err() {} }).await;
        assert_eq!(get(port.address, "/getToken?ttl=900").await.status, 200);
        assert_eq!(get(port.address, "/getToken?profile=bad&ttl=300").await.status, 502);
        server.signal(Signal::TERM);
        let (_, _, log) = server.end().await;
        let log: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
        let find = |message: &str, lifetime: u64| {
            log.iter().find(|line| line["message"] == message && line["token.lifetime"] == lifetime)
        };
        let refused = find("no token received", 300).unwrap_or_else(|| panic!("is told: {log:#?}"));
        let place = |account: &Account| Value::from(format!("{}/oauth2/token", account.origin));
        assert_eq!((&refused["level"], &refused["span"]["profile"]), (&"ERROR".into(), &"bad".into()));
        assert_eq!(refused["span"]["issuer"], place(&bad));
        let received = find("token received", 900);
        assert_eq!(received.is_some(), level == "info", "{log:#?}");
        if let Some(received) = received {
            assert_eq!((&received["level"], &received["span"]["profile"]), (&"INFO".into(), &"good".into()));
            assert_eq!(received["span"]["issuer"], place(&good));
        }
    }
}

#[tokio::test]
async fn log_names_the_host_that_is_refused() {
    for audit in ["log", "off"] {
        let folder = Folder::new();
        folder.write("token-provider.toml", &format!("audit.to = '{audit}'\n"));
        let mut server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
        let mut connection = Connection::open(server.address().await).await;
        connection.send("GET /getToken HTTP/1.1\r\nHost: evil.example:3000\r\n\r\n").await;
        assert_eq!(connection.reply().await.status, 403);
        server.signal(Signal::TERM);
        let (_, _, log) = server.end().await;
        let log: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
        let line = log.iter().find(|line| line["rule"] == "host").expect("is told");
        assert_eq!(line["host"], "evil.example:3000", "{line}");
    }
}

#[tokio::test]
async fn open_listener_stays_closed_whatever_order_a_configuration_is_changed_in() {
    let folder = Folder::new();
    let key = format!("[[access.api_keys]]\nid = \"a\"\nsha256 = \"{}\"\n", "ab".repeat(32));
    let write = |listen: &str, rest: &str| {
        folder.write("token-provider.toml", &format!("listen = [\"{listen}\"]\n{rest}"))
    };
    write("0.0.0.0:0", &key);
    let mut server = folder.start(&["serve", "--sandbox"]);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.address().await.port()));
    assert_eq!(get(address, "/getToken").await.status, 401);
    // Takes effect after a restart: until then the listener is the open one.
    write("127.0.0.1:0", &key);
    server.signal(Signal::HUP);
    server.logged("configuration reloaded").await;
    // Fine for the listener in the file, and not for the one in use.
    write("127.0.0.1:0", "");
    server.signal(Signal::HUP);
    server.logged("refusing everyone").await;
    assert_eq!(get(address, "/getToken").await.status, 401);
}

#[tokio::test]
async fn file_that_one_profile_lacks_is_said_of_that_one() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("here", &account.credentials());
    let good = "[profiles.default]\ncredentials = 'here'\n";
    for (lacks, key) in [
        ("ca = 'none'\ncredentials = 'here'", "ca"),
        ("remote = 'http://localhost/getToken'\napi_key_file = 'none'", "api_key_file"),
        (
            "remote = 'http://localhost/getToken'\napi_key_file = '/dev/zero'",
            "api_key_file: /dev/zero: cannot be read",
        ),
    ] {
        folder.write("token-provider.toml", &format!("{good}[profiles.maps]\n{lacks}\n"));
        let outcome = folder.run(&["check", "--offline", "--listen", "127.0.0.1:0"]).await;
        assert_ne!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains(&format!("profile maps: {key}: ")), "{outcome:?}");
        let outcome = folder.run(&["token"]).await;
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
}
