//! The exposition formats, written directly along one walk.
//!
//! They differ in what stands above the samples of a metric, in whether exemplars follow values, and in the last line: a
//! [`Syntax`] each. Names, labels and values of samples are the same in all.

mod families;
pub mod openmetrics;
pub mod text;
mod writer;

use super::exemplar::Exemplar;
use super::scrape::Scrape;
use super::streams::Streams;
use crate::clock::Moment;
use prometheus::proto::MetricFamily;
use writer::Writer;

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
        let syntax: &dyn Syntax = match self {
            Self::Text => &text::Text,
            Self::OpenMetrics | Self::OpenMetricsDraft => &openmetrics::OpenMetrics,
        };
        let mut out = String::new();
        let mut writer = Writer::new(&mut out, syntax);
        Scrape::new(streams, at).walk(&mut writer);
        families::write(&mut writer, families);
        out.push_str(syntax.end());
        out
    }
}

/// What the formats write each in its own way.
trait Syntax {
    /// What stands above the samples of a metric.
    fn header(&self, out: &mut String, name: &str, help: &str, kind: &str);
    /// What follows a value.
    fn exemplar(&self, out: &mut String, exemplar: &Exemplar);
    /// What stands at the end of the whole.
    fn end(&self) -> &'static str;
}
