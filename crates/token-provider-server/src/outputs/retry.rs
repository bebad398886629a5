//! On Windows a file cannot be replaced or removed while another program has it open, unless that program allows it.

use std::io;
use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// Tries again while it fails, for two seconds: readers of a token are done sooner. There is nothing to wait for where nothing is.
pub(super) fn retried<T>(
    mut attempt: impl FnMut() -> io::Result<T>,
    mut pause: impl FnMut(Duration),
) -> io::Result<T> {
    let mut waited = Duration::ZERO;
    loop {
        match attempt() {
            Err(error) if error.kind() != io::ErrorKind::NotFound && waited < LONGEST => {
                pause(PAUSE);
                waited += PAUSE;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a file that another program has open for so long, and after how long.
    fn with_reader(until: Duration) -> (io::Result<()>, Duration) {
        let now = std::cell::Cell::new(Duration::ZERO);
        let attempt = || if now.get() < until { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) };
        let result = retried(attempt, |pause| now.set(now.get() + pause));
        (result, now.get())
    }

    #[test]
    fn file_that_is_open_is_replaced_once_it_is_closed_within_two_seconds() {
        for millis in [0, 50, 1_000, 2_000] {
            let (result, after) = with_reader(Duration::from_millis(millis));
            assert!(
                result.is_ok() && after == Duration::from_millis(millis),
                "{millis}: {result:?} {after:?}"
            );
        }
        let (result, after) = with_reader(Duration::from_secs(3));
        assert_eq!(result.map_err(|error| error.kind()), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(after, LONGEST);
    }

    #[test]
    fn nothing_is_waited_for_where_there_is_no_file() {
        let attempt = || Err::<(), _>(io::ErrorKind::NotFound.into());
        assert!(retried(attempt, |_| panic!("waits")).is_err());
    }
}
