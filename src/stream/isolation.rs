//! Keeps a panic of one stream's adapter or transport from being everybody's.

use futures_util::FutureExt;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a panic may say at most: characters.
const MESSAGE_LIMIT: usize = 200;

/// What the operation comes to; where it panics, what the panic said.
///
/// What the operation worked on may be left half done: it must be closed and made anew before it is used again.
pub(super) async fn caught<F: Future>(operation: F) -> Result<F::Output, String> {
    let ended = AssertUnwindSafe(operation).catch_unwind().await;
    ended.map_err(|payload| message(&*payload))
}

/// The same of one poll. What it comes to is put in its place rather than returned: taken apart and put together again, an event
/// is moved byte by byte.
pub(super) fn poll_caught<F: Future>(
    operation: Pin<&mut F>,
    cx: &mut Context<'_>,
    output: &mut Poll<F::Output>,
) -> Result<(), String> {
    let polled = catch_unwind(AssertUnwindSafe(|| *output = operation.poll(cx)));
    polled.map_err(|payload| message(&*payload))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words")
        .chars()
        .take(MESSAGE_LIMIT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Waker;

    async fn said(panic: impl FnOnce()) -> String {
        caught(async { panic() }).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_panic_is_caught_with_its_words() {
        assert_eq!(caught(async { 7 }).await, Ok(7));
        assert_eq!(said(|| panic!("as it is")).await, "as it is");
        assert_eq!(said(|| panic!("put {}", "together")).await, "put together");
        assert_eq!(said(|| panic!("{}", "ä".repeat(1000))).await, "ä".repeat(MESSAGE_LIMIT));
        assert_eq!(said(|| std::panic::panic_any(7)).await, "a panic without words");
    }

    #[test]
    fn a_panic_of_one_poll_is_caught_with_its_words() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut output = Poll::Pending;
        assert_eq!(poll_caught(pin!(async { 7 }), &mut cx, &mut output), Ok(()));
        assert_eq!(output, Poll::Ready(7));
        let mut output = Poll::<()>::Pending;
        let caught = poll_caught(pin!(async { panic!("as it is") }), &mut cx, &mut output);
        assert_eq!((caught, output), (Err("as it is".to_owned()), Poll::Pending));
    }
}
