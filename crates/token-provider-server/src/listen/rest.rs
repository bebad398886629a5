//! A connection on which nothing happens: all that it keeps is its stream and a timer.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep_until, timeout};

use super::activity::Activity;
use super::limits::Limits;
use super::stop::Stop;
use super::watched::Watched;

/// How much of the next head is read here, where there is no buffer for all of it.
const FIRST: usize = 16;

/// How a rest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There is something to read.
    Head,
    /// One side has closed the connection.
    End,
}

/// Waits until the other side says something, has been silent for too long, or the server stops.
pub(super) async fn rest<S>(
    stream: &mut Watched<S>,
    activity: &Activity,
    limits: &Limits,
    stop: &Stop,
) -> io::Result<Next>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut first = [0; FIRST];
    tokio::select! {
        biased;
        () = stop.heard() => {}
        count = stream.read(&mut first) => {
            let read = first.get(..count?).unwrap_or_default();
            if !read.is_empty() {
                stream.unread(Bytes::copy_from_slice(read));
                return Ok(Next::Head);
            }
        }
        () = sleep_until(activity.due(limits)) => {}
    }
    // Nobody did anything wrong, and nothing is on its way.
    activity.close();
    // A stream that is encrypted has a last word of its own. One that cannot be written any more is as good as closed.
    let _ = timeout(limits.linger, stream.shutdown()).await;
    Ok(Next::End)
}
