//! Names that people know: each stream that watches some has a task that looks them up at its venue's REST API, and tells the
//! stream what they stand for. What cannot be looked up stays as it was.

mod fetch;
mod known;
mod lookup;
mod once;
mod task;
mod turn;
mod wishes;

pub(super) use once::SingleLookUp;
pub(super) use wishes::{Told, Wishes};

use super::driven::Command;
use crate::config::{NamesConfig, StreamConfig, TransportConfig, WatchConfig};
use crate::market::StreamName;
use crate::metrics::OwnMetrics;
use crate::stream::{Access, TcpDialler};
use crate::venue::VenueRef;
use fetch::Asker;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use task::Task;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use turn::Turns;

/// The tasks that look names up.
pub(super) struct Names {
    /// By stream: each task follows its settings, and ends with them.
    tasks: HashMap<StreamName, watch::Sender<Settings>>,
    /// By host and port.
    turns: HashMap<(String, u16), Turns>,
    own: Arc<OwnMetrics>,
}

/// How the names of a stream are looked up.
#[derive(Clone)]
struct Settings {
    venue: VenueRef,
    watch: WatchConfig,
    names: NamesConfig,
    access: Access,
    dialler: TcpDialler,
    head_start: Duration,
    turns: Turns,
}

impl Settings {
    /// `None` where the stream watches no names.
    fn of(
        stream: &StreamConfig,
        (names, transport): (&NamesConfig, &TransportConfig),
        (access, dialler): (Access, TcpDialler),
        turns: impl FnOnce(&WatchConfig) -> Turns,
    ) -> Option<Self> {
        let watch = stream.watch.as_ref()?;
        Some(Self {
            venue: stream.venue.clone(),
            names: names.clone(),
            access,
            dialler,
            head_start: transport.connect_attempt_delay,
            turns: turns(watch),
            watch: watch.clone(),
        })
    }

    /// So many instruments the stream gets from its names, and no more.
    fn max_instruments(&self) -> usize {
        self.watch.max_instruments(&self.names)
    }

    fn asker(&self) -> Asker {
        Asker {
            rest: self.watch.rest.clone(),
            access: self.access.clone(),
            dialler: self.dialler.clone(),
            head_start: self.head_start,
            limit: self.names.timeout,
        }
    }
}

impl Names {
    pub(super) fn new(own: Arc<OwnMetrics>) -> Self {
        Self {
            tasks: HashMap::new(),
            turns: HashMap::new(),
            own,
        }
    }

    /// Streams that are not among these are no more.
    pub(super) fn retain(&mut self, streams: &[&StreamConfig]) {
        self.tasks
            .retain(|name, _| streams.iter().any(|stream| stream.name == *name));
        let is_asked = |place: &(String, u16)| {
            let mut watches = streams.iter().filter_map(|stream| stream.watch.as_ref());
            watches.any(|watch| super::running::key(watch.rest.endpoint()) == *place)
        };
        self.turns.retain(|place, _| is_asked(place));
    }

    /// Looks up the names of this stream at once, and from then on again and again; none where it watches none. `commands`
    /// lead to its task, and the `way` to its venue.
    pub(super) fn follow(
        &mut self,
        stream: &StreamConfig,
        figures: (&NamesConfig, &TransportConfig),
        way: (Access, TcpDialler),
        commands: &mpsc::Sender<Command>,
        (tracker, stop): (&TaskTracker, &CancellationToken),
    ) {
        let turns = |watch: &WatchConfig| {
            let place = super::running::key(watch.rest.endpoint());
            self.turns.entry(place).or_default().clone()
        };
        let Some(settings) = Settings::of(stream, figures, way, turns) else {
            self.tasks.remove(&stream.name);
            return;
        };
        if let Some(task) = self.tasks.get(&stream.name) {
            task.send_replace(settings);
            return;
        }
        let (sender, settings) = watch::channel(settings);
        let task = Task {
            stream: stream.name.clone(),
            settings,
            commands: commands.downgrade(),
            own: self.own.clone(),
        };
        let stop = stop.clone();
        tracker.spawn(async move {
            stop.run_until_cancelled(task.run()).await;
        });
        self.tasks.insert(stream.name.clone(), sender);
    }
}
