//! Hints in the log for the person who sets the server up: which page was refused, and what would let it in. The browser's
//! console does not say, and the page cannot.

use std::collections::HashSet;

use hyper::HeaderMap;
use hyper::header::{HeaderValue, ORIGIN};
use parking_lot::Mutex;

use crate::config::Origin;

/// Each is logged once, and no more than these: a client that sends more is no developer's, and must fill neither memory nor
/// log.
const MAX_HINTS: usize = 100;
/// One with a name and a scheme of more than some 300 characters is for nobody.
const MAX_LENGTH: usize = 700;

#[derive(Debug, Default)]
pub(super) struct Hints(Mutex<HashSet<String>>);

impl Hints {
    /// Names the origin of a page that was refused.
    pub(super) fn refused_page(&self, headers: &HeaderMap) {
        let Some(origin) = headers.get(ORIGIN).map(HeaderValue::to_str).and_then(Result::ok) else { return };
        // An origin in its one spelling has no character that could pass for another line.
        let hint = match Origin::parse(origin) {
            Some(origin) => format!(
                "pages of {origin} may not ask; to allow them: --allow-origin {origin}, or cors.origins in the configuration"
            ),
            None if origin == "null" => {
                "a page without an origin, such as a local file, was refused: serve it over HTTP, as at \
                                         http://localhost:5173"
                    .to_owned()
            }
            None => return,
        };
        if self.is_first(&hint) {
            tracing::warn!("{hint}");
        }
    }

    fn is_first(&self, what: &str) -> bool {
        let mut told = self.0.lock();
        what.len() <= MAX_LENGTH && told.len() < MAX_HINTS && told.insert(what.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_ten_thousand_are_not_remembered() {
        let hints = Hints::default();
        assert!(hints.is_first("https://maps.example.com"));
        assert!(!hints.is_first("https://maps.example.com"));
        assert!(!hints.is_first(&"x".repeat(MAX_LENGTH + 1)));
        let told = (0..10_000).filter(|number| hints.is_first(&format!("https://{number}.example"))).count();
        assert_eq!(told, MAX_HINTS - 1);
        assert!(hints.0.lock().capacity() < 2 * MAX_HINTS);
    }
}
