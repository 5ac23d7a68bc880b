//! What a probe has found.

use crate::clock::Moment;
use crate::market::{DecodeError, DialPhase, EventKind, Failure, Subscribed};
use crate::metrics::NameStatus;
use crate::stream::{Endpoint, RestEndpoint};
use std::net::SocketAddr;
use std::time::Duration;

closed_set! {
    /// What a probe came to.
    pub enum Verdict {
        /// Live, each subscription in effect, and data came.
        Well => "well",
        /// Connected and upgraded. Nothing was to be subscribed to, so no data was to be expected.
        Upgraded => "upgraded",
        /// Not dialled: the gate of the host gave no turn in time.
        Held => "held",
        /// Not all of the names that a stream watches could be looked up; where nothing came of any, it was not dialled.
        Unresolved => "unresolved",
        /// The connection or its first subscription did not come about.
        Failed => "failed",
        /// The venue left out or refused some of the instruments.
        Refused => "refused",
        /// What came cannot be read.
        Unreadable => "unreadable",
        /// Live, and no data came.
        NoData => "no_data",
        /// The connection was lost before enough had come.
        Lost => "lost",
    }
}

impl Verdict {
    /// Whether nothing is wrong.
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Well | Self::Upgraded)
    }
}

/// An event of a frame, as far as its envelope tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenEvent {
    /// What it is about.
    pub kind: EventKind,
    /// Which instrument, where it names one; cut where it is very long.
    pub instrument: Option<String>,
    /// The venue's time of it: milliseconds since the Unix epoch.
    pub venue_time_ms: Option<i64>,
}

/// One of the first frames.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenFrame {
    /// Since the dial began.
    pub after: Duration,
    /// Its size.
    pub bytes: usize,
    /// Its first events.
    pub events: Vec<SeenEvent>,
    /// How many more there are.
    pub further: usize,
    /// Why it could not be read, or not to its end.
    pub error: Option<DecodeError>,
}

/// What came of looking up the names that a stream watches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LookUp {
    /// Where they were looked up.
    pub rest: RestEndpoint,
    /// When that began.
    pub began: Moment,
    /// How long all of it took.
    pub took: Duration,
    /// So many instruments they stand for, all together: no more than a stream may have from them.
    pub instruments: usize,
    /// Each of them.
    pub names: Vec<NameStatus>,
}

impl LookUp {
    /// Whether the venue has answered about every name, if only that it lists nothing.
    pub fn is_answered(&self) -> bool {
        self.names.iter().all(|status| status.resolved.is_some())
    }

    /// The names that stand for nothing as far as was learned, and why.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.names.iter();
        names.filter_map(|status| Some((status.name.as_str(), status.error.as_deref()?)))
    }
}

/// What a probe has found.
///
/// Times of frames are counted from the beginning of the dial.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProbeReport {
    /// What it came to.
    pub verdict: Verdict,
    /// Whose protocol was spoken.
    pub venue: String,
    /// Where it connected.
    pub endpoint: Endpoint,
    /// Whether the upgrade was signed with a key; `None` = the venue asks for none.
    pub has_key: Option<bool>,
    /// What names were looked up before; `None` = there were none to look up.
    pub look_up: Option<LookUp>,
    /// When it began.
    pub began: Moment,
    /// How long all of it took, the look-up of names and the close included.
    pub took: Duration,
    /// How long it waited for its turn to dial.
    pub waited: Duration,
    /// The phases that were reached, in their order; the last one may have failed.
    pub phases: Vec<(DialPhase, Duration)>,
    /// Which address was reached: the venue's, or that of the proxy.
    pub peer: Option<SocketAddr>,
    /// The HTTP status that the upgrade was answered with.
    pub status: Option<u16>,
    /// When the venue's certificate ends: seconds since the Unix epoch.
    pub certificate_not_after: Option<i64>,
    /// From a ping to its answer.
    pub round_trip: Option<Duration>,
    /// How many instruments were asked for.
    pub asked: usize,
    /// The answer to the subscription.
    pub answer: Option<Subscribed>,
    /// When the first frame came.
    pub first_frame: Option<Duration>,
    /// When the first market data came.
    pub first_data: Option<Duration>,
    /// Frames that came; heartbeats and acknowledgements do not count.
    pub frames: u64,
    /// Those with market data.
    pub data_frames: u64,
    /// The size of all of them.
    pub bytes: u64,
    /// Frames that could not be read.
    pub unreadable_frames: u64,
    /// The first of them.
    pub seen: Vec<SeenFrame>,
    /// Why the connection did not come about, or was lost.
    pub failure: Option<Failure>,
    /// The phase in which the attempt failed.
    pub failed_in: Option<DialPhase>,
}

impl ProbeReport {
    /// Of a probe that begins.
    pub(super) fn new(venue: &str, endpoint: Endpoint, asked: usize) -> Self {
        Self {
            verdict: Verdict::Held,
            venue: venue.to_owned(),
            endpoint,
            has_key: None,
            look_up: None,
            began: Moment::now(),
            took: Duration::ZERO,
            waited: Duration::ZERO,
            phases: Vec::new(),
            peer: None,
            status: None,
            certificate_not_after: None,
            round_trip: None,
            asked,
            answer: None,
            first_frame: None,
            first_data: None,
            frames: 0,
            data_frames: 0,
            bytes: 0,
            unreadable_frames: 0,
            seen: Vec::new(),
            failure: None,
            failed_in: None,
        }
    }

    /// With what was looked up before, by the same clock.
    #[must_use]
    pub(crate) fn after(mut self, look_up: LookUp) -> Self {
        self.began = look_up.began;
        self.took += look_up.took;
        if self.verdict == Verdict::Well && look_up.failed().next().is_some() {
            self.verdict = Verdict::Unresolved;
        }
        self.look_up = Some(look_up);
        self
    }

    /// How long a phase took; `None` where it was not reached.
    pub fn phase(&self, wanted: DialPhase) -> Option<Duration> {
        let found = self.phases.iter().find(|(phase, _)| *phase == wanted);
        found.map(|(_, took)| *took)
    }

    /// Instruments that are in effect, that were refused, and that were not answered.
    pub fn subscriptions(&self) -> (usize, usize, usize) {
        match &self.answer {
            Some(answer) => (answer.accepted.len(), answer.refused.len(), answer.unanswered.len()),
            None => (0, 0, self.asked),
        }
    }

    /// What the frames and the answer say, where the connection did not fail.
    pub(super) fn judge(&mut self) {
        let (_, refused, unanswered) = self.subscriptions();
        self.verdict = if self.failure.is_some() {
            Verdict::Lost
        } else if self.asked == 0 {
            Verdict::Upgraded
        } else if refused + unanswered > 0 {
            Verdict::Refused
        } else if self.data_frames > 0 {
            Verdict::Well
        } else if self.unreadable_frames > 0 {
            Verdict::Unreadable
        } else {
            Verdict::NoData
        };
    }
}
