//! Buffers to read into, which go from connection to connection. Each thread keeps a few.

use bytes::BytesMut;
use std::cell::RefCell;

/// So many wait on a thread for who needs one. Connections that are read one after the other need one.
const KEPT: usize = 4;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Makes sure that `buffer` has room for so many bytes in all. What is in it stays.
pub(super) fn make_room(buffer: &mut BytesMut, size: usize) {
    let wanted = size.saturating_sub(buffer.len()).max(1);
    // It succeeds where nobody holds a frame that was cut out of it.
    if !buffer.try_reclaim(wanted) {
        let mut next = take(size.max(buffer.len() + 1));
        next.extend_from_slice(buffer);
        *buffer = next;
    }
}

/// Keeps the memory of a buffer for others. Nothing that is in it is kept.
pub(super) fn give_back(buffer: &mut BytesMut) {
    let mut buffer = std::mem::take(buffer);
    buffer.clear();
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(buffer);
        }
    });
}

fn take(size: usize) -> BytesMut {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
    spare
        // Not one of another size, nor one of which somebody still holds a frame.
        .and_then(|mut buffer| buffer.try_reclaim(size).then_some(buffer))
        .unwrap_or_else(|| BytesMut::with_capacity(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_nobody_holds_a_part_of_it() {
        let mut buffer = BytesMut::new();
        make_room(&mut buffer, 1000);
        assert!(buffer.capacity() >= 1000);
        buffer.extend_from_slice(&[7; 1000]);
        let memory = buffer.as_ptr();
        let held = buffer.split_to(900).freeze();
        make_room(&mut buffer, 1000);
        assert_ne!(buffer.as_ptr(), memory, "a part of it is held");
        assert_eq!((&buffer[..], held.len()), (&[7; 100][..], 900));
        give_back(&mut buffer);
        assert_eq!(buffer.capacity(), 0);
        make_room(&mut buffer, 1000);
        assert!(buffer.is_empty(), "what was in it is gone");
    }

    #[test]
    fn few_are_kept() {
        for _ in 0..100 {
            give_back(&mut BytesMut::with_capacity(64));
        }
        assert_eq!(SPARE.with(|spare| spare.borrow().len()), KEPT);
        let mut large = BytesMut::new();
        make_room(&mut large, 1 << 20);
        assert!(large.capacity() >= 1 << 20);
    }
}
