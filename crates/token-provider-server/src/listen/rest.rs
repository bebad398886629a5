//! A connection on which nothing happens: all that it keeps is its stream and a timer.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep_until, timeout};

use super::activity::Activity;
use super::limits::Limits;
use super::stop::Stop;
use super::watched::Watched;

/// What is read of the next head while there is no buffer for it. The rest is left to the system for so long.
const FIRST: usize = 16;

/// Waits until the other side says something, and then returns `true`. Else one of the two has closed the connection.
pub(super) async fn rest<S>(
    stream: &mut Watched<S>,
    activity: &Activity,
    limits: &Limits,
    stop: &Stop,
) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut first = [0; FIRST];
    tokio::select! {
        biased;
        () = stop.heard() => {}
        read = stream.read(&mut first) => {
            if let Some(read) = read.ok().and_then(|count| first.get(..count)).filter(|read| !read.is_empty()) {
                stream.unread(Bytes::copy_from_slice(read));
                return true;
            }
        }
        () = sleep_until(activity.due(limits)) => {}
    }
    // Nobody did anything wrong, and nothing is on its way.
    activity.close();
    // A stream that is encrypted has a last word of its own. One that cannot be written any more is as good as closed.
    let _ = timeout(limits.linger, stream.shutdown()).await;
    false
}
