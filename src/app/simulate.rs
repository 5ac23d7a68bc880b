//! A simulated venue on its own, for tests of other programs and for game days.

use super::Signals;
use crate::sim::{SimOptions, SimulatedVenue};
use std::io::{self, Write};
use tokio::sync::broadcast::error::RecvError;

/// Runs a simulated venue until a signal ends it; prints its log to stdout, one JSON object a line.
pub async fn simulate(options: SimOptions) -> io::Result<()> {
    let mut signals = Signals::listen()?;
    let listen = options.listen;
    let venue = SimulatedVenue::start(options).map_err(|error| {
        let told = format!("cannot listen on {listen}: {error}; choose another with --listen");
        io::Error::new(error.kind(), told)
    })?;
    let mut news = venue.log().subscribe();
    writeln!(io::stderr(), "simulated venue at {}", venue.url())?;
    loop {
        let entry = tokio::select! {
            _ = signals.next() => break,
            entry = news.recv() => entry,
        };
        match entry {
            Ok(entry) => writeln!(io::stdout(), "{}", serde_json::to_string(&entry)?)?,
            Err(RecvError::Lagged(missed)) => writeln!(io::stderr(), "{missed} entries of the log were not printed")?,
            Err(RecvError::Closed) => break,
        }
    }
    signals.or_exit(venue.shutdown()).await;
    Ok(())
}
