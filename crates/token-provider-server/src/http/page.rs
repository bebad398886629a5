//! `GET /`: a short page that says what this is and how to call it; with the sandbox, one that shows it at work. And
//! `GET /client.js`, the client for pages of others.
//!
//! Everything is in the binary. The pages are served with a strict Content-Security-Policy and ask no other host, but
//! for the sandbox's.

mod inspector;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY,
};
use serde_json::json;

use super::Answer;

const PLAIN: &str = include_str!("page/plain.html");
const STYLE: &str = include_str!("page/page.css");
/// Built by `npm run build` in `clients/typescript`.
const CLIENT: &str = include_str!("page/client.js");
/// So that another version is seen to be another. The hash need not be the same in every build of this program.
static CLIENT_ETAG: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    CLIENT.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
});

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JSON: &str = "application/json";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const X_FRAME_OPTIONS: HeaderName = HeaderName::from_static("x-frame-options");

/// To be asked for anew each time, and sent only when it is another (with an `ETag`).
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
/// For names that hold a hash of what is in the file: never to be asked for again, for a year (RFC 8246).
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The lifetime of the demonstration's tokens at first: short enough to see the next one come.
const DEMO_LIFETIME_SECONDS: u32 = 300;

/// What `/` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page {
    /// What this is, and how to call it.
    Plain,
    /// A client application over the sandbox's data service: `examples/inspector`.
    Demo {
        /// The sandbox's origin, such as `http://127.0.0.1:8080`.
        sandbox_origin: String,
    },
}

/// A file of the demonstration.
struct File {
    path: &'static str,
    content_type: &'static str,
    /// Of what is in it.
    hash: &'static str,
    gzip: &'static [u8],
}

impl Page {
    /// Returns where the sandbox is that is shown at work.
    pub fn sandbox_origin(&self) -> Option<&str> {
        match self {
            Self::Plain => None,
            Self::Demo { sandbox_origin } => Some(sandbox_origin),
        }
    }

    /// Returns the file at this path, if there is one.
    pub(super) fn file(
        &self,
        path: &str,
        asked: &HeaderMap,
        own_origin: impl FnOnce() -> String,
    ) -> Option<Answer> {
        let mut answer = match (path, self) {
            ("/", Self::Plain) => whole(HTML, plain(&own_origin())),
            ("/page.css", Self::Plain) => whole(CSS, STYLE),
            ("/config.json", Self::Demo { sandbox_origin }) => whole(JSON, demo_config(sandbox_origin)),
            (_, Self::Demo { .. }) => inspector::FILES.iter().find(|file| file.path == path)?.answer(asked),
            _ => return None,
        };
        let headers = answer.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.content_security_policy());
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        Some(answer)
    }

    fn content_security_policy(&self) -> HeaderValue {
        let (connect, more) = match self {
            Self::Plain => ("'none'".to_owned(), ""),
            Self::Demo { sandbox_origin } => {
                (format!("'self' {sandbox_origin}"), " 'self'; worker-src 'self'")
            }
        };
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src {connect}; img-src data:{more}; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        // An origin of our own making is a valid header value; if it were not, nothing at all would be allowed.
        HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    }
}

/// A host that was admitted has no character that means something in HTML.
fn plain(own_origin: &str) -> String {
    PLAIN.replace("{ORIGIN}", own_origin).replace("{VERSION}", env!("CARGO_PKG_VERSION"))
}

/// Answers `GET /client.js`: the same for everybody.
pub(super) fn client(asked: &HeaderMap) -> Answer {
    let mut answer = whole(JAVASCRIPT, CLIENT);
    if is_known(asked, &CLIENT_ETAG) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.body_mut() = Full::default();
    }
    if let Ok(etag) = HeaderValue::from_str(&CLIENT_ETAG) {
        answer.headers_mut().insert(ETAG, etag);
    }
    answer
}

/// What the demonstration is to show; its README says what each is for.
fn demo_config(sandbox_origin: &str) -> String {
    let config = json!({
        "tokenUrl": "/getToken",
        "ttl": DEMO_LIFETIME_SECONDS,
        "environment": format!("{sandbox_origin}/lookup/v1"),
        "catalogHrn": "hrn:here:data::sandbox:port-meridian",
        "layer": "buildings",
        "context": ["land", "roads"],
        "autoload": true,
        "sandboxOrigin": sandbox_origin,
    });
    config.to_string()
}

fn whole(content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Answer::new(Full::from(text.into()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, REVALIDATE);
    answer
}

impl File {
    fn answer(&self, asked: &HeaderMap) -> Answer {
        // Weak, because it stands for both codings (RFC 9110 §8.8.1).
        let etag = format!("W/\"{}\"", self.hash);
        let mut answer = Answer::default();
        if is_known(asked, &etag) {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        } else if accepts_gzip(asked) {
            *answer.body_mut() = Full::from(self.gzip);
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        } else {
            *answer.body_mut() = Full::from(self.unpacked());
        }
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let names_its_hash = self.path.starts_with("/assets/");
        headers.insert(CACHE_CONTROL, if names_its_hash { FOR_EVER } else { REVALIDATE });
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            headers.insert(ETAG, etag);
        }
        answer
    }

    /// For the few clients that take no gzip: not worth keeping.
    fn unpacked(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        GzDecoder::new(self.gzip).read_to_end(&mut bytes).expect("compressed when the program was built");
        bytes
    }
}

/// Whether the caller has this version already (RFC 9110 §13.1.2).
fn is_known(asked: &HeaderMap, etag: &str) -> bool {
    list(asked, &IF_NONE_MATCH).any(|known| known == "*" || weak(known) == weak(etag))
}

fn weak(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

/// Whether the caller takes gzip (RFC 9110 §12.5.3).
fn accepts_gzip(asked: &HeaderMap) -> bool {
    list(asked, &ACCEPT_ENCODING).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0_f32));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn list<'a>(asked: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = asked.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::http::request::Route;

    fn pages() -> [Page; 2] {
        [Page::Plain, Page::Demo { sandbox_origin: "http://127.0.0.1:8080".to_owned() }]
    }

    fn file(page: &Page, path: &str, asked: &[(&'static str, &'static str)]) -> Option<Answer> {
        let headers = asked
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        page.file(path, &headers.collect(), || "https://tokens.example.com:8443".to_owned())
    }

    fn text(page: &Page, path: &str) -> String {
        let answer = file(page, path, &[]).expect("is there");
        let body = answer.into_body().collect();
        let bytes =
            futures_util::FutureExt::now_or_never(body).expect("is there at once").expect("cannot fail");
        String::from_utf8(bytes.to_bytes().to_vec()).expect("is text")
    }

    fn policy(page: &Page) -> String {
        let file = file(page, "/", &[]).expect("is there");
        file.headers()[CONTENT_SECURITY_POLICY].to_str().expect("is ASCII").to_owned()
    }

    #[test]
    fn pages_may_load_and_ask_no_other_host() {
        let [plain, demo] = pages();
        let strict = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'none'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        assert_eq!(policy(&plain), strict);
        let demonstration = strict
            .replace("connect-src 'none'", "connect-src 'self' http://127.0.0.1:8080")
            .replace("img-src data:", "img-src data: 'self'; worker-src 'self'");
        assert_eq!(policy(&demo), demonstration);
    }

    #[test]
    fn pages_have_nothing_that_their_policy_forbids() {
        for page in pages() {
            let html = text(&page, "/");
            for inline in ["<style", "style=", " onclick", " onload", "javascript:"] {
                assert!(!html.contains(inline), "{inline}");
            }
            let scripts: Vec<_> = html.split("<script").skip(1).collect();
            assert!(scripts.iter().all(|script| script.contains("src=\"/")), "inline script");
            let others = html.replace("https://tokens.example.com:8443", "");
            assert!(!others.contains("//cdn") && !others.contains("https://"), "another host");
        }
    }

    #[test]
    fn page_has_the_address_and_the_version_and_nothing_left_to_fill_in() {
        let html = text(&Page::Plain, "/");
        for written in [
            "curl \"https://tokens.example.com:8443/getToken?ttl=3600\"",
            "from \"https://tokens.example.com:8443/client.js\"",
            env!("CARGO_PKG_VERSION"),
            "href=\"/openapi.json\"",
        ] {
            assert!(html.contains(written), "{written}");
        }
        assert!(!["$", "{ORIGIN}", "{VERSION}"].iter().any(|left| html.contains(left)), "{html}");
    }

    #[test]
    fn client_is_sent_once() {
        let etag = client(&HeaderMap::new()).headers()[ETAG].clone();
        assert!(etag.to_str().is_ok_and(|etag| etag.len() == 18), "{etag:?}");
        let again = client(&[(IF_NONE_MATCH, etag.clone())].into_iter().collect());
        assert_eq!((again.status(), &again.headers()[ETAG]), (StatusCode::NOT_MODIFIED, &etag));
        assert_eq!(again.headers()[CACHE_CONTROL], "no-cache");
        let other = client(&[(IF_NONE_MATCH, HeaderValue::from_static("\"other\""))].into_iter().collect());
        assert_eq!(other.status(), StatusCode::OK);
        assert!(
            CLIENT.is_ascii()
                && CLIENT.starts_with("/*! token-provider-client")
                && !CLIENT.contains("import ")
        );
    }

    #[test]
    fn files_that_a_page_names_are_there() {
        for page in pages() {
            let html = text(&page, "/");
            let named: Vec<_> =
                html.split(['"']).filter(|part| part.starts_with('/') && part.contains('.')).collect();
            assert!(!named.is_empty());
            for path in named {
                // Links lead elsewhere, too.
                assert!(file(&page, path, &[]).is_some() || Route::of(path).is_some(), "{path}");
            }
        }
    }

    #[test]
    fn demonstration_is_there_in_sandbox_mode_alone() {
        let [plain, demo] = pages();
        for path in ["/config.json", "/licences.txt", "/favicon.svg"] {
            assert!(file(&plain, path, &[]).is_none() && file(&demo, path, &[]).is_some(), "{path}");
        }
        for page in pages() {
            for path in ["", "/page", "/assets/", "/inspector.rs", "//"] {
                assert!(file(&page, path, &[]).is_none(), "{path}");
            }
        }
    }

    #[test]
    fn demonstration_is_told_where_the_sandbox_is() {
        let [_, demo] = pages();
        let config: serde_json::Value = serde_json::from_str(&text(&demo, "/config.json")).expect("is JSON");
        assert_eq!(config["environment"], "http://127.0.0.1:8080/lookup/v1");
        assert_eq!(config["sandboxOrigin"], "http://127.0.0.1:8080");
    }

    #[test]
    fn file_comes_compressed_to_those_who_take_it() {
        let [_, demo] = pages();
        for compressed in ["gzip", "br, GZIP;q=0.5", "deflate,gzip ; q=1"] {
            let answer = file(&demo, "/", &[("accept-encoding", compressed)]).expect("is there");
            assert_eq!(answer.headers()[CONTENT_ENCODING], "gzip", "{compressed}");
        }
        for identity in ["identity", "br", "gzip;q=0", "gzip; q=0.000", "gzipped"] {
            let answer = file(&demo, "/", &[("accept-encoding", identity)]).expect("is there");
            assert!(!answer.headers().contains_key(CONTENT_ENCODING), "{identity}");
        }
        assert!(text(&demo, "/").starts_with("<!doctype html>"));
        for file in inspector::FILES {
            assert!(file.unpacked().len() > file.gzip.len(), "{}", file.path);
        }
    }

    #[test]
    fn file_is_sent_once() {
        let [_, demo] = pages();
        for File { path, .. } in inspector::FILES {
            let first = file(&demo, path, &[]).expect("is there");
            let etag = first.headers()[ETAG].to_str().expect("is ASCII").to_owned();
            let asked = [(IF_NONE_MATCH, HeaderValue::from_str(&etag).expect("is a value"))];
            let second = demo.file(path, &asked.into_iter().collect(), String::new).expect("is there");
            assert_eq!(second.status(), StatusCode::NOT_MODIFIED, "{path}");
            assert_eq!(second.headers()[ETAG], first.headers()[ETAG]);
            let other =
                file(&demo, path, &[("if-none-match", "W/\"other\", \"another\"")]).expect("is there");
            assert_eq!(other.status(), StatusCode::OK, "{path}");
            let for_ever = first.headers()[CACHE_CONTROL] == FOR_EVER;
            assert_eq!(for_ever, path.starts_with("/assets/"), "{path}");
            assert_eq!(first.headers()[VARY], "Accept-Encoding");
        }
    }
}
