//! A simulated venue on its own, for tests of other programs and for game days.

use super::Signals;
use super::output::{cannot_listen, last_lines};
use crate::sim::{Capture, CaptureError, Entry, RestOptions, SimOptions, SimulatedVenue, Traffic};
use crate::stream::TransportOptions;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::spawn_blocking;

/// So many events or instruments of a venue are told of.
const LISTED: usize = 10;

/// Reads recordings to play, and tells on stderr of each how long it is, and what is odd about it.
pub fn recordings(paths: &[PathBuf]) -> Result<Vec<Arc<Capture>>, CaptureError> {
    let read = |path: &PathBuf| {
        let mut capture = Capture::read_to_play(path)?;
        let mut told: Vec<_> = remarks(&capture)
            .into_iter()
            .map(|remark| format!("{}{remark}", path.display()))
            .collect();
        // Only where there is a choice.
        if paths.len() > 1 {
            match Capture::read_sent_beside(path) {
                Ok(Some(sent)) => capture = capture.with_sent(&sent),
                Ok(None) => {}
                Err(error) => told.push(format!("{error}: by it no connection is known again")),
            }
        }
        for line in told {
            // Where stderr is gone, it plays all the same.
            let _ = writeln!(io::stderr(), "{line}");
        }
        Ok(Arc::new(capture))
    };
    paths.iter().map(read).collect()
}

/// What goes on behind the name of the file.
fn remarks(capture: &Capture) -> Vec<String> {
    let frames = capture.frames();
    let mut told = vec![if capture.is_cut_short() {
        format!(
            ": its end is missing; the {} frames up to there are played",
            frames.len()
        )
    } else {
        let plural = if frames.len() == 1 { "" } else { "s" };
        format!(": {} frame{plural}", frames.len())
    }];
    // A line is a frame.
    let mut earlier = (2..).zip(frames.windows(2)).filter(|(_, pair)| match pair {
        [before, after] => before
            .at()
            .zip(after.at())
            .is_some_and(|(before, after)| after < before),
        _ => false,
    });
    if let Some((line, _)) = earlier.next() {
        let more = match earlier.count() {
            0 => String::new(),
            more => format!(", as {more} later lines are"),
        };
        told.push(format!(
            ":{line}: is earlier than the line before it{more}: it is played right after that"
        ));
    }
    let most = TransportOptions::default().max_message_bytes;
    let mut large = (1..).zip(frames).filter(|(_, frame)| frame.payload().len() > most);
    if let Some((line, frame)) = large.next() {
        let bytes = frame.payload().len();
        told.push(format!(
            ":{line}: is a frame of {bytes} bytes: a stream that is to take it needs [transport] max_message_bytes"
        ));
    }
    told
}

/// Runs a simulated venue until a signal ends it; prints its log to stdout, one JSON object a line. The certificate of its
/// authority, where it serves TLS, is written to `authority`.
pub async fn simulate(options: SimOptions, authority: Option<&Path>) -> io::Result<()> {
    let mut signals = Signals::listen()?;
    let listen = options.listen;
    let speaks = speaks(&options);
    let names = options.rest.as_ref().map(listed).unwrap_or_default();
    let venue = SimulatedVenue::start(options).map_err(|error| cannot_listen(listen, &error))?;
    if let (Some(path), Some(authority)) = (authority, venue.authority()) {
        std::fs::write(path, authority.pem()).map_err(|error| {
            let told = format!("cannot write {}: {error}", path.display());
            io::Error::new(error.kind(), told)
        })?;
    }
    let news = venue.log().subscribe();
    let mut told = vec![format!("simulated venue at {}", venue.url()), speaks];
    if let Some(rest) = venue.rest_url() {
        told.push(format!("names at {rest}"));
        told.extend(names);
    }
    writeln!(io::stderr(), "{}", told.join("\n"))?;
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

/// What it is over WebSockets.
fn speaks(options: &SimOptions) -> String {
    let of = |recordings: usize| {
        if recordings == 1 {
            "the recording"
        } else {
            "the recordings"
        }
    };
    match &options.traffic {
        Traffic::Replay { recordings, .. } if options.as_recorded => {
            format!(
                "  plays {} as recorded, at any path; nothing else is answered",
                of(recordings.len())
            )
        }
        Traffic::Replay { recordings, .. } => {
            format!(
                "  speaks Polymarket's market channel, and plays {}",
                of(recordings.len())
            )
        }
        _ => "  speaks Polymarket's market channel, and generates events".to_owned(),
    }
}

/// What is listed at each venue: a line each.
fn listed(rest: &RestOptions) -> Vec<String> {
    let mut venues = BTreeMap::<&str, Vec<String>>::new();
    for event in &rest.events {
        venues
            .entry("polymarket")
            .or_default()
            .push(format!("event:{}", event.slug));
    }
    for listed in &rest.instruments {
        venues
            .entry(&listed.venue)
            .or_default()
            .extend(listed.ids.iter().cloned());
    }
    let line = |(venue, mut ids): (&str, Vec<String>)| {
        let more = ids.len().saturating_sub(LISTED);
        ids.truncate(LISTED);
        let more = if more > 0 {
            format!(", and {more} more")
        } else {
            String::new()
        };
        format!("  {venue}: {}{more}", ids.join(", "))
    };
    venues.into_iter().map(line).collect()
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
