//! Tells systemd that the service is ready, reloads, stops, and is alive (`sd_notify(3)`).
//!
//! The messages are lines of text in datagrams to the socket that `NOTIFY_SOCKET` names. Without that variable, as on a
//! laptop, in a container, or on another system than Linux, nothing is sent. What cannot be sent is logged and does no harm: systemd has its own time-outs.

use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;

use crate::config::Environment;

/// Systemd reads its socket at once, unless it is in trouble itself. The end of the process waits for this.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The longest that the end takes after the drain: requests in flight, those of the admin listener, the last audit lines.
const LONGEST_END: Duration = Duration::from_secs(30);

/// Sends messages to systemd, if it expects any.
#[derive(Clone, Debug)]
pub struct Notifier {
    /// Connected to for each message: systemd may have been restarted since the last.
    address: Option<SockAddr>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Reads what systemd has put into the environment.
    pub fn new(environment: &Environment) -> Self {
        let text = |name| environment.variable(name).and_then(|value| value.to_str());
        let socket = text("NOTIFY_SOCKET").filter(|_| cfg!(all(target_os = "linux", not(portable))));
        let address = socket.and_then(address);
        if socket.is_some() && address.is_none() {
            tracing::warn!(
                "NOTIFY_SOCKET: expected an absolute path, or @ and a name; systemd will not be notified"
            );
        }
        // Those for another process, such as a wrapper, are not for this one.
        let is_ours = text("WATCHDOG_PID").is_none_or(|id| id == std::process::id().to_string());
        let limit = text("WATCHDOG_USEC").filter(|_| is_ours).and_then(|limit| limit.parse().ok());
        let watchdog = limit.filter(|&limit| limit > 1).map(Duration::from_micros);
        Self { address, watchdog }
    }

    /// The service can be called now, for the first time or after a reload.
    pub async fn ready(&self, status: &str) {
        // A line break would begin another message.
        self.tell(&format!("READY=1\nSTATUS={}", status.replace('\n', " "))).await;
    }

    /// The service looks at changed files; [`Self::ready`] follows.
    pub async fn reloading(&self) {
        // By this systemd knows that the answer is to its own signal, and not to an earlier one.
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading", monotonic_micros())).await;
    }

    /// The service stops after this drain, of which the unit knows nothing: it gets the time that it takes.
    pub async fn stopping(&self, drain: Duration) {
        if drain.is_zero() {
            return self.tell("STOPPING=1\nSTATUS=finishing requests in flight").await;
        }
        let (status, micros) = ("draining; still serving callers", (drain + LONGEST_END).as_micros());
        self.tell(&format!("STOPPING=1\nSTATUS={status}\nEXTEND_TIMEOUT_USEC={micros}")).await;
    }

    /// Tells systemd that the service is alive, twice in the time that the unit allows (`WatchdogSec=`). Returns at once where the
    /// unit sets no limit. It is a task like those that answer requests: when they stand still, so does this.
    pub async fn watchdog(self) {
        let Some(limit) = self.watchdog.filter(|_| self.address.is_some()) else { return };
        let mut beats = tokio::time::interval(limit / 2);
        // After a delay, several at once would prove no more than one.
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            self.tell("WATCHDOG=1").await;
        }
    }

    async fn tell(&self, message: &str) {
        let Some(address) = self.address.clone() else { return };
        let what = message.split('\n').next();
        let text = message.to_owned();
        let send = move || {
            let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
            // Waits for systemd's queue no longer than this.
            socket.set_write_timeout(Some(TIMEOUT))?;
            socket.send_to(text.as_bytes(), &address).map(drop)
        };
        if let Err(error) = spawn_blocking(send).await.unwrap_or_else(|error| Err(error.into())) {
            tracing::warn!(%error, what, "cannot notify systemd");
        }
    }
}

/// A path, or `@` and a name that is in no file system (Linux's abstract sockets, which begin with a zero byte).
fn address(place: &str) -> Option<SockAddr> {
    match place.strip_prefix('@') {
        Some(name) => SockAddr::unix(format!("\0{name}")).ok(),
        None if place.starts_with('/') => SockAddr::unix(place).ok(),
        None => None,
    }
}

fn monotonic_micros() -> i128 {
    #[cfg(not(unix))]
    return 0;
    #[cfg(unix)]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
    }
}

#[cfg(all(target_os = "linux", not(portable)))]
#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use tokio::net::UnixDatagram;
    use tokio::time::Instant;

    use super::*;

    fn notifier(pairs: &[(&str, &str)]) -> Notifier {
        Notifier::new(&Environment::from_pairs(pairs.iter().copied()))
    }

    #[tokio::test]
    async fn messages_reach_a_path_and_an_abstract_name() {
        let folder = tempfile::tempdir().expect("can be made");
        let path = folder.path().join("notify");
        let path = path.to_str().expect("is text");
        // The folder's name is random, and so the other one's is.
        let name = format!("@token-provider{path}");
        for place in [path, name.as_str()] {
            let socket = Socket::new(Domain::UNIX, Type::DGRAM, None).expect("can be made");
            socket.bind(&address(place).expect("is one")).expect("can be bound");
            socket.set_nonblocking(true).expect("can be set");
            let systemd = UnixDatagram::from_std(OwnedFd::from(socket).into()).expect("is a socket");

            let notifier = notifier(&[("NOTIFY_SOCKET", place)]);
            notifier.ready("at\nhome").await;
            notifier.stopping(Duration::ZERO).await;
            let mut buffer = [0; 256];
            let mut heard = Vec::new();
            for _ in 0..2 {
                let length = systemd.recv(&mut buffer).await.expect("can be received");
                heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
            assert_eq!(heard, ["READY=1\nSTATUS=at home", "STOPPING=1\nSTATUS=finishing requests in flight"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn watchdog_hears_twice_in_its_time() {
        let folder = tempfile::tempdir().expect("can be made");
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).expect("can be bound");
        let notifier = notifier(&[
            ("NOTIFY_SOCKET", path.to_str().expect("is text")),
            ("WATCHDOG_USEC", "30000000"),
            ("WATCHDOG_PID", &std::process::id().to_string()),
        ]);
        let start = Instant::now();
        let beating = tokio::spawn(notifier.watchdog());
        let mut buffer = [0; 16];
        for beat in 0..4 {
            let length = systemd.recv(&mut buffer).await.expect("can be received");
            assert_eq!(&buffer[..length], b"WATCHDOG=1");
            let expected = Duration::from_secs(15) * beat;
            let late = start.elapsed().checked_sub(expected).expect("is not early");
            assert!(late < Duration::from_secs(1), "beat {beat} is {late:?} late");
        }
        beating.abort();
    }

    #[tokio::test]
    async fn nothing_is_said_to_nobody() {
        let folder = tempfile::tempdir().expect("can be made");
        let gone = folder.path().join("gone");
        for pairs in [
            &[][..],
            &[("WATCHDOG_USEC", "1000")],
            &[("NOTIFY_SOCKET", "vsock:2:1234"), ("WATCHDOG_USEC", "1000")],
            // Nobody is there any more.
            &[("NOTIFY_SOCKET", gone.to_str().expect("is text"))],
            // Too long for an address.
            &[("NOTIFY_SOCKET", &format!("/{}", "x".repeat(200)))],
        ] {
            let notifier = notifier(pairs);
            notifier.ready("").await;
            notifier.reloading().await;
            notifier.watchdog().await;
        }
    }

    #[test]
    fn watchdog_of_another_process_or_of_no_time_is_not_served() {
        let own = std::process::id().to_string();
        let other = (std::process::id() + 1).to_string();
        let second = Some(Duration::from_secs(1));
        for (id, limit, expected) in [
            (own.as_str(), "1000000", second),
            ("", "1000000", second),
            (&other, "1000000", None),
            (&own, "0", None),
            (&own, "", None),
            (&own, "soon", None),
        ] {
            let notifier = notifier(&[("WATCHDOG_PID", id), ("WATCHDOG_USEC", limit)]);
            assert_eq!(notifier.watchdog, expected, "{id} {limit}");
        }
    }
}
