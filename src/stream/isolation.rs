//! Keeps a panic of one stream's adapter or transport from being everybody's.

use futures_util::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;

/// What a panic may say at most: characters.
const MESSAGE_LIMIT: usize = 200;

/// What the operation comes to; where it panics, what the panic said.
///
/// What the operation worked on may be left half done: it must be closed and made anew before it is used again.
pub(super) async fn caught<F: Future>(operation: F) -> Result<F::Output, String> {
    let ended = AssertUnwindSafe(operation).catch_unwind().await;
    ended.map_err(|payload| message(&*payload))
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
}
