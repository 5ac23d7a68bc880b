//! The exposition formats, written directly along one walk, as a whole or piece by piece.
//!
//! They differ in what stands above the samples of a metric, in whether exemplars follow values, and in the last line: a
//! [`Syntax`] each. Names, labels and values of samples are the same in all.

mod families;
pub mod openmetrics;
pub mod text;
mod writer;

use super::exemplar::Exemplar;
use super::scrape::{Scrape, Walk};
use super::streams::Streams;
use crate::clock::Moment;
use prometheus::proto::MetricFamily;
use std::fmt;
use writer::Writer;

/// A piece of an exposition ends with the sample that brings it to so many bytes.
const PIECE: usize = 64 * 1024;

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics text 1.0.0.
    OpenMetrics,
    /// OpenMetrics text 0.0.1, the draft: the same under another name, since what is written here is the same in both. The
    /// clients of Prometheus do so, too. Source: <https://pkg.go.dev/github.com/prometheus/common/expfmt#NewEncoder>
    OpenMetricsDraft,
}

impl Format {
    /// All of them; who does not mind gets the first.
    pub const ALL: [Self; 3] = [Self::Text, Self::OpenMetrics, Self::OpenMetricsDraft];

    /// What `Content-Type` says of it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => text::CONTENT_TYPE,
            Self::OpenMetrics => openmetrics::CONTENT_TYPE,
            Self::OpenMetricsDraft => openmetrics::DRAFT_CONTENT_TYPE,
        }
    }

    /// The figures of all streams and venues, as they are at `at`, and then what a `prometheus::Registry` gathered. Of the
    /// latter, samples with a time of their own lose it; summaries and untyped samples are left out.
    pub fn render(self, streams: &Streams, families: &[MetricFamily], at: Moment) -> String {
        let mut out = String::new();
        let mut exposition = self.exposition(streams, families, at);
        while exposition.write_piece(&mut out) {}
        out
    }

    /// The same, to be written piece by piece. All figures are read now, and none while it is written.
    pub fn exposition(self, streams: &Streams, families: &[MetricFamily], at: Moment) -> Exposition {
        let syntax: &'static dyn Syntax = match self {
            Self::Text => &text::Text,
            Self::OpenMetrics | Self::OpenMetricsDraft => &openmetrics::OpenMetrics,
        };
        let mut rest = String::new();
        families::write(&mut Writer::new(&mut rest, syntax), families);
        rest.push_str(syntax.end());
        Exposition {
            syntax,
            walk: Walk::new(Scrape::new(streams, at)),
            rest: Some(rest),
        }
    }
}

/// The figures of one moment, and how far the text of them has been written. It takes less memory than that text by far.
pub struct Exposition {
    syntax: &'static dyn Syntax,
    walk: Walk,
    /// What follows the streams and venues, until it is written.
    rest: Option<String>,
}

impl Exposition {
    /// Appends the next piece, whole lines of about 64 KiB; after the last one `false`.
    pub fn write_piece(&mut self, out: &mut String) -> bool {
        let full = out.len() + PIECE;
        if self.walk.go_on(&mut Writer::with_limit(out, self.syntax, full)) {
            return true;
        }
        out.push_str(&self.rest.take().unwrap_or_default());
        false
    }
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
}

/// What the formats write each in its own way.
trait Syntax: Send + Sync {
    /// What stands above the samples of a metric.
    fn header(&self, out: &mut String, name: &str, help: &str, kind: &str);
    /// What follows a value.
    fn exemplar(&self, out: &mut String, exemplar: &Exemplar);
    /// What stands at the end of the whole.
    fn end(&self) -> &'static str;
}
