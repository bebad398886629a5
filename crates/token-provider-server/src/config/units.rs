//! Spans of time, rates and names, as people write them.

use std::num::NonZeroU32;
use std::time::Duration;

use super::read::Fault;

/// The shortest and the longest lifetime that can be asked for: HERE takes up to a day, and below a minute most of a
/// token's life would go by in refreshing it.
pub(super) const LIFETIME_BOUNDS: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(86_400));

/// A server that goes on for longer after SIGTERM looks as if it hung.
const LONGEST_DRAIN: Duration = Duration::from_secs(10 * 60);

/// What the library takes; HERE's own are a tenth of this.
const LONGEST_SCOPE: usize = 1024;

/// Reads `90s`, `15m`, `1h`, `1h30m` or plain seconds.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text)
        .ok_or("expected a span of time such as \"90s\", \"15m\" or \"1h30m\", or a number of seconds")
}

/// Reads a token's lifetime.
pub(super) fn lifetime(text: &str) -> Result<Duration, &'static str> {
    let lifetime = duration(text)?;
    let (shortest, longest) = LIFETIME_BOUNDS;
    if lifetime < shortest || lifetime > longest {
        return Err("expected a lifetime from 60s to 24h");
    }
    Ok(lifetime)
}

/// Reads how long a server that is to stop goes on serving.
pub(super) fn drain(text: &str) -> Result<Duration, &'static str> {
    let drain = duration(text)?;
    if drain > LONGEST_DRAIN {
        return Err("expected a span of time from 0s to 10m");
    }
    Ok(drain)
}

fn parse_duration(text: &str) -> Option<Duration> {
    if let Some(seconds) = whole_number(text) {
        return Some(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut total: u64 = 0;
    // In this order, each at most once, so that there is one reading of every text.
    for (unit, seconds) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            total = total.checked_add(whole_number(number)?.checked_mul(seconds)?)?;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then(|| Duration::from_secs(total))
}

/// Decimal digits only: `parse` alone would take `+5`.
fn whole_number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Reads `10/s`, `100/m` or `1000/h`: so many, in this span.
pub(super) fn rate(text: &str) -> Result<(NonZeroU32, Duration), &'static str> {
    parse_rate(text).ok_or("expected a rate such as \"10/s\", \"100/m\" or \"1000/h\"")
}

fn parse_rate(text: &str) -> Option<(NonZeroU32, Duration)> {
    let (count, unit) = text.split_once('/')?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    Some((positive(count).ok()?, Duration::from_secs(seconds)))
}

/// Reads a whole number from 1.
pub(super) fn positive(text: &str) -> Result<NonZeroU32, &'static str> {
    whole_number(text)
        .and_then(|number| u32::try_from(number).ok())
        .and_then(NonZeroU32::new)
        .ok_or("expected a whole number from 1")
}

/// Reads the name of a profile or a caller: it stands in URLs, logs and metrics as it is.
pub(super) fn name(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        return Err("expected a name of up to 64 letters, digits, `.`, `_` or `-`");
    }
    Ok(text.to_owned())
}

/// Reads a scope: words of RFC 6749's `scope-token`, separated by single spaces.
pub(super) fn scope(text: &str) -> Result<String, &'static str> {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    if text.len() > LONGEST_SCOPE || !text.split(' ').all(word) {
        return Err("expected a scope such as \"hrn:here:authorization::myrealm:project/p1\"");
    }
    Ok(text.to_owned())
}

/// Accepts only names that are there.
pub(super) fn known_name(
    message: &'static str,
    is_known: impl Fn(&str) -> bool,
    known: impl Fn() -> Vec<String>,
) -> impl Fn(&str) -> Result<String, Fault> {
    move |text| {
        if is_known(text) { Ok(text.to_owned()) } else { Err(Fault::NotOneOf { message, known: known() }) }
    }
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
            "1d",
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
    fn lifetimes_have_bounds() {
        for (text, good) in [("59s", false), ("60", true), ("24h", true), ("24h1s", false), ("0", false)] {
            assert_eq!(lifetime(text).is_ok(), good, "{text}");
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
        assert_eq!(rate("4294967295/h"), Ok((NonZeroU32::MAX, Duration::from_secs(3600))));
    }

    #[test]
    fn names_and_scopes_are_plain_text() {
        for (text, good) in
            [("default", true), ("my-maps.v2_x", true), ("", false), ("a b", false), ("ä", false)]
        {
            assert_eq!(name(text).is_ok(), good, "{text}");
        }
        assert!(name(&"a".repeat(64)).is_ok());
        assert!(name(&"a".repeat(65)).is_err());
        for (text, good) in [
            ("hrn:here:authorization::r:project/p", true),
            ("openid sdp:GROUP-1,GROUP-2", true),
            ("", false),
            (" a", false),
            ("a  b", false),
            ("a\nb", false),
            ("a\"b", false),
        ] {
            assert_eq!(scope(text).is_ok(), good, "{text:?}");
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
            let (count_read, per) = rate(&format!("{count}/{}", unit.0)).unwrap();
            prop_assert_eq!((count_read.get(), per.as_secs()), (count, unit.1));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,12}", close in "[0-9hms/+ -]{0,12}") {
            for text in [text, close] {
                let _ = (duration(&text), rate(&text), positive(&text), name(&text), scope(&text));
            }
        }
    }
}
