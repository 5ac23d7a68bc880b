//! Values that many read whole and few write, without a reader ever holding up a writer: a sequence lock over atomics.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};
use std::sync::{Mutex, PoisonError};

/// How often a read is tried without a lock. A write takes some hundred nanoseconds, so the first nearly always succeeds.
const TRIES: u32 = 64;

/// Plain figures with a twin made of atomics.
pub(super) trait Plain: Sized {
    /// The twin.
    type Atomic;
    /// Nothing counted yet.
    const ZERO: Self;
    /// A twin with this value.
    fn to_atomic(&self) -> Self::Atomic;
    /// Reads the twin, figure by figure.
    fn load(twin: &Self::Atomic) -> Self;
    /// Writes the twin, figure by figure.
    fn store(&self, twin: &Self::Atomic);
}

impl Plain for u64 {
    type Atomic = AtomicU64;
    const ZERO: Self = 0;

    fn to_atomic(&self) -> AtomicU64 {
        AtomicU64::new(*self)
    }

    fn load(twin: &AtomicU64) -> Self {
        twin.load(Relaxed)
    }

    fn store(&self, twin: &AtomicU64) {
        twin.store(*self, Relaxed);
    }
}

impl<T: Plain, const N: usize> Plain for [T; N] {
    type Atomic = [T::Atomic; N];
    const ZERO: Self = [const { T::ZERO }; N];

    fn to_atomic(&self) -> [T::Atomic; N] {
        self.each_ref().map(T::to_atomic)
    }

    fn load(twin: &[T::Atomic; N]) -> Self {
        twin.each_ref().map(T::load)
    }

    fn store(&self, twin: &[T::Atomic; N]) {
        for (cell, value) in twin.iter().zip(self) {
            value.store(cell);
        }
    }
}

/// Declares a struct of plain figures and its twin of atomics.
macro_rules! cells {
    ($(#[$meta:meta])* $plain:ident, $atomic:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub(super) struct $plain {
            $($(#[$field_meta])* pub(super) $field: $type,)*
        }

        #[doc = concat!("The twin of [`", stringify!($plain), "`].")]
        #[derive(Debug)]
        pub(super) struct $atomic {
            $(pub(super) $field: <$type as $crate::metrics::seqlock::Plain>::Atomic,)*
        }

        impl $crate::metrics::seqlock::Plain for $plain {
            type Atomic = $atomic;
            const ZERO: Self = Self { $($field: <$type as $crate::metrics::seqlock::Plain>::ZERO,)* };

            fn to_atomic(&self) -> $atomic {
                $atomic { $($field: self.$field.to_atomic(),)* }
            }

            fn load(twin: &$atomic) -> Self {
                Self { $($field: $crate::metrics::seqlock::Plain::load(&twin.$field),)* }
            }

            fn store(&self, twin: &$atomic) {
                $(self.$field.store(&twin.$field);)*
            }
        }
    };
}
pub(super) use cells;

/// A `T` that is always read as some writer left it, and what else writers want to know of each other.
#[derive(Debug)]
pub(super) struct SeqLock<T: Plain, W = ()> {
    /// Odd while a write is under way.
    version: AtomicU64,
    writers: Mutex<W>,
    twin: T::Atomic,
}

impl<T: Plain, W: Default> SeqLock<T, W> {
    /// Holds `value`.
    pub(super) fn new(value: &T) -> Self {
        Self {
            version: AtomicU64::new(0),
            writers: Mutex::default(),
            twin: value.to_atomic(),
        }
    }

    /// The value as the last finished write left it.
    pub(super) fn read(&self) -> T {
        for _ in 0..TRIES {
            let before = self.version.load(Acquire);
            if before.is_multiple_of(2) {
                let value = T::load(&self.twin);
                // The figures are read before the version is read again.
                fence(Acquire);
                if self.version.load(Relaxed) == before {
                    return value;
                }
            }
            std::hint::spin_loop();
        }
        // A writer was suspended in the middle, or there are very many: wait for one turn.
        let _turn = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        T::load(&self.twin)
    }

    /// Changes the value; readers see all of the change or nothing. A panic in `change` leaves the value as it was.
    pub(super) fn write(&self, change: impl FnOnce(&mut T, &mut W)) {
        let mut turn = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let _odd = Odd::begin(&self.version);
        let mut value = T::load(&self.twin);
        change(&mut value, &mut turn);
        value.store(&self.twin);
    }

    /// The twin, for single figures that are read on their own.
    pub(super) const fn twin(&self) -> &T::Atomic {
        &self.twin
    }
}

/// The version is odd as long as this lives, also through a panic.
struct Odd<'v>(&'v AtomicU64);

impl<'v> Odd<'v> {
    fn begin(version: &'v AtomicU64) -> Self {
        version.store(version.load(Relaxed).wrapping_add(1), Relaxed);
        // A reader that sees one of the new figures sees the odd version too. And what the change reads besides is no older
        // than what a reader left, behind a fence of its own, before it saw the even version.
        fence(SeqCst);
        Self(version)
    }
}

impl Drop for Odd<'_> {
    fn drop(&mut self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    cells! {
        /// Two equal halves.
        Pair, AtomicPair { left: u64, right: [u64; 40], }
    }

    #[test]
    fn a_read_never_sees_half_a_write() {
        let lock: SeqLock<Pair> = SeqLock::new(&Pair::ZERO);
        let done = AtomicBool::new(false);
        let bump = || {
            for _ in 0..20_000 {
                lock.write(|pair, ()| {
                    pair.left += 1;
                    pair.right = pair.right.map(|right| right + 1);
                });
            }
        };
        std::thread::scope(|scope| {
            let writers = [scope.spawn(bump), scope.spawn(bump)];
            let reader = scope.spawn(|| {
                let mut last = 0;
                while !done.load(Relaxed) {
                    let pair = lock.read();
                    assert!(pair.right.iter().all(|right| *right == pair.left), "{pair:?}");
                    assert!(pair.left >= last, "went back");
                    last = pair.left;
                }
            });
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Relaxed);
            reader.join().unwrap();
        });
        assert_eq!(lock.read().left, 40_000, "no write is lost");
    }

    #[test]
    fn a_panic_in_a_write_changes_nothing() {
        let lock: SeqLock<Pair> = SeqLock::new(&Pair::ZERO);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            lock.write(|pair, ()| {
                pair.left = 1;
                panic!("in the middle");
            });
        }));
        assert!(caught.is_err());
        assert_eq!(lock.read().left, 0);
        lock.write(|pair, ()| pair.left = 2);
        assert_eq!(lock.read().left, 2);
    }
}
