//! Whether a description has bounds, and what it leads to: rules are compared with each other, and requests are built in memory.

use super::{InvalidDescription, wrong};
use crate::venue::generic::description::Description;
use crate::venue::generic::template::{Hole, Template};

/// No request is longer, in bytes, were every name in it as long as a name can be. Escapes aside.
const LONGEST_REQUEST: usize = 1024 * 1024;
/// There are no more channels.
const MOST_CHANNELS: usize = 1000;
/// There are no more texts that are sent first, no more rules of one sort, and no more conditions of one rule.
const MOST: usize = 100;

impl Description {
    /// So many instruments one request names, of those that it is about.
    pub(in crate::venue::generic) fn instruments_per_request(&self, request: &Template, instruments: usize) -> usize {
        match (request.names_one(), self.replaces) {
            (true, _) => 1,
            (false, true) => instruments.max(1),
            (false, false) => self.batch.min(instruments.max(1)),
        }
    }

    pub(super) fn check_counts(&self) -> Result<(), InvalidDescription> {
        let lists = [
            ("channels", self.channels.len(), MOST_CHANNELS),
            ("hello", self.hello.len(), MOST),
            ("acknowledgements", self.acknowledgements.len(), MOST),
            ("refusals", self.refusals.len(), MOST),
            ("events", self.events.len(), MOST),
        ];
        for (key, count, most) in lists {
            if count > most {
                return Err(wrong(key, None, format!("has {count}; {most} are the most")));
            }
        }
        for sign in self.signs() {
            let words = sign.when.0.iter().map(|(_, wanted)| wanted.len());
            if let Some(count) = words.chain([sign.when.0.len()]).find(|count| *count > MOST) {
                let problem = format!("when has {count} conditions, or words for one place; {MOST} are the most");
                return Err(wrong(sign.key, sign.index, problem));
            }
        }
        Ok(())
    }

    /// Whether a request names as many instruments as [`batch`](Self::batch) has it.
    #[cfg(feature = "service")]
    pub(crate) fn has_batches(&self) -> bool {
        let mut requests = self.subscribe.iter().chain(&self.unsubscribe);
        !self.replaces && requests.any(|request| !request.names_one())
    }

    pub(super) fn check_lengths(&self) -> Result<(), InvalidDescription> {
        let channels = self.channels.len();
        let instruments = self.limits.instruments_per_connection(channels);
        for (key, request) in [("subscribe", &self.subscribe), ("unsubscribe", &self.unsubscribe)] {
            if let Some(request) = request {
                let fit = self.check_length(request, instruments, channels);
                fit.map_err(|problem| wrong(key, None, problem))?;
            }
        }
        Ok(())
    }

    /// Says so where a connection of so many instruments with so many channels has a request that is too long.
    #[cfg(feature = "service")]
    pub(crate) fn check_requests_of(&self, instruments: usize, channels: usize) -> Result<(), String> {
        let mut requests = self.subscribe.iter().chain(&self.unsubscribe);
        requests.try_for_each(|request| self.check_length(request, instruments, channels))
    }

    fn check_length(&self, request: &Template, instruments: usize, channels: usize) -> Result<(), String> {
        let instruments = self.instruments_per_request(request, instruments);
        let channels = if request.names(|hole| *hole == Hole::Channel) {
            1
        } else {
            channels
        };
        let items = self.item.as_ref().map_or(0, |item| {
            let of = |count, is_each| if is_each { (count, 1) } else { (1, count) };
            let (each, named) = of(instruments, item.names(|hole| matches!(hole, Hole::Instrument(_))));
            let (each_channel, named_channels) = of(channels, item.names(|hole| *hole == Hole::Channel));
            let one = item.longest(named, named_channels, 0).saturating_add(1);
            one.saturating_mul(each).saturating_mul(each_channel)
        });
        let longest = request.longest(instruments, channels, items);
        if longest <= LONGEST_REQUEST {
            return Ok(());
        }
        let remedy = if self.replaces {
            "let a connection carry fewer instruments"
        } else {
            "lower batch, or name less in it"
        };
        Err(format!(
            "has requests of up to {longest} bytes, where names are long; {LONGEST_REQUEST} are the most: {remedy}"
        ))
    }
}
