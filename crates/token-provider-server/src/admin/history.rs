//! How many requests there were lately: the totals, looked at every few seconds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::http::App;

/// The width of a step in the plots.
const STEP: Duration = Duration::from_secs(5);
/// Ten minutes of them.
const STEPS: usize = 120;

/// All requests for tokens until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) handed_out: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
}

/// The last totals, oldest first.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Totals>>);

/// Requests in each step, oldest first.
#[derive(Debug, Serialize)]
pub(super) struct Rates {
    step_seconds: u64,
    handed_out: Vec<u64>,
    refused: Vec<u64>,
    failed: Vec<u64>,
}

impl Totals {
    pub(super) fn of(app: &App) -> Self {
        let mut totals = Self::default();
        for profile in app.access().handout().status() {
            totals.handed_out += profile.held + profile.waited;
            totals.failed += profile.failed;
        }
        totals.refused = app.telemetry().refusals().map(|(_, count)| count).sum();
        totals
    }
}

impl History {
    /// Samples the totals, forever.
    pub(super) async fn sample(self: Arc<Self>, app: Arc<App>) {
        let mut steps = tokio::time::interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            steps.tick().await;
            self.add(Totals::of(&app));
        }
    }

    fn add(&self, totals: Totals) {
        let mut history = self.0.lock();
        history.push_back(totals);
        // One more than there are steps between them.
        if history.len() > STEPS + 1 {
            history.pop_front();
        }
    }

    pub(super) fn rates(&self) -> Rates {
        let history: Vec<Totals> = self.0.lock().iter().copied().collect();
        let steps = |of: fn(&Totals) -> u64| -> Vec<u64> {
            let pairs = history.iter().zip(history.iter().skip(1));
            pairs.map(|(before, after)| of(after).saturating_sub(of(before))).collect()
        };
        Rates {
            step_seconds: STEP.as_secs(),
            handed_out: steps(|totals| totals.handed_out),
            refused: steps(|totals| totals.refused),
            failed: steps(|totals| totals.failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_the_differences_of_the_last_ten_minutes() {
        let history = History::default();
        assert!(history.rates().handed_out.is_empty());
        for step in 0..500_u64 {
            history.add(Totals { handed_out: step * step, refused: step, failed: 7 });
        }
        let rates = history.rates();
        assert_eq!((rates.handed_out.len(), rates.refused.len(), rates.failed.len()), (120, 120, 120));
        assert_eq!(rates.handed_out.last(), Some(&(499 * 499 - 498 * 498)));
        assert!(
            rates.refused.iter().all(|count| *count == 1) && rates.failed.iter().all(|count| *count == 0)
        );
    }
}
