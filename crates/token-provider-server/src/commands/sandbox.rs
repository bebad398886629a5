//! `sandbox`: the offline HERE account alone.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use here_sandbox::{Fault, Sandbox, SandboxConfig};
use token_provider::Credential;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use crate::config::{Host, Listen};
use crate::listen::{self, Listener};

/// As many services on a developer's machine are expected to be.
pub(super) const DEFAULT_PORT: u16 = 8080;

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
    let (listeners, address) = bind(host, port)?;

    let sandbox = Sandbox::new(account);
    sandbox.faults().replace(faults);
    let text = sandbox.credentials_properties(&format!("http://{address}/oauth2/token"));
    if let Some(file) = write_credentials {
        write_new(&file, &text)?;
        tracing::info!("wrote {}", file.display());
    }
    tracing::info!("sandbox: an offline HERE account at http://{address}");
    tokio::select! {
        () = serve(&sandbox, listeners) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Binds one place, which may be two sockets, and returns an address to call it at.
pub(super) fn bind(host: Host, port: u16) -> Result<(Vec<TcpListener>, SocketAddr), Failure> {
    let bound = listen::bind(&Listen::Tcp { host, port }).map_err(Failure::Bind)?;
    let tcp = |listener| match listener {
        Listener::Tcp(listener) => Some(listener),
        _ => None,
    };
    let listeners: Vec<_> = bound.into_iter().filter_map(tcp).collect();
    let first = listeners.first().map(TcpListener::local_addr).transpose();
    let port = first.map_err(Failure::system("a socket without an address"))?.map_or(port, |at| at.port());
    Ok((listeners, SocketAddr::new(host.callable(), port)))
}

/// Serves until dropped: what it answers is worth nothing, and need not be finished.
pub(super) async fn serve(sandbox: &Sandbox, listeners: Vec<TcpListener>) {
    let serve = |listener| sandbox.serve(listener, std::future::pending());
    futures_util::future::join_all(listeners.into_iter().map(serve)).await;
}

/// The one place to listen at.
fn place(listen: &[Listen]) -> Result<(Host, u16), Failure> {
    match listen {
        [] => Ok((Host::Localhost, DEFAULT_PORT)),
        [Listen::Tcp { host, port }] => Ok((*host, *port)),
        _ => Err(Failure::Usage(
            "--listen: the account listens at one TCP port; expected one address such as localhost:8080"
                .to_owned(),
        )),
    }
}

/// Never replaces a file: it may be the real credential, which cannot be downloaded a second time.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let file = path.display();
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Failure::Usage(format!(
                "--write-credentials: {file} exists, and is not replaced. If it is of a sandbox before, use it again with \
                 --credentials {file}; else remove it or name another file"
            ));
        }
        Failure::system(format!("cannot write {file}"))(error)
    })
}
