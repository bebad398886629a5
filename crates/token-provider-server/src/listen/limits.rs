//! Every number that bounds what connections may take, in one place, and how many this process has room for: by its limits of
//! memory and open files, and not by a setting, which would be wrong after the next change of the container.

use std::fs;
use std::iter;
use std::path::Path;
use std::time::Duration;

/// A request's head may be this long, over HTTP/1.1 and HTTP/2 alike. Node and nginx have 8 to 32 KiB.
pub(super) const MAX_HEAD: u16 = 16 * 1024;
/// How much of a request body may be on its way unasked for over HTTP/2, on each stream and over all of them. Token requests
/// have some hundred bytes; the second is the least that HTTP/2 knows (RFC 9113 §6.9.2).
pub(super) const STREAM_WINDOW: u32 = 16 * 1024;
pub(super) const CONNECTION_WINDOW: u32 = 65_535;
/// Answers to one stream that wait for the other side to take them in.
pub(super) const SEND_BUFFER: usize = 64 * 1024;
/// Streams that we had to reset for an error: with more, the connection is closed (`ENHANCE_YOUR_CALM`). Far below h2's default
/// (RUSTSEC-2024-0003): the only such streams of a decent client are those above the limit that it sends before it knows that, and
/// browsers send a hundred. Of requests that are reset before they were processed (CVE-2023-44487) h2 itself allows 20.
pub(super) const RESET_FOR_ERRORS: usize = 100;
/// What is read and discarded before a connection is closed: some heads of a mebibyte, but no flood.
pub(super) const MAX_DISCARDED: u64 = 4 * 1024 * 1024;
/// The socket buffer size in each direction, and TLS's buffer for responses: enough for a request head or a few tokens.
/// The kernel doubles it for its own bookkeeping. By default Linux keeps up to 4 MiB of answers that nobody reads,
/// which count towards a container's memory.
pub(super) const BUFFER: usize = 16 * 1024;
/// Connections that wait to be accepted. The system cuts it down to its own limit (`net.core.somaxconn`).
pub(super) const ACCEPT_QUEUE: u32 = 4096;
/// The maximum size of a client's certificate chain, which is kept as long as its connection. Usual chains have 2 to 6
/// KiB; TLS allows for 64 KiB.
pub(super) const MAX_CHAIN: usize = 16 * 1024;
/// A longer URI in one names nobody; a SPIFFE id is no longer.
pub(super) const MAX_NAME: usize = 2048;

/// What the program itself takes, with tokens, answers and what many processors do at once.
pub(super) const RESERVED_MEMORY: u64 = 64 * 1024 * 1024;
/// The most memory that a connection uses: a head, TLS, the buffers of HTTP/2 and a request under way.
pub(super) const CONNECTION_MEMORY: u64 = 96 * 1024;
/// Descriptors for the issuer, identity providers, files, and all connections of the admin listener.
pub(super) const RESERVED_FILES: u64 = 64;
/// What an output has open while it is replaced: the old file, the new one twice, their folder.
const FILES_OF_OUTPUT: u64 = 4;
/// When the process is out of file descriptors, accepting pauses for connections to end.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections there may be, and how long each step on one may take.
///
/// The defaults are right for a server on the open network. Tests make them small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, over all listeners. An HTTP/2 connection counts as two, plus one for each further
    /// concurrent request. Each costs some KiB; more wait in the accept queue. Default 16,384.
    pub connections: usize,
    /// Of these, from one address (IPv6: from one /64), so that one machine cannot take all of them. Those that come in through
    /// Unix sockets share one count. Default 4,096: an office behind one address fits in.
    pub connections_per_peer: usize,
    /// Whether loopback counts as an address, where a reverse proxy may well sit. Default `false`.
    pub counts_loopback: bool,
    /// The TLS handshake. Default 10 s; a slow mobile connection takes two.
    pub handshake: Duration,
    /// A request's head, from its first byte; on a new connection from its opening. Default 20 s.
    pub head: Duration,
    /// From a request's head to its answer, body included: a net under the handlers, which have closer limits of their
    /// own (10 s for a body, 10 s for the issuer). The caller then gets 503. Default 30 s.
    pub answer: Duration,
    /// How long a connection is kept open on which nothing happens, or whose other side takes in nothing. Default
    /// 75 s, as nginx has it: longer than the 60 s for which load balancers keep theirs, so that it is they who close.
    pub idle: Duration,
    /// After the server's last word, how long it goes on reading what the other side still sends. Closing at once
    /// would make the system send a reset, at which many clients throw away an answer that they have not read yet.
    /// Default 5 s.
    pub linger: Duration,
    /// After the signal to stop, how long a connection that was accepted has for its first request, and a TLS handshake for its
    /// end. Default 1 s: both are on their way, or nothing is.
    pub first: Duration,
    /// After the signal to stop, how long answers under way may take. Default 12 s: a caller's own wait (10 s) and a
    /// little.
    pub grace: Duration,
    /// Requests under way at once on one HTTP/2 connection. Default 20: RFC 9113 §6.5.2 recommends 100 at least, for pages of
    /// many parts, but a client of this server needs few tokens at once, and each request may hold a head of 16 KiB.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_peer: 4_096,
            counts_loopback: false,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            answer: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            linger: Duration::from_secs(5),
            first: Duration::from_secs(1),
            grace: Duration::from_secs(12),
            streams: 20,
        }
    }
}

impl Limits {
    /// Returns the usual limits, with as many connections as this process has room for, and in words how many and why. It raises
    /// the limit of open files as far as the system allows: many shells have 1,024. Reads files of the kernel. `outputs` is how many
    /// outputs need descriptors, too.
    pub fn of_process(outputs: usize) -> (Self, String) {
        let root = cfg!(all(target_os = "linux", not(portable))).then_some(Path::new("/"));
        Self::within(root.and_then(memory_limit), raise_file_limit(), outputs)
    }

    /// One address has a quarter of the room.
    fn within(memory: Option<u64>, files: Option<u64>, outputs: usize) -> (Self, String) {
        let built_in = (Self::default().connections as u64, "the built-in maximum".to_owned());
        let of_memory = memory.map(|limit| {
            let room = limit.saturating_sub(RESERVED_MEMORY) / CONNECTION_MEMORY;
            (room, format!("the memory limit is {} MiB", limit / (1024 * 1024)))
        });
        let of_files = files.map(|limit| {
            let more = "raise it (LimitNOFILE=, ulimit -Hn) to allow more";
            let reserved = RESERVED_FILES + FILES_OF_OUTPUT * outputs as u64;
            (limit.saturating_sub(reserved), format!("the open file limit is {limit}; {more}"))
        });
        // Of equal bounds the first counts: to raise a limit that leaves room for the maximum is of no use.
        let least = iter::once(built_in).chain(of_memory).chain(of_files).min_by_key(|(room, _)| *room);
        let (room, reason) = least.expect("there is one at least");
        let connections = usize::try_from(room).expect("is no more than the maximum").max(1);
        let connections_per_peer = (connections / 4).max(1);
        let limits = Self { connections, connections_per_peer, ..Self::default() };
        (limits, format!("up to {connections} connections at once: {reason}"))
    }

    /// Returns what connections of the admin listener may take. A monitoring system and some people have no need for more. All of
    /// them fit into the descriptors that connections of callers leave; and silent ones do not keep the others out for long. Idle
    /// ones are closed sooner than the usual intervals between scrapes, so that no scrape meets a connection that is just being closed.
    pub fn of_admin() -> Self {
        Self {
            connections: 32,
            connections_per_peer: 16,
            counts_loopback: true,
            head: Duration::from_secs(2),
            idle: Duration::from_secs(7),
            ..Self::default()
        }
    }
}

/// Raises the open file limit and returns it; `None` where there is none.
#[cfg(unix)]
fn raise_file_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    // macOS takes 10,240 at most, though it says that there is no limit. Where that fails as well, the limit stays as it is.
    for current in [limit.maximum, limit.current.map(|current| current.max(10_240))] {
        if setrlimit(Resource::Nofile, Rlimit { current, ..limit }).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current
}

#[cfg(not(unix))]
fn raise_file_limit() -> Option<u64> {
    None
}

/// Returns the lowest memory limit of this process's control groups (cgroups(7)), of version 2 or 1, and of all above them:
/// each counts for what is below. In a container their names may be those of the host, whose folders are not there: the
/// container's own is at the root then.
fn memory_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().filter_map(|line| {
        let (_number, line) = line.split_once(':')?;
        let (mount, file, group) = match line.split_once(':')? {
            ("", group) => ("sys/fs/cgroup", "memory.max", group),
            (controllers, group) if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes", group)
            }
            _ => return None,
        };
        let groups = Path::new(group.trim_start_matches('/')).ancestors();
        // `max` is none.
        let limit_of = |group: &Path| {
            let limit = fs::read_to_string(root.join(mount).join(group).join(file)).ok()?;
            limit.trim().parse().ok()
        };
        groups.filter_map(limit_of).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

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
            (
                Some(512 * MIB),
                Some(1024),
                "up to 960 connections at once: the open file limit is 1024; raise it (LimitNOFILE=, ulimit -Hn) to allow more",
            ),
            (
                None,
                Some(16_383 + 64),
                "up to 16383 connections at once: the open file limit is 16447; raise it (LimitNOFILE=, ulimit -Hn) to allow more",
            ),
            (None, Some(16_384 + 64), "up to 16384 connections at once: the built-in maximum"),
            // Less than the program itself takes.
            (Some(65 * MIB), None, "up to 10 connections at once: the memory limit is 65 MiB"),
            (Some(64 * MIB), None, "up to 1 connections at once: the memory limit is 64 MiB"),
            (Some(0), None, "up to 1 connections at once: the memory limit is 0 MiB"),
            (
                None,
                Some(70),
                "up to 6 connections at once: the open file limit is 70; raise it (LimitNOFILE=, ulimit -Hn) to allow more",
            ),
            (
                None,
                Some(0),
                "up to 1 connections at once: the open file limit is 0; raise it (LimitNOFILE=, ulimit -Hn) to allow more",
            ),
        ] {
            assert_eq!(Limits::within(memory, files, 0).1, expected, "{memory:?} {files:?}");
        }
    }

    #[test]
    fn one_address_has_a_quarter_of_the_room() {
        assert_eq!(Limits::within(None, None, 0).0, Limits::default());
        let (limits, _why) = Limits::within(None, Some(1064), 0);
        assert_eq!((limits.connections, limits.connections_per_peer), (1000, 250));
        let (limits, _why) = Limits::within(None, Some(1064), 10);
        assert_eq!(limits.connections, 960, "each output has some open files");
    }

    #[test]
    fn memory_limit_is_the_lowest_of_the_group_and_all_above_it() {
        let docker = "/docker/0123abcd/app.service";
        let table: [(&str, String, Files, Option<u64>); 12] = [
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
            (
                "version 1, several controllers at one place",
                "4:hugetlb,memory:/a\n".into(),
                &[("memory/a/memory.limit_in_bytes", "700\n")],
                Some(700),
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
