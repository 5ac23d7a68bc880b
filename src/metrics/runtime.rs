//! The figures of the runtime that everything runs on, read when they are gathered.

use super::reading::Readings;
use prometheus::Error;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A runtime at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct RuntimeFigures {
    /// Threads that run tasks.
    pub workers: usize,
    /// Tasks that have not ended.
    pub alive_tasks: usize,
    /// Tasks that are to run, and wait for any worker that is free.
    pub global_queue_depth: usize,
    /// For how long the workers have not been idle, all of them together. A worker is counted when it is idle again, or in between.
    pub worker_busy: Duration,
}

type Read = Box<dyn Fn() -> RuntimeFigures + Send + Sync>;

/// Shows `feedwatch_runtime_*`: all at 0 until it is known how a runtime is read.
#[derive(Clone)]
pub(super) struct RuntimeCollector {
    readings: Arc<Readings<RuntimeFigures>>,
    read: Arc<OnceLock<Read>>,
}

impl RuntimeCollector {
    pub(super) fn new() -> Result<Self, Error> {
        let readings = Readings::<RuntimeFigures>::new(&[
            ("feedwatch_runtime_workers", |runtime| runtime.workers as f64),
            ("feedwatch_runtime_alive_tasks", |runtime| runtime.alive_tasks as f64),
            ("feedwatch_runtime_global_queue_depth", |runtime| {
                runtime.global_queue_depth as f64
            }),
            ("feedwatch_runtime_worker_busy_seconds_total", |runtime| {
                runtime.worker_busy.as_secs_f64()
            }),
        ])?;
        Ok(Self {
            readings: Arc::new(readings),
            read: Arc::default(),
        })
    }

    /// Once; a second way has no effect.
    pub(super) fn read_with(&self, read: Read) {
        let _ = self.read.set(read);
    }
}

impl std::fmt::Debug for RuntimeCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RuntimeCollector")
    }
}

impl Collector for RuntimeCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.readings.descriptions()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let reading = self.read.get().map_or_else(RuntimeFigures::default, |read| read());
        self.readings.show(&reading)
    }
}
