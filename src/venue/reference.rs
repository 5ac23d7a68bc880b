//! A venue that is shared: one that is built in, or one that somebody made.

use super::Venue;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A venue, shared by all that speak its protocol. Two are the same that have one name, and one description where they have any.
///
/// ```
/// use feedwatch::venue::{Kraken, Polymarket, VenueRef};
/// use std::sync::Arc;
///
/// let built_in = VenueRef::from(&Polymarket);
/// let made = VenueRef::from(Arc::new(Polymarket));
/// assert_eq!(built_in, made);
/// assert_ne!(built_in, VenueRef::from(&Kraken));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum VenueRef {
    /// One that lives as long as the program.
    Static(&'static dyn Venue),
    /// One that was made, from a configuration for instance.
    Shared(Arc<dyn Venue>),
}

impl Deref for VenueRef {
    type Target = dyn Venue;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Static(venue) => *venue,
            Self::Shared(venue) => &**venue,
        }
    }
}

impl<V: Venue> From<&'static V> for VenueRef {
    fn from(venue: &'static V) -> Self {
        Self::Static(venue)
    }
}

impl From<&'static dyn Venue> for VenueRef {
    fn from(venue: &'static dyn Venue) -> Self {
        Self::Static(venue)
    }
}

impl<V: Venue + 'static> From<Arc<V>> for VenueRef {
    fn from(venue: Arc<V>) -> Self {
        Self::Shared(venue)
    }
}

impl PartialEq for VenueRef {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.description() == other.description()
    }
}

impl fmt::Debug for VenueRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
