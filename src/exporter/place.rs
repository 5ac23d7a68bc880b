//! Places for answers that cost something: there are so many, and each is given back when the answer is out.

use hyper::body::Bytes;
use prometheus::IntGauge;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The place of an answer that fills memory, from the first figure read until the last byte is sent.
pub(super) struct Place {
    in_flight: Option<IntGauge>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// A place, if there is one left; counted in `in_flight` as long as it is taken.
    pub(super) fn take(places: &Arc<Semaphore>, in_flight: Option<&IntGauge>) -> Option<Self> {
        let permit = Arc::clone(places).try_acquire_owned().ok()?;
        in_flight.inspect(|gauge| gauge.inc());
        Some(Self {
            in_flight: in_flight.cloned(),
            _permit: permit,
        })
    }

    /// The answer, which gives the place back when it is dropped.
    pub(super) fn holding<T: AsRef<[u8]> + Send + 'static>(self, answer: T) -> Bytes {
        Bytes::from_owner(Held { answer, _place: self })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_flight.iter().for_each(IntGauge::dec);
    }
}

struct Held<T> {
    answer: T,
    _place: Place,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        self.answer.as_ref()
    }
}
