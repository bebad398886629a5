//! The lifetimes that tokens are asked for with (`lifetimes`).

use std::time::Duration;

use super::read::{List, Section};
use super::units::lifetime;

/// Used when the configuration lists none, in seconds. Few, as each one in use is one more token to keep fresh; the
/// largest is the longest that HERE gives.
const DEFAULT: [u64; 11] = [60, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400];

/// The lifetimes that tokens are asked for with: shortest first, each once, one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetimes {
    shortest: Duration,
    /// In ascending order.
    longer: Vec<Duration>,
}

impl Lifetimes {
    /// What callers wish for who name no lifetime, in seconds.
    pub const USUAL: u64 = 3600;

    /// Returns the longest lifetime that is not above so many seconds. `None` where all are.
    pub fn round_down(&self, seconds: u64) -> Option<Duration> {
        let wish = Duration::from_secs(seconds);
        self.iter().take_while(|lifetime| *lifetime <= wish).last()
    }

    /// Returns the lifetime for callers that name none: an hour, or the nearest below, or else the shortest.
    pub fn usual(&self) -> Duration {
        self.round_down(Self::USUAL).unwrap_or(self.shortest)
    }

    /// Returns the shortest lifetime.
    pub fn shortest(&self) -> Duration {
        self.shortest
    }

    /// Returns each lifetime, shortest first.
    pub fn iter(&self) -> impl Iterator<Item = Duration> {
        std::iter::once(self.shortest).chain(self.longer.iter().copied())
    }

    fn new(mut lifetimes: Vec<Duration>) -> Option<Self> {
        lifetimes.sort_unstable();
        lifetimes.dedup();
        let (shortest, longer) = lifetimes.split_first()?;
        Some(Self { shortest: *shortest, longer: longer.to_vec() })
    }
}

impl Default for Lifetimes {
    fn default() -> Self {
        let [shortest, longer @ ..] = DEFAULT.map(Duration::from_secs);
        Self { shortest, longer: longer.into() }
    }
}

pub(super) fn read(section: &mut Section<'_>) -> Lifetimes {
    section.list("lifetimes", List::NotEmptyNumbers, lifetime).and_then(Lifetimes::new).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
