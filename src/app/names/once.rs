//! The names of a stream, looked up a single time: for who only looks at its venue.

use super::Settings;
use super::fetch::Unanswered;
use super::known::Known;
use super::lookup::LookUps;
use super::turn::Turns;
use crate::clock::Moment;
use crate::config::{NamesConfig, StreamConfig, TransportConfig};
use crate::market::{Instrument, LookupOutcome};
use crate::probe::LookUp;
use crate::stream::{Access, TcpDialler};
use crate::supervise::later;
use std::time::Duration;
use tokio::time::timeout_at;

/// A look-up of all the names of a stream that is to be made.
pub(in crate::app) struct SingleLookUp(Settings);

impl SingleLookUp {
    /// As the service makes it at its start; `None` where the stream watches no names.
    pub(in crate::app) fn of(
        stream: &StreamConfig,
        figures: (&NamesConfig, &TransportConfig),
        way: (Access, TcpDialler),
    ) -> Option<Self> {
        Settings::of(stream, figures, way, |_| Turns::default()).map(Self)
    }

    /// Asks for each name; what is not answered within `limit` fails. Returns what they stand for, all together.
    pub(in crate::app) async fn run(self, limit: Duration) -> (Vec<Instrument>, LookUp) {
        let settings = &self.0;
        let (began, mut known) = (Moment::now(), Known::default());
        known.keep(settings.venue.name(), &settings.watch.names);
        let mut look_ups = LookUps::new(settings);
        let due = later(began.mono, limit);
        let over = |_| {
            Err(Unanswered::new(
                LookupOutcome::Timeout,
                "the time of the probe was over",
            ))
        };
        let mut failed: Option<Unanswered> = None;
        for name in &settings.watch.names {
            // Where the API fails, another name would fare no better.
            if let Some(unanswered) = &failed {
                known.fail(name, &unanswered.told, true);
                continue;
            }
            let answered = timeout_at(due.into(), look_ups.look_up(name)).await;
            match answered.unwrap_or_else(over) {
                Ok(found) => drop(known.learn(name, found, Moment::now().mono)),
                Err(unanswered) => {
                    known.fail(name, &unanswered.told, unanswered.is_of_host());
                    failed = Some(unanswered).filter(Unanswered::is_of_host);
                }
            }
        }
        let (instruments, _) = known.instruments(settings.max_instruments());
        let look_up = LookUp {
            rest: settings.watch.rest.clone(),
            began,
            took: Moment::now().mono.saturating_duration_since(began.mono),
            instruments: instruments.len(),
            names: known.statuses(),
        };
        (instruments, look_up)
    }
}
