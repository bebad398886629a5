//! Whether a request may have the token that it was given, worked out a second time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Method;
use hyper::header::{HOST, ORIGIN};
use serde_json::Value;
use token_provider_server::parts::access::ClientCertificate;
use url::{Host, Url, form_urlencoded};

use super::{Answer, Asked, KEY, MAX_TTL, TOKEN, here};

const ANYONE: u8 = b'0';
const KEYS: u8 = b'1';
const ANY_PAGE: u8 = b'2';
const PROXY: u8 = b'3';
const MTLS: u8 = b'4';
const HERE_KEYS: u8 = b'5';

/// Panics when the request should not have been given a token, or not this one.
pub(super) fn check(asked: &Asked, answer: &Answer) {
    let (app, _) = super::APPS[asked.app];
    let is_post = asked.uri.path() == "/oauth2/token";
    if is_post {
        assert_eq!(asked.method, Method::POST);
    } else {
        assert_eq!(asked.uri.path(), "/getToken");
        assert!(asked.method == Method::GET || asked.method == Method::HEAD, "{}", asked.method);
    }
    let host = host(asked);
    assert!(is_ours(&host, asked, app), "is not ours: {host}");
    check_page(asked, app, &host);
    match app {
        ANYONE | ANY_PAGE | HERE_KEYS => {
            assert!(asked.ends.client != ClientCertificate::Rejected, "a wrong credential");
        }
        KEYS if is_post => assert!(!here::is_meant(asked) && shows_client_secret(asked), "no API key"),
        KEYS => assert!(shows_key(asked), "no API key"),
        PROXY => {
            assert!(!is_post && asked.ends.peer.is_some_and(|peer| peer.ip().to_string().starts_with("10.")));
            let user = asked.one("x-forwarded-user").expect("is given, once");
            assert!(!user.trim_ascii().is_empty());
        }
        MTLS => assert!(matches!(asked.ends.client, ClientCertificate::Verified(_)), "no certificate"),
        _ => panic!("no such configuration"),
    }
    if is_post && here::is_meant(asked) {
        here::check(asked, answer, app == HERE_KEYS);
        return;
    }
    check_lifetime(asked, answer, is_post, app);
    check_form(asked, answer, is_post);
}

/// The host that a browser would take the request to be for.
fn host(asked: &Asked) -> Url {
    let named = match asked.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => asked.one(HOST.as_str()).expect("is given, once"),
    };
    let named = std::str::from_utf8(named).expect("is text");
    Url::parse(&format!("http://{named}/")).expect("is a host")
}

fn is_ours(host: &Url, asked: &Asked, app: u8) -> bool {
    let Some(local) = asked.ends.local else { return true };
    match host.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || local.ip() == address,
        Some(Host::Ipv6(address)) => {
            let address = address.to_canonical();
            let is_public = app == KEYS && address.to_string() == "fd00::1" && host.port() == Some(8443);
            address.is_loopback() || local.ip() == address || is_public
        }
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || (app == KEYS && name == "tokens.example.com")
        }
        None => false,
    }
}

fn check_page(asked: &Asked, app: u8, host: &Url) {
    if app == ANY_PAGE {
        assert!(asked.headers.get_all(ORIGIN).iter().count() <= 1);
        return;
    }
    let Some(origin) = asked.headers.get(ORIGIN) else {
        let site = asked.headers.get("sec-fetch-site").map(hyper::http::HeaderValue::as_bytes);
        assert!(matches!(site, None | Some(b"none" | b"same-origin")), "a page of another site");
        return;
    };
    assert_eq!(asked.one(ORIGIN.as_str()), Some(origin.as_bytes()), "is given once");
    let origin = Url::parse(origin.to_str().expect("is text")).expect("is a URL");
    let name = |url: &Url| url.host_str().map(|name| name.trim_end_matches('.').to_owned());
    let port = |url: &Url| url.port_or_known_default();
    // `host` has port 80 where none was given; a page of ours over TLS is at 443.
    let is_own = name(&origin) == name(host) && (port(&origin) == port(host) || host.port().is_none());
    let is_allowed = match app {
        KEYS => origin.scheme() == "https" && name(&origin).as_deref() == Some("maps.example.com"),
        _ => {
            origin.scheme() == "http"
                && matches!(name(&origin).as_deref(), Some("localhost" | "127.0.0.1" | "[::1]"))
        }
    };
    assert!(is_own || is_allowed, "pages of {origin} may not ask");
}

fn shows_key(asked: &Asked) -> bool {
    let is_key = |text: &[u8]| text == KEY.as_bytes();
    if let Some(key) = asked.headers.get("x-api-key") {
        return is_key(key.as_bytes());
    }
    let Some(value) = asked.headers.get("authorization").map(hyper::http::HeaderValue::as_bytes) else {
        return false;
    };
    let (scheme, token) = value.split_at_checked(7).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer ") && is_key(token.trim_ascii())
}

fn shows_client_secret(asked: &Asked) -> bool {
    let field = |name: &str| {
        form_urlencoded::parse(&asked.body)
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.into_owned())
    };
    let Some(value) = asked.headers.get("authorization") else {
        return field("client_id").as_deref() == Some("dashboard")
            && field("client_secret").as_deref() == Some(KEY);
    };
    assert!(field("client_secret").is_none(), "in two ways");
    let (scheme, encoded) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
    let decoded = BASE64.decode(encoded.trim()).expect("is base64");
    // As if both halves were the fields of a form.
    let as_form = String::from_utf8(decoded).expect("is text").replace('&', "%26").replace('=', "%3D");
    let as_form = as_form.replacen(':', "=", 1);
    let pair = form_urlencoded::parse(as_form.as_bytes()).next().expect("is a pair");
    scheme.eq_ignore_ascii_case("basic") && pair == ("dashboard".into(), KEY.into())
}

/// The token is no longer good for than was asked for.
fn check_lifetime(asked: &Asked, answer: &Answer, is_post: bool, app: u8) {
    let left: u64 = answer.header("token-expires-in").expect("is there").parse().expect("is a number");
    let (text, name) = if is_post {
        (asked.body.as_slice(), "expires_in")
    } else {
        (asked.uri.query().unwrap_or_default().as_bytes(), "ttl")
    };
    let mut wishes = form_urlencoded::parse(text).filter(|(field, _)| field == name);
    let wish = wishes.next().map_or(3600, |(_, digits)| {
        assert!(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
        digits.parse().unwrap_or(u64::MAX)
    });
    assert!(wishes.next().is_none(), "{name} is given once");
    let most = if app == KEYS { wish.min(MAX_TTL) } else { wish.min(86_400) };
    // More than ten, in whole seconds.
    assert!(wish >= 60 && left >= 10 && left <= most, "{left} s left, {most} s at most");
}

/// Text holds the token and nothing else; JSON is that of RFC 6749 §5.1, and the only form of the OAuth 2.0 door.
fn check_form(asked: &Asked, answer: &Answer, is_post: bool) {
    match answer.content_type() {
        Some("text/plain; charset=utf-8") => {
            assert!(!is_post);
            assert_eq!(answer.body, TOKEN.as_bytes());
        }
        Some("application/json") => {
            let accepts =
                |value: &[u8]| value.to_ascii_lowercase().windows(11).any(|piece| piece == b"application");
            let mut lines = asked.headers.get_all("accept").iter();
            assert!(is_post || lines.any(|line| accepts(line.as_bytes())), "nobody asked for JSON");
            let body: Value = serde_json::from_slice(&answer.body).expect("is JSON");
            assert_eq!(body["access_token"], TOKEN);
            assert_eq!(body["token_type"], "Bearer");
            assert_eq!(body["expires_in"].to_string(), answer.header("token-expires-in").unwrap_or_default());
        }
        other => panic!("{other:?}"),
    }
}

impl Asked {
    /// The value of a header that is there exactly once.
    fn one(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        values.next().is_none().then(|| value.as_bytes())
    }
}
