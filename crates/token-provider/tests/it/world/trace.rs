//! What happened, in order: as a number that stands for all of it, and as text for the last of it.

use std::collections::VecDeque;
use std::fmt::Debug;

use token_provider::ReportOutcome;

use super::clocks::Now;

/// How much of what went before a violation is told with it.
const TOLD: usize = 60;

pub(crate) struct Trace {
    hash: u64,
    last: VecDeque<(Now, Step)>,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Call { key: usize },
    HandOut { key: usize, token: usize },
    Tell { key: usize },
    GiveUp { key: usize },
    Request { key: usize },
    Token { key: usize, token: usize, expires_in: u64 },
    Failure { key: usize, is_refusal: bool, retry_after: Option<u64> },
    Clocks,
    Rotation,
    Event,
    Report { key: usize, token: usize, outcome: ReportOutcome },
    ReplaceAll,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, last: VecDeque::with_capacity(TOLD) }
    }

    pub(crate) fn note(&mut self, now: Now, step: Step) {
        let (tag, numbers) = match step {
            Step::Call { key } => (1, [key as u64, 0, 0]),
            Step::HandOut { key, token } => (2, [key as u64, token as u64, 0]),
            Step::Tell { key } => (3, [key as u64, 0, 0]),
            Step::GiveUp { key } => (4, [key as u64, 0, 0]),
            Step::Request { key } => (5, [key as u64, 0, 0]),
            Step::Token { key, token, expires_in } => (6, [key as u64, token as u64, expires_in]),
            Step::Failure { key, is_refusal, retry_after } => {
                (7, [key as u64, u64::from(is_refusal), retry_after.map_or(u64::MAX, |asked| asked)])
            }
            Step::Clocks => (8, [now.wall.cast_unsigned(), now.jumps, 0]),
            Step::Rotation => (9, [0; 3]),
            Step::Event => (10, [0; 3]),
            Step::Report { key, token, outcome } => (11, [key as u64, token as u64, outcome as u64]),
            Step::ReplaceAll => (12, [0; 3]),
        };
        let timer = u64::try_from(now.timer.as_nanos()).unwrap_or(u64::MAX);
        let truth = u64::try_from(now.truth.as_nanos()).unwrap_or(u64::MAX);
        for number in [tag, timer, truth].into_iter().chain(numbers) {
            // In the manner of FNV-1a: the same on every machine and with every compiler.
            self.hash = (self.hash ^ number).wrapping_mul(0x0100_0000_01b3);
            self.hash ^= self.hash >> 29;
        }
        if self.last.len() == TOLD {
            self.last.pop_front();
        }
        self.last.push_back((now, step));
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Tells what happened last, one line each.
    pub(crate) fn told(&self) -> String {
        let line = |(now, step): &(Now, Step)| {
            let asleep = now.boot.saturating_sub(now.timer).as_secs();
            let frozen = now.truth.saturating_sub(now.boot).as_secs();
            format!(
                "  {:>12.3} s (asleep {asleep} s, frozen {frozen} s)  {step:?}\n",
                now.timer.as_secs_f64()
            )
        };
        self.last.iter().map(line).collect()
    }
}
