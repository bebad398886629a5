//! The signals that a server listens for.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::commands::Failure;

/// What somebody wants of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To end, by the signal of this name.
    End(&'static str),
    /// To look at its files (SIGHUP).
    Reload,
}

/// Hears signals from the moment on that it is made. Until somebody waits for them they are kept.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())
                .map_err(Failure::system("cannot listen for SIGTERM"))?,
            interrupt: signal(SignalKind::interrupt())
                .map_err(Failure::system("cannot listen for SIGINT"))?,
            hang_up: signal(SignalKind::hangup()).map_err(Failure::system("cannot listen for SIGHUP"))?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            name = end(&mut self.terminate, &mut self.interrupt) => Asked::End(name),
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    /// Waits for one that says to end, and leaves SIGHUP for later.
    pub(super) async fn end(&mut self) -> &'static str {
        end(&mut self.terminate, &mut self.interrupt).await
    }
}

async fn end(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
