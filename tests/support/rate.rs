//! How fast something happened.

use std::ops::Add;
use std::time::Duration;

/// The most of these times, the earliest first, within any one second.
pub(crate) fn most_in_a_second<T: Copy + Ord + Add<Duration, Output = T>>(times: &[T]) -> usize {
    assert!(times.is_sorted(), "in the order of their happening");
    let mut first = times.iter().peekable();
    let (mut most, mut within) = (0, 0);
    for time in times {
        within += 1;
        while first
            .next_if(|first| *time >= **first + Duration::from_secs(1))
            .is_some()
        {
            within -= 1;
        }
        most = most.max(within);
    }
    most
}
