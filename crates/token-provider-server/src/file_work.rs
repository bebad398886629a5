//! Work on a file that may hang, as on a network file system whose server is gone: not on the threads that answer
//! callers, waited for only so long, and for each file at a path never more than one at a time.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use tokio::task::AbortHandle;
use zeroize::Zeroizing;

/// The most that a file with a secret has.
pub(crate) const MAX_SECRET: usize = 4 * 1024;

/// A network file system answers in milliseconds while it is well.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(3);
pub(crate) const STUCK: &str = "the file system does not respond";

/// Runs blocking work on a file, one task at a time.
#[derive(Debug)]
pub(crate) struct FileWork {
    /// For the log.
    file: String,
    /// The work that is not done, or timed out. It cannot be stopped, and holds a thread until the file answers.
    unfinished: Option<AbortHandle>,
}

impl FileWork {
    pub(crate) fn new(file: &Path) -> Self {
        Self { file: file.display().to_string(), unfinished: None }
    }

    /// Runs the work where it may block. Returns `None` if the file does not answer, which is logged once; and at once while
    /// earlier work hangs, so that threads do not pile up.
    pub(crate) async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.unfinished.as_ref().is_some_and(|earlier| !earlier.is_finished()) {
            return None;
        }
        let task = tokio::task::spawn_blocking(work);
        self.unfinished = Some(task.abort_handle());
        let Ok(result) = tokio::time::timeout(STUCK_AFTER, task).await else {
            tracing::error!(file = self.file, "{STUCK}; what was read last stays in use");
            return None;
        };
        // Work that panicked has no result; the panic has been reported.
        result.ok()
    }

    /// Stops waiting for work that hangs: there is another file at the path now.
    pub(crate) fn forget_unfinished(&mut self) {
        self.unfinished = None;
    }
}

/// Reads a file of no more than this: a device or a log that is named by mistake does not fill the memory. Blocks.
pub(crate) fn read_small(file: &Path, max: usize) -> io::Result<Zeroizing<String>> {
    // Room for all of it at once, so that growing leaves no copy of a secret behind.
    let mut text = Zeroizing::new(String::with_capacity(max + 1));
    File::open(file)?.take(max as u64 + 1).read_to_string(&mut text)?;
    if text.len() > max {
        Err(io::Error::other(format!("it is larger than {} KiB", max / 1024)))
    } else {
        Ok(text)
    }
}

/// The same for what is a file: a pipe would have to be waited for.
pub(crate) fn read_small_file(file: &Path, max: usize) -> io::Result<Zeroizing<String>> {
    if file.metadata()?.is_file() { read_small(file, max) } else { Err(io::Error::other("it is not a file")) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_waited_for_once_and_holds_one_thread() {
        let begun = Arc::new(AtomicUsize::new(0));
        let (release, released) = mpsc::channel::<()>();
        let mut work = FileWork::new(Path::new("x"));
        let hanging = {
            let begun = Arc::clone(&begun);
            move || {
                begun.fetch_add(1, Ordering::Relaxed);
                // Until it is released, or the test is over.
                let _ = released.recv();
            }
        };
        let passes = async {
            while begun.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            tokio::time::advance(STUCK_AFTER).await;
        };
        assert_eq!(tokio::join!(work.run(hanging), passes).0, None);

        let another = || {
            let begun = Arc::clone(&begun);
            move || begun.fetch_add(1, Ordering::Relaxed)
        };
        for _ in 0..3 {
            assert_eq!(work.run(another()).await, None, "at once, with no time gone by");
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);

        let earlier = work.unfinished.clone().expect("hangs");
        drop(release);
        while !earlier.is_finished() {
            tokio::task::yield_now().await;
        }
        assert_eq!(work.run(another()).await, Some(1), "the file answers again");
    }

    #[tokio::test(start_paused = true)]
    async fn another_file_need_not_wait_for_the_one_before() {
        let (_release, released) = mpsc::channel::<()>();
        let mut work = FileWork::new(Path::new("x"));
        let (hung, ()) = tokio::join!(
            work.run(move || {
                let _ = released.recv();
            }),
            tokio::time::advance(STUCK_AFTER)
        );
        assert_eq!(hung, None);
        work.forget_unfinished();
        assert_eq!(work.run(|| 1).await, Some(1));
    }
}
