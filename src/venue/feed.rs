//! What of a venue is asked for.

/// What a connection carries of its instruments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feed {
    /// Channels, in the venue's own words; empty = [`super::Venue::channels`].
    pub channels: Vec<String>,
    /// Whether checksums are asked for where that is a choice, and compared.
    pub checksums: bool,
    /// Whether a gap is only reported: nothing is subscribed to anew because of it, and no connection ended.
    pub report_gaps_only: bool,
}

impl Feed {
    /// These channels.
    pub fn of<C: Into<String>>(channels: impl IntoIterator<Item = C>) -> Self {
        Self {
            channels: channels.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Whether its books are compared with that venue's checksums: asked for, and there are any.
    pub fn compares_checksums(&self, venue: &dyn super::Venue) -> bool {
        self.checksums && venue.checksums().is_some()
    }

    /// The channels of that venue that are asked for.
    pub fn channels_of(&self, venue: &dyn super::Venue) -> Vec<String> {
        if self.channels.is_empty() {
            venue.channels()
        } else {
            self.channels.clone()
        }
    }
}
