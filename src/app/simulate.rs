//! A simulated venue on its own, for tests of other programs and for game days.

use super::Signals;
use crate::sim::{Entry, SimOptions, SimulatedVenue};
use std::io::{self, Write};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Runs a simulated venue until a signal ends it; prints its log to stdout, one JSON object a line.
pub async fn simulate(options: SimOptions) -> io::Result<()> {
    let mut signals = Signals::listen()?;
    let listen = options.listen;
    let venue = SimulatedVenue::start(options).map_err(|error| {
        let told = format!("cannot listen on {listen}: {error}; choose another with --listen");
        io::Error::new(error.kind(), told)
    })?;
    let news = venue.log().subscribe();
    writeln!(io::stderr(), "simulated venue at {}", venue.url())?;
    let end = async {
        signals.next().await;
        signals.or_exit(venue.shutdown()).await;
        Ok(())
    };
    tokio::try_join!(print(news), end).map(|_| ())
}

/// Prints until nobody is left who could add to the log: how the connections end belongs to it.
async fn print(mut news: Receiver<Entry>) -> io::Result<()> {
    loop {
        match news.recv().await {
            Ok(entry) => writeln!(io::stdout(), "{}", serde_json::to_string(&entry)?)?,
            Err(RecvError::Lagged(missed)) => writeln!(io::stderr(), "{missed} entries of the log were not printed")?,
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}
