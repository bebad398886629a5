//! What is logged, for tests that look for something in it.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use tracing::Level;
use tracing_subscriber::fmt::format::FmtSpan;

thread_local! {
    /// What this thread has logged, while it is of interest. A test has a thread to itself, its server included.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Keeps what is logged from here on: everything, of every library, at every level.
///
/// One subscriber for all tests: with one for each thread, a test beside this one that logs first would decide whether
/// a place in the code is listened to at all.
pub(crate) fn listen_in() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(|| Ear)
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("is the only one");
    });
    LOG.set(Some(Vec::new()));
}

/// Stops listening, and returns what was heard.
pub(crate) fn heard() -> String {
    String::from_utf8_lossy(&LOG.take().expect("is listening")).into_owned()
}

struct Ear;

impl io::Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.as_mut().map(|log| log.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
