//! `GET /`: a short page that says what this is and how to call it, or the sandbox's demonstration in its place. And
//! `GET /client.js`, the client for pages of others, and `GET /openapi.json`, what the server answers to, for programs: an `OpenAPI` 3.1
//! document, against which tests hold real answers.
//!
//! Everything is in the binary. The pages are served with a strict Content-Security-Policy.

use std::sync::LazyLock;

use hyper::HeaderMap;

use super::answer::{self, Answer, CSS, HTML, JAVASCRIPT, NO_CACHE};

const PLAIN: &str = include_str!("page/plain.html");
const STYLE: &str = include_str!("page/page.css");
/// Built by `npm run build` in `clients/typescript`.
const CLIENT: &str = include_str!("page/client.js");
/// The same for everybody: it names no profile and no scope.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// What the page may load beside its style.
const SOURCES: &str = "connect-src 'none'; img-src data:";

static CLIENT_ETAG: LazyLock<String> = LazyLock::new(|| answer::etag(CLIENT.as_bytes()));

/// What `/` shows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Page {
    /// What this is, and how to call it.
    Plain,
    /// A client application over the sandbox's data services.
    Demo {
        /// The sandbox's origin, such as `http://127.0.0.1:8080`.
        sandbox_origin: String,
        /// Finds a file of the application: by path, request headers, and the sandbox's origin.
        file: fn(&str, &HeaderMap, &str) -> Option<Answer>,
    },
}

impl Page {
    /// Returns where the sandbox is that is shown at work.
    pub fn sandbox_origin(&self) -> Option<&str> {
        if let Self::Demo { sandbox_origin, .. } = self { Some(sandbox_origin) } else { None }
    }

    /// Returns the file at this path, if there is one.
    pub(super) fn file(
        &self,
        path: &str,
        headers: &HeaderMap,
        own_origin: impl FnOnce() -> String,
    ) -> Option<Answer> {
        match (path, self) {
            (_, Self::Demo { sandbox_origin, file }) => file(path, headers, sandbox_origin),
            ("/", Self::Plain) => Some(answer::page(HTML, SOURCES, plain(&own_origin()))),
            ("/page.css", Self::Plain) => Some(answer::page(CSS, SOURCES, STYLE)),
            _ => None,
        }
    }
}

/// A host that was admitted has no character that means something in HTML.
fn plain(own_origin: &str) -> String {
    PLAIN.replace("{ORIGIN}", own_origin).replace("{VERSION}", env!("CARGO_PKG_VERSION"))
}

/// Answers `GET /client.js`: the same for everybody.
pub(super) fn client(headers: &HeaderMap) -> Answer {
    answer::with_etag(answer::answer(JAVASCRIPT, NO_CACHE, CLIENT), &CLIENT_ETAG, headers)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;
    use hyper::StatusCode;
    use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderValue, IF_NONE_MATCH};
    use serde_json::Value;

    use super::*;
    use crate::http::request::Route;
    use crate::reason::{Method, Rule};

    fn file(path: &str) -> Option<Answer> {
        Page::Plain.file(path, &HeaderMap::new(), || "https://tokens.example.com:8443".to_owned())
    }

    fn text(path: &str) -> String {
        let body = file(path).expect("is there").into_body().collect();
        let bytes = body.now_or_never().expect("is there at once").expect("cannot fail").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("is text")
    }

    #[test]
    fn page_may_load_and_call_no_other_host() {
        let strict = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'none'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        for path in ["/", "/page.css"] {
            assert_eq!(file(path).expect("is there").headers()[CONTENT_SECURITY_POLICY], strict);
        }
    }

    #[test]
    fn page_has_nothing_that_its_policy_forbids() {
        let html = text("/").replace("https://tokens.example.com:8443", "");
        for forbidden in ["<script", "<style", "style=", " onclick", "javascript:", "//cdn", "https://"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn page_has_the_address_and_the_version_and_nothing_left_to_fill_in() {
        let html = text("/");
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
    fn files_that_the_page_names_are_there() {
        let html = text("/");
        let named: Vec<_> =
            html.split('"').filter(|part| part.starts_with('/') && part.contains('.')).collect();
        assert!(!named.is_empty());
        for path in named {
            // Links lead elsewhere, too.
            assert!(file(path).is_some() || Route::of(path).is_some(), "{path}");
        }
        for path in ["", "/page", "/assets/", "/config.json", "/licences.txt", "/favicon.svg", "//"] {
            assert!(file(path).is_none(), "{path}");
        }
    }

    fn words(value: &Value) -> BTreeSet<&str> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    #[test]
    fn document_is_of_this_version_and_names_what_there_is() {
        let document: Value = serde_json::from_str(OPENAPI).expect("is JSON");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let paths = document["paths"].as_object().expect("is an object");
        let admin = ["/metrics", "/revoke", "/status"];
        for path in paths.keys().filter(|path| !admin.contains(&path.as_str())) {
            assert!(Route::of(path).is_some(), "{path}");
        }
        assert_eq!(paths.len(), 9 + admin.len());
        let event = &document["components"]["schemas"]["AuditEvent"]["properties"];
        assert_eq!(words(&event["rule"]["enum"]), Rule::ALL.map(Rule::as_str).into());
        assert_eq!(words(&event["method"]["enum"]), Method::ALL.map(Method::as_str).into());
    }
}
