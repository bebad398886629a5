//! How many connections this process has room for, by the limits that the system sets it.

use std::fmt;
use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit, setrlimit};

use super::Limits;

const MIB: u64 = 1024 * 1024;
/// What the program itself takes, with tokens, answers and what many processors do at once.
const RESERVED_MEMORY: u64 = 64 * MIB;
/// What a connection takes at most: a head, TLS, the buffers of HTTP/2 and a request under way.
const CONNECTION_MEMORY: u64 = 96 * 1024;
/// Descriptors for the issuer, identity providers, files, and all connections of the admin listener.
const RESERVED_FILES: u64 = 64;

/// How many connections there may be, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    connections: usize,
    bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Most,
    Memory(u64),
    Files(u64),
}

impl Capacity {
    /// Looks at the limits of this process, and raises that of open files as far as the system allows: many shells have
    /// 1,024. Reads files of the kernel.
    pub fn of_process() -> Self {
        Self::within(memory_limit(Path::new("/")), raise_file_limit())
    }

    fn within(memory: Option<u64>, files: Option<u64>) -> Self {
        let most = Limits::default().connections;
        let by_memory = memory
            .map(|limit| (limit.saturating_sub(RESERVED_MEMORY) / CONNECTION_MEMORY, Bound::Memory(limit)));
        let by_files = files.map(|limit| (limit.saturating_sub(RESERVED_FILES), Bound::Files(limit)));
        let bounds = [by_memory, by_files].into_iter().flatten();
        let bounds = bounds.filter_map(|(room, bound)| Some((usize::try_from(room.max(1)).ok()?, bound)));
        // Of equal bounds the first counts: to raise a limit that leaves room for the maximum is of no use.
        let bounds = [(most, Bound::Most)].into_iter().chain(bounds);
        let (connections, bound) = bounds.min_by_key(|(room, _)| *room).unwrap_or((most, Bound::Most));
        Self { connections, bound }
    }

    /// Says whether it is the limit of open files that leaves less room than there could be.
    pub fn is_short_of_files(&self) -> bool {
        matches!(self.bound, Bound::Files(_))
    }

    /// Returns the usual limits within this room. One address has a quarter of it.
    pub fn limits(&self) -> Limits {
        let each = (self.connections / 4).max(1);
        Limits { connections: self.connections, connections_per_peer: each, ..Limits::default() }
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, bound } = self;
        write!(f, "up to {connections} connections at once: ")?;
        match bound {
            Bound::Most => f.write_str("the built-in maximum"),
            Bound::Memory(limit) => write!(f, "the memory limit is {} MiB", limit / MIB),
            Bound::Files(limit) => write!(f, "the limit of open files is {limit}"),
        }
    }
}

/// Returns what the limit of open files is then; `None` where there is none.
fn raise_file_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    getrlimit(Resource::Nofile).current
}

/// Returns the lowest memory limit of this process's control groups (cgroups(7)), of version 2 or 1, and of all above them:
/// each counts for what is below. In a container their names may be those of the host, whose folders are not there: the
/// container's own is at the root then.
fn memory_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (mount, file) = match parts.next()? {
            "" => ("sys/fs/cgroup", "memory.max"),
            names if names.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let group = Path::new(parts.next()?.trim_start_matches('/'));
        let limits = group.ancestors().filter_map(|group| limit_in(&root.join(mount).join(group).join(file)));
        limits.min()
    });
    limits.min()
}

/// `max` is none.
fn limit_in(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths below `sys/fs/cgroup`, and what is in them.
    type Files = &'static [(&'static str, &'static str)];

    #[test]
    fn the_narrowest_bound_counts_and_is_named() {
        for (memory, files, expected) in [
            (None, None, "up to 16384 connections at once: the built-in maximum"),
            (Some(1 << 40), Some(1 << 40), "up to 16384 connections at once: the built-in maximum"),
            // cgroup v1 without a limit.
            (Some(0x7fff_ffff_ffff_f000), None, "up to 16384 connections at once: the built-in maximum"),
            (Some(512 * MIB), Some(65_536), "up to 4778 connections at once: the memory limit is 512 MiB"),
            (Some(128 * MIB), Some(65_536), "up to 682 connections at once: the memory limit is 128 MiB"),
            (Some(512 * MIB), Some(1024), "up to 960 connections at once: the limit of open files is 1024"),
            (None, Some(16_383 + 64), "up to 16383 connections at once: the limit of open files is 16447"),
            (None, Some(16_384 + 64), "up to 16384 connections at once: the built-in maximum"),
            // Less than the program itself takes.
            (Some(65 * MIB), None, "up to 10 connections at once: the memory limit is 65 MiB"),
            (Some(64 * MIB), None, "up to 1 connections at once: the memory limit is 64 MiB"),
            (Some(0), None, "up to 1 connections at once: the memory limit is 0 MiB"),
            (None, Some(70), "up to 6 connections at once: the limit of open files is 70"),
            (None, Some(0), "up to 1 connections at once: the limit of open files is 0"),
        ] {
            assert_eq!(Capacity::within(memory, files).to_string(), expected, "{memory:?} {files:?}");
        }
    }

    #[test]
    fn one_address_has_a_quarter_of_the_room() {
        assert_eq!(Capacity::within(None, None).limits(), Limits::default());
        let limits = Capacity::within(None, Some(1064)).limits();
        assert_eq!((limits.connections, limits.connections_per_peer), (1000, 250));
    }

    #[test]
    fn memory_limit_is_the_lowest_of_the_group_and_all_above_it() {
        let docker = "/docker/0123abcd/app.service";
        let table: [(&str, String, Files, Option<u64>); 11] = [
            (
                "version 2",
                "0::/a/b\n".into(),
                &[("a/b/memory.max", "max\n"), ("a/memory.max", "300\n")],
                Some(300),
            ),
            (
                "its own",
                "0::/a/b\n".into(),
                &[("a/b/memory.max", "200\n"), ("a/memory.max", "300\n")],
                Some(200),
            ),
            ("none", "0::/a\n".into(), &[("a/memory.max", "max\n")], None),
            ("a namespace", "0::/\n".into(), &[("memory.max", "400\n")], Some(400)),
            ("above the namespace", "0::/../../x\n".into(), &[("memory.max", "400\n")], Some(400)),
            (
                "version 1",
                "5:cpu,cpuacct:/a\n4:memory:/a/b\n0::/\n".into(),
                &[
                    ("memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"),
                    ("memory/a/memory.limit_in_bytes", "500\n"),
                ],
                Some(500),
            ),
            (
                "of the host",
                format!("4:memory:{docker}\n"),
                &[("memory/memory.limit_in_bytes", "600\n")],
                Some(600),
            ),
            ("of the host, 2", format!("0::{docker}\n"), &[("memory.max", "600\n")], Some(600)),
            ("no controller", "4:cpu:/a\n".into(), &[("memory/a/memory.limit_in_bytes", "1\n")], None),
            ("nonsense", "0::/a\nhello\n\n7:memory\n".into(), &[("a/memory.max", "much\n")], None),
            ("not there", "0::/gone\n".into(), &[], None),
        ];
        for (case, groups, files, expected) in table {
            let root = tempfile::tempdir().expect("can be made");
            let write = |path: &str, text: &str| {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().expect("is below")).expect("can be made");
                fs::write(path, text).expect("can be written");
            };
            write("proc/self/cgroup", &groups);
            for (path, text) in files {
                write(&format!("sys/fs/cgroup/{path}"), text);
            }
            assert_eq!(memory_limit(root.path()), expected, "{case}");
        }
        assert_eq!(memory_limit(Path::new("/nowhere")), None);
    }
}
