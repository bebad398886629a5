//! Points in time as text: RFC 3339, in UTC, with milliseconds.

use std::time::Duration;

const DAY: u64 = 86_400;

/// Writes times, and remembers the last second's text: lines come in order, many to a second.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: Option<u64>,
    text: [u8; 19],
}

impl Stamp {
    /// Appends a time, given since the epoch.
    pub(super) fn write(&mut self, time: Duration, out: &mut Vec<u8>) {
        let second = time.as_secs();
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = text(second);
        }
        out.extend_from_slice(&self.text);
        let mut millis = *b".000Z";
        put(millis.get_mut(1..4), u64::from(time.subsec_millis()));
        out.extend_from_slice(&millis);
    }
}

/// Returns a time, given since the epoch, as text.
pub fn rfc_3339(time: Duration) -> String {
    let mut out = Vec::with_capacity(24);
    Stamp::default().write(time, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

fn text(second: u64) -> [u8; 19] {
    let (year, month, day) = date(second / DAY);
    let rest = second % DAY;
    let mut text = *b"0000-00-00T00:00:00";
    // Years of five digits do not come up; they would lose their first.
    put(text.get_mut(0..4), year);
    put(text.get_mut(5..7), month);
    put(text.get_mut(8..10), day);
    put(text.get_mut(11..13), rest / 3600);
    put(text.get_mut(14..16), rest / 60 % 60);
    put(text.get_mut(17..19), rest % 60);
    text
}

/// Fills a place with decimal digits.
fn put(place: Option<&mut [u8]>, mut number: u64) {
    for digit in place.unwrap_or_default().iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

/// The Gregorian date of a day since 1970-01-01. Years are taken to begin in March, so that the leap day is their last.
fn date(day: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, in eras of 400 years (146,097 days).
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let year = year + era * 400;
    if month < 10 { (year, month + 3, of_month) } else { (year + 1, month - 9, of_month) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date_utc() {
        // `date -u -d @… --iso-8601=seconds`
        for (second, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000Z"),
            (1_767_225_600, "2026-01-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc_3339(Duration::from_secs(second)), expected);
        }
        assert_eq!(rfc_3339(Duration::from_micros(1_999_999)), "1970-01-01T00:00:01.999Z");
    }

    #[test]
    fn days_follow_each_other() {
        let mut before = date(0);
        for day in 1..200_000 {
            let after = date(day);
            let is_next = after == (before.0, before.1, before.2 + 1)
                || (after.2 == 1
                    && before.2 >= 28
                    && (after.1 == before.1 + 1 || (after.1 == 1 && before.1 == 12)));
            assert!(is_next, "{before:?} {after:?}");
            before = after;
        }
    }

    #[test]
    fn remembered_second_is_let_go() {
        let (mut stamp, mut out) = (Stamp::default(), Vec::new());
        for millis in [0, 5, 1000, 999] {
            stamp.write(Duration::from_millis(millis), &mut out);
        }
        let expected = "1970-01-01T00:00:00.000Z1970-01-01T00:00:00.005Z1970-01-01T00:00:01.000Z1970-01-01T00:00:00.999Z";
        assert_eq!(String::from_utf8(out).expect("is text"), expected);
    }
}
