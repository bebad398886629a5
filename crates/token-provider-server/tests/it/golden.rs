//! Two profiles, each with its own account, and everything the server reports about them: the audit trail, the metrics
//! and the status of one run, whole, as in `testdata/golden`. What differs from run to run is made the same. When a
//! difference is meant, run with `UPDATE_EXPECTED=1` and look at it.
//!
//! No two figures that could be mistaken for each other are the same, and the default profile is not the first.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::{env, fs};

use here_sandbox::Fault;
use regex_lite::{Captures, Regex};
use rustix::process::Signal;
use serde_json::Value;

use super::support::program::{Account, Folder};
use super::support::wire::{Connection, get, post_form, request};
use super::support::within;

const READER: &str = "tp_an-api-key-of-the-tests-0123456789-0123456789";
const MOBILE: &str = "tp_another-api-key-of-the-tests-0123456789-0123456789";
const CONFIG: &str = r#"
listen = ["127.0.0.1:0"]
profile = "maps"
public_hosts = ["tokens.example.com"]
admin.listen = 0
audit.to = "AUDIT"
[profiles.aerial]
credentials = "aerial.properties"
scopes = ["PROJECT/photos", "PROJECT/heights"]
[profiles.maps]
credentials = "maps.properties"
scope = "PROJECT/streets"
scopes = ["PROJECT/streets", "PROJECT/shops"]
[[access.api_keys]]
id = "reader"
sha256 = "45031396deae5803240c63b24994287aa2715350dc5622d246f33ad3de2d5d50"
profiles = ["aerial", "maps"]
[[access.api_keys]]
id = "mobile"
sha256 = "03c0fff417a9802135c3139049c60ce36d7ca2602087a8c7adc5804301bdf5d6"
profiles = ["maps"]
scopes = ["PROJECT/shops"]
max_ttl = "15m"
rate = "4/h"
[access.trusted_proxy]
from = ["127.0.0.1"]
header = "X-Remote-User"
profiles = ["aerial"]
max_ttl = "5m"
rate = "2/h"
"#;

/// HERE has no other scopes than such.
const PROJECT: &str = "hrn:here:authorization::rlm:project";

/// What is asked for, with which headers, how often, and with which status.
type Step = (&'static str, &'static [(&'static str, &'static str)], usize, u16);

const READ: (&str, &str) = ("X-API-Key", READER);
const MOVE: (&str, &str) = ("X-API-Key", MOBILE);
const USER: [(&str, &str); 2] = [("X-Remote-User", "alice"), ("X-Forwarded-For", "203.0.113.9")];
const TRACE: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
const GOOD: &[Step] = &[
    // The token of the start, which is held already.
    ("/getToken", &[READ], 2, 200),
    ("/getToken?profile=maps&scope=PROJECT/shops", &[READ, TRACE], 1, 200),
    ("/getToken", &[MOVE, ("Origin", "http://localhost:5173")], 3, 200),
    ("/getToken?profile=aerial&ttl=1800", &[READ], 5, 200),
    ("/getToken?profile=aerial&scope=PROJECT/heights&ttl=700", &[READ], 3, 200),
    ("/getToken?profile=aerial", &[USER[0], USER[1]], 2, 200),
    ("POST &profile=aerial&expires_in=86400", &[READ], 1, 200),
    ("POST &scope=PROJECT/shops&expires_in=900", &[READ], 2, 200),
];
const BAD: &[Step] = &[
    ("/getToken?ttl=7200", &[READ], 3, 503),
    ("/getToken?profile=aerial&ttl=60&scope=PROJECT/photos", &[READ], 1, 502),
    ("POST &profile=aerial&expires_in=60", &[READ], 1, 502),
    ("/getToken?profile=aerial&scope=PROJECT/shops", &[READ], 1, 400),
    ("/getToken?profile=maps&scope=PROJECT/streets", &[MOVE], 1, 403),
    ("/getToken", &[MOVE], 3, 429),
    ("/getToken?profile=aerial", &[USER[0], USER[1]], 1, 429),
    ("/getToken?profile=maps", &[("X-Remote-User", "bob"), USER[1]], 1, 403),
    ("/getToken?profile=aerial", &[], 2, 401),
    ("POST &profile=aerial", &[("Origin", "http://localhost:5173")], 1, 401),
    ("/getToken?profile=aerial", &[READ, ("Origin", "https://evil.example")], 4, 403),
    ("/getToken?profile=aerial", &[READ, ("Host", "evil.example")], 5, 403),
    ("/getToken?profile=aerial&ttl=5", &[READ], 6, 400),
    ("/getToken?profile=nobody", &[READ], 1, 400),
];

/// Asks as a table says; the request's id tells in the trail which row and which time it was.
async fn ask(address: SocketAddr, steps: &[Step], table: &str) {
    for (row, (target, headers, times, status)) in steps.iter().enumerate() {
        for time in 1..=*times {
            let id = format!("{table}-{row:02}-{time}");
            let headers = [headers, &[("X-Request-ID", id.as_str())][..]].concat();
            let target = target.replace("PROJECT", PROJECT);
            let reply = match target.strip_prefix("POST ") {
                Some(fields) => {
                    let keyed = headers.iter().find(|(name, _)| *name == "X-API-Key");
                    let client = keyed.map(|_| format!("&client_id=reader&client_secret={READER}"));
                    // The key's place here is the form.
                    let others: Vec<_> =
                        headers.iter().copied().filter(|(name, _)| *name != "X-API-Key").collect();
                    post_form(address, &(client.unwrap_or_default() + fields), &others).await
                }
                None => request(address, "GET", &target, &headers).await,
            };
            assert_eq!(reply.status, *status, "{target} {id}: {reply:?}");
        }
    }
}

/// Makes the same what differs from run to run.
#[derive(Debug)]
struct Names {
    origins: [(String, &'static str); 2],
    fingerprints: BTreeMap<String, usize>,
}

impl Names {
    fn replace(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (origin, name) in &self.origins {
            text = text.replace(origin, name);
        }
        let mut each = |pattern: &str, with: &mut dyn FnMut(&Captures<'_>) -> String| {
            text = Regex::new(pattern).expect("is a pattern").replace_all(&text, with).into_owned();
        };
        // Which token, by the order in which they come up.
        each(r#"("fingerprint": ?)"([^"]+)""#, &mut |found| {
            let next = self.fingerprints.len() + 1;
            let number = self.fingerprints.entry(found[2].to_owned()).or_insert(next);
            format!("{}\"token {number}\"", &found[1])
        });
        each(r#"((error|correlation)_id": ?)"[!-~]{16,128}""#, &mut |found| {
            format!("{}\"an id\"", &found[1])
        });
        let about = |number: &str| number.parse::<f64>().expect("is a number");
        // Less than a minute has gone by since.
        each(r#"(seconds_left": ?|token_left_seconds\{.*\} )([0-9.]+)"#, &mut |found| {
            format!("{}{}", &found[1], (about(&found[2]) / 60.0).ceil() * 60.0)
        });
        // 300 s and 60 s, each up to a tenth more, less what has gone by.
        each(r#"(retry_in_seconds": ?|backoff_seconds\{.*\} )([0-9.]+)"#, &mut |found| {
            let left = about(&found[2]);
            format!(
                "{}{}",
                &found[1],
                if left > 200.0 {
                    "300"
                } else if left > 0.0 {
                    "60"
                } else {
                    "0"
                }
            )
        });
        each(r#"(clock_offset_seconds(": ?|\{.*\} ))(-?[0-9]+)"#, &mut |found| {
            format!("{}{}", &found[1], (about(&found[3]) / 60.0).round() * 60.0)
        });
        text
    }
}

#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the tests, not the program, are told to write")]
fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden").join(name);
    if env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, found).expect("can be written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    for (number, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(found, expected, "{name}:{}: see UPDATE_EXPECTED=1", number + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "lines of {name}: see UPDATE_EXPECTED=1");
}

/// The samples, but for those of the process and of how long things took.
fn samples(page: &str) -> String {
    let is_steady = |line: &&str| {
        !["#", "process_", "token_provider_build_info"].iter().any(|start| line.starts_with(start))
            && !["_bucket{", "_sum{"].iter().any(|part| line.contains(part))
    };
    page.lines().filter(is_steady).flat_map(|line| [line, "\n"]).collect()
}

/// Events that happened at one time may change places on the way; their ids say which was first.
fn by_request<'a>(lines: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut lines: Vec<Value> = lines.cloned().collect();
    for line in &mut lines {
        let fields = line.as_object_mut().expect("is an object");
        assert!(fields.remove("time").is_some() && fields.remove("duration_us").is_some(), "{fields:?}");
    }
    lines.sort_by_key(|line| line["request_id"].as_str().map(str::to_owned));
    lines
}

#[cfg(all(target_os = "linux", not(portable)))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_profiles_are_told_apart_in_trail_metrics_and_status() {
    let (folder, aerial, maps) = (Folder::new(), Account::open().await, Account::open().await);
    folder.write("aerial.properties", &aerial.credentials());
    folder.write("maps.properties", &maps.credentials());
    let trail = folder.path("audit.jsonl");
    let config = CONFIG.replace("PROJECT", PROJECT).replace("AUDIT", trail.to_str().expect("is text"));
    folder.write("token-provider.toml", &config);
    // The one account is an hour ahead, the other ten minutes behind.
    aerial.sandbox.faults().inject(Fault { clock_skew_s: Some(3600), ..Fault::default() });
    maps.sandbox.faults().inject(Fault { clock_skew_s: Some(-600), ..Fault::default() });
    let mut server = folder.start(&["serve"]);
    let [callers, admin] = server.addresses().await;
    within("the token of the start", async { while get(callers, "/readyz").await.status != 200 {} }).await;
    ask(callers, GOOD, "good").await;
    maps.sandbox.faults().inject(Fault {
        status: Some(429),
        retry_after: Some("300".to_owned()),
        ..Fault::default()
    });
    aerial.sandbox.faults().inject(Fault {
        status: Some(401),
        error_code: Some(401_300),
        ..Fault::default()
    });
    ask(callers, BAD, "bad").await;

    // One that stays, so that a count of those that are open is of something.
    let mut kept = Connection::open(callers).await;
    kept.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(kept.reply().await.status, 200);
    let requests = [GOOD, BAD].concat().iter().map(|(_, _, times, _)| times).sum::<usize>();
    let settled =
        ["token_provider_connections_open 1", &format!("token_provider_audit_lines_total {requests}")];
    let page = within("the last event to be written", async {
        loop {
            let page = get(admin, "/metrics").await;
            if settled.iter().all(|sample| page.text().lines().any(|line| line == *sample)) {
                return page.text().to_owned();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut status = get(admin, "/status").await.json();
    server.signal(Signal::TERM);
    assert!(server.end().await.0.success());

    let origins = [(&aerial, "http://aerial.example"), (&maps, "http://maps.example")]
        .map(|(account, name)| (account.origin.clone(), name));
    let mut names = Names { origins, fingerprints: BTreeMap::new() };
    let trail = fs::read_to_string(trail).expect("is there");
    let trail: Vec<Value> = trail.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    let trail = by_request(trail.iter());
    let text: String = trail.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]).collect();
    compare("two-profiles-audit.jsonl", &names.replace(&text));
    compare("two-profiles-metrics.txt", &names.replace(&samples(&page)));

    // The newest fifty are all there are, the newest first.
    let recent = status["recent"].as_array().expect("is a list").clone();
    assert_eq!(by_request(recent.iter()), trail);
    for (name, value) in status.as_object_mut().expect("is an object") {
        if ["version", "time", "started_at", "uptime_seconds", "process", "recent"].contains(&name.as_str()) {
            *value = Value::Null;
        }
    }
    let text = serde_json::to_string_pretty(&status).expect("is JSON") + "\n";
    compare("two-profiles-status.json", &names.replace(&text));
}
