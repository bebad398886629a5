//! A whole request, from its head to the answer: query, form, `Authorization`, `Accept`, `Host`, `Origin`.
//!
//! Two characters choose the server's configuration and where the connection comes from (see [`APPS`] and
//! [`ends`]); then follows the request as HTTP/1.1 writes it, with single line feeds. Or `b` and a client secret,
//! which must be known again in every encoding.
//!
//! The oracle for a token that is handed out reads the request with other code than the server's: the `url` crate.

mod here;
mod oracle;
mod secret;

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr as _;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Uri};
use serde_json::Value;
use token_provider::{Issue, Issued, TokenError, TokenKey, TokenProvider};
use token_provider_server::parts::access::{Access, ClientCertificate, ConnectionInfo, Handout, Profile};
use token_provider_server::parts::config::{Config, Environment, Overrides};
use token_provider_server::parts::http::{App, Page, Service as _};
use token_provider_server::parts::telemetry::Telemetry;
use tokio::runtime::Runtime;

use super::planted::{assert_hidden, plant};

/// What every issuer here answers at once.
const TOKEN: &str = "a-token.made-for.the-fuzzer_0123456789";

/// The API key of `dashboard`; the configuration holds its hash.
const KEY: &str = "tp_0123456789012345678901234567890123456789012";

/// The configurations, by the first character of the input.
const APPS: [(u8, &str); 6] = [
    (b'0', ""),
    (b'1', KEYS),
    (b'2', "access.anonymous = true\naccess.anonymous_rate = '1000000/s'\ncors.origins = ['*']\n"),
    (b'3', "access.trusted_proxy = { from = ['10.0.0.0/8'], header = 'X-Forwarded-User' }\n"),
    (
        b'4',
        "tls = { cert = 'c', key = 'k', client_ca = 'a' }\naccess.mtls.allow = ['dashboard.example.com']\n",
    ),
    // Whatever is signed with this key is wrong: also where anyone may ask, it brings no token.
    (b'5', "access.anonymous = true\naccess.here_keys = [{ id = 'tp.a', secret_file = 'x' }]\n"),
];

const KEYS: &str = r#"
public_hosts = ["tokens.example.com", "[fd00::1]:8443"]
cors.origins = ["https://maps.example.com"]
[profiles.default]
scopes = ["hrn:here:authorization::myrealm:project/p1", "openid"]
[profiles.maps]
[[access.api_keys]]
id = "dashboard"
sha256 = "SHA256"
max_ttl = "15m"
"#;

/// The longest lifetime that `dashboard` gets.
const MAX_TTL: u64 = 900;

/// An issuer that answers at once.
#[derive(Debug)]
struct Instant;

impl Issue for Instant {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        Ok(Issued::new(TOKEN, key.lifetime()))
    }
}

struct World {
    runtime: Runtime,
    provider: TokenProvider,
    apps: Vec<App>,
}

thread_local! {
    static WORLD: OnceCell<World> = const { OnceCell::new() };
}

/// An answer, read to its end.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

/// A request, to be made as often as need be.
#[derive(Clone)]
struct Asked {
    app: usize,
    ends: ConnectionInfo,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let provider = TokenProvider::new(Instant);
        let apps = APPS
            .iter()
            .map(|(_, text)| app(&text.replace("SHA256", &secret::sha256(KEY)), &provider))
            .collect();
        Self { runtime: runtime.expect("a runtime can be built"), provider, apps }
    }

    fn answer(&self, app: &App, asked: &Asked) -> Answer {
        let mut request = Request::new(Full::new(Bytes::from(asked.body.clone())));
        *request.method_mut() = asked.method.clone();
        *request.uri_mut() = asked.uri.clone();
        *request.headers_mut() = asked.headers.clone();
        self.runtime.block_on(async {
            let (head, body) = app.answer(request, &asked.ends).await.into_parts();
            let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
            Answer { status: head.status.as_u16(), headers: head.headers, body }
        })
    }
}

fn app(text: &str, provider: &TokenProvider) -> App {
    let file = Some((Path::new("c.toml"), text));
    let config = Config::parse(file, &Environment::default(), &Overrides::default());
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let profiles = config.profiles.iter();
    let profiles =
        profiles.map(|(name, profile)| Profile::new(name, profile.scopes.clone(), provider.clone()));
    let handout = Handout::new(profiles, &config.profile);
    let access = Access::start(&config, handout);
    access.rules().set_secret("tp.a", "a-secret-that-the-fuzzer-does-not-know".into());
    App::new(access, Page::Plain, Telemetry::default())
}

/// One run.
pub fn run(data: &[u8]) {
    WORLD.with(|world| {
        let world = world.get_or_init(World::new);
        match data.split_first() {
            Some((b'b', secret)) => secret::check(world, secret),
            _ => {
                if let Some(asked) = Asked::parse(data) {
                    check(world, &asked);
                }
            }
        }
    });
}

fn check(world: &World, asked: &Asked) {
    let ask = |asked: &Asked| world.answer(&world.apps[asked.app], asked);
    let answer = ask(asked);
    answer.check(asked);
    if answer.holds_token() {
        oracle::check(asked, &answer);
    }
    // Several lines of `Accept` are one list, and capitals make no difference.
    if answer.status == 200 && asked.headers.contains_key(ACCEPT) {
        let lines: Vec<&[u8]> = asked.headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes).collect();
        let joined = lines.join(&b","[..]);
        let mut other = asked.clone();
        let value = |text: &[u8]| HeaderValue::from_bytes(text).expect("was one before");
        // One line that is no text is left out of account, and would spoil the others.
        if joined.is_ascii() {
            other.headers.insert(ACCEPT, value(&joined));
            assert_eq!(ask(&other).content_type(), answer.content_type(), "on one line");
            other.headers.insert(ACCEPT, value(&joined.to_ascii_uppercase()));
            assert_eq!(ask(&other).content_type(), answer.content_type(), "in capitals");
        }
    }
    // The order of parameters means nothing.
    if let Some(query) = asked.uri.query().filter(|query| query.contains('&')) {
        let reversed: Vec<&str> = query.rsplit('&').collect();
        let target = format!("{}?{}", asked.uri.path(), reversed.join("&"));
        let mut other = asked.clone();
        // Only where nothing but path and query was given.
        if let (None, Ok(uri)) = (asked.uri.authority(), Uri::from_str(&target)) {
            other.uri = uri;
            assert_eq!(ask(&other).status, answer.status, "with {target}");
        }
    }
}

impl Asked {
    fn parse(data: &[u8]) -> Option<Self> {
        let (&[app, from], data) = data.split_first_chunk()?;
        let app = APPS.iter().position(|(name, _)| *name == app)?;
        let data = plant(data)?;
        // The fuzzer finds out what is compared with the body, and sends it as its request's id.
        if shows_token(&data) {
            return None;
        }
        let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
        let (head, rest) = data.split_at(end);
        let mut lines = head.split(|byte| *byte == b'\n');
        let mut words = lines.next()?.splitn(2, |byte| *byte == b' ');
        let method = Method::from_bytes(words.next()?).ok()?;
        let uri = Uri::try_from(words.next()?).ok()?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            let name = HeaderName::from_bytes(name).ok()?;
            // hyper takes white space off both ends, and so does every other reader.
            let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
            headers.append(name, value);
        }
        let body = rest.get(2..).unwrap_or_default().to_vec();
        Some(Self { app, ends: ends(from)?, method, uri, headers, body })
    }
}

/// Where the connection comes from, by the second character of the input.
fn ends(from: u8) -> Option<ConnectionInfo> {
    let at = |address: &str| Some(SocketAddr::from_str(address).expect("is an address"));
    let tcp = |local, peer| ConnectionInfo { local: at(local), peer: at(peer), ..ConnectionInfo::default() };
    Some(match from {
        b'l' => tcp("127.0.0.1:3000", "127.0.0.1:50000"),
        b'6' => tcp("[::1]:3000", "[::1]:50000"),
        b'o' => tcp("192.0.2.1:3000", "198.51.100.1:50000"),
        b'p' => tcp("10.0.0.1:3000", "10.0.0.2:50000"),
        b'u' => ConnectionInfo::default(),
        b't' => {
            let name = "dashboard.example.com".to_owned();
            ConnectionInfo {
                is_tls: true,
                client: ClientCertificate::Verified([name].into()),
                ..tcp("127.0.0.1:3000", "127.0.0.1:50000")
            }
        }
        b'r' => {
            let client = ClientCertificate::Rejected;
            ConnectionInfo { is_tls: true, client, ..tcp("127.0.0.1:3000", "127.0.0.1:50000") }
        }
        _ => return None,
    })
}

fn shows_token(data: &[u8]) -> bool {
    data.windows(TOKEN.len()).any(|piece| piece == TOKEN.as_bytes())
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next();
        assert!(values.next().is_none(), "{name} is given twice");
        value.map(|value| value.to_str().expect("is text"))
    }

    fn content_type(&self) -> Option<&str> {
        self.header(CONTENT_TYPE.as_str())
    }

    fn holds_token(&self) -> bool {
        shows_token(&self.body)
    }

    /// What every answer must be, whatever was asked.
    fn check(&self, asked: &Asked) {
        assert!(
            matches!(self.status, 200 | 204 | 400 | 401 | 403 | 404 | 405 | 413 | 414 | 429),
            "nothing here fails: {}",
            self.status
        );
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.header("vary"), Some("Origin, Accept"));
        let id = self.header("x-request-id").expect("every answer has one");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~:/+=@".contains(&byte);
        assert!(!id.is_empty() && id.len() <= 128 && id.bytes().all(is_plain), "{id}");
        if self.holds_token() {
            assert_eq!(self.status, 200);
            assert_eq!(self.header("cache-control"), Some("no-store"));
        }
        self.check_secrets(asked, id);
        if self.status >= 400 {
            self.check_refusal(asked, id);
        }
        if let Some(origin) = self.header("access-control-allow-origin") {
            let sent = asked.headers.get("origin").map(HeaderValue::as_bytes);
            assert!(origin == "*" || sent == Some(origin.as_bytes()), "{origin}");
            assert_eq!(self.header("access-control-allow-credentials"), None);
        }
    }

    /// Nothing that the caller sent comes back, but for the request's id, the page's origin, and the host's name.
    fn check_secrets(&self, asked: &Asked, id: &str) {
        for (name, value) in &self.headers {
            if !matches!(name.as_str(), "x-request-id" | "x-correlation-id" | "access-control-allow-origin") {
                assert_hidden(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
            }
        }
        let body = String::from_utf8_lossy(&self.body).replace(id, "");
        if asked.uri.path() != "/.well-known/oauth-authorization-server" {
            assert_hidden("the body", &body);
        }
    }

    /// RFC 6749 §5.2, or HERE's form.
    fn check_refusal(&self, asked: &Asked, id: &str) {
        let body: Value = serde_json::from_slice(&self.body).expect("is JSON");
        if body.get("errorId").is_some() {
            here::check_refusal(asked, self, &body);
        } else {
            assert_eq!(body["request_id"], id);
        }
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let allowed =
            |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_control() || "\"\\".contains(c));
        assert!(allowed(&text("error")) && !text("error_description").is_empty(), "{body}");
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.content_type(), Some("application/json"));
        assert_eq!(self.header("www-authenticate").is_some(), self.status == 401);
        assert_eq!(self.header("retry-after").is_some(), self.status == 429);
    }
}
