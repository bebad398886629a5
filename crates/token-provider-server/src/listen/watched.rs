//! A stream that leaves marks of what moves on it, and takes leave so that its last words are heard.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;

/// What is read in one go when nobody wants it any more, and in all: some heads of a mebibyte, but no flood.
const DISCARD: usize = 8 * 1024;
const DISCARD_ALL: usize = 4 * 1024 * 1024;

/// The stream under an HTTP connection.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    farewell: Farewell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// Both sides may talk.
    None,
    /// The other side has said its last word.
    Heard,
    /// We have said our last word, and listen for theirs to this number of bytes.
    Lingering(usize),
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity, farewell: Farewell::None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let (is_wanted, result) =
            (buffer.remaining() > 0, ready!(Pin::new(&mut self.stream).poll_read(cx, buffer)));
        if buffer.filled().len() > before {
            self.activity.has_read();
        } else if is_wanted {
            self.farewell = Farewell::Heard;
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.activity.has_written();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bytes));
        self.activity.has_written();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Says that nothing more will come, then reads what the other side still sends, for nobody (RFC 9112 §9.6).
    /// Closing a socket with something unread makes the system send a reset, and the other side may lose an answer for
    /// it, such as the one that says that its head is too large. The connection's timer puts an end to it, or too many
    /// bytes do.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !matches!(self.farewell, Farewell::Lingering(_)) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            // Not where the other side has gone first, or where an idle connection is closed: nothing is on its way.
            if self.farewell == Farewell::Heard || self.activity.is_closing() {
                return Poll::Ready(Ok(()));
            }
            self.farewell = Farewell::Lingering(DISCARD_ALL);
            self.activity.close();
        }
        let mut unwanted = [0; DISCARD];
        loop {
            let mut buffer = ReadBuf::new(&mut unwanted);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            let count = buffer.filled().len();
            if let Farewell::Lingering(left) = &mut self.farewell {
                *left = left.saturating_sub(count);
                if read.is_err() || count == 0 || *left == 0 {
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}
