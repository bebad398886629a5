//! The command: its options, where it listens, and the credential file that it writes. For this crate's program, and for
//! programs that run the account as one of their commands.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{ctrl_break, ctrl_c};

use crate::config::SandboxConfig;
use crate::fault::Fault;
use crate::sandbox::Sandbox;
use crate::token::APP_ID;

/// How the account is run.
#[derive(Args, Debug)]
pub struct Options {
    /// Write a credentials.properties for this account (mode 0600). Never overwrites a file.
    #[arg(long, value_name = "FILE")]
    write_credentials: Option<PathBuf>,
    /// Misbehave from the start, as PUT /sandbox/faults takes it: {"status": 503, "count": 2}. May be repeated.
    #[arg(long, value_name = "JSON", value_parser = parse_fault)]
    fault: Vec<Fault>,
    /// Use the access key in this credential file.
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// Register the public keys in this JWK or JWK Set, for client assertions. May be repeated.
    #[arg(long, value_name = "FILE")]
    jwks: Vec<PathBuf>,
    /// Where to listen: localhost:8080, 0.0.0.0:8080, or a port of localhost alone.
    #[arg(long, value_name = "ADDR", default_value = "localhost:8080", hide_default_value = true)]
    listen: Listen,
}

/// One TCP port; of `localhost`, on both of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// `None` for `localhost`.
    address: Option<IpAddr>,
    port: u16,
}

/// Why the account does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The options ask for what the account refuses.
    #[error("{0}")]
    Usage(String),
    /// The operating system refused.
    #[error("{what}")]
    System {
        /// What was tried.
        what: String,
        /// Its error.
        source: io::Error,
    },
}

impl Options {
    /// Runs an account with these options, until SIGTERM or SIGINT; on Windows, Ctrl-Break or Ctrl-C.
    ///
    /// # Errors
    ///
    /// Returns an error if the account cannot be started as the options say.
    pub async fn run(self, config: SandboxConfig) -> Result<(), RunError> {
        if self.write_credentials.is_some() && !self.listen.callable_address().is_loopback() {
            return Err(RunError::Usage(
                "--write-credentials: the account speaks plain http://, which is for loopback only; \
                 listen on 127.0.0.1, or on 0.0.0.0 to allow other machines"
                    .to_owned(),
            ));
        }
        // Before anybody knows that it runs, so that no signal is missed.
        #[cfg(unix)]
        let signals = signal(SignalKind::terminate())
            .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
        #[cfg(windows)]
        let signals = ctrl_break().and_then(|terminate| Ok((terminate, ctrl_c()?)));
        let (mut terminate, mut interrupt) =
            signals.map_err(|source| system("cannot listen for signals", source))?;
        let (listeners, address) = self.listen.bind().await?;

        let sandbox = Sandbox::new(config);
        sandbox.faults().replace(self.fault);
        for file in &self.jwks {
            let name = file.display();
            let text =
                fs::read_to_string(file).map_err(|error| system(format!("cannot read {name}"), error))?;
            let registered = sandbox.register_jwks(&text);
            registered.map_err(|error| RunError::Usage(format!("--jwks: {name}: {error}")))?;
            tracing::info!("registered the keys in {name} with the app; its here.client.id is {APP_ID}");
        }
        if let Some(file) = self.write_credentials {
            write_new(&file, &sandbox.credentials_properties(&format!("http://{address}/oauth2/token")))?;
            tracing::info!("wrote {}", file.display());
        }
        tracing::info!("sandbox: an offline HERE account at http://{address}");
        tokio::select! {
            () = sandbox.serve(listeners) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }
}

impl Listen {
    /// Port 8080 of `localhost`, as many services on a developer's machine are expected to be.
    pub const DEFAULT: Self = Self { address: None, port: 8080 };

    /// A port of `localhost` that the system chooses.
    pub const ANY_PORT: Self = Self { address: None, port: 0 };

    /// Binds the port. Returns an address to call it at, too.
    ///
    /// # Errors
    ///
    /// Returns an error if the port cannot be bound; says what to do.
    pub async fn bind(self) -> Result<(Vec<TcpListener>, SocketAddr), RunError> {
        let host = self.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let first = bind_tcp(host, self.port).await?;
        let port = first.local_addr().map_err(|source| system("a socket without an address", source))?.port();
        let mut listeners = vec![first];
        if self.address.is_none() {
            match bind_tcp(Ipv6Addr::LOCALHOST.into(), port).await {
                Ok(second) => listeners.push(second),
                // A port that the system chose is free on the first address, and seldom taken on this one.
                Err(error) if is_absent(&error) || self.port == 0 => {}
                Err(error) => return Err(error),
            }
        }
        Ok((listeners, SocketAddr::new(self.callable_address(), port)))
    }

    /// Returns an address at which this machine can call the account: "all addresses" is not one.
    fn callable_address(self) -> IpAddr {
        match self.address {
            None | Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.into(),
            Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => Ipv6Addr::LOCALHOST.into(),
            Some(address) => address,
        }
    }
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').unwrap_or(("localhost", text));
        let address = if host.eq_ignore_ascii_case("localhost") {
            Ok(None)
        } else {
            text.parse().map(|address: SocketAddr| Some(address.ip()))
        };
        match (address, port.parse()) {
            (Ok(address), Ok(port)) => Ok(Self { address, port }),
            _ => Err("the account listens on one TCP port; expected one address such as localhost:8080"),
        }
    }
}

async fn bind_tcp(address: IpAddr, port: u16) -> Result<TcpListener, RunError> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address).await.map_err(|source| {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => {
                ": another process is already listening there; stop it, or choose another port with --listen"
            }
            io::ErrorKind::PermissionDenied => {
                ": ports below 1024 require special permission; choose another port with --listen"
            }
            _ => "",
        };
        system(format!("cannot listen on {address}{hint}"), source)
    })
}

/// A machine without IPv6 has no `::1`.
fn is_absent(error: &RunError) -> bool {
    let RunError::System { source, .. } = error else { return false };
    matches!(source.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || source.to_string().contains("Address family not supported")
}

/// Never replaces a file: it may be the real credential, which cannot be downloaded a second time.
fn write_new(path: &Path, text: &str) -> Result<(), RunError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let file = path.display();
        if error.kind() == io::ErrorKind::AlreadyExists {
            return RunError::Usage(format!(
                "--write-credentials: {file} already exists and is not overwritten. If it belongs to an \
                 earlier sandbox, reuse it with --credentials {file}; otherwise remove it or choose \
                 another file"
            ));
        }
        system(format!("cannot write {file}"), error)
    })
}

fn parse_fault(text: &str) -> Result<Fault, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("{error}; expected JSON such as {{\"status\": 503, \"count\": 2}}"))
}

fn system(what: impl Into<String>, source: io::Error) -> RunError {
    RunError::System { what: what.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_to_listen_is_one_tcp_port() {
        let at = |address: &str, port| Ok(Listen { address: address.parse().ok(), port });
        for (text, expected) in [
            ("8080", at("", 8080)),
            ("localhost:0", at("", 0)),
            ("LOCALHOST:1", at("", 1)),
            ("127.0.0.1:8080", at("127.0.0.1", 8080)),
            ("0.0.0.0:8080", at("0.0.0.0", 8080)),
            ("[::1]:8080", at("::1", 8080)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for text in [
            "",
            ":8080",
            "::1:8080",
            "localhost",
            "localhost:65536",
            "example.com:80",
            "unix:/tmp/x",
            "systemd",
        ] {
            assert!(text.parse::<Listen>().unwrap_err().contains("one TCP port"), "{text}");
        }
    }

    #[test]
    fn all_addresses_are_called_on_loopback() {
        for (text, expected) in
            [("0", "127.0.0.1"), ("0.0.0.0:1", "127.0.0.1"), ("[::]:1", "::1"), ("192.0.2.1:1", "192.0.2.1")]
        {
            assert_eq!(text.parse::<Listen>().unwrap().callable_address().to_string(), expected);
        }
    }

    #[tokio::test]
    async fn taken_port_is_an_error_that_says_what_to_do() {
        let (_listeners, address) = Listen::ANY_PORT.bind().await.unwrap();
        let error = Listen { port: address.port(), ..Listen::DEFAULT }.bind().await.unwrap_err();
        assert!(
            error.to_string().contains("another process is already listening there; stop it, or choose"),
            "{error}"
        );
    }
}
