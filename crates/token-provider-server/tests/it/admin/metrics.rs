//! The metrics.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use here_sandbox::Fault;

use super::{CONFIG, assert_sample, metrics, start};
use crate::support::identity::IdentityProvider;
use crate::support::server::Setup;
use crate::support::wire::{get, report, request};
use crate::support::within;

/// Prometheus 2's.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// The samples of a page of metrics, without their values.
fn series(page: &str) -> BTreeSet<&str> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect()
}

#[tokio::test]
async fn metrics_come_in_one_form_whatever_is_accepted() {
    let server = start().await;
    for target in ["/getToken?ttl=3600", "/getToken?ttl=3600", "/getToken?ttl=0"] {
        get(server.address, target).await;
    }
    let admin = server.admin().await;
    let plain = request(admin, "GET", "/metrics", &[("Accept", ACCEPT)]).await;
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(plain.header("cache-control"), Some("no-store"));
    for sample in [
        r#"token_provider_handouts_total{profile="default",outcome="held"} 1"#,
        r#"token_provider_handouts_total{profile="default",outcome="waited"} 1"#,
        r#"token_provider_refusals_total{rule="request"} 1"#,
        r#"token_provider_caller_requests_total{method="anonymous",caller="",outcome="handed_out"} 2"#,
        r#"token_provider_caller_requests_total{method="anonymous",caller="",outcome="refused"} 1"#,
        r#"token_provider_handout_wait_seconds_count{profile="default"} 1"#,
        r#"token_provider_handout_wait_seconds_bucket{profile="default",le="10"} 1"#,
        r#"token_provider_issuer_requests_total{profile="default",outcome="issued"} 1"#,
        r#"token_provider_refresh_failures_total{profile="default"} 0"#,
        r#"token_provider_token_backoff_seconds{profile="default",scope="",lifetime="3600"} 0.0"#,
        r#"token_provider_clock_offset_seconds{profile="default"} 0"#,
        r#"token_provider_callers_limited_total{method="anonymous"} 0"#,
        r#"token_provider_issuer_request_duration_seconds_bucket{profile="default",le="10"} 1"#,
        concat!("token_provider_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert_sample(plain.text(), sample);
    }
    assert!(plain.text().contains("# TYPE token_provider_handouts_total counter"), "{}", plain.text());
    #[cfg(all(target_os = "linux", not(portable)))]
    assert!(plain.text().contains("process_resident_memory_bytes "), "{}", plain.text());
    let head = request(admin, "HEAD", "/metrics", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0), "{head:?}");
}

/// Callers use new names over and over: none of them becomes a series.
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
    // In names and labels: a time may well be 0.118610.
    for name in ["example", "610"] {
        assert!(!series(&after).iter().any(|series| series.contains(name)), "{after}");
    }
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
    server.sandbox.faults().replace(vec![Fault { status: Some(503), count: Some(99), ..Fault::default() }]);
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
    assert!(!metrics(&start().await).await.contains("token_provider_oidc_up{"), "there is none");
}

/// What dashboards, alerts and documentation speak of is there, and all that is there is documented.
#[cfg(all(target_os = "linux", not(portable)))]
#[tokio::test]
async fn every_metric_that_is_named_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read =
        |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let company = IdentityProvider::start().await;
    let key_config = format!(
        "[[access.api_keys]]\nid = 'a'\nsha256 = '{}'\nexpires = 2100-01-31T00:00:00Z\n",
        "a".repeat(64)
    );
    let rule = "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = [{ users = 'a', mode = 'audit' }] }";
    let config = format!("access.anonymous = true\n{rule}\n{}{key_config}{CONFIG}", company.config());
    let server = Setup::default().config(&config).start().await;
    server.app.telemetry.outputs.lock().entry("a file".into()).or_default();
    assert_eq!(get(server.address, "/getToken").await.status, 200);
    assert_eq!(report(server.address, "abc", "", &[]).await.status, 200);
    let page = metrics(&server).await;
    let mut known: BTreeSet<String> =
        series(&page).iter().map(|series| series.split('{').next().unwrap_or_default().to_owned()).collect();
    // Where there is a certificate, or a store.
    let others = ["certificate_expiry_timestamp_seconds", "store_up", "store_rejected_total"];
    known.extend(others.map(|name| format!("token_provider_{name}")));
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
