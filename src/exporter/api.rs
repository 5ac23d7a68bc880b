//! The API: what each stream does and what happened to it, for programs.
//!
//! Each time is given twice: in RFC 3339, and as `_unix`, in seconds. What there is none of is null.

mod events;

pub(super) use events::{events, limit};

use super::rfc3339::rfc3339;
use super::routes::Refusal;
use crate::clock::Moment;
use crate::metrics::{NameStatus, SilentInstrument, StreamCells, StreamSnapshot, Streams};
use events::Event;
use hyper::StatusCode;
use serde::Serialize;

/// So many silent instruments are told of a stream.
const MOST_SILENT: usize = 10;

#[derive(Serialize)]
struct Answer {
    streams: Vec<Stream>,
}

/// A stream with its history.
#[derive(Serialize)]
struct OneStream {
    #[serde(flatten)]
    stream: Stream,
    /// The names that it watches, in the order of the configuration.
    names: Vec<Name>,
    /// The instruments in effect of which nothing has come for longest, the most silent first.
    most_silent: Vec<Silent>,
    /// The newest first.
    history: Vec<Event>,
}

#[derive(Serialize)]
#[allow(clippy::struct_field_names, reason = "the field of the answer")]
struct Name {
    name: String,
    instruments: usize,
    resolved: Option<String>,
    resolved_unix: Option<f64>,
    /// Why the last look-up failed.
    error: Option<String>,
}

#[derive(Serialize)]
struct Silent {
    instrument: String,
    /// Since the last data, or since the subscription came into effect.
    seconds: f64,
    last_data: Option<String>,
    last_data_unix: Option<f64>,
}

#[derive(Serialize)]
struct Stream {
    name: String,
    venue: String,
    state: &'static str,
    connected: bool,
    stale: bool,
    since: String,
    since_unix: f64,
    breaker: Breaker,
    last_cause: Option<&'static str>,
    last_cause_at: Option<String>,
    last_cause_at_unix: Option<f64>,
    outage_since: Option<String>,
    outage_since_unix: Option<f64>,
    next_attempt: Option<String>,
    next_attempt_unix: Option<f64>,
    connections: Connections,
    /// Where they are, or dial: host and port, each once.
    endpoints: Vec<String>,
    subscriptions: Subscriptions,
    last_data: Option<String>,
    last_data_unix: Option<f64>,
    data_age_seconds: Option<f64>,
}

#[derive(Serialize)]
struct Breaker {
    state: &'static str,
    failures: u64,
    threshold: u64,
    open_until: Option<String>,
    open_until_unix: Option<f64>,
}

#[derive(Serialize)]
struct Connections {
    desired: u64,
    live: u64,
}

#[derive(Serialize)]
struct Subscriptions {
    desired: u64,
    active: u64,
    stale: u64,
}

/// Every stream.
pub(super) fn streams(streams: &Streams, at: Moment) -> Result<Vec<u8>, Refusal> {
    let all = streams.all();
    json(&Answer {
        streams: all.iter().map(|cells| describe(cells, &cells.snapshot(at))).collect(),
    })
}

/// The stream of that name, with what happened to it last.
pub(super) fn stream(streams: &Streams, name: &str, at: Moment) -> Result<Vec<u8>, Refusal> {
    let all = streams.all();
    let cells = all.iter().find(|cells| cells.info().stream.as_str() == name);
    // The name is not repeated: it is whatever somebody wrote.
    let cells = cells.ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            "no stream has this name; /api/v1/streams lists them",
        )
    })?;
    json(&OneStream {
        stream: describe(cells, &cells.snapshot(at)),
        names: cells.names().into_iter().map(|name| watched(name, at)).collect(),
        most_silent: cells.most_silent(MOST_SILENT, at).iter().map(silent).collect(),
        history: events::of_stream(cells),
    })
}

fn json(answer: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    let cannot = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "cannot encode the answer");
    serde_json::to_vec(answer).map_err(cannot)
}

fn describe(cells: &StreamCells, snapshot: &StreamSnapshot) -> Stream {
    let (failures, threshold) = snapshot.failures();
    let (desired, active) = snapshot.subscriptions();
    let (meant, live) = snapshot.connections();
    let (last_cause, last_cause_at_unix) = snapshot.last_cause().unzip();
    let open_until_unix = snapshot.breaker_open_until();
    Stream {
        name: cells.info().stream.to_string(),
        venue: cells.venue().name().to_owned(),
        state: snapshot.state().as_str(),
        connected: snapshot.is_live(),
        stale: snapshot.is_stale(),
        since: rfc3339(snapshot.state_since()),
        since_unix: snapshot.state_since(),
        breaker: Breaker {
            state: snapshot.breaker(),
            failures,
            threshold,
            open_until: open_until_unix.map(rfc3339),
            open_until_unix,
        },
        last_cause: last_cause.map(crate::market::Cause::as_str),
        last_cause_at: last_cause_at_unix.map(rfc3339),
        last_cause_at_unix,
        outage_since: snapshot.outage_since().map(rfc3339),
        outage_since_unix: snapshot.outage_since(),
        next_attempt: snapshot.next_attempt().map(rfc3339),
        next_attempt_unix: snapshot.next_attempt(),
        connections: Connections { desired: meant, live },
        endpoints: cells.endpoints(),
        subscriptions: Subscriptions {
            desired,
            active,
            stale: snapshot.stale_instruments(),
        },
        last_data: snapshot.last_data().map(rfc3339),
        last_data_unix: snapshot.last_data(),
        data_age_seconds: snapshot.data_age().map(|age| age.as_secs_f64()),
    }
}

fn watched(known: NameStatus, at: Moment) -> Name {
    let resolved_unix = known.resolved_unix(at);
    Name {
        name: known.name,
        instruments: known.instruments,
        resolved: resolved_unix.map(rfc3339),
        resolved_unix,
        error: known.error,
    }
}

fn silent(silent: &SilentInstrument) -> Silent {
    Silent {
        instrument: silent.instrument.to_string(),
        seconds: silent.silent.as_secs_f64(),
        last_data: silent.last_data.map(rfc3339),
        last_data_unix: silent.last_data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Cause, StreamName};
    use crate::metrics::StreamInfo;
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn times_follow_the_wall_clock_and_ages_do_not() {
        let origin = Moment::now().mono;
        let all = Streams::new();
        let info = StreamInfo {
            stream: StreamName::new("test").unwrap(),
            server_address: "venue.example".into(),
            transport: "wss".into(),
            page_on_stale: false,
        };
        let cells = Arc::new(StreamCells::new(info, all.venue("polymarket"), origin));
        all.add(&cells);
        let after = |seconds| origin + Duration::from_secs(seconds);
        cells.data(after(10));
        cells.update(after(20), |writer| {
            writer.lost(Cause::Eof);
            writer.outage_began(after(20));
            writer.set_wait(Some((Duration::from_secs(40), after(60))));
        });
        for (unix, since, last_data, next_attempt) in [
            (1_700_000_000, "22:13:10.000Z", "22:13:00.000Z", "22:13:50.000Z"),
            (1_700_003_600, "23:13:10.000Z", "23:13:00.000Z", "23:13:50.000Z"),
            (1_699_996_400, "21:13:10.000Z", "21:13:00.000Z", "21:13:50.000Z"),
            (5, "00:00:00.001Z", "00:00:00.001Z", "00:00:35.000Z"),
        ] {
            let wall = UNIX_EPOCH + Duration::from_secs(unix);
            let json = streams(&all, Moment { mono: after(30), wall }).unwrap();
            let stream = &serde_json::from_slice::<serde_json::Value>(&json).unwrap()["streams"][0];
            let time = |key: &str| stream[key].as_str().unwrap().split_once('T').unwrap().1.to_owned();
            for key in ["since", "outage_since", "last_cause_at"] {
                assert_eq!(time(key), since, "{key} at {unix}");
            }
            assert_eq!(
                (time("last_data"), time("next_attempt")),
                (last_data.into(), next_attempt.into())
            );
            assert_eq!(stream["data_age_seconds"], 20.0);
            assert_eq!(stream["breaker"]["open_until"], serde_json::Value::Null);
        }
    }
}
