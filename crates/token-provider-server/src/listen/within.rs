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

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn stuck_answer_is_given_up_at_the_limit() {
        let began = Instant::now();
        let answer = Within::new(LIMIT, std::future::pending()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(began.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_answer_comes_within_the_limit() {
        let slow = async {
            sleep(LIMIT.mul_f64(0.9)).await;
            Answer::default()
        };
        assert_eq!(Within::new(LIMIT, slow).await.status(), StatusCode::OK);
    }

    #[test]
    fn answer_that_is_there_needs_no_timer() {
        // Without a runtime a timer would panic.
        let mut within = std::pin::pin!(Within::new(LIMIT, std::future::ready(Answer::default())));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(within.as_mut().poll(&mut cx).is_ready());
    }
}
