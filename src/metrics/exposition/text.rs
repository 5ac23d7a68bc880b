//! The text exposition format, version 0.0.4.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
//!
//! ```
//! use feedwatch::clock::Moment;
//! use feedwatch::market::StreamName;
//! use feedwatch::metrics::{StreamCells, StreamInfo, Streams, text};
//! use std::sync::Arc;
//!
//! let streams = Streams::new();
//! let info = StreamInfo::new(StreamName::new("bot").unwrap(), "venue.example", "wss");
//! let cells = Arc::new(StreamCells::new(info, streams.venue("polymarket"), Moment::now().mono));
//! streams.add(&cells);
//! let scrape = text::render(&streams, Moment::now());
//! assert!(scrape.contains("# TYPE feedwatch_connect_attempts_total counter\n"));
//! ```

use super::{Format, Syntax};
use crate::clock::Moment;
use crate::metrics::exemplar::Exemplar;
use crate::metrics::labels::escape_help;
use crate::metrics::streams::Streams;

/// What `Content-Type` says of it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The figures of all streams and venues as a text of their own.
pub fn render(streams: &Streams, at: Moment) -> String {
    Format::Text.render(streams, &[], at)
}

pub(super) struct Text;

impl Syntax for Text {
    fn header(&self, out: &mut String, name: &str, help: &str, kind: &str) {
        let help = escape_help(help);
        out.extend(["# HELP ", name, " ", &help, "\n# TYPE ", name, " ", kind, "\n"]);
    }

    /// The format has none.
    fn exemplar(&self, _out: &mut String, _exemplar: &Exemplar) {}

    fn end(&self) -> &'static str {
        ""
    }
}
