//! The signals that a server acts on.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{self, SignalKind};
#[cfg(windows)]
use tokio::signal::windows;

/// What the server is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// To stop, by the name of what says so.
    Stop(&'static str),
    /// SIGHUP, where there is such a signal.
    Reload,
    /// SIGUSR1, where there is such a signal.
    Replace,
}

/// Signals after which Windows ends the process within seconds.
pub(super) const LAST: [&str; 2] = ["console closed", "system shutdown"];

/// Keeps the signals that arrive until they are waited for.
#[derive(Debug)]
pub(super) struct Signals {
    stop: Stop,
    #[cfg(unix)]
    hang_up: unix::Signal,
    #[cfg(unix)]
    user_1: unix::Signal,
}

/// SIGTERM and SIGINT.
#[cfg(unix)]
type Stop = (unix::Signal, unix::Signal);

/// Ctrl-C, which is also what wrappers send to the service that they stop; and the [`LAST`].
#[cfg(windows)]
type Stop = (windows::CtrlC, windows::CtrlBreak, windows::CtrlClose, windows::CtrlShutdown);

impl Signals {
    #[cfg(unix)]
    pub(super) fn listen() -> io::Result<Self> {
        let stop = (unix::signal(SignalKind::terminate())?, unix::signal(SignalKind::interrupt())?);
        let user_1 = unix::signal(SignalKind::user_defined1())?;
        Ok(Self { stop, hang_up: unix::signal(SignalKind::hangup())?, user_1 })
    }

    #[cfg(windows)]
    pub(super) fn listen() -> io::Result<Self> {
        use windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self { stop: (ctrl_c()?, ctrl_break()?, ctrl_close()?, ctrl_shutdown()?) })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Signal {
        #[cfg(unix)]
        let (reload, replace) = (self.hang_up.recv(), self.user_1.recv());
        #[cfg(not(unix))]
        let (reload, replace) = (std::future::pending::<()>(), std::future::pending::<()>());
        tokio::select! {
            name = stop(&mut self.stop) => Signal::Stop(name),
            _ = reload => Signal::Reload,
            _ = replace => Signal::Replace,
        }
    }

    /// Waits for one to stop, and keeps SIGHUP for later.
    pub(super) async fn stop(&mut self) -> &'static str {
        stop(&mut self.stop).await
    }
}

#[cfg(unix)]
async fn stop((terminate, interrupt): &mut Stop) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(windows)]
async fn stop((interrupt, ctrl_break, close, shutdown): &mut Stop) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "Ctrl-C",
        _ = ctrl_break.recv() => "Ctrl-Break",
        _ = close.recv() => LAST[0],
        _ = shutdown.recv() => LAST[1],
    }
}
