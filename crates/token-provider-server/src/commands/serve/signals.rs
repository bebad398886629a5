//! The signals that a server acts on.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

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
pub(super) struct Signals(Vec<(Signal, Source)>);

/// Looks whether a signal has arrived.
type Source = Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<()>>>;

impl Signals {
    #[cfg(unix)]
    pub(super) fn listen() -> io::Result<Self> {
        let signals = [
            (Signal::Stop("SIGTERM"), SignalKind::terminate()),
            (Signal::Stop("SIGINT"), SignalKind::interrupt()),
            (Signal::Reload, SignalKind::hangup()),
            (Signal::Replace, SignalKind::user_defined1()),
        ];
        let listen = |(meaning, kind)| {
            let mut source = signal(kind)?;
            Ok((meaning, Box::new(move |context: &mut Context<'_>| source.poll_recv(context)) as Source))
        };
        Ok(Self(signals.into_iter().map(listen).collect::<io::Result<_>>()?))
    }

    /// Ctrl-C is also what wrappers send to the service that they stop.
    #[cfg(windows)]
    pub(super) fn listen() -> io::Result<Self> {
        let (mut c, mut pause, mut close, mut shutdown) =
            (ctrl_c()?, ctrl_break()?, ctrl_close()?, ctrl_shutdown()?);
        Ok(Self(vec![
            (Signal::Stop("Ctrl-C"), Box::new(move |context| c.poll_recv(context))),
            (Signal::Stop("Ctrl-Break"), Box::new(move |context| pause.poll_recv(context))),
            (Signal::Stop(LAST[0]), Box::new(move |context| close.poll_recv(context))),
            (Signal::Stop(LAST[1]), Box::new(move |context| shutdown.poll_recv(context))),
        ]))
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Signal {
        self.first(Some).await
    }

    /// Waits for one to stop, and keeps the others for later.
    pub(super) async fn stop(&mut self) -> &'static str {
        self.first(|signal| if let Signal::Stop(name) = signal { Some(name) } else { None }).await
    }

    async fn first<T>(&mut self, wanted: impl Fn(Signal) -> Option<T>) -> T {
        poll_fn(|context| {
            let arrived = self.0.iter_mut().find_map(|(signal, source)| {
                let signal = wanted(*signal)?;
                source(context).is_ready().then_some(signal)
            });
            arrived.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}
