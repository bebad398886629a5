//! W3C Trace Context: which trace of the caller's a request belongs to.
//!
//! The server carries a caller's `traceparent` along, into its log and its audit trail, and to the request to the issuer
//! that the caller waits for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use parking_lot::Mutex;
use token_provider::TokenKey;

/// Version, trace, span and flags, with hyphens between (W3C Trace Context §3.2.2).
const LENGTH: usize = 55;

/// A well-formed `traceparent` of version 00.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent([u8; LENGTH]);

impl TraceParent {
    /// Reads a header's value; one of a later version is read as far as this one goes (§3.2.3).
    pub fn parse(value: &[u8]) -> Option<Self> {
        let parts: Vec<&str> = str::from_utf8(value).ok()?.splitn(5, '-').collect();
        let [version, trace, span, flags, rest @ ..] = parts.as_slice() else { return None };
        let is_hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|digit| digit != b'0');
        let is_version = is_hex(version, 2) && *version != "ff" && (*version != "00" || rest.is_empty());
        if !is_version || !is_id(trace, 32) || !is_id(span, 16) || !is_hex(flags, 2) {
            return None;
        }
        format!("00-{trace}-{span}-{flags}").into_bytes().try_into().ok().map(Self)
    }

    /// Returns the header's value.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("it is made of digits and hyphens")
    }

    /// Returns the id of the trace: 32 hex digits.
    pub fn trace_id(&self) -> &str {
        self.as_str().split('-').nth(1).expect("it has four parts")
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The traces of callers that wait for a token, for the request that brings it. Of several the first counts: it is the
/// one that set the request off.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<HashMap<TokenKey, TraceParent>>);

/// A caller's wait; when it ends, its trace is forgotten.
#[derive(Debug)]
#[must_use]
pub struct Wait<'a> {
    waiting: &'a Waiting,
    key: &'a TokenKey,
}

impl Waiting {
    /// Notes the trace of a caller that is about to wait, unless there is another one's.
    pub fn begin<'a>(&'a self, key: &'a TokenKey, trace: Option<TraceParent>) -> Option<Wait<'a>> {
        let trace = trace?;
        let mut traces = self.0.lock();
        let Entry::Vacant(entry) = traces.entry(key.clone()) else { return None };
        entry.insert(trace);
        Some(Wait { waiting: self, key })
    }

    pub(super) fn of(&self, key: &TokenKey) -> Option<TraceParent> {
        self.0.lock().get(key).copied()
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.waiting.0.lock().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_the_standards_form_is_read() {
        let trace = TraceParent::parse(GOOD.as_bytes()).expect("is well-formed");
        assert_eq!((trace.as_str(), trace.trace_id()), (GOOD, "4bf92f3577b34da6a3ce929d0e0e4736"));
        let later = GOOD.replacen("00-", "cc-", 1) + "-what-comes-later";
        assert_eq!(TraceParent::parse(later.as_bytes()), Some(trace));
        for bad in [
            "",
            GOOD.strip_suffix('1').expect("ends so"),
            &format!("{GOOD}-"),
            &GOOD.to_uppercase(),
            &GOOD.replacen("00-", "ff-", 1),
            &GOOD.replacen("00-", "cc-", 1).replace("-01", "-011"),
            &GOOD.replace('-', "_"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace("b7-01", "b7-0\n"),
        ] {
            assert_eq!(TraceParent::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn trace_of_a_wait_is_that_of_the_first_and_ends_with_it() {
        let (waiting, key) = (Waiting::default(), TokenKey::default());
        let first = TraceParent::parse(GOOD.as_bytes());
        let second = TraceParent::parse(GOOD.replace("b7-01", "b8-01").as_bytes());
        assert!(waiting.begin(&key, None).is_none());
        let wait = waiting.begin(&key, first);
        assert!(waiting.begin(&key, second).is_none());
        assert_eq!(waiting.of(&key), first);
        drop(wait);
        assert_eq!(waiting.of(&key), None);
    }
}
