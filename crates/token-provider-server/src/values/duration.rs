//! Numbers, spans of time, dates and rates, as people write them.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use governor::Quota;
use toml::value::{Datetime, Offset};

/// In seconds since the Unix epoch. What comes later has no text in RFC 3339.
const YEAR_10_000: u64 = 253_402_300_800;

/// Reads a number in decimal digits: `parse` alone would take `+5`.
pub(crate) fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Reads a whole number from 1.
pub(crate) fn positive(text: &str) -> Result<NonZeroU32, &'static str> {
    digits(text).ok_or("expected a whole number of at least 1")
}

/// Reads `90s`, `15m`, `1h`, `1h30m`, `90d` or plain seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    let seconds = digits(text).or_else(|| sum_of_units(text));
    seconds
        .map(Duration::from_secs)
        .ok_or("expected a duration such as \"90s\", \"15m\", \"1h30m\" or \"90d\", or a number of seconds")
}

fn sum_of_units(text: &str) -> Option<u64> {
    let (mut rest, mut total) = (text, 0_u64);
    // In this order, each at most once, so that there is one reading of every text.
    for (unit, seconds) in [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            total = total.checked_add(digits::<u64>(number)?.checked_mul(seconds)?)?;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

/// Reads a date and time as RFC 3339 has it. Returns how many whole seconds after the Unix epoch it is.
///
/// One without an offset would mean another time wherever the server runs.
pub(crate) fn date_time(text: &str) -> Result<Duration, &'static str> {
    let read = || {
        let Datetime { date, time, offset } = text.parse().ok()?;
        let minutes = if let Offset::Custom { minutes } = offset? { minutes } else { 0 };
        let there = Datetime { date, time, offset: None }.to_string();
        let there = humantime::parse_rfc3339_weak(&there).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let seconds = there.as_secs().checked_add_signed(-60 * i64::from(minutes))?;
        (seconds < YEAR_10_000).then(|| Duration::from_secs(seconds))
    };
    read().ok_or("expected a date and time with its offset from UTC, such as 2030-01-31T00:00:00Z")
}

/// Reads `10/s`, `100/m` or `1000/h`: a token bucket that gains so many in this span, and holds as many.
pub(crate) fn rate(text: &str) -> Result<Quota, &'static str> {
    let quota = [("/s", 1), ("/m", 60), ("/h", 3600)].into_iter().find_map(|(unit, seconds)| {
        let count: NonZeroU32 = digits(text.strip_suffix(unit)?)?;
        // Above one per nanosecond the interval would round down to none.
        let interval = (Duration::from_secs(seconds) / count.get()).max(Duration::from_nanos(1));
        Some(Quota::with_period(interval)?.allow_burst(count))
    });
    quota.ok_or("expected a rate such as \"10/s\", \"100/m\" or \"1000/h\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("1h", 3600),
            ("1h30m", 5400),
            ("1h0m1s", 3601),
            ("1m90s", 150),
            ("24h", 86_400),
            ("90d", 7_776_000),
            ("1d12h", 129_600),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_durations() {
        let texts = [
            "",
            "m",
            "h1",
            "-5",
            "+5",
            "+5s",
            "1.5h",
            "1e3",
            "5 m",
            " 5m",
            "5m ",
            "1m1h",
            "1h1h",
            "5M",
            "5ms",
            "5min",
            "1h1d",
            "d",
            "1w",
            "٣s",
            "99999999999999999999",
            "99999999999999999h",
            "s",
            "hms",
        ];
        for text in texts {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_have_a_time_and_an_offset() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-27T12:00:00Z", 1_795_780_800),
            ("2026-11-27t12:00:00z", 1_795_780_800),
            ("2026-11-27 12:00:00Z", 1_795_780_800),
            ("2026-11-27T12:00:00.999Z", 1_795_780_800),
            ("2026-11-27T14:00:00+02:00", 1_795_780_800),
            ("2026-11-27T01:30:00-10:30", 1_795_780_800),
            ("2026-11-27T12:00:00-00:00", 1_795_780_800),
            ("2028-02-29T00:00:00Z", 1_835_395_200),
            ("9999-12-31T23:59:59Z", YEAR_10_000 - 1),
        ] {
            assert_eq!(date_time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "2026-11-27",
            "2026-11-27T12:00:00",
            "12:00:00",
            "2027-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-27T25:00:00Z",
            "2026-11-27T12:00:00+25:00",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            // Later than any text can say.
            "9999-12-31T23:59:59-00:01",
            "10000-01-01T00:00:00Z",
            "1795780800",
            "90d",
            "tomorrow",
        ] {
            assert!(date_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_a_count_and_a_unit() {
        let texts = [
            "",
            "10",
            "10/",
            "/s",
            "0/s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "10/sec",
            "10 /s",
            "10/s/s",
            "4294967296/s",
        ];
        for text in texts {
            assert!(rate(text).is_err(), "{text}");
        }
        for (text, nanoseconds, burst) in [
            ("10/s", 100_000_000, 10),
            ("100/m", 600_000_000, 100),
            ("1000/h", 3_600_000_000, 1000),
            ("4294967295/h", 838, u32::MAX),
            ("4294967295/s", 1, u32::MAX),
        ] {
            let quota = rate(text).unwrap();
            assert_eq!(quota.replenish_interval(), Duration::from_nanos(nanoseconds), "{text}");
            assert_eq!(quota.burst_size().get(), burst, "{text}");
        }
    }

    proptest! {
        #[test]
        fn durations_round_trip(hours in 0_u64..100_000, minutes in 0_u64..1000, seconds in 0_u64..1000) {
            let expected = Duration::from_secs(hours * 3600 + minutes * 60 + seconds);
            prop_assert_eq!(duration(&format!("{hours}h{minutes}m{seconds}s")), Ok(expected));
            prop_assert_eq!(duration(&expected.as_secs().to_string()), Ok(expected));
        }

        #[test]
        fn rates_round_trip(count in 1_u32.., unit in prop::sample::select(vec![("s", 1), ("m", 60), ("h", 3600)])) {
            let quota = rate(&format!("{count}/{}", unit.0)).unwrap();
            prop_assert_eq!(quota.burst_size().get(), count);
            let whole = quota.replenish_interval() * count;
            // Each interval is rounded down to a nanosecond.
            prop_assert!(whole.abs_diff(Duration::from_secs(unit.1)) <= Duration::from_nanos(count.into()));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,12}", close in "[0-9hmsdTZ:/+ -]{0,25}") {
            for text in [text, close] {
                let _ = (duration(&text), rate(&text), positive(&text), date_time(&text));
            }
        }
    }
}
