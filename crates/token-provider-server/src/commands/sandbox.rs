//! `sandbox`: the offline HERE account alone.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use here_sandbox::{Fault, Sandbox, SandboxConfig};
use token_provider::Credential;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::config::{Host, Listen};

/// As many services on a developer's machine are expected to be.
const DEFAULT_PORT: u16 = 8080;

pub(super) async fn run(
    listen: Vec<Listen>,
    credentials: Option<PathBuf>,
    write_credentials: Option<PathBuf>,
    faults: Vec<Fault>,
) -> Result<(), Failure> {
    let (host, port) = place(&listen)?;
    if write_credentials.is_some() && !host.callable().is_loopback() {
        return Err(Failure::Usage(
            "--write-credentials: the account speaks plain http://, which is for loopback only; \
             listen on 127.0.0.1, or on 0.0.0.0 for others too"
                .to_owned(),
        ));
    }
    let account = match credentials {
        Some(file) => {
            let credential = Credential::from_file(file)?;
            SandboxConfig::new(credential.access_key_id(), credential.access_key_secret().clone())
        }
        None => SandboxConfig::generate(),
    };
    let mut terminate =
        signal(SignalKind::terminate()).map_err(Failure::system("cannot listen for SIGTERM"))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(Failure::system("cannot listen for SIGINT"))?;
    let address = SocketAddr::new(host.address(), port);
    let failed = || Failure::system(format!("cannot listen at {address}"));
    let listener = TcpListener::bind(address).await.map_err(failed())?;
    let port = listener.local_addr().map_err(failed())?.port();
    let address = SocketAddr::new(host.callable(), port);

    let sandbox = Sandbox::new(account);
    sandbox.faults().replace(faults);
    let text = sandbox.credentials_properties(&format!("http://{address}/oauth2/token"));
    if let Some(file) = write_credentials {
        write_new(&file, &text).map_err(Failure::system(format!("cannot write {}", file.display())))?;
        tracing::info!("wrote {}", file.display());
    }
    tracing::info!("sandbox: an offline HERE account at http://{address}");
    let shutdown = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    sandbox.serve(listener, shutdown).await.map_err(Failure::system("the sandbox stopped"))
}

/// The one place to listen at.
fn place(listen: &[Listen]) -> Result<(Host, u16), Failure> {
    match listen {
        [] => Ok((Host::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), DEFAULT_PORT)),
        [Listen::Tcp { host, port }] => Ok((*host, *port)),
        _ => Err(Failure::Usage(
            "--listen: the account listens at one TCP port; expected one address such as 127.0.0.1:8080"
                .to_owned(),
        )),
    }
}

/// Never replaces a file: it may be the real credential, which cannot be downloaded a second time.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
