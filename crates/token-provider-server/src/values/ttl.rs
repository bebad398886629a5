//! Lifetimes of tokens.

use std::time::Duration;

use token_provider::{DEFAULT_LIFETIME, MAX_LIFETIME};

use super::duration::duration;

/// The shortest lifetime that is handed out: below a minute most of a token's life would go by in refreshing it. The longest is
/// HERE's, [`MAX_LIFETIME`].
pub(crate) const MIN_LIFETIME: Duration = Duration::from_secs(60);

/// Used when the configuration lists none, in seconds. Few, as each one in use is one more token to keep fresh; the
/// largest is the longest that HERE gives.
const DEFAULT: [u64; 11] = [60, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400];

/// The lifetimes that tokens are requested with: shortest first, each once, one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetimes(Vec<Duration>);

impl Lifetimes {
    /// Sorts lifetimes. `None` where there is none.
    pub(crate) fn new(mut lifetimes: Vec<Duration>) -> Option<Self> {
        lifetimes.sort_unstable();
        lifetimes.dedup();
        (!lifetimes.is_empty()).then_some(Self(lifetimes))
    }

    /// Returns the longest lifetime that is not above this one, or the shortest where all are.
    pub fn round_down(&self, wanted: Duration) -> Duration {
        self.iter().take_while(|lifetime| *lifetime <= wanted).last().unwrap_or_else(|| self.shortest())
    }

    /// Returns the lifetime for callers that name none: an hour, or the nearest below, or else the shortest.
    pub fn usual(&self) -> Duration {
        self.round_down(DEFAULT_LIFETIME)
    }

    /// Returns the shortest lifetime.
    pub fn shortest(&self) -> Duration {
        *self.0.first().expect("there is always one")
    }

    /// Returns the longest lifetime.
    pub fn longest(&self) -> Duration {
        *self.0.last().expect("there is always one")
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
    let is_within = (MIN_LIFETIME..=MAX_LIFETIME).contains(&lifetime);
    is_within.then_some(lifetime).ok_or("expected a lifetime from 60s to 24h")
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
    fn lifetimes_are_rounded_down_but_not_below_the_shortest() {
        let lifetimes = Lifetimes::default();
        for (wanted, expected) in [
            (0, 60),
            (59, 60),
            (60, 60),
            (299, 60),
            (3600, 3600),
            (86_399, 43_200),
            (86_400, 86_400),
            (u64::MAX, 86_400),
        ] {
            let found = lifetimes.round_down(Duration::from_secs(wanted));
            assert_eq!(found, Duration::from_secs(expected), "{wanted}");
        }
    }

    #[test]
    fn default_lifetime_is_an_hour_or_the_nearest() {
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
        fn lifetimes_stay_sorted_and_complete(seconds in prop::collection::vec(60_u64..=86_400, 1..12)) {
            let lifetimes = Lifetimes::new(seconds.iter().map(|seconds| Duration::from_secs(*seconds)).collect());
            let read: Vec<u64> = lifetimes.unwrap().iter().map(|lifetime| lifetime.as_secs()).collect();
            prop_assert!(read.is_sorted_by(|one, next| one < next));
            prop_assert!(seconds.iter().all(|wanted| read.contains(wanted)));
            prop_assert!(read.iter().all(|found| seconds.contains(found)));
        }
    }
}
