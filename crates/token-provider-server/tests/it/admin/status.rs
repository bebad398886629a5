//! The status, and the figures that it shares with the metrics.

use std::sync::Arc;
use std::time::Duration;

use here_sandbox::Fault;
use rustix::process::Signal;
use token_provider::{Issue, Issued, TestClock, TokenError, TokenErrorKind, TokenKey, TokenProvider};

use super::{CONFIG, assert_sample, metrics, start};
use crate::support::issuer::GatedIssuer;
use crate::support::program::{Account, Folder};
use crate::support::server::{ACCESS_KEY_SECRET, Setup};
use crate::support::wire::{Reply, get, request};
use crate::support::within;

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
async fn status_tells_what_is_held_what_failed_and_what_to_do() {
    let server = start().await;
    let token = get(server.address, "/getToken?ttl=3600").await;
    server.sandbox.faults().replace(vec![Fault {
        status: Some(401),
        error_code: Some(401_300),
        count: Some(9),
        ..Fault::default()
    }]);
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
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains("(401300): check here.access.key.id and here.access.key.secret"), "{error}");
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

/// Fails where it is asked for five minutes.
#[derive(Debug)]
struct Moody;

impl Issue for Moody {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        if key.lifetime() != Duration::from_secs(300) {
            return Ok(Issued::new("planted.token.text", key.lifetime()));
        }
        let error = TokenError::new(TokenErrorKind::Throttled, "planted failure");
        Err(error.with_retry_after(Some(Duration::from_secs(200))))
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
