//! The one place that reads the clocks.
//!
//! Durations, deadlines and ages come from the monotonic clock (tokio's, so that a paused clock works in tests); the wall
//! clock serves only to compare with a venue's timestamps and to export Unix times.
//!
//! ```
//! use feedwatch::clock::{Moment, unix_seconds};
//! use std::time::Duration;
//!
//! let now = Moment::now();
//! let due = now.mono + Duration::from_secs(90);
//! // What is due by the monotonic clock, as a person or a dashboard is told it.
//! assert_eq!(now.unix_seconds_at(due), unix_seconds(now.wall) + 90.0);
//! ```

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic time: for durations and deadlines.
    pub mono: Instant,
    /// Wall-clock time: may step in either direction.
    pub wall: SystemTime,
}

impl Moment {
    /// Reads both clocks.
    #[allow(clippy::disallowed_methods)] // the one place
    pub fn now() -> Self {
        Self {
            mono: tokio::time::Instant::now().into_std(),
            wall: SystemTime::now(),
        }
    }

    /// The Unix time in seconds at which the monotonic clock shows (or showed) `at`, judged from this reading.
    pub fn unix_seconds_at(&self, at: Instant) -> f64 {
        let wall = unix_seconds(self.wall);
        match at.checked_duration_since(self.mono) {
            Some(ahead) => wall + ahead.as_secs_f64(),
            None => wall - self.mono.duration_since(at).as_secs_f64(),
        }
    }

    /// Milliseconds since the Unix epoch; negative before it.
    pub fn unix_millis(&self) -> i64 {
        match self.wall.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        }
    }
}

/// Seconds since the Unix epoch; negative before it.
pub fn unix_seconds(wall: SystemTime) -> f64 {
    match wall.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}
