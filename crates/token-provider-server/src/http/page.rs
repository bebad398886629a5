//! `GET /`: a short page that says what this is and how to call it; with the sandbox, one that tries it out.
//!
//! Everything is in the binary. The pages are served with a strict Content-Security-Policy and ask no other host, but
//! for the sandbox's.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
};

use super::Answer;

const PLAIN: &str = include_str!("page/plain.html");
const DEMO: &str = include_str!("page/demo.html");
const SCRIPT: &str = include_str!("page/demo.js");
const STYLE: &str = include_str!("page/page.css");

const X_FRAME_OPTIONS: HeaderName = HeaderName::from_static("x-frame-options");

/// What `/` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page {
    /// What this is, and how to call it.
    Plain,
    /// The same, and a try with the sandbox's data service.
    Demo {
        /// Its origin, such as `http://127.0.0.1:8080`.
        sandbox_origin: String,
    },
}

impl Page {
    pub(super) fn file(&self, path: &str) -> Option<Answer> {
        let (content_type, text) = match (path, self) {
            ("/", Self::Plain) => ("text/html; charset=utf-8", PLAIN.to_owned()),
            ("/", Self::Demo { sandbox_origin }) => {
                ("text/html; charset=utf-8", DEMO.replace("{{sandbox_origin}}", sandbox_origin))
            }
            ("/demo.js", Self::Demo { .. }) => ("text/javascript; charset=utf-8", SCRIPT.to_owned()),
            ("/page.css", _) => ("text/css; charset=utf-8", STYLE.to_owned()),
            _ => return None,
        };
        let mut answer = Answer::new(Full::from(Bytes::from(text)));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, self.content_security_policy());
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        Some(answer)
    }

    fn content_security_policy(&self) -> HeaderValue {
        let connect = match self {
            Self::Plain => "'none'".to_owned(),
            Self::Demo { sandbox_origin } => format!("'self' {sandbox_origin}"),
        };
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src {connect}; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'"
        );
        // An origin of our own making is a valid header value; if it were not, nothing at all would be allowed.
        HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> [Page; 2] {
        [Page::Plain, Page::Demo { sandbox_origin: "http://127.0.0.1:8080".to_owned() }]
    }

    fn policy(page: &Page) -> String {
        let file = page.file("/").expect("is there");
        file.headers()[CONTENT_SECURITY_POLICY].to_str().expect("is ASCII").to_owned()
    }

    #[test]
    fn pages_may_load_and_ask_no_other_host() {
        let [plain, demo] = pages();
        let strict = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'none'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        assert_eq!(policy(&plain), strict);
        assert_eq!(
            policy(&demo),
            strict.replace("connect-src 'none'", "connect-src 'self' http://127.0.0.1:8080")
        );
    }

    #[test]
    fn pages_have_nothing_that_their_policy_forbids() {
        for html in [PLAIN, DEMO] {
            for inline in ["<style", "style=", " onclick", " onload", "javascript:"] {
                assert!(!html.contains(inline), "{inline}");
            }
            assert!(
                html.matches("<script").all(|_| html.contains("<script type=\"module\" src=\"/")),
                "inline script"
            );
            assert!(!html.contains("//cdn") && !html.contains("https://"), "another host");
        }
    }

    #[test]
    fn files_that_a_page_names_are_there() {
        for (page, html) in pages().iter().zip([PLAIN, DEMO]) {
            let named = html.split(['"']).filter(|part| part.starts_with('/') && part.contains('.'));
            let named: Vec<&str> = named.collect();
            assert!(!named.is_empty());
            for path in named {
                assert!(page.file(path).is_some(), "{path}");
            }
        }
    }

    #[test]
    fn demo_is_there_in_sandbox_mode_alone() {
        let [plain, demo] = pages();
        assert!(plain.file("/demo.js").is_none() && demo.file("/demo.js").is_some());
        assert!(plain.file("/page").is_none() && plain.file("").is_none());
    }
}
