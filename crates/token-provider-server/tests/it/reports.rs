//! A caller reports that a service refused its token: the successor comes at once, for everybody, and no report is worth anything
//! to who is not to have one.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use here_sandbox::Fault;
use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::support::identity::IdentityProvider;
use super::support::program::{Account, Folder, Running};
use super::support::sdk::{Sdk, SdkRequest};
use super::support::server::{Server, Setup};
use super::support::wire::{Connection, Reply, get, report, request};
use super::support::within;

const KEY: &str = "tp_a-key-for-the-contract-cases-0123456789-abcdef";
const KEY_HASH: &str = "7f55b53e5de7894ef3541d59359cf33fa07abff925e241082ad1f5db19ef76f7";
const OTHER_SECRET: &str = "plantedOther00123456789ABCDEFGHIJKLMNOPQRST";
const CALLERS: usize = 20;
/// How long HERE takes for an answer.
const ROUND_TRIP_MS: u64 = 400;

/// Starts the program before an account, with this configuration. Returns the addresses for callers and for those who run it.
async fn start(folder: &Folder, account: &Account, config: &str) -> (Running, [SocketAddr; 2]) {
    folder.write("credentials.properties", &account.credentials());
    folder.write("token-provider.toml", &format!("admin.listen = \"127.0.0.1:0\"\n{config}"));
    let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    let addresses = server.addresses().await;
    (server, addresses)
}

#[track_caller]
fn assert_accepted(reply: &Reply) {
    assert_eq!((reply.status, reply.text()), (200, ""), "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{reply:?}");
}

/// Waits until callers get another token than this one, and returns that.
async fn successor(address: SocketAddr, token: &str) -> String {
    let another = async {
        loop {
            let reply = get(address, "/getToken").await;
            assert_eq!(reply.status, 200, "{reply:?}");
            if reply.text() != token {
                return reply.text().to_owned();
            }
        }
    };
    within("another token", another).await
}

/// What one caller has seen: when it asked, when it was answered, and what it got.
type Seen = (Instant, Instant, String);

/// Asks for tokens on one connection until the test says so.
async fn ask_on(address: SocketAddr, stop: watch::Receiver<bool>) -> Vec<Seen> {
    let mut connection = Connection::open(address).await;
    let mut seen = Vec::new();
    while !*stop.borrow() {
        let asked = Instant::now();
        connection.send(format!("GET /getToken HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
        let reply = connection.reply().await;
        assert_eq!(reply.status, 200, "a report leaves nobody without a token: {reply:?}");
        seen.push((asked, Instant::now(), reply.text().to_owned()));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_token_is_replaced_within_one_round_trip_by_one_request() {
    let (account, folder) = (Account::open().await, Folder::new());
    let (_server, [address, admin]) = start(&folder, &account, "").await;
    let refused = get(address, "/getToken").await.text().to_owned();
    account.sandbox.faults().replace(vec![Fault { delay_ms: Some(ROUND_TRIP_MS), ..Fault::default() }]);
    let before = account.sandbox.stats().token_requests;
    let stop = watch::Sender::new(false);
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(ask_on(address, stop.subscribe()));
    }

    let (reported, mut in_time) = (Instant::now(), 0);
    for _ in 0..CALLERS {
        assert_accepted(&report(address, &refused, "", &[]).await);
        // The successor cannot be there yet. On a busy machine it is before the last callers have reported.
        in_time += usize::from(reported.elapsed() < Duration::from_millis(ROUND_TRIP_MS));
    }
    let next = successor(address, &refused).await;
    assert_accepted(&report(address, &refused, "", &[]).await);
    // While the others go on.
    for _ in 0..100 {
        assert_eq!(get(address, "/getToken").await.text(), next);
    }
    stop.send_replace(true);
    let seen: Vec<Seen> = callers.join_all().await.concat();

    let first = seen.iter().filter(|(.., token)| *token == next).map(|(_, answered, _)| *answered).min();
    let first = first.expect("they have seen it");
    // That it was not longer than one is in the number of requests: how fast the machine is, is judged by nobody here.
    assert!(first - reported >= Duration::from_millis(ROUND_TRIP_MS), "HERE was asked");
    let late = seen.iter().filter(|(asked, _, token)| *asked > first && *token != next).count();
    assert_eq!(late, 0, "the old token was handed out after the new one, of {} answers", seen.len());
    assert!(seen.iter().all(|(.., token)| [&refused, &next].contains(&token)), "there are two tokens");
    assert_eq!(account.sandbox.stats().token_requests, before + 1, "of {CALLERS} reports, one request");
    let metrics = get(admin, "/metrics").await;
    let [accepted, unknown] = ["accepted", "unknown"].map(|outcome| {
        let name = format!("token_provider_reports_total{{profile=\"default\",outcome=\"{outcome}\"}} ");
        let value = metrics.text().lines().find_map(|line| line.strip_prefix(&*name)?.parse::<usize>().ok());
        value.unwrap_or_else(|| panic!("{name}\n{}", metrics.text()))
    });
    assert!(
        accepted >= in_time.max(1) && unknown >= 1,
        "{accepted} accepted, {in_time} in time, {unknown} unknown"
    );
    assert_eq!(accepted + unknown, CALLERS + 1);
}

#[tokio::test]
async fn caller_cannot_report_a_token_of_a_profile_that_it_may_not_use() {
    let (account, folder) = (Account::open().await, Folder::new());
    let made = folder.run(&["key", "new", "--id", "maps"]).await;
    let text = made.stdout + &made.stderr;
    let word =
        |start: &str| text.split(['"', '\n', ' ']).find(|word| word.starts_with(start)).unwrap_or_default();
    let maps = word("tp_");
    let hash = text.split_once("sha256 = \"").and_then(|(_, rest)| rest.split('"').next()).expect("is there");
    let config = format!(
        "[profiles.default]\n[profiles.maps]\ncredentials = \"credentials.properties\"\n\
         [[access.api_keys]]\nid = \"maps\"\nprofiles = [\"maps\"]\nsha256 = \"{hash}\"\n\
         [[access.api_keys]]\nid = \"other\"\nprofiles = [\"default\"]\nsha256 = \"{KEY_HASH}\"\n"
    );
    let (_server, [address, admin]) = start(&folder, &account, &config).await;
    let ask = async || {
        let reply = request(address, "GET", "/getToken?profile=maps", &[("X-API-Key", maps)]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.text().to_owned()
    };
    let token = ask().await;
    let before = account.sandbox.stats().token_requests;
    let own = report(address, "no-such-token", "", &[("X-API-Key", KEY)]).await;
    let foreign = report(address, &token, "", &[("X-API-Key", KEY)]).await;
    // What it is told is what it is told of any text.
    let telling = |reply: &Reply| {
        let is_telling = |name: &str| name != "x-request-id" && name != "date";
        let headers = reply.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
        (reply.status, headers.filter(|(name, _)| is_telling(name)).collect::<Vec<_>>(), reply.body.clone())
    };
    assert_eq!(telling(&own), telling(&foreign));
    assert_eq!(report(address, &token, "", &[]).await.status, 401);
    assert_eq!(ask().await, token);
    assert_eq!(account.sandbox.stats().token_requests, before, "nothing was requested");

    let by_holder = report(address, &token, "", &[("X-API-Key", maps)]).await;
    assert_eq!(telling(&by_holder), telling(&own), "nor does it tell whether the token is held");
    within("the successor", async { while ask().await == token {} }).await;
    assert_eq!(account.sandbox.stats().token_requests, before + 1);
    let metrics = get(admin, "/metrics").await;
    for line in [
        "token_provider_reports_total{profile=\"default\",outcome=\"unknown\"} 2",
        "token_provider_reports_total{profile=\"maps\",outcome=\"accepted\"} 1",
    ] {
        assert!(metrics.text().lines().any(|found| found == line), "{line}\n{}", metrics.text());
    }
}

/// Fields of the form beside the token, header fields, the status that they get, and who the caller is.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, Option<&'a str>);

fn keys_and_more(issuer: &str, secret_file: &str) -> String {
    format!(
        "[profiles.default]\n[[access.api_keys]]\nid = \"dashboard\"\nsha256 = \"{KEY_HASH}\"\n\
         [[access.here_keys]]\nid = \"tp.maps\"\nsecret_file = {secret_file:?}\n\
         [access.oidc]\nissuer = \"{issuer}\"\naudience = \"token-provider\"\n\
         [access.trusted_proxy]\nfrom = [\"127.0.0.1\"]\nheader = \"X-User\"\n"
    )
}

#[tokio::test]
async fn report_authenticates_in_every_way_that_a_handout_has() {
    let (company, folder) = (IdentityProvider::start().await, tempfile::tempdir().expect("can be made"));
    let (trail, file) = (folder.path().join("audit.jsonl"), folder.path().join("maps.secret"));
    fs::write(&file, crate::here_keys::SECRET).expect("can be written");
    let config = keys_and_more(&company.issuer, &file.display().to_string());
    let server = Setup::default().config(&config).trail(&trail).start().await;
    let bearer = format!("Bearer {KEY}");
    let of_company = format!("Bearer {}", company.token());
    let basic = format!("Basic {}", BASE64.encode(format!("dashboard:{KEY}")));
    let wrong_basic = format!("Basic {}", BASE64.encode("dashboard:tp_wrong"));
    let signed = |secret: &str| SdkRequest {
        url: format!("http://{}/oauth2/revoke", server.address),
        fields: vec![("token", "abc".to_owned())],
        ..SdkRequest::new(Sdk::Java, server.address, "tp.maps", secret)
    };
    let post = format!("&client_id=dashboard&client_secret={KEY}");
    let table: [Case<'_>; 18] = [
        ("", &[("X-API-Key", KEY)], 200, Some("dashboard")),
        ("", &[("Authorization", &bearer)], 200, Some("dashboard")),
        ("", &[("Authorization", &of_company)], 200, Some("dashboard")),
        ("", &[("Authorization", &basic)], 200, Some("dashboard")),
        (&post, &[], 200, Some("dashboard")),
        ("", &[("X-User", "bob")], 200, Some("bob")),
        ("", &[], 401, None),
        ("", &[("X-API-Key", "tp_wrong")], 401, None),
        ("", &[("Authorization", "Bearer tp_wrong")], 401, None),
        ("", &[("Authorization", "Bearer a.b.c")], 401, None),
        ("", &[("Authorization", &wrong_basic)], 401, None),
        ("&client_id=dashboard&client_secret=tp_wrong", &[], 401, None),
        ("", &[("X-API-Key", "tp_wrong"), ("Authorization", "x")], 401, None),
        ("", &[("X-API-Key", "tp_wrong"), ("Authorization", "Basic !")], 401, None),
        ("", &[("Authorization", "Bearer\ttp_wrong")], 401, None),
        ("&client_assertion=x", &[("X-API-Key", KEY)], 401, Some("dashboard")),
        (&post, &[("X-API-Key", KEY)], 400, Some("dashboard")),
        (&post, &[("Authorization", &basic)], 400, Some("dashboard")),
    ];
    for (fields, headers, status, _) in table {
        let reply = report(server.address, "abc", fields, headers).await;
        assert_eq!(reply.status, status, "{fields} {headers:?}: {reply:?}");
    }
    let (right, wrong) = (signed(crate::here_keys::SECRET), signed(OTHER_SECRET));
    for (request, status) in [(&wrong, 401), (&right, 200), (&right, 401)] {
        let reply = request.send(server.address).await;
        assert_eq!(reply.status, status, "of a signature, each is worth one report: {reply:?}");
    }
    // Whatever else there is, a signature that is wrong is refused.
    let mut beside_a_secret = signed(OTHER_SECRET);
    beside_a_secret.fields.push(("client_id", "dashboard".to_owned()));
    beside_a_secret.fields.push(("client_secret", KEY.to_owned()));
    let mut behind_the_proxy = signed(OTHER_SECRET);
    behind_the_proxy.headers.push(("X-User", "bob".to_owned()));
    for request in [&beside_a_secret, &behind_the_proxy] {
        let reply = request.send(server.address).await;
        assert_eq!(reply.status, 401, "{reply:?}");
        assert!(reply.header("www-authenticate").is_some(), "{reply:?}");
    }
    let headers = [("Authorization", &*behind_the_proxy.authorization()), ("X-User", "bob")];
    assert_eq!(request(server.address, "GET", "/getToken", &headers).await.status, 401);
    let lines = server.audit_lines(&trail);
    assert_eq!(lines.len(), table.len() + 6);
    assert_eq!(lines[table.len() + 1]["caller"], "tp.maps");
    for (line, (fields, headers, status, caller)) in lines.iter().zip(table) {
        let outcome = if status == 200 { "reported" } else { "refused" };
        assert_eq!((&line["outcome"], &line["status"]), (&outcome.into(), &status.into()), "{line}");
        assert_eq!(line["caller"].as_str(), caller, "{fields} {headers:?}: {line}");
        assert_eq!(line["reason"] == "unknown", status == 200, "{line}");
    }
}

#[tokio::test]
async fn anonymous_callers_report_where_they_may_ask_and_a_wrong_credential_does_not() {
    let server = Server::start().await;
    let token = get(server.address, "/getToken").await.text().to_owned();
    assert_eq!(report(server.address, &token, "", &[("X-API-Key", "tp_wrong")]).await.status, 401);
    assert_eq!(report(server.address, &token, "&client_id=a&client_secret=b", &[]).await.status, 401);
    assert_eq!(
        report(server.address, &token, "", &[("Authorization", "Basic bm8tY29sb24=")]).await.status,
        400
    );
    let foreign = SdkRequest::new(Sdk::Java, server.address, "foreign", OTHER_SECRET).authorization();
    let both = [("X-API-Key", "tp_wrong"), ("Authorization", &*foreign)];
    assert_eq!(report(server.address, &token, "", &both).await.status, 401);
    assert_eq!(server.sandbox.stats().token_requests, 1);
    assert_accepted(&report(server.address, &token, "&token_type_hint=access_token", &[]).await);
    successor(server.address, &token).await;
    assert_eq!(server.sandbox.stats().token_requests, 2);
}

#[tokio::test]
async fn reports_while_here_is_away_leave_everyone_with_the_token() {
    let server = Server::start().await;
    let token = get(server.address, "/getToken").await.text().to_owned();
    server.sandbox.faults().replace(vec![Fault { status: Some(503), count: Some(1000), ..Fault::default() }]);
    for _ in 0..100 {
        assert_accepted(&report(server.address, &token, "", &[]).await);
        let reply = get(server.address, "/getToken").await;
        assert_eq!((reply.status, reply.text()), (200, &*token), "{reply:?}");
    }
    let requests = server.sandbox.stats().token_requests - 1;
    assert!((1..=8).contains(&requests), "HERE is left alone: {requests} requests");
}

#[tokio::test]
async fn report_counts_against_the_rate_of_its_caller() {
    let folder = tempfile::tempdir().expect("can be made");
    let trail = folder.path().join("audit.jsonl");
    let config = format!(
        "[profiles.default]\n[[access.api_keys]]\nid = \"a\"\nsha256 = \"{KEY_HASH}\"\nrate = \"3/h\"\n"
    );
    let server = Setup::default().config(&config).trail(&trail).start().await;
    let key = [("X-API-Key", KEY)];
    let token = request(server.address, "GET", "/getToken", &key).await.text().to_owned();
    assert_accepted(&report(server.address, &token, "", &key).await);
    assert_accepted(&report(server.address, &token, "", &key).await);
    let limited = report(server.address, &token, "", &key).await;
    assert_eq!((limited.status, limited.error().as_str()), (429, "slow_down"), "{limited:?}");
    assert!(limited.header("retry-after").is_some(), "{limited:?}");
    let lines = server.audit_lines(&trail);
    let found: Vec<_> =
        lines.iter().map(|line| [&line["outcome"], &line["caller"], &line["profile"]]).collect();
    let expected = |outcome: &str, profile: Value| [outcome.into(), Value::from("a"), profile];
    assert_eq!(found[1], expected("reported", "default".into()).each_ref(), "{lines:#?}");
    assert_eq!(found[3], expected("refused", Value::Null).each_ref(), "{lines:#?}");
    assert_eq!((&lines[1]["reason"], &lines[3]["rule"]), (&"accepted".into(), &"rate".into()), "{lines:#?}");
    let text = format!("{lines:?} {:?}", server.app);
    let mut pieces = token.as_bytes().chunks(16).map(String::from_utf8_lossy);
    assert!(pieces.all(|piece| !text.contains(&*piece)), "{text}");
}

#[tokio::test]
async fn signal_replaces_the_tokens_of_all_profiles_once_in_ten_seconds() {
    let (account, folder) = (Account::open().await, Folder::new());
    let config = "[profiles.default]\n[profiles.maps]\ncredentials = \"credentials.properties\"\n";
    let (mut server, [address, _]) = start(&folder, &account, config).await;
    let ask =
        async |profile: &str| get(address, &format!("/getToken?profile={profile}")).await.text().to_owned();
    let before = [ask("default").await, ask("maps").await];
    let requests = account.sandbox.stats().token_requests;
    server.signal(Signal::USR1);
    server.logged("SIGUSR1: replacing all tokens of this profile").await;
    for (profile, old) in ["default", "maps"].into_iter().zip(&before) {
        within("another token", async { while ask(profile).await == *old {} }).await;
    }
    server.signal(Signal::USR1);
    server.logged("SIGUSR1: rate: too many requests; retry later").await;
    assert_eq!(account.sandbox.stats().token_requests, requests + 2);
    server.signal(Signal::TERM);
    let (status, ..) = server.end().await;
    assert_eq!(status.code(), Some(0));
}
