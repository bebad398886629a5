//! Files that hold a fresh token, for programs that read a file (`[[outputs]]`).
//!
//! Each has a task, which asks for its token as any caller does. What a file system may be slow at is done where that holds up
//! nobody else: in a thread of its own, one at a time for each output.

#[cfg(unix)]
mod file;
mod format;
mod output;
#[cfg(any(not(unix), test))]
mod plain;
#[cfg(not(unix))]
use self::plain as file;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use token_provider::Clock;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::output::{Common, Output};
use crate::config::{OutputConfig, output_path};
use crate::failure::Failure;
use crate::file_work::{STUCK, STUCK_AFTER};
use crate::http::App;
use crate::topic::Topic;

pub use self::file::Place;
pub use self::format::render;

/// How long the end of the process waits for the files to be removed. On Windows a file is there for as long as a reader has it open.
const LONGEST_STOP: Duration = Duration::from_secs(if cfg!(unix) { 1 } else { 3 });

/// All outputs, and as many that a reload has taken away while their file system hung. The runtime has 512.
const MOST_THREADS: usize = 128;

/// The outputs of a running server.
#[derive(Debug)]
pub struct Outputs {
    common: Common,
    tasks: Mutex<BTreeMap<Arc<Path>, JoinHandle<()>>>,
}

impl Outputs {
    /// Starts the outputs of the configuration that an application runs with. None takes the place of a file in `kept`.
    pub fn start(app: Arc<App>, clock: impl Clock, kept: Arc<[PathBuf]>) -> Self {
        let (threads, stop) = (Arc::new(Semaphore::new(MOST_THREADS)), CancellationToken::new());
        let common = Common { app, clock: Arc::new(clock), kept, threads, stop };
        let outputs = Self { common, tasks: Mutex::default() };
        outputs.look();
        outputs
    }

    /// Starts the outputs of the configuration that do not run. What else has changed each sees by itself. One that ends just now,
    /// as it was not configured for a moment, is started by the next look.
    pub fn look(&self) {
        let rules = self.common.app.access.rules();
        let mut tasks = self.tasks.lock();
        if self.common.stop.is_cancelled() {
            return;
        }
        tasks.retain(|_, task| !task.is_finished());
        for output in &rules.config.outputs {
            let path: Arc<Path> = output.path.as_path().into();
            let start = || tokio::spawn(Output::new(self.common.clone(), Arc::clone(&path)).run());
            tasks.entry(Arc::clone(&path)).or_insert_with(start);
        }
    }

    /// Returns whether there may be a token at this path: an output that was taken out of the configuration removes its file first.
    pub fn has(&self, path: &Path) -> bool {
        let path = output_path(path.to_owned()).unwrap_or_default();
        self.tasks.lock().get(&*path).is_some_and(|task| !task.is_finished())
    }

    /// Removes the files, as far as that can be done in a second.
    pub async fn stop(&self) {
        self.common.stop.cancel();
        let tasks = mem::take(&mut *self.tasks.lock());
        if timeout(LONGEST_STOP, join_all(tasks.into_values())).await.is_err() {
            tracing::error!("some outputs could not be removed before shutdown: {STUCK}");
        }
    }
}

/// Checks that an output can be written. At the start its folder is made.
///
/// # Errors
///
/// Why not. Where the file system is full or does not respond, that is no error at the start: it may be well again soon.
pub async fn check(output: &OutputConfig, kept: Arc<[PathBuf]>, is_start: bool) -> Result<(), Failure> {
    let OutputConfig { path, mode, group, .. } = output.clone();
    let work = spawn_blocking(move || {
        let path = if is_start { path } else { first_to_make(path)? };
        Place::new(&path, kept).replace(mode, group.as_ref(), &[], || false)
    });
    let done = timeout(STUCK_AFTER, work).await.map_err(|_| io::Error::new(ErrorKind::TimedOut, STUCK));
    let passes = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::TimedOut];
    match done.and_then(|done| done?) {
        Err(error) if !(is_start && passes.contains(&error.kind())) => Err(failure(&output.path, &error)),
        _ => Ok(()),
    }
}

/// Returns the file's folder if that is not there, and can be made.
pub fn first_to_make(path: PathBuf) -> io::Result<PathBuf> {
    let Some(folder) = path.parent().filter(|folder| !folder.try_exists().unwrap_or(true)) else {
        return Ok(path);
    };
    // Only the last folder would be made.
    folder.parent().unwrap_or(folder).metadata()?;
    Ok(folder.to_owned())
}

/// Says why a file cannot be written.
pub fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Topic::Output, format!("output {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
