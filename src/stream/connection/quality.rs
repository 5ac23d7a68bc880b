//! Whether something of the data is missing, and what is done about it.

use super::Connection;
use crate::market::{Cause, Failure, Instrument, MarketEvent};
use crate::stream::sequences::{Order, Sequences};
use crate::stream::{DataFact, Fact};
use crate::venue::{Checksums, Feed, Resync, Venue};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};

/// So many times within [`RESYNC_WINDOW`] instruments are subscribed to anew; then the connection is not worth keeping.
const MOST_RESYNCS: u32 = 10;
const RESYNC_WINDOW: Duration = Duration::from_secs(60);

/// What is followed of a connection's data.
pub(super) struct Quality {
    pub(super) sequences: Sequences,
    checksums: Option<Box<dyn Checksums>>,
    resync: Option<Resync>,
    /// Since when, and how many times, something was subscribed to anew.
    resyncs: Option<(Instant, u32)>,
}

/// What a frame shows to be missing.
#[derive(Debug)]
pub(super) enum Missing {
    /// Events, and of which instrument, if one.
    Events(Option<Instrument>, Option<u64>),
    /// Whatever makes the book of this one another than the venue's.
    Changes(Instrument),
}

impl Quality {
    pub(super) fn new(venue: &dyn Venue, feed: &Feed) -> Self {
        Self {
            sequences: Sequences::default(),
            checksums: if feed.checksums { venue.checksums() } else { None },
            resync: (!feed.report_gaps_only).then(|| venue.resync()),
            resyncs: None,
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
    pub(super) fn check_books(&mut self, text: &str, missing: &mut Vec<Missing>) {
        if let Some(checksums) = &mut self.quality.checksums {
            checksums.check(text, &mut |instrument| {
                missing.push(Missing::Changes(Instrument::new(instrument)));
            });
        }
    }

    /// Tells what is missing before the frame that shows it, and has it come again by the rule of the venue.
    pub(super) fn on_missing(&mut self, missing: Vec<Missing>) {
        for missing in missing {
            let (instrument, fact) = match missing {
                Missing::Events(instrument, missed) => (instrument, DataFact::SequenceGap { missed }),
                Missing::Changes(instrument) => (Some(instrument), DataFact::ChecksumFailed),
            };
            self.tell(self.arrival.at, &Fact::Data(fact));
            let instruments = instrument.clone().into_iter().collect();
            self.queue.push_back(MarketEvent::Gap { instruments });
            match (self.quality.resync, instrument) {
                (None | Some(Resync::Consumer), _) => {}
                (Some(Resync::Resubscribe), Some(instrument)) if self.quality.may_resync(self.arrival.at.mono) => {
                    self.tell(self.arrival.at, &Fact::Data(DataFact::Resync));
                    let instrument = [instrument];
                    self.outbox.queue(self.session.unsubscribe(&instrument));
                    self.outbox.queue(self.session.subscribe(&instrument));
                    self.outbox.expect_answer();
                }
                (Some(Resync::Resubscribe | Resync::Reconnect), _) => {
                    let detail = "events are missing, and only another connection makes the data whole";
                    return self.end(Failure::new(Cause::SequenceGap).with_detail(detail));
                }
            }
        }
    }
}

/// What that order says to be missing.
pub(super) fn missing(order: Order, instrument: Option<&str>) -> Option<Missing> {
    match order {
        Order::Next | Order::Repeated => None,
        Order::Gap(missed) => Some(Missing::Events(instrument.map(Instrument::new), missed)),
    }
}
