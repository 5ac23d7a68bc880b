//! The decoder of a venue whose frames tell all that they are about.

use super::Decoder;
use crate::market::{DecodeError, Envelope, Value, ValueError};

/// Reads with two functions, envelopes and values, and keeps nothing. They are part of its type, so that it has no size and calls
/// them directly.
pub(super) struct Stateless<D, V>(pub(super) D, pub(super) V);

impl<D, V> Decoder for Stateless<D, V>
where
    D: Fn(&str, &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> + Send,
    V: for<'f> Fn(&'f str, &mut dyn FnMut(Result<Value<'f>, ValueError>)) + Send,
{
    fn decode(&mut self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        (self.0)(frame, visit)
    }

    fn values<'f>(&'f mut self, frame: &'f str, visit: &mut dyn FnMut(Result<Value<'f>, ValueError>)) {
        (self.1)(frame, visit);
    }
}
