//! `sandbox`: the offline HERE account alone.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use here_sandbox::{Sandbox, SandboxConfig};
use token_provider::Credential;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

pub(super) async fn run(
    listen: Vec<String>,
    credentials: Option<PathBuf>,
    write_credentials: Option<PathBuf>,
) -> Result<(), Failure> {
    let account = match credentials {
        Some(file) => {
            let credential = Credential::from_file(file)?;
            SandboxConfig::new(credential.access_key_id(), credential.access_key_secret().clone())
        }
        None => SandboxConfig::generate(),
    };
    let listen = listen.first().map_or(DEFAULT_LISTEN, String::as_str);
    let mut terminate =
        signal(SignalKind::terminate()).map_err(Failure::system("cannot listen for SIGTERM"))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(Failure::system("cannot listen for SIGINT"))?;
    let listener =
        TcpListener::bind(listen).await.map_err(Failure::system(format!("cannot listen at {listen}")))?;
    let address = listener.local_addr().map_err(Failure::system(format!("cannot listen at {listen}")))?;

    let sandbox = Sandbox::new(account);
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

/// Never replaces a file: it may be the real credential, which cannot be downloaded a second time.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
