//! What is missing by the numbers of a venue, and that nothing else is: frames that were taken out, repeated or exchanged.
//!
//! `tests/fixtures/<venue>/numbered.jsonl` holds frames that follow the accepted subscription without a gap. What is to be found
//! in them is counted by their places in the file, not by their numbers: see [`expected`].

use super::dialogue::hear;
use super::fixture::{self, Scenario, message, venues};
use super::frames::sequences;
use super::play::{Answering, play};
use super::server::Listening;
use super::sockets::stream;
use super::value::event;
use feedwatch::market::{Cause, Instrument, MarketEvent};
use feedwatch::stream::{MarketDataStream, NoObserver, Observer, TransportOptions};
use feedwatch::venue::{Resync, Venue};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const FILE: &str = "numbered.jsonl";

/// Nothing here takes so long.
const LIMIT: Duration = Duration::from_secs(20);

/// A frame, and where it stands.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// What is numbered together, in any words; not given = it has no number.
    series: Option<String>,
    /// Whose the series is; not given = a gap in it may be of anything that the connection carries.
    instrument: Option<String>,
    /// So many numbers are in it; not given = the venue does not say how many are missing where it is.
    holds: Option<u64>,
    /// The series begins anew with it.
    #[serde(default)]
    begins: bool,
    /// The series may come in any order: what is missing is known a thousand numbers later.
    #[serde(default)]
    any_order: bool,
    /// It stands for as many frames as there are numbers between these, with each for `$n`.
    counting: Option<(u64, u64)>,
    frame: String,
}

impl Line {
    fn frames(&self) -> Vec<String> {
        match self.counting {
            Some((first, last)) => (first..=last)
                .map(|n| self.frame.replace("$n", &n.to_string()))
                .collect(),
            None => vec![self.frame.clone()],
        }
    }
}

/// The places of what may be taken out or moved, by series: neither a beginning, nor what comes before or behind everything else.
fn within_series(lines: &[Line]) -> BTreeMap<&str, Vec<usize>> {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, line) in lines.iter().enumerate() {
        if let Some(series) = &line.series {
            places.entry(series).or_default().push(place);
        }
    }
    for places in places.values_mut() {
        places.remove(0);
        places.retain(|place| !lines[*place].begins && lines[*place].counting.is_none());
    }
    places
}

/// A gap: whose it is, and how many numbers are missing, if that is told.
type Gap = (Vec<String>, Option<u64>);

/// Each series goes on where the next of its lines comes. Where a later one does, those in between are missing; where an earlier
/// one does, it is a repetition, or comes late.
fn expected(lines: &[Line], played: &[usize]) -> Vec<Gap> {
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    let mut gaps = Vec::new();
    for place in played {
        let line = &lines[*place];
        let Some(series) = line.series.as_deref().filter(|_| !line.any_order) else {
            continue;
        };
        let of_series = |between: &&Line| between.series.as_deref() == Some(series);
        match reached.get(series).copied() {
            Some(last) if !line.begins && *place <= last => continue,
            Some(last) if !line.begins => {
                let missing: Vec<_> = lines[last + 1..*place].iter().filter(of_series).collect();
                if missing.iter().any(|missing| missing.holds != Some(0)) {
                    let of = line.instrument.iter().cloned().collect();
                    gaps.push((of, missing.iter().map(|missing| missing.holds).sum()));
                }
            }
            _ => {}
        }
        reached.insert(series, *place);
    }
    let played: BTreeSet<_> = played.iter().copied().collect();
    for (_, lost) in lines
        .iter()
        .enumerate()
        .filter(|(place, line)| line.any_order && !played.contains(place))
    {
        gaps.push((lost.instrument.iter().cloned().collect(), lost.holds));
    }
    gaps
}

/// Every way in which the lines are played, by name.
fn ways(lines: &[Line]) -> Vec<(String, Vec<usize>)> {
    let all: Vec<_> = (0..lines.len()).collect();
    let of_series = within_series(lines);
    let without = |takes: &dyn Fn(usize) -> bool| -> Vec<usize> {
        let taken: BTreeSet<_> = of_series
            .values()
            .flat_map(|places| places.iter().enumerate())
            .filter(|(index, _)| takes(*index))
            .map(|(_, place)| *place)
            .collect();
        all.iter().copied().filter(|place| !taken.contains(place)).collect()
    };
    let mut ways = vec![("as they are".to_owned(), all.clone())];
    // Each of them once, and then several in a row.
    for rest in 0..3 {
        ways.push((
            format!("without each third from {rest} on"),
            without(&|index| index % 3 == rest),
        ));
    }
    ways.push(("without pairs".to_owned(), without(&|index| index % 4 < 2)));
    // A whole book that comes again is a beginning.
    let repeats = |place: &usize| !lines[*place].begins && lines[*place].counting.is_none();
    let twice = all
        .iter()
        .flat_map(|place| [Some(*place), Some(*place).filter(repeats)]);
    ways.push(("each twice".to_owned(), twice.flatten().collect()));
    let late = all
        .windows(2)
        .flat_map(|pair| [Some(pair[1]), Some(pair[0]).filter(repeats)]);
    let late = [Some(0)].into_iter().chain(late);
    ways.push(("each again behind the next one".to_owned(), late.flatten().collect()));
    let mut exchanged = all.clone();
    for places in of_series.values() {
        for pair in places.chunks_exact(2) {
            let begins = |between: &Line| between.begins && between.series == lines[pair[0]].series;
            if !lines[pair[0]..pair[1]].iter().any(begins) {
                exchanged.swap(pair[0], pair[1]);
            }
        }
    }
    ways.push(("exchanged".to_owned(), exchanged));
    ways
}

#[test]
fn numbered_frames_are_of_every_series_that_the_venue_numbers() {
    for venue in venues().filter(|venue| venue.has_sequences()) {
        let (name, lines) = (venue.name(), fixture::lines::<Line>(venue.name(), FILE));
        let mut decoder = venue.decoder();
        let mut read = Vec::new();
        let answers = fixture::dialogue(name).accepted.venue();
        for frame in answers.into_iter().chain(lines.iter().flat_map(Line::frames)) {
            let result = decoder.decode(&frame, &mut |envelope| read.push(event(&envelope)));
            assert_eq!(result, Ok(()), "{name}: {frame}");
        }
        let frames = fixture::frames(name);
        let documented = sequences(frames.iter().flat_map(|frame| &frame.events));
        let missing: Vec<_> = documented.difference(&sequences(&read)).cloned().collect();
        assert!(missing.is_empty(), "{name}: no numbered frames of {missing:?}");
        for (series, places) in within_series(&lines) {
            assert!(places.len() >= 3, "{name}: {series} is short");
        }
    }
}

/// Counted by the whole way from the socket to the figures, and told to the consumer with whose they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_found_and_nothing_else() {
    for venue in venues().filter(|venue| venue.has_sequences()) {
        let name = venue.name();
        let lines = fixture::lines::<Line>(venue.name(), FILE);
        for (way, played) in ways(&lines) {
            let about = format!("{name}, {way}");
            let scenario = fixture::dialogue(name).accepted;
            let (instruments, channels) = (scenario.instruments.clone(), scenario.channels.clone());
            let frames = played.iter().flat_map(|place| lines[*place].frames()).collect();
            let answering = Answering::Scenario(scenario);
            let came = play(fixture::venue(name), &channels, &instruments, answering, frames).await;
            let gaps = expected(&lines, &played);
            assert_eq!(gaps.is_empty(), is_whole(&way, &lines), "{about}: {gaps:?}");
            let whose: Vec<_> = gaps.iter().map(|(whose, _)| whose.clone()).collect();
            assert_eq!(came.gaps, whose, "{about}");
            let missed = gaps.iter().filter_map(|(_, missed)| *missed).sum();
            assert_eq!(came.gaps_and_missed(), (gaps.len() as u64, missed), "{about}");
        }
    }
}

/// What was repeated is not missing, nor what comes in another order where the venue promises none.
fn is_whole(way: &str, lines: &[Line]) -> bool {
    let keeps_order = !lines.iter().any(|line| line.any_order);
    !(way.starts_with("without") || way == "exchanged" && keeps_order)
}

/// What this side says to the scenario's answers and then, where something of these instruments is missing.
fn asked_anew(venue: &dyn Venue, scenario: &Scenario, instruments: &[Instrument]) -> Vec<Value> {
    let (mut session, mut decoder) = (venue.session(&scenario.feed()), venue.decoder());
    session.subscribe(&scenario.instruments());
    for frame in scenario.venue() {
        hear(venue, &mut *decoder, &mut *session, &frame);
    }
    let mut texts = session.unsubscribe(instruments);
    texts.extend(session.subscribe(instruments));
    texts.iter().map(|text| message(text)).collect()
}

/// Plays to a client that is to close a gap, hears so many texts of it, and closes. Returns why the client says that it ended, and
/// all that it said.
async fn closed(name: &str, scenario: Scenario, frames: Vec<String>, texts: usize) -> (Cause, Vec<Value>) {
    let listening = Listening::new().await;
    let (address, instruments, feed) = (listening.address(), scenario.instruments(), scenario.feed());
    let served = async {
        let mut client = listening.accept().await;
        client.play(&scenario.steps[..2]).await;
        client.try_feed(frames).await;
        let mut said = Vec::new();
        while said.len() < texts
            && let Some(text) = client.text().await
        {
            said.push(message(&text));
        }
        client.close().await;
        while let Some(text) = client.text().await {
            said.push(message(&text));
        }
        said
    };
    let asked = async {
        let observe = |_: &_| -> Arc<dyn Observer> { Arc::new(NoObserver) };
        let (mut socket, _) = stream(
            fixture::venue(name),
            address,
            feed,
            TransportOptions::default(),
            observe,
        );
        socket.connect().await.unwrap();
        socket.subscribe(&instruments).await.unwrap();
        loop {
            if let Some(MarketEvent::Disconnected { cause, .. }) = socket.next_event().await {
                socket.close().await;
                break cause;
            }
        }
    };
    timeout(LIMIT, async { tokio::join!(asked, served) })
        .await
        .unwrap_or_else(|_| panic!("{name}: it hangs"))
}

#[tokio::test]
async fn a_gap_is_closed_by_the_rule_of_the_venue() {
    for venue in venues().filter(|venue| venue.has_sequences()) {
        let name = venue.name();
        let lines = fixture::lines::<Line>(name, FILE);
        let lost = *within_series(&lines).values().next().unwrap().first().unwrap();
        let frames = lines.iter().enumerate().filter(|(place, _)| *place != lost);
        let frames = frames.flat_map(|(_, line)| line.frames()).collect();
        let scenario = fixture::dialogue(name).accepted;
        let (cause, expected) = match (venue.resync(), &lines[lost].instrument) {
            (Resync::Consumer, _) => (Cause::CloseNormal, Vec::new()),
            (Resync::Resubscribe, Some(id)) => {
                let texts = asked_anew(venue, &scenario, &[Instrument::new(id)]);
                assert!(!texts.is_empty(), "{name} asks for nothing");
                (Cause::CloseNormal, texts)
            }
            _ => (Cause::SequenceGap, Vec::new()),
        };
        // Whoever ends the connection says nothing more, and is heard until then.
        let texts = if cause == Cause::SequenceGap {
            usize::MAX
        } else {
            expected.len()
        };
        assert_eq!(closed(name, scenario, frames, texts).await, (cause, expected), "{name}");
    }
}
