//! A simulated venue on its own, for tests of other programs and for game days.

use super::Signals;
use super::output::{cannot_listen, last_lines};
use crate::sim::{Entry, SimOptions, SimulatedVenue};
use std::io::{self, Write};
use std::path::Path;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::spawn_blocking;

/// So many events are told of.
const EVENTS: usize = 10;

/// Runs a simulated venue until a signal ends it; prints its log to stdout, one JSON object a line. The certificate of its
/// authority, where it serves TLS, is written to `authority`.
pub async fn simulate(options: SimOptions, authority: Option<&Path>) -> io::Result<()> {
    let mut signals = Signals::listen()?;
    let listen = options.listen;
    let events = options.rest.iter().flat_map(|rest| &rest.events);
    let events: Vec<_> = events
        .take(EVENTS)
        .map(|event| format!("event:{}", event.slug))
        .collect();
    let venue = SimulatedVenue::start(options).map_err(|error| cannot_listen(listen, &error))?;
    if let (Some(path), Some(authority)) = (authority, venue.authority()) {
        std::fs::write(path, authority.pem()).map_err(|error| {
            let told = format!("cannot write {}: {error}", path.display());
            io::Error::new(error.kind(), told)
        })?;
    }
    let news = venue.log().subscribe();
    writeln!(io::stderr(), "simulated venue at {}", venue.url())?;
    if let Some(rest) = venue.rest_url() {
        writeln!(io::stderr(), "names at {rest}: {}", events.join(", "))?;
    }
    // On a thread of its own: a reader of stdout that stalls stops neither the venue nor its end.
    let mut printer = spawn_blocking(move || print(news));
    tokio::select! {
        biased; // a signal ends it, whatever else happens at the same moment
        _ = signals.next() => {}
        ended = &mut printer => return ended.map_err(io::Error::other)?,
    }
    signals.or_exit(venue.shutdown()).await;
    last_lines(printer).await
}

/// Prints until nobody is left who could add to the log: how the connections end belongs to it.
fn print(mut news: Receiver<Entry>) -> io::Result<()> {
    loop {
        match news.blocking_recv() {
            Ok(entry) => writeln!(io::stdout(), "{}", serde_json::to_string(&entry)?)?,
            Err(RecvError::Lagged(missed)) => writeln!(io::stderr(), "{missed} entries of the log were not printed")?,
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}
