//! A recording: what one stream receives and sends, in files that the simulated venue can play.

mod file;
mod ledger;
mod names;
mod recorder;

use super::running::RunningStreams;
use super::trust::Trusts;
use super::{Signals, StartError, descriptors};
use crate::clock::Moment;
use crate::config::{Config, StreamConfig};
use crate::metrics::{BuildInfo, OwnMetrics, Streams};
use crate::stream::{Tap, TapReader};
use crate::telemetry;
use names::Names;
use recorder::Recorder;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::slice;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Payload that waits to be written at most: a disk that hangs for a moment loses nothing.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// How often it is looked what has waited long enough.
const TICK: Duration = Duration::from_millis(250);
/// Behind files of a connection with a higher number, there are not numbers enough for those that are to come.
const LAST_CONNECTION: u64 = u64::MAX / 2;
/// So many frames are taken before it is looked again.
const BATCH: usize = 1024;

/// What is to be recorded.
#[derive(Clone, Debug)]
pub struct RecordOptions {
    /// The name of a stream of the configuration.
    pub stream: String,
    /// The first file: `.jsonl`, or `.jsonl.zst` for compressed ones.
    pub output: PathBuf,
    /// Whether it goes on after the files that it has already; otherwise there must be none.
    pub resume: bool,
    /// When it ends by itself; `None` = with a signal.
    pub duration: Option<Duration>,
    /// How large it may grow.
    pub limits: RecordLimits,
}

/// How large a recording may grow.
#[derive(Clone, Copy, Debug)]
pub struct RecordLimits {
    /// A part of a connection ends before its files together are larger.
    pub max_file_bytes: u64,
    /// A part of a connection ends when its files are so old; `None` = whatever their age.
    pub max_file_age: Option<Duration>,
    /// All files of the recording together: the oldest ones are deleted.
    pub max_total_bytes: u64,
}

/// What was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// Frames received.
    pub frames: u64,
    /// Their payload.
    pub payload_bytes: u64,
    /// Texts sent.
    pub texts_sent: u64,
    /// Files that were written.
    pub files: u64,
    /// What was written to them.
    pub bytes: u64,
    /// Files that were deleted, to stay within the limit.
    pub files_deleted: u64,
    /// Frames and texts that passed and were not recorded, because the disk was too slow, or too little of it
    /// allowed.
    pub frames_missed: u64,
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "recorded {} frames ({} bytes) and {} sent texts, in {} files ({} bytes); {} frames missed, {} files deleted",
            self.frames,
            self.payload_bytes,
            self.texts_sent,
            self.files,
            self.bytes,
            self.frames_missed,
            self.files_deleted
        )
    }
}

/// Why something is not recorded, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The configuration has no stream of that name.
    #[error("no stream is called {name:?}; the configuration has: {}", known.join(", "))]
    NoStream {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The stream has neither instruments nor names, and so never connects.
    #[error("the stream {0:?} has no instruments: there is nothing to record")]
    Idle(String),
    /// The name is none for a recording.
    #[error("{}: the name of a recording must end in .jsonl or .jsonl.zst, and not in .sent.jsonl", .0.display())]
    BadName(PathBuf),
    /// The limits contradict each other.
    #[error("the files of a part may have {file} bytes, and all together {total}: raise --max-total-size")]
    Limits {
        /// Of a part.
        file: u64,
        /// Of all.
        total: u64,
    },
    /// There is a recording already.
    #[error("{} exists: choose another name, or go on after it with --resume", .0.display())]
    Exists(PathBuf),
    /// There is a file of such a high number that no connection can come after it.
    #[error("{}: is numbered so high that a recording cannot go on after it: give it another name", .0.display())]
    NumberedTooHigh(PathBuf),
    /// The folder cannot be read.
    #[error("cannot read the folder of {}: {error}", path.display())]
    Folder {
        /// The first file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file cannot be written. What was written before can be read.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file cannot be deleted, so the recording would grow too large.
    #[error("cannot delete {}: {error}", path.display())]
    Delete {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It has ended in good order, and there is nothing in it.
    #[error(
        "nothing was recorded: not one frame came from the venue of stream {0:?}; `feedwatch probe --config FILE --stream NAME` says why"
    )]
    Empty(String),
    /// The stream cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The thread that writes has panicked.
    #[error("the thread that writes has failed: {0}")]
    Writer(#[from] tokio::task::JoinError),
}

impl RecordError {
    /// Whether the command line or the configuration is to blame.
    pub const fn is_usage(&self) -> bool {
        !matches!(
            self,
            Self::Write { .. } | Self::Delete { .. } | Self::Empty(_) | Self::Start(_) | Self::Writer(_)
        )
    }
}

/// Records a stream until a signal, its time or an error ends it; then it prints what was recorded. That nothing was is an error.
///
/// It has no HTTP server and exports no traces: the service may run beside it, with the same configuration.
pub async fn record(options: RecordOptions, config: Config, build: BuildInfo) -> Result<(), RecordError> {
    let stream = find(&options.stream, &config)?;
    let recorder = open(&options)?;
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let own = Arc::new(OwnMetrics::new(&build).map_err(StartError::Metrics)?);
    let _level = telemetry::init(&config.log, own.clone(), None).map_err(StartError::Log)?;

    let (tap, reader) = Tap::new(MAX_WAITING_BYTES);
    let trusts = Trusts::new().and_then(|trusts| trusts.for_streams(slice::from_ref(stream)));
    let trusts = trusts.map_err(StartError::Tls)?;
    let places = descriptors::for_streams(0);
    let shown = Arc::new(Streams::new());
    let mut streams = RunningStreams::new(shown, trusts, None, places, config.dial.clone(), own).with_tap(tap);
    streams.set_tcp(config.transport.tcp.clone());
    streams.start(stream, &config.transport).await;
    streams.look_up(stream, &config.names, &config.transport);
    streams.warn_of_scarcity([stream]);
    info!(stream = stream.name.as_str(), file = %options.output.display(), "recording");

    let stop = CancellationToken::new();
    let mut writer = write(reader, recorder, stop.clone());
    let ended = tokio::select! {
        biased; // what ends it, in the order in which it matters
        ended = &mut writer => Some(ended),
        signal = signals.next() => {
            info!(signal, "ending the recording");
            None
        }
        () = wait(options.duration) => None,
    };
    let end = async {
        // The farewell belongs to the recording.
        if timeout(config.shutdown_grace, streams.stop()).await.is_err() {
            warn!("not every connection was closed within the grace period");
        }
        stop.cancel();
        match ended {
            Some(ended) => ended,
            None => writer.await,
        }
    };
    let (report, written) = signals.or_exit(end).await?;
    // The files are there, whether or not anybody reads this.
    let _ = writeln!(io::stdout(), "{report}");
    written?;
    // What was missed came all the same, and has been told.
    if report.frames + report.frames_missed == 0 {
        return Err(RecordError::Empty(options.stream));
    }
    Ok(())
}

fn find<'c>(name: &str, config: &'c Config) -> Result<&'c StreamConfig, RecordError> {
    let mut streams = config.streams.iter();
    let found = streams.find(|stream| stream.name.as_str() == name);
    let stream = found.ok_or_else(|| RecordError::NoStream {
        name: name.into(),
        known: config.streams.iter().map(|stream| stream.name.to_string()).collect(),
    })?;
    if stream.instruments.is_empty() && stream.watch.is_none() {
        return Err(RecordError::Idle(name.into()));
    }
    Ok(stream)
}

fn open(options: &RecordOptions) -> Result<Recorder, RecordError> {
    let limits = options.limits;
    if limits.max_file_bytes > limits.max_total_bytes {
        return Err(RecordError::Limits {
            file: limits.max_file_bytes,
            total: limits.max_total_bytes,
        });
    }
    let names = Names::new(&options.output)?;
    let existing = names.existing().map_err(|error| RecordError::Folder {
        path: options.output.clone(),
        error,
    })?;
    // What is no file of a recording is in the way as well: a folder, or a link to wherever.
    let is_taken = options.output.symlink_metadata().is_ok_and(|what| !what.is_file());
    let first = existing.values().flatten().next();
    let last = existing.last_key_value();
    match (first, last) {
        _ if is_taken => Err(RecordError::Exists(options.output.clone())),
        (Some((path, _)), _) if !options.resume => Err(RecordError::Exists(path.clone())),
        (_, Some((place, files))) if place.connection > LAST_CONNECTION => {
            let path = files.first().map(|(path, _)| path.clone());
            Err(RecordError::NumberedTooHigh(
                path.unwrap_or_else(|| names.received(*place)),
            ))
        }
        _ => Ok(Recorder::new(names, limits, existing)),
    }
}

async fn wait(duration: Option<Duration>) {
    match duration {
        Some(duration) => sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Writes on a thread of its own: a disk that hangs holds up no stream.
fn write(
    mut reader: TapReader,
    mut recorder: Recorder,
    stop: CancellationToken,
) -> JoinHandle<(Recorded, Result<(), RecordError>)> {
    spawn_blocking(move || {
        let written = Handle::current().block_on(follow(&mut reader, &mut recorder, stop));
        let mut report = recorder.recorded();
        report.frames_missed += reader.missed();
        (report, written)
    })
}

/// Until it is to stop, or nobody is left who could send.
async fn follow(reader: &mut TapReader, recorder: &mut Recorder, stop: CancellationToken) -> Result<(), RecordError> {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut missed = 0;
    loop {
        tokio::select! {
            biased; // a flood of frames must not keep the tick back, nor a stream that goes on the end
            _ = tick.tick() => {
                let (over, now) = (recorder.over(), Moment::now().mono);
                take(reader, recorder, reader.waiting())?;
                recorder.end(&over, now)?;
                recorder.tick(now)?;
                let all = reader.missed();
                if all > missed {
                    warn!(frames = all - missed, "the disk is too slow: frames are missing in the recording");
                    missed = all;
                }
            }
            () = stop.cancelled() => break,
            frame = reader.recv() => match frame {
                Some(frame) => {
                    recorder.take(&frame, Moment::now().mono)?;
                    take(reader, recorder, BATCH)?;
                }
                None => break,
            },
        }
    }
    take(reader, recorder, reader.waiting())?;
    recorder.end_all(Moment::now().mono)
}

/// Takes what is waiting, so many at most.
fn take(reader: &mut TapReader, recorder: &mut Recorder, most: usize) -> Result<(), RecordError> {
    let now = Moment::now().mono;
    for _ in 0..most {
        let Some(frame) = reader.try_recv() else { break };
        recorder.take(&frame, now)?;
    }
    Ok(())
}
