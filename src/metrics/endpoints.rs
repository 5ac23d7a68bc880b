//! Where the connections of a stream are, or dial: shown by the API, and no label.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Host and port by the number of the connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionEndpoints(Mutex<BTreeMap<u32, String>>);

impl ConnectionEndpoints {
    pub(super) fn set(&self, number: u32, endpoint: String) {
        self.all().insert(number, endpoint);
    }

    pub(super) fn forget(&self, number: u32) {
        self.all().remove(&number);
    }

    /// Each once, in the order of the first connection that is there.
    pub(super) fn distinct(&self) -> Vec<String> {
        let mut distinct = Vec::new();
        for endpoint in self.all().values() {
            if !distinct.contains(endpoint) {
                distinct.push(endpoint.clone());
            }
        }
        distinct
    }

    /// The map is valid after any panic.
    fn all(&self) -> MutexGuard<'_, BTreeMap<u32, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_is_shown_once_for_as_long_as_a_connection_is_there() {
        let endpoints = ConnectionEndpoints::default();
        for (number, endpoint) in [(0, "b:1"), (1, "a:1"), (2, "b:1")] {
            endpoints.set(number, endpoint.to_owned());
        }
        assert_eq!(endpoints.distinct(), ["b:1", "a:1"]);
        endpoints.set(0, "a:1".to_owned());
        endpoints.forget(2);
        assert_eq!(endpoints.distinct(), ["a:1"]);
    }
}
