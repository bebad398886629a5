//! Where the server listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use token_provider::is_loopback_address;

use super::duration::digits;
use super::name::name;
use super::unix::{self, UnixPlace};

/// One place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listen {
    /// A TCP port.
    Tcp {
        /// The address to bind.
        host: Host,
        /// 0 lets the system choose one.
        port: u16,
    },
    /// A Unix domain socket.
    Unix(UnixPlace),
    /// Sockets that systemd passes to the process: those with this `FileDescriptorName=` (without one, a socket has its
    /// unit's name, `x.socket`), or all.
    Systemd(Option<String>),
}

/// The address part of a TCP listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Host {
    /// Both 127.0.0.1 and `::1`: browsers try either for the name `localhost`.
    Localhost,
    /// One address; `0.0.0.0` and `::` stand for all.
    Ip(IpAddr),
}

impl Host {
    /// Returns an address at which this machine can call what is bound here: "all addresses" is none that can be called.
    pub fn callable(self) -> IpAddr {
        match self {
            Self::Localhost | Self::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.into(),
            Self::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => Ipv6Addr::LOCALHOST.into(),
            Self::Ip(address) => address,
        }
    }
}

impl Listen {
    /// Returns whether only this machine can reach it. A socket from systemd counts as not local: only the bound socket
    /// can tell.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host: Host::Localhost, .. } | Self::Unix(_) => true,
            Self::Tcp { host: Host::Ip(address), .. } => is_loopback_address(*address),
            Self::Systemd(_) => false,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host: Host::Localhost, port } => write!(f, "localhost:{port}"),
            Self::Tcp { host: Host::Ip(address), port } => write!(f, "{}", SocketAddr::new(*address, *port)),
            Self::Unix(place) => write!(f, "unix:{}", place.path.display()),
            Self::Systemd(None) => f.write_str("systemd"),
            Self::Systemd(Some(name)) => write!(f, "systemd:{name}"),
        }
    }
}

/// Reads a place to listen at. A port alone is on loopback: nothing opens to the network by leaving something out.
pub(crate) fn listen(text: &str) -> Result<Listen, &'static str> {
    if let Some(place) = text.strip_prefix("unix:") {
        return unix::place(place).map(Listen::Unix);
    }
    if let Some(sockets) = text.strip_prefix("systemd") {
        if !cfg!(all(target_os = "linux", not(portable))) {
            return Err("systemd is only on Linux; use TCP, such as localhost:3000");
        }
        return match sockets.strip_prefix(':').map(name) {
            None if sockets.is_empty() => Ok(Listen::Systemd(None)),
            Some(Ok(socket)) => Ok(Listen::Systemd(Some(socket))),
            _ => Err("expected \"systemd\", or \"systemd:NAME\" with the socket's FileDescriptorName"),
        };
    }
    if text.starts_with(':') {
        return Err("expected an address before the port: \"localhost:3000\", or \"0.0.0.0:3000\" for all");
    }
    tcp(text).ok_or(
        "expected \"localhost:3000\", an IP address and port such as \"0.0.0.0:8443\" or \"[::1]:3000\", a port \
         alone for localhost, \"unix:/path\" or \"systemd\"",
    )
}

fn tcp(text: &str) -> Option<Listen> {
    let lower = text.to_ascii_lowercase();
    if let Some(port) = digits(lower.strip_prefix("localhost:").unwrap_or(text)) {
        return Some(Listen::Tcp { host: Host::Localhost, port });
    }
    let address: SocketAddr = text.parse().ok()?;
    // A zone, as in `[fe80::1%2]:80`, would be lost.
    let is_zoned = matches!(address, SocketAddr::V6(address) if address.scope_id() != 0);
    (!is_zoned).then(|| Listen::Tcp { host: Host::Ip(address.ip()), port: address.port() })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_of_place_is_read() {
        let any_v4 = Host::Ip("0.0.0.0".parse().unwrap());
        let six = Host::Ip("::1".parse().unwrap());
        for (text, expected, local) in [
            ("localhost:3000", Listen::Tcp { host: Host::Localhost, port: 3000 }, true),
            ("LOCALHOST:0", Listen::Tcp { host: Host::Localhost, port: 0 }, true),
            ("3000", Listen::Tcp { host: Host::Localhost, port: 3000 }, true),
            ("0.0.0.0:8443", Listen::Tcp { host: any_v4, port: 8443 }, false),
            ("127.0.0.2:1", Listen::Tcp { host: Host::Ip("127.0.0.2".parse().unwrap()), port: 1 }, true),
            ("[::1]:3000", Listen::Tcp { host: six, port: 3000 }, true),
            ("[::]:3000", Listen::Tcp { host: Host::Ip("::".parse().unwrap()), port: 3000 }, false),
            ("unix:/run/x.sock", Listen::Unix(PathBuf::from("/run/x.sock").into()), true),
            #[cfg(all(target_os = "linux", not(portable)))]
            ("systemd", Listen::Systemd(None), false),
            #[cfg(all(target_os = "linux", not(portable)))]
            ("systemd:http", Listen::Systemd(Some("http".to_owned())), false),
            #[cfg(all(target_os = "linux", not(portable)))]
            ("systemd:x.socket", Listen::Systemd(Some("x.socket".to_owned())), false),
        ] {
            assert_eq!(listen(text).as_ref(), Ok(&expected), "{text}");
            assert_eq!(expected.is_local(), local, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let texts = [
            "",
            ":",
            ":3000",
            "localhost",
            "localhost:",
            "localhost:x",
            "localhost:65536",
            "localhost:+1",
            "::1:3000",
            "[::1]",
            "[127.0.0.1]:1",
            "[fe80::1%2]:80",
            "*:3000",
            "example.com:80",
            "127.0.0.1",
            "127.1:80",
            "http://localhost:3000",
            "unix:",
            "unix:run/x",
            "unix:@x",
            "unix:/run/",
            "unix:/run/x,y",
            "systemd:",
            "systemdx",
            "systemd:a b",
            "65536",
            "-1",
        ];
        for text in texts {
            assert!(listen(text).is_err(), "{text}");
        }
        assert!(listen(&format!("unix:/{}", "a".repeat(106))).is_ok());
        assert!(listen(&format!("unix:/{}", "a".repeat(107))).is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(address in any::<IpAddr>(), port in any::<u16>(), path in "/[a-z]{1,20}") {
            for place in [
                Listen::Tcp { host: Host::Ip(address), port },
                Listen::Tcp { host: Host::Localhost, port },
                Listen::Unix(PathBuf::from(path).into()),
            ] {
                prop_assert_eq!(listen(&place.to_string()), Ok(place));
            }
        }
    }
}
