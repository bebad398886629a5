//! The admin listener: metrics in both forms, the status, and who may see them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use here_sandbox::Fault;
use rustix::process::Signal;
use serde_json::json;
use token_provider::{Error, ErrorKind, Issue, IssueFuture, Issued, TestClock, TokenKey, TokenProvider};
use tokio::time::Instant;

use super::support::identity::IdentityProvider;
use super::support::issuer::GatedIssuer;
use super::support::program::{Account, Folder};
use super::support::server::{ACCESS_KEY_SECRET, Server, Setup};
use super::support::wire::{Connection, Reply, get, request};
use super::support::within;

const CONFIG: &str = "[admin]\nlisten = 0\n[audit]\nto = \"off\"\n";
const OPEN_METRICS: &str =
    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

async fn start() -> Server {
    Setup::default().config(CONFIG).start().await
}

/// The samples of a page of metrics, without their values.
fn series(page: &str) -> BTreeSet<&str> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect()
}

#[track_caller]
fn assert_sample(page: &str, expected: &str) {
    assert!(page.lines().any(|line| line == expected), "{expected}\n{page}");
}

async fn metrics(server: &Server) -> String {
    let reply = get(server.admin().await, "/metrics").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.text().to_owned()
}

#[tokio::test]
async fn metrics_come_in_both_forms() {
    let server = start().await;
    for target in ["/getToken?ttl=3600", "/getToken?ttl=3600", "/getToken?ttl=0"] {
        get(server.address, target).await;
    }
    let admin = server.admin().await;
    let plain = get(admin, "/metrics").await;
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(plain.header("cache-control"), Some("no-store"));
    for sample in [
        r#"token_provider_handouts_total{profile="default",outcome="held"} 1"#,
        r#"token_provider_handouts_total{profile="default",outcome="waited"} 1"#,
        r#"token_provider_refusals_total{rule="request"} 1"#,
        r#"token_provider_issuer_requests_total{profile="default",outcome="issued"} 1"#,
        r#"token_provider_refresh_failures_total{profile="default"} 0"#,
        r#"token_provider_token_backoff_seconds{profile="default",scope="",lifetime="3600"} 0"#,
        r#"token_provider_clock_offset_seconds{profile="default"} 0"#,
        r#"token_provider_callers_limited_total{method="anonymous"} 0"#,
        concat!("token_provider_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert_sample(plain.text(), sample);
    }
    assert!(plain.text().contains("# TYPE token_provider_handouts_total counter"), "{}", plain.text());
    assert!(plain.text().contains("process_resident_memory_bytes "), "{}", plain.text());

    let open = request(admin, "GET", "/metrics", &[("Accept", OPEN_METRICS)]).await;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(media_type));
    assert!(open.text().contains("# TYPE token_provider_handouts counter"), "{}", open.text());
    assert!(open.text().ends_with("# EOF\n"), "{}", open.text());
    assert_eq!(series(open.text()), series(plain.text()));
    let head = request(admin, "HEAD", "/metrics", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0), "{head:?}");
}

/// Every name that callers choose is chosen anew again and again: no series comes of it.
#[tokio::test]
async fn callers_cannot_make_new_series() {
    let config = format!("lifetimes = [\"5m\", \"1h\"]\n[profiles.default]\nscopes = [\"one\"]\n{CONFIG}");
    let server = Setup::default().config(&config).start().await;
    let ask = async |name: &str| {
        let targets = [
            format!("/getToken?ttl=3{name}"),
            format!("/getToken?ttl=3{name}&scope=one"),
            format!("/getToken?scope={name}"),
            format!("/getToken?profile={name}"),
            format!("/{name}"),
        ];
        let headers = [
            ("X-Request-ID", name),
            ("X-API-Key", name),
            ("Origin", &format!("https://{name}.example")),
            ("User-Agent", name),
        ];
        for target in &targets {
            get(server.address, target).await;
            for header in headers {
                request(server.address, "GET", target, &[header]).await;
            }
        }
        request(server.address, &format!("M{name}"), "/getToken", &[]).await;
    };
    ask("600").await;
    let before = metrics(&server).await;
    for number in 601..611 {
        ask(&number.to_string()).await;
    }
    let after = metrics(&server).await;
    assert_eq!(series(&after), series(&before));
    assert!(!after.contains("example") && !after.contains("610"), "{after}");
}

#[tokio::test]
async fn profile_is_ready_by_the_tokens_that_its_callers_ask_for() {
    let config = format!(
        "[profiles.default]\n[profiles.maps]\n[access]\nanonymous = true\nanonymous_max_ttl = \"10m\"\n\
         anonymous_profiles = [\"default\", \"maps\"]\n{CONFIG}"
    );
    let server = Setup::default().config(&config).start().await;
    let ready = |profile: &str, is: u8| format!("token_provider_profile_ready{{profile=\"{profile}\"}} {is}");
    // Nobody has asked for anything.
    let page = metrics(&server).await;
    assert_sample(&page, &ready("default", 1));
    // No caller of these may have the token of an hour.
    for ttl in [3600, 60] {
        assert_eq!(get(server.address, &format!("/getToken?ttl={ttl}")).await.status, 200);
    }
    server.sandbox.faults().replace(vec![Fault::new().with_status(503).with_count(99)]);
    assert_eq!(get(server.address, "/getToken?profile=maps").await.status, 503);
    let page = metrics(&server).await;
    assert_sample(&page, r#"token_provider_token_failures{profile="maps",scope="",lifetime="600"} 1"#);
    assert!(!page.contains("lifetime=\"3600\""), "{page}");
    assert_sample(&page, &ready("default", 1));
    assert_sample(&page, &ready("maps", 0));
    // What most callers ask for beats what some have.
    assert_eq!(get(server.address, "/readyz").await.status, 503);
    assert_sample(&metrics(&server).await, &ready("default", 0));
}

#[tokio::test]
async fn credential_that_is_not_taken_into_use_is_seen_until_it_is_put_right() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    folder.write("token-provider.toml", "admin.listen = '127.0.0.1:0'\naudit.to = 'off'\n");
    let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    let [_, admin] = server.addresses().await;
    let problem = async || {
        let status = request(admin, "GET", "/status", &[("Accept", "application/json")]).await.json();
        status["profiles"][0]["rotation_problem"].as_str().map(str::to_owned)
    };
    let sample =
        |is: u8| format!(r#"token_provider_credential_last_rotation_successful{{profile="default"}} {is}"#);
    assert_eq!(problem().await, None);
    assert_sample(get(admin, "/metrics").await.text(), &sample(1));

    let wrong = "planted-secret-that-is-not-this-accounts-0123456789";
    folder.write("credentials.properties", &account.credentials().replace(&account.secret(), wrong));
    server.signal(Signal::HUP);
    server.logged("HERE did not accept the changed credential").await;
    let refused = async { while problem().await.is_none() {} };
    within("the problem", refused).await;
    let text = problem().await.unwrap_or_default();
    assert!(text.contains("401300") && !text.contains("planted"), "{text}");
    assert_sample(get(admin, "/metrics").await.text(), &sample(0));

    folder.write("credentials.properties", &account.credentials());
    let put_right = async { while problem().await.is_some() {} };
    within("no problem", put_right).await;
    assert_sample(get(admin, "/metrics").await.text(), &sample(1));
}

#[tokio::test]
async fn identity_provider_is_up_while_it_has_keys() {
    let company = IdentityProvider::start().await;
    let server = Setup::default().config(&format!("{}{CONFIG}", company.config())).start().await;
    let sample = format!("token_provider_oidc_up{{provider=\"{}\"}} 1", company.issuer);
    let asked = async {
        while !metrics(&server).await.lines().any(|line| line == sample) {
            tokio::task::yield_now().await;
        }
    };
    within(&sample, asked).await;
    assert!(!metrics(&start().await).await.contains("token_provider_oidc_up"), "there is none");
}

#[tokio::test]
async fn status_tells_what_is_held_what_failed_and_what_to_do() {
    let server = start().await;
    let token = get(server.address, "/getToken?ttl=3600").await;
    server
        .sandbox
        .faults()
        .replace(vec![Fault::new().with_status(401).with_error_code(401_300).with_count(9)]);
    assert_eq!(get(server.address, "/getToken?ttl=600").await.status, 502);
    assert_eq!(get(server.address, "/getToken?ttl=5").await.status, 400);
    let admin = server.admin().await;
    // The audit trail's thread has the newest events a moment later.
    let status = loop {
        let reply = request(admin, "GET", "/status", &[("Accept", "application/json")]).await;
        assert_eq!(reply.header("content-type"), Some("application/json"), "{reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let status = reply.json();
        if status["recent"].as_array().is_some_and(|recent| recent.len() == 3) {
            break status;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["ready"], true);
    let profile = &status["profiles"][0];
    assert_eq!((&profile["name"], &profile["default"]), (&"default".into(), &true.into()));
    let tokens = profile["tokens"].as_array().expect("is a list");
    let of = |lifetime: u64| tokens.iter().find(|token| token["lifetime"] == lifetime).expect("is listed");
    let (held, missing) = (of(3600), of(600));
    assert_eq!(held["state"], "fresh");
    assert!(held["seconds_left"].as_u64().is_some_and(|left| (3590..=3600).contains(&left)), "{held}");
    assert_eq!((&missing["state"], &missing["failures"]), (&"none".into(), &1.into()));
    let error = &missing["last_error"];
    assert!(error["message"].as_str().is_some_and(|text| text.contains("401300")), "{error}");
    assert!(error["remedy"].as_str().is_some_and(|text| text.contains("access key")), "{error}");
    assert_eq!(status["refusals"]["request"], 1);
    let recent = &status["recent"];
    assert_eq!((&recent[0]["outcome"], &recent[0]["rule"]), (&"refused".into(), &"request".into()));
    assert_eq!((&recent[1]["outcome"], &recent[1]["error"]), (&"failed".into(), &"issuer_rejected".into()));
    assert_eq!(
        (&recent[2]["outcome"], &recent[2]["fingerprint"]),
        (&"handed_out".into(), &held["fingerprint"])
    );
    let text = status.to_string() + &metrics(&server).await;
    assert!(!text.contains(token.text()) && !text.contains(ACCESS_KEY_SECRET), "{text}");
}

#[tokio::test]
async fn people_get_a_page_and_programs_json() {
    let server = start().await;
    let admin = server.admin().await;
    let browser = [("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")];
    for target in ["/", "/status"] {
        let page = request(admin, "GET", target, &browser).await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{page:?}");
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(page.text().contains("/status.js"));
    }
    for (target, media_type) in
        [("/status.js", "text/javascript; charset=utf-8"), ("/status.css", "text/css; charset=utf-8")]
    {
        assert_eq!(get(admin, target).await.header("content-type"), Some(media_type));
    }
    assert_eq!(get(admin, "/status").await.header("content-type"), Some("application/json"), "curl's */*");
}

#[tokio::test]
async fn nobody_elses_page_may_look() {
    let server = start().await;
    let admin = server.admin().await;
    let own = format!("http://{admin}");
    let neighbour = format!("http://{}", server.address);
    for target in ["/status", "/metrics"] {
        for headers in [
            [("Origin", "https://evil.example")],
            [("Origin", "null")],
            // Even one that may ask for tokens.
            [("Origin", neighbour.as_str())],
            [("Sec-Fetch-Site", "cross-site")],
            [("Sec-Fetch-Site", "same-site")],
            [("Sec-Purpose", "prefetch")],
        ] {
            let reply = request(admin, "GET", target, &headers).await;
            assert_eq!(
                (reply.status, reply.error().as_str()),
                (403, "access_denied"),
                "{headers:?} {reply:?}"
            );
            assert_eq!(reply.header("access-control-allow-origin"), None, "{reply:?}");
        }
        for headers in [[("Origin", own.as_str())], [("Sec-Fetch-Site", "same-origin")]] {
            let reply = request(admin, "GET", target, &headers).await;
            assert_eq!(reply.status, 200, "{headers:?} {reply:?}");
        }
        // A name that somebody has pointed here.
        let mut connection = Connection::open(admin).await;
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n")).await;
        let rebound = connection.reply().await;
        assert_eq!((rebound.status, rebound.error().as_str()), (403, "access_denied"), "{rebound:?}");
        let preflight = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "GET")];
        let reply = request(admin, "OPTIONS", target, &preflight).await;
        assert!(reply.status >= 400 && reply.header("access-control-allow-origin").is_none(), "{reply:?}");
    }
}

/// A probe may call it by any name; a page of somebody else may not.
#[tokio::test]
async fn admin_listener_tells_its_health() {
    let server = start().await;
    let admin = server.admin().await;
    for (target, word) in [("/livez", "live\n"), ("/readyz", "ready\n")] {
        assert_eq!((get(admin, target).await.status, get(admin, target).await.text()), (200, word));
        let mut connection = Connection::open(admin).await;
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: balancer.example\r\n\r\n")).await;
        assert_eq!(connection.reply().await.text(), word);
        let page = request(admin, "GET", target, &[("Origin", "https://evil.example")]).await;
        assert_eq!(page.status, 403, "{page:?}");
    }
}

#[tokio::test]
async fn admin_listener_has_nothing_for_callers() {
    let server = start().await;
    let admin = server.admin().await;
    for target in ["/getToken", "/oauth2/token", "/openapi.json", "/client.js", "/nothing"] {
        assert_eq!(get(admin, target).await.status, 404, "{target}");
    }
    for target in ["/", "/status", "/status.js", "/metrics", "/livez", "/readyz"] {
        let reply = request(admin, "POST", target, &[]).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{target}");
    }
}

#[tokio::test]
async fn there_is_no_admin_listener_unless_configured_and_then_on_loopback() {
    let folder = Folder::new();
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    assert!(!server.logged("listening on").await.contains("metrics"));
    for target in ["/metrics", "/status"] {
        let port = server.first_address();
        assert_eq!(get(port, target).await.status, 404);
    }
    drop(server);

    folder.write("token-provider.toml", "admin.listen = 0\n");
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    let [callers, admin] = server.addresses().await;
    assert!(admin.ip().is_loopback(), "{admin}");
    assert_eq!(get(admin, "/metrics").await.status, 200);
    assert_eq!(get(callers, "/metrics").await.status, 404);
    server.signal(Signal::TERM);
    let (status, _, log) = server.end().await;
    assert_eq!(status.code(), Some(0));
    assert!(!log.join("\n").contains("can be reached from outside"), "{log:#?}");
}

/// Fails where it is asked for five minutes.
#[derive(Debug)]
struct Moody;

impl Issue for Moody {
    fn issue<'a>(&'a self, key: &'a TokenKey) -> IssueFuture<'a> {
        Box::pin(async {
            if key.lifetime() != Duration::from_secs(300) {
                return Ok(Issued::new("planted.token.text", key.lifetime()));
            }
            let error = Error::from_issuer(ErrorKind::Throttled, "planted failure");
            Err(error.with_retry_after(Some(Duration::from_secs(200))))
        })
    }
}

/// One of two profiles has a clock that is set: a held token goes by whichever clock says less, a pause by the one that
/// nobody can set, and the other profile by its own.
#[tokio::test]
async fn figures_follow_a_clock_that_is_set_where_they_should() {
    let clock = TestClock::new();
    let provider = TokenProvider::builder(Moody).clock(clock.clone()).build();
    let config = format!("[profiles.maps]\n{CONFIG}");
    let server = Setup::default().config(&config).provider(provider).start().await;
    assert_eq!(get(server.address, "/getToken").await.status, 200);
    assert_eq!(get(server.address, "/getToken?profile=maps").await.status, 200);
    assert_eq!(get(server.address, "/getToken?ttl=300").await.status, 503);
    let admin = server.admin().await;
    // Forward by a quarter of an hour, a day back from there, and to where it was.
    for (by, left, of_maps) in [(900, 2700, 3600), (-86_400, 3600, 3600), (85_500, 3600, 3600)] {
        clock.set_wall(by);
        let status = get(admin, "/status").await.json();
        let page = metrics(&server).await;
        let about = |found: f64, expected: u32, more: u32| {
            let expected = f64::from(expected);
            assert!(found <= expected + f64::from(more), "{found} after {by}: {page}\n{status}");
            assert!(found > expected - 60.0, "{found} after {by}: {page}\n{status}");
        };
        for (profile, lifetime, left, pause) in
            [("default", 3600, left, 0), ("default", 300, 0, 200), ("maps", 3600, of_maps, 0)]
        {
            let sample = |name: &str| {
                let labels = format!("{{profile=\"{profile}\",scope=\"\",lifetime=\"{lifetime}\"}} ");
                let start = format!("token_provider_token_{name}{labels}");
                let value = page.lines().find_map(|line| line.strip_prefix(&start));
                value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {start}: {page}"))
            };
            about(sample("left_seconds"), left, 0);
            about(sample("backoff_seconds"), pause, pause / 10);
            let profiles = status["profiles"].as_array().expect("is a list");
            let shown = profiles.iter().find(|shown| shown["name"] == profile).expect("is there");
            let mut tokens = shown["tokens"].as_array().expect("is a list").iter();
            let token = tokens.find(|token| token["lifetime"] == lifetime).expect("is there");
            about(token["seconds_left"].as_f64().expect("is a number"), left, 0);
            about(token["retry_in_seconds"].as_f64().unwrap_or_default(), pause, pause / 10);
        }
        // What callers are told, too.
        let seconds = |reply: &Reply, name: &str| -> f64 {
            reply.header(name).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{reply:?}"))
        };
        about(seconds(&get(server.address, "/getToken").await, "token-expires-in"), left, 0);
        about(seconds(&get(server.address, "/getToken?ttl=300").await, "retry-after"), 200, 21);
    }
}

/// Every kind has a count of its own, over both profiles.
#[tokio::test]
async fn rates_tell_apart_what_was_handed_out_refused_and_failed() {
    let config = format!("[profiles.maps]\n{CONFIG}");
    let provider = TokenProvider::builder(Moody).build();
    let server = Setup::default().config(&config).provider(provider).start().await;
    let admin = server.admin().await;
    assert_eq!(get(admin, "/status").await.json()["rates"]["handed_out"], json!([]));
    for (target, times, status) in [
        ("/getToken?ttl=600", 3, 200),
        ("/getToken?profile=maps", 4, 200),
        ("/getToken?ttl=5", 2, 400),
        ("/getToken?ttl=300", 1, 503),
    ] {
        for _ in 0..times {
            assert_eq!(get(server.address, target).await.status, status, "{target}");
        }
    }
    // The next look at the totals is due.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::time::resume();
    let rates = within("the step to be over", async {
        loop {
            let rates = get(admin, "/status").await.json()["rates"].take();
            if rates["handed_out"] != json!([]) {
                return rates;
            }
        }
    })
    .await;
    let expected = json!({ "step_seconds": 5, "handed_out": [7], "refused": [2], "failed": [1] });
    assert_eq!(rates, expected);
}

/// Due is what has a successor on its way, and is handed out meanwhile.
#[tokio::test]
async fn token_that_is_due_is_shown_as_such_while_its_successor_is_fetched() {
    let (clock, issuer) = (TestClock::new(), Arc::new(GatedIssuer::new("planted.token.text")));
    let provider = TokenProvider::builder(Arc::clone(&issuer)).clock(clock.clone()).build();
    let config = format!("[profiles.maps]\n{CONFIG}");
    let server = Setup::default().config(&config).provider(provider).start().await;
    issuer.answer();
    for target in ["/getToken", "/getToken?profile=maps"] {
        assert_eq!(get(server.address, target).await.status, 200);
    }
    let admin = server.admin().await;
    for (by, due, state) in [(0, 0, "fresh"), (3000, 1, "due")] {
        clock.set_wall(by);
        // It is only for those who ask that there is a successor.
        assert_eq!(get(server.address, "/getToken").await.status, 200);
        let page = metrics(&server).await;
        for (profile, due) in [("default", due), ("maps", 0)] {
            let labels = format!("profile=\"{profile}\",scope=\"\",lifetime=\"3600\"");
            assert_sample(&page, &format!("token_provider_token_due{{{labels}}} {due}"));
        }
        let status = get(admin, "/status").await.json();
        let shown = [0, 1].map(|profile: usize| &status["profiles"][profile]["tokens"][0]["state"]);
        assert_eq!(shown, [state, "fresh"], "{status}");
    }
}

/// What dashboards, alerts and documentation speak of is there, and all that is there is documented.
#[tokio::test]
async fn every_metric_that_is_named_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read =
        |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let company = IdentityProvider::start().await;
    let config = format!("access.anonymous = true\n{}{CONFIG}", company.config());
    let server = Setup::default().config(&config).start().await;
    assert_eq!(get(server.address, "/getToken").await.status, 200);
    let page = metrics(&server).await;
    let mut known: BTreeSet<String> =
        series(&page).iter().map(|series| series.split('{').next().unwrap_or_default().to_owned()).collect();
    // Where there is a certificate.
    known.insert("token_provider_certificate_expiry_timestamp_seconds".to_owned());
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for path in [
        "deploy/prometheus/token-provider.rules.yml",
        "deploy/grafana/token-provider.json",
        "docs/monitoring.md",
    ] {
        let text = read(path);
        let words = text.split(|c: char| !is_name(c));
        for word in words.filter(|word| word.starts_with("token_provider_") || word.starts_with("process_")) {
            let is_histogram = known.contains(&format!("{word}_bucket"));
            assert!(known.contains(word) || is_histogram, "{path}: there is no metric {word}");
        }
    }
    let documented = read("docs/monitoring.md");
    for name in &known {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let name = family.filter(|name| name.ends_with("_seconds")).unwrap_or(name);
        assert!(documented.contains(&format!("`{name}`")), "docs/monitoring.md: {name} is missing");
    }
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_from_the_admin_listener() {
    let folder = Folder::new();
    folder.write("c.toml", "[admin]\nlisten = \"127.0.0.1:0\"\n");
    let arguments = ["serve", "--sandbox", "--config", "c.toml", "--listen", "127.0.0.1:0"];
    let mut running = folder.start(&arguments);
    let [_, admin] = running.addresses().await;
    let start = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(Connection::open(admin).await);
    }
    // Its own share is taken for now, another's is not.
    let mut other = Connection::open_from(2, admin).await;
    other.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(other.reply().await.status, 200);
    for connection in &mut silent {
        assert!(connection.is_closed_by_server().await);
    }
    // The last place is given back a moment after the connection is closed.
    let again = async {
        loop {
            let mut connection = Connection::open(admin).await;
            let sent = connection.try_send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            if sent.is_ok() && !connection.is_closed_by_server().await {
                return connection.reply().await.status;
            }
        }
    };
    assert_eq!(within("an answer", again).await, 200);
    // A head has two seconds there, and twenty elsewhere.
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}
