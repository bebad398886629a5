//! How many requests there were lately: the totals, looked at every few seconds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::http::App;

/// The width of a step in the plots.
const STEP: Duration = Duration::from_secs(5);
/// Ten minutes of them.
const STEPS: usize = 120;

/// All requests for tokens until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    handed_out: u64,
    refused: u64,
    failed: u64,
}

/// The last totals, oldest first.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Totals>>);

impl History {
    /// Samples the totals, forever.
    pub(super) async fn sample(self: Arc<Self>, app: Arc<App>) {
        let mut steps = tokio::time::interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            steps.tick().await;
            let refused = app.telemetry().refusals().map(|(_, count)| count).sum();
            let mut totals = Totals { refused, ..Totals::default() };
            for profile in app.access().handout().status() {
                totals.handed_out += profile.held + profile.waited;
                totals.failed += profile.failed;
            }
            self.add(totals);
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

    /// Returns how many requests there were in each step, oldest first.
    pub(super) fn rates(&self) -> Value {
        let history = self.0.lock();
        let steps = |of: fn(&Totals) -> u64| -> Vec<u64> {
            let pairs = history.iter().zip(history.iter().skip(1));
            pairs.map(|(before, after)| of(after).saturating_sub(of(before))).collect()
        };
        json!({
            "step_seconds": STEP.as_secs(),
            "handed_out": steps(|totals| totals.handed_out),
            "refused": steps(|totals| totals.refused),
            "failed": steps(|totals| totals.failed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(rates: &Value, name: &str) -> Vec<u64> {
        rates[name].as_array().expect("is a list").iter().filter_map(Value::as_u64).collect()
    }

    #[test]
    fn rates_are_the_differences_of_the_last_ten_minutes() {
        let history = History::default();
        assert!(series(&history.rates(), "handed_out").is_empty());
        for step in 0..500_u64 {
            history.add(Totals { handed_out: step * step, refused: step, failed: 7 });
        }
        let rates = history.rates();
        let [handed_out, refused, failed] =
            ["handed_out", "refused", "failed"].map(|name| series(&rates, name));
        assert_eq!(handed_out.last(), Some(&(499 * 499 - 498 * 498)));
        assert_eq!((handed_out.len(), refused, failed), (120, vec![1; 120], vec![0; 120]));
    }
}
