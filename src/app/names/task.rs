//! The task that looks a stream's names up: at the start, again and again, and when the configuration was read again.

use super::Settings;
use super::fetch::Unanswered;
use super::known::{Known, News};
use super::lookup::LookUps;
use crate::app::driven::Command;
use crate::clock::Moment;
use crate::market::{LookupOutcome, StreamName, cut};
use crate::metrics::OwnMetrics;
use crate::supervise::Backoff;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{info, warn};

/// The wait after a first failure. It grows up to the interval.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Of each wait, a random part of so much is left out.
const JITTER: f64 = 0.2;
/// So many titles are told of one change, so long at most.
const TITLES: usize = 5;
const TITLE_LENGTH: usize = 80;

/// What the task has.
pub(super) struct Task {
    pub(super) stream: StreamName,
    pub(super) settings: watch::Receiver<Settings>,
    /// The way to the stream, which this does not keep running.
    pub(super) commands: mpsc::WeakSender<Command>,
    pub(super) own: Arc<OwnMetrics>,
}

impl Task {
    /// Looks up until the settings are dropped, and takes back what it has told then.
    pub(super) async fn run(mut self) {
        let mut known = Known::default();
        let mut rounds = Rounds::default();
        loop {
            let settings = self.settings.borrow_and_update().clone();
            known.keep(settings.venue.name(), &settings.watch.names);
            // Whoever has the configuration read again wants to hear what comes of it.
            rounds.failures = 0;
            // Also where nothing was learned yet: the stream may be another one of this name.
            self.tell(&settings, &known, &mut rounds).await;
            let mut followed = self.settings.clone();
            let changed = loop {
                let wait = tokio::select! {
                    biased; // who is to ask otherwise asks no more in the old way; what was learned until then is kept
                    changed = followed.changed() => break changed,
                    wait = self.look_all_up(&settings, &mut known, &mut rounds) => wait,
                };
                tokio::select! {
                    biased; // as above
                    changed = followed.changed() => break changed,
                    () = sleep(wait) => {}
                }
            };
            if changed.is_err() {
                self.command(Command::Named(Vec::new(), Vec::new())).await;
                return;
            }
        }
    }

    /// Asks for each name. Returns for how long nothing is to be asked.
    async fn look_all_up(&self, settings: &Settings, known: &mut Known, rounds: &mut Rounds) -> Duration {
        let mut look_ups = LookUps::new(settings);
        let mut names: Vec<_> = settings.watch.names.iter().collect();
        // One name that ends every round, by an answer that takes too long, must not keep the others from theirs.
        let first = rounds.failures as usize % names.len().max(1);
        names.rotate_left(first);
        let mut failed: Option<Unanswered> = None;
        for name in names {
            let answered = match &failed {
                None => look_ups.look_up(name).await,
                // It would fare no better.
                Some(unanswered) => {
                    known.fail(name, &unanswered.told, true);
                    continue;
                }
            };
            match answered {
                Ok(found) => {
                    let news = known.learn(name, found, Moment::now().mono);
                    self.own.name_lookup(match news.nothing {
                        None => LookupOutcome::Resolved,
                        Some(_) => LookupOutcome::Unknown,
                    });
                    self.tell_news(name, &news);
                    self.tell(settings, known, rounds).await;
                }
                Err(unanswered) => {
                    self.own.name_lookup(unanswered.outcome);
                    let with_all = unanswered.is_of_host();
                    let is_news = known.fail(name, &unanswered.told, with_all);
                    if is_news || with_all && rounds.failures == 0 {
                        let (stream, error) = (self.stream.as_str(), &unanswered.told);
                        warn!(stream, name, %error, "name not resolved: what is subscribed stays");
                    }
                    if with_all {
                        failed = Some(unanswered);
                    }
                }
            }
        }
        self.tell(settings, known, rounds).await;
        let backoff = Backoff {
            initial: FIRST_DELAY,
            max: settings.names.refresh_interval,
            multiplier: 2.0,
            jitter: JITTER,
        };
        if let Some(unanswered) = failed {
            rounds.failures = rounds.failures.saturating_add(1);
            let rest = unanswered.retry_after.unwrap_or_default();
            backoff.delay(rounds.failures, fastrand::f64()).max(rest)
        } else {
            rounds.failures = 0;
            backoff.shorten(settings.names.refresh_interval, fastrand::f64())
        }
    }

    /// Tells the stream what its names stand for.
    async fn tell(&self, settings: &Settings, known: &Known, rounds: &mut Rounds) {
        let most = settings.max_instruments();
        let (instruments, beyond) = known.instruments(most);
        if std::mem::replace(&mut rounds.beyond, beyond) == 0 && beyond > 0 {
            let stream = self.stream.as_str();
            if most < settings.names.max_instruments {
                warn!(
                    stream,
                    most, beyond, "more instruments than the venue takes from one address: the last ones are left out"
                );
            } else {
                warn!(
                    stream,
                    most, beyond, "more instruments than names.max_instruments: the last ones are left out"
                );
            }
        }
        self.command(Command::Named(instruments, known.statuses())).await;
    }

    async fn command(&self, command: Command) {
        if let Some(commands) = self.commands.upgrade() {
            // A task that is gone has panicked, which has been told.
            let _ = commands.send(command).await;
        }
    }

    fn tell_news(&self, name: &str, news: &News) {
        let (stream, came, left) = (self.stream.as_str(), news.came.len(), news.left.len());
        if news.impossible > 0 {
            let impossible = news.impossible;
            warn!(
                stream,
                name, impossible, "some of what the venue lists cannot be subscribed to: it is left out"
            );
        }
        if let Some((error, is_to_be_told)) = news.nothing {
            if is_to_be_told {
                warn!(stream, name, %error, "name not resolved: what is subscribed stays");
            }
        } else if news.is_first {
            info!(stream, name, came, left, titles = some_of(&news.came), "name resolved");
        } else {
            if came > 0 {
                info!(stream, name, came, titles = some_of(&news.came), "instruments came in");
            }
            if left > 0 {
                info!(stream, name, left, titles = some_of(&news.left), "instruments left");
            }
        }
    }
}

/// What a task remembers from round to round.
#[derive(Default)]
struct Rounds {
    /// Rounds in a row that the API has cut short.
    failures: u32,
    /// Instruments that were left out.
    beyond: usize,
}

/// A few titles in one short line. They are anybody's text.
fn some_of(titles: &[String]) -> String {
    let short = |title: &String| cut(title, TITLE_LENGTH);
    let mut told: Vec<_> = titles.iter().take(TITLES).map(short).collect();
    if titles.len() > TITLES {
        told.push(format!("and {} more", titles.len() - TITLES));
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_a_venue_stay_on_one_short_line() {
        let long = vec![format!("a\n\u{1b}[31m{}", "x".repeat(200))];
        assert_eq!(some_of(&long), format!("a  [31m{}\u{2026}", "x".repeat(72)));
        let many: Vec<_> = (0..7).map(|number| number.to_string()).collect();
        assert_eq!(some_of(&many), "0; 1; 2; 3; 4; and 2 more");
    }
}
