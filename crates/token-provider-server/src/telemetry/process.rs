//! What the process takes of the machine.

use serde::Serialize;

/// A look at the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Process {
    /// Time on a processor.
    pub cpu_seconds: f64,
    /// Memory in use.
    pub resident_memory_bytes: u64,
    /// Address space; no part of the status.
    #[serde(skip)]
    pub virtual_bytes: u64,
    /// Its threads.
    pub threads: u64,
    /// File descriptors.
    pub open_files: u64,
    /// The limit of these; `None` when there is none.
    pub max_files: Option<u64>,
}

impl Process {
    /// Looks; `None` where there is no `/proc`. Reads a file and lists folders, one with an entry for each connection.
    #[cfg(all(target_os = "linux", not(portable)))]
    pub fn look() -> Option<Self> {
        use std::time::Duration;

        use rustix::param::page_size;
        use rustix::process::{Resource, getrlimit};
        use rustix::time::{ClockId, clock_gettime};

        let entries = |folder| std::fs::read_dir(folder).ok()?.count().try_into().ok();
        // Pages: first those of the address space, then those in memory (proc(5)).
        let memory = std::fs::read_to_string("/proc/self/statm").ok()?;
        let page_size = u64::try_from(page_size()).ok()?;
        let mut sizes =
            memory.split(' ').map_while(|pages| pages.parse::<u64>().ok()?.checked_mul(page_size));
        Some(Self {
            cpu_seconds: Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()?.as_secs_f64(),
            virtual_bytes: sizes.next()?,
            resident_memory_bytes: sizes.next()?,
            threads: entries("/proc/self/task")?,
            // The listing itself has one open.
            open_files: u64::saturating_sub(entries("/proc/self/fd")?, 1),
            max_files: getrlimit(Resource::Nofile).current,
        })
    }

    /// Without `/proc` nothing is known.
    #[cfg(not(all(target_os = "linux", not(portable))))]
    pub fn look() -> Option<Self> {
        None
    }
}

#[cfg(all(target_os = "linux", not(portable)))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found() {
        let look = Process::look().expect("there is a /proc");
        assert!(
            look.resident_memory_bytes > 100_000 && look.virtual_bytes > look.resident_memory_bytes,
            "{look:?}"
        );
        assert!(look.threads > 0 && look.open_files > 2 && look.cpu_seconds > 0.0, "{look:?}");
    }
}
