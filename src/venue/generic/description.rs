//! What is said about a venue, as data.

use super::pattern::{Pattern, Pick, Saying};
use super::pointer::Pointer;
use super::template::Template;
use super::time::TimeUnit;
use super::values::ValueRule;
use crate::market::EventKind;
use crate::supervise::DialLimit;
use crate::venue::{Limits, Resync};
use std::fmt;
use std::time::Duration;

/// All that is known of a venue. Its parts are right in themselves; [`super::GenericVenue::new`] checks that they fit together.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// The name in the configuration and in labels: 1 to 64 of the characters `A-Z a-z 0-9 _ - .`.
    pub name: String,
    /// Where it is served: `ws://` or `wss://`.
    pub url: String,
    /// What it allows.
    pub limits: Limits,
    /// How long a live stream may be without data before something is wrong.
    pub stale_after: Duration,
    /// What each instrument is subscribed to where the user does not say; empty = there is nothing to choose from.
    pub channels: Vec<String>,
    /// What is sent first on each connection.
    pub hello: Vec<String>,
    /// The request that subscribes; `None` = nothing is sent.
    pub subscribe: Option<Template>,
    /// The request that ends subscriptions; `None` = they are not ended.
    pub unsubscribe: Option<Template>,
    /// Whether an acknowledgement answers an [`unsubscribe`](Self::unsubscribe) as well. Only of a venue whose acknowledgements
    /// name nothing, and there it must be said: its requests are answered in their order.
    pub unsubscribe_acknowledged: Option<bool>,
    /// What stands in the place of `{items}` in a request, once for each that it names, with commas between.
    pub item: Option<Template>,
    /// The most instruments of one request that names several.
    pub batch: usize,
    /// Whether a request replaces those before it: each names everything that is wanted.
    pub replaces: bool,
    /// When a subscription is in effect.
    pub accepted_by: AcceptedBy,
    /// Frames that grant a request.
    pub acknowledgements: Vec<AnswerRule>,
    /// Frames that refuse one.
    pub refusals: Vec<AnswerRule>,
    /// The text of a ping; `None` = a WebSocket ping frame.
    pub ping: Option<String>,
    /// The time between two pings.
    pub ping_interval: Duration,
    /// The answer to a ping; `None` = anything at all is a sign of life.
    pub pong: Option<Saying>,
    /// How the venue pings, and what it wants in return.
    pub venue_ping: Option<(Saying, Template)>,
    /// How the venue says that it will end the connection.
    pub leaving: Option<LeavingRule>,
    /// What the others are about: of several rules the first one that fits counts.
    pub events: Vec<EventRule>,
    /// What makes the data whole again after a gap in its numbers.
    pub resync: Resync,
}

impl Description {
    /// One that sends WebSocket pings every 20 seconds, lets a connection carry 100 subscriptions and be dialled once a second,
    /// and of which nothing else is said yet.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        let dial = DialLimit {
            per_second: 1.0,
            burst: 1,
        };
        Self {
            name: name.into(),
            url: url.into(),
            limits: Limits::new(100, dial),
            stale_after: Duration::from_secs(60),
            channels: Vec::new(),
            hello: Vec::new(),
            subscribe: None,
            unsubscribe: None,
            unsubscribe_acknowledged: None,
            item: None,
            batch: 50,
            replaces: false,
            accepted_by: AcceptedBy::Sent,
            acknowledgements: Vec::new(),
            refusals: Vec::new(),
            ping: None,
            ping_interval: Duration::from_secs(20),
            pong: None,
            venue_ping: None,
            leaving: None,
            events: Vec::new(),
            resync: Resync::Consumer,
        }
    }
}

/// Its name alone: an address may hold a secret, and so may what is sent first.
impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// When a subscription is in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptedBy {
    /// When it has been sent: the venue answers nothing.
    Sent,
    /// When the first data of the instrument comes, of whichever channel.
    FirstData,
    /// When an acknowledgement comes.
    Acknowledgement,
}

/// An answer to a request: how it is recognised, and what it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnswerRule {
    /// Which frames are such an answer.
    pub when: Pattern,
    /// A list of answers in the frame.
    pub each: Option<Pointer>,
    /// The id of the request.
    pub id: Option<Pointer>,
    /// The instrument, or a list of instruments.
    pub instrument: Option<Pick>,
    /// The channel, where each is answered for itself.
    pub channel: Option<Pick>,
    /// What the venue calls the subscription from now on.
    pub alias: Option<Pointer>,
    /// The venue's words: of a refusal.
    pub words: Vec<Pointer>,
}

/// News that the connection will end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeavingRule {
    /// Which frames say so.
    pub when: Pattern,
    /// The venue's words.
    pub words: Vec<Pointer>,
}

/// What a frame, or each event of a list in it, is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventRule {
    /// What it is about.
    pub kind: EventKind,
    /// Which frames or events these are.
    pub when: Pattern,
    /// The list of events; `None` = the frame is the event.
    pub each: Option<Pointer>,
    /// Which instrument.
    pub instrument: Option<Pick>,
    /// The alias of the subscription, which tells the instrument.
    pub alias: Option<Pointer>,
    /// The venue's time of it.
    pub time: Option<(Pointer, TimeUnit)>,
    /// Where it stands in a numbered series.
    pub sequence: Option<SequenceRule>,
    /// Where its value stands; `None` = it tells none.
    pub value: Option<ValueRule>,
    /// Whether it says that the instrument has ended.
    pub ended: bool,
}

impl EventRule {
    /// All frames are of that kind, and of which no more is said yet.
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            when: Pattern::default(),
            each: None,
            instrument: None,
            alias: None,
            time: None,
            sequence: None,
            value: None,
            ended: false,
        }
    }
}

/// How events are numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SequenceRule {
    /// What is numbered together.
    pub series: SeriesRule,
    /// Where the numbers stand, and what they mean.
    pub place: PlaceRule,
}

impl SequenceRule {
    /// The events of that series, numbered so.
    pub const fn new(series: SeriesRule, place: PlaceRule) -> Self {
        Self { series, place }
    }
}

/// What is numbered together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeriesRule {
    /// Everything on the connection.
    Connection,
    /// The events of an instrument whose rules have the same number here.
    Instrument(u8),
    /// The events of a subscription, whose number stands there.
    Channel(Pointer),
}

/// Where the numbers stand. See [`crate::market::Place`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlaceRule {
    /// The series begins anew behind it.
    Start(Pointer),
    /// The number before, plus one.
    Next(Pointer),
    /// The same in any order.
    Unordered(Pointer),
    /// A range of numbers.
    Range {
        /// The first.
        first: Pointer,
        /// The last.
        last: Pointer,
    },
    /// Its own number, and that of the event before.
    After {
        /// The one before.
        previous: Pointer,
        /// Its own.
        number: Pointer,
    },
}

impl PlaceRule {
    pub(super) fn pointers(&self) -> Vec<&Pointer> {
        match self {
            Self::Start(one) | Self::Next(one) | Self::Unordered(one) => vec![one],
            Self::Range { first: one, last: two }
            | Self::After {
                previous: one,
                number: two,
            } => vec![one, two],
        }
    }
}
