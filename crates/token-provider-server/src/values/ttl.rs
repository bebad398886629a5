//! Lifetimes of tokens.

use std::time::Duration;

use token_provider::MAX_LIFETIME;

use super::duration::duration;

/// Below a minute most of a token's life would go by in refreshing it.
const MIN_LIFETIME: Duration = Duration::from_secs(60);

/// Used when the configuration lists none, in seconds. Few, as each one in use is one more token to keep fresh; the
/// largest is the longest that HERE gives.
const DEFAULT: [u64; 11] = [60, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400];

/// The lifetimes that tokens are requested with: shortest first, each once, one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetimes(Vec<Duration>);

impl Lifetimes {
    /// The lifetime for callers that name none, in seconds.
    pub const USUAL: u64 = 3600;

    /// Sorts lifetimes. `None` where there is none.
    pub(crate) fn new(mut lifetimes: Vec<Duration>) -> Option<Self> {
        lifetimes.sort_unstable();
        lifetimes.dedup();
        (!lifetimes.is_empty()).then_some(Self(lifetimes))
    }

    /// Returns the longest lifetime that is not above so many seconds. `None` where all are.
    pub fn round_down(&self, seconds: u64) -> Option<Duration> {
        let wanted = Duration::from_secs(seconds);
        self.iter().take_while(|lifetime| *lifetime <= wanted).last()
    }

    /// Returns the lifetime for callers that name none: an hour, or the nearest below, or else the shortest.
    pub fn usual(&self) -> Duration {
        self.round_down(Self::USUAL).unwrap_or_else(|| self.shortest())
    }

    /// Returns the shortest lifetime.
    pub fn shortest(&self) -> Duration {
        *self.0.first().expect("there is always one")
    }

    /// Returns each lifetime, shortest first.
    pub fn iter(&self) -> impl Iterator<Item = Duration> {
        self.0.iter().copied()
    }
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self(DEFAULT.map(Duration::from_secs).into())
    }
}

/// Reads a token's lifetime.
pub(crate) fn lifetime(text: &str) -> Result<Duration, &'static str> {
    let lifetime = duration(text)?;
    if lifetime < MIN_LIFETIME || lifetime > MAX_LIFETIME {
        return Err("expected a lifetime from 60s to 24h");
    }
    Ok(lifetime)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lifetimes_have_bounds() {
        for (text, good) in [("59s", false), ("60", true), ("24h", true), ("24h1s", false), ("0", false)] {
            assert_eq!(lifetime(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn wishes_are_rounded_down() {
        let lifetimes = Lifetimes::default();
        for (wish, expected) in [
            (0, None),
            (59, None),
            (60, Some(60)),
            (299, Some(60)),
            (3600, Some(3600)),
            (86_399, Some(43_200)),
            (86_400, Some(86_400)),
            (u64::MAX, Some(86_400)),
        ] {
            assert_eq!(lifetimes.round_down(wish), expected.map(Duration::from_secs), "{wish}");
        }
    }

    #[test]
    fn usual_one_is_an_hour_or_what_comes_nearest() {
        for (seconds, expected) in [(vec![60, 3600, 7200], 3600), (vec![300, 900], 900), (vec![7200], 7200)] {
            let lifetimes = Lifetimes::new(seconds.into_iter().map(Duration::from_secs).collect());
            assert_eq!(lifetimes.unwrap().usual(), Duration::from_secs(expected));
        }
    }

    #[test]
    fn there_is_always_one() {
        assert_eq!(Lifetimes::new(Vec::new()), None);
        assert_eq!(Lifetimes::default().shortest(), Duration::from_secs(60));
    }

    proptest! {
        #[test]
        fn they_are_in_order_and_none_is_lost(seconds in prop::collection::vec(60_u64..=86_400, 1..12)) {
            let lifetimes = Lifetimes::new(seconds.iter().map(|seconds| Duration::from_secs(*seconds)).collect());
            let read: Vec<u64> = lifetimes.unwrap().iter().map(|lifetime| lifetime.as_secs()).collect();
            prop_assert!(read.is_sorted_by(|one, next| one < next));
            prop_assert!(seconds.iter().all(|wanted| read.contains(wanted)));
            prop_assert!(read.iter().all(|found| seconds.contains(found)));
        }
    }
}
