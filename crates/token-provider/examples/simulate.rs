//! Lives many simulated lives and reports whether any promise was broken.
//!
//! ```text
//! cargo run --release -p token-provider --example simulate -- --seeds 100000
//! cargo run --release -p token-provider --example simulate -- --seed 4711
//! ```

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command: figures to stdout, progress to stderr"
)]

#[path = "../tests/it/world/mod.rs"]
mod world;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use self::world::{Counts, Report};

const USAGE: &str = "usage: simulate [--seeds N] [--first S] [--seed S]

  --seeds N   live so many lives (default 1000), on all cores
  --first S   with the seeds from S on (default 0)
  --seed S    live this one life, and tell its trace";

/// How often progress is shown.
const BEAT: Duration = Duration::from_millis(500);

enum Task {
    Many { first: u64, seeds: u64 },
    One(u64),
}

/// What all lives so far came to.
#[derive(Default)]
struct Sum {
    lives: u64,
    simulated: Duration,
    counts: Counts,
    broken: Vec<Report>,
}

fn main() -> ExitCode {
    let task = match parse(std::env::args().skip(1)) {
        Ok(task) => task,
        Err(problem) => {
            eprintln!("error: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let sum = match task {
        Task::One(seed) => {
            let report = world::run(seed);
            println!("seed {seed}: trace {:016x}", report.trace);
            let mut sum = Sum::default();
            sum.add(report);
            sum
        }
        Task::Many { first, seeds } => many(first, seeds),
    };
    sum.print();
    if sum.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Task, String> {
    let (mut first, mut seeds, mut one) = (0, 1000, None);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        let value = value.ok_or_else(|| format!("{name}: expected a number after it"))?;
        match name.as_str() {
            "--first" => first = value,
            "--seeds" => seeds = value,
            "--seed" => one = Some(value),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(one.map_or(Task::Many { first, seeds }, Task::One))
}

/// Lives all lives, each core taking the next seed when it is done with one.
fn many(first: u64, seeds: u64) -> Sum {
    let next = AtomicU64::new(first);
    let end = first.saturating_add(seeds);
    let sum = Mutex::new(Sum::default());
    let is_done = AtomicBool::new(false);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let progress = scope.spawn(|| show_progress(&sum, seeds, &is_done));
        let workers: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end {
                            return;
                        }
                        let report = world::run(seed);
                        locked(&sum).add(report);
                    }
                })
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        is_done.store(true, Ordering::Relaxed);
        progress.thread().unpark();
        assert!(ended.iter().all(Result::is_ok), "a life panicked");
    });
    sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn locked(sum: &Mutex<Sum>) -> std::sync::MutexGuard<'_, Sum> {
    sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn show_progress(sum: &Mutex<Sum>, seeds: u64, is_done: &AtomicBool) {
    const WIDTH: u64 = 40;
    if !std::io::stderr().is_terminal() {
        return;
    }
    while !is_done.load(Ordering::Relaxed) {
        std::thread::park_timeout(BEAT);
        let sum = locked(sum);
        let filled = WIDTH * sum.lives / seeds.max(1);
        let bar: String = (0..WIDTH).map(|cell| if cell < filled { '#' } else { '.' }).collect();
        eprint!(
            "\r[{bar}] {}/{seeds} lives, {:.1} years, {} broken ",
            sum.lives,
            sum.years(),
            sum.broken.len()
        );
        let _ = std::io::stderr().flush();
    }
    eprintln!();
}

impl Sum {
    fn add(&mut self, report: Report) {
        self.lives += 1;
        self.simulated += report.simulated;
        self.counts.calls += report.counts.calls;
        self.counts.handouts += report.counts.handouts;
        self.counts.requests += report.counts.requests;
        self.counts.reports += report.counts.reports;
        self.counts.replacements += report.counts.replacements;
        self.counts.faults += report.counts.faults;
        if !report.violations.is_empty() {
            self.broken.push(report);
        }
    }

    fn years(&self) -> f64 {
        self.simulated.as_secs_f64() / (365.25 * 86_400.0)
    }

    fn print(&self) {
        let Counts { calls, handouts, requests, reports, replacements, faults } = self.counts;
        println!("lives            {}", self.lives);
        println!("simulated years  {:.1}", self.years());
        println!("faults injected  {faults}");
        println!("requests         {requests}");
        println!("calls            {calls}");
        println!("handouts         {handouts}");
        println!("reports          {reports}");
        println!("replacements     {replacements}");
        println!(
            "violations       {}",
            self.broken.iter().map(|report| report.violations.len()).sum::<usize>()
        );
        let mut broken: Vec<&Report> = self.broken.iter().collect();
        broken.sort_by_key(|report| report.seed);
        for report in broken.iter().take(10) {
            println!("\nseed {} (repeat it with --seed {}):", report.seed, report.seed);
            for violation in &report.violations {
                println!("- {violation}");
            }
        }
    }
}
