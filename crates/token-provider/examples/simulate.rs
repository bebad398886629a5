//! Lives many simulated lives, of a provider or of a fleet that shares a store, and reports whether any promise was broken.
//!
//! ```text
//! cargo run --release -p token-provider --example simulate -- --seeds 100000
//! cargo run --release -p token-provider --example simulate -- --seed 4711
//! cargo run --release -p token-provider --example simulate -- --fleet --seeds 20000 --servers 8
//! ```

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command: figures to stdout, progress to stderr"
)]

#[path = "../tests/it/fleet/mod.rs"]
mod fleet;
#[path = "../tests/it/world/mod.rs"]
mod world;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const USAGE: &str = "usage: simulate [--fleet] [--seeds N] [--first S] [--seed S] [--servers M]

  --seeds N   live so many lives (default 1000), on all cores
  --first S   with the seeds from S on (default 0)
  --seed S    live this one life, and tell its trace
  --fleet     lives of a fleet of servers that share a store
  --servers M of at most so many servers (default 8)";

/// How often progress is shown.
const BEAT: Duration = Duration::from_millis(500);

struct Task {
    first: u64,
    seeds: u64,
    /// Lives a fleet of at most so many servers, instead of one provider.
    servers: Option<usize>,
}

/// What a life came to.
struct Report {
    seed: u64,
    simulated: Duration,
    trace: u64,
    counts: Vec<(&'static str, u64)>,
    violations: Vec<String>,
}

/// What all lives so far came to.
#[derive(Default)]
struct Sum {
    lives: u64,
    simulated: Duration,
    counts: Vec<(&'static str, u64)>,
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
    let sum = if task.seeds == 1 {
        let report = live(task.first, task.servers);
        println!("seed {}: trace {:016x}", report.seed, report.trace);
        let mut sum = Sum::default();
        sum.add(report);
        sum
    } else {
        many(&task)
    };
    sum.print();
    if sum.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Task, String> {
    let (mut first, mut seeds, mut is_fleet, mut servers) = (0_u64, 1000_u64, false, 8_u64);
    while let Some(name) = arguments.next() {
        if name == "--fleet" {
            is_fleet = true;
            continue;
        }
        let value = arguments.next().and_then(|value| value.parse().ok());
        let value = value.ok_or_else(|| format!("{name}: expected a number after it"))?;
        match name.as_str() {
            "--first" => first = value,
            "--seeds" => seeds = value,
            "--seed" => (first, seeds) = (value, 1),
            "--servers" => servers = value,
            _ => return Err(format!("unknown option {name}")),
        }
    }
    let servers = usize::try_from(servers).map_err(|_| "--servers: too many".to_owned())?;
    Ok(Task { first, seeds, servers: is_fleet.then_some(servers) })
}

fn live(seed: u64, servers: Option<usize>) -> Report {
    if let Some(servers) = servers {
        let fleet::Report { seed, simulated, counts, trace, violations } = fleet::run(seed, servers);
        let fleet::Counts { servers, handouts, shared, requests, tokens, reports, faults } = counts;
        let counts = vec![
            ("servers", servers),
            ("faults injected", faults),
            ("requests", requests),
            ("tokens", tokens),
            ("handouts", handouts),
            ("of another's", shared),
            ("reports", reports),
        ];
        return Report { seed, simulated, trace, counts, violations };
    }
    let world::Report { seed, simulated, counts, trace, violations } = world::run(seed);
    let world::Counts { calls, handouts, requests, reports, replacements, faults } = counts;
    let counts = vec![
        ("faults injected", faults),
        ("requests", requests),
        ("calls", calls),
        ("handouts", handouts),
        ("reports", reports),
        ("replacements", replacements),
    ];
    Report { seed, simulated, trace, counts, violations }
}

/// Lives all lives, each core taking the next seed when it is done with one.
fn many(&Task { first, seeds, servers }: &Task) -> Sum {
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
                        let report = live(seed, servers);
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
        self.counts.resize(report.counts.len(), ("", 0));
        for (sum, (name, count)) in self.counts.iter_mut().zip(&report.counts) {
            *sum = (name, sum.1 + count);
        }
        if !report.violations.is_empty() {
            self.broken.push(report);
        }
    }

    fn years(&self) -> f64 {
        self.simulated.as_secs_f64() / (365.25 * 86_400.0)
    }

    fn print(&self) {
        println!("lives            {}", self.lives);
        println!("simulated years  {:.1}", self.years());
        for (name, count) in &self.counts {
            println!("{name:16} {count}");
        }
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
