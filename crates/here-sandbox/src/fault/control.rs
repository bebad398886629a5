//! The list of faults in force, and which of them a request gets.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::Instant;

use super::{Fault, Target};

/// Injects and clears faults; the in-process twin of `/sandbox/faults`.
#[derive(Debug, Default)]
pub struct FaultControl {
    list: Mutex<Vec<Entry>>,
}

/// A fault, and when it ends by itself.
type Entry = (Fault, Option<Instant>);

/// What one request gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Those that are meant for the request; a later one overrides an earlier one.
    pub(crate) faults: Vec<Fault>,
    /// Seconds to add to the clock.
    pub(crate) skew: i64,
}

impl FaultControl {
    /// Adds a fault to those in force.
    ///
    /// # Panics
    ///
    /// Panics for a fault that is not valid as JSON either: a status outside 200 to 599, say, or a count of 0.
    pub fn inject(&self, fault: Fault) {
        self.lock().push(entry(fault));
    }

    /// Replaces all faults with these.
    ///
    /// # Panics
    ///
    /// As [`FaultControl::inject`].
    pub fn replace(&self, faults: Vec<Fault>) {
        *self.lock() = faults.into_iter().map(entry).collect();
    }

    /// Ends all misbehaviour.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Returns the faults in force, with their remaining counts.
    pub fn list(&self) -> Vec<Fault> {
        self.lock().iter().map(|(fault, _)| fault.clone()).collect()
    }

    /// Finds out what a request gets, and uses up one of a counted fault. Requests that neither get a token nor need one
    /// are [`Target::All`]: only faults for all of them apply. Without a target it is the clock alone, and nothing is used up.
    pub(crate) fn take(&self, target: Option<Target>) -> Applied {
        let mut list = self.lock();
        // The first counted fault with a skew decides, as it does for everything else; else the latest without a count.
        let counted = list.iter().filter(|(fault, _)| fault.count.is_some());
        let staying = list.iter().filter(|(fault, _)| fault.count.is_none()).rev();
        let skew = counted.chain(staying).find_map(|(fault, _)| fault.clock_skew_s).unwrap_or_default();
        let applies =
            |fault: &Fault| target.is_some_and(|target| [target, Target::All].contains(&fault.target));
        let staying = |(fault, _): &&Entry| fault.count.is_none() && applies(fault);
        let mut faults: Vec<_> = list.iter().filter(staying).map(|(fault, _)| fault.clone()).collect();
        let counted = list.iter_mut().find(|(fault, _)| fault.count.is_some() && applies(fault));
        if let Some((fault, _)) = counted {
            faults.push(fault.clone());
            fault.count = fault.count.map(|left| left - 1);
        }
        list.retain(|(fault, _)| fault.count != Some(0));
        Applied { faults, skew }
    }

    /// Drops faults whose time is over.
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|(_, end)| end.is_none_or(|end| Instant::now() < end));
        list
    }
}

fn entry(fault: Fault) -> Entry {
    fault.check().expect("a fault that makes sense");
    let end = fault.for_s.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    (fault, end)
}

impl Applied {
    /// Returns what the last fault that says something about it says.
    pub(crate) fn find<T>(&self, part: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.faults.iter().rev().find_map(part)
    }

    pub(crate) fn status(&self) -> Option<StatusCode> {
        let status = self.find(|fault| fault.status)?;
        Some(StatusCode::from_u16(status).expect("checked when the fault was made"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(control: &FaultControl, target: Target, requests: usize) -> Vec<Option<u16>> {
        (0..requests).map(|_| control.take(Some(target)).find(|fault| fault.status)).collect()
    }

    #[test]
    fn counted_faults_are_used_up_in_order() {
        let control = FaultControl::default();
        control.inject(Fault { status: Some(503), count: Some(2), ..Fault::default() });
        control.inject(Fault { status: Some(429), count: Some(1), ..Fault::default() });
        assert_eq!(statuses(&control, Target::Token, 4), [Some(503), Some(503), Some(429), None]);
        assert_eq!(control.list(), []);
        assert_eq!(control.take(Some(Target::Token)), Applied::default());
    }

    #[test]
    fn fault_without_a_count_is_the_background_of_counted_ones() {
        let control = FaultControl::default();
        control.inject(Fault { lifetime_s: Some(5), ..Fault::default() });
        control.inject(Fault { status: Some(500), lifetime_s: Some(6), ..Fault::default() });
        control.inject(Fault { status: Some(503), count: Some(1), ..Fault::default() });
        let first = control.take(Some(Target::Token));
        assert_eq!(first.find(|fault| fault.status), Some(503));
        assert_eq!(first.find(|fault| fault.lifetime_s), Some(6));
        assert_eq!(statuses(&control, Target::Token, 2), [Some(500), Some(500)]);
        control.clear();
        assert_eq!(statuses(&control, Target::Token, 1), [None]);
    }

    #[test]
    fn fault_applies_to_its_target_alone() {
        use Target::{All, Data, Token};
        for (target, expected) in [(Token, vec![Token]), (Data, vec![Data]), (All, vec![Token, All, Data])] {
            let control = FaultControl::default();
            control.inject(Fault { target, status: Some(500), ..Fault::default() });
            let hit = |requested: &Target| !control.take(Some(*requested)).faults.is_empty();
            assert_eq!([Token, All, Data].into_iter().filter(hit).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn request_for_another_target_uses_up_nothing() {
        let control = FaultControl::default();
        control.inject(Fault { status: Some(503), count: Some(1), ..Fault::default() });
        assert_eq!(statuses(&control, Target::Data, 3), [None, None, None]);
        assert_eq!(statuses(&control, Target::Token, 1), [Some(503)]);
    }

    #[tokio::test(start_paused = true)]
    async fn fault_ends_by_itself_after_its_time() {
        let control = FaultControl::default();
        control.replace(vec![
            Fault { status: Some(503), for_s: Some(20), ..Fault::default() },
            Fault { clock_skew_s: Some(600), ..Fault::default() },
        ]);
        control.inject(Fault { clock_skew_s: Some(7), for_s: Some(30), ..Fault::default() });
        tokio::time::advance(Duration::from_millis(19_999)).await;
        assert_eq!(statuses(&control, Target::Token, 1), [Some(503)]);
        assert_eq!((control.list().len(), control.take(None).skew), (3, 7));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(statuses(&control, Target::Token, 1), [None]);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(control.list(), [Fault { clock_skew_s: Some(600), ..Fault::default() }]);
        assert_eq!(control.take(None).skew, 600);
    }

    #[test]
    fn clock_skew_is_in_force_everywhere_until_used_up() {
        let control = FaultControl::default();
        control.inject(Fault { clock_skew_s: Some(600), count: Some(2), ..Fault::default() });
        control.inject(Fault { clock_skew_s: Some(7), ..Fault::default() });
        assert_eq!(control.take(Some(Target::Token)).skew, 600);
        assert_eq!(control.take(Some(Target::All)).skew, 600);
        assert_eq!(control.take(Some(Target::Token)).skew, 600);
        assert_eq!(control.take(None), Applied { skew: 7, ..Applied::default() });
        control.inject(Fault { clock_skew_s: Some(8), ..Fault::default() });
        assert_eq!(control.take(None).skew, 8);
    }
}
