//! When data of each instrument came last. Written for each event without a lock, read at a scrape.

use super::stream::stamp;
use crate::market::Instrument;
use rustc_hash::FxBuildHasher;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

/// Nobody else puts a key in, so a hash that can be foreseen does no harm.
type Clocks = HashMap<Instrument, Arc<Clock>, FxBuildHasher>;

/// Nanoseconds since the stream's origin; 0 = never.
#[derive(Debug, Default)]
struct Clock {
    last_data: AtomicU64,
    /// In effect since then; 0 = not in effect.
    since: AtomicU64,
    /// The latest socket that carries it, or 0: for a moment a connection has two, when one takes over.
    socket: AtomicU64,
}

/// The instruments of one connection. It outlives its sockets: what an instrument's last data was is not forgotten with them.
#[derive(Debug)]
pub struct InstrumentClocks {
    origin: Instant,
    /// Replaced as a whole when the set changes, so that the socket's task can keep it at hand.
    clocks: Mutex<Arc<Clocks>>,
    /// The number of the next socket.
    sockets: AtomicU64,
}

impl InstrumentClocks {
    const fn new(origin: Instant, clocks: Mutex<Arc<Clocks>>) -> Self {
        Self {
            origin,
            clocks,
            sockets: AtomicU64::new(1),
        }
    }

    /// For a socket that carries none of them yet.
    pub(crate) fn of_socket(self: &Arc<Self>) -> SocketInstruments {
        SocketInstruments {
            number: self.sockets.fetch_add(1, Relaxed),
            at_hand: Arc::default(),
            all: Arc::clone(self),
        }
    }

    fn all(&self) -> Arc<Clocks> {
        Arc::clone(&self.clocks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, clocks: Clocks) -> Arc<Clocks> {
        let clocks = Arc::new(clocks);
        self.clocks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&clocks);
        clocks
    }
}

/// The instruments of one socket. When it is dropped, none of them is in effect any more, unless another socket has taken it over.
#[derive(Debug)]
pub(crate) struct SocketInstruments {
    number: u64,
    all: Arc<InstrumentClocks>,
    at_hand: Arc<Clocks>,
}

impl SocketInstruments {
    /// These are asked for, and no others.
    pub(crate) fn ask_for_all(&mut self, instruments: &[Instrument]) {
        let before = self.all.all();
        let clock = |instrument: &Instrument| {
            let known = before.get(instrument).cloned().unwrap_or_default();
            (instrument.clone(), known)
        };
        self.at_hand = self.all.replace(instruments.iter().map(clock).collect());
    }

    /// These are asked for as well.
    pub(crate) fn ask_for(&mut self, instruments: &[Instrument]) {
        let before = self.all.all();
        let mut clocks = Clocks::clone(&self.at_hand);
        for instrument in instruments {
            let known = || before.get(instrument).cloned().unwrap_or_default();
            clocks.entry(instrument.clone()).or_insert_with(known);
        }
        self.at_hand = self.all.replace(clocks);
    }

    /// These have ended, or are not asked for any more.
    pub(crate) fn leave_out(&mut self, instruments: &[Instrument]) {
        let mut clocks = Clocks::clone(&self.at_hand);
        for instrument in instruments {
            clocks.remove(instrument);
        }
        self.at_hand = self.all.replace(clocks);
    }

    /// These are in effect from now on; what another socket brought into effect still is. An answer that comes late, on a socket
    /// whose successor carries them already, changes nothing.
    pub(crate) fn accepted(&self, instruments: &[Instrument], at: Instant) {
        for clock in instruments.iter().filter_map(|instrument| self.at_hand.get(instrument)) {
            let is_same = clock.socket.fetch_max(self.number, Relaxed) == self.number;
            if is_same || clock.since.load(Relaxed) == 0 {
                clock.since.store(stamp(self.all.origin, at), Relaxed);
            }
        }
    }

    /// Whether this one is asked for.
    pub(crate) fn carries(&self, instrument: &str) -> bool {
        self.at_hand.contains_key(instrument)
    }

    /// Data of this instrument came at that stamp of its stream; whether it is asked for. Of any other nothing is noted.
    pub(crate) fn data(&self, instrument: &str, stamp: u64) -> bool {
        let clock = self.at_hand.get(instrument);
        if let Some(clock) = clock {
            clock.last_data.store(stamp, Relaxed);
        }
        clock.is_some()
    }
}

impl Drop for SocketInstruments {
    fn drop(&mut self) {
        for clock in self.at_hand.values() {
            if clock.socket.compare_exchange(self.number, 0, Relaxed, Relaxed).is_ok() {
                clock.since.store(0, Relaxed);
            }
        }
    }
}

/// The instruments of all connections of a stream.
#[derive(Debug, Default)]
pub(super) struct StreamInstruments(Mutex<Vec<Weak<InstrumentClocks>>>);

/// The silence of a stream's instruments at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence {
    /// How many in effect have been silent for too long.
    pub(super) stale: u64,
    /// The last data of the most silent one in effect: nanoseconds since the origin. 0 = it never had any, or there is none.
    pub(super) oldest: u64,
}

/// An instrument in effect.
#[derive(Clone, Debug)]
pub(super) struct Silent {
    pub(super) instrument: Instrument,
    /// Nanoseconds since the origin; 0 = never.
    pub(super) last_data: u64,
    /// The same of what silence is counted from: the last data, or when it came into effect.
    pub(super) quiet_since: u64,
}

impl StreamInstruments {
    /// Those of one more connection.
    pub(super) fn of_connection(&self, origin: Instant) -> Arc<InstrumentClocks> {
        let clocks = Arc::new(InstrumentClocks::new(origin, Mutex::default()));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|clocks| clocks.strong_count() > 0);
        all.push(Arc::downgrade(&clocks));
        clocks
    }

    /// `limit`: silent for longer is too long; 0 = never.
    pub(super) fn silence(&self, now: u64, limit: u64) -> Silence {
        let mut silence = Silence::default();
        let mut oldest = u64::MAX;
        self.visit(|_, last_data, quiet_since| {
            oldest = oldest.min(last_data);
            silence.stale += u64::from(limit > 0 && now.saturating_sub(quiet_since) > limit);
        });
        silence.oldest = if oldest == u64::MAX { 0 } else { oldest };
        silence
    }

    /// The most silent ones in effect, at most so many, the most silent first.
    pub(super) fn most_silent(&self, most: usize) -> Vec<Silent> {
        let mut all = Vec::new();
        self.visit(|instrument, last_data, quiet_since| {
            all.push((quiet_since, instrument.clone(), last_data));
        });
        all.sort_unstable();
        all.truncate(most);
        let silent = |(quiet_since, instrument, last_data)| Silent {
            instrument,
            last_data,
            quiet_since,
        };
        all.into_iter().map(silent).collect()
    }

    /// Each one in effect, with its last data, and since when it is silent.
    fn visit(&self, mut visit: impl FnMut(&Instrument, u64, u64)) {
        let connections = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for clocks in connections.iter().filter_map(Weak::upgrade) {
            for (instrument, clock) in clocks.all().iter() {
                let (last_data, since) = (clock.last_data.load(Relaxed), clock.since.load(Relaxed));
                if since != 0 {
                    visit(instrument, last_data, last_data.max(since));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn instruments(ids: &[&str]) -> Vec<Instrument> {
        ids.iter().copied().map(Instrument::new).collect()
    }

    struct Rig {
        origin: Instant,
        stream: StreamInstruments,
    }

    impl Rig {
        fn new() -> Self {
            Self {
                origin: Moment::now().mono,
                stream: StreamInstruments::default(),
            }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.origin + Duration::from_secs(seconds)
        }

        fn silence(&self, now: u64, limit: u64) -> (u64, u64) {
            let silence = self.stream.silence(now * SECOND, limit * SECOND);
            (silence.stale, silence.oldest / SECOND)
        }
    }

    #[test]
    fn silence_is_counted_from_the_last_data_or_from_coming_into_effect() {
        let rig = Rig::new();
        let connection = rig.stream.of_connection(rig.origin);
        let mut socket = connection.of_socket();
        socket.ask_for_all(&instruments(&["a", "b", "refused"]));
        assert_eq!(rig.silence(100, 10), (0, 0), "nothing is in effect");
        socket.accepted(&instruments(&["a", "b"]), rig.at(20));
        socket.data("a", 25 * SECOND);
        socket.data("nobody asked for this", 25 * SECOND);
        assert_eq!(rig.silence(30, 10), (0, 0), "b never had any data");
        assert_eq!(rig.silence(31, 10), (1, 0));
        socket.data("b", 31 * SECOND);
        assert_eq!(rig.silence(35, 10), (0, 25));
        assert_eq!(rig.silence(36, 10), (1, 25));
        assert_eq!(rig.silence(1000, 0), (0, 25), "0 = never");
    }

    #[test]
    fn nothing_is_in_effect_without_a_socket_and_the_last_data_is_remembered() {
        let rig = Rig::new();
        let connection = rig.stream.of_connection(rig.origin);
        let mut socket = connection.of_socket();
        socket.ask_for_all(&instruments(&["a", "b"]));
        socket.accepted(&instruments(&["a", "b"]), rig.at(1));
        socket.data("a", 2 * SECOND);
        drop(socket);
        assert_eq!(rig.silence(100, 10), (0, 0));
        let mut socket = connection.of_socket();
        socket.ask_for_all(&instruments(&["a"]));
        socket.accepted(&instruments(&["a"]), rig.at(100));
        assert_eq!(rig.silence(105, 10), (0, 2));
    }

    #[test]
    fn a_socket_that_takes_over_leaves_the_silence_as_it_was() {
        let rig = Rig::new();
        let connection = rig.stream.of_connection(rig.origin);
        let mut before = connection.of_socket();
        before.ask_for_all(&instruments(&["a", "b", "gone"]));
        before.accepted(&instruments(&["a", "b", "gone"]), rig.at(1));
        before.data("a", 5 * SECOND);
        let mut next = connection.of_socket();
        next.ask_for_all(&instruments(&["a", "b"]));
        before.data("a", 6 * SECOND);
        next.accepted(&instruments(&["a", "b"]), rig.at(8));
        drop(before);
        assert_eq!(rig.silence(11, 10), (0, 0), "b never had any data, for ten seconds");
        assert_eq!(rig.silence(12, 10), (1, 0));
        next.data("b", 12 * SECOND);
        assert_eq!(rig.silence(12, 10), (0, 6), "what came on the one before counts");
        drop(next);
        assert_eq!(rig.silence(100, 10), (0, 0));
    }

    #[test]
    fn an_answer_that_comes_late_on_the_socket_before_takes_nothing_back() {
        let rig = Rig::new();
        let connection = rig.stream.of_connection(rig.origin);
        let (mut before, mut next) = (connection.of_socket(), connection.of_socket());
        before.ask_for_all(&instruments(&["a"]));
        next.ask_for_all(&instruments(&["a"]));
        next.accepted(&instruments(&["a"]), rig.at(1));
        before.accepted(&instruments(&["a"]), rig.at(2));
        drop(before);
        assert_eq!(rig.silence(12, 10), (1, 0), "in effect since the first second");
    }

    #[test]
    fn what_is_asked_for_changes_while_the_socket_is_open() {
        let rig = Rig::new();
        let connection = rig.stream.of_connection(rig.origin);
        let mut socket = connection.of_socket();
        socket.ask_for_all(&instruments(&["a", "b"]));
        socket.accepted(&instruments(&["a", "b"]), rig.at(1));
        socket.ask_for(&instruments(&["c"]));
        socket.accepted(&instruments(&["c"]), rig.at(3));
        socket.leave_out(&instruments(&["a"]));
        let shown: Vec<_> = rig
            .stream
            .most_silent(9)
            .into_iter()
            .map(|silent| silent.instrument)
            .collect();
        assert_eq!(shown, instruments(&["b", "c"]));
    }

    #[test]
    fn the_most_silent_of_all_connections_come_first() {
        let rig = Rig::new();
        let [first, second] = [(); 2].map(|()| rig.stream.of_connection(rig.origin));
        let (mut one, mut two) = (first.of_socket(), second.of_socket());
        one.ask_for_all(&instruments(&["a", "b"]));
        two.ask_for_all(&instruments(&["c"]));
        one.accepted(&instruments(&["a", "b"]), rig.at(1));
        two.accepted(&instruments(&["c"]), rig.at(1));
        one.data("a", 50 * SECOND);
        one.data("b", 10 * SECOND);
        two.data("c", 20 * SECOND);
        let silent = rig.stream.most_silent(2);
        let ids: Vec<_> = silent
            .iter()
            .map(|silent| (silent.instrument.as_str(), silent.last_data / SECOND))
            .collect();
        assert_eq!(ids, [("b", 10), ("c", 20)]);
        drop((two, second));
        assert_eq!(
            rig.stream.most_silent(9).len(),
            2,
            "a connection that is gone takes its own along"
        );
    }
}
