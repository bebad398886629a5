//! W3C Trace Context: which trace of the caller's a request belongs to, for the log and the audit trail.

/// Reads the trace's id, 32 hex digits, from the value of a `traceparent` of version 00; one of a later version is read as
/// far as that goes (§3.2.3).
pub fn trace_id(traceparent: &[u8]) -> Option<Box<str>> {
    let parts: Vec<&str> = str::from_utf8(traceparent).ok()?.splitn(5, '-').collect();
    let [version, trace, span, flags, rest @ ..] = parts.as_slice() else { return None };
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|digit| digit != b'0');
    let is_version = is_hex(version, 2) && *version != "ff" && (*version != "00" || rest.is_empty());
    let is_formed = is_version && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2);
    is_formed.then(|| (*trace).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_the_standards_form_is_read() {
        let later = GOOD.replacen("00-", "cc-", 1) + "-what-comes-later";
        for good in [GOOD, &later] {
            assert_eq!(trace_id(good.as_bytes()).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        }
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
            assert_eq!(trace_id(bad.as_bytes()), None, "{bad}");
        }
    }
}
