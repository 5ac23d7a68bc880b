//! Watches the runtime that everything runs on: what it has to do, and how late its timers fire.
//!
//! A stream, a scrape and a page all wait for the same workers. Where these are stuck, or have more to do than they can, every
//! timer is late: so is the one that is set here for nothing else.

use crate::metrics::{OwnMetrics, RuntimeFigures};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::{Instant, sleep_until};

/// The time between two ticks: short beside the stalls that matter, and long enough for a process with nothing to do to idle.
const TICK: Duration = Duration::from_millis(100);
/// Ticks that are counted at once after a stall, a minute of them: a process that was stopped for a day does not count for long.
const MOST_TICKS: u32 = 600;

/// Shows the runtime that this is called in, and watches it for as long as it runs.
///
/// # Panics
///
/// Outside a tokio runtime.
pub(super) fn watch(own: Arc<OwnMetrics>) {
    let runtime = Handle::current().metrics();
    own.show_runtime(move || figures(&runtime));
    tokio::spawn(async move { tick(&own).await });
}

fn figures(runtime: &RuntimeMetrics) -> RuntimeFigures {
    let workers = runtime.num_workers();
    RuntimeFigures {
        workers,
        alive_tasks: runtime.num_alive_tasks(),
        global_queue_depth: runtime.global_queue_depth(),
        worker_busy: (0..workers)
            .map(|worker| runtime.worker_total_busy_duration(worker))
            .sum(),
    }
}

async fn tick(own: &OwnMetrics) {
    let mut due = Instant::now() + TICK;
    loop {
        sleep_until(due).await;
        let now = Instant::now();
        for lag in lags(now.saturating_duration_since(due)) {
            own.tick_lagged(lag);
            due += TICK;
        }
        due = due.max(now);
    }
}

/// How late each tick is that has become due, where the first of them is `late`.
///
/// Those that were due during a stall count like the one that met it: a stall weighs what it lasted, or ten seconds without a
/// single task run would be one tick among hundreds.
fn lags(late: Duration) -> impl Iterator<Item = Duration> {
    (0..MOST_TICKS).map_while(move |tick| late.checked_sub(TICK * tick))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "counts are exact")]
    use super::*;
    use crate::clock::Moment;
    use crate::metrics::{BuildInfo, Format, Streams};
    use std::sync::mpsc;

    fn own() -> Arc<OwnMetrics> {
        let build = BuildInfo {
            version: String::new(),
            revision: String::new(),
            rustversion: String::new(),
        };
        Arc::new(OwnMetrics::new(&build).unwrap())
    }

    /// The value of a series, by its whole name.
    fn figure(own: &OwnMetrics, series: &str) -> f64 {
        let now = Moment::now();
        let text = Format::Text.render(&Streams::new(), &own.gather(now), now);
        let mut values = text
            .lines()
            .filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        values
            .next()
            .unwrap_or_else(|| panic!("no {series} in {text}"))
            .parse()
            .unwrap()
    }

    /// Ticks, and those of them that were at most a tenth of a second late.
    fn ticks(own: &OwnMetrics) -> (f64, f64) {
        let of = |part: &str| figure(own, &format!("feedwatch_runtime_tick_lag_seconds{part}"));
        (of("_count"), of("_bucket{le=\"0.1\"}"))
    }

    fn millis(lags: impl Iterator<Item = Duration>) -> Vec<u128> {
        lags.map(|lag| lag.as_millis()).collect()
    }

    #[test]
    fn each_tick_of_a_stall_counts_as_late_as_it_was() {
        assert_eq!(millis(lags(Duration::ZERO)), [0]);
        assert_eq!(millis(lags(Duration::from_millis(99))), [99]);
        assert_eq!(millis(lags(Duration::from_millis(250))), [250, 150, 50]);
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(lags(day).count(), 600, "bounded");
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_with_nothing_to_do_ticks_in_time() {
        let own = own();
        watch(own.clone());
        tokio::time::sleep(TICK * 50 + TICK / 2).await;
        assert_eq!(ticks(&own), (50.0, 50.0));
        assert_eq!(figure(&own, "feedwatch_runtime_alive_tasks"), 1.0, "the watch itself");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_worker_that_is_blocked_shows_as_late_ticks_and_as_work() {
        const STALL: Duration = Duration::from_millis(1500);
        let own = own();
        watch(own.clone());
        assert_eq!(figure(&own, "feedwatch_runtime_workers"), 1.0);
        let (begun, has_begun) = mpsc::channel();
        let (end, until) = mpsc::channel::<()>();
        tokio::spawn(async move {
            begun.send(()).unwrap();
            until.recv_timeout(STALL).unwrap_err();
        });
        has_begun.recv().unwrap();
        let (before, in_time_before) = ticks(&own);
        let busy_before = figure(&own, "feedwatch_runtime_worker_busy_seconds_total");
        let queued = tokio::spawn(async {});
        assert_eq!(
            figure(&own, "feedwatch_runtime_global_queue_depth"),
            1.0,
            "nobody takes it"
        );
        queued.await.unwrap();
        drop(end);

        // 14 ticks at least were due meanwhile; of the last one or two it is not sure that they were late by so much.
        let give_up = Instant::now() + Duration::from_secs(20);
        loop {
            let (all, in_time) = ticks(&own);
            let late = (all - before) - (in_time - in_time_before);
            let busy = figure(&own, "feedwatch_runtime_worker_busy_seconds_total") - busy_before;
            if late >= 12.0 && busy >= STALL.as_secs_f64() {
                break;
            }
            assert!(Instant::now() < give_up, "late {late}, busy {busy}");
            tokio::time::sleep(TICK).await;
        }
    }
}
