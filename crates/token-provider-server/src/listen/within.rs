//! An answer that may not take for ever.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use crate::http::Answer;
use crate::problem::Problem;

pin_project! {
    /// Has a request answered within a time, whatever may be stuck. An answer that is there at once, as most are, needs
    /// no timer; else its time runs from then on.
    pub(super) struct Within<F> {
        #[pin]
        answer: F,
        limit: Duration,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Within<F> {
    pub(super) fn new(limit: Duration, answer: F) -> Self {
        Self { answer, limit, timer: None }
    }
}

impl<F: Future<Output = Answer>> Future for Within<F> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = self.project();
        if let Poll::Ready(answer) = this.answer.poll(cx) {
            return Poll::Ready(answer);
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(*this.limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Problem::not_ready("the answer took too long").into_response(""))
    }
}
