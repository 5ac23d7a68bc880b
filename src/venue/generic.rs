//! Any venue that speaks JSON, from a description alone.
//!
//! The configuration's `[[venues]]` are such descriptions. A program that embeds the stream can make its own:
//!
//! ```
//! use feedwatch::market::{EventKind, Instrument, Value};
//! use feedwatch::venue::generic::{Description, EventRule, GenericVenue, Pattern, Pick, Pointer, Template, TradeRule, ValueRule, Wanted};
//! use feedwatch::venue::{Feed, Venue, VenueRef};
//! use std::sync::Arc;
//!
//! let at = |text| Pointer::parse(text).unwrap();
//! let mut trades = EventRule::new(EventKind::Trade);
//! trades.when = Pattern(vec![(at("/type"), vec![Wanted::parse("trade*").unwrap()])]);
//! trades.instrument = Some(Pick::at(vec![at("/pair")]));
//! trades.value = Some(ValueRule::Trade(TradeRule::new(at("/price"))));
//!
//! let mut ticks = Description::new("ticks", "wss://ticks.example/ws");
//! ticks.subscribe = Some(Template::parse(r#"{"subscribe":[{instruments}],"id":{id}}"#).unwrap());
//! ticks.events = vec![trades];
//! let ticks = VenueRef::from(Arc::new(GenericVenue::new(ticks).unwrap()));
//!
//! let mut session = ticks.session(&Feed::default());
//! assert_eq!(session.subscribe(&["a", "b"].map(Instrument::new)), [r#"{"subscribe":["a","b"],"id":1}"#]);
//!
//! let mut seen = Vec::new();
//! let frame = r#"{"type":"trade.x","pair":"a","price":"1.5"}"#;
//! ticks.decoder().decode(frame, &mut |event| seen.push((event.kind, event.instrument.map(str::to_owned)))).unwrap();
//! assert_eq!(seen, [(EventKind::Trade, Some("a".to_owned()))]);
//!
//! ticks.decoder().values(frame, &mut |value| {
//!     let Ok(Value::Trade(trade)) = value else { panic!("{value:?}") };
//!     assert_eq!((trade.instrument, trade.price.to_string()), ("a", "1.5".to_owned()));
//! });
//! ```
//!
//! What comes of it are envelopes: kinds, instruments, times and numbers. Rules that say where prices stand, by a [`ValueRule`], tell
//! [values](crate::market::Value) as well.

mod check;
mod decoder;
mod description;
mod pattern;
mod pointer;
mod read;
mod session;
mod template;
mod time;
mod tree;
mod values;

pub use check::InvalidDescription;
pub use description::{
    AcceptedBy, AnswerRule, Description, EventRule, LeavingRule, PlaceRule, SequenceRule, SeriesRule,
};
pub use pattern::{Case, InvalidWanted, Pattern, Pick, Saying, Wanted};
pub use pointer::{InvalidPointer, Pointer};
pub use template::{InvalidTemplate, Template};
pub use time::TimeUnit;
pub use values::{LevelsRule, SideRule, TradeRule, ValueRule};

use super::{Decoder, Feed, Heartbeat, Limits, Ping, Resync, Session, Venue};
use crate::market::{LONGEST_NAME, is_name};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// A venue that somebody has described.
#[derive(Clone, Debug, PartialEq)]
pub struct GenericVenue {
    description: Arc<Description>,
}

impl GenericVenue {
    /// The venue, if the description's parts fit together.
    pub fn new(description: Description) -> Result<Self, InvalidDescription> {
        description.check()?;
        Ok(Self {
            description: Arc::new(description),
        })
    }
}

impl Venue for GenericVenue {
    fn name(&self) -> &str {
        &self.description.name
    }

    fn default_url(&self) -> &str {
        &self.description.url
    }

    fn limits(&self) -> Limits {
        self.description.limits
    }

    fn heartbeat(&self) -> Heartbeat {
        let ping = self.description.ping.clone();
        Heartbeat {
            interval: self.description.ping_interval,
            ping: ping.map_or(Ping::Frame, |text| Ping::Text(Cow::Owned(text))),
        }
    }

    fn stale_after(&self) -> Duration {
        self.description.stale_after
    }

    fn channels(&self) -> Vec<String> {
        self.description.channels.clone()
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        if self.description.channels.is_empty() {
            return Err("there is nothing to choose from at this venue".into());
        }
        check_name(channel, "a channel")
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        check_name(id, "an instrument")
    }

    fn has_sequences(&self) -> bool {
        self.description.events.iter().any(|rule| rule.sequence.is_some())
    }

    fn resync(&self) -> Resync {
        self.description.resync
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        let channels = feed.channels_of(self);
        Box::new(session::GenericSession::new(Arc::clone(&self.description), channels))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(decoder::GenericDecoder::new(Arc::clone(&self.description)))
    }

    fn description(&self) -> Option<&Description> {
        Some(&self.description)
    }
}

fn check_name(name: &str, what: &str) -> Result<(), Cow<'static, str>> {
    let is_legal = !name.is_empty() && is_name(name) && !name.chars().any(char::is_control);
    is_legal
        .then_some(())
        .ok_or_else(|| format!("{what} is 1 to {LONGEST_NAME} bytes, without control characters").into())
}
