//! Whether something of the data is missing, and what is done about it.

use super::Connection;
use crate::market::{Cause, Failure, Instrument, MarketEvent, Place, Sequence, Series};
use crate::stream::sequences::{Order, Sequences};
use crate::stream::{DataFact, Fact};
use crate::venue::{Checksums, Feed, Resync, Venue};
use rustc_hash::FxBuildHasher;
use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};

/// So many times within [`RESYNC_WINDOW`] instruments are subscribed to anew; then the connection is not worth keeping.
const MOST_RESYNCS: u32 = 10;
const RESYNC_WINDOW: Duration = Duration::from_secs(60);

/// What is followed of a connection's data.
pub(super) struct Quality {
    sequences: Sequences,
    /// Whether an event has named an instrument that was asked for. Names of others are then nobody's.
    names_what_was_asked_for: bool,
    checksums: Option<Box<dyn Checksums>>,
    resync: Option<Resync>,
    /// Since when, and how many times, something was subscribed to anew.
    resyncs: Option<(Instant, u32)>,
    /// Subscribed to anew: until that is answered, or begins with a whole book, what comes may be of the subscription before.
    anew: HashSet<Instrument, FxBuildHasher>,
}

/// Of what a frame shows something to be missing.
#[derive(Debug, Default)]
pub(super) struct Missing {
    of: BTreeSet<Instrument>,
    /// It cannot be told of what: of anything that the connection carries.
    is_of_all: bool,
}

impl Missing {
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty() && !self.is_of_all
    }
}

impl Quality {
    pub(super) fn new(venue: &dyn Venue, feed: &Feed) -> Self {
        Self {
            sequences: Sequences::default(),
            names_what_was_asked_for: false,
            checksums: if feed.checksums { venue.checksums() } else { None },
            resync: (!feed.report_gaps_only).then(|| venue.resync()),
            resyncs: None,
            anew: HashSet::default(),
        }
    }

    /// An event stands there, of an instrument that is asked for or is not. Where others are missing before it, it is noted of what.
    pub(super) fn follow(&mut self, sequence: &Sequence, named: Option<(&str, bool)>, missing: &mut Missing) -> Order {
        let own = named.filter(|_| matches!(sequence.series, Series::Instrument(_)));
        if let Some((instrument, is_asked_for)) = own {
            if !self.is_followed(is_asked_for) {
                return Order::Next;
            }
            if self.anew.contains(instrument) {
                if !matches!(sequence.place, Place::Start(_)) {
                    return Order::Next;
                }
                self.go_on_with(instrument);
            }
        }
        let order = self.sequences.follow(sequence, named.map(|(instrument, _)| instrument));
        if let Order::Gap(_) = order {
            match own {
                Some((instrument, _)) => _ = missing.of.insert(Instrument::new(instrument)),
                None => missing.is_of_all = true,
            }
        }
        order
    }

    /// Whether the numbers of an instrument are followed: of one that is asked for. Of others only as long as none of those has been
    /// named, as where one subscription is for all that there is.
    fn is_followed(&mut self, is_asked_for: bool) -> bool {
        if is_asked_for && !std::mem::replace(&mut self.names_what_was_asked_for, true) {
            self.sequences.forget_instruments();
        }
        is_asked_for || !self.names_what_was_asked_for
    }

    /// These are subscribed to while the connection is live: perhaps not for the first time.
    pub(super) fn begin_anew(&mut self, instruments: &[Instrument], is_answered: bool) {
        if is_answered {
            self.anew.extend(instruments.iter().cloned());
        }
        for instrument in instruments {
            self.sequences.forget(instrument.as_str());
        }
        self.forget_books(instruments);
    }

    /// The books of these begin with whole ones, if at all: they are not asked for any more, or anew.
    pub(super) fn forget_books(&mut self, instruments: &[Instrument]) {
        if let Some(checksums) = &mut self.checksums {
            for instrument in instruments {
                checksums.forget(instrument.as_str());
            }
        }
    }

    /// What comes of these from now on is of the new subscription, if of any.
    pub(super) fn goes_on_with(&mut self, instruments: &[Instrument]) {
        if !self.anew.is_empty() {
            for instrument in instruments {
                self.go_on_with(instrument.as_str());
            }
        }
    }

    fn go_on_with(&mut self, instrument: &str) {
        if self.anew.remove(instrument) {
            self.sequences.forget(instrument);
        }
    }

    /// Whether one more may be subscribed to anew.
    fn may_resync(&mut self, now: Instant) -> bool {
        let (since, times) = self
            .resyncs
            .filter(|(since, _)| now.saturating_duration_since(*since) < RESYNC_WINDOW)
            .unwrap_or((now, 0));
        self.resyncs = Some((since, times.saturating_add(1)));
        times < MOST_RESYNCS
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Connection<Io> {
    /// Compares the books with the checksums of a frame.
    pub(super) fn check_books(&mut self, text: &str, missing: &mut Missing) {
        if let Some(checksums) = &mut self.quality.checksums {
            let (observer, at) = (&self.observer, self.arrival.at);
            let is_asked_for = |instrument: &str| self.instruments.carries(instrument);
            checksums.check(text, &is_asked_for, &mut |instrument| {
                observer.observe(at, &Fact::Data(DataFact::ChecksumFailed));
                missing.of.insert(Instrument::new(instrument));
            });
        }
    }

    /// Tells the consumer what is missing, before it gets the frame that shows it, and has it come again by the rule of the venue.
    /// Returns why the connection is to end behind that frame, where nothing else helps.
    #[cold]
    pub(super) fn on_missing(&mut self, missing: Missing) -> Option<Failure> {
        let Missing { of, is_of_all } = missing;
        let of: Vec<_> = of.into_iter().collect();
        self.queue.push_back(MarketEvent::Gap {
            instruments: if is_of_all { Vec::new() } else { of.clone() },
        });
        match self.quality.resync {
            None | Some(Resync::Consumer) => None,
            Some(Resync::Resubscribe) if !is_of_all => self.resync(of),
            Some(Resync::Resubscribe | Resync::Reconnect) => Some(incomplete(
                "events are missing, and only another connection makes the data whole",
            )),
        }
    }

    /// Subscribes to these anew. What is not asked for any more is not asked for again.
    fn resync(&mut self, mut instruments: Vec<Instrument>) -> Option<Failure> {
        let at = self.arrival.at;
        instruments.retain(|instrument| self.instruments.carries(instrument.as_str()));
        for _ in &instruments {
            if !self.quality.may_resync(at.mono) {
                return Some(incomplete("events are missing again and again"));
            }
            self.tell(at, &Fact::Data(DataFact::Resync));
        }
        if instruments.is_empty() {
            return None;
        }
        self.outbox.queue(self.session.unsubscribe(&instruments));
        self.ask(&instruments);
        self.quality.begin_anew(&instruments, self.session.is_awaiting());
        None
    }
}

fn incomplete(detail: &'static str) -> Failure {
    Failure::new(Cause::SequenceGap).with_detail(detail)
}
