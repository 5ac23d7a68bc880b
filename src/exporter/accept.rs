//! Which format a client gets: what it says in `Accept` (RFC 9110, section 12.5.1).
//!
//! Prometheus names OpenMetrics first, and gets it. Browsers and curl name neither format, and get the text that every scraper
//! understands and that a browser shows.

use crate::metrics::Format;
use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderValue};

/// What the formats differ in, besides the media type.
///
/// Other parameters of a range are passed over: Prometheus 3 adds `escaping`, which is a matter of names that are not made of
/// ASCII letters, digits and underscores, and there are none.
/// Source: <https://prometheus.io/docs/instrumenting/content_negotiation/>
const PARAMETERS: [&str; 2] = ["version", "charset"];

/// The best of all formats; of equal ones that which is named more exactly, then that which is named first.
///
/// Who accepts none gets the text, and not 406: figures in the wrong format can still be read, and a scraper that refuses them
/// says more than a target that is down. Prometheus wants it so, too (see the same source), and RFC 9110 allows it (12.4.1).
pub(super) fn format(headers: &HeaderMap) -> Format {
    let lines = headers.get_all(ACCEPT).iter().map(HeaderValue::to_str);
    let ranges: Vec<Media> = lines
        .flatten()
        .flat_map(|line| split(line, ','))
        .filter_map(Media::parse)
        .collect();
    let mut best = (Rank::default(), Format::Text);
    for format in Format::ALL {
        let rank = Media::parse(format.content_type()).and_then(|media| media.rank_in(&ranges));
        if let Some(rank) = rank.filter(|rank| rank.quality > 0 && *rank > best.0) {
            best = (rank, format);
        }
    }
    best.1
}

/// How much a format is wanted: more of the first that differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Thousandths; 0 = not acceptable.
    quality: u16,
    exactness: usize,
    /// More for what is named earlier.
    earliness: usize,
}

/// A media type, or a range of them.
#[derive(Debug)]
struct Media<'t> {
    kind: &'t str,
    subkind: &'t str,
    /// Of each of [`PARAMETERS`] the value, without quotation marks.
    parameters: [Option<&'t str>; PARAMETERS.len()],
    quality: u16,
}

impl<'t> Media<'t> {
    /// `None` for what is no media type: it is passed over.
    fn parse(text: &'t str) -> Option<Self> {
        let mut parts = split(text, ';').map(str::trim);
        let (kind, subkind) = parts.next()?.split_once('/')?;
        let mut media = Self {
            kind,
            subkind,
            parameters: [None; PARAMETERS.len()],
            quality: 1000,
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            if name.eq_ignore_ascii_case("q") {
                media.quality = quality(value)?;
            }
            let known = PARAMETERS.iter().zip(&mut media.parameters);
            for (_, kept) in known.filter(|(known, _)| known.eq_ignore_ascii_case(name)) {
                *kept = Some(unquoted(value));
            }
        }
        Some(media)
    }

    /// Whether `media` lies within this range, and how exactly that is named.
    fn exactness(&self, media: &Self) -> Option<usize> {
        let named = |range: &str, name: &str| match range {
            "*" => Some(0),
            _ => range.eq_ignore_ascii_case(name).then_some(1),
        };
        let kinds = named(self.kind, media.kind)? + named(self.subkind, media.subkind)?;
        let mut exactness = kinds;
        for (range, own) in self.parameters.iter().zip(&media.parameters) {
            match (range, own) {
                (None, _) => {}
                (Some(range), Some(own)) if range.eq_ignore_ascii_case(own) => exactness += 1,
                _ => return None,
            }
        }
        Some(exactness)
    }

    /// By the range that names this most exactly. `None` if none does.
    fn rank_in(&self, ranges: &[Self]) -> Option<Rank> {
        let ranked = ranges.iter().rev().enumerate().filter_map(|(earliness, range)| {
            Some(Rank {
                quality: range.quality,
                exactness: range.exactness(self)?,
                earliness,
            })
        });
        ranked.max_by_key(|rank| (rank.exactness, rank.quality, rank.earliness))
    }
}

/// Thousandths. `None` for what does not lie between 0 and 1, as in `*/*;q=2`, which Prometheus 2.49.0 sends.
/// Source: <https://github.com/prometheus/prometheus/issues/13401>
pub(super) fn quality(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let quality: f32 = text.parse().ok().filter(|_| plain)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked
    (0.0..=1.0)
        .contains(&quality)
        .then_some((quality * 1000.0).round() as u16)
}

/// The parts between separators, those between quotation marks left alone.
pub(super) fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        c == separator && !quoted
    })
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Format::{OpenMetrics, OpenMetricsDraft, Text};

    fn chosen(lines: &[&str]) -> Format {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        format(&headers)
    }

    /// Sources: the requests of curl and Prometheus 2.42; for browsers
    /// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/Content_negotiation/List_of_default_Accept_values>;
    /// `scrape/scrape.go` and `DefaultScrapeProtocols` in `config/config.go` of other versions of Prometheus;
    /// `plugins/inputs/prometheus` of Telegraf.
    #[test]
    fn each_client_gets_what_it_reads_best() {
        for (client, accept, expected) in [
            ("curl", "*/*", Text),
            (
                "Firefox",
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
                Text,
            ),
            (
                "Safari and Chrome",
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,image/apng,*/*;q=0.8",
                Text,
            ),
            (
                "Prometheus 2.0, netdata",
                "text/plain;version=0.0.4;q=1,*/*;q=0.1",
                Text,
            ),
            (
                "Telegraf",
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
                 text/plain;version=0.0.4;q=0.3",
                Text,
            ),
            (
                "Prometheus 2.30",
                "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetricsDraft,
            ),
            (
                "Prometheus 2.42",
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "Prometheus 2.49.0",
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=2",
                OpenMetrics,
            ),
            (
                "Prometheus 3",
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            (
                "Prometheus 3 with native histograms",
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "Prometheus 3 with scrape_protocols: [PrometheusText1.0.0, PrometheusText0.0.4]",
                "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4",
                Text,
            ),
        ] {
            assert_eq!(chosen(&[accept]), expected, "{client}");
        }
    }

    #[test]
    fn the_text_is_what_everybody_gets_who_names_nothing_else() {
        for lines in [
            &[] as &[&str],
            &[""],
            &["application/json"],
            &["*/*;q=0"],
            &["text/plain;version=1.0.0"],
            &["application/openmetrics-text;version=2.0.0"],
            &["application/openmetrics-text;q=0"],
            &["application/openmetrics-text;charset=latin1"],
            &["application/openmetrics-text;q=x"],
            &["application/openmetrics-text;q=-1"],
            &["application/openmetrics-text;q=NaN"],
            &["application/openmetrics-text;q="],
            &["openmetrics", ",,;;", "/", ";q=1", "=", "\"", "\\", "a/b;\"c,d/e;q=0.1"],
            &["\u{e9}/*", "*/\u{e9}"],
        ] {
            assert_eq!(chosen(lines), Text, "{lines:?}");
        }
    }

    #[test]
    fn the_best_quality_wins_and_the_most_exact_range_tells_it() {
        let openmetrics = "application/openmetrics-text";
        for (accept, expected) in [
            (format!("{openmetrics};q=0.2,text/plain;q=0.1"), OpenMetrics),
            (format!("{openmetrics};q=0.1,text/plain;q=0.2"), Text),
            (format!("{openmetrics};q=0.1,*/*;q=0.2"), Text),
            (format!("{openmetrics};q=0.5,text/*;q=0.499"), OpenMetrics),
            ("application/*;q=0.5,text/*;q=0.4".to_owned(), OpenMetrics),
            ("text/plain;q=0,*/*;q=0.1".to_owned(), OpenMetrics),
            ("*/*,text/plain;q=0.5".to_owned(), OpenMetrics),
            (
                format!("{openmetrics};version=1.0.0;q=0,{openmetrics}"),
                OpenMetricsDraft,
            ),
            (
                format!("{openmetrics};version=0.0.1,{openmetrics};q=0.9"),
                OpenMetricsDraft,
            ),
        ] {
            assert_eq!(chosen(&[&accept]), expected, "{accept}");
        }
    }

    #[test]
    fn of_equal_ranges_the_more_exact_one_wins_and_then_the_first() {
        for (accept, expected) in [
            ("application/openmetrics-text", OpenMetrics),
            ("*/*,application/openmetrics-text", OpenMetrics),
            ("*/*,text/plain,application/openmetrics-text;version=1.0.0", OpenMetrics),
            ("application/openmetrics-text,text/plain", OpenMetrics),
            ("text/plain,application/openmetrics-text", Text),
        ] {
            assert_eq!(chosen(&[accept]), expected, "{accept}");
        }
    }

    #[test]
    fn it_reads_the_spellings_that_the_grammar_allows() {
        for lines in [
            &["APPLICATION/OpenMetrics-Text; VERSION=1.0.0; Charset=\"UTF-8\" ; Q=1.000"] as &[&str],
            &["application/openmetrics-text;version=\"1.0.0\""],
            &["text/plain;q=0.1", "application/openmetrics-text;q=0.2"],
            &["text/x;a=\"b,c;q=0,\\\"\" , application/openmetrics-text"],
            &[" , ,application/openmetrics-text\t,"],
        ] {
            assert_eq!(chosen(lines), OpenMetrics, "{lines:?}");
        }
    }
}
