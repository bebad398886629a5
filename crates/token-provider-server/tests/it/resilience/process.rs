//! A process whose log is read as it is written: what it says is what the tests wait for.

use std::net::SocketAddr;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::support::within;

/// Noted when the process has closed its log.
const ENDED: &str = "(the log has ended)";

/// A running process. It is killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: watch::Receiver<Vec<String>>,
}

impl Process {
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).kill_on_drop(true).spawn().expect("starts");
        let mut lines = BufReader::new(child.stderr.take().expect("is piped")).lines();
        let (writer, log) = watch::channel(Vec::new());
        // To the end, whether anybody waits for a line or not: a full pipe would stop the process.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                writer.send_modify(|log| log.push(line));
            }
            writer.send_modify(|log| log.push(ENDED.to_owned()));
        });
        Self { child, log }
    }

    /// How many lines have been logged: later ones are found from here.
    pub(super) fn so_far(&self) -> usize {
        self.log.borrow().len()
    }

    /// Waits for a line that holds this text, from the given one on.
    pub(super) async fn logged(&self, from: usize, text: &str) -> String {
        let find = |log: &Vec<String>| {
            let mut lines = log.iter().skip(from);
            lines.find(|line| line.contains(text) || *line == ENDED).cloned()
        };
        let mut log = self.log.clone();
        let _ = within(text, log.wait_for(|log| find(log).is_some())).await.map(drop);
        let found = find(&self.log.borrow()).unwrap_or_default();
        assert!(found.contains(text), "ended without {text:?}: {:#?}", self.log.borrow());
        found
    }

    /// How many lines hold this text, from the given one on.
    pub(super) fn count(&self, from: usize, text: &str) -> usize {
        self.log.borrow().iter().skip(from).filter(|line| line.contains(text)).count()
    }

    /// The address that the server says it can be reached at.
    pub(super) async fn address(&self) -> SocketAddr {
        self.address_after("listening on http://").await
    }

    /// The address that it logs after this text.
    pub(super) async fn address_after(&self, text: &str) -> SocketAddr {
        let line = self.logged(0, text).await;
        let address = line.split(text).nth(1).unwrap_or_default();
        let address = address.split(['"', ' ', ',']).next().unwrap_or_default();
        address.parse().unwrap_or_else(|_| panic!("no address: {line}"))
    }

    pub(super) fn pid(&self) -> Pid {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        id.expect("is running")
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("can be signalled");
    }

    /// Waits for its end, and returns its exit code.
    pub(super) async fn ended(&mut self) -> Option<i32> {
        within("the process' end", self.child.wait()).await.expect("can be waited for").code()
    }

    /// Ends it without a word of warning.
    pub(super) async fn kill(&mut self) {
        within("the process' end", self.child.kill()).await.expect("can be killed");
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }
}
