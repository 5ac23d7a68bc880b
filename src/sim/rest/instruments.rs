//! Instruments, as venues list them that do not speak of events.

use super::shapes::Shape;
use crate::sim::fault::millis;
use crate::sim::script::some_millis;
use crate::venue;
use serde::Deserialize;
use std::time::Duration;

/// Instruments of a venue that come and go together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedInstruments {
    /// The venue's name in a configuration: `binance`.
    pub venue: String,
    /// What is subscribed to there: `BTCUSDT`. What names stand for follows from it: at Kalshi the event and the series.
    pub ids: Vec<String>,
    /// They are listed from then on, counted from the venue's start. In a script: `from_ms`.
    #[serde(rename = "from_ms", default, deserialize_with = "millis")]
    pub from: Duration,
    /// They are traded no more then; `None` = never. In a script: `until_ms`.
    #[serde(rename = "until_ms", default, deserialize_with = "some_millis")]
    pub until: Option<Duration>,
}

impl ListedInstruments {
    /// Instruments that are there from the start.
    pub fn new(venue: &str, ids: &[&str]) -> Self {
        Self {
            venue: venue.to_owned(),
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            from: Duration::ZERO,
            until: None,
        }
    }

    /// Some of each venue.
    pub(super) fn examples() -> Vec<Self> {
        Shape::all()
            .map(|shape| Self::new(shape.venue, shape.example))
            .collect()
    }

    /// What makes no sense about them.
    pub(super) fn problem(&self) -> Option<String> {
        let (Some(_), Some(venue)) = (Shape::of(&self.venue), venue::find(&self.venue)) else {
            let known: Vec<_> = Shape::all().map(|shape| shape.venue).collect();
            return Some(format!(
                "instruments: no list is looked up at {:?}; must be one of {} (Polymarket has events)",
                self.venue,
                known.join(", ")
            ));
        };
        let of_id = |id: &String| {
            Some(format!(
                "instruments of {}: {id:?}: {}",
                self.venue,
                venue.check_instrument(id).err()?
            ))
        };
        self.ids.iter().find_map(of_id)
    }

    /// Each for itself.
    pub(super) fn each(self) -> impl Iterator<Item = Instrument> {
        let Self {
            venue,
            ids,
            from,
            until,
        } = self;
        ids.into_iter().map(move |id| Instrument {
            venue: venue.clone(),
            id,
            from,
            until,
        })
    }
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Instrument {
    pub(super) venue: String,
    pub(super) id: String,
    from: Duration,
    pub(super) until: Option<Duration>,
}

impl Instrument {
    #[cfg(test)]
    pub(super) fn new(venue: &str, id: &str) -> Self {
        ListedInstruments::new(venue, &[id]).each().next().unwrap()
    }

    /// Its id, and whether it is traded at that moment; `None` where it is not there yet.
    pub(super) fn at(&self, at: Duration) -> Option<(&str, bool)> {
        let is_open = self.until.is_none_or(|until| at < until);
        (self.from <= at).then_some((&self.id, is_open))
    }
}
