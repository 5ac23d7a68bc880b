//! What is recorded, and into which files: a part of a connection each.

use super::file::RecordingFile;
use super::ledger::{Complete, Ledger};
use super::names::{Names, Place};
use super::{RecordError, RecordLimits, Recorded};
use crate::sim::{compress, write_line};
use crate::stream::{TapDirection, TappedConnection, TappedFrame};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// So much waits to be written together, plain; with less, it is compressed badly.
const TOGETHER: usize = 256 * 1024;
/// Nothing waits longer: so much is lost when the process is killed.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A file has no more, plain: a capture that is read has at most twice as much.
const MAX_PLAIN: u64 = 512 * 1024 * 1024;

pub(super) struct Recorder {
    names: Names,
    limits: RecordLimits,
    /// So many connections have files from before.
    before: u64,
    connections: BTreeMap<u64, Connection>,
    ledger: Ledger,
    recorded: Recorded,
}

/// A connection of which something was recorded.
struct Connection {
    tapped: Arc<TappedConnection>,
    waiting: Lines,
    /// Since when something waits.
    since: Option<Instant>,
    /// The part whose files are open.
    part: Option<Part>,
    /// So many parts were begun.
    parts: u64,
}

/// What waits to be written.
#[derive(Default)]
struct Lines {
    received: Vec<u8>,
    sent: Vec<u8>,
    frames: u64,
    texts_sent: u64,
    payload_bytes: u64,
}

struct Part {
    place: Place,
    begun: Instant,
    received: Option<RecordingFile>,
    sent: Option<RecordingFile>,
    plain: u64,
    frames: u64,
}

impl Recorder {
    /// `existing`: the files of this recording that are there already. They stay, and count.
    pub(super) fn new(names: Names, limits: RecordLimits, existing: BTreeMap<Place, Complete>) -> Self {
        Self {
            names,
            limits,
            before: existing.keys().next_back().map_or(0, |last| last.connection),
            connections: BTreeMap::new(),
            ledger: Ledger::new(existing.into_values()),
            recorded: Recorded::default(),
        }
    }

    /// What is on the disk by now.
    pub(super) const fn recorded(&self) -> Recorded {
        Recorded {
            files_deleted: self.ledger.deleted(),
            ..self.recorded
        }
    }

    /// Takes a frame at `now`. It waits for others.
    pub(super) fn take(&mut self, frame: &TappedFrame, now: Instant) -> Result<(), RecordError> {
        let number = frame.connection.number();
        let connection = self.connections.entry(number);
        let connection = connection.or_insert_with(|| Connection::new(frame.connection.clone()));
        connection.waiting.push(frame);
        connection.since.get_or_insert(now);
        if connection.waiting.plain() >= TOGETHER {
            self.write(number, now)?;
        }
        Ok(())
    }

    /// Writes what has waited long enough, and ends the parts that are old enough.
    pub(super) fn tick(&mut self, now: Instant) -> Result<(), RecordError> {
        let numbers: Vec<_> = self.connections.keys().copied().collect();
        for number in numbers {
            let Some(connection) = self.connections.get(&number) else {
                continue;
            };
            let waits = connection
                .since
                .is_some_and(|since| now.saturating_duration_since(since) >= LONGEST_WAIT);
            let is_old = connection
                .part
                .as_ref()
                .is_some_and(|part| part.is_old(&self.limits, now));
            if waits || is_old {
                self.write(number, now)?;
            }
            if is_old {
                self.complete(number);
            }
        }
        Ok(())
    }

    /// The connections that are over, of which all frames will have been taken once those are that wait now.
    pub(super) fn over(&self) -> Vec<u64> {
        let over = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.tapped.is_over());
        over.map(|(number, _)| *number).collect()
    }

    /// Completes the files of these connections.
    pub(super) fn end(&mut self, numbers: &[u64], now: Instant) -> Result<(), RecordError> {
        for number in numbers {
            self.write(*number, now)?;
            self.complete(*number);
            self.connections.remove(number);
        }
        Ok(())
    }

    /// Completes all files.
    pub(super) fn end_all(&mut self, now: Instant) -> Result<(), RecordError> {
        let numbers: Vec<_> = self.connections.keys().copied().collect();
        self.end(&numbers, now)
    }

    /// Writes what waits of a connection.
    fn write(&mut self, number: u64, now: Instant) -> Result<(), RecordError> {
        let Some(connection) = self.connections.get_mut(&number) else {
            return Ok(());
        };
        let lines = std::mem::take(&mut connection.waiting);
        if connection.since.take().is_none() {
            return Ok(());
        }
        let plain = lines.plain() as u64;
        let received = if self.names.is_compressed() && !lines.received.is_empty() {
            compress(&lines.received)
        } else {
            lines.received
        };
        let size = (received.len() + lines.sent.len()) as u64;
        if size > self.limits.max_total_bytes {
            let frames = lines.frames + lines.texts_sent;
            warn!(
                connection = number,
                frames,
                bytes = size,
                "larger than the whole recording may be: not recorded"
            );
            self.recorded.frames_missed += frames;
            return Ok(());
        }
        let most = self.limits.max_file_bytes;
        let is_full = |part: &Part| part.bytes() + size > most || part.plain + plain > MAX_PLAIN;
        if connection.part.as_ref().is_some_and(is_full) {
            self.complete(number);
        }
        self.make_room(size)?;
        let Some(connection) = self.connections.get_mut(&number) else {
            return Ok(());
        };
        let part = connection.part.get_or_insert_with(|| {
            connection.parts += 1;
            Part {
                place: Place {
                    connection: self.before.saturating_add(number),
                    part: connection.parts,
                },
                begun: now,
                received: None,
                sent: None,
                plain: 0,
                frames: 0,
            }
        });
        let recorded = &mut self.recorded;
        if !lines.sent.is_empty() {
            add(&mut part.sent, || self.names.sent(part.place), &lines.sent, recorded)?;
            recorded.texts_sent += lines.texts_sent;
        }
        if !received.is_empty() {
            add(
                &mut part.received,
                || self.names.received(part.place),
                &received,
                recorded,
            )?;
            recorded.frames += lines.frames;
            recorded.payload_bytes += lines.payload_bytes;
            part.frames += lines.frames;
        }
        part.plain += plain;
        Ok(())
    }

    /// Completes the files that a connection has open. What comes next goes into others.
    fn complete(&mut self, number: u64) {
        let connection = self.connections.get_mut(&number);
        if let Some((part, missed)) = connection.and_then(|it| Some((it.part.take()?, it.tapped.missed()))) {
            let Place { connection, part: of } = part.place;
            let (bytes, frames) = (part.bytes(), part.frames);
            let file = self.names.received(part.place);
            let file = file.display();
            info!(%file, connection, part = of, frames, bytes, missed, "recorded");
            self.ledger.add(part.files());
        }
    }

    /// Deletes the oldest files until so many bytes fit. Where all that is complete is gone, a part that is open is completed.
    fn make_room(&mut self, bytes: u64) -> Result<(), RecordError> {
        loop {
            let parts = || {
                self.connections
                    .iter()
                    .filter_map(|(number, it)| Some((*number, it.part.as_ref()?)))
            };
            let open: u64 = parts().map(|(_, part)| part.bytes()).sum();
            if self.ledger.bytes() + open + bytes <= self.limits.max_total_bytes {
                return Ok(());
            }
            if self.ledger.delete_oldest()? {
                continue;
            }
            match parts().min_by_key(|(number, part)| (part.begun, *number)) {
                Some((number, _)) => self.complete(number),
                None => return Ok(()),
            }
        }
    }
}

/// Adds to a file, which is made where there is none.
fn add(
    file: &mut Option<RecordingFile>,
    path: impl FnOnce() -> std::path::PathBuf,
    bytes: &[u8],
    recorded: &mut Recorded,
) -> Result<(), RecordError> {
    if let Some(file) = file {
        file.add(bytes)?;
    } else {
        *file = Some(RecordingFile::begin(path(), bytes)?);
        recorded.files += 1;
    }
    recorded.bytes += bytes.len() as u64;
    Ok(())
}

impl Connection {
    fn new(tapped: Arc<TappedConnection>) -> Self {
        Self {
            tapped,
            waiting: Lines::default(),
            since: None,
            part: None,
            parts: 0,
        }
    }
}

impl Lines {
    fn push(&mut self, frame: &TappedFrame) {
        let to = match frame.direction {
            TapDirection::Received => {
                self.frames += 1;
                self.payload_bytes += frame.payload.len() as u64;
                &mut self.received
            }
            TapDirection::Sent => {
                self.texts_sent += 1;
                &mut self.sent
            }
        };
        write_line(frame.at, frame.is_text, &frame.payload, to);
    }

    const fn plain(&self) -> usize {
        self.received.len() + self.sent.len()
    }
}

impl Part {
    fn bytes(&self) -> u64 {
        let files = [&self.received, &self.sent];
        files.into_iter().flatten().map(RecordingFile::bytes).sum()
    }

    fn is_old(&self, limits: &RecordLimits, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.begun);
        limits.max_file_age.is_some_and(|most| age >= most)
    }

    fn files(self) -> Complete {
        let files = [self.received, self.sent].into_iter().flatten();
        files.map(|file| (file.path().to_owned(), file.bytes())).collect()
    }
}

#[cfg(test)]
mod tests;
