//! The figures of the process, read from `/proc` at each scrape.

use super::reading::Readings;
use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo};
use prometheus::Error;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

/// One reading of `/proc/self`.
struct Reading {
    cpu_seconds: f64,
    open_fds: f64,
    max_fds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
    threads: f64,
    start_time: f64,
}

/// Shows `process_*`. Unlike that of the `prometheus` crate it does not cut CPU time to whole seconds.
pub(super) struct ProcessCollector {
    readings: Readings<Reading>,
    /// Read once: it does not change, and must not seem to.
    boot_time: Option<u64>,
}

impl ProcessCollector {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self {
            readings: Readings::<Reading>::new(&[
                ("process_cpu_seconds_total", |reading| reading.cpu_seconds),
                ("process_open_fds", |reading| reading.open_fds),
                ("process_max_fds", |reading| reading.max_fds),
                ("process_virtual_memory_bytes", |reading| reading.virtual_bytes),
                ("process_resident_memory_bytes", |reading| reading.resident_bytes),
                ("process_threads", |reading| reading.threads),
                ("process_start_time_seconds", |reading| reading.start_time),
            ])?,
            boot_time: procfs::boot_time_secs().ok(),
        })
    }

    fn read(&self) -> ProcResult<Reading> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let ticks = procfs::ticks_per_second() as f64;
        let max_fds = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(limit) => limit as f64,
            LimitValue::Unlimited => f64::INFINITY,
        };
        Ok(Reading {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
            open_fds: process.fd_count()? as f64,
            max_fds,
            virtual_bytes: stat.vsize as f64,
            resident_bytes: stat.rss_bytes().get() as f64,
            threads: stat.num_threads as f64,
            start_time: self.boot_time.unwrap_or(0) as f64 + stat.starttime as f64 / ticks,
        })
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.readings.descriptions()
    }

    /// Nothing where `/proc` cannot be read.
    fn collect(&self) -> Vec<MetricFamily> {
        self.read()
            .map_or_else(|_| Vec::new(), |reading| self.readings.show(&reading))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_as_proc_shows_it() {
        let reading = ProcessCollector::new().unwrap().read().unwrap();
        let now = crate::clock::unix_seconds(crate::clock::Moment::now().wall);
        assert!(
            (now - 3600.0..=now + 1.0).contains(&reading.start_time),
            "{}",
            reading.start_time
        );
        assert!(reading.open_fds >= 3.0 && reading.max_fds > reading.open_fds);
        assert!(reading.resident_bytes > 1e5 && reading.virtual_bytes > reading.resident_bytes);
        assert!(reading.threads >= 1.0 && reading.cpu_seconds >= 0.0);
    }
}
