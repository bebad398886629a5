//! Lines of the audit trail: JSON objects, or text for people where the log has that form.
//!
//! Written by hand rather than by a serializer, since every handout makes one: this takes about a tenth of the time.
//! Nothing that a stranger wrote can end a line or a string, or steer a terminal.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::event::{Event, RequestId};
use crate::printable;
use crate::reason::Outcome;
use crate::telemetry::log::{AUDIT_TARGET, Form};
use crate::telemetry::stamp::Stamp;

/// Longer than any name of a caller's that means something.
const MAX_TEXT: usize = 1024;

/// Makes lines.
#[derive(Debug)]
pub(super) struct Lines {
    profiles: Vec<String>,
    stamp: Stamp,
}

/// What a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// An object of its own.
    Record,
    /// One among the lines of the log.
    Log(Form),
}

/// What a field holds.
#[derive(Clone, Copy)]
enum Value<'a> {
    /// A word of our own, with nothing to be escaped.
    Word(&'a str),
    /// Anybody's text.
    Text(&'a str),
    Number(u64),
    Id(u128),
    Address(IpAddr),
}

impl Lines {
    pub(super) fn new(profiles: Vec<String>) -> Self {
        Self { profiles, stamp: Stamp::default() }
    }

    /// Appends the line of an event.
    pub(super) fn write(&mut self, event: &Event, shape: Shape, out: &mut Vec<u8>) {
        let level = if event.outcome == Outcome::Failed { "WARN" } else { "INFO" };
        self.begin(event.time, level, message(event.outcome), shape, out);
        self.fields(event, &mut |name, value| put(name, value, shape, out));
        end(shape, out);
    }

    /// Appends a line that says that others are missing.
    pub(super) fn write_gap(&mut self, time: Duration, lost: u64, shape: Shape, out: &mut Vec<u8>) {
        self.begin(time, "ERROR", "audit lines lost", shape, out);
        put("outcome", Value::Word("lines_lost"), shape, out);
        put("lines", Value::Number(lost), shape, out);
        end(shape, out);
    }

    fn begin(&mut self, time: Duration, level: &str, message: &str, shape: Shape, out: &mut Vec<u8>) {
        match shape {
            Shape::Record => {
                out.extend_from_slice(b"{\"time\":\"");
                self.stamp.write(time, out);
                out.push(b'"');
            }
            Shape::Log(Form::Json) => {
                out.extend_from_slice(b"{\"timestamp\":\"");
                self.stamp.write(time, out);
                out.push(b'"');
                put("level", Value::Word(level), shape, out);
                put("message", Value::Word(message), shape, out);
                put("target", Value::Word(AUDIT_TARGET), shape, out);
            }
            Shape::Log(Form::Text { ansi }) => {
                let (dim, color, plain) = match (ansi, level) {
                    (false, _) => ("", "", ""),
                    (true, "INFO") => ("\x1b[2m", "\x1b[32m", "\x1b[0m"),
                    (true, "WARN") => ("\x1b[2m", "\x1b[33m", "\x1b[0m"),
                    (true, _) => ("\x1b[2m", "\x1b[31m", "\x1b[0m"),
                };
                out.extend_from_slice(dim.as_bytes());
                self.stamp.write(time, out);
                // Writing to a `Vec` cannot fail.
                let _ = write!(out, "{plain} {color}{level:>5}{plain} {message}");
            }
        }
    }

    /// Every name of an audit line, in the order in which they stand in it.
    fn fields(&self, event: &Event, put: &mut dyn FnMut(&'static str, Value<'_>)) {
        put("outcome", Value::Word(event.outcome.as_str()));
        if let Some(rule) = event.rule {
            put("rule", Value::Word(rule.as_str()));
        }
        if let Some(reason) = event.reason {
            put("reason", Value::Text(reason));
        }
        if let Some(error) = event.error {
            put("error", Value::Word(error));
        }
        put("status", Value::Number(event.status.into()));
        if let Some(method) = event.method {
            put("method", Value::Word(method.as_str()));
        }
        if let Some(caller) = &event.caller {
            put("caller", Value::Text(caller));
        }
        if let Some(address) = event.address {
            put("address", Value::Address(address));
        }
        if let Some(origin) = &event.origin {
            put("origin", Value::Text(origin));
        }
        if let Some(host) = &event.host {
            put("host", Value::Text(host));
        }
        if let Some(profile) = event.profile.and_then(|profile| self.profiles.get(profile)) {
            put("profile", Value::Text(profile));
        }
        if let Some(scope) = &event.scope {
            put("scope", Value::Text(scope.as_str()));
        }
        if let Some(lifetime) = event.lifetime {
            put("lifetime", Value::Number(lifetime));
        }
        if let Some(left) = event.left {
            put("seconds_left", Value::Number(left));
        }
        if let Some(fingerprint) = &event.fingerprint {
            put("fingerprint", Value::Word(fingerprint.as_str()));
        }
        match &event.request_id {
            RequestId::Made(number) => put("request_id", Value::Id(*number)),
            RequestId::Given(text) => put("request_id", Value::Text(text)),
        }
        if let Some(trace) = &event.trace {
            put("trace_id", Value::Word(trace.trace_id()));
        }
        put("duration_us", Value::Number(u64::try_from(event.took.as_micros()).unwrap_or(u64::MAX)));
    }
}

/// The sentence for an outcome, in the log.
fn message(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::HandedOut => "token handed out",
        Outcome::Refused => "token refused",
        Outcome::Failed => "no token for a caller",
    }
}

fn end(shape: Shape, out: &mut Vec<u8>) {
    match shape {
        Shape::Record | Shape::Log(Form::Json) => out.extend_from_slice(b"}\n"),
        Shape::Log(Form::Text { .. }) => out.push(b'\n'),
    }
}

fn put(name: &str, value: Value<'_>, shape: Shape, out: &mut Vec<u8>) {
    if let Shape::Log(Form::Text { ansi }) = shape {
        let (start, middle) = if ansi { ("\x1b[3m", "\x1b[0m\x1b[2m=\x1b[0m") } else { ("", "=") };
        out.push(b' ');
        for part in [start, name, middle] {
            out.extend_from_slice(part.as_bytes());
        }
        let is_plain = match value {
            Value::Text(text) => is_plain(text) && !text.is_empty() && !text.contains([' ', '=']),
            _ => true,
        };
        put_value(value, !is_plain, out);
    } else {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        put_value(value, !matches!(value, Value::Number(_)), out);
    }
}

fn put_value(value: Value<'_>, is_quoted: bool, out: &mut Vec<u8>) {
    if is_quoted {
        out.push(b'"');
    }
    match value {
        Value::Word(word) => out.extend_from_slice(word.as_bytes()),
        Value::Text(text) if text.len() <= MAX_TEXT && is_plain(text) => {
            out.extend_from_slice(text.as_bytes());
        }
        Value::Text(text) => {
            let mut escaped = String::new();
            // Writing to a `String` cannot fail.
            let _ = text.chars().take(MAX_TEXT).try_for_each(|c| {
                if matches!(c, '"' | '\\') {
                    escaped.push('\\');
                }
                printable::put_json(c, &mut escaped)
            });
            out.extend_from_slice(escaped.as_bytes());
        }
        Value::Number(number) => decimal(number, out),
        Value::Id(number) => hex(number, out),
        Value::Address(IpAddr::V4(address)) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                decimal(octet.into(), out);
            }
        }
        // Writing to a `Vec` cannot fail.
        Value::Address(address) => drop(write!(out, "{address}")),
    }
    if is_quoted {
        out.push(b'"');
    }
}

/// Says whether a text can stand in a line as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        start = place;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

fn hex(number: u128, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'0'; 32];
    let mut rest = number;
    for digit in text.iter_mut().rev() {
        *digit = DIGITS.get((rest & 15) as usize).copied().unwrap_or(b'0');
        rest >>= 4;
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::Value as Json;
    use token_provider::Scope;

    use super::*;
    use crate::reason::{Method, Rule};
    use crate::telemetry::TraceParent;

    fn line(event: &Event, shape: Shape) -> String {
        let mut out = Vec::new();
        Lines::new(vec!["default".to_owned(), "maps".to_owned()]).write(event, shape, &mut out);
        String::from_utf8(out).expect("is UTF-8")
    }

    fn whole() -> Event {
        Event {
            time: Duration::from_millis(1_767_225_600_042),
            outcome: Outcome::HandedOut,
            rule: Some(Rule::Origin),
            reason: Some("the token has expired"),
            error: Some("access_denied"),
            status: 200,
            took: Duration::from_micros(85),
            method: Some(Method::ApiKey),
            caller: Some(Arc::from("dash board")),
            address: Some(IpAddr::from([192, 0, 2, 1])),
            origin: Some("https://maps.example.com".into()),
            host: Some("tokens.example.com".into()),
            profile: Some(1),
            scope: Some(Scope::new("hrn:here:authorization::rlm:project/p1").expect("is one")),
            lifetime: Some(3600),
            left: Some(0),
            fingerprint: None,
            request_id: RequestId::Made(0xabc),
            trace: TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        }
    }

    #[test]
    fn record_has_every_field_in_its_order() {
        let expected = concat!(
            r#"{"time":"2026-01-01T00:00:00.042Z","outcome":"handed_out","rule":"origin","#,
            r#""reason":"the token has expired","error":"access_denied","#,
            r#""status":200,"method":"api_key","caller":"dash board","address":"192.0.2.1","#,
            r#""origin":"https://maps.example.com","host":"tokens.example.com","profile":"maps","#,
            r#""scope":"hrn:here:authorization::rlm:project/p1","lifetime":3600,"seconds_left":0,"#,
            r#""request_id":"00000000000000000000000000000abc","#,
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","duration_us":85}"#,
            "\n"
        );
        assert_eq!(line(&whole(), Shape::Record), expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let expected = concat!(
            r#"{"time":"1970-01-01T00:00:00.000Z","outcome":"refused","status":0,"#,
            r#""request_id":"00000000000000000000000000000000","duration_us":0}"#,
            "\n"
        );
        assert_eq!(line(&Event::default(), Shape::Record), expected);
    }

    #[test]
    fn line_in_the_log_has_the_logs_form() {
        let json = line(&whole(), Shape::Log(Form::Json));
        let start = r#"{"timestamp":"2026-01-01T00:00:00.042Z","level":"INFO","message":"token handed out","target":"audit","#;
        assert!(json.starts_with(start), "{json}");
        assert!(serde_json::from_str::<Json>(&json).is_ok());
        let text = line(&whole(), Shape::Log(Form::Text { ansi: false }));
        let start = "2026-01-01T00:00:00.042Z  INFO token handed out outcome=handed_out rule=origin reason=\"the token has expired\" ";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains(" caller=\"dash board\" address=192.0.2.1 "), "{text}");
        assert!(!text.contains('\x1b'));
        assert!(line(&whole(), Shape::Log(Form::Text { ansi: true })).starts_with("\x1b[2m2026-"));
    }

    #[test]
    fn addresses_and_numbers_are_written_as_everywhere() {
        for number in [0, 1, 9, 10, 255, 256, 99_999, u64::MAX] {
            let mut out = Vec::new();
            decimal(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
        for address in ["0.0.0.0", "255.255.255.255", "::1", "2001:db8::7"] {
            let event = Event { address: address.parse().ok(), ..Event::default() };
            assert!(line(&event, Shape::Record).contains(&format!("\"address\":\"{address}\"")));
        }
        let mut out = Vec::new();
        hex(u128::MAX - 1, &mut out);
        assert_eq!(out, format!("{:032x}", u128::MAX - 1).as_bytes());
    }

    #[test]
    fn text_of_a_stranger_stays_in_its_string() {
        let evil = "a\"}\n{\"outcome\":\"handed_out\"\r\u{9b}31m\u{1b}[2J\\\u{202e}\u{2028}é\u{7f}";
        let event = Event { caller: Some(evil.into()), origin: Some(evil.into()), ..Event::default() };
        let record = line(&event, Shape::Record);
        assert_eq!(record.matches('\n').count(), 1, "{record}");
        let parsed: Json = serde_json::from_str(&record).expect("is JSON");
        assert_eq!((&parsed["caller"], &parsed["outcome"]), (&Json::from(evil), &Json::from("refused")));
        for text in [record, line(&event, Shape::Log(Form::Text { ansi: false }))] {
            assert!(!text.trim_end().contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
        }
    }

    #[test]
    fn no_character_of_unicode_is_hidden_in_a_line() {
        let all: Vec<char> = ('\0'..=char::MAX).collect();
        for part in all.chunks(MAX_TEXT) {
            let text: String = part.iter().collect();
            let event =
                Event { caller: Some(text.as_str().into()), origin: Some(text.into()), ..Event::default() };
            for shape in [Shape::Record, Shape::Log(Form::Json), Shape::Log(Form::Text { ansi: false })] {
                let line = line(&event, shape);
                assert!(!line.trim_end().contains(printable::is_hidden), "{line:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back_from_json(caller in ".{0,80}", origin in "\\PC{0,40}") {
            let event = Event { caller: Some(caller.as_str().into()), origin: Some(origin.as_str().into()), ..Event::default() };
            let record = line(&event, Shape::Record);
            prop_assert_eq!(record.lines().count(), 1);
            let parsed: Json = serde_json::from_str(&record).expect("is JSON");
            prop_assert_eq!(&parsed["caller"], &Json::from(caller));
            prop_assert_eq!(&parsed["origin"], &Json::from(origin));
        }
    }
}
