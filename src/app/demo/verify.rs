//! Compares what `/metrics` says with what the simulated venues did.

use super::{Error, Running};
use crate::app::http;
use crate::config::Config;
use crate::sim::Expectation;
use crate::supervise::Policy;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// What is on its way when the traffic stops has arrived by then.
const SETTLE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(50);
/// No scrape takes so long; one that does has failed.
const SCRAPE: Duration = Duration::from_secs(10);

/// One figure of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The stream.
    pub stream: &'static str,
    /// What is counted.
    pub figure: &'static str,
    /// What the venue's own log says.
    pub venue: u64,
    /// What `/metrics` says; `None` = there is no such series.
    pub metrics: Option<f64>,
}

impl Comparison {
    /// Whether the two agree.
    pub fn agrees(&self) -> bool {
        self.metrics == Some(self.venue as f64)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.agrees() { "ok" } else { "DIFFERENT" };
        let metrics = self
            .metrics
            .map_or_else(|| "none".to_owned(), |metrics| metrics.to_string());
        write!(
            f,
            "{:<10} {:<16} venue {:>8}  metrics {:>8}  {verdict}",
            self.stream, self.figure, self.venue, metrics
        )
    }
}

/// Stops the traffic and compares, until all agree or what was on its way must have arrived.
pub(super) async fn compare(feeds: &[Running], config: &Config, address: SocketAddr) -> Result<Vec<Comparison>, Error> {
    for feed in feeds {
        feed.venue.pause_traffic();
    }
    let give_up = Instant::now() + SETTLE;
    loop {
        let text = http::get(address, "/metrics", SCRAPE).await?;
        let comparisons: Vec<_> = feeds
            .iter()
            .zip(&config.streams)
            .flat_map(|(feed, stream)| compare_feed(feed, &stream.policy, &text))
            .collect();
        if comparisons.iter().all(Comparison::agrees) || Instant::now() >= give_up {
            return Ok(comparisons);
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn compare_feed(feed: &Running, policy: &Policy, text: &str) -> Vec<Comparison> {
    let stream = feed.feed.name;
    let expected = Expectation::of(&feed.venue.log(), policy, None);
    let figures = [
        ("attempts", "feedwatch_connect_attempts_total", expected.attempts),
        (
            "failed attempts",
            "feedwatch_connect_failures_total",
            expected.failed_attempts,
        ),
        ("losses", "feedwatch_disconnects_total", expected.losses),
        ("trips", "feedwatch_breaker_trips_total", expected.trips),
        ("outages", "feedwatch_outages_total", expected.outages),
        (
            "frames received",
            "feedwatch_frames_received_total",
            expected.frames_received,
        ),
        (
            "bytes received",
            "feedwatch_received_bytes_total",
            expected.received_bytes,
        ),
        ("frames sent", "feedwatch_frames_sent_total", expected.frames_sent),
        ("bytes sent", "feedwatch_sent_bytes_total", expected.sent_bytes),
    ];
    figures
        .map(|(figure, name, venue)| Comparison {
            stream,
            figure,
            venue,
            metrics: sum(text, name, stream),
        })
        .into()
}

/// The sum of all series of a metric that belong to a stream; `None` where there is none.
fn sum(text: &str, name: &str, stream: &str) -> Option<f64> {
    let label = format!("stream=\"{stream}\"");
    text.lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once("} "))
        .filter(|(labels, _)| labels.split(',').any(|pair| pair == label))
        .map(|(_, value)| value.parse().unwrap_or(f64::NAN))
        .reduce(|sum, value: f64| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE a_total counter\na_total{stream=\"x\",cause=\"eof\"} 2\na_total{cause=\"dns\",stream=\"x\"} 3\na_total{stream=\"y\"} 9\na_totals{stream=\"x\"} 7\n";

    #[test]
    fn the_series_of_one_stream_are_added_up() {
        assert_eq!(sum(TEXT, "a_total", "x"), Some(5.0));
        assert_eq!(sum(TEXT, "a_total", "z"), None, "a missing series is no zero");
    }

    #[test]
    fn a_difference_is_seen() {
        let same = Comparison {
            stream: "x",
            figure: "trips",
            venue: 1,
            metrics: Some(1.0),
        };
        assert!(same.agrees());
        assert!(
            !Comparison {
                metrics: Some(2.0),
                ..same.clone()
            }
            .agrees()
        );
        assert!(!Comparison { metrics: None, ..same }.agrees());
    }
}
