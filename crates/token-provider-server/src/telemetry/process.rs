//! What the process takes of the machine, as `/proc` has it; under the names that all Prometheus clients use.

use std::fs;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::{Exposition, Kind};

/// Where the fields of `/proc/self/stat` are, counted from the one after the program's name (proc(5)).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const THREADS: usize = 17;
const START_TICKS: usize = 19;
const VIRTUAL_BYTES: usize = 20;
const RESIDENT_PAGES: usize = 21;

/// A look at the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Process {
    /// Time on a processor.
    pub cpu: Duration,
    /// When it was started, since the epoch.
    pub start: Duration,
    /// Memory in use.
    pub resident_bytes: u64,
    /// Address space.
    pub virtual_bytes: u64,
    /// Its threads.
    pub threads: u64,
    /// File descriptors.
    pub open_files: u64,
    /// The limit of these; `None` when there is none.
    pub max_files: Option<u64>,
}

impl Process {
    /// Looks; `None` where there is no `/proc`. Reads a few files and lists a folder with an entry for each connection.
    pub fn look() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())?;
        let (ticks, page) = (clock_ticks_per_second(), u64::try_from(page_size()).ok()?);
        let look = Self::parse(&stat, Duration::from_secs(boot), ticks, page)?;
        // The listing itself has one open.
        let open_files = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
        let max_files = getrlimit(Resource::Nofile).current;
        Some(Self { open_files: u64::try_from(open_files).ok()?, max_files, ..look })
    }

    fn parse(stat: &str, boot: Duration, ticks_per_second: u64, page_size: u64) -> Option<Self> {
        // The program's name is in parentheses, and may hold some of its own.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<u64> = fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        let field = |index: usize| fields.get(index).copied();
        let span = |ticks: u64| Duration::from_millis(ticks.saturating_mul(1000) / ticks_per_second.max(1));
        Some(Self {
            cpu: span(field(USER_TICKS)? + field(SYSTEM_TICKS)?),
            start: boot + span(field(START_TICKS)?),
            resident_bytes: field(RESIDENT_PAGES)?.saturating_mul(page_size),
            virtual_bytes: field(VIRTUAL_BYTES)?,
            threads: field(THREADS)?,
            open_files: 0,
            max_files: None,
        })
    }

    /// Writes it onto a page of metrics.
    pub fn write(&self, page: &mut Exposition<'_>) {
        page.family("process_cpu_seconds_total", Kind::Counter, "Time spent on processors, user and system.")
            .count(&[], self.cpu.as_secs_f64());
        page.family("process_resident_memory_bytes", Kind::Gauge, "Memory in use.")
            .sample(&[], self.resident_bytes);
        page.family("process_virtual_memory_bytes", Kind::Gauge, "Address space in use.")
            .sample(&[], self.virtual_bytes);
        page.family("process_threads", Kind::Gauge, "Threads.").sample(&[], self.threads);
        page.family("process_open_fds", Kind::Gauge, "Open file descriptors.").sample(&[], self.open_files);
        if let Some(limit) = self.max_files {
            page.family("process_max_fds", Kind::Gauge, "Limit of open file descriptors.").sample(&[], limit);
        }
        page.family("process_start_time_seconds", Kind::Gauge, "Start of the process, since the Unix epoch.")
            .seconds(&[], self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_proc_5() {
        let stat =
            "4711 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 20 0 7 0 12345 99000 321 18446744073709551615 1";
        let look = Process::parse(stat, Duration::from_secs(1000), 100, 4096).expect("is complete");
        assert_eq!(look.cpu, Duration::from_secs(3));
        assert_eq!(look.start, Duration::from_millis(1_123_450));
        assert_eq!((look.threads, look.virtual_bytes, look.resident_bytes), (7, 99_000, 321 * 4096));
        assert_eq!(Process::parse("4711 (a) S 1 2", Duration::ZERO, 100, 4096), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_found() {
        let look = Process::look().expect("there is a /proc");
        assert!(look.resident_bytes > 100_000 && look.threads > 0 && look.open_files > 2, "{look:?}");
        assert!(look.start > Duration::from_secs(1_600_000_000), "{look:?}");
    }
}
