//! Where requests come from: the rules for hosts and for web pages, as tables; and how often callers may come.

use std::net::SocketAddr;
use std::path::Path;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

mod identity;
mod selection;

use super::{Client, ClientCertificate, ConnectionInfo, Cors, Rules, SignedRequest, api_key};
use crate::config::{Config, Environment, Overrides, PublicHost};
use crate::problem::Problem;
use crate::reason::Rule;

fn rules(text: &str) -> Rules {
    let file = (Path::new("c.toml"), text);
    let config = Config::parse(Some(file), &Environment::default(), &Overrides::default());
    Rules::start(&config.expect("is well-formed"), None)
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("is a value");
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn at(local: &str) -> ConnectionInfo {
    let local: SocketAddr = local.parse().expect("is an address");
    ConnectionInfo { local: Some(local), ..ConnectionInfo::default() }
}

/// 200 where the request goes on, else the status of the refusal.
fn status<T>(result: &Result<T, Problem>) -> u16 {
    result.as_ref().map_or_else(|problem| problem.status.as_u16(), |_| 200)
}

fn host_status(rules: &Rules, host: &str, local: &str) -> u16 {
    status(&rules.admit_host(&headers(&[("host", host)]), None, &at(local)))
}

#[test]
fn address_that_the_connection_came_in_on_is_a_name_of_ours() {
    let rules = rules("");
    for (host, local, expected) in [
        ("10.0.0.5:8443", "10.0.0.5:8443", 200),
        ("10.0.0.5", "10.0.0.5:8443", 200),
        // Behind a port that is passed on.
        ("10.0.0.5:443", "10.0.0.5:8443", 200),
        ("10.0.0.5", "[::ffff:10.0.0.5]:8443", 200),
        ("[fd00::5]:8443", "[fd00::5]:8443", 200),
        ("[fd00:0:0::5]", "[fd00::5]:8443", 200),
        ("localhost", "10.0.0.5:8443", 200),
        ("10.0.0.6", "10.0.0.5:8443", 403),
        ("[fd00::6]", "[fd00::5]:8443", 403),
        ("example.com", "10.0.0.5:8443", 403),
        // Browsers read all of these as 10.0.0.5, and so do we.
        ("10.5", "10.0.0.5:8443", 200),
        ("0xa000005", "10.0.0.5:8443", 200),
        ("10.0.0.5.", "10.0.0.5:8443", 200),
        ("10.0.0.5.example.com", "10.0.0.5:8443", 403),
    ] {
        assert_eq!(host_status(&rules, host, local), expected, "{host} at {local}");
    }
}

#[test]
fn public_hosts_are_exact_names() {
    let rules = rules("public_hosts = [\"tokens.example.com\", \"b.example:8443\"]");
    for (host, expected) in [
        ("tokens.example.com", 200),
        ("tokens.example.com:1", 200),
        ("TOKENS.example.com.", 200),
        ("b.example:8443", 200),
        ("b.example", 403),
        ("b.example:443", 403),
        ("a.tokens.example.com", 403),
        ("example.com", 403),
        ("tokens.example.com:x", 400),
        ("tokens.example.com:99999", 400),
        ("tokens.example.com/", 400),
        ("tokens.example.com:1:2", 400),
        ("", 400),
    ] {
        assert_eq!(host_status(&rules, host, "10.0.0.5:1"), expected, "{host:?}");
    }
}

#[test]
fn host_is_named_once() {
    let rules = rules("");
    let local = at("127.0.0.1:3000");
    let admit = |lines: &[(&'static str, &str)], authority| {
        status(&rules.admit_host(&headers(lines), authority, &local))
    };
    assert_eq!(admit(&[], None), 400);
    assert_eq!(admit(&[("host", "localhost"), ("host", "localhost")], None), 400);
    assert_eq!(admit(&[("host", "localhost"), ("host", "localhost")], Some("localhost")), 400);
    // HTTP/2 has `:authority` and no Host; a whole URL in HTTP/1.1 counts before Host (RFC 9112 §3.2.2).
    assert_eq!(admit(&[], Some("localhost:3000")), 200);
    assert_eq!(admit(&[("host", "localhost")], Some("evil.example")), 403);
    assert_eq!(admit(&[("host", "evil.example")], Some("localhost")), 200);
    assert_eq!(admit(&[], Some("user:word@localhost")), 400);
}

#[test]
fn unix_socket_goes_by_names_that_no_page_can_have() {
    for (config, host, expected) in [
        ("", "localhost", 200),
        ("", "127.0.0.1:80", 200),
        ("", "token-provider", 200),
        ("", "token_provider:80", 200),
        ("", "", 400),
        // What a page behind a proxy would send, whose name was pointed at the proxy.
        ("", "rebound.example", 403),
        ("", "10.0.0.5", 403),
        ("", "[fd00::5]", 403),
        ("public_hosts = [\"tokens.example.com\"]", "tokens.example.com", 200),
        ("public_hosts = [\"tokens.example.com\"]", "localhost", 200),
        ("public_hosts = [\"tokens.example.com\"]", "rebound.example", 403),
        // Found by the search domain of somebody's network.
        ("public_hosts = [\"tokens.example.com\"]", "rebound", 403),
    ] {
        let found =
            rules(config).admit_host(&headers(&[("host", host)]), None, &ConnectionInfo::default()).map(drop);
        assert_eq!(status(&found), expected, "{config} {host:?}");
    }
    for sign in [
        "origin",
        "sec-fetch-site",
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    ] {
        let lines = headers(&[("host", "rebound"), (sign, "x")]);
        assert_eq!(status(&rules("").admit_host(&lines, None, &ConnectionInfo::default())), 403, "{sign}");
    }
}

proptest! {
    /// However a host is written: it is let in only if it reads as a name of ours.
    #[test]
    fn host_that_is_let_in_is_ours(
        host in r"(localhost|LOCALHOST|127\.0\.0\.1|\[::1\]|a\.example|[a-z.:\[\]0-9]{0,12})\.?(:[0-9]{0,6}|:[a-z])?",
    ) {
        let rules = rules("public_hosts = [\"a.example\"]");
        let is_ours = |host: &PublicHost| host.is_loopback() || ["a.example", "10.0.0.5"].contains(&&*host.name.to_string());
        let expected = match PublicHost::parse(&host) {
            None => 400,
            Some(host) if is_ours(&host) => 200,
            Some(_) => 403,
        };
        prop_assert_eq!(host_status(&rules, &host, "10.0.0.5:1"), expected);
    }
}

fn admit_page(rules: &Rules, lines: &[(&'static str, &str)]) -> Result<Cors, Problem> {
    admit_page_at(rules, lines, &at("127.0.0.1:3000"))
}

fn admit_page_at(
    rules: &Rules,
    lines: &[(&'static str, &str)],
    connection: &ConnectionInfo,
) -> Result<Cors, Problem> {
    let headers = headers(lines);
    let host = rules.admit_host(&headers, None, connection)?;
    rules.admit_page(&headers, host, rules.is_tls(&headers, connection))
}

fn page_status(rules: &Rules, lines: &[(&'static str, &str)]) -> u16 {
    status(&admit_page(rules, &[&[("host", "localhost:3000")], lines].concat()))
}

#[test]
fn pages_of_this_machine_may_ask_where_nothing_is_configured() {
    let rules = rules("");
    for (origin, expected) in [
        ("http://localhost:3000", 200),
        ("http://localhost", 200),
        ("http://127.0.0.1:1", 200),
        ("http://[::1]:1", 200),
        ("https://localhost:5173", 403),
        ("http://127.0.0.2:1", 403),
        ("http://localhost.example.com", 403),
        ("http://localhost@example.com", 403),
        ("https://example.com", 403),
        ("null", 403),
        ("", 403),
        ("*", 403),
    ] {
        assert_eq!(page_status(&rules, &[("origin", origin)]), expected, "{origin:?}");
    }
}

#[test]
fn listed_pages_may_ask_and_no_others() {
    let rules = rules(
        "[cors]\norigins = [\"https://maps.example.com\", \"http://localhost:*\", \
         \"https://bücher.example\", \"https://[2001:db8::1]:8443\"]",
    );
    for (origin, expected) in [
        ("https://maps.example.com", 200),
        ("https://maps.example.com:443", 200),
        ("https://maps.example.com:8443", 403),
        ("https://maps.example.com:", 403),
        ("https://maps.example.com:0443", 200),
        ("HTTPS://MAPS.EXAMPLE.COM", 200),
        ("https://maps.example.com.", 200),
        ("https://maps.example.com..", 403),
        ("https://maps.example.com/", 403),
        ("https://maps.example.com\t", 403),
        ("https://maps.example.com,https://evil.example", 403),
        ("https://evil.example https://maps.example.com", 403),
        ("https://xn--bcher-kva.example", 200),
        ("https://XN--BCHER-KVA.example:443", 200),
        // No browser writes it like this.
        ("https://bücher.example", 403),
        ("https://bucher.example", 403),
        ("https://xn--bcher-kva.example.evil.example", 403),
        // A Cyrillic letter that looks like a Latin one.
        ("https://xn--mps-6cd.example.com", 403),
        ("https://[2001:db8::1]:8443", 200),
        ("https://[2001:DB8:0:0::1]:8443", 200),
        ("https://[2001:db8::1]", 403),
        ("https://[2001:db8::2]:8443", 403),
        ("https://2001:db8::1:8443", 403),
        ("https://[2001:db8::1%25eth0]:8443", 403),
        ("http://maps.example.com", 403),
        ("https://maps.example.com.evil.example", 403),
        ("http://localhost:5173", 200),
        ("http://127.0.0.1:5173", 403),
        ("null", 403),
    ] {
        assert_eq!(page_status(&rules, &[("origin", origin)]), expected, "{origin}");
    }
}

#[test]
fn own_pages_may_always_ask() {
    let rules = rules("public_hosts = [\"tokens.example.com\"]\n[cors]\norigins = []");
    for (host, origin, expected) in [
        ("tokens.example.com", "https://tokens.example.com", 200),
        ("localhost:3000", "http://localhost:3000", 200),
        ("localhost:3000", "http://localhost:3001", 403),
        // A page at one of our names that asks at another is a foreign page.
        ("localhost:3000", "https://tokens.example.com", 403),
    ] {
        let admitted = admit_page(&rules, &[("host", host), ("origin", origin)]);
        assert_eq!(status(&admitted), expected, "{host} {origin}");
    }
}

#[test]
fn page_that_came_over_plain_http_is_not_our_own_over_tls() {
    let rules = rules(
        "public_hosts = [\"tokens.example.com\"]\n[cors]\norigins = []\n\
         [access.trusted_proxy]\nfrom = [\"10.0.0.1\"]\nheader = \"X-User\"\n",
    );
    let plain = at("10.0.0.5:3000");
    let tls = ConnectionInfo { is_tls: true, ..plain.clone() };
    let by = |peer: &str| ConnectionInfo { peer: peer.parse().ok(), ..plain.clone() };
    for (what, connection, origin, expected) in [
        ("TLS", &tls, "https://tokens.example.com", 200),
        ("TLS", &tls, "http://tokens.example.com", 403),
        ("TLS at the proxy", &by("10.0.0.1:1"), "https://tokens.example.com", 200),
        ("TLS at the proxy", &by("10.0.0.1:1"), "http://tokens.example.com", 403),
        // Nobody who is believed says that there is TLS: the page may be our own.
        ("a stranger's word", &by("10.0.0.2:1"), "http://tokens.example.com", 200),
    ] {
        let lines = [("host", "tokens.example.com"), ("origin", origin), ("x-forwarded-proto", "https")];
        assert_eq!(status(&admit_page_at(&rules, &lines, connection)), expected, "{what}: {origin}");
    }
}

#[test]
fn what_foreign_pages_embed_is_refused_without_an_origin_too() {
    for (config, site, expected) in [
        ("", None, 200),
        ("", Some("none"), 200),
        ("", Some("same-origin"), 200),
        ("", Some("same-site"), 403),
        ("", Some("cross-site"), 403),
        ("", Some(""), 403),
        ("", Some("None"), 403),
        ("[cors]\norigins = [\"*\"]", Some("cross-site"), 200),
    ] {
        let lines: Vec<_> = site.map(|site| ("sec-fetch-site", site)).into_iter().collect();
        assert_eq!(page_status(&rules(config), &lines), expected, "{config} {site:?}");
    }
}

#[test]
fn origin_is_given_once() {
    let twice = [("origin", "http://localhost"), ("origin", "http://localhost")];
    assert_eq!(page_status(&rules(""), &twice), 403);
    assert_eq!(page_status(&rules("[cors]\norigins = [\"*\"]"), &twice), 403);
}

#[test]
fn origin_is_repeated_as_the_browser_wrote_it_and_cookies_are_never_asked_for() {
    let written = |cors: &Cors| {
        let mut answer = HeaderMap::new();
        cors.apply(&mut answer);
        assert!(!answer.contains_key("access-control-allow-credentials"), "{cors:?}");
        // Also where no page asked: a cache must not give the answer to one.
        assert_eq!(answer["vary"], "Origin, Accept");
        answer.get("access-control-allow-origin").map(|value| value.to_str().unwrap_or_default().to_owned())
    };
    let ask = |config, origin| {
        let lines = [("host", "localhost:3000"), ("origin", origin)];
        written(&admit_page(&rules(config), &lines).expect("may ask"))
    };
    assert_eq!(ask("", "HTTP://Localhost:5173").as_deref(), Some("HTTP://Localhost:5173"));
    assert_eq!(ask("[cors]\norigins = [\"*\"]", "https://a.example").as_deref(), Some("*"));
    assert_eq!(written(&Cors::None), None);
}

#[test]
fn what_else_an_answer_varies_with_is_kept() {
    let all = "Origin, Accept, Accept-Encoding";
    for (own, expected) in [(None, "Origin, Accept"), (Some(all), all)] {
        let mut answer = headers(&own.map(|own| ("vary", own)).into_iter().collect::<Vec<_>>());
        Cors::None.apply(&mut answer);
        assert_eq!(answer.get_all("vary").iter().collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn preflight_allows_private_networks_only_when_asked() {
    for (asked, expected) in
        [(None, None), (Some("true"), Some("true")), (Some("false"), None), (Some(""), None)]
    {
        let name = "access-control-request-private-network";
        let request = headers(&asked.map(|asked| (name, asked)).into_iter().collect::<Vec<_>>());
        let mut answer = HeaderMap::new();
        rules("").apply_preflight(&request, &mut answer);
        let allowed = answer.get("access-control-allow-private-network").map(|value| value.to_str());
        assert_eq!(allowed.transpose().ok().flatten(), expected, "{asked:?}");
    }
}

#[tokio::test]
async fn certificate_that_is_not_accepted_any_more_is_a_wrong_credential() {
    let (key, hash) = api_key::generate(api_key::PREFIX).expect("has randomness");
    let rules = rules(&format!(
        "[access]\nanonymous = true\n[[access.api_keys]]\nid = \"a\"\nsha256 = \"{hash}\"\n\
         [access.mtls]\nallow = [\"a.example\"]\n[tls]\ncert = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n"
    ));
    let rejected = ConnectionInfo { client: ClientCertificate::Rejected, ..ConnectionInfo::default() };
    for (shown, connection, expected) in [
        (None, ConnectionInfo::default(), 200),
        (None, rejected.clone(), 401),
        (Some(key.as_str()), rejected.clone(), 200),
        (Some("tp_wrong"), rejected.clone(), 401),
    ] {
        let lines: Vec<_> = shown.map(|key| ("x-api-key", key)).into_iter().collect();
        let found = rules.authenticate(&headers(&lines), &connection).await;
        assert_eq!(status(&found), expected, "{shown:?} {connection:?}");
    }
    let unsigned = SignedRequest { host: "localhost", target: "/oauth2/token", form: b"" };
    for (client, connection, expected) in [
        (Client::Unnamed, ConnectionInfo::default(), 200),
        (Client::Unnamed, rejected.clone(), 401),
        (Client::Secret { id: "a".to_owned().into(), secret: key }, rejected, 200),
    ] {
        let found = rules.authenticate_client(client, &unsigned, None, None, &connection);
        assert_eq!(status(&found.map(|(caller, _)| caller)), expected, "{connection:?}");
    }
}

#[tokio::test]
async fn each_user_and_each_certificate_has_the_rate_for_itself() {
    let rules = rules(
        "[access.trusted_proxy]\nfrom = [\"10.0.0.1\"]\nheader = \"X-User\"\nrate = \"1/h\"\n\
         [access.mtls]\nallow = [\"a.example\", \"b.example\"]\nrate = \"1/h\"\n\
         [tls]\ncert = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n",
    );
    let proxy = ConnectionInfo { peer: "10.0.0.1:1".parse().ok(), ..ConnectionInfo::default() };
    let with = |name: &str| {
        let client = ClientCertificate::Verified([name.to_owned()].into());
        ConnectionInfo { client, ..ConnectionInfo::default() }
    };
    for (user, connection, expected) in [
        (Some("alice"), proxy.clone(), 200),
        (Some("alice"), proxy.clone(), 429),
        (Some("bob"), proxy, 200),
        (None, with("a.example"), 200),
        (None, with("a.example"), 429),
        (None, with("b.example"), 200),
        (None, with("b.example"), 429),
    ] {
        let lines: Vec<_> = user.map(|user| ("x-user", user)).into_iter().collect();
        let found = rules.authenticate(&headers(&lines), &connection).await;
        assert_eq!(status(&found), expected, "{user:?} {connection:?}");
    }
}

#[tokio::test]
async fn callers_without_an_address_share_one_bucket() {
    let key = format!("[[access.api_keys]]\nid = \"a\"\nsha256 = \"{}\"\n", "a".repeat(64));
    let limited = rules(&format!("[access]\nanonymous = true\nanonymous_rate = \"2/h\"\n{key}"));
    let at_unix_socket = ConnectionInfo::default();
    let guess = headers(&[("x-api-key", "guess")]);
    for (sent, expected) in
        [(HeaderMap::new(), 200), (guess.clone(), 401), (HeaderMap::new(), 429), (guess, 429)]
    {
        assert_eq!(status(&limited.authenticate(&sent, &at_unix_socket).await), expected, "{sent:?}");
    }
    let unlimited = rules("");
    for _ in 0..1000 {
        assert_eq!(status(&unlimited.authenticate(&HeaderMap::new(), &at_unix_socket).await), 200);
    }
}

#[tokio::test]
async fn addresses_have_their_own_buckets_and_ipv6_by_network() {
    let rules = rules("[access]\nanonymous = true\nanonymous_rate = \"1/h\"\n");
    for (address, expected) in [
        ("192.0.2.1", 200),
        ("192.0.2.1", 429),
        ("none", 200),
        ("none", 429),
        ("::ffff:192.0.2.1", 429),
        ("192.0.2.2", 200),
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1:ffff::2", 429),
        ("2001:db8:0:2::1", 200),
    ] {
        let peer = address.parse().ok().map(|address| SocketAddr::new(address, 1));
        let connection = ConnectionInfo { peer, ..ConnectionInfo::default() };
        assert_eq!(status(&rules.authenticate(&HeaderMap::new(), &connection).await), expected, "{address}");
    }
}

#[test]
fn preflight_allows_what_a_page_names_but_no_header_of_a_proxy() {
    const ASK: &str = "access-control-request-headers";
    let proxy = "[access.trusted_proxy]\nfrom = [\"127.0.0.1\"]\nheader = ";
    let allowed = |config: &str, asked: &[(&'static str, &str)]| {
        let mut answer = HeaderMap::new();
        rules(config).apply_preflight(&headers(asked), &mut answer);
        answer["access-control-allow-headers"].to_str().expect("is text").to_owned()
    };
    let usual = allowed("", &[]);
    for (config, names, expected) in [
        ("", "authorization,x-api-key", ""),
        ("", "baggage,sentry-trace", ", baggage, sentry-trace"),
        (
            "",
            "b3, X-Datadog-Trace-Id ,x-requested-with,cache-control",
            ", b3, X-Datadog-Trace-Id, x-requested-with, cache-control",
        ),
        ("", "x-remote-user,x-remote-user", ", x-remote-user"),
        ("", "forwarded,via,x-real-ip,X-Forwarded-For,x-forwarded-user,x_forwarded_proto", ""),
        // A page may well call a header `*`; in the answer that would stand for every header.
        ("", "a b,,\u{e4},*", ""),
        (
            &format!("{proxy}\"X-Remote-User\""),
            "x-remote-user,X-REMOTE-USER,x_remote_user,baggage",
            ", baggage",
        ),
    ] {
        assert_eq!(allowed(config, &[(ASK, names)]), format!("{usual}{expected}"), "{config} {names}");
    }
    assert!(allowed("", &[(ASK, "a"), (ASK, "b")]).ends_with(", a, b"));
    // As many as a head has room for.
    let many: Vec<String> = (0..4_000).map(|number| format!("a{number}")).collect();
    let told = allowed("", &[(ASK, &many.join(","))]);
    assert_eq!(told.split(", ").count(), usual.split(", ").count() + 100, "{told}");
    // Also where the name is one that pages are allowed by default.
    let without = allowed(&format!("{proxy}\"X-Request-ID\""), &[(ASK, "x-request-id")]);
    assert!(!without.to_ascii_lowercase().contains("x-request-id"), "{without}");
}

#[tokio::test]
async fn callers_without_a_credential_send_the_header_that_is_required() {
    let (key, hash) = api_key::generate(api_key::PREFIX).expect("has randomness");
    let rules = rules(&format!(
        "[access]\nanonymous = true\nrequire_header = \"X-Asked\"\n[access.trusted_proxy]\nfrom = [\"10.0.0.0/8\"]\n\
         header = \"X-User\"\n[[access.api_keys]]\nid = \"a\"\nsha256 = \"{hash}\"\n"
    ));
    let from = |address: &str| ConnectionInfo { peer: address.parse().ok(), ..ConnectionInfo::default() };
    let asked = ("x-asked", "1");
    for (lines, peer, expected) in [
        (&[asked][..], "192.0.2.1:1", 200),
        (&[("x-asked", "\u{fc}")], "192.0.2.1:1", 200),
        (&[asked], "", 200),
        (&[], "192.0.2.1:1", 403),
        (&[], "127.0.0.1:1", 403),
        // At a Unix socket.
        (&[], "", 403),
        (&[("x-asked", "")], "192.0.2.1:1", 403),
        (&[asked, asked], "192.0.2.1:1", 403),
        (&[asked, ("x-asked", "")], "192.0.2.1:1", 403),
        (&[("x_asked", "1")], "192.0.2.1:1", 403),
        (&[asked, ("forwarded", "for=192.0.2.2")], "192.0.2.1:1", 403),
        (&[asked, ("via", "1.1 a")], "192.0.2.1:1", 403),
        (&[asked, ("via", "")], "192.0.2.1:1", 403),
        (&[asked, ("x-forwarded-for", "192.0.2.2")], "192.0.2.1:1", 403),
        (&[asked, ("x-forwarded-whatever", "a")], "127.0.0.1:1", 403),
        (&[asked, ("x-forwarded-for", "192.0.2.2")], "", 403),
        (&[asked, ("x-real-ip", "192.0.2.2")], "192.0.2.1:1", 200),
        // The trusted proxy may say that it passes something on; it must pass the header on, too, or name the caller.
        (&[asked, ("x-forwarded-for", "192.0.2.2"), ("via", "1.1 a")], "10.0.0.1:1", 200),
        (&[("x-forwarded-for", "192.0.2.2")], "10.0.0.1:1", 403),
        (&[("x-user", "alice"), ("x-forwarded-for", "192.0.2.2")], "10.0.0.1:1", 200),
        (&[("x-user", "alice")], "192.0.2.1:1", 403),
        // Credentials, and what is none here.
        (&[("x-api-key", &key)], "192.0.2.1:1", 200),
        (&[("x-api-key", &key), ("via", "1.1 a")], "192.0.2.1:1", 200),
        (&[("x-api-key", "tp_wrong")], "192.0.2.1:1", 401),
        (&[("authorization", "Basic YTpi")], "192.0.2.1:1", 403),
        (&[("authorization", "Basic YTpi"), asked], "192.0.2.1:1", 200),
    ] {
        let (headers, connection) = (headers(lines), from(peer));
        let found = rules.authenticate(&headers, &connection).await;
        assert_eq!(status(&found), expected, "{lines:?} from {peer}");
        if let Err(problem) = found.map_err(|problem| (problem.rule, problem)) {
            assert_eq!(problem.0 == Some(Rule::Header), expected == 403, "{:?}", problem.1);
        }
    }
}
