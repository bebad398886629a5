//! Work on a file that may hang, as on a network file system whose server is gone: not on the threads that answer
//! callers, waited for only so long, and for each file at a path never more than one at a time.

use std::time::Duration;

use tokio::task::AbortHandle;

/// A network file system answers in milliseconds while it is well.
const PATIENCE: Duration = Duration::from_secs(3);

/// The file did not answer. It has been reported.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hung;

/// Does one thing after the other with a file.
#[derive(Debug)]
pub(super) struct FileWork {
    /// For the log.
    file: String,
    /// What was waited for in vain. It cannot be stopped, and holds a thread until the file answers.
    hung: Option<AbortHandle>,
}

impl FileWork {
    pub(super) fn new(file: &impl ToString) -> Self {
        Self { file: file.to_string(), hung: None }
    }

    /// Runs it where it may block. While an earlier one hangs, fails at once: threads are not piled up.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Hung> {
        if self.hung.as_ref().is_some_and(|earlier| !earlier.is_finished()) {
            return Err(Hung);
        }
        let task = tokio::task::spawn_blocking(work);
        let handle = task.abort_handle();
        match tokio::time::timeout(PATIENCE, task).await {
            Ok(Ok(result)) => {
                self.hung = None;
                Ok(result)
            }
            // It panicked, which has been reported, or the runtime is ending.
            Ok(Err(_)) => Err(Hung),
            Err(_elapsed) => {
                tracing::error!(
                    file = self.file,
                    "the file does not answer; what was read last stays in use"
                );
                self.hung = Some(handle);
                Err(Hung)
            }
        }
    }

    /// Waits no more for what hangs: there is another file at the path now.
    pub(super) fn begin_anew(&mut self) {
        self.hung = None;
    }
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
        let mut work = FileWork::new(&"x");
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
            tokio::time::advance(PATIENCE).await;
        };
        assert_eq!(tokio::join!(work.run(hanging), passes).0, Err(Hung));

        let another = || {
            let begun = Arc::clone(&begun);
            move || begun.fetch_add(1, Ordering::Relaxed)
        };
        for _ in 0..3 {
            assert_eq!(work.run(another()).await, Err(Hung), "at once, with no time gone by");
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);

        let earlier = work.hung.clone().expect("hangs");
        drop(release);
        while !earlier.is_finished() {
            tokio::task::yield_now().await;
        }
        assert_eq!(work.run(another()).await, Ok(1), "the file answers again");
    }

    #[tokio::test(start_paused = true)]
    async fn another_file_need_not_wait_for_the_one_before() {
        let (_release, released) = mpsc::channel::<()>();
        let mut work = FileWork::new(&"x");
        let (hung, ()) = tokio::join!(
            work.run(move || {
                let _ = released.recv();
            }),
            tokio::time::advance(PATIENCE)
        );
        assert_eq!(hung, Err(Hung));
        work.begin_anew();
        assert_eq!(work.run(|| 1).await, Ok(1));
    }
}
