//! The demonstration at `/`: a client application over the sandbox's data services, `examples/inspector`.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, HeaderValue, VARY};
use serde_json::json;

use super::inspector::FILES;
use crate::http::answer::{self, Answer};

/// For names that hold a hash of what is in the file: not to be requested again for a year (RFC 8246).
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The lifetime of the demonstration's tokens at first: short enough to see the next one come.
const LIFETIME_SECONDS: u32 = 300;

/// Returns the file of the demonstration at this path, if there is one.
pub(super) fn file(path: &str, headers: &HeaderMap, sandbox_origin: &str) -> Option<Answer> {
    let sources = format!("connect-src 'self' {sandbox_origin}; img-src data: 'self'; worker-src 'self'");
    let part_of_page = |content_type, body: Bytes| answer::page(content_type, &sources, body);
    let name = match path {
        "/config.json" => return Some(part_of_page(answer::JSON, config(sandbox_origin).into())),
        "/" => "index.html",
        _ => path.strip_prefix('/')?,
    };
    let (_, gzip) = FILES.iter().find(|(file, _)| *file == name)?;
    let takes_gzip = answer::weight(headers, &ACCEPT_ENCODING, &["gzip"]) > 0;
    let body = if takes_gzip { Bytes::from_static(gzip) } else { unpacked(gzip).into() };
    // Weak, because it stands for both codings (RFC 9110 §8.8.1).
    let etag = format!("W/{}", answer::etag(gzip));
    let mut answer = answer::with_etag(part_of_page(content_type(name)?, body), &etag, headers);
    let is_whole = answer.status() == StatusCode::OK;
    let headers = answer.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Origin, Accept, Accept-Encoding"));
    if takes_gzip && is_whole {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if name.starts_with("assets/") {
        headers.insert(CACHE_CONTROL, FOR_EVER);
    }
    Some(answer)
}

/// What the demonstration is to show; its README says what each is for.
fn config(sandbox_origin: &str) -> String {
    let config = json!({
        "tokenUrl": "/getToken",
        "ttl": LIFETIME_SECONDS,
        "environment": format!("{sandbox_origin}/lookup/v1"),
        "catalogHrn": "hrn:here:data::sandbox:port-meridian",
        "layer": "buildings",
        "context": ["land", "roads"],
        "autoload": true,
        "sandboxOrigin": sandbox_origin,
    });
    config.to_string()
}

fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit('.').next()? {
        "css" => answer::CSS,
        "html" => answer::HTML,
        "js" | "mjs" => answer::JAVASCRIPT,
        "svg" => "image/svg+xml",
        "txt" => answer::TEXT,
        _ => return None,
    })
}

/// For the few clients that take no gzip: not worth keeping.
fn unpacked(gzip: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(gzip).read_to_end(&mut bytes).expect("the tests unpack the same files");
    bytes
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;
    use hyper::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH};

    use super::*;

    fn answer(path: &str, headers: &[(HeaderName, &'static str)]) -> Option<Answer> {
        let headers = headers.iter().cloned().map(|(name, value)| (name, HeaderValue::from_static(value)));
        file(path, &headers.collect(), "http://127.0.0.1:8080")
    }

    fn text(path: &str) -> String {
        let body = answer(path, &[]).expect("is there").into_body().collect();
        let bytes = body.now_or_never().expect("is there at once").expect("cannot fail").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("is text")
    }

    #[test]
    fn demonstration_may_call_the_sandbox_and_no_other_host() {
        let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' http://127.0.0.1:8080; \
                      img-src data: 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        for path in ["/", "/config.json", "/licences.txt"] {
            assert_eq!(answer(path, &[]).expect("is there").headers()[CONTENT_SECURITY_POLICY], policy);
        }
    }

    #[test]
    fn demonstration_has_nothing_that_its_policy_forbids() {
        let html = text("/");
        for inline in ["<style", "style=", " onclick", " onload", "javascript:", "//cdn", "https://"] {
            assert!(!html.contains(inline), "{inline}");
        }
        let scripts: Vec<_> = html.split("<script").skip(1).collect();
        assert!(scripts.iter().all(|script| script.contains("src=\"/")), "inline script");
    }

    #[test]
    fn files_are_there_and_have_their_type() {
        for (name, _) in FILES {
            assert!(content_type(name).is_some(), "{name}");
            assert!(answer(&format!("/{name}"), &[]).is_some(), "{name}");
        }
        let html = text("/");
        let named: Vec<_> =
            html.split('"').filter(|part| part.starts_with('/') && part.contains('.')).collect();
        assert!(!named.is_empty());
        for path in named {
            assert!(answer(path, &[]).is_some() || path == "/openapi.json", "{path}");
        }
        assert_eq!(answer("/", &[]).expect("is there").headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        for path in ["", "/page.css", "/assets/", "/inspector.rs", "//"] {
            assert!(answer(path, &[]).is_none(), "{path}");
        }
    }

    #[test]
    fn demonstration_is_told_where_the_sandbox_is() {
        let config: serde_json::Value = serde_json::from_str(&text("/config.json")).expect("is JSON");
        assert_eq!(config["environment"], "http://127.0.0.1:8080/lookup/v1");
        assert_eq!(config["sandboxOrigin"], "http://127.0.0.1:8080");
    }

    #[test]
    fn file_comes_compressed_to_those_who_take_it() {
        for compressed in ["gzip", "br, GZIP;q=0.5", "deflate,gzip ; q=1"] {
            let answer = answer("/", &[(ACCEPT_ENCODING, compressed)]).expect("is there");
            assert_eq!(answer.headers()[CONTENT_ENCODING], "gzip", "{compressed}");
        }
        for identity in ["identity", "br", "gzip;q=0", "gzip; q=0.000", "gzipped"] {
            let answer = answer("/", &[(ACCEPT_ENCODING, identity)]).expect("is there");
            assert!(!answer.headers().contains_key(CONTENT_ENCODING), "{identity}");
        }
        assert!(text("/").starts_with("<!doctype html>"));
        assert!(FILES.iter().all(|(_, gzip)| unpacked(gzip).len() > gzip.len()));
    }

    #[test]
    fn file_is_sent_once() {
        for (name, _) in FILES {
            let path = format!("/{name}");
            let first = answer(&path, &[]).expect("is there");
            let etag = first.headers()[ETAG].to_str().expect("is ASCII").to_owned();
            let known = [(IF_NONE_MATCH, etag.clone().leak() as &str), (ACCEPT_ENCODING, "gzip")];
            let second = answer(&path, &known).expect("is there");
            assert_eq!(second.status(), StatusCode::NOT_MODIFIED, "{path}");
            assert_eq!(second.headers()[ETAG], first.headers()[ETAG]);
            assert!(!second.headers().contains_key(CONTENT_ENCODING), "{path}: of nothing");
            let other = answer(&path, &[(IF_NONE_MATCH, "W/\"other\", \"another\"")]).expect("is there");
            assert_eq!(other.status(), StatusCode::OK, "{path}");
            let for_ever = first.headers()[CACHE_CONTROL] == FOR_EVER;
            assert_eq!(for_ever, name.starts_with("assets/"), "{path}");
            assert_eq!(first.headers()[VARY], "Origin, Accept, Accept-Encoding");
        }
    }
}
