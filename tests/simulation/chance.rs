//! Seeded chance. Each who needs some has a source of their own, so that one more draw here changes nothing there.

use fastrand::Rng;
use std::ops::Range;
use std::time::Duration;

/// The source of `who`, in the world of `seed`.
pub(crate) fn of(seed: u64, who: &str) -> Rng {
    // FNV-1a: that of std is seeded anew by each process.
    let hash = who.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Rng::with_seed(hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

pub(crate) fn millis(rng: &mut Rng, range: Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

/// One of them.
pub(crate) fn pick<T: Clone>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())].clone()
}
